// SPDX-License-Identifier: Apache-2.0
#include "app/query_output.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "app/console.h"
#include "experiments/exchange/npz_writer.h"

namespace pcmlab::app {
namespace {

using db::HexBlob;
using db::Null;
using db::Value;

template <class... Cases>
struct Match : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Match(Cases...) -> Match<Cases...>;

class TableOutput : public QueryOutput {
 public:
  explicit TableOutput(WriteText write) : write_(std::move(write)) {}

  Result<void> begin(const std::vector<std::string>& columns) override {
    columns_ = columns;
    rows_.clear();
    written_ = false;
    return {};
  }
  Result<void> row(const std::vector<Value>& values) override {
    std::vector<std::string> texts;
    for (const Value& value : values) texts.push_back(short_text(value));
    rows_.push_back(std::move(texts));
    return rows_.size() < kRowsTogether ? Result<void>() : flush();
  }
  /// Without a row, the names of the columns are the answer.
  Result<void> end() override { return rows_.empty() && written_ ? Result<void>() : flush(); }

 private:
  static constexpr std::size_t kRowsTogether = 500;

  Result<void> flush() {
    Table table(columns_);
    for (auto& row : rows_) table.add(std::move(row));
    rows_.clear();
    written_ = true;
    return write_(table.text());
  }

  WriteText write_;
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> rows_;
  bool written_ = false;
};

class CsvOutput : public QueryOutput {
 public:
  explicit CsvOutput(WriteText write) : write_(std::move(write)) {}

  Result<void> begin(const std::vector<std::string>& columns) override {
    std::string line;
    for (const std::string& column : columns) append(line, column);
    return finish(line);
  }
  Result<void> row(const std::vector<Value>& values) override {
    std::string line;
    for (const Value& value : values) {
      std::visit(Match{[&](Null) { append(line, ""); },
                       [&](std::int64_t number) { append(line, fmt::format("{}", number)); },
                       [&](double number) { append(line, fmt::format("{}", number)); },
                       [&](const std::string& text) { append(line, text); },
                       [&](const HexBlob& blob) { append(line, blob.digits); }},
                 value);
    }
    return finish(line);
  }
  Result<void> end() override { return {}; }

 private:
  static void append(std::string& line, std::string_view field) {
    if (field.find_first_of(",\"\r\n") == std::string_view::npos) {
      line += field;
    } else {
      line += '"';
      for (const char c : field) line.append(c == '"' ? 2 : 1, c);
      line += '"';
    }
    line += ',';
  }
  Result<void> finish(std::string& line) {
    if (!line.empty()) line.back() = '\n';
    return write_(line);
  }

  WriteText write_;
};

class JsonOutput : public QueryOutput {
 public:
  explicit JsonOutput(WriteText write) : write_(std::move(write)) {}

  Result<void> begin(const std::vector<std::string>& columns) override {
    columns_ = columns;
    first_ = true;
    return write_("[");
  }
  Result<void> row(const std::vector<Value>& values) override {
    auto object = nlohmann::ordered_json::object();
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::visit(Match{[&](Null) { object[columns_[i]] = nullptr; },
                       [&](const HexBlob& blob) { object[columns_[i]] = blob.digits; },
                       [&](const auto& plain) { object[columns_[i]] = plain; }},
                 values[i]);
    }
    const char* const before = std::exchange(first_, false) ? "\n " : ",\n ";
    constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
    return write_(before + object.dump(-1, ' ', false, kReplace));
  }
  Result<void> end() override { return write_(first_ ? "]\n" : "\n]\n"); }

 private:
  WriteText write_;
  std::vector<std::string> columns_;
  bool first_ = true;
};

class NpzOutput : public QueryOutput {
 public:
  explicit NpzOutput(OutputFile& file) : writer_(file) {}

  Result<void> begin(const std::vector<std::string>& columns) override {
    names_ = columns;
    columns_.resize(columns.size());
    return {};
  }
  Result<void> row(const std::vector<Value>& values) override {
    for (std::size_t i = 0; i < values.size(); ++i) columns_[i].add(values[i], rows_);
    ++rows_;
    return {};
  }
  Result<void> end() override {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      PCM_TRY(columns_[i].write(names_[i], writer_));
    }
    return writer_.finish();
  }

 private:
  /// Whole numbers until there is another value, then numbers, then texts.
  class Column {
   public:
    void add(const Value& value, std::size_t before) {
      if (const auto* whole = std::get_if<std::int64_t>(&value);
          whole != nullptr && reals_.empty() && texts_.empty()) {
        wholes_.push_back(*whole);
        return;
      }
      const bool is_text =
          std::holds_alternative<std::string>(value) || std::holds_alternative<HexBlob>(value);
      if (texts_.empty() && !(is_text || kept_as_text_)) {
        add_real(value);
      } else {
        add_text(value, before);
      }
    }
    Result<void> write(const std::string& name, NpzWriter& writer) const {
      if (kept_as_text_) return writer.texts(name, texts_);
      if (!reals_.empty()) return writer.array(name, std::span(std::as_const(reals_)));
      return writer.array(name, std::span(std::as_const(wholes_)));
    }

   private:
    void add_real(const Value& value) {
      if (reals_.empty()) {
        for (const std::int64_t whole : wholes_) reals_.push_back(static_cast<double>(whole));
        wholes_ = {};
      }
      reals_.push_back(
          std::visit(Match{[](std::int64_t number) { return static_cast<double>(number); },
                           [](double number) { return number; },
                           [](const auto&) { return std::numeric_limits<double>::quiet_NaN(); }},
                     value));
    }
    void add_text(const Value& value, std::size_t before) {
      if (!kept_as_text_) {
        kept_as_text_ = true;
        for (const std::int64_t whole : wholes_) texts_.push_back(fmt::format("{}", whole));
        for (const double real : reals_) {
          texts_.push_back(std::isnan(real) ? std::string() : fmt::format("{}", real));
        }
        texts_.resize(before);
        wholes_ = {};
        reals_ = {};
      }
      texts_.push_back(std::visit(
          Match{[](Null) { return std::string(); }, [](const std::string& text) { return text; },
                [](const HexBlob& blob) { return blob.digits; },
                [](auto number) { return fmt::format("{}", number); }},
          value));
    }

    std::vector<std::int64_t> wholes_;
    std::vector<double> reals_;
    std::vector<std::string> texts_;
    bool kept_as_text_ = false;
  };

  NpzWriter writer_;
  std::vector<std::string> names_;
  std::vector<Column> columns_;
  std::size_t rows_ = 0;
};

}  // namespace

std::string short_text(const Value& value) {
  return std::visit(
      Match{[](Null) { return std::string("-"); },
            [](std::int64_t number) { return fmt::format("{}", number); },
            [](double number) { return fmt::format("{:.6g}", number); },
            [](const std::string& text) { return text; },
            [](const HexBlob& blob) { return fmt::format("{} bytes", blob.digits.size() / 2); }},
      value);
}

std::unique_ptr<QueryOutput> table_output(WriteText write) {
  return std::make_unique<TableOutput>(std::move(write));
}
std::unique_ptr<QueryOutput> csv_output(WriteText write) {
  return std::make_unique<CsvOutput>(std::move(write));
}
std::unique_ptr<QueryOutput> json_output(WriteText write) {
  return std::make_unique<JsonOutput>(std::move(write));
}
std::unique_ptr<QueryOutput> npz_output(OutputFile& file) {
  return std::make_unique<NpzOutput>(file);
}

}  // namespace pcmlab::app

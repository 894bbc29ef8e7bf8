// SPDX-License-Identifier: Apache-2.0
#include "app/gui/query_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <iterator>
#include <limits>
#include <string_view>

#include "app/gui/format.h"

namespace pcmlab::gui {
namespace {

struct TextOf {
  std::string operator()(db::Null) const { return {}; }
  std::string operator()(std::int64_t number) const { return std::to_string(number); }
  std::string operator()(double number) const { return fmt::format("{}", number); }
  std::string operator()(const std::string& words) const { return words; }
  std::string operator()(const db::HexBlob& blob) const { return blob.digits; }
};

bool is_number(const db::Value& value) {
  return std::holds_alternative<double>(value) || std::holds_alternative<std::int64_t>(value);
}

/// Columns are named after their unit: "g_uS", "after_s".
Axis axis_of(const std::string& column) {
  struct Unit {
    std::string_view ending, name;
  };
  static constexpr std::array<Unit, 4> kUnits{
      {{"_s", "s"}, {"_uS", "µS"}, {"_uA", "µA"}, {"_percent", "%"}}};
  std::string_view title = column, unit;
  for (const Unit& known : kUnits) {
    if (!title.ends_with(known.ending)) continue;
    title.remove_suffix(known.ending.size());
    unit = known.name;
    break;
  }
  Axis axis{.title = std::string(title), .unit = std::string(unit)};
  std::replace(axis.title.begin(), axis.title.end(), '_', ' ');
  return axis;
}

/// A logarithmic axis has no zero.
void keep_positive(Series& curve) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < curve.x.size(); ++i) {
    if (curve.x[i] <= 0) continue;
    curve.x[kept] = curve.x[i];
    curve.y[kept++] = curve.y[i];
  }
  curve.x.resize(kept);
  curve.y.resize(kept);
}

std::string csv_field(const std::string& field) {
  if (field.find_first_of(",\"\n\r") == std::string::npos) return field;
  std::string quoted = "\"";
  for (const char letter : field) {
    if (letter == '"') quoted += '"';
    quoted += letter;
  }
  return quoted + '"';
}

std::string source_of(const QueryRows& rows) {
  std::string source = rows.database + "\n" + rows.sql;
  for (const auto& [name, value] : rows.values) source += fmt::format("\n:{} = {}", name, value);
  return source;
}

}  // namespace

double number_of(const db::Value& value) {
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
  return std::numeric_limits<double>::quiet_NaN();
}

std::string text_of(const db::Value& value) { return std::visit(TextOf{}, value); }

Result<QueryRows> run_query(const std::filesystem::path& database, const std::string& sql,
                            const std::map<std::string, std::string>& values,
                            const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  QueryRows out{
      .sql = sql, .values = values, .database = database.string(), .columns = {}, .rows = {}};
  PCM_ASSIGN(auto query,
             db::ResultsQuery::open(database, {.timeout = std::chrono::minutes(10), .stop = stop}));
  PCM_TRY(query.prepare(sql, values));
  out.columns = query.columns();
  while (true) {
    PCM_ASSIGN(const bool more, query.step());
    if (!more) break;
    if (out.rows.size() == kMostRows) {
      out.cut = true;
      break;
    }
    auto& row = out.rows.emplace_back();
    for (std::size_t i = 0; i < out.columns.size(); ++i) row.push_back(query.value(i));
  }
  out.took_s = std::chrono::duration<double>(Clock::now() - begin).count();
  return out;
}

PlotContent plot_of(const QueryRows& rows, std::size_t x, std::size_t y,
                    std::optional<std::size_t> by) {
  PlotContent plot{.title = fmt::format("{} against {}", rows.columns[y], rows.columns[x]),
                   .x = axis_of(rows.columns[x]),
                   .y = axis_of(rows.columns[y]),
                   .series = {},
                   .source = source_of(rows)};
  std::size_t positive = 0, others = 0;
  std::map<std::string, std::size_t> known;
  for (const auto& row : rows.rows) {
    if (!is_number(row[x]) || !is_number(row[y])) continue;
    const std::string name = by ? text_of(row[*by]) : rows.columns[y];
    const auto [found, is_new] = known.try_emplace(name, plot.series.size());
    if (is_new) {
      plot.series.push_back({.name = name,
                             .mark = Mark::LinePoints,
                             .colour = static_cast<int>(plot.series.size()),
                             .x = {},
                             .y = {}});
    }
    Series& curve = plot.series[found->second];
    curve.x.push_back(number_of(row[x]));
    curve.y.push_back(number_of(row[y]));
    ++(curve.x.back() > 0 ? positive : others);
  }
  if (positive > 1 && plot.x.unit == "s") {
    plot.x = {.title = plot.x.title, .unit = "", .scale = Scale::Time};
    if (others > 0) plot.note = fmt::format("{} points without a time after 0 left out", others);
    for (Series& curve : plot.series) keep_positive(curve);
    std::erase_if(plot.series, [](const Series& curve) { return curve.x.empty(); });
  }
  constexpr std::size_t kMostPointsOfALine = 400;
  for (Series& curve : plot.series) {
    if (curve.x.size() > kMostPointsOfALine || !std::is_sorted(curve.x.begin(), curve.x.end())) {
      curve.mark = Mark::Points;
    }
  }
  return plot;
}

std::string to_csv(const QueryRows& rows) {
  std::string csv;
  const std::string source = source_of(rows);
  for (std::size_t begin = 0; begin <= source.size();) {
    const std::size_t end = std::min(source.find('\n', begin), source.size());
    fmt::format_to(std::back_inserter(csv), "# {}\n",
                   std::string_view(source).substr(begin, end - begin));
    begin = end + 1;
  }
  const auto add = [&](const auto& fields, const auto& of) {
    bool first = true;
    for (const auto& field : fields) {
      if (!first) csv += ',';
      csv += csv_field(of(field));
      first = false;
    }
    csv += '\n';
  };
  add(rows.columns, [](const std::string& column) { return column; });
  for (const auto& row : rows.rows) add(row, [](const db::Value& value) { return text_of(value); });
  return csv;
}

std::vector<std::string> parameters_of(const std::string& sql) {
  std::vector<std::string> names;
  char quote = 0;
  for (std::size_t i = 0; i < sql.size(); ++i) {
    const char letter = sql[i];
    if (quote != 0) {
      if (letter == quote) quote = 0;
    } else if (letter == '\'' || letter == '"') {
      quote = letter;
    } else if (letter == ':') {
      std::string name;
      while (i + 1 < sql.size() &&
             (std::isalnum(static_cast<unsigned char>(sql[i + 1])) != 0 || sql[i + 1] == '_')) {
        name += sql[++i];
      }
      if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) {
        names.push_back(name);
      }
    }
  }
  return names;
}

void QueryModel::set(std::shared_ptr<const QueryRows> rows) {
  beginResetModel();
  rows_ = std::move(rows);
  endResetModel();
}

int QueryModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() || !rows_ ? 0 : static_cast<int>(rows_->rows.size());
}

int QueryModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() || !rows_ ? 0 : static_cast<int>(rows_->columns.size());
}

QVariant QueryModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid() || !rows_) return {};
  const db::Value& value =
      rows_->rows[static_cast<std::size_t>(index.row())][static_cast<std::size_t>(index.column())];
  if (role == Qt::DisplayRole) {
    if (const auto* real = std::get_if<double>(&value)) return number_text(*real, 6);
    return std::holds_alternative<db::Null>(value) ? QStringLiteral("–") : text(text_of(value));
  }
  if (role == Qt::ToolTipRole) return text(text_of(value));
  if (role == Qt::TextAlignmentRole) {
    return static_cast<int>((is_number(value) ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
  }
  return {};
}

QVariant QueryModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (role != Qt::DisplayRole || !rows_) return {};
  if (orientation == Qt::Vertical) return section + 1;
  return text(rows_->columns[static_cast<std::size_t>(section)]);
}

}  // namespace pcmlab::gui

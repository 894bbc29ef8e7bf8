// SPDX-License-Identifier: Apache-2.0
#include "experiments/exchange/fusion_csv.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>

namespace pcmlab {
namespace {

/// As Python's repr() of a float: 40 is 40.0.
void append_number(std::string& line, float value) {
  const std::size_t begin = line.size();
  fmt::format_to(std::back_inserter(line), "{}", static_cast<double>(value));
  if (line.find_first_of(".en", begin) == std::string::npos) line += ".0";
}

/// As Python's csv module writes a field: in quotes only if it must be.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

/// The fields of a line; quotes as quoted() puts them.
std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields(1);
  bool inside = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (inside && line[i] == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back() += line[++i];
    } else if (line[i] == '"' && (inside || fields.back().empty())) {
      inside = !inside;
    } else if (line[i] == ',' && !inside) {
      fields.emplace_back();
    } else {
      fields.back() += line[i];
    }
  }
  return fields;
}

/// The lines of a file, numbered.
class Lines {
 public:
  static Result<Lines> open(const std::filesystem::path& path) {
    Lines lines(path);
    std::error_code status;
    if (!std::filesystem::exists(path, status)) {
      return fail(ErrorCode::NotFound, fmt::format("there is no file {}", path.string()),
                  "check the path");
    }
    if (!lines.in_ || std::filesystem::is_directory(path, status)) {
      return fail(ErrorCode::Io, fmt::format("cannot open {}", path.string()), "check the path");
    }
    return lines;
  }

  /// Errors: BadFile when there is none, with what it should have been.
  Result<std::string> next(const char* what) {
    std::string line;
    if (!more(line)) return bad(fmt::format("it ends where {} should be", what));
    return line;
  }
  /// Errors: BadFile when anything but empty lines follows.
  Result<void> expect_end() {
    std::string line;
    while (more(line)) {
      if (!line.empty()) return bad("more lines than layers");
    }
    return {};
  }
  tl::unexpected<Error> bad(const std::string& what) const {
    return fail(ErrorCode::BadFile, fmt::format("{}, line {}: {}", path_, number_, what),
                "a Fusion CSV has lines of id, class, num_weights, height, width and names, one "
                "field a layer, then one line of conductances a layer");
  }

 private:
  explicit Lines(const std::filesystem::path& path)
      : path_(path.string()), in_(path, std::ios::binary) {}
  bool more(std::string& line) {
    ++number_;
    if (!std::getline(in_, line)) return false;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return true;
  }

  std::string path_;
  std::ifstream in_;
  std::size_t number_ = 0;
};

Result<std::vector<std::int64_t>> read_counts(Lines& lines, const char* what, std::size_t layers) {
  PCM_ASSIGN(const std::string line, lines.next(what));
  std::vector<std::int64_t> counts;
  for (const std::string& field : fields_of(line)) {
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), count);
    constexpr std::int64_t kMost = 1'000'000'000;
    if (error != std::errc() || end != field.data() + field.size() || count < 1 || count > kMost) {
      return lines.bad(fmt::format("{} of layer {} is \"{}\", not a number from 1 to {}", what,
                                   counts.size() + 1, field, kMost));
    }
    counts.push_back(count);
  }
  if (counts.size() != layers) {
    return lines.bad(
        fmt::format("{} has {} fields, but there are {} ids", what, counts.size(), layers));
  }
  return counts;
}

Result<std::vector<std::string>> read_texts(Lines& lines, const char* what, std::size_t layers) {
  PCM_ASSIGN(const std::string line, lines.next(what));
  std::vector<std::string> texts = fields_of(line);
  if (layers != 0 && texts.size() != layers) {
    return lines.bad(
        fmt::format("{} has {} fields, but there are {} ids", what, texts.size(), layers));
  }
  return texts;
}

Result<void> read_conductances(Lines& lines, FusionLayer& layer) {
  PCM_ASSIGN(const std::string line, lines.next("a layer's conductances"));
  const auto wanted = static_cast<std::size_t>(layer.height * layer.width);
  const char* at = line.data();
  const char* const end = at + line.size();
  while (true) {
    float value = 0;
    const auto [stop, error] = std::from_chars(at, end, value);
    if (error != std::errc() || (stop != end && *stop != ',') || !std::isfinite(value)) {
      const std::string field(at, std::min(std::find(at, end, ','), at + 40));
      return lines.bad(
          fmt::format("field {} is \"{}\", not a finite number", layer.g_uS.size() + 1, field));
    }
    layer.g_uS.push_back(value);
    if (stop == end) break;
    at = stop + 1;
  }
  if (layer.g_uS.size() != wanted) {
    return lines.bad(fmt::format("{} conductances instead of the {} of layer \"{}\"",
                                 layer.g_uS.size(), wanted, layer.name));
  }
  return {};
}

}  // namespace

Result<void> write_fusion_csv(OutputFile& file, const std::vector<FusionLayer>& layers) {
  // The header's lines end in \n, those of the csv writer in \r\n: aihwkit writes them so.
  const auto header = [&](const auto& field) {
    std::string line;
    for (const FusionLayer& layer : layers) {
      fmt::format_to(std::back_inserter(line), "{}{}", line.empty() ? "" : ",", field(layer));
    }
    return file.write(line + "\n");
  };
  PCM_TRY(header([](const FusionLayer& layer) { return layer.id; }));
  PCM_TRY(header([](const FusionLayer& layer) { return layer.class_name; }));
  PCM_TRY(header([](const FusionLayer& layer) { return layer.g_uS.size(); }));
  PCM_TRY(header([](const FusionLayer& layer) { return layer.height; }));
  PCM_TRY(header([](const FusionLayer& layer) { return layer.width; }));
  std::string names;
  for (const FusionLayer& layer : layers) {
    if (!names.empty()) names += ',';
    names += quoted(layer.name);
  }
  PCM_TRY(file.write(names + "\r\n"));
  for (const FusionLayer& layer : layers) {
    std::string line;
    for (std::size_t i = 0; i < layer.g_uS.size(); ++i) {
      if (i > 0) line += ',';
      append_number(line, layer.g_uS[i]);
      constexpr std::size_t kPart = 1 << 16;
      if (line.size() > kPart) {
        PCM_TRY(file.write(line));
        line.clear();
      }
    }
    PCM_TRY(file.write(line + "\r\n"));
  }
  return {};
}

Result<std::vector<FusionLayer>> read_fusion_csv(const std::filesystem::path& path) {
  PCM_ASSIGN(Lines lines, Lines::open(path));
  PCM_ASSIGN(const auto ids, read_texts(lines, "the line of ids", 0));
  PCM_ASSIGN(const auto classes, read_texts(lines, "the line of classes", ids.size()));
  PCM_ASSIGN(const auto counts, read_counts(lines, "num_weights", ids.size()));
  PCM_ASSIGN(const auto heights, read_counts(lines, "height", ids.size()));
  PCM_ASSIGN(const auto widths, read_counts(lines, "width", ids.size()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (heights[i] * widths[i] != counts[i]) {
      return lines.bad(fmt::format("layer {} has {} x {} weights, but num_weights is {}", i + 1,
                                   heights[i], widths[i], counts[i]));
    }
  }
  PCM_ASSIGN(const auto names, read_texts(lines, "the line of names", ids.size()));
  std::vector<FusionLayer> layers;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    layers.push_back({ids[i], classes[i], names[i], heights[i], widths[i], {}});
    PCM_TRY(read_conductances(lines, layers.back()));
  }
  PCM_TRY(lines.expect_end());
  return layers;
}

}  // namespace pcmlab

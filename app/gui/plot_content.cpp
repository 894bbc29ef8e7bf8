// SPDX-License-Identifier: Apache-2.0
#include "app/gui/plot_content.h"

#include <fmt/format.h>

#include <iterator>

namespace pcmlab::gui {
namespace {

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char letter : text) {
    if (letter == '"') out += '"';
    out += letter;
  }
  return out + '"';
}

std::string heading(const Axis& axis) {
  return quoted(axis.unit.empty() ? axis.title : fmt::format("{} ({})", axis.title, axis.unit));
}

}  // namespace

std::string to_csv(const PlotContent& content) {
  std::string csv;
  auto out = std::back_inserter(csv);
  fmt::format_to(out, "# {}\n", content.title);
  std::string line;
  for (const char letter : content.source + "\n") {
    if (letter != '\n') {
      line += letter;
    } else if (!line.empty()) {
      fmt::format_to(out, "# {}\n", line);
      line.clear();
    }
  }
  for (const Stretch& stretch : content.stretches) {
    fmt::format_to(out, "# {}: {} from {} to {}\n", stretch.name, content.x.title, stretch.from,
                   stretch.to);
  }
  for (const Moment& moment : content.moments) {
    fmt::format_to(out, "# {}: {} {}\n", moment.name, content.x.title, moment.x);
  }
  fmt::format_to(out, "series,{},{},low,high\n", heading(content.x), heading(content.y));
  for (const Series& series : content.series) {
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      fmt::format_to(out, "{},{},{}", quoted(series.name), series.x[i], series.y[i]);
      if (series.low.empty()) {
        csv += ",,\n";
      } else {
        fmt::format_to(out, ",{},{}\n", series.low[i], series.high[i]);
      }
    }
  }
  for (const Level& level : content.levels) {
    fmt::format_to(out, "{},,{},,\n", quoted(level.name), level.y);
  }
  return csv;
}

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
#include "app/gui/array_region.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace pcmlab::gui {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

/// Calls for every place of the region that is on the array.
template <class Each>
void each_place(const ArrayMap& map, const QRect& region, const Each& each) {
  const QRect inside = region.intersected(QRect(0, 0, map.shape.bit_lines, map.shape.word_lines));
  for (int row = inside.top(); row <= inside.bottom(); ++row) {
    for (int column = inside.left(); column <= inside.right(); ++column) {
      each(static_cast<std::size_t>(row) * map.shape.bit_lines + static_cast<std::size_t>(column));
    }
  }
}

/// A mean that grows.
struct Mean {
  double sum = 0;
  std::int64_t count = 0;
  void add(float value) {
    if (std::isnan(value)) return;
    sum += static_cast<double>(value);
    ++count;
  }
  double value() const { return count == 0 ? kNothing : sum / static_cast<double>(count); }
};

/// By pixel from means by line: where a pixel has several lines, the mean of theirs.
std::vector<double> by_pixel(const std::vector<Mean>& lines, double from, double extent,
                             int pixels) {
  std::vector<double> out(static_cast<std::size_t>(std::max(0, pixels)), kNothing);
  const auto count = static_cast<double>(lines.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double begin = std::clamp(from + extent * static_cast<double>(i) / pixels, 0.0, count);
    const double end = std::clamp(from + extent * static_cast<double>(i + 1) / pixels, 0.0, count);
    Mean mean;
    for (auto line = static_cast<std::size_t>(begin);
         line < lines.size() && static_cast<double>(line) < std::max(end, std::floor(begin) + 1);
         ++line) {
      mean.sum += lines[line].sum;
      mean.count += lines[line].count;
    }
    out[i] = mean.value();
  }
  return out;
}

}  // namespace

std::string region_name(const QRect& region) {
  return fmt::format("word lines {}–{}, bit lines {}–{}", region.top(), region.bottom(),
                     region.left(), region.right());
}

std::vector<std::uint32_t> devices_in(const ArrayMap& map, const QRect& region) {
  std::vector<std::uint32_t> devices;
  each_place(map, region, [&](std::size_t place) {
    if (map.devices[place] >= 0) devices.push_back(static_cast<std::uint32_t>(map.devices[place]));
  });
  std::sort(devices.begin(), devices.end());
  return devices;
}

PlotContent region_histogram(const ArrayMap& map, const QRect& region, const std::string& source) {
  constexpr int kBins = 64;
  PlotContent plot{.title = "Region",
                   .x = {.title = name_of(map.quantity), .unit = unit_of(map.quantity)},
                   .y = {.title = "devices", .unit = ""},
                   .series = {},
                   .source = source + ", " + region_name(region)};
  const bool whole =
      map.quantity == ArrayQuantity::Verdict || map.quantity == ArrayQuantity::Iterations;
  std::vector<float> values;
  each_place(map, region, [&](std::size_t place) {
    if (!std::isnan(map.values[place])) values.push_back(map.values[place]);
  });
  Series counts{.name = "devices", .mark = Mark::LinePoints, .x = {}, .y = {}};
  if (!values.empty()) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const double low = whole ? static_cast<double>(*least) - 0.5 : static_cast<double>(*least);
    const double high = whole ? static_cast<double>(*most) + 0.5 : static_cast<double>(*most);
    const int bins = whole ? static_cast<int>(std::lround(high - low)) : kBins;
    const double width = std::max((high - low) / bins, 1e-9);
    std::vector<std::int64_t> bin(static_cast<std::size_t>(bins));
    for (const float value : values) {
      const auto place = static_cast<std::ptrdiff_t>((static_cast<double>(value) - low) / width);
      ++bin[static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(place, 0, bins - 1))];
    }
    for (std::size_t i = 0; i < bin.size(); ++i) {
      counts.x.push_back(low + width * (static_cast<double>(i) + 0.5));
      counts.y.push_back(static_cast<double>(bin[i]));
    }
  }
  plot.note = fmt::format("{} of {} places, {}", values.size(), region.width() * region.height(),
                          region_name(region));
  if (!whole) counts.mark = Mark::Line;
  plot.series.push_back(std::move(counts));
  return plot;
}

Result<PlotContent> read_region_drift(db::RunStore& store,
                                      const ArrayChoices::Programming& programming,
                                      const std::vector<std::uint32_t>& devices,
                                      const std::string& name, const std::string& source,
                                      const std::stop_token& stop) {
  PlotContent plot{.title = "Region: reads",
                   .x = {.title = "time after programming", .unit = "", .scale = Scale::Time},
                   .y = {.title = "conductance", .unit = "µS"},
                   .series = {},
                   .note = fmt::format("median, 10–90 % of {} devices", devices.size()),
                   .source = source + ", " + name};
  Series band{.name = "10–90 %", .mark = Mark::Band, .colour = 2, .x = {}, .y = {}};
  Series median{.name = "median", .mark = Mark::LinePoints, .colour = 2, .x = {}, .y = {}};
  for (const ArrayChoices::Sweep& sweep : programming.sweeps) {
    if (stop.stop_requested()) return fail(ErrorCode::Stopped, "reading the sweeps of a region");
    PCM_ASSIGN(const auto g_uS, read_sweep_uS(store, sweep.id));
    std::vector<float> values;
    for (const std::uint32_t device : devices) {
      if (device < g_uS.size()) values.push_back(g_uS[device]);
    }
    if (values.empty()) continue;
    std::sort(values.begin(), values.end());
    const auto at = [&](double share) {
      return static_cast<double>(values[static_cast<std::size_t>(
          std::lround(share * static_cast<double>(values.size() - 1)))]);
    };
    for (Series* series : {&band, &median}) {
      series->x.push_back(sweep.after_s);
      series->y.push_back(at(0.5));
    }
    band.low.push_back(at(0.1));
    band.high.push_back(at(0.9));
  }
  plot.series = {std::move(band), std::move(median)};
  return plot;
}

std::string region_sql(db::RowId programming, const QRect& region) {
  return fmt::format(
      "SELECT sweep_ordinal, after_s, device, layer_name, word_line, bit_line, target_uS, g_uS\n"
      "FROM reading\nWHERE programming_id = {}\n  AND word_line BETWEEN {} AND {}\n"
      "  AND bit_line BETWEEN {} AND {}",
      programming, region.top(), region.bottom(), region.left(), region.right());
}

LineMeans line_means(const ArrayMap& map, const QRectF& view, const QSize& size) {
  const QRect seen = view.toAlignedRect();
  std::vector<Mean> columns(map.shape.bit_lines), rows(map.shape.word_lines);
  each_place(map, seen, [&](std::size_t place) {
    columns[place % map.shape.bit_lines].add(map.values[place]);
    rows[place / map.shape.bit_lines].add(map.values[place]);
  });
  return {by_pixel(columns, view.left(), view.width(), size.width()),
          by_pixel(rows, view.top(), view.height(), size.height())};
}

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
#include "app/gui/array_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "app/gui/colour_map.h"
#include "experiments/retention/measured_conductances.h"

namespace pcmlab::gui {
namespace {

constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();
/// Reset, converged, out of iterations, stuck low, stuck high: grey, blue, yellow, orange, red; the
/// bad ones are the brightest.
constexpr std::array<QRgb, 5> kVerdictColours{0xff8d96a0, 0xff2f6db3, 0xfff2d14b, 0xfff08a24,
                                              0xffd6281f};
constexpr int kLevelsPerVerdict = 50;

Result<std::vector<float>> verified_uS(db::RunStore& store, db::RowId programming) {
  PCM_ASSIGN(const auto result, store.programming_result(programming));
  PCM_ASSIGN(auto statement,
             store.database().prepare("SELECT gain_uS_per_code, offset_uS, verify_samples "
                                      "FROM programming WHERE id = ?"));
  statement.bind(programming);
  PCM_TRY(statement.step());
  auto g_uS = conductances_uS(result.last_code_sums, {statement.real(0), statement.real(1)},
                              static_cast<int>(statement.integer(2)));
  for (std::size_t d = 0; d < g_uS.size(); ++d) {
    if (result.verdicts[d] == db::Verdict::Reset) g_uS[d] = kNothing;
  }
  return g_uS;
}

/// Which layer each place holds, for programmings that hold weights.
Result<void> read_layers(db::RunStore& store, db::RowId programming, const db::Placement& placement,
                         ArrayMap& map) {
  map.layers.assign(map.shape.device_count(), -1);
  if (!placement.first_weight) return {};
  PCM_ASSIGN(const db::RowId step,
             store.database().query_integer("SELECT step_id FROM programming WHERE id = " +
                                            std::to_string(programming)));
  PCM_ASSIGN(const auto layers, store.layers(step));
  for (const db::LayerRow& layer : layers) {
    map.layer_names.push_back(layer.name);
    // Devices 2 * weight and 2 * weight + 1, of the weights from the first on.
    const std::int64_t first = 2 * (layer.first_weight - *placement.first_weight);
    const std::int64_t last = first + 2 * layer.rows * layer.columns;
    const auto devices = static_cast<std::int64_t>(placement.addresses.size());
    for (std::int64_t d = std::max<std::int64_t>(0, first); d < std::min(last, devices); ++d) {
      map.layers[map.shape.linear(placement.addresses[static_cast<std::size_t>(d)])] =
          static_cast<std::int16_t>(map.layer_names.size() - 1);
    }
  }
  return {};
}

/// By device.
Result<std::vector<float>> values_of(db::RunStore& store,
                                     const ArrayChoices::Programming& programming,
                                     ArrayQuantity quantity, std::optional<db::RowId> sweep,
                                     const db::Placement& placement) {
  switch (quantity) {
    case ArrayQuantity::Target:
      return placement.targets_uS;
    case ArrayQuantity::Conductance:
      return sweep ? read_sweep_uS(store, *sweep) : verified_uS(store, programming.id);
    case ArrayQuantity::Error: {
      PCM_ASSIGN(auto g_uS,
                 sweep ? read_sweep_uS(store, *sweep) : verified_uS(store, programming.id));
      for (std::size_t d = 0; d < g_uS.size(); ++d) g_uS[d] -= placement.targets_uS[d];
      return g_uS;
    }
    case ArrayQuantity::Iterations: {
      PCM_ASSIGN(const auto result, store.programming_result(programming.id));
      return std::vector<float>(result.iterations.begin(), result.iterations.end());
    }
    case ArrayQuantity::Verdict: {
      PCM_ASSIGN(const auto result, store.programming_result(programming.id));
      std::vector<float> values;
      values.reserve(result.verdicts.size());
      for (const db::Verdict verdict : result.verdicts) {
        values.push_back(static_cast<float>(static_cast<int>(verdict)));
      }
      return values;
    }
    case ArrayQuantity::DriftExponent: {
      if (!programming.drift_fit) {
        return fail(
            ErrorCode::NotFound, "showing drift exponents: none were fitted",
            "a retention step fits them at its end, from six sweeps over two decades of time");
      }
      PCM_ASSIGN(auto fits, store.drift_of_devices(*programming.drift_fit));
      return std::move(fits.exponents);
    }
  }
  return fail(ErrorCode::Internal, "no such quantity");
}

/// Lines [edge[i], edge[i + 1]) belong to pixel i; at least one each.
std::vector<std::pair<int, int>> lines_of_pixels(double from, double extent, int pixels,
                                                 int lines) {
  std::vector<std::pair<int, int>> out(static_cast<std::size_t>(pixels));
  for (int i = 0; i < pixels; ++i) {
    const double begin = from + extent * i / pixels;
    const double end = from + extent * (i + 1) / pixels;
    int first = static_cast<int>(std::floor(begin));
    int last = std::max(first + 1, static_cast<int>(std::floor(end)));
    if (first < 0 || first >= lines) first = last = 0;  // beside the array
    out[static_cast<std::size_t>(i)] = {first, std::min(last, lines)};
  }
  return out;
}

}  // namespace

const char* name_of(ArrayQuantity quantity) {
  constexpr std::array kNames{"conductance", "error to target", "target",
                              "iterations",  "verdict",         "drift exponent"};
  return kNames.at(static_cast<std::size_t>(quantity));
}

const char* unit_of(ArrayQuantity quantity) {
  const bool conductance = quantity == ArrayQuantity::Conductance ||
                           quantity == ArrayQuantity::Error || quantity == ArrayQuantity::Target;
  return conductance ? "µS" : "";
}

std::string value_text(const ArrayMap& map, float value) {
  if (std::isnan(value)) return "not measured";
  if (map.quantity == ArrayQuantity::Verdict) {
    return std::string(db::to_string(static_cast<db::Verdict>(static_cast<int>(value))));
  }
  if (map.quantity == ArrayQuantity::Iterations) return fmt::format("{:.0f} iterations", value);
  return fmt::format("{:.3f} {}", value, unit_of(map.quantity));
}

Result<std::vector<float>> read_sweep_uS(db::RunStore& store, db::RowId sweep) {
  PCM_ASSIGN(const auto code_sums, store.sweep_code_sums(sweep));
  PCM_ASSIGN(auto statement,
             store.database().prepare(
                 "SELECT gain_uS_per_code, offset_uS, samples FROM sweep WHERE id = ?"));
  statement.bind(sweep);
  PCM_TRY(statement.step());
  return conductances_uS(code_sums, {statement.real(0), statement.real(1)},
                         static_cast<int>(statement.integer(2)));
}

Result<ArrayChoices> read_array_choices(db::RunStore& store, db::RowId run) {
  ArrayChoices choices;
  PCM_ASSIGN(choices.run, store.run(run));
  PCM_ASSIGN(const auto steps, store.steps(run));
  PCM_ASSIGN(const auto programmings, store.programmings(run));
  PCM_ASSIGN(const auto sweeps, store.sweeps(run));
  PCM_ASSIGN(const auto fits, store.drift_fits(run));
  for (const db::ProgrammingRow& row : programmings) {
    if (!row.complete) continue;
    auto& programming = choices.programmings.emplace_back();
    programming.id = row.id;
    for (const db::StepRow& step : steps) {
      if (step.id == row.step) programming.experiment = step.experiment;
    }
    for (const db::SweepRow& sweep : sweeps) {
      if (sweep.programming == row.id && sweep.complete) {
        programming.sweeps.push_back({sweep.id, sweep.after_s, sweep.repeat});
      }
    }
    for (const db::DriftFitRow& fit : fits) {
      if (fit.programming == row.id) programming.drift_fit = fit.id;
    }
  }
  return choices;
}

Result<ArrayMap> read_array(db::RunStore& store, const ArrayChoices::Programming& programming,
                            ArrayQuantity quantity, std::optional<db::RowId> sweep) {
  PCM_ASSIGN(const db::Placement placement, store.placement(programming.id));
  PCM_ASSIGN(const auto values, values_of(store, programming, quantity, sweep, placement));
  ArrayMap map;
  map.quantity = quantity;
  map.shape = placement.shape;
  map.values.assign(map.shape.device_count(), kNothing);
  map.devices.assign(map.shape.device_count(), -1);
  for (std::size_t d = 0; d < std::min(values.size(), placement.addresses.size()); ++d) {
    const std::size_t place = map.shape.linear(placement.addresses[d]);
    map.values[place] = values[d];
    map.devices[place] = static_cast<std::int32_t>(d);
  }
  set_levels(map);
  PCM_TRY(read_layers(store, programming.id, placement, map));
  return map;
}

void set_levels(ArrayMap& map) {
  map.levels.assign(map.values.size(), 0);
  if (map.quantity == ArrayQuantity::Verdict) {
    map.low = 0;
    map.high = 4;
    for (std::size_t i = 0; i < map.values.size(); ++i) {
      if (std::isnan(map.values[i])) continue;
      map.levels[i] =
          static_cast<std::uint8_t>(1 + kLevelsPerVerdict * static_cast<int>(map.values[i]));
    }
    return;
  }
  std::vector<float> known;
  std::copy_if(map.values.begin(), map.values.end(), std::back_inserter(known),
               [](float value) { return !std::isnan(value); });
  if (known.empty()) return;
  const auto at = [&](double share) {
    const auto place =
        known.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(known.size() - 1));
    std::nth_element(known.begin(), place, known.end());
    return static_cast<double>(*place);
  };
  map.low = at(0.005);
  map.high = at(0.995);
  if (map.quantity == ArrayQuantity::Error) {
    map.high = std::max(std::abs(map.low), std::abs(map.high));
    map.low = -map.high;
  }
  if (map.high <= map.low) map.high = map.low + 1;
  const auto low = static_cast<float>(map.low);
  const auto scale = static_cast<float>(254 / (map.high - map.low));
  for (std::size_t i = 0; i < map.values.size(); ++i) {
    if (std::isnan(map.values[i])) continue;
    map.levels[i] =
        static_cast<std::uint8_t>(1.5F + std::clamp((map.values[i] - low) * scale, 0.0F, 254.0F));
  }
}

QRgb array_colour(ArrayQuantity quantity, int level) {
  if (quantity == ArrayQuantity::Verdict) {
    const auto verdict = static_cast<std::size_t>((level - 1) / kLevelsPerVerdict);
    return kVerdictColours.at(std::min(verdict, kVerdictColours.size() - 1));
  }
  const ColourMap& map = quantity == ArrayQuantity::Error ? diverging_map() : sequential_map();
  return map.at(static_cast<std::size_t>(std::clamp(level, 1, 255)));
}

QImage draw_array(const ArrayMap& map, const QRectF& view, const QSize& size, QRgb ground) {
  QImage image(size, QImage::Format_RGB32);
  std::array<QRgb, 256> colours{};
  colours[0] = ground;
  for (int level = 1; level < 256; ++level) {
    colours.at(static_cast<std::size_t>(level)) = array_colour(map.quantity, level);
  }
  const auto columns =
      lines_of_pixels(view.left(), view.width(), size.width(), map.shape.bit_lines);
  const auto rows = lines_of_pixels(view.top(), view.height(), size.height(), map.shape.word_lines);
  const bool worst = map.quantity == ArrayQuantity::Verdict;
  const auto stride = static_cast<std::size_t>(map.shape.bit_lines);
  for (int y = 0; y < size.height(); ++y) {
    auto* line = reinterpret_cast<QRgb*>(image.scanLine(y));
    const auto [first_row, last_row] = rows[static_cast<std::size_t>(y)];
    for (std::size_t x = 0; x < columns.size(); ++x) {
      const auto [first, last] = columns[x];
      unsigned sum = 0, count = 0, highest = 0;
      for (int row = first_row; row < last_row; ++row) {
        const std::uint8_t* levels = map.levels.data() + static_cast<std::size_t>(row) * stride;
        for (int column = first; column < last; ++column) {
          const unsigned level = levels[column];
          sum += level;
          count += level != 0;
          highest = std::max(highest, level);
        }
      }
      line[x] = colours[count == 0 ? 0 : worst ? highest : sum / count];
    }
  }
  return image;
}

QImage draw_layer_edges(const ArrayMap& map, const QRectF& view, const QSize& size, QRgb line) {
  QImage image(size, QImage::Format_ARGB32);
  image.fill(Qt::transparent);
  if (map.layers.size() != map.values.size()) return image;
  const auto columns =
      lines_of_pixels(view.left(), view.width(), size.width(), map.shape.bit_lines);
  const auto rows = lines_of_pixels(view.top(), view.height(), size.height(), map.shape.word_lines);
  const auto stride = static_cast<std::size_t>(map.shape.bit_lines);
  // The layer at a pixel; places without one belong to what is around them.
  const auto layer_at = [&](std::size_t x, std::size_t y) -> int {
    const auto [row, row_end] = rows[y];
    const auto [column, column_end] = columns[x];
    if (row == row_end || column == column_end) return -1;
    return map.layers[static_cast<std::size_t>(row) * stride + static_cast<std::size_t>(column)];
  };
  const auto width = static_cast<std::size_t>(size.width());
  std::vector<int> above(width, -1);
  for (std::size_t y = 0; y < rows.size(); ++y) {
    auto* pixels = reinterpret_cast<QRgb*>(image.scanLine(static_cast<int>(y)));
    int left = -1;
    for (std::size_t x = 0; x < width; ++x) {
      const int here = layer_at(x, y);
      if (here < 0) continue;
      if ((left >= 0 && left != here) || (above[x] >= 0 && above[x] != here)) pixels[x] = line;
      left = above[x] = here;
    }
  }
  return image;
}

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/conductance_mapping.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pcmlab {
namespace {

/// Below this a weight is taken for zero: G_max over it is no float.
constexpr double kSmallestWeight = 1e-30;

std::size_t first_device(const db::LayerRow& layer) {
  return static_cast<std::size_t>(2 * layer.first_weight);
}
std::size_t weight_count(const db::LayerRow& layer) {
  return static_cast<std::size_t>(layer.rows * layer.columns);
}

/// Calls use(max|W|, first weight, behind last weight) for each part of a layer with one scale.
template <class Use>
void for_each_scale(const db::LayerRow& layer, const Use& use) {
  const auto first = static_cast<std::size_t>(layer.first_weight);
  if (layer.row_max_abs_weights.empty()) {
    return use(layer.max_abs_weight, first, first + weight_count(layer));
  }
  const auto columns = static_cast<std::size_t>(layer.columns);
  for (std::size_t row = 0; row < layer.row_max_abs_weights.size(); ++row) {
    use(static_cast<double>(layer.row_max_abs_weights[row]), first + row * columns,
        first + (row + 1) * columns);
  }
}

double max_abs(std::span<const float> values) {
  double largest = 0;
  for (const float value : values) {
    largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  return largest;
}

/// Where weights are clipped.
double clip_of(std::span<const float> values, double clip_sigma) {
  if (clip_sigma <= 0) return std::numeric_limits<double>::infinity();
  const auto n = static_cast<double>(values.size());
  double mean = 0, variance = 0;
  for (const float value : values) mean += static_cast<double>(value) / n;
  for (const float value : values) {
    variance += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean) / n;
  }
  // Without a spread there is no outlier.
  return variance > 0 ? clip_sigma * std::sqrt(variance) : std::numeric_limits<double>::infinity();
}

}  // namespace

ConductanceMapping::ConductanceMapping(const WeightSet& weights, const MappingSettings& settings) {
  for (const AnalogLayer& layer : weights.layers) {
    db::LayerRow row;
    row.ordinal = static_cast<int>(layers_.size());
    row.name = layer.name;
    row.rows = layer.rows;
    row.columns = layer.columns;
    row.first_weight = layer.first_weight;
    row.g_max_uS = settings.g_max.uS();
    const auto columns = static_cast<std::size_t>(layer.columns);
    const auto values = std::span(weights.values)
                            .subspan(static_cast<std::size_t>(layer.first_weight),
                                     static_cast<std::size_t>(layer.rows) * columns);
    const double clip = clip_of(values, settings.clip_sigma);
    row.max_abs_weight = std::min(clip, max_abs(values));
    for (std::size_t first = 0; settings.scaling == Scaling::Row && first < values.size();
         first += columns) {
      row.row_max_abs_weights.push_back(
          static_cast<float>(std::min(clip, max_abs(values.subspan(first, columns)))));
    }
    layers_.push_back(std::move(row));
  }
}

std::vector<float> ConductanceMapping::targets_uS(const WeightSet& weights, std::size_t begin,
                                                  std::size_t count) const {
  std::vector<float> targets(2 * count, 0.0f);
  for (const db::LayerRow& layer : layers_) {
    for_each_scale(layer, [&](double largest, std::size_t first, std::size_t last) {
      if (largest < kSmallestWeight) return;
      const auto scale = static_cast<float>(layer.g_max_uS / largest);
      const auto most = static_cast<float>(largest);
      const std::size_t end = std::min(last, begin + count);
      for (std::size_t w = std::max(first, begin); w < end; ++w) {
        const float weight = weights.values[w];
        targets[2 * (w - begin) + (weight < 0 ? 1 : 0)] = std::min(std::abs(weight), most) * scale;
      }
    });
  }
  return targets;
}

std::vector<float> ConductanceMapping::weights(std::span<const float> g_uS) const {
  std::vector<float> values(g_uS.size() / 2);
  for (const db::LayerRow& layer : layers_) {
    for_each_scale(layer, [&](double largest, std::size_t begin, std::size_t end) {
      const auto scale = static_cast<float>(largest / layer.g_max_uS);
      for (std::size_t w = begin; w < end; ++w) {
        values[w] = (g_uS[2 * w] - g_uS[2 * w + 1]) * scale;
      }
    });
  }
  return values;
}

std::vector<double> ConductanceMapping::layer_sums_uS(std::span<const float> g_uS) const {
  std::vector<double> sums;
  sums.reserve(layers_.size());
  for (const db::LayerRow& layer : layers_) {
    double sum = 0;
    for (const float g : g_uS.subspan(first_device(layer), 2 * weight_count(layer))) {
      sum += static_cast<double>(g);
    }
    sums.push_back(sum);
  }
  return sums;
}

}  // namespace pcmlab

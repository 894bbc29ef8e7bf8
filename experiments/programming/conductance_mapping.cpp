// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/conductance_mapping.h"

#include <algorithm>
#include <cmath>

namespace pcmlab {
namespace {

std::size_t first_device(const db::LayerRow& layer) {
  return static_cast<std::size_t>(2 * layer.first_weight);
}
std::size_t weight_count(const db::LayerRow& layer) {
  return static_cast<std::size_t>(layer.rows * layer.columns);
}

}  // namespace

ConductanceMapping::ConductanceMapping(const WeightSet& weights, Conductance g_max) {
  for (const AnalogLayer& layer : weights.layers) {
    db::LayerRow row;
    row.ordinal = static_cast<int>(layers_.size());
    row.name = layer.name;
    row.rows = layer.rows;
    row.columns = layer.columns;
    row.first_weight = layer.first_weight;
    row.g_max_uS = g_max.uS();
    const auto values = std::span(weights.values)
                            .subspan(static_cast<std::size_t>(layer.first_weight),
                                     static_cast<std::size_t>(layer.rows * layer.columns));
    for (const float value : values) {
      row.max_abs_weight = std::max(row.max_abs_weight, std::abs(static_cast<double>(value)));
    }
    layers_.push_back(std::move(row));
  }
}

std::vector<float> ConductanceMapping::targets_uS(const WeightSet& weights, std::size_t begin,
                                                  std::size_t count) const {
  std::vector<float> targets(2 * count, 0.0f);
  for (const db::LayerRow& layer : layers_) {
    if (layer.max_abs_weight == 0) continue;  // all weights zero: every device RESET
    const auto scale = static_cast<float>(layer.g_max_uS / layer.max_abs_weight);
    const auto first = static_cast<std::size_t>(layer.first_weight);
    const std::size_t end = std::min(first + weight_count(layer), begin + count);
    for (std::size_t w = std::max(first, begin); w < end; ++w) {
      const float weight = weights.values[w];
      targets[2 * (w - begin) + (weight < 0 ? 1 : 0)] = std::abs(weight) * scale;
    }
  }
  return targets;
}

std::vector<float> ConductanceMapping::weights(std::span<const float> g_uS) const {
  std::vector<float> values(g_uS.size() / 2);
  for (const db::LayerRow& layer : layers_) {
    const auto scale = static_cast<float>(layer.max_abs_weight / layer.g_max_uS);
    const auto first = static_cast<std::size_t>(layer.first_weight);
    for (std::size_t w = first; w < first + weight_count(layer); ++w) {
      values[w] = (g_uS[2 * w] - g_uS[2 * w + 1]) * scale;
    }
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

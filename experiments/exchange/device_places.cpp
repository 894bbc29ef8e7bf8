// SPDX-License-Identifier: Apache-2.0
#include "experiments/exchange/device_places.h"

#include <algorithm>

#include "experiments/programming/conductance_mapping.h"

namespace pcmlab {

Place Places::next() {
  while (weight_ >= layers_[layer_].first_weight + layers_[layer_].rows * layers_[layer_].columns) {
    ++layer_;
  }
  const db::LayerRow& layer = layers_[layer_];
  const std::int64_t within = weight_ - layer.first_weight;
  const Place place{layer_, weight_, within / layer.columns, within % layer.columns,
                    minus_ ? -1 : 1};
  if (minus_) ++weight_;
  minus_ = !minus_;
  return place;
}

std::vector<float> weights_per_uS(const std::vector<db::LayerRow>& layers) {
  std::size_t count = 0;
  for (const db::LayerRow& layer : layers) {
    count =
        std::max(count, static_cast<std::size_t>(layer.first_weight + layer.rows * layer.columns));
  }
  std::vector<float> ones(2 * count, 0.0f);
  for (std::size_t w = 0; w < count; ++w) ones[2 * w] = 1;
  return ConductanceMapping(layers).weights(ones);
}

std::vector<float> row_max_abs_weights(const std::vector<db::LayerRow>& layers) {
  std::vector<float> scales;
  for (const db::LayerRow& layer : layers) {
    if (layer.row_max_abs_weights.empty()) {
      scales.insert(scales.end(), static_cast<std::size_t>(layer.rows),
                    static_cast<float>(layer.max_abs_weight));
    }
    scales.insert(scales.end(), layer.row_max_abs_weights.begin(), layer.row_max_abs_weights.end());
  }
  return scales;
}

}  // namespace pcmlab

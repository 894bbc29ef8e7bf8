// SPDX-License-Identifier: Apache-2.0
/// \file
/// Weights as conductances of differential pairs, and back. Plain values.
#pragma once

#include <span>
#include <vector>

#include "db/records.h"
#include "experiments/network/network.h"
#include "protocol/quantities.h"

namespace pcmlab {

enum class Scaling {
  Layer,  ///< max|W| of the layer (Joshi 2020)
  Row     ///< max|W| of each output's row (the fusion format of aihwkit)
};

struct MappingSettings {
  Conductance g_max;
  Scaling scaling = Scaling::Layer;
  /// Weights are clipped to so many standard deviations of their layer, biases included; 0 = not.
  double clip_sigma = 0;
};

/// G = |W| * G_max / max|W| on the device of the weight's sign, RESET on the other. Devices of
/// weight w: 2 w (plus) and 2 w + 1 (minus). Where max|W| is zero all devices are RESET.
class ConductanceMapping {
 public:
  ConductanceMapping(const WeightSet& weights, const MappingSettings& settings);
  /// One scale a layer, nothing clipped.
  ConductanceMapping(const WeightSet& weights, Conductance g_max)
      : ConductanceMapping(weights, MappingSettings{g_max}) {}
  /// From what a run has stored.
  explicit ConductanceMapping(std::vector<db::LayerRow> layers) : layers_(std::move(layers)) {}

  /// Targets of the devices of weights [first, first + count), uS; 0 = RESET, at
  /// most G_max: what is clipped. Length 2 * count.
  std::vector<float> targets_uS(const WeightSet& weights, std::size_t first,
                                std::size_t count) const;
  /// Of all weights.
  std::vector<float> targets_uS(const WeightSet& weights) const {
    return targets_uS(weights, 0, weights.values.size());
  }

  /// Weights from conductances, (G+ - G-) * max|W| / G_max. \param g_uS by device.
  std::vector<float> weights(std::span<const float> g_uS) const;

  /// Sum of all conductances of each layer, G+ + G-, uS.
  std::vector<double> layer_sums_uS(std::span<const float> g_uS) const;

  const std::vector<db::LayerRow>& layers() const { return layers_; }

 private:
  std::vector<db::LayerRow> layers_;
};

}  // namespace pcmlab

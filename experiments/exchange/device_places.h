// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the devices of an exported run are for, one after another. Used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "db/records.h"

namespace pcmlab {

/// What a device is for.
struct Place {
  std::size_t layer = 0;
  std::int64_t weight = 0;  ///< among all weights of the network
  std::int64_t row = 0, column = 0;
  int polarity = 1;  ///< +1, -1
};

/// Walks through the devices in their order.
class Places {
 public:
  /// \param layers  outlive this.
  explicit Places(const std::vector<db::LayerRow>& layers) : layers_(layers) {}

  /// Of the next device. \pre the layers own all weights of the placement.
  Place next();

 private:
  const std::vector<db::LayerRow>& layers_;
  std::int64_t weight_ = 0;
  std::size_t layer_ = 0;
  bool minus_ = false;
};

/// What one uS of each weight's pair is worth: W = (G+ - G-) * factor, however it was scaled.
std::vector<float> weights_per_uS(const std::vector<db::LayerRow>& layers);

/// The largest |W| of each row, layer after layer: what the layer's g_max_uS stands for.
std::vector<float> row_max_abs_weights(const std::vector<db::LayerRow>& layers);

}  // namespace pcmlab

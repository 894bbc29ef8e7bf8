// SPDX-License-Identifier: Apache-2.0
/// \file
/// One factor a layer that undoes the drift all its devices share (GDC, Joshi 2020), and what is
/// left of it in the sum of each output's weights. Pure values.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "db/records.h"
#include "protocol/device_address.h"

namespace pcmlab {

/// alpha_l = sum of the layer's conductances now / at the reference; a layer's output is divided by
/// its alpha. 1 for a layer whose reference is 0.
/// \param now_uS, reference_uS  sums over devices of each layer, G+ + G-.
std::vector<float> drift_factors(std::span<const double> now_uS,
                                 std::span<const double> reference_uS);

/// The devices of each layer that GDC sums: all of them, or those on every so many-th pair of bit
/// lines (0 and 1, 2 and 3, ...: where the two devices of a weight stand). A layer that has no
/// device there gives all of its devices.
class GdcDevices {
 public:
  /// \param addresses  by device.  \param every_pair  at least 1; 1 = all devices.
  GdcDevices(std::span<const db::LayerRow> layers, std::span<const DeviceAddress> addresses,
             int every_pair);

  /// By layer. \param g_uS  of all devices.
  std::vector<double> sums_uS(std::span<const float> g_uS) const;
  std::vector<std::int64_t> counts() const;

 private:
  std::vector<std::vector<std::uint32_t>> devices_;  ///< by layer
};

/// Measured weights with a constant taken from each output's (a bias among them), so that under GDC
/// their mean is as wanted: w - alpha d, d = mean of (w / alpha - wanted) over an output. What has
/// to be known for it is the sum of an output's weights. In a crossbar whose pairs of bit lines are
/// outputs it is their current while all word lines have the same voltage; here it is the sum of
/// the reading that the weights come from, always of all devices. d times the sum of the inputs
/// then goes from the output in digital form.
///
/// \param measured,wanted  by weight.
/// \param factors  alpha, by layer.
std::vector<float> without_offsets(std::span<const float> measured, std::span<const float> wanted,
                                   std::span<const db::LayerRow> layers,
                                   std::span<const float> factors);

/// How far a layer's weights are from what they should be.
struct WeightError {
  double of_max = 0;  ///< rms error / largest magnitude of a wanted weight
  double of_rms = 0;  ///< rms error / rms of the wanted weights
};
/// \param divisor  of the measured ones: the layer's GDC factor, or 1.
WeightError weight_error(std::span<const float> measured, std::span<const float> wanted,
                         double divisor);

}  // namespace pcmlab

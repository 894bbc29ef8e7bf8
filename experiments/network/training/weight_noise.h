// SPDX-License-Identifier: Apache-2.0
/// \file
/// What becomes of weights between the network and the chip, drawn anew for each pass. Immutable,
/// may be shared between threads.
#pragma once

#include <span>

#include "experiments/network/training/noise_model.h"
#include "experiments/network/training/trainable.h"

namespace pcmlab::training {

/// Gaussian noise, or that of a measured model, or none.
struct WeightNoise {
  /// Standard deviation over the largest |weight| of the layer: eta of V. Joshi et al. 2020.
  double eta = 0;
  /// If there is one, it is used instead of eta.
  std::optional<NoiseModel> model;

  bool any() const { return eta > 0 || model.has_value(); }

  /// Copies `clean` to `noisy` (both of value_count() numbers), with noise on the weights and
  /// biases of the analog layers.
  void apply(const Trainable& trainable, std::span<const float> clean, std::span<float> noisy,
             Random& random) const;
};

/// Limits the weights and biases of each analog layer to +- `deviations` times the layer's
/// standard deviation.
void clip_weights(const Trainable& trainable, std::span<float> values, double deviations);

}  // namespace pcmlab::training

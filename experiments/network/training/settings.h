// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a training is told. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/engine/parameter.h"

namespace pcmlab::training {

/// All settings with default, range and help; the command line and checkpoints are made of it.
std::vector<Parameter> training_parameters();

struct TrainingSettings {
  std::int64_t epochs = 12;
  std::size_t batch = 128;
  double learning_rate = 0.1;
  double warm_up_epochs = 1;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  double label_smoothing = 0;
  int crop_pixels = 2;
  bool flip = true;
  double noise = 0;                   ///< eta: deviation over max|w| of the layer
  std::int64_t noise_from_epoch = 1;  ///< of noise and clipping; the first epoch is 1
  /// First epoch in which batch norms normalise with fixed statistics, as they do on the chip:
  /// those of the batch take the shifts away that noise makes. 0 = none.
  std::int64_t fixed_statistics_from_epoch = 0;
  double clip_deviations = 0;  ///< 0 = no clipping
  std::uint64_t seed = 1;
};

TrainingSettings settings_of(const ParameterValues& values);

/// `[training]` with every setting, to be read by settings_from_toml().
std::string settings_as_toml(const ParameterValues& values);
/// Errors: BadPlan (a key that is not known or out of range).
Result<ParameterValues> settings_from_toml(const std::string& text, const std::string& source);

}  // namespace pcmlab::training

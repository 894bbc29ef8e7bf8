// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/optimizer.h"

#include <cmath>
#include <numbers>

namespace pcmlab::training {

double learning_rate_at(std::int64_t step, std::int64_t warm_up_steps, std::int64_t steps,
                        double highest) {
  if (step < warm_up_steps) {
    return highest * static_cast<double>(step + 1) / static_cast<double>(warm_up_steps);
  }
  const double part =
      static_cast<double>(step - warm_up_steps) / static_cast<double>(steps - warm_up_steps);
  return 0.5 * highest * (1 + std::cos(std::numbers::pi * part));
}

bool descend(const Trainable& trainable, const OptimizerSettings& settings, double learning_rate,
             std::span<const float> gradients, std::span<float> momentum, std::span<float> values) {
  const auto keep = static_cast<float>(settings.momentum);
  const auto rate = static_cast<float>(learning_rate);
  float sum = 0;  // not finite if one of them is not
  const auto move = [&](std::size_t i, float decay) {
    const float gradient = gradients[i] + decay * values[i];
    momentum[i] = keep * momentum[i] + gradient;
    values[i] -= rate * (gradient + keep * momentum[i]);
    sum += 0 * values[i];
  };
  const auto decay = static_cast<float>(settings.weight_decay);
  for (const Trainable::Layer& layer : trainable.layers()) {
    auto i = static_cast<std::size_t>(layer.first_weight);
    for (std::int64_t row = 0; row < layer.rows; ++row) {
      const std::int64_t weights = layer.columns - (layer.biased ? 1 : 0);
      for (std::int64_t column = 0; column < weights; ++column) move(i++, decay);
      if (layer.biased) move(i++, 0);
    }
  }
  for (std::size_t i = trainable.analog_count(); i < trainable.value_count(); ++i) move(i, 0);
  return std::isfinite(sum);
}

}  // namespace pcmlab::training

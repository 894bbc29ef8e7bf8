// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/weight_noise.h"

#include <algorithm>
#include <cmath>

namespace pcmlab::training {

void WeightNoise::apply(const Trainable& trainable, std::span<const float> clean,
                        std::span<float> noisy, Random& random) const {
  std::copy(clean.begin(), clean.end(), noisy.begin());
  for (const Trainable::Layer& layer : trainable.layers()) {
    const std::span<float> weights = weights_in(noisy, layer);
    if (model) {
      model->apply(weights, random);
    } else if (eta > 0) {
      const float deviation = static_cast<float>(eta) * largest_magnitude(weights);
      for (float& weight : weights) weight += deviation * random.normal();
    }
  }
}

void clip_weights(const Trainable& trainable, std::span<float> values, double deviations) {
  for (const Trainable::Layer& layer : trainable.layers()) {
    const std::span<float> weights = weights_in(values, layer);
    double sum = 0;
    double squares = 0;
    for (const float weight : weights) {
      sum += weight;
      squares += static_cast<double>(weight) * weight;
    }
    const auto count = static_cast<double>(weights.size());
    const double variance = squares / count - sum / count * (sum / count);
    const auto limit = static_cast<float>(deviations * std::sqrt(std::max(variance, 0.0)));
    for (float& weight : weights) weight = std::clamp(weight, -limit, limit);
  }
}

}  // namespace pcmlab::training

// SPDX-License-Identifier: Apache-2.0
#include "tests/experiments/network/training/linear_engine.h"

#include <algorithm>
#include <cmath>

#include "experiments/network/training/trainable.h"

namespace pcmlab::training::test {
namespace {

constexpr int kClasses = 4;
constexpr std::size_t kPixels = 48;
constexpr std::size_t kColumns = kPixels + 1;

/// Batches are [row][column][channel], weights [channel][row][column].
std::size_t weight_of(std::size_t pixel) { return pixel % 3 * 16 + pixel / 3; }

std::vector<double> logits_of(const float* pixels, std::span<const float> values) {
  std::vector<double> logits(kClasses);
  for (std::size_t c = 0; c < kClasses; ++c) {
    logits[c] = values[c * kColumns + kPixels];
    for (std::size_t i = 0; i < kPixels; ++i) {
      logits[c] += static_cast<double>(pixels[i]) * values[c * kColumns + weight_of(i)];
    }
  }
  return logits;
}

}  // namespace

Result<GradientEngine::Step> LinearEngine::step(const Batch& batch, double label_smoothing,
                                                Statistics normalised_with,
                                                std::span<const float> values,
                                                std::span<float> /*statistics*/,
                                                std::span<float> gradients) {
  std::fill(gradients.begin(), gradients.end(), 0.0f);
  Step result;
  for (std::size_t n = 0; n < batch.count; ++n) {
    const float* const pixels = batch.pixels.data() + n * kPixels;
    const std::vector<double> logits = logits_of(pixels, values);
    const auto label = static_cast<std::size_t>(batch.labels[n]);
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit);
    for (std::size_t c = 0; c < kClasses; ++c) {
      const double wanted = label_smoothing / kClasses + (c == label ? 1 - label_smoothing : 0.0);
      const double slope = (std::exp(logits[c]) / sum - wanted) / static_cast<double>(batch.count);
      result.loss -= wanted * (logits[c] - std::log(sum)) / static_cast<double>(batch.count);
      for (std::size_t i = 0; i < kPixels; ++i) {
        gradients[c * kColumns + weight_of(i)] += static_cast<float>(slope * pixels[i]);
      }
      gradients[c * kColumns + kPixels] += static_cast<float>(slope);
    }
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    result.correct += best == batch.labels[n] ? 1 : 0;
  }
  if (normalised_with == Statistics::Fixed) ++fixed_steps;
  if (steps++ >= diverges_at) result.loss = std::numeric_limits<double>::quiet_NaN();
  return result;
}

Result<std::vector<float>> LinearEngine::measure_statistics(const Batch& /*batch*/,
                                                            std::span<const float> /*values*/,
                                                            std::span<const float> /*statistics*/) {
  ++measurements;
  return std::vector<float>();
}

Result<std::vector<float>> LinearEngine::logits(const Batch& batch, std::span<const float> values,
                                                std::span<const float> /*statistics*/) {
  std::vector<float> all;
  for (std::size_t n = 0; n < batch.count; ++n) {
    for (const double logit : logits_of(batch.pixels.data() + n * kPixels, values)) {
      all.push_back(static_cast<float>(logit));
    }
  }
  return all;
}

Dataset easy_images(std::size_t count, unsigned seed) {
  Dataset set;
  set.name = "easy";
  set.description = "easy images";
  set.channels = 3;
  set.height = set.width = 4;
  set.classes = kClasses;
  set.normalisation = {{0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}};
  std::vector<std::uint8_t> bytes;
  Random random(seed, Purpose::Weights, 1);
  for (std::size_t n = 0; n < count; ++n) {
    const auto label = static_cast<std::uint8_t>(random.below(kClasses));
    set.labels.push_back(label);
    for (std::size_t i = 0; i < kPixels; ++i) {
      const double bright = label == i / 16 || label == 3 ? 150 : 110;
      bytes.push_back(
          static_cast<std::uint8_t>(std::lround(bright + 50 * (random.uniform() - 0.5))));
    }
  }
  set.source = images_in_memory(std::move(bytes), kPixels);
  return set;
}

SmallTraining::SmallTraining(std::filesystem::path where)
    : folder(std::move(where)),
      images(easy_images(100, 1), {.crop_pixels = 1, .flip = false}),
      test(easy_images(200, 2)) {
  settings.epochs = 4;
  settings.batch = 16;
  settings.noise_from_epoch = 2;
  settings.clip_deviations = 2;
  noise.eta = 0.05;
}

Checkpoint SmallTraining::fresh() const {
  Checkpoint state;
  Network linear;
  linear.name = "linear";
  linear.shapes = {{3, 4, 4}, {kClasses, 1, 1}};
  DenseNode dense;
  dense.out_features = kClasses;
  dense.in_features = static_cast<int>(kPixels);
  dense.weights.assign(kClasses * kPixels, 0.0f);
  Random random(7, Purpose::Weights, 0);
  for (float& weight : dense.weights) weight = 0.1f * random.normal();
  dense.bias.assign(kClasses, 0.0f);
  linear.nodes = {{"dense", dense, {0}, 1}};
  linear.output = 1;
  state.network = linear;
  state.momentum.assign(Trainable(linear).value_count(), 0.0f);
  return state;
}

Result<void> SmallTraining::run(Checkpoint& state, const std::stop_token& stop) {
  return train({settings, noise, images, test, engine, folder}, state, observer, stop);
}

}  // namespace pcmlab::training::test

// SPDX-License-Identifier: Apache-2.0
/// \file
/// A training without libtorch: derivatives of one dense layer with softmax, written out, and a
/// small training on top of it.
#pragma once

#include <filesystem>
#include <limits>
#include <stop_token>

#include "experiments/network/training/training.h"

namespace pcmlab::training::test {

/// For networks of one biased dense layer.
class LinearEngine : public GradientEngine {
 public:
  /// From that step on (the first is 0) the loss is NaN.
  std::int64_t diverges_at = std::numeric_limits<std::int64_t>::max();
  std::int64_t steps = 0;         ///< asked for so far
  std::int64_t fixed_steps = 0;   ///< of them, with fixed statistics
  std::int64_t measurements = 0;  ///< of statistics

  Result<Step> step(const Batch& batch, double label_smoothing, Statistics normalised_with,
                    std::span<const float> values, std::span<float> statistics,
                    std::span<float> gradients) override;
  /// It has no batch norms.
  Result<std::vector<float>> measure_statistics(const Batch& batch, std::span<const float> values,
                                                std::span<const float> statistics) override;
  Result<std::vector<float>> logits(const Batch& batch, std::span<const float> values,
                                    std::span<const float> statistics) override;
};

/// 3x4x4 images of four classes that a linear network can tell apart: one channel is bright, or
/// all.
Dataset easy_images(std::size_t count, unsigned seed);

/// A training of a linear network on easy images, with noise and clipping from epoch 2 on.
struct SmallTraining {
  explicit SmallTraining(std::filesystem::path where);

  Result<void> run(Checkpoint& state, const std::stop_token& stop = {});
  Checkpoint fresh() const;

  std::filesystem::path folder;
  TrainingSettings settings;
  WeightNoise noise;
  TrainingImages images;
  Dataset test;
  LinearEngine engine;
  TrainingObserver observer;
};

}  // namespace pcmlab::training::test

// SPDX-License-Identifier: Apache-2.0
/// \file
/// What training asks of the library that differentiates. Implemented by torch_gradients.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "experiments/network/inference.h"
#include "experiments/network/network.h"
#include "experiments/network/training/images.h"

namespace pcmlab::training {

/// Loss and gradients of one network; holds no numbers of it between calls. One thread at a time.
class GradientEngine {
 public:
  GradientEngine() = default;
  GradientEngine(const GradientEngine&) = delete;
  GradientEngine& operator=(const GradientEngine&) = delete;
  virtual ~GradientEngine() = default;

  struct Step {
    double loss = 0;  ///< mean cross entropy of the batch
    std::int64_t correct = 0;
  };

  /// What batch norms normalise with in a step.
  enum class Statistics {
    OfBatch,  ///< as usual; `statistics` move a tenth of the way to those of the batch
    Fixed,    ///< `statistics`, as in inference; they stay as they are
  };

  /// One pass forward and back. \param values  of a Trainable. \param statistics  variance divided
  /// by n - 1. \param gradients  of the loss by each value.
  virtual Result<Step> step(const Batch& batch, double label_smoothing, Statistics normalised_with,
                            std::span<const float> values, std::span<float> statistics,
                            std::span<float> gradients) = 0;

  /// Mean and variance (divided by n - 1) of what each batch norm gets while all normalise with
  /// `statistics`, laid out as these; in float32.
  virtual Result<std::vector<float>> measure_statistics(const Batch& batch,
                                                        std::span<const float> values,
                                                        std::span<const float> statistics) = 0;

  /// Logits with given statistics, in float32: [image][class].
  virtual Result<std::vector<float>> logits(const Batch& batch, std::span<const float> values,
                                            std::span<const float> statistics) = 0;
};

}  // namespace pcmlab::training

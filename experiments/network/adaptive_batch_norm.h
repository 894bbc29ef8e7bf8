// SPDX-License-Identifier: Apache-2.0
/// \file
/// Adaptive batch-norm statistics (AdaBS, Joshi 2020): the statistics of all batch norms follow
/// weights that have drifted; weights, gamma and beta stay as they are. Free functions; they use
/// the engine's threads.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "experiments/network/inference.h"
#include "experiments/network/network.h"

namespace pcmlab {

struct AdaptiveBatchNorm {
  int batches = 13;        ///< m
  int batch_images = 200;  ///< n
  /// p; 0 = 0.016^(1/m), so that 1.6 % of the old statistics are left in the end.
  double momentum = 0;

  double used_momentum() const;
};

/// One mini-batch: mean <- p mean + (1 - p) mean_B, and the variance likewise.
void adapt_statistics(std::span<BatchNormStatistics> statistics,
                      std::span<const BatchNormStatistics> of_batch, double momentum);

/// For mini-batch after mini-batch of `images` (the first is [0, n)): its own statistics with the
/// engine's weights and divisors, mixed into the engine's statistics, which are the new ones
/// afterwards. \param check  is asked between mini-batches whether to go on.
/// \return the mean over the mini-batches of what was measured, by batch norm.
/// Errors: those of measure_batch_norms() and of `check`; Internal (fewer images than m n).
Result<std::vector<BatchNormStatistics>> adapt_batch_norms(
    InferenceEngine& engine, const Dataset& images, const AdaptiveBatchNorm& settings,
    const std::function<Result<void>()>& check);

/// Without any there is nothing to adapt.
bool has_batch_norms(const Network& network);

/// By analog layer: the batch norm that alone reads its output, as an index into
/// InferenceEngine::batch_norms(), or -1. AdaBS undoes the drift of those that have one.
std::vector<int> norms_behind(const Network& network);

/// Whether the output of an analog layer is the network's: a factor on all of it then changes no
/// image's class.
bool makes_the_logits(const Network& network, const AnalogLayer& layer);

/// How far the values in front of a batch norm have moved from what it was trained on.
struct ActivationShift {
  double mean = 0;            ///< rms over channels of (mean - trained mean) / trained deviation
  double variance_ratio = 1;  ///< mean over channels of variance / trained variance
};
ActivationShift activation_shift(const BatchNormStatistics& now,
                                 const BatchNormStatistics& trained);

}  // namespace pcmlab

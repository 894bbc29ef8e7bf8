// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/adaptive_batch_norm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pcmlab {
namespace {

constexpr double kOldLeft = 0.016;

void mix(std::vector<float>& old, const std::vector<float>& now, double share_of_old) {
  for (std::size_t c = 0; c < old.size(); ++c) {
    old[c] = static_cast<float>(share_of_old * static_cast<double>(old[c]) +
                                (1 - share_of_old) * static_cast<double>(now[c]));
  }
}

}  // namespace

double AdaptiveBatchNorm::used_momentum() const {
  return momentum > 0 ? momentum : std::pow(kOldLeft, 1.0 / batches);
}

void adapt_statistics(std::span<BatchNormStatistics> statistics,
                      std::span<const BatchNormStatistics> of_batch, double momentum) {
  for (std::size_t norm = 0; norm < statistics.size(); ++norm) {
    mix(statistics[norm].mean, of_batch[norm].mean, momentum);
    mix(statistics[norm].variance, of_batch[norm].variance, momentum);
  }
}

Result<std::vector<BatchNormStatistics>> adapt_batch_norms(
    InferenceEngine& engine, const Dataset& images, const AdaptiveBatchNorm& settings,
    const std::function<Result<void>()>& check) {
  const auto batches = static_cast<std::size_t>(settings.batches);
  const auto each = static_cast<std::size_t>(settings.batch_images);
  if (images.count() < batches * each) {
    return fail(ErrorCode::Internal,
                fmt::format("{} mini-batches of {} images from {}", batches, each, images.count()));
  }
  std::vector<BatchNormStatistics> statistics = engine.batch_norms();
  std::vector<BatchNormStatistics> mean;
  for (std::size_t batch = 0; batch < batches; ++batch) {
    PCM_TRY(check());
    PCM_ASSIGN(const auto measured, engine.measure_batch_norms(images, batch * each, each));
    adapt_statistics(statistics, measured, settings.used_momentum());
    if (batch == 0) {
      mean = measured;
    } else {
      const auto before = static_cast<double>(batch);
      adapt_statistics(mean, measured, before / (before + 1));
    }
  }
  engine.set_batch_norms(statistics);
  return mean;
}

bool has_batch_norms(const Network& network) {
  return std::any_of(network.nodes.begin(), network.nodes.end(), [](const Node& node) {
    return std::holds_alternative<BatchNormNode>(node.kind);
  });
}

std::vector<int> norms_behind(const Network& network) {
  std::vector<int> behind;
  for (const AnalogLayer& layer : weights_of(network).layers) {
    const ValueId output = network.nodes[static_cast<std::size_t>(layer.node)].output;
    int norm = -1, norms = 0;
    bool alone = output != network.output;
    for (const Node& node : network.nodes) {
      const bool is_norm = std::holds_alternative<BatchNormNode>(node.kind);
      const bool reads =
          std::find(node.inputs.begin(), node.inputs.end(), output) != node.inputs.end();
      if (reads && is_norm) norm = norms;
      if (reads && !is_norm) alone = false;
      if (is_norm) ++norms;
    }
    behind.push_back(alone ? norm : -1);
  }
  return behind;
}

bool makes_the_logits(const Network& network, const AnalogLayer& layer) {
  return network.nodes[static_cast<std::size_t>(layer.node)].output == network.output;
}

ActivationShift activation_shift(const BatchNormStatistics& now,
                                 const BatchNormStatistics& trained) {
  double squares = 0, ratios = 0, channels = 0;
  for (std::size_t c = 0; c < trained.mean.size(); ++c) {
    const auto variance = static_cast<double>(trained.variance[c]);
    if (variance <= 0) continue;  // a channel that never changed has no scale
    const double moved = static_cast<double>(now.mean[c]) - static_cast<double>(trained.mean[c]);
    squares += moved * moved / variance;
    ratios += static_cast<double>(now.variance[c]) / variance;
    ++channels;
  }
  if (channels == 0) return {};
  return {std::sqrt(squares / channels), ratios / channels};
}

}  // namespace pcmlab

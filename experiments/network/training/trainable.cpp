// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/trainable.h"

#include <algorithm>
#include <cmath>

namespace pcmlab::training {
namespace {

/// Weights and bias of an analog node, which may be const.
template <class NodeType, class Function>
void with_weights(NodeType& node, Function function) {
  if (auto* conv = std::get_if<ConvNode>(&node.kind)) function(conv->weights, conv->bias);
  if (auto* dense = std::get_if<DenseNode>(&node.kind)) function(dense->weights, dense->bias);
}

const BatchNormNode& norm_of(const Network& network, const Trainable::Norm& norm) {
  return std::get<BatchNormNode>(network.nodes[static_cast<std::size_t>(norm.node)].kind);
}

void take(std::span<const float>& from, std::vector<float>& to) {
  std::copy_n(from.begin(), to.size(), to.begin());
  from = from.subspan(to.size());
}

}  // namespace

Trainable::Trainable(const Network& network) {
  const WeightSet weights = weights_of(network);
  for (const AnalogLayer& layer : weights.layers) {
    with_weights(network.nodes[static_cast<std::size_t>(layer.node)],
                 [&](const auto&, const auto& bias) {
                   layers_.push_back({layer, !bias.empty()});
                 });
  }
  analog_count_ = value_count_ = weights.values.size();
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const auto* norm = std::get_if<BatchNormNode>(&network.nodes[i].kind);
    if (norm == nullptr) continue;
    const std::size_t channels = norm->gamma.size();
    norms_.push_back(
        {static_cast<int>(i), channels, norm->epsilon, value_count_, statistic_count_});
    value_count_ += 2 * channels;
    statistic_count_ += 2 * channels;
  }
}

std::vector<float> Trainable::values(const Network& network) const {
  std::vector<float> all = weights_of(network).values;
  all.reserve(value_count_);
  for (const Norm& norm : norms_) {
    const BatchNormNode& node = norm_of(network, norm);
    all.insert(all.end(), node.gamma.begin(), node.gamma.end());
    all.insert(all.end(), node.beta.begin(), node.beta.end());
  }
  return all;
}

std::vector<float> Trainable::statistics(const Network& network) const {
  std::vector<float> all;
  all.reserve(statistic_count_);
  for (const Norm& norm : norms_) {
    const BatchNormNode& node = norm_of(network, norm);
    all.insert(all.end(), node.mean.begin(), node.mean.end());
    all.insert(all.end(), node.variance.begin(), node.variance.end());
  }
  return all;
}

void Trainable::store(std::span<const float> values, std::span<const float> statistics,
                      Network& network) const {
  for (const Layer& layer : layers_) {
    with_weights(network.nodes[static_cast<std::size_t>(layer.node)],
                 [&](auto& weights, auto& bias) {
                   const std::size_t columns = static_cast<std::size_t>(layer.columns);
                   const std::size_t inputs = columns - (layer.biased ? 1 : 0);
                   const float* from = weights_in(values, layer).data();
                   for (std::size_t row = 0; row < static_cast<std::size_t>(layer.rows); ++row) {
                     std::copy_n(from, inputs, weights.data() + row * inputs);
                     if (layer.biased) bias[row] = from[inputs];
                     from += columns;
                   }
                 });
  }
  values = values.subspan(analog_count_);
  for (const Norm& norm : norms_) {
    auto& node = std::get<BatchNormNode>(network.nodes[static_cast<std::size_t>(norm.node)].kind);
    take(values, node.gamma);
    take(values, node.beta);
    take(statistics, node.mean);
    take(statistics, node.variance);
  }
}

void Trainable::exchange_statistics(std::span<float> values, std::span<float> statistics,
                                    std::span<const float> to) const {
  for (const Norm& norm : norms_) {
    for (std::size_t channel = 0; channel < norm.channels; ++channel) {
      const std::size_t mean = norm.first_statistic + channel;
      const std::size_t variance = mean + norm.channels;
      float& gamma = values[norm.first_value + channel];
      float& beta = values[norm.first_value + norm.channels + channel];
      const double deviation = std::sqrt(statistics[variance] + norm.epsilon);
      const double slope = gamma / deviation;
      beta = static_cast<float>(beta + slope * (to[mean] - statistics[mean]));
      gamma = static_cast<float>(slope * std::sqrt(to[variance] + norm.epsilon));
      statistics[mean] = to[mean];
      statistics[variance] = to[variance];
    }
  }
}

}  // namespace pcmlab::training

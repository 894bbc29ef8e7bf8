// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/topologies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "experiments/network/training/trainable.h"

namespace pcmlab::training {
namespace {

TopologySettings settings() { return {.input = {3, 32, 32}, .classes = 10}; }

TEST(Topologies, TheResNet32HasThePapersNumberOfWeightsAndLayers) {
  const Network network = make_network("resnet32", settings(), 1).value();
  const Trainable trainable(network);
  EXPECT_EQ(trainable.analog_count(), 361'722U);
  EXPECT_EQ(trainable.layers().size(), 34U);  // 33 convolutions and the last layer
  EXPECT_EQ(trainable.norms().size(), 33U);
  EXPECT_EQ(network.shapes.back(), (ValueShape{10, 1, 1}));
}

TEST(Topologies, TheResNet32HasTheFormOfTheBuiltInOne) {
  const Network made = make_network("resnet32", settings(), 1).value();
  const Network builtin = load_builtin_network("resnet32-fashion-mnist").value();
  std::vector<std::pair<std::int64_t, std::int64_t>> made_layers;
  std::vector<std::pair<std::int64_t, std::int64_t>> builtin_layers;
  for (const auto& layer : weights_of(made).layers) {
    made_layers.emplace_back(layer.rows, layer.columns);
  }
  for (const auto& layer : weights_of(builtin).layers) {
    builtin_layers.emplace_back(layer.rows, layer.columns);
  }
  EXPECT_THAT(made_layers, ::testing::UnorderedElementsAreArray(builtin_layers));
}

TEST(Topologies, TheLeNetTakesMnistAndCifar) {
  const Network grey = make_network("lenet", {.input = {1, 28, 28}, .classes = 10}, 1).value();
  EXPECT_EQ(Trainable(grey).analog_count(), 25 * 6 + 25 * 6 * 16 + 401 * 120 + 121 * 84 + 85 * 10U);
  const Network coloured = make_network("lenet", settings(), 1).value();
  EXPECT_EQ(coloured.shapes.back(), (ValueShape{10, 1, 1}));
  EXPECT_EQ(make_network("lenet", {.input = {1, 4, 4}, .classes = 10}, 1).error().code,
            ErrorCode::BadNetwork);
}

TEST(Topologies, TheSeedDecidesTheWeights) {
  const auto weights = [](std::uint64_t seed) {
    return weights_of(make_network("mlp", settings(), seed).value()).values;
  };
  EXPECT_EQ(weights(1), weights(1));
  EXPECT_NE(weights(1), weights(2));
}

TEST(Topologies, ConvolutionsBeginWithTheDeviationOfHe) {
  const Network network = make_network("resnet32", settings(), 1).value();
  const auto& conv = std::get<ConvNode>(network.nodes[network.nodes.size() - 6].kind);
  ASSERT_EQ(conv.out_channels, 56);
  double squares = 0;
  for (const float weight : conv.weights) squares += static_cast<double>(weight) * weight;
  const double deviation = std::sqrt(squares / static_cast<double>(conv.weights.size()));
  EXPECT_NEAR(deviation, std::sqrt(2.0 / (56 * 9)), 0.001);
}

TEST(Topologies, AnUnknownNameIsAnsweredWithTheKnownOnes) {
  const auto network = make_network("resnet50", settings(), 1);
  ASSERT_FALSE(network);
  EXPECT_EQ(network.error().code, ErrorCode::NotFound);
  EXPECT_THAT(network.error().advice, ::testing::HasSubstr("resnet32"));
}

TEST(Trainable, StoresWhatItHasTaken) {
  const Network first = make_network("resnet32", settings(), 1).value();
  Network second = make_network("resnet32", settings(), 2).value();
  const Trainable trainable(first);
  std::vector<float> statistics = trainable.statistics(first);
  for (std::size_t i = 0; i < statistics.size(); ++i) statistics[i] += static_cast<float>(i);
  std::vector<float> values = trainable.values(first);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += static_cast<float>(i % 7);
  trainable.store(values, statistics, second);
  EXPECT_EQ(trainable.values(second), values);
  EXPECT_EQ(trainable.statistics(second), statistics);
  EXPECT_EQ(weights_of(second).values.size(), trainable.analog_count());
}

}  // namespace
}  // namespace pcmlab::training

// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/trainable.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "experiments/network/inference.h"
#include "experiments/network/training/random.h"
#include "experiments/network/training/topologies.h"
#include "tests/experiments/network/reference_network.h"

namespace pcmlab::training {
namespace {

TEST(Trainable, StoresWhatItWasGiven) {
  Network network = make_network("resnet32", {.input = {3, 8, 8}, .classes = 10}, 1).value();
  const Trainable trainable(network);
  std::vector<float> values = trainable.values(network);
  std::vector<float> statistics = trainable.statistics(network);
  for (float& value : values) value += 1;
  for (float& statistic : statistics) statistic += 2;
  trainable.store(values, statistics, network);
  EXPECT_EQ(trainable.values(network), values);
  EXPECT_EQ(trainable.statistics(network), statistics);
}

TEST(Trainable, WithOtherStatisticsTheNetworkComputesWhatItDid) {
  Network network = make_network("resnet32", {.input = {3, 8, 8}, .classes = 10}, 1).value();
  const Dataset images = pcmlab::test::random_images(network, 20);
  const auto logits = [&] {
    return InferenceEngine::create(network, Precision::Float32)
        .value()
        .logits(images, 0, images.count())
        .value();
  };
  const std::vector<float> before = logits();

  const Trainable trainable(network);
  std::vector<float> values = trainable.values(network);
  std::vector<float> statistics = trainable.statistics(network);
  Random random(1, Purpose::Statistics, 0);
  std::vector<float> others;
  others.reserve(statistics.size());
  for (std::size_t i = 0; i < statistics.size(); ++i) {
    others.push_back(static_cast<float>(0.5 + random.uniform()));
  }
  const std::vector<float> values_before = values;
  trainable.exchange_statistics(values, statistics, others);
  EXPECT_EQ(statistics, others);
  EXPECT_TRUE(std::equal(values.begin(),
                         values.begin() + static_cast<std::ptrdiff_t>(trainable.analog_count()),
                         values_before.begin()));
  EXPECT_NE(values, values_before);

  trainable.store(values, statistics, network);
  const std::vector<float> after = logits();
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) EXPECT_NEAR(after[i], before[i], 1e-3);
}

}  // namespace
}  // namespace pcmlab::training

// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "experiments/network/training/topologies.h"

namespace pcmlab::training {
namespace {

TEST(LearningRate, RisesToTheHighestAndFallsToZero) {
  EXPECT_DOUBLE_EQ(learning_rate_at(0, 10, 110, 0.1), 0.01);
  EXPECT_DOUBLE_EQ(learning_rate_at(9, 10, 110, 0.1), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate_at(10, 10, 110, 0.1), 0.1);
  EXPECT_NEAR(learning_rate_at(60, 10, 110, 0.1), 0.05, 1e-12);
  EXPECT_LT(learning_rate_at(109, 10, 110, 0.1), 0.0001);
  EXPECT_DOUBLE_EQ(learning_rate_at(0, 0, 10, 0.1), 0.1);
}

class Descent : public ::testing::Test {
 protected:
  Descent()
      : network_(make_network("mlp", {.input = {1, 1, 1}, .classes = 1, .hidden = 1}, 1).value()),
        trainable_(network_),
        values_(trainable_.value_count(), 1.0f),
        momentum_(trainable_.value_count(), 0.0f),
        gradients_(trainable_.value_count(), 0.5f) {}

  bool descend_once() {
    return descend(trainable_, {0.9, 0.1}, 0.01, gradients_, momentum_, values_);
  }

  // Weight, bias, weight, bias.
  Network network_;
  Trainable trainable_;
  std::vector<float> values_, momentum_, gradients_;
};

TEST_F(Descent, FollowsTorchsNesterovMomentum) {
  ASSERT_TRUE(descend_once());
  ASSERT_TRUE(descend_once());
  // torch.optim.SGD: b <- 0.9 b + g, w <- w - rate (g + 0.9 b); for the bias g = 0.5.
  double bias = 1;
  double buffer = 0;
  for (int i = 0; i < 2; ++i) {
    buffer = 0.9 * buffer + 0.5;
    bias -= 0.01 * (0.5 + 0.9 * buffer);
  }
  EXPECT_NEAR(values_[1], bias, 1e-6);
}

TEST_F(Descent, DecaysWeightsAndNotBiases) {
  ASSERT_TRUE(descend_once());
  EXPECT_NEAR(values_[0], 1 - 0.01 * 1.9 * (0.5 + 0.1), 1e-6);
  EXPECT_NEAR(values_[1], 1 - 0.01 * 1.9 * 0.5, 1e-6);
}

TEST_F(Descent, TellsWhenAWeightIsNoLongerFinite) {
  gradients_[2] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(descend_once());
  gradients_[2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(descend_once());
}

}  // namespace
}  // namespace pcmlab::training

// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/weight_noise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "experiments/network/training/topologies.h"

namespace pcmlab::training {
namespace {

class Weights : public ::testing::Test {
 protected:
  Weights()
      : network_(make_network("resnet32", {.input = {3, 32, 32}, .classes = 10}, 1).value()),
        trainable_(network_),
        clean_(trainable_.values(network_)) {}

  static double deviation(std::span<const float> numbers) {
    double sum = 0;
    double squares = 0;
    for (const double number : numbers) {
      sum += number;
      squares += number * number;
    }
    const auto count = static_cast<double>(numbers.size());
    return std::sqrt(squares / count - sum / count * (sum / count));
  }

  Network network_;
  Trainable trainable_;
  std::vector<float> clean_;
};

TEST_F(Weights, GaussianNoiseHasTheShareOfEachLayersLargestWeight) {
  const WeightNoise noise{.eta = 0.038, .model = {}};
  std::vector<float> noisy(clean_.size());
  Random random(1, Purpose::Noise, 0);
  noise.apply(trainable_, clean_, noisy, random);
  for (const Trainable::Layer& layer : trainable_.layers()) {
    const std::span<const float> before = weights_in(std::span<const float>(clean_), layer);
    const std::span<const float> after = weights_in(std::span<const float>(noisy), layer);
    std::vector<float> difference(before.size());
    for (std::size_t i = 0; i < before.size(); ++i) difference[i] = after[i] - before[i];
    const double expected = 0.038 * largest_magnitude(before);
    const double error = 5 * expected / std::sqrt(2.0 * static_cast<double>(before.size()));
    EXPECT_NEAR(deviation(difference), expected, error) << layer.name;
  }
}

TEST_F(Weights, NoiseLeavesBatchNormsAndTheCleanWeightsAlone) {
  const std::vector<float> before = clean_;
  std::vector<float> noisy(clean_.size());
  Random random(1, Purpose::Noise, 0);
  WeightNoise{.eta = 0.1, .model = {}}.apply(trainable_, clean_, noisy, random);
  EXPECT_EQ(clean_, before);
  const auto first = static_cast<std::ptrdiff_t>(trainable_.analog_count());
  EXPECT_TRUE(std::equal(noisy.begin() + first, noisy.end(), clean_.begin() + first));
  EXPECT_NE(noisy, clean_);
}

TEST_F(Weights, NoNoiseIsACopy) {
  std::vector<float> noisy(clean_.size());
  Random random(1, Purpose::Noise, 0);
  WeightNoise{}.apply(trainable_, clean_, noisy, random);
  EXPECT_EQ(noisy, clean_);
}

TEST_F(Weights, ClippingLimitsEachLayerByItsOwnDeviation) {
  std::vector<float> clipped = clean_;
  clip_weights(trainable_, clipped, 2);
  for (const Trainable::Layer& layer : trainable_.layers()) {
    const std::span<const float> before = weights_in(std::span<const float>(clean_), layer);
    const std::span<const float> after = weights_in(std::span<const float>(clipped), layer);
    const double limit = 2 * deviation(before);
    for (std::size_t i = 0; i < before.size(); ++i) {
      ASSERT_NEAR(after[i], std::clamp<double>(before[i], -limit, limit), 1e-5);
    }
  }
}

}  // namespace
}  // namespace pcmlab::training

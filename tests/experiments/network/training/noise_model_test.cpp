// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/noise_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace pcmlab::training {
namespace {

using ::testing::HasSubstr;

NoiseModel parsed(const std::string& text) {
  auto model = parse_noise_model(text, "test.toml");
  EXPECT_TRUE(model) << model.error().message;
  return model.value();
}

std::string error_of(const std::string& text) {
  const auto model = parse_noise_model(text, "test.toml");
  if (model) return "no error";
  EXPECT_EQ(model.error().code, ErrorCode::BadPlan);
  EXPECT_FALSE(model.error().advice.empty());
  return model.error().message;
}

struct Moments {
  double mean = 0, deviation = 0;
};

/// Of many weights `w` beside one of 1, the layer's largest.
Moments moments(const NoiseModel& model, float w) {
  std::vector<float> weights(100'001, w);
  weights.back() = 1;
  Random random(1, Purpose::Noise, 0);
  model.apply(weights, random);
  weights.pop_back();
  Moments m;
  for (const double weight : weights) m.mean += weight / static_cast<double>(weights.size());
  for (const double weight : weights) {
    m.deviation += (weight - m.mean) * (weight - m.mean) / static_cast<double>(weights.size());
  }
  m.deviation = std::sqrt(m.deviation);
  return m;
}

TEST(NoiseModel, SigmaOfAPolynomialIsScaledFromConductanceToWeights) {
  const NoiseModel model = parsed("[programming]\nsigma_polynomial_uS = [0.25, 0.1, -0.002]\n");
  const Moments at_half = moments(model, 0.5f);  // 12.5 of 25 uS
  EXPECT_NEAR(at_half.mean, 0.5, 0.001);
  EXPECT_NEAR(at_half.deviation, (0.25 + 1.25 - 0.3125) / 25, 0.001);
}

TEST(NoiseModel, ATableIsInterpolatedAndHeldBeyondItsEnds) {
  const NoiseModel model = parsed(
      "[model]\ng_max_uS = 20\n[programming]\nconductance_uS = [5, 15]\nsigma_uS = [0.4, 0.8]\n");
  EXPECT_NEAR(moments(model, 0.5f).deviation, 0.6 / 20, 0.0005);
  EXPECT_NEAR(moments(model, 0.2f).deviation, 0.4 / 20, 0.0005);
  EXPECT_NEAR(moments(model, 0.9f).deviation, 0.8 / 20, 0.0005);
}

TEST(NoiseModel, NegativeWeightsSitOnTheOtherDevice) {
  const NoiseModel model = parsed("[programming]\nsigma_polynomial_uS = [0.5]\n");
  EXPECT_NEAR(moments(model, -0.5f).mean, -0.5, 0.001);
}

TEST(NoiseModel, NoDeviceHasLessThanNoConductance) {
  const NoiseModel model = parsed("[programming]\nsigma_polynomial_uS = [1]\n");
  std::vector<float> weights(10'000, 0.001f);
  weights.back() = 1;
  Random random(1, Purpose::Noise, 0);
  model.apply(weights, random);
  EXPECT_GE(*std::min_element(weights.begin(), weights.end()), 0.0f);
}

TEST(NoiseModel, TheDeviceInResetIsSubtracted) {
  const NoiseModel model = parsed(
      "[model]\nreset_uS = 0.5\nreset_sigma_uS = 0.1\n[programming]\nsigma_polynomial_uS = [0]\n");
  const Moments m = moments(model, 0.5f);
  EXPECT_NEAR(m.mean, 0.5 - 0.5 / 25, 0.001);
  EXPECT_NEAR(m.deviation, 0.1 / 25, 0.0002);
}

TEST(NoiseModel, MeanDriftIsCompensatedAndItsSpreadIsNot) {
  const std::string drift =
      "[programming]\nsigma_polynomial_uS = [0]\n[drift]\nt0_s = 10\nfirst_age_s = 1e4\n"
      "last_age_s = 1e4\nconductance_uS = [10]\nexponent = [0.05]\n";
  EXPECT_NEAR(moments(parsed(drift), 0.5f).deviation, 0, 1e-6);
  EXPECT_NEAR(moments(parsed(drift), 0.5f).mean, 0.5, 1e-4);
  const Moments spread = moments(parsed(drift + "exponent_sd = [0.01]\n"), 0.5f);
  EXPECT_NEAR(spread.mean, 0.5, 0.001);
  EXPECT_NEAR(spread.deviation, 0.5 * 0.01 * std::log(1000.0), 0.001);
}

TEST(NoiseModel, ReadNoiseIsAShareOfTheConductance) {
  const NoiseModel model = parsed(
      "[programming]\nsigma_polynomial_uS = [0]\n[read_noise]\nconductance_uS = [0, 25]\n"
      "relative_noise = [0.2, 0]\n");
  EXPECT_NEAR(moments(model, 0.5f).deviation, 0.05, 0.001);
}

TEST(NoiseModel, ALayerOfZerosStaysOne) {
  const NoiseModel model = parsed("[programming]\nsigma_polynomial_uS = [1]\n");
  std::vector<float> weights(10, 0.0f);
  Random random(1, Purpose::Noise, 0);
  model.apply(weights, random);
  EXPECT_EQ(weights, std::vector<float>(10, 0.0f));
}

TEST(NoiseModel, ThePublishedOneHasThePapersSpreadAndDrift) {
  const std::filesystem::path file = PCMLAB_NOISE_MODELS "/published.toml";
  const NoiseModel model = parsed(read_noise_model(file).value());
  const NoiseModel::Constants& c = model.constants();
  EXPECT_EQ(c.name, "published");
  EXPECT_NEAR(c.sigma_uS(12.5), 0.9552, 0.001);
  EXPECT_EQ(c.last_age_s, 86400);
  // science: mean clip(-0.0155 ln g + 0.0244, 0.049, 0.1), deviation clip(-0.0125 ln g - 0.0059,
  // 0.008, 0.045), g = G / 25 uS
  for (const double g_uS : {0.5, 1.2, 2.5, 4.0, 7.0, 10.0, 25.0}) {
    const double log = std::log(g_uS / 25);
    EXPECT_NEAR(c.drift(g_uS), std::clamp(-0.0155 * log + 0.0244, 0.049, 0.1), 0.001) << g_uS;
    EXPECT_NEAR(c.drift_sd(g_uS), std::clamp(-0.0125 * log - 0.0059, 0.008, 0.045), 0.001) << g_uS;
  }
}

TEST(NoiseModel, MistakesAreNamed) {
  EXPECT_THAT(error_of(""), HasSubstr("nothing about sigma"));
  EXPECT_THAT(error_of("[programing]\n"), HasSubstr("programing"));
  EXPECT_THAT(error_of("[programming]\nsigma_uS = [1]\nconductance_uS = [1, 2]\n"),
              HasSubstr("conductance_uS has 2 numbers and sigma_uS has 1"));
  EXPECT_THAT(error_of("[programming]\nsigma_uS = [1, 2]\nconductance_uS = [2, 1]\n"),
              HasSubstr("do not rise"));
  EXPECT_THAT(error_of("[programming]\nsigma_uS = [-1]\nconductance_uS = [2]\n"),
              HasSubstr("negative"));
  EXPECT_THAT(error_of("[programming]\nsigma_polynomial_uS = [1]\nsigma_uS = [1]\n"
                       "conductance_uS = [2]\n"),
              HasSubstr("both"));
  EXPECT_THAT(error_of("[programming]\nsigma_polynomial_uS = [1]\n[drift]\nfirst_age_s = 100\n"
                       "last_age_s = 10\n"),
              HasSubstr("before"));
  EXPECT_EQ(read_noise_model("/there/is/no/such/model.toml").error().code, ErrorCode::NotFound);
}

}  // namespace
}  // namespace pcmlab::training

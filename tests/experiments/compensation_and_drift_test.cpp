// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "experiments/retention/drift_fit.h"
#include "experiments/retention/global_drift_compensation.h"
#include "experiments/retention/measured_conductances.h"
#include "experiments/retention/read_schedule.h"

namespace pcmlab {
namespace {

TEST(DriftFactors, AreTheRatioOfTheSums) {
  const std::vector<double> now{80, 45}, reference{100, 50};
  EXPECT_EQ(drift_factors(now, reference), (std::vector<float>{0.8f, 0.9f}));
}

TEST(DriftFactors, LeaveALayerWithoutConductanceAlone) {
  const std::vector<double> now{0, 10}, reference{0, 0};
  EXPECT_EQ(drift_factors(now, reference), (std::vector<float>{1, 1}));
}

TEST(DriftFit, RecoversAnExactLaw) {
  std::vector<double> age_s, g_uS;
  for (double t = 20; t < 1e5; t *= 3) {
    age_s.push_back(t);
    g_uS.push_back(12 * std::pow(t, -0.06));
  }
  const auto fit = fit_drift(age_s, g_uS);
  ASSERT_TRUE(fit);
  EXPECT_NEAR(fit->exponent, 0.06, 1e-6);
  EXPECT_NEAR(fit->exponent_error, 0, 1e-6);
  EXPECT_NEAR(fit->g_t0_uS, 12 * std::pow(kDriftTime0_s, -0.06), 1e-5);
}

/// The standard error is honest: it covers the true exponent as often as it says.
TEST(DriftFit, StandardErrorCoversTheTrueExponent) {
  std::mt19937 random(8);
  std::normal_distribution<double> noise(0, 0.03);
  int within_one = 0;
  constexpr int kDevices = 2000;
  for (int device = 0; device < kDevices; ++device) {
    std::vector<double> age_s, g_uS;
    for (int i = 0; i < 20; ++i) {
      age_s.push_back(25 * std::pow(3456.0, i / 19.0));
      g_uS.push_back(10 * std::pow(age_s.back(), -0.05) * (1 + noise(random)));
    }
    const auto fit = fit_drift(age_s, g_uS);
    ASSERT_TRUE(fit);
    within_one += std::abs(fit->exponent - 0.05) < fit->exponent_error ? 1 : 0;
  }
  EXPECT_NEAR(within_one / static_cast<double>(kDevices), 0.67, 0.05);
}

TEST(DriftFit, RefusesTooFewPointsAndTooShortATime) {
  const std::vector<double> short_s{10, 20, 30, 40, 50, 60, 70}, g(7, 1.0);
  EXPECT_FALSE(fit_drift(short_s, g));
  const std::vector<double> few_s{1, 10, 100, 1000, 10000};
  EXPECT_FALSE(fit_drift(few_s, std::vector<double>(5, 1.0)));
}

TEST(ReadSchedule, IsLogSpacedWithBothEnds) {
  const std::vector<double> times_s = spaced_s(25, 86400, 8, Spacing::Log);
  ASSERT_EQ(times_s.size(), 8u);
  EXPECT_EQ(times_s.front(), 25);
  EXPECT_EQ(times_s.back(), 86400);
  for (std::size_t i = 2; i < times_s.size(); ++i) {
    EXPECT_NEAR(times_s[i] / times_s[i - 1], times_s[1] / times_s[0], 1e-9);
  }
  EXPECT_EQ(spaced_s(25, 86400, 1, Spacing::Log), (std::vector<double>{25}));
  EXPECT_EQ(spaced_s(10, 50, 5, Spacing::Linear), (std::vector<double>{10, 20, 30, 40, 50}));
}

TEST(MeasuredConductances, FollowTheCalibration) {
  const std::vector<std::uint16_t> sums{0, 500, 1275};
  const auto g_uS = conductances_uS(sums, {0.2, 0.1}, 5);
  EXPECT_FLOAT_EQ(g_uS[0], 0.1f);
  EXPECT_FLOAT_EQ(g_uS[1], 20.1f);
  EXPECT_FLOAT_EQ(g_uS[2], 51.1f);
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace pcmlab::training {
namespace {

TEST(Random, AStreamIsTheSameEveryTimeAndUnlikeAnyOther) {
  const std::uint64_t first = Random(1, Purpose::Noise, 5).bits();
  EXPECT_EQ(Random(1, Purpose::Noise, 5).bits(), first);
  EXPECT_NE(Random(2, Purpose::Noise, 5).bits(), first);
  EXPECT_NE(Random(1, Purpose::Order, 5).bits(), first);
  EXPECT_NE(Random(1, Purpose::Noise, 6).bits(), first);
}

TEST(Random, NormalsHaveTheMomentsAndTailsOfTheNormalDistribution) {
  Random random(3, Purpose::Noise, 0);
  constexpr int kDraws = 2'000'000;
  double sum = 0;
  double squares = 0;
  double fourths = 0;
  int beyond_one = 0;
  int beyond_three = 0;
  int beyond_base = 0;  // where the ziggurat's tail begins
  int negative = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
    beyond_one += std::abs(x) > 1 ? 1 : 0;
    beyond_three += std::abs(x) > 3 ? 1 : 0;
    beyond_base += std::abs(x) > 3.5 ? 1 : 0;
    negative += x < 0 ? 1 : 0;
  }
  // Five standard errors each.
  EXPECT_NEAR(sum / kDraws, 0, 0.0036);
  EXPECT_NEAR(squares / kDraws, 1, 0.005);
  EXPECT_NEAR(fourths / kDraws, 3, 0.035);
  EXPECT_NEAR(beyond_one / double{kDraws}, std::erfc(1 / std::sqrt(2.0)), 0.0017);
  EXPECT_NEAR(beyond_three / double{kDraws}, std::erfc(3 / std::sqrt(2.0)), 0.0002);
  EXPECT_NEAR(beyond_base / double{kDraws}, std::erfc(3.5 / std::sqrt(2.0)), 0.00008);
  EXPECT_NEAR(negative / double{kDraws}, 0.5, 0.0018);
}

TEST(Random, BelowReachesEveryNumberEquallyOften) {
  Random random(4, Purpose::Order, 0);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts[random.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
}

TEST(Random, UniformStaysBelowOne) {
  Random random(5, Purpose::Order, 0);
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double u = random.uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.005);
}

}  // namespace
}  // namespace pcmlab::training

// SPDX-License-Identifier: Apache-2.0
#include "mock_device/lanes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace pcmlab::mock {
namespace {

TEST(Lanes, LogarithmAgreesWithLibmOverTheWholeRange) {
  for (float x = 1e-37f; x < 1e37f; x *= 1.0137f) {
    const double exact = std::log2(static_cast<double>(x));
    EXPECT_NEAR(static_cast<double>(lane_log2(x)), exact, 2e-7 * std::max(1.0, std::abs(exact)))
        << x;
  }
}

TEST(Lanes, ExponentialAgreesWithLibmAndUnderflowsToZero) {
  for (float x = -125.9f; x < 125.9f; x += 0.0317f) {
    const double exact = std::exp2(static_cast<double>(x));
    EXPECT_NEAR(static_cast<double>(lane_exp2(x)), exact, 4e-7 * exact) << x;
  }
  EXPECT_EQ(lane_exp2(-200.0f), 0.0f);
  EXPECT_TRUE(std::isfinite(lane_exp2(1000.0f)));
}

TEST(Lanes, SameKeyAndCounterGiveTheSameBits) {
  const LaneKey key = lane_key(42, 7);
  EXPECT_EQ(lane_bits(key, 1000), lane_bits(lane_key(42, 7), 1000));
  EXPECT_NE(lane_bits(key, 1000), lane_bits(key, 1001));
  EXPECT_NE(lane_bits(key, 1000), lane_bits(lane_key(43, 7), 1000));
  EXPECT_NE(lane_bits(key, 1000), lane_bits(lane_key(42, 8), 1000));
}

TEST(Lanes, SeedsThatDifferOnlyInTheHighWordGiveOtherChips) {
  const LaneKey low = lane_key(1, 5);
  const LaneKey high = lane_key(1 + (std::uint64_t{1} << 32), 5);
  EXPECT_NE(lane_bits(low, 0), lane_bits(high, 0));
}

TEST(Lanes, DevicesDoNotShareKeys) {
  std::set<std::pair<std::uint32_t, std::uint32_t>> keys;
  for (std::uint32_t device = 0; device < 200000; ++device) {
    const LaneKey key = lane_key(1, device);
    keys.emplace(key.a, key.b);
  }
  EXPECT_EQ(keys.size(), 200000u);
}

/// Moments of a million draws; the bounds are five standard errors.
TEST(Lanes, NormalsHaveTheMomentsOfANormalDistribution) {
  constexpr int kPairs = 500000;
  double sum = 0, square = 0, cube = 0, fourth = 0, product = 0;
  int beyond_three = 0;
  for (int i = 0; i < kPairs; ++i) {
    float a, b;
    lane_normals(lane_key(9, static_cast<std::uint32_t>(i % 1000)),
                 static_cast<std::uint32_t>(2 * (i / 1000)), a, b);
    product += static_cast<double>(a) * static_cast<double>(b);
    for (const double z : {static_cast<double>(a), static_cast<double>(b)}) {
      sum += z;
      square += z * z;
      cube += z * z * z;
      fourth += z * z * z * z;
      beyond_three += std::abs(z) > 3 ? 1 : 0;
    }
  }
  constexpr double kDraws = 2.0 * kPairs;
  EXPECT_NEAR(sum / kDraws, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(square / kDraws, 1, 5 * std::sqrt(2 / kDraws));
  EXPECT_NEAR(cube / kDraws, 0, 5 * std::sqrt(15 / kDraws));
  EXPECT_NEAR(fourth / kDraws, 3, 5 * std::sqrt(96 / kDraws));
  EXPECT_NEAR(product / kPairs, 0, 5 / std::sqrt(static_cast<double>(kPairs)));
  EXPECT_NEAR(beyond_three / kDraws, 0.0027, 5 * std::sqrt(0.0027 / kDraws));
}

TEST(Lanes, DrawsOfNeighbouringDevicesAndCountersAreUncorrelated) {
  constexpr int kDraws = 200000;
  double across_devices = 0, across_counters = 0;
  for (int i = 0; i < kDraws; ++i) {
    const auto device = static_cast<std::uint32_t>(i);
    float here, next_device, next_counter, unused;
    lane_normals(lane_key(3, device), 40, here, unused);
    lane_normals(lane_key(3, device + 1), 40, next_device, unused);
    lane_normals(lane_key(3, device), 42, next_counter, unused);
    across_devices += static_cast<double>(here) * static_cast<double>(next_device);
    across_counters += static_cast<double>(here) * static_cast<double>(next_counter);
  }
  const double bound = 5 / std::sqrt(static_cast<double>(kDraws));
  EXPECT_NEAR(across_devices / kDraws, 0, bound);
  EXPECT_NEAR(across_counters / kDraws, 0, bound);
}

}  // namespace
}  // namespace pcmlab::mock

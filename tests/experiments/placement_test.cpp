// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/placement.h"

#include <gtest/gtest.h>

#include <set>

namespace pcmlab {
namespace {

DeviceAddress at(std::uint16_t word_line, std::uint16_t bit_line) {
  return {WordLine{word_line}, BitLine{bit_line}};
}

TEST(Placement, FillsWordLineByWordLineWithPairsSideBySide) {
  const auto placed = place_devices(10, {4, 8}, {});
  ASSERT_TRUE(placed);
  ASSERT_EQ(placed->size(), 10u);
  EXPECT_EQ((*placed)[0], at(0, 0));
  EXPECT_EQ((*placed)[1], at(0, 1));
  EXPECT_EQ((*placed)[8], at(1, 0));
}

TEST(Placement, LeavesOutPairsWithAKnownBadDevice) {
  const std::vector<DeviceAddress> bad{at(0, 3), at(2, 0)};
  const auto placed = place_devices(24, {4, 8}, bad);
  ASSERT_TRUE(placed);
  const std::set<DeviceAddress> used(placed->begin(), placed->end());
  EXPECT_EQ(used.size(), 24u);
  for (const DeviceAddress address : {at(0, 2), at(0, 3), at(2, 0), at(2, 1)}) {
    EXPECT_FALSE(used.contains(address));
  }
}

TEST(Placement, RefusesMoreDevicesThanThereAre) {
  EXPECT_TRUE(place_devices(32, {4, 8}, {}));
  const auto placed = place_devices(34, {4, 8}, {});
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::DoesNotFit);
}

TEST(Placement, ThePapersNetworkTakes69PercentOfTheArray) {
  const auto placed = place_devices(723444, {512, 2048}, {});
  ASSERT_TRUE(placed);
  EXPECT_EQ(placed->size(), 723444u);
}

TEST(Placement, IgnoresKnownBadAddressesOutsideTheArray) {
  const std::vector<DeviceAddress> bad{at(400, 1), at(0, 400)};
  EXPECT_TRUE(place_devices(32, {4, 8}, bad));
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "driver/pulse_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace pcmlab {
namespace {

using ::testing::HasSubstr;

constexpr ArrayShape kShape{2, 4};

DeviceAddress place(std::uint16_t word_line, std::uint16_t bit_line) {
  return {{word_line}, {bit_line}};
}

struct Budget : ::testing::Test {
  PulsesAsked reset() const { return {"initialise", devices, {}, {}, 3, 2e-15}; }
  PulsesAsked program() const { return {"program", devices, amplitudes, Duration(400), 1, 0}; }

  std::vector<DeviceAddress> devices = {place(0, 1), place(1, 3)};
  std::vector<std::uint16_t> amplitudes = {30000, 0};  // 300 uA for the first device
  PulseBudget budget;
};

TEST_F(Budget, WithoutALimitIsEndless) {
  budget.set_life(kShape, {});
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(budget.take(reset()));
}

TEST_F(Budget, CountsWhatDevicesHaveBorneBefore) {
  ChipLife life;
  life.max_pulses = 10;
  life.pulses = std::vector<std::uint32_t>(kShape.device_count());
  life.pulses[kShape.linear(place(1, 3))] = 5;
  budget.set_life(kShape, life);
  ASSERT_TRUE(budget.take(reset()));
  const auto beyond = budget.take(reset());
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, ErrorCode::LimitExceeded);
  EXPECT_THAT(beyond.error().message,
              HasSubstr("word line 1, bit line 3 would come to 11 pulses in its life, the limit is "
                        "10; nothing was sent"));
  // The first device was not counted: it has 7 left.
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(budget.take(program())) << i;
  EXPECT_FALSE(budget.take(program()));
}

TEST_F(Budget, CountsHeatByAmplitudeAndWidth) {
  ChipLife life;
  const double pulse = pulse_heat(Current::from_uA(300), Duration(400));
  EXPECT_NEAR(pulse, 300e-6 * 300e-6 * 400e-9, 1e-20);
  life.max_heat_A2s = 2.5 * pulse;
  budget.set_life(kShape, life);
  ASSERT_TRUE(budget.take(program()));
  ASSERT_TRUE(budget.take(program()));
  const auto beyond = budget.take(program());
  ASSERT_FALSE(beyond);
  EXPECT_THAT(beyond.error().message, HasSubstr("A^2 s in its life"));
}

TEST_F(Budget, TakesBackWhatWasNotSent) {
  budget.limit(kShape, 3);
  ASSERT_TRUE(budget.take(reset()));
  budget.give_back(reset().behind(1));
  EXPECT_FALSE(budget.take(reset())) << "the first was sent";
  devices.erase(devices.begin());
  EXPECT_TRUE(budget.take(reset()));
}

}  // namespace
}  // namespace pcmlab

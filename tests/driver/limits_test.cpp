// SPDX-License-Identifier: Apache-2.0
// What the driver refuses before anything is sent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "driver/test_board.h"
#include "tests/driver/scripted_board.h"

namespace pcmlab {
namespace {

using ::testing::HasSubstr;
using testing::Heard;
using testing::kWidth;
using testing::open;
using testing::PulseLog;
using testing::ReadLog;
using testing::scattered;
using testing::ScriptedBoard;
using wire::MessageType;

class LimitsTest : public ::testing::Test {
 protected:
  Result<void> program(std::span<const DeviceAddress> addresses, std::uint16_t amplitude_10nA,
                       Duration width = kWidth) {
    return board->program(next_batch++, width, addresses,
                          std::vector<std::uint16_t>(addresses.size(), amplitude_10nA),
                          pulses.sink());
  }
  Result<void> initialise(std::span<const DeviceAddress> addresses, double amplitude_uA,
                          Duration width = kWidth) {
    const std::vector<Pulse> sequence{{Current::from_uA(100), kWidth},
                                      {Current::from_uA(amplitude_uA), width}};
    return board->initialise(next_batch++, sequence, addresses, pulses.sink());
  }
  void expect_refused(const Result<void>& result, ErrorCode code) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().message;
    EXPECT_THAT(result.error().message, HasSubstr("nothing was sent"));
    EXPECT_TRUE(script->heard.empty());
  }

  std::shared_ptr<ScriptedBoard> script = std::make_shared<ScriptedBoard>();
  ArrayShape shape = script->information.shape;
  std::unique_ptr<TestBoard> board = open(script);
  std::uint64_t next_batch = 1;
  PulseLog pulses;
  ReadLog reads;
};

TEST_F(LimitsTest, RefusesADeviceOutsideTheArrayWhereverItIsInTheList) {
  for (const DeviceAddress outside :
       {DeviceAddress{WordLine{16}, BitLine{0}}, DeviceAddress{WordLine{0}, BitLine{64}},
        DeviceAddress{WordLine{65535}, BitLine{65535}}}) {
    for (const std::size_t at : {0U, 17U, 39U}) {
      auto addresses = scattered(shape, 40);
      addresses[at] = outside;
      expect_refused(board->read(addresses, {}, reads.sink()), ErrorCode::Refused);
      expect_refused(program(addresses, 100), ErrorCode::Refused);
      expect_refused(initialise(addresses, 100), ErrorCode::Refused);
    }
  }
}

TEST_F(LimitsTest, NamesTheDeviceThatIsOutside) {
  auto addresses = scattered(shape, 40);
  addresses[20] = {WordLine{3}, BitLine{99}};
  const auto result = board->read(addresses, {}, reads.sink());
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("word line 3, bit line 99"));
}

TEST_F(LimitsTest, AllowsTheLargestAmplitudeAndNoStepMore) {
  const auto addresses = scattered(shape, 5);
  EXPECT_TRUE(program(addresses, 50000));
  EXPECT_TRUE(initialise(addresses, 500));
  EXPECT_TRUE(initialise(addresses, 500.004));  // 500.00 on the wire
  script->heard.clear();
  expect_refused(program(addresses, 50001), ErrorCode::LimitExceeded);
  expect_refused(initialise(addresses, 500.01), ErrorCode::LimitExceeded);
  expect_refused(initialise(addresses, -1), ErrorCode::LimitExceeded);
  expect_refused(initialise(addresses, std::nan("")), ErrorCode::LimitExceeded);
  expect_refused(initialise(addresses, 1e300), ErrorCode::LimitExceeded);
}

TEST_F(LimitsTest, AllowsWidthsBetweenTheLimits) {
  const auto addresses = scattered(shape, 5);
  EXPECT_TRUE(program(addresses, 100, Duration(50)));
  EXPECT_TRUE(program(addresses, 100, Duration(10000)));
  script->heard.clear();
  for (const Duration width : {Duration(49), Duration(10001), Duration(0), Duration(-400)}) {
    expect_refused(program(addresses, 100, width), ErrorCode::LimitExceeded);
    expect_refused(program(addresses, 0, width), ErrorCode::LimitExceeded);
    expect_refused(initialise(addresses, 100, width), ErrorCode::LimitExceeded);
  }
}

TEST_F(LimitsTest, RefusesSequencesThatTheWireCannotCarry) {
  const auto addresses = scattered(shape, 5);
  expect_refused(board->initialise(1, {}, addresses, pulses.sink()), ErrorCode::Refused);
  const std::vector<Pulse> long_sequence(33, Pulse{Current::from_uA(100), kWidth});
  expect_refused(board->initialise(1, long_sequence, addresses, pulses.sink()), ErrorCode::Refused);
}

TEST_F(LimitsTest, RefusesSampleCountsWhoseSumIsOver16Bits) {
  const auto addresses = scattered(shape, 5);
  expect_refused(board->read(addresses, {.samples = 0}, reads.sink()), ErrorCode::Refused);
  EXPECT_TRUE(board->read(addresses, {.samples = 255}, reads.sink()));
  script->information.adc_bits = 12;
  board = open(script);
  EXPECT_TRUE(board->read(addresses, {.samples = 16}, reads.sink()));
  script->heard.clear();
  expect_refused(board->read(addresses, {.samples = 17}, reads.sink()), ErrorCode::Refused);
}

TEST_F(LimitsTest, RefusesAmplitudesThatAreNotOneADevice) {
  expect_refused(board->program(1, kWidth, scattered(shape, 5), std::vector<std::uint16_t>(4, 100),
                                pulses.sink()),
                 ErrorCode::Internal);
}

// ---- pulses over a device's life -------------------------------------------------------------

class PulseCountTest : public LimitsTest {
 protected:
  PulseCountTest() {
    script->information.limits.max_pulses_per_device = 4;
    board = open(script);
  }
};

TEST_F(PulseCountTest, StopsAtTheLastPulseThatADeviceMayHave) {
  const auto addresses = scattered(shape, 30);
  EXPECT_TRUE(program(addresses, 100));
  EXPECT_TRUE(initialise(addresses, 100));
  EXPECT_TRUE(program(addresses, 100));
  script->heard.clear();
  expect_refused(program(std::span(addresses).first(1), 100), ErrorCode::LimitExceeded);
  expect_refused(initialise(std::span(addresses).last(1), 100), ErrorCode::LimitExceeded);
}

TEST_F(PulseCountTest, DoesNotCountDevicesWithoutAPulse) {
  const auto addresses = scattered(shape, 3);
  const std::vector<std::uint16_t> amplitudes{100, 0, 100};
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(board->program(next_batch++, kWidth, addresses, amplitudes, pulses.sink()));
  }
  EXPECT_TRUE(program(std::span(addresses).subspan(1, 1), 100));
  EXPECT_FALSE(board->program(next_batch++, kWidth, addresses, amplitudes, pulses.sink()));
}

TEST_F(PulseCountTest, CountsADeviceThatIsNamedSeveralTimesInOneCall) {
  const std::vector<DeviceAddress> addresses(5, shape.at(9));
  expect_refused(program(addresses, 100), ErrorCode::LimitExceeded);
  EXPECT_TRUE(program(std::span(addresses).first(4), 100));
}

TEST_F(PulseCountTest, WhatWasRefusedIsNotCounted) {
  const auto addresses = scattered(shape, 30);
  ASSERT_TRUE(initialise(std::span(addresses).last(1), 100));
  ASSERT_TRUE(initialise(std::span(addresses).last(1), 100));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(program(addresses, 100));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(program(std::span(addresses).first(29), 100));
}

TEST_F(PulseCountTest, CountsWhatWasSentBeforeAnErrorAndNotTheRest) {
  const auto addresses = scattered(shape, 60);
  script->script = [](const Heard&) { return true; };
  EXPECT_FALSE(program(addresses, 100));  // four batches of ten are under way when it is given up
  script->script = nullptr;
  ASSERT_TRUE(program(addresses, 100));
  ASSERT_TRUE(program(addresses, 100));
  ASSERT_TRUE(program(addresses, 100));
  EXPECT_FALSE(program(std::span(addresses).subspan(39, 1), 100));
  EXPECT_TRUE(program(std::span(addresses).subspan(40), 100));
}

// ---- tightening ------------------------------------------------------------------------------

TEST_F(LimitsTest, SendsTheLimitsOfTheHostAtOpening) {
  Limits limits{};
  limits.max_amplitude = Current::from_uA(300);
  limits.max_devices_per_request = 5;
  script->heard.clear();
  TestBoardSettings settings;
  settings.limits = limits;
  const auto opened =
      TestBoard::open(std::make_unique<testing::ScriptedTransport>(script), settings);
  ASSERT_TRUE(opened);
  ASSERT_EQ(script->count(MessageType::SetLimits), 1U);
  Limits expected = script->information.limits;
  expected.max_amplitude = Current::from_uA(300);
  expected.max_devices_per_request = 5;
  const Limits sent = std::get<wire::SetLimitsRequest>(script->heard.back().request).limits;
  EXPECT_EQ(sent, expected);
  EXPECT_EQ((*opened)->information().limits, expected);
  EXPECT_EQ((*opened)->chunk_devices(), 5U);
}

TEST_F(LimitsTest, EnforcesTighterLimitsEvenIfTheBoardSaysOtherwise) {
  script->script = [&](const Heard& heard) {
    script->reply(heard, wire::SetLimitsReply{script->information.limits});
    return true;
  };
  Limits limits{};
  limits.max_amplitude = Current::from_uA(300);
  const auto in_force = board->set_limits(limits);
  ASSERT_TRUE(in_force);
  EXPECT_NEAR(in_force->max_amplitude.uA(), 300, 1e-9);
  script->heard.clear();
  expect_refused(program(scattered(shape, 5), 30001), ErrorCode::LimitExceeded);
}

TEST_F(LimitsTest, NeverLoosensALimit) {
  Limits tight{};
  tight.max_amplitude = Current::from_uA(300);
  tight.min_width = Duration(100);
  tight.max_width = Duration(1000);
  tight.max_pulses_per_device = 100;
  tight.max_requests_in_flight = 2;
  tight.max_temperature = Temperature::from_K(330);
  Limits loose{};
  loose.max_amplitude = Current::from_uA(600);
  loose.min_width = Duration(1);
  loose.max_width = Duration(100000);
  loose.max_pulses_per_device = 1000;
  loose.max_requests_in_flight = 200;
  loose.max_temperature = Temperature::from_K(500);
  const auto first = board->set_limits(tight);
  ASSERT_TRUE(first);
  const auto second = board->set_limits(loose);
  ASSERT_TRUE(second);
  EXPECT_EQ(*second, *first);
  EXPECT_EQ(second->max_pulses_per_device, 100U);
  EXPECT_EQ(second->max_devices_per_request, 10U);
}

TEST_F(LimitsTest, RoundsAnAmplitudeLimitDownToTheWiresStep) {
  Limits limits{};
  limits.max_amplitude = Current::from_uA(299.9999);
  const auto in_force = board->set_limits(limits);
  ASSERT_TRUE(in_force);
  script->heard.clear();
  expect_refused(program(scattered(shape, 5), 30000), ErrorCode::LimitExceeded);
  EXPECT_TRUE(program(scattered(shape, 5), 29999));
}

}  // namespace
}  // namespace pcmlab

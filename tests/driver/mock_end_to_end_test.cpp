// SPDX-License-Identifier: Apache-2.0
// TestBoard over a loopback to a MockBoard with a chip behind it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "driver/loopback_transport.h"
#include "driver/test_board.h"
#include "mock_device/mock_board.h"
#include "tests/driver/scripted_board.h"
#include "tests/protocol/untimed.h"

namespace pcmlab {
namespace {

using testing::devices;
using ::testing::HasSubstr;
using testing::kWidth;
using testing::PulseLog;
using testing::ReadLog;
using testing::scattered;

constexpr ArrayShape kShape{16, 64};
const std::vector<Pulse> kReset{{Current::from_uA(450), Duration(400)}};

class MockEndToEndTest : public ::testing::Test {
 protected:
  MockEndToEndTest() { start({}); }

  void start(mock::MockBoardSettings settings) {
    settings.limits.max_devices_per_request = 100;
    mock.emplace(mock::PcmChip(mock::PcmParameters{}, kShape, 42, 1), settings);
    cable = std::make_shared<LoopbackCable>();
    damage_next_request = false;
    LoopbackEnd end;
    end.take = [this](std::span<const std::byte> bytes) {
      std::vector<std::byte> copy(bytes.begin(), bytes.end());
      if (damage_next_request) copy[10] ^= std::byte{0x40};
      damage_next_request = false;
      mock->receive(copy);
    };
    end.give = [this](std::vector<std::byte>& into) {
      mock->work();
      mock->take_output(into);
    };
    end.disconnected = [this] { mock->connection_lost(); };
    auto opened = TestBoard::open(std::make_unique<LoopbackTransport>(std::move(end), cable));
    ASSERT_TRUE(opened) << opened.error().message;
    board = std::move(*opened);
  }

  double mean_code(std::span<const DeviceAddress> addresses) {
    ReadLog log;
    EXPECT_TRUE(board->read(addresses, {}, log.sink()));
    EXPECT_EQ(log.sums.size(), addresses.size());
    return std::accumulate(log.sums.begin(), log.sums.end(), 0.0) /
           (5.0 * static_cast<double>(log.sums.size()));
  }
  Result<void> program(std::uint64_t first_batch, std::span<const DeviceAddress> addresses,
                       std::uint16_t amplitude_10nA = 10000) {
    return board->program(first_batch, kWidth, addresses,
                          std::vector<std::uint16_t>(addresses.size(), amplitude_10nA),
                          pulses.sink());
  }

  std::optional<mock::MockBoard> mock;
  std::shared_ptr<LoopbackCable> cable;
  std::unique_ptr<TestBoard> board;
  PulseLog pulses;
  bool damage_next_request = false;
  std::vector<DeviceAddress> all = devices(kShape, 0, kShape.device_count());
};

TEST_F(MockEndToEndTest, TheMockSaysWhoItIs) {
  EXPECT_EQ(board->information().serial, "MOCK0001");
  EXPECT_EQ(board->information().shape, kShape);
  EXPECT_EQ(board->information().capabilities, wire::kVirtualTime | wire::kReferenceResistors);
  EXPECT_EQ(board->information().sample_time, std::chrono::microseconds(1));
  EXPECT_EQ(board->chunk_devices(), 100U);
}

TEST_F(MockEndToEndTest, DevicesAnswerToPulses) {
  ASSERT_TRUE(board->initialise(1, kReset, all, pulses.sink()));
  const double reset_code = mean_code(all);
  for (std::uint64_t k = 0; k < 10; ++k) ASSERT_TRUE(program(100 + 20 * k, all));
  const double set_code = mean_code(all);
  EXPECT_LT(reset_code, 3);
  EXPECT_GT(set_code, reset_code + 20);
}

TEST_F(MockEndToEndTest, TheSameCallsGiveTheSameCodes) {
  ReadLog first;
  ASSERT_TRUE(program(1, all));
  ASSERT_TRUE(board->read(all, {}, first.sink()));
  start({});
  ReadLog second;
  ASSERT_TRUE(program(1, all));
  ASSERT_TRUE(board->read(all, {}, second.sink()));
  EXPECT_EQ(first.sums, second.sums);
}

TEST_F(MockEndToEndTest, ReadsFollowOneAnotherOnTheBoardsClock) {
  std::vector<std::pair<BoardTime, BoardTime>> times;
  ASSERT_TRUE(board->read(all, {.samples = 5}, [&](const ReadChunk& chunk) -> Result<void> {
    times.emplace_back(chunk.first, chunk.last);
    return {};
  }));
  ASSERT_EQ(times.size(), 11U);
  for (std::size_t k = 0; k < times.size(); ++k) {
    EXPECT_EQ(times[k].second - times[k].first, std::chrono::microseconds(k < 10 ? 500 : 24 * 5));
    if (k > 0) {
      EXPECT_GT(times[k].first, times[k - 1].second);
    }
  }
  EXPECT_EQ(board->status()->busy, std::chrono::microseconds(1024 * 5));
}

TEST_F(MockEndToEndTest, CountsPulsesAndRemembersBatches) {
  ASSERT_TRUE(program(10, scattered(kShape, 250)));
  const auto status = board->status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->pulses_executed, 250U);
  ASSERT_EQ(status->recent_batches.size(), 3U);
  EXPECT_EQ(untimed(status->recent_batches[2]), (wire::BatchRecord{12, 50, 50, 50}));
}

TEST_F(MockEndToEndTest, RefusesABatchNumberThatWasUsed) {
  ASSERT_TRUE(program(10, scattered(kShape, 100)));
  const auto again = program(10, scattered(kShape, 100));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::DuplicateBatch);
  EXPECT_THAT(again.error().message, HasSubstr("duplicate batch"));
  EXPECT_EQ(mock->pulses_executed(), 100U);
}

TEST_F(MockEndToEndTest, ADayPassesInNoTime) {
  const auto now = board->advance_time_to(board->status()->now + std::chrono::hours(24));
  ASSERT_TRUE(now);
  EXPECT_GE(*now, std::chrono::hours(24));
  EXPECT_LT(*now, std::chrono::hours(24) + std::chrono::seconds(1));
}

TEST_F(MockEndToEndTest, CalibratesAgainstTheChipsReferences) {
  const auto calibration = board->calibrate({});
  ASSERT_TRUE(calibration);
  EXPECT_NEAR(calibration->gain_uS_per_code, 0.2, 0.001);
  EXPECT_NEAR(calibration->offset_uS, 0.0, 0.05);
}

TEST_F(MockEndToEndTest, LimitsSetByTheHostHoldOnTheBoardToo) {
  Limits limits{};
  limits.max_amplitude = Current::from_uA(90);
  limits.max_pulses_per_device = 2;
  ASSERT_TRUE(board->set_limits(limits));
  EXPECT_EQ(mock->limits().max_amplitude, Current::from_uA(90));
  EXPECT_EQ(mock->limits().max_pulses_per_device, 2U);
  EXPECT_TRUE(program(1, scattered(kShape, 10), 9000));
  EXPECT_FALSE(program(2, scattered(kShape, 10), 9001));
}

TEST_F(MockEndToEndTest, NoPulseGoesOutBeyondWhatADeviceMayBearInItsLife) {
  ChipLife life;
  life.max_pulses = 2;
  ASSERT_TRUE(board->set_life(life));
  EXPECT_TRUE(program(1, scattered(kShape, 10), 9000));
  EXPECT_TRUE(program(2, scattered(kShape, 10), 9000));
  const auto beyond = program(3, scattered(kShape, 10), 9000);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, ErrorCode::LimitExceeded);
  life.pulses = {1, 2, 3};
  EXPECT_FALSE(board->set_life(life)) << "of another array";
}

TEST_F(MockEndToEndTest, PulsesAreRefusedWhileTheChipIsTooHotAndReadsAreNot) {
  mock->set_temperature(mock::TemperatureProfile(Temperature::from_K(360)));
  EXPECT_NEAR(board->temperature()->K(), 360, 1e-9);
  const auto result = program(1, scattered(kShape, 10));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::LimitExceeded);
  EXPECT_GE(mean_code(all), 0.0);
}

TEST_F(MockEndToEndTest, ADamagedReadRequestIsRepeated) {
  damage_next_request = true;
  ReadLog log;
  ASSERT_TRUE(board->read(scattered(kShape, 50), {}, log.sink()));
  EXPECT_EQ(log.sums.size(), 50U);
  EXPECT_EQ(board->line_counters().repeated_requests, 1U);
  EXPECT_EQ(mock->bad_frames(), 1U);
}

TEST_F(MockEndToEndTest, ADamagedProgramRequestIsNotRepeatedAndStatusTellsThatNothingHappened) {
  damage_next_request = true;
  const auto result = program(5, scattered(kShape, 50));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Timeout);
  const auto status = board->status();
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->recent_batches.empty());
  EXPECT_EQ(status->pulses_executed, 0U);
}

TEST_F(MockEndToEndTest, AfterAnUnplugStatusTellsWhichBatchesWereExecuted) {
  // The third acknowledgement is cut: 20 bytes of header, 32 of payload, 4 of CRC each.
  cable->unplug_after_bytes_to_host(2 * 56 + 10);
  const auto result = program(1, all);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Disconnected);
  EXPECT_EQ(pulses.chunks.size(), 2U);
  EXPECT_FALSE(board->reopen());
  cable->replug();
  ASSERT_TRUE(board->reopen());
  EXPECT_EQ(board->information().boot_epoch, 1U);
  const auto status = board->status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->recent_batches.size(), 3U);
  EXPECT_EQ(status->pulses_executed, 300U);
  EXPECT_TRUE(program(4, std::span(all).subspan(300)));
  for (const DeviceAddress address : all) EXPECT_EQ(mock->chip().pulses_of(address), 1U);
}

TEST_F(MockEndToEndTest, ABatchWhoseRequestIsCutIsNotExecuted) {
  cable->unplug_after_bytes_to_board(100);
  ASSERT_FALSE(program(1, all));
  cable->replug();
  ASSERT_TRUE(board->reopen());
  EXPECT_TRUE(board->status()->recent_batches.empty());
  EXPECT_TRUE(program(1, all));
}

TEST_F(MockEndToEndTest, ARebootShowsInTheEpochAndTheLimitsAreSetAgain) {
  Limits limits{};
  limits.max_amplitude = Current::from_uA(90);
  ASSERT_TRUE(board->set_limits(limits));
  ASSERT_TRUE(program(1, scattered(kShape, 10), 9000));
  cable->unplug();
  mock->reboot();
  cable->replug();
  EXPECT_FALSE(board->status());
  ASSERT_TRUE(board->reopen());
  EXPECT_EQ(board->information().boot_epoch, 2U);
  EXPECT_EQ(mock->limits().max_amplitude, Current::from_uA(90));
  EXPECT_TRUE(board->status()->recent_batches.empty());
}

TEST_F(MockEndToEndTest, ABoardOfAnotherSerialIsNotTakenForTheOldOne) {
  cable->unplug();
  EXPECT_FALSE(board->status());
  mock::MockBoardSettings other;
  other.serial = "MOCK0002";
  mock.emplace(mock::PcmChip(mock::PcmParameters{}, kShape, 43, 1), other);
  cable->replug();
  const auto reopened = board->reopen();
  ASSERT_FALSE(reopened);
  EXPECT_EQ(reopened.error().code, ErrorCode::Incompatible);
}

}  // namespace
}  // namespace pcmlab

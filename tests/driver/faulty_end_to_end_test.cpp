// SPDX-License-Identifier: Apache-2.0
// TestBoard over a loopback to a FaultyBoard: what planned faults look like from here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "driver/test_board.h"
#include "tests/driver/faulty_loopback.h"
#include "tests/driver/scripted_board.h"
#include "tests/protocol/untimed.h"

namespace pcmlab {
namespace {

using ::testing::AllOf;
using testing::devices;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kWidth;
using testing::PulseLog;
using testing::ReadLog;
using ::testing::SizeIs;

constexpr ArrayShape kShape{32, 128};
constexpr std::size_t kChunk = 64;
constexpr std::size_t kChunks = 64;
/// Frames of opening a board: Hello and Information.
constexpr std::uint64_t kOpening = 2;

/// Devices whose codes are the same at any time and however often they are read.
mock::PcmParameters quiet_devices() {
  mock::PcmParameters parameters;
  parameters.stuck_high_fraction = 0.5;  // so that there is something to read
  parameters.limited_range_fraction = 0;
  parameters.adc_noise_lsb = 0;
  parameters.bit_line_offset_lsb = 0;
  parameters.noise_amplitude = 0;
  parameters.drift_mean_min = parameters.drift_mean_max = 0;
  parameters.drift_spread_min = parameters.drift_spread_max = 0;
  return parameters;
}

class FaultyEndToEndTest : public ::testing::Test {
 protected:
  /// Opens the board with the plan as it is now.
  void start(const TestBoardSettings& settings = {}) {
    mock::MockBoardSettings mock_settings;
    mock_settings.limits.max_devices_per_request = kChunk;
    mock_settings.ledger_batches = 1000;
    mock.emplace(mock::PcmChip(parameters, kShape, 42, 1), mock_settings, plan);
    cable = std::make_shared<LoopbackCable>();
    auto opened = TestBoard::open(testing::loopback_to(*mock, cable), settings);
    ASSERT_TRUE(opened) << opened.error().message;
    board = std::move(*opened);
  }

  std::vector<std::uint16_t> read_all(std::uint8_t samples = 5) {
    ReadLog log;
    const auto result = board->read(all, {.samples = samples}, log.sink());
    EXPECT_TRUE(result) << result.error().message;
    return log.sums;
  }
  Result<void> program(std::uint64_t first_batch, std::span<const DeviceAddress> addresses) {
    return board->program(first_batch, kWidth, addresses,
                          std::vector<std::uint16_t>(addresses.size(), 10000), pulses.sink());
  }
  /// The sums of the whole array when nothing is wrong.
  std::vector<std::uint16_t> right_sums() {
    const mock::FaultPlan planned = std::exchange(plan, {});
    start();
    plan = planned;
    return read_all();
  }

  mock::FaultPlan plan;
  mock::PcmParameters parameters = quiet_devices();
  std::optional<mock::FaultyBoard> mock;
  std::shared_ptr<LoopbackCable> cable;
  std::unique_ptr<TestBoard> board;
  PulseLog pulses;
  std::vector<DeviceAddress> all = devices(kShape, 0, kShape.device_count());
};

// ---- reads over a bad line -------------------------------------------------------------------

/// What became of reads of the whole array under many seeds.
struct Reads {
  int whole = 0;
  int timeouts = 0;
  mock::FrameFaultCounters requests = {};
  mock::FrameFaultCounters replies = {};
};

class BadLineTest : public FaultyEndToEndTest {
 protected:
  /// Reads the whole array with every one of the seeds. Each sum that is handed out must be right,
  /// and a read ends well or with Timeout.
  Reads read_under_seeds(std::uint64_t seeds) {
    const std::vector<std::uint16_t> right = right_sums();
    EXPECT_GT(std::accumulate(right.begin(), right.end(), 0), 0);
    plan.line.spared = kOpening;
    Reads reads;
    for (plan.seed = 1; plan.seed <= seeds; ++plan.seed) {
      start();
      std::size_t next = 0;
      const auto result = board->read(all, {}, [&](const ReadChunk& chunk) -> Result<void> {
        EXPECT_EQ(chunk.begin, next);
        const auto expected = std::span(right).subspan(chunk.begin, chunk.code_sums.size());
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), chunk.code_sums.begin()));
        next += chunk.code_sums.size();
        return {};
      });
      if (result) {
        EXPECT_EQ(next, all.size());
        ++reads.whole;
      } else {
        EXPECT_EQ(result.error().code, ErrorCode::Timeout) << result.error().message;
        EXPECT_THAT(result.error().message, HasSubstr("read of 64 devices"));
        ++reads.timeouts;
      }
      add(reads.requests, mock->counters().requests);
      add(reads.replies, mock->counters().replies);
      repeated_requests += board->line_counters().repeated_requests;
      ignored_replies += board->line_counters().ignored_replies;
    }
    return reads;
  }

  static void add(mock::FrameFaultCounters& sum, const mock::FrameFaultCounters& more) {
    sum.lost += more.lost;
    sum.corrupted += more.corrupted;
    sum.truncated += more.truncated;
    sum.repeated += more.repeated;
    sum.late += more.late;
  }

  std::uint64_t repeated_requests = 0;
  std::uint64_t ignored_replies = 0;
};

TEST_F(BadLineTest, LostRepliesAreAskedForAgain) {
  plan.line.replies.lost = 0.02;
  const Reads reads = read_under_seeds(30);
  EXPECT_GE(reads.whole, 27);
  EXPECT_GT(reads.replies.lost, 20U);
  EXPECT_GE(repeated_requests, reads.replies.lost - static_cast<unsigned>(reads.timeouts));
}

TEST_F(BadLineTest, LostRequestsAreSentAgain) {
  plan.line.requests.lost = 0.02;
  const Reads reads = read_under_seeds(30);
  EXPECT_GE(reads.whole, 27);
  EXPECT_GT(reads.requests.lost, 20U);
}

TEST_F(BadLineTest, CorruptedFramesAreFoundOutAndAskedForAgain) {
  plan.line.requests.corrupted = plan.line.replies.corrupted = 0.01;
  const Reads reads = read_under_seeds(30);
  EXPECT_GE(reads.whole, 27);
  EXPECT_GT(reads.requests.corrupted, 10U);
  EXPECT_GT(reads.replies.corrupted, 10U);
}

TEST_F(BadLineTest, TruncatedFramesAreFoundOutAndAskedForAgain) {
  plan.line.requests.truncated = plan.line.replies.truncated = 0.01;
  const Reads reads = read_under_seeds(30);
  EXPECT_GE(reads.whole, 20);
  EXPECT_GT(reads.requests.truncated, 10U);
  EXPECT_GT(reads.replies.truncated, 10U);
}

TEST_F(BadLineTest, RepeatedRepliesAreIgnored) {
  plan.line.replies.repeated = 0.1;
  const Reads reads = read_under_seeds(30);
  EXPECT_EQ(reads.whole, 30);
  EXPECT_GT(reads.replies.repeated, 100U);
  EXPECT_EQ(repeated_requests, 0U);
  EXPECT_GT(ignored_replies, 0U);
}

TEST_F(BadLineTest, LateRepliesAreIgnoredAndAskedForAgain) {
  plan.line.late_replies = 0.02;
  plan.line.late_by = 3;
  const Reads reads = read_under_seeds(30);
  EXPECT_GE(reads.whole, 27);
  EXPECT_GT(reads.replies.late, 20U);
  EXPECT_GT(ignored_replies, 0U);
}

TEST_F(BadLineTest, OfAllFaultsAtOnceNoneLetsAWrongValueThrough) {
  plan.line.requests = {.lost = 0.005, .corrupted = 0.005, .truncated = 0.002};
  plan.line.replies = {.lost = 0.005, .corrupted = 0.005, .truncated = 0.002, .repeated = 0.02};
  plan.line.late_replies = 0.005;
  const Reads reads = read_under_seeds(100);
  EXPECT_GE(reads.whole, 80);
  EXPECT_THAT((std::vector{reads.requests.lost, reads.requests.corrupted, reads.requests.truncated,
                           reads.replies.lost, reads.replies.corrupted, reads.replies.truncated,
                           reads.replies.repeated, reads.replies.late}),
              ::testing::Each(Ge(5U)));
}

TEST_F(BadLineTest, AHopelessLineEndsInATimeoutAndNotInAWrongValue) {
  plan.line.requests = {.lost = 0.1, .corrupted = 0.1, .truncated = 0.1};
  plan.line.replies = {.lost = 0.1, .corrupted = 0.1, .truncated = 0.1, .repeated = 0.1};
  plan.line.late_replies = 0.1;
  plan.line.late_by = 5;
  EXPECT_EQ(read_under_seeds(50).timeouts, 50);
}

/// A real chip is noisy, so what is read again differs; everything else must not.
TEST_F(FaultyEndToEndTest, RepeatedRepliesChangeNoCodeOfANoisyChip) {
  parameters = {};
  const std::vector<std::uint16_t> right = right_sums();
  plan.line.replies.repeated = 0.2;
  start();
  EXPECT_EQ(read_all(), right);
  EXPECT_GT(mock->counters().replies.repeated, 5U);
}

TEST_F(FaultyEndToEndTest, ALostReplyCostsOneMoreReadOfItsDevices) {
  const std::vector<std::uint16_t> right = right_sums();
  plan.line.replies.lost = 1;
  plan.line.spared = kOpening + 10;
  plan.line.most = 1;
  start();
  EXPECT_EQ(read_all(), right);
  EXPECT_EQ(mock->counters().replies, mock::FrameFaultCounters{.lost = 1});
  EXPECT_EQ(board->line_counters().repeated_requests, 1U);
  EXPECT_EQ(board->status()->busy,
            std::chrono::microseconds(5) * static_cast<int>((kChunks + 1) * kChunk));
}

TEST_F(FaultyEndToEndTest, RepeatedRequestsAreReadTwiceWhileTheQueueHasRoom) {
  const std::vector<std::uint16_t> right = right_sums();
  plan.line.requests.repeated = 1;
  start({.max_requests_in_flight = 8});
  EXPECT_EQ(read_all(), right);
  EXPECT_EQ(mock->counters().requests.repeated, kOpening + kChunks);
  EXPECT_EQ(board->line_counters().repeated_requests, 0U);
}

/// What is left of a frame makes its receiver wait for the rest, on either side.
TEST_F(FaultyEndToEndTest, ReopeningClearsALineThatTruncatedFramesHaveStopped) {
  plan.line.spared = kOpening;
  plan.line.most = 2;
  for (plan.seed = 1; plan.seed <= 40; ++plan.seed) {
    plan.line.replies.truncated = plan.seed % 2 == 0 ? 1 : 0;
    plan.line.requests.truncated = plan.seed % 2 == 0 ? 0 : 1;
    start();
    ReadLog log;
    const auto result = board->read(std::span(all).first(kChunk), {}, log.sink());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Timeout);
    ASSERT_TRUE(board->reopen());
    EXPECT_TRUE(board->status());
  }
}

// ---- pulses over a bad line ------------------------------------------------------------------

TEST_F(FaultyEndToEndTest, ALostAcknowledgementIsATimeoutAndStatusTellsThatThePulsesWentOut) {
  plan.line.replies.lost = 1;
  plan.line.spared = kOpening + 2;
  plan.line.most = 1;
  start();
  const auto result = program(1, std::span(all).first(5 * kChunk));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Timeout);
  EXPECT_THAT(result.error().message, HasSubstr("program batch 3"));
  EXPECT_THAT(pulses.chunks, SizeIs(2));
  const auto status = board->status();
  ASSERT_TRUE(status);
  EXPECT_THAT(status->recent_batches, SizeIs(5));
  EXPECT_EQ(status->pulses_executed, 5 * kChunk);
}

TEST_F(FaultyEndToEndTest, WhateverTheLineDoesNoDeviceGetsAPulseTwice) {
  plan.line.requests = {.lost = 0.01, .corrupted = 0.01, .truncated = 0.01, .repeated = 0.1};
  plan.line.replies = {.lost = 0.01, .corrupted = 0.01, .truncated = 0.01, .repeated = 0.1};
  plan.line.late_replies = 0.02;
  plan.line.spared = kOpening;
  std::uint64_t repeated = 0;
  int failures = 0;
  for (plan.seed = 1; plan.seed <= 30; ++plan.seed) {
    pulses = {};
    start({.max_requests_in_flight = 8});
    failures += program(1, all) ? 0 : 1;
    std::map<std::uint64_t, wire::BatchRecord> applied;
    for (const mock::AppliedBatch& batch : mock->board().ledger()) {
      EXPECT_TRUE(applied.emplace(batch.batch.batch, batch.batch).second) << "twice";
    }
    for (const PulseChunk& chunk : pulses.chunks) {
      ASSERT_TRUE(applied.contains(chunk.batch)) << "acknowledged and not applied";
      EXPECT_EQ(applied[chunk.batch].pulses_executed, chunk.pulses_executed);
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(mock->board().chip().pulses_of(all[i]), applied.contains(1 + i / kChunk) ? 1U : 0U);
    }
    repeated += mock->counters().requests.repeated;
  }
  EXPECT_GT(failures, 15);
  EXPECT_GT(repeated, 30U);
}

// ---- disconnects and loss of memory ----------------------------------------------------------

TEST_F(FaultyEndToEndTest, APlannedDisconnectInsideABatchIsDisconnectedAndReopenWorks) {
  plan.disconnect = {.after_requests = kOpening + 3, .share = 0.5};
  start();
  const auto result = program(1, all);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Disconnected);
  EXPECT_THAT(result.error().message, HasSubstr("not acknowledged: batch 3 to "));
  EXPECT_THAT(pulses.chunks, SizeIs(2));
  EXPECT_EQ(board->status().error().code, ErrorCode::Disconnected);
  ASSERT_TRUE(board->reopen());
  EXPECT_EQ(board->information().boot_epoch, 1U);
  const auto status = board->status();
  ASSERT_TRUE(status);
  ASSERT_THAT(status->recent_batches, SizeIs(3));
  EXPECT_EQ(untimed(status->recent_batches.back()),
            (wire::BatchRecord{3, kChunk, kChunk / 2, kChunk / 2}));
  // From exactly there on, and every device has had one pulse.
  ASSERT_TRUE(program(1000, std::span(all).subspan(2 * kChunk + kChunk / 2)));
  for (const DeviceAddress address : all) {
    EXPECT_EQ(mock->board().chip().pulses_of(address), 1U);
  }
  EXPECT_EQ(mock->counters(), mock::FaultCounters{.disconnects = 1});
}

TEST_F(FaultyEndToEndTest, AReadThatIsCutIsReadAgainAfterReopen) {
  const std::vector<std::uint16_t> right = right_sums();
  plan.disconnect.after_requests = 20;
  plan.disconnect.times = 2;
  start();
  int disconnects = 0;
  ReadLog log;
  for (;;) {
    log = {};
    const auto result = board->read(all, {}, log.sink());
    if (result) break;
    ASSERT_EQ(result.error().code, ErrorCode::Disconnected);
    ASSERT_TRUE(board->reopen());
    ++disconnects;
  }
  EXPECT_EQ(disconnects, 2);
  EXPECT_EQ(log.sums, right);
}

TEST_F(FaultyEndToEndTest, ALossOfMemoryShowsInTheEpochAndInTheRecords) {
  plan.memory_loss.after_requests = kOpening + 3;
  plan.memory_loss.share = 0.25;
  start();
  ASSERT_FALSE(program(1, all));
  ASSERT_TRUE(board->reopen());
  EXPECT_EQ(board->information().boot_epoch, 2U);
  EXPECT_THAT(board->status()->recent_batches, IsEmpty());
  EXPECT_THAT(mock->board().ledger(), SizeIs(3));
  EXPECT_EQ(mock->board().chip().pulses_of(all[2 * kChunk + kChunk / 4 - 1]), 1U);
  EXPECT_EQ(mock->board().chip().pulses_of(all[2 * kChunk + kChunk / 4]), 0U);
}

// ---- board -----------------------------------------------------------------------------------

TEST_F(FaultyEndToEndTest, PulsesAreRefusedWhileThePlanHasTheChipTooHot) {
  plan.over_temperature_K = 100;
  plan.over_temperature_from = std::chrono::seconds(60);
  plan.over_temperature_until = std::chrono::seconds(120);
  start();
  ASSERT_TRUE(program(1, std::span(all).first(10)));
  ASSERT_TRUE(board->advance_time_to(board->status()->now + std::chrono::seconds(60)));
  const auto result = program(2, std::span(all).first(10));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::LimitExceeded);
  EXPECT_THAT(result.error().message, AllOf(HasSubstr("over temperature"), HasSubstr("400.0")));
  EXPECT_THAT(result.error().advice, HasSubstr("cool"));
  EXPECT_NEAR(board->temperature()->K(), 400, 1e-9);
  ASSERT_TRUE(board->advance_time_to(board->status()->now + std::chrono::seconds(60)));
  EXPECT_TRUE(program(2, std::span(all).first(10)));
  EXPECT_GE(mock->counters().hot_requests, 2U);
}

TEST_F(FaultyEndToEndTest, ASlowBoardIsBusyForLongerWithTheSameCodes) {
  const std::vector<std::uint16_t> right = right_sums();
  const Duration usual = board->status()->busy;
  plan.slowness = 10;
  plan.request_overhead = std::chrono::milliseconds(1);
  start();
  EXPECT_EQ(board->information().sample_time, std::chrono::microseconds(1));
  EXPECT_EQ(read_all(), right);
  const auto status = board->status();
  EXPECT_EQ(status->busy, 10 * usual);
  EXPECT_GE(status->now, 10 * usual + std::chrono::milliseconds(kChunks));
}

// ---- chip and ADC ----------------------------------------------------------------------------

TEST_F(FaultyEndToEndTest, DevicesOfADeadLineReadZeroWhateverIsDoneToThem) {
  parameters.stuck_high_fraction = 0;
  parameters.stuck_low_fraction = 0;
  plan.chip.dead_word_lines = {WordLine{5}};
  plan.chip.dead_bit_lines = {BitLine{100}};
  start();
  const std::vector<Pulse> reset{{Current::from_uA(450), kWidth}};
  ASSERT_TRUE(board->initialise(1, reset, all, pulses.sink()));
  for (std::uint64_t k = 0; k < 10; ++k) ASSERT_TRUE(program(1000 * (k + 1), all));
  const std::vector<std::uint16_t> sums = read_all();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool dead = all[i].word_line.index == 5 || all[i].bit_line.index == 100;
    EXPECT_EQ(sums[i] == 0, dead) << i;
  }
}

TEST_F(FaultyEndToEndTest, AStuckBitOfTheAdcShowsInEveryCode) {
  const auto codes_with = [this](std::uint8_t ones, std::uint8_t zeros) {
    plan.chip.adc_bits_stuck_at_1 = ones;
    plan.chip.adc_bits_stuck_at_0 = zeros;
    start();
    return read_all(1);
  };
  const std::vector<std::uint16_t> right = codes_with(0, 0);
  const std::vector<std::uint16_t> stuck = codes_with(0x40, 0x01);
  EXPECT_NE(stuck, right);
  for (std::size_t i = 0; i < right.size(); ++i) EXPECT_EQ(stuck[i], (right[i] | 0x40) & ~0x01);
}

TEST_F(FaultyEndToEndTest, CalibrationFollowsADriftingReference) {
  const std::vector<std::uint16_t> right = right_sums();
  plan.chip.reference_error = -0.05;
  plan.chip.reference_drift_per_day = 0.02;
  start();
  EXPECT_NEAR(board->calibrate({})->gain_uS_per_code, 0.2 / 0.95, 0.001);
  ASSERT_TRUE(board->advance_time_to(board->status()->now + std::chrono::hours(24 * 6)));
  const auto calibration = board->calibrate({});
  ASSERT_TRUE(calibration);
  EXPECT_NEAR(calibration->gain_uS_per_code, 0.2 / 1.07, 0.001);
  const std::vector<std::uint16_t> sums = read_all();
  EXPECT_NE(sums, right);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (right[i] > 5 * 230) continue;  // near the upper end, where the drifted one is clipped
    EXPECT_NEAR(calibration->conductance_uS(sums[i], 5), 0.2 * right[i] / 5, 0.3) << i;
  }
}

TEST_F(FaultyEndToEndTest, AReferenceThatIsTooFarOffIsRefused) {
  for (const double error : {0.3, -0.3}) {
    plan.chip.reference_error = error;
    start();
    const auto calibration = board->calibrate({});
    ASSERT_FALSE(calibration) << error;
    EXPECT_EQ(calibration.error().code, ErrorCode::Refused);
    EXPECT_THAT(calibration.error().message, HasSubstr("more than 20 % off"));
  }
}

TEST_F(FaultyEndToEndTest, StuckDevicesOfThePlanComeBesideThoseOfTheModel) {
  parameters.stuck_high_fraction = 0;
  parameters.stuck_low_fraction = 0;
  plan.chip.stuck_high_fraction = 0.02;
  plan.chip.stuck_low = {kShape.at(17)};
  start();
  const std::vector<Pulse> reset{{Current::from_uA(450), kWidth}};
  ASSERT_TRUE(board->initialise(1, reset, all, pulses.sink()));
  const std::vector<std::uint16_t> sums = read_all();
  const auto high = std::count_if(sums.begin(), sums.end(), [](auto sum) { return sum > 500; });
  EXPECT_NEAR(static_cast<double>(high), 0.02 * static_cast<double>(all.size()), 30);
  for (std::uint64_t k = 0; k < 10; ++k) ASSERT_TRUE(program(1000 * (k + 1), all));
  EXPECT_LT(read_all()[17], 10);
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
// RecoveringBoard over a loopback to a FaultyBoard: every pulse exactly once, by the mock's own
// ledger, whatever happens to frames and cable.
#include "driver/recovering_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <stop_token>
#include <thread>

#include "tests/driver/faulty_loopback.h"
#include "tests/driver/scripted_board.h"

namespace pcmlab {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kWidth;
using testing::PulseLog;
using testing::ReadLog;
using testing::scattered;
using ::testing::SizeIs;

constexpr ArrayShape kShape{32, 128};
constexpr std::size_t kChunk = 64;

class RecoveringBoardTest : public ::testing::Test {
 protected:
  void start(RecoverySettings settings = {}) {
    mock::MockBoardSettings mock_settings;
    mock_settings.limits.max_devices_per_request = kChunk;
    mock_settings.ledger_batches = 100000;
    mock_settings.capabilities = capabilities;
    mock.emplace(mock::PcmChip(mock::PcmParameters{}, kShape, 42, 1), mock_settings, plan);
    start_again(std::move(settings));
  }

  /// Opens the mock that is there.
  void start_again(RecoverySettings settings = {}) {
    cable = std::make_shared<LoopbackCable>();
    settings.tell = [this](const BoardEvent& event) {
      events.push_back(event);
      is_interrupted = is_interrupted || event.kind == BoardEvent::Kind::Interrupted;
      // Somebody sees it and puts the cable in again.
      if (somebody_is_there && !cable->plugged()) cable->replug();
      if (event.kind == BoardEvent::Kind::Reconnected && pulls_after_reconnecting > 0) {
        --pulls_after_reconnecting;
        cable->unplug();
      }
    };
    settings.pause_between_attempts = std::chrono::milliseconds(1);
    auto opened = TestBoard::open(testing::loopback_to(*mock, cable));
    ASSERT_TRUE(opened) << opened.error().message;
    board.emplace(std::move(*opened), std::move(settings));
  }

  Result<void> program(std::uint64_t first_batch, std::span<const DeviceAddress> addresses) {
    return board->program(first_batch, kWidth, addresses,
                          std::vector<std::uint16_t>(addresses.size(), 10000), pulses.sink());
  }
  Result<void> reset(std::uint64_t first_batch, std::span<const DeviceAddress> addresses) {
    const std::vector<Pulse> sequence{{Current::from_uA(450), Duration(50)},
                                      {Current::from_uA(100), Duration(100)}};
    return board->initialise(first_batch, sequence, addresses, pulses.sink());
  }

  /// Pulses that the chip really got, by device and without the device's own: one for each of `all`
  /// and batch.
  std::uint64_t pulses_applied() const {
    std::uint64_t sum = 0;
    for (const mock::AppliedBatch& applied : mock->board().ledger()) {
      sum += applied.batch.pulses_executed;
    }
    return sum;
  }
  /// How many devices of each batch were done, over all parts of it.
  std::map<std::uint64_t, std::uint32_t> devices_applied() const {
    std::map<std::uint64_t, std::uint32_t> done;
    for (const mock::AppliedBatch& applied : mock->board().ledger()) {
      done[original_batch(applied.batch.batch)] += applied.batch.devices_done;
    }
    return done;
  }
  /// What the sink got is each device once, in order, chunk by chunk.
  void expect_whole(std::size_t count, std::uint64_t first_batch) {
    std::size_t next = 0;
    for (const PulseChunk& chunk : pulses.chunks) {
      EXPECT_EQ(chunk.begin, next);
      EXPECT_EQ(chunk.batch, first_batch + next / kChunk);
      EXPECT_EQ(chunk.count, std::min(kChunk, count - next));
      EXPECT_LE(chunk.first, chunk.last);
      next += chunk.count;
    }
    EXPECT_EQ(next, count);
  }
  std::size_t count(BoardEvent::Kind kind) const {
    return static_cast<std::size_t>(
        std::count_if(events.begin(), events.end(),
                      [kind](const BoardEvent& event) { return event.kind == kind; }));
  }
  void expect_once(std::size_t device_count, std::uint32_t pulses_each, const std::string& what) {
    for (const auto& [batch, done] : devices_applied()) {
      const std::size_t begin = (batch - 1) * kChunk;
      EXPECT_EQ(done, std::min(kChunk, device_count - begin)) << what << ", batch " << batch;
    }
    EXPECT_EQ(devices_applied().size(), (device_count + kChunk - 1) / kChunk) << what;
    EXPECT_EQ(pulses_applied(), device_count * pulses_each) << what;
    expect_whole(device_count, 1);
    std::uint64_t reported = 0;
    for (const PulseChunk& chunk : pulses.chunks) reported += chunk.pulses_executed;
    EXPECT_EQ(reported, device_count * pulses_each) << what;
  }

  bool somebody_is_there = true;
  int pulls_after_reconnecting = 0;
  std::atomic<bool> is_interrupted = false;  // for another thread; events are not
  mock::FaultPlan plan;
  std::uint32_t capabilities = wire::kVirtualTime | wire::kReferenceResistors;
  std::optional<mock::FaultyBoard> mock;
  std::shared_ptr<LoopbackCable> cable;
  std::optional<RecoveringBoard> board;
  std::vector<BoardEvent> events;
  PulseLog pulses;
  std::vector<DeviceAddress> some = scattered(kShape, 40 * kChunk - 7);
};

TEST_F(RecoveringBoardTest, WithoutInterruptionsItIsTheBoardUnderIt) {
  start();
  ASSERT_TRUE(program(1, some));
  expect_once(some.size(), 1, "");
  EXPECT_THAT(events, IsEmpty());
  EXPECT_EQ(board->interruptions(), 0U);
}

TEST_F(RecoveringBoardTest, ALostAcknowledgementIsFoundInTheBoardsRecords) {
  plan.line.replies.lost = 1;
  plan.line.spared = 10;
  plan.line.most = 1;
  start();
  ASSERT_TRUE(program(1, some));
  expect_once(some.size(), 1, "");
  EXPECT_EQ(mock->counters().replies.lost, 1U);
  EXPECT_GT(count(BoardEvent::Kind::BatchSettled), 0U);
  EXPECT_EQ(count(BoardEvent::Kind::Reconnected), 0U);
}

TEST_F(RecoveringBoardTest, ABatchThatNeverArrivedIsSentAgainAndThoseBehindItAreNot) {
  plan.line.requests.lost = 1;
  plan.line.spared = 10;
  plan.line.most = 1;
  start();
  ASSERT_TRUE(program(1, some));
  expect_once(some.size(), 1, "");
  EXPECT_EQ(mock->counters().requests.lost, 1U);
}

TEST_F(RecoveringBoardTest, RecoveredBatchesHaveTheTimesThatTheBoardWouldHaveSaid) {
  start();
  ASSERT_TRUE(program(1, some));
  const std::vector<PulseChunk> undisturbed = std::exchange(pulses.chunks, {});
  plan.line.replies.lost = 1;
  plan.line.spared = 40;  // among the last, so that nothing is sent later than it would be
  plan.line.most = 1;
  start();
  ASSERT_TRUE(program(1, some));
  ASSERT_EQ(pulses.chunks.size(), undisturbed.size());
  for (std::size_t k = 0; k < undisturbed.size(); ++k) {
    EXPECT_EQ(pulses.chunks[k].first, undisturbed[k].first) << k;
    EXPECT_EQ(pulses.chunks[k].last, undisturbed[k].last) << k;
    EXPECT_EQ(pulses.chunks[k].pulses_executed, undisturbed[k].pulses_executed) << k;
  }
}

TEST_F(RecoveringBoardTest, OverABadLineEveryPulseGoesOutOnce) {
  plan.line.requests = {.lost = 0.01, .corrupted = 0.01, .truncated = 0.01, .repeated = 0.01};
  plan.line.replies = {.lost = 0.01, .corrupted = 0.01, .truncated = 0.01, .repeated = 0.01};
  plan.line.late_replies = 0.01;
  plan.line.spared = 2;
  std::uint64_t interruptions = 0;
  for (plan.seed = 1; plan.seed <= 100; ++plan.seed) {
    const std::string what = "seed " + std::to_string(plan.seed);
    pulses.chunks.clear();
    start();
    const bool as_sequence = plan.seed % 2 == 0;
    const auto result = as_sequence ? reset(1, some) : program(1, some);
    ASSERT_TRUE(result) << what << ": " << result.error().message;
    expect_once(some.size(), as_sequence ? 2 : 1, what);
    interruptions += board->interruptions();
  }
  EXPECT_GT(interruptions, 100U);
}

TEST_F(RecoveringBoardTest, ACablePulledWithinABatchGoesOnAtTheDeviceAtWhichItStopped) {
  std::mt19937 random(5);
  for (std::uint64_t at = 3; at < 43; ++at) {
    pulses.chunks.clear();
    plan.disconnect.after_requests = at;
    plan.disconnect.share = std::uniform_real_distribution<double>(0, 1)(random);
    start();
    const auto result = program(1, some);
    ASSERT_TRUE(result) << result.error().message;
    expect_once(some.size(), 1, "after " + std::to_string(at));
  }
}

TEST_F(RecoveringBoardTest, PulledAgainBeforeItHasSaidHowFarItCameItGoesOn) {
  plan.disconnect.after_requests = 7;
  pulls_after_reconnecting = 3;
  start();
  const auto result = program(1, some);
  ASSERT_TRUE(result) << result.error().message;
  expect_whole(some.size(), 1);
  expect_once(some.size(), 1, "pulled again");
  EXPECT_EQ(count(BoardEvent::Kind::Interrupted), 4U);
  EXPECT_EQ(board->interruptions(), 4U);
}

TEST_F(RecoveringBoardTest, ABatchCutAgainAndAgainIsStillDoneOnce) {
  plan.disconnect.after_requests = 7;  // of which the greeting and Status take three
  plan.disconnect.times = 20;
  for (const double share : {0.0, 0.3}) {
    pulses.chunks.clear();
    plan.disconnect.share = share;
    start();
    const auto result = reset(1, some);
    ASSERT_TRUE(result) << result.error().message;
    expect_once(some.size(), 2, std::to_string(share));
    EXPECT_GE(mock->counters().disconnects, 8U);
  }
}

TEST_F(RecoveringBoardTest, PulledAtAnyByteNothingIsLostOrDoubled) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    pulses.chunks.clear();
    start();
    const auto at = [&random](std::uint64_t most) {
      return std::uniform_int_distribution<std::uint64_t>(1, most)(random);
    };
    if (round % 3 == 0) cable->unplug_after_bytes_to_board(at(16000));
    if (round % 3 == 1) cable->unplug_after_bytes_to_host(at(2200));
    if (round % 3 == 2) cable->unplug_after_sends(at(39));
    const auto result = program(1, some);
    ASSERT_TRUE(result) << round << ": " << result.error().message;
    expect_once(some.size(), 1, "round " + std::to_string(round));
    ASSERT_EQ(board->interruptions(), 1U) << round;
    ASSERT_EQ(count(BoardEvent::Kind::Reconnected), static_cast<std::size_t>(round) + 1);
  }
}

// ---- loss of memory ----------------------------------------------------------------------------

TEST_F(RecoveringBoardTest, AfterALossOfMemoryWhatWasUnderWayIsUnknownAndNotSentAgain) {
  plan.memory_loss.after_requests = 11;  // batch 8
  plan.memory_loss.share = 0.5;
  start();
  ASSERT_TRUE(program(1, some));
  expect_whole(some.size(), 1);
  std::vector<std::uint64_t> unknown;
  std::uint64_t known_pulses = 0;
  for (const PulseChunk& chunk : pulses.chunks) {
    known_pulses += chunk.pulses_executed;
    if (chunk.unknown > 0) unknown.push_back(chunk.batch);
    EXPECT_TRUE(chunk.unknown == 0 || chunk.unknown == chunk.count);
  }
  // 16 were in flight: seven were acknowledged, the rest had been sent.
  EXPECT_THAT(unknown, SizeIs(16));
  EXPECT_EQ(unknown.front(), 8U);
  EXPECT_EQ(unknown.back(), 23U);
  for (const auto& [batch, done] : devices_applied()) {
    EXPECT_LE(done, kChunk) << batch;
    if (batch == 8) {
      EXPECT_EQ(done, kChunk / 2);
    }
    EXPECT_FALSE(batch > 8 && batch <= 23) << batch << " was dropped by the board";
  }
  EXPECT_EQ(pulses_applied(), known_pulses + kChunk / 2);
  EXPECT_EQ(count(BoardEvent::Kind::MemoryLost), 1U);
  EXPECT_EQ(count(BoardEvent::Kind::BatchUnknown), 16U);
}

TEST_F(RecoveringBoardTest, TimeGoesOnWhenTheBoardsClockBeginsAgain) {
  plan.memory_loss.after_requests = 20;
  start();
  ASSERT_TRUE(board->advance_time_to(std::chrono::hours(5)));
  ASSERT_TRUE(program(1, some));
  BoardTime last{};
  for (const PulseChunk& chunk : pulses.chunks) {
    EXPECT_GE(chunk.first, last);
    last = chunk.last;
  }
  const auto status = board->status();
  ASSERT_TRUE(status);
  EXPECT_GE(status->now, last);
  EXPECT_EQ(status->boot_epoch, 2U);
  EXPECT_LT(status->now, std::chrono::hours(5) + std::chrono::minutes(1));
  const auto later = board->advance_time_to(status->now + std::chrono::seconds(10));
  ASSERT_TRUE(later);
  EXPECT_GE(*later - status->now, std::chrono::seconds(10));
  EXPECT_LT(*later - status->now, std::chrono::seconds(11));
}

TEST_F(RecoveringBoardTest, OnABoardWithRealTimeTheHostsClockBridgesALossOfMemory) {
  capabilities = wire::kReferenceResistors;
  plan.memory_loss.after_requests = 4;
  start();
  const auto began = std::chrono::steady_clock::now();
  const auto before = board->status();
  const auto after = board->status();
  const auto wall = std::chrono::steady_clock::now() - began;
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->boot_epoch, 2U);
  EXPECT_GE(after->now, before->now);
  EXPECT_LE(after->now - before->now, wall + std::chrono::milliseconds(1));
}

// ---- reads and the rest ------------------------------------------------------------------------

TEST_F(RecoveringBoardTest, AReadGoesOnWhereItWasCut) {
  for (std::uint64_t at = 3; at < 40; at += 3) {
    plan.disconnect.after_requests = at;
    start();
    ReadLog log;
    const auto result = board->read(some, {}, log.sink());
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(log.sums.size(), some.size());
    for (std::size_t k = 0; k < log.begins.size(); ++k) EXPECT_EQ(log.begins[k], k * kChunk);
  }
}

TEST_F(RecoveringBoardTest, EveryOtherQuestionIsAskedAgain) {
  for (std::uint64_t at = 3; at < 9; ++at) {
    plan.disconnect.after_requests = at;
    start();
    EXPECT_TRUE(board->status());
    EXPECT_TRUE(board->temperature());
    EXPECT_TRUE(board->calibrate({}));
    EXPECT_TRUE(board->set_limits({}));
    EXPECT_TRUE(board->abort());
    const auto now = board->advance_time_to(std::chrono::hours(1));
    ASSERT_TRUE(now);
    EXPECT_LT(*now, std::chrono::hours(1) + std::chrono::seconds(1));
    EXPECT_EQ(mock->counters().disconnects, 1U);
  }
}

TEST_F(RecoveringBoardTest, WhenNobodyPlugsItInTheErrorNamesTheWorkAndTheBoard) {
  somebody_is_there = false;
  start({.wait_for_board = std::chrono::milliseconds(20)});
  cable->unplug_after_sends(6);
  const auto result = program(1, some);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Disconnected);
  EXPECT_THAT(result.error().message, HasSubstr("sent and not acknowledged: batch 1 to 5"));
  EXPECT_THAT(result.error().message, HasSubstr("the cable is still out"));
  cable->replug();
  ASSERT_TRUE(board->reopen());
  EXPECT_TRUE(board->status());
}

TEST_F(RecoveringBoardTest, TheWaitingForABoardCanBeStopped) {
  somebody_is_there = false;
  std::stop_source stop;
  start({.wait_for_board = std::chrono::hours(10), .stop = stop.get_token()});
  cable->unplug();
  std::jthread impatient([&] {
    while (!is_interrupted) std::this_thread::yield();
    stop.request_stop();
  });
  EXPECT_EQ(board->status().error().code, ErrorCode::Stopped);
}

TEST_F(RecoveringBoardTest, ASinksErrorIsFinal) {
  start();
  int calls = 0;
  const auto result =
      board->program(1, kWidth, some, std::vector<std::uint16_t>(some.size(), 10000),
                     [&](const PulseChunk&) -> Result<void> {
                       ++calls;
                       return fail(ErrorCode::DiskFull, "no room");
                     });
  EXPECT_EQ(result.error().code, ErrorCode::DiskFull);
  EXPECT_EQ(calls, 1);
}

TEST_F(RecoveringBoardTest, ARefusalIsNoInterruption) {
  start();
  ASSERT_TRUE(program(1, some));
  const auto again = program(30, some);
  EXPECT_EQ(again.error().code, ErrorCode::DuplicateBatch);
  EXPECT_THAT(again.error().message, HasSubstr("duplicate batch"));
  EXPECT_THAT(events, IsEmpty());
}

TEST_F(RecoveringBoardTest, ANumberUsedBeforeItWasOpenedIsNotTakenForItsOwn) {
  start();
  ASSERT_TRUE(program(1, some));
  board.reset();
  pulses.chunks.clear();
  start_again();
  const auto again = program(40, some);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::DuplicateBatch);
  EXPECT_THAT(pulses.chunks, IsEmpty());
}

TEST_F(RecoveringBoardTest, AHopelessLineEndsInAnErrorAndNotInADoubledPulse) {
  plan.line.requests.lost = plan.line.replies.lost = 0.45;
  plan.line.spared = 2;
  plan.seed = 3;
  start({.wait_for_board = std::chrono::milliseconds(0), .attempts = 2});
  const auto result = program(1, some);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Timeout) << result.error().message;
  for (const auto& [batch, done] : devices_applied()) EXPECT_LE(done, kChunk) << batch;
}

// ---- what an earlier process left --------------------------------------------------------------

/// A process that writes down what is acknowledged until it is killed, and another one after it.
class EarlierProcessTest : public RecoveringBoardTest {
 protected:
  /// Sends all of `some` and dies with the reply of chunk `last`; what was on its way is executed.
  void die_after(std::size_t last) {
    const PulseSink sink = pulses.sink();
    const Result<void> sent =
        board->program(1, kWidth, some, std::vector<std::uint16_t>(some.size(), 10000),
                       [&](const PulseChunk& chunk) -> Result<void> {
                         if (chunk.begin >= last * kChunk)
                           return fail(ErrorCode::Stopped, "killed");
                         return sink(chunk);
                       });
    ASSERT_FALSE(sent);
    written = pulses.chunks.size();
    earlier.boot_epoch = earlier.unsettled_epoch = board->boot_epoch();
    earlier.latest = pulses.chunks.empty() ? BoardTime(0) : pulses.chunks.back().last;
    earlier.first_unsettled = 1 + written;
    earlier.end_unsettled = 1 + (some.size() + kChunk - 1) / kChunk;
    board.reset();
  }

  /// The next process goes on behind what was written down.
  Result<void> go_on() {
    start_again({.earlier = earlier});
    const std::size_t begin = written * kChunk;
    const PulseSink sink = pulses.sink();
    return board->program(1 + written, kWidth, std::span(some).subspan(begin),
                          std::vector<std::uint16_t>(some.size() - begin, 10000),
                          [&](PulseChunk chunk) {
                            chunk.begin += begin;
                            return sink(chunk);
                          });
  }

  std::size_t written = 0;
  EarlierWork earlier;
};

TEST_F(EarlierProcessTest, SendsOnlyWhatTheBoardDidNotGetFromTheOneBefore) {
  for (const std::size_t killed_after : {0U, 1U, 7U, 38U, 39U}) {
    pulses = {};
    start();
    die_after(killed_after);
    ASSERT_EQ(written, killed_after);
    ASSERT_GT(devices_applied().size(), written) << "nothing was on its way";
    ASSERT_TRUE(go_on());
    expect_once(some.size(), 1, "killed after " + std::to_string(killed_after));
  }
}

TEST_F(EarlierProcessTest, SendsTheRestOfABatchThatWasDoneInPart) {
  plan.disconnect = {.after_requests = 12, .times = 1, .share = 0.3};
  start({.wait_for_board = std::chrono::milliseconds(0)});
  somebody_is_there = false;
  die_after(5);
  EXPECT_LT(devices_applied().rbegin()->second, kChunk) << "no batch was done in part";
  ASSERT_TRUE(go_on());
  expect_once(some.size(), 1, "");
}

TEST_F(EarlierProcessTest, DoesNotKnowBatchesThatTheBoardForgotWhenItBootedMeanwhile) {
  start();
  die_after(7);
  mock->board().reboot();
  const BoardTime latest = earlier.latest;
  ASSERT_TRUE(go_on());
  EXPECT_EQ(count(BoardEvent::Kind::MemoryLost), 1U);
  EXPECT_EQ(count(BoardEvent::Kind::BatchUnknown), 40U - 7U);
  std::size_t unknown = 0;
  for (const PulseChunk& chunk : pulses.chunks) unknown += chunk.unknown;
  EXPECT_EQ(unknown, some.size() - 7 * kChunk);
  EXPECT_GE(board->status()->now, latest) << "its times do not step back";
}

TEST_F(EarlierProcessTest, DoesNotKnowBatchesOfABootThatTheOneBeforeHasSeenTheEndOf) {
  start();
  die_after(7);
  mock->board().reboot();
  earlier.boot_epoch = mock->board().boot_epoch();
  ASSERT_TRUE(go_on());
  EXPECT_EQ(count(BoardEvent::Kind::MemoryLost), 0U);
  EXPECT_EQ(count(BoardEvent::Kind::BatchUnknown), 40U - 7U);
}

TEST_F(EarlierProcessTest, DoesNotKnowBatchesThatTheBoardForgotBehindTooManyNewerOnes) {
  start();
  die_after(3);
  // Somebody else's pulses, one device each.
  const std::uint64_t executed = devices_applied().size();
  start_again();
  ASSERT_TRUE(board->program(1000, kWidth, std::span(some).first(1), std::vector<std::uint16_t>{1},
                             [](const PulseChunk&) { return Result<void>(); }));
  for (std::uint64_t batch = 1001; batch < 1000 + wire::kMaxRecentBatches; ++batch) {
    ASSERT_TRUE(board->program(batch, kWidth, std::span(some).first(1),
                               std::vector<std::uint16_t>{1},
                               [](const PulseChunk&) { return Result<void>(); }));
  }
  board.reset();
  ASSERT_TRUE(go_on());
  EXPECT_EQ(count(BoardEvent::Kind::BatchUnknown), 40U - 3U);
  EXPECT_LT(executed, 40U);
}

}  // namespace
}  // namespace pcmlab

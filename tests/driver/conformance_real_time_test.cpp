// SPDX-License-Identifier: Apache-2.0
// The checks along the wall clock: a mock board in a thread of its own, behind a line like a USB's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "driver/conformance/conformance.h"
#include "mock_device/board_thread.h"
#include "tests/driver/conformance_report.h"

namespace pcmlab::conformance {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr mock::BoardPace kHighSpeed{
    .time_scale = 1, .latency = 125us, .bytes_per_s = 40e6, .buffer_bytes = std::size_t{1} << 20};

std::unique_ptr<mock::FaultyBoard> real_board(bool virtual_time) {
  mock::MockBoardSettings settings;
  if (!virtual_time) settings.capabilities &= ~std::uint32_t{wire::kVirtualTime};
  return std::make_unique<mock::FaultyBoard>(
      mock::PcmChip(mock::PcmParameters{}, ArrayShape{32, 512}, 1, 1), settings, mock::FaultPlan{});
}

/// The host's end of a BoardThread.
class ThreadTransport final : public Transport {
 public:
  ThreadTransport(std::unique_ptr<mock::FaultyBoard> board, const mock::BoardPace& pace)
      : board_(std::move(board), pace, [this] { changed(); }) {}

  Result<void> send(std::span<const std::byte> bytes, Deadline deadline) override {
    const bool sent = wait_until(deadline, [&] {
      bytes = bytes.subspan(board_.write(bytes));
      return bytes.empty();
    });
    if (sent) return {};
    return fail(ErrorCode::Timeout, "the board takes nothing");
  }

  Result<void> receive(std::vector<std::byte>& into, Deadline deadline) override {
    std::array<std::byte, 4096> piece{};
    std::size_t came = 0;
    if (wait_until(deadline, [&] { return (came = board_.read(piece)) > 0; })) {
      into.insert(into.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(came));
      return {};
    }
    return fail(ErrorCode::Timeout, "the board says nothing");
  }

  Result<void> reopen(Deadline /*deadline*/) override {
    board_.connection_lost();
    return {};
  }

  std::string description() const override { return "a thread"; }

  mock::BoardThread& board() { return board_; }

 private:
  template <class Condition>
  bool wait_until(Deadline deadline, Condition condition) {
    std::unique_lock lock(mutex_);
    for (;;) {
      const std::uint64_t seen = changes_;
      lock.unlock();
      if (condition()) return true;
      lock.lock();
      if (!woken_.wait_until(lock, deadline, [&] { return changes_ != seen; })) return false;
    }
  }
  void changed() {
    const std::lock_guard lock(mutex_);
    ++changes_;
    woken_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable woken_;
  std::uint64_t changes_ = 0;
  mock::BoardThread board_;  // its thread ends before the rest goes
};

Settings quick() {
  Settings settings;
  settings.first_batch = 1000;
  settings.silence = 2ms;
  return settings;
}

TEST(ConformanceInRealTime, TheMockBoardPassesAndWhatNeedsVirtualTimeOrStrongPulsesIsSkipped) {
  ThreadTransport transport(real_board(false), kHighSpeed);
  Settings settings = quick();
  settings.until_boot = true;
  const Report report = run(transport, settings);
  EXPECT_THAT(failures(report), IsEmpty());
  EXPECT_THAT(ids(report, Verdict::Skipped),
              ElementsAre("reads.sum_over_16_bits", "limits.amplitude", "clock.advance_again",
                          "clock.advance_too_far"));
  for (const Outcome& outcome : report.outcomes) {
    if (outcome.check.id == "clock.advance_again") {
      EXPECT_THAT(outcome.found, HasSubstr("needs virtual time"));
    }
    if (outcome.check.id == "limits.amplitude") {
      EXPECT_THAT(outcome.found, HasSubstr("500 uA is more than the 450 uA that may be sent"));
    }
  }
  EXPECT_THAT(report.notes, IsEmpty());
}

TEST(ConformanceInRealTime, LimitsOfABoardInRealTimeAreLeftAloneUnlessWanted) {
  ThreadTransport transport(real_board(false), kHighSpeed);
  const wire::Limits before = mock::MockBoardSettings{}.limits;
  Settings settings = quick();
  settings.only = "set_limits";
  const Report report = run(transport, settings);
  EXPECT_THAT(failures(report), IsEmpty());
  EXPECT_THAT(ids(report, Verdict::Skipped), Contains("set_limits.tighter"));
  transport.board().visit(
      [&before](mock::FaultyBoard& board) { EXPECT_EQ(board.board().limits(), before); });
}

TEST(ConformanceInRealTime, ABoardInAThreadWithVirtualTimePasses) {
  mock::BoardPace pace = kHighSpeed;
  pace.time_scale = 0;
  ThreadTransport transport(real_board(true), pace);
  const Report report = run(transport, quick());
  EXPECT_THAT(failures(report), IsEmpty());
  EXPECT_THAT(ids(report, Verdict::Skipped), ElementsAre("reads.sum_over_16_bits", "clock.wall"));
}

TEST(ConformanceInRealTime, AClockThatIsFivePercentFastFails) {
  mock::BoardPace pace = kHighSpeed;
  pace.time_scale = 1.05;
  ThreadTransport transport(real_board(false), pace);
  Settings settings = quick();
  settings.only = "clock.";
  EXPECT_THAT(ids(run(transport, settings), Verdict::Failed), ElementsAre("clock.wall"));
}

TEST(ConformanceInRealTime, ALineTooSlowForTheChipDoesNotKeepItBusy) {
  mock::BoardPace pace = kHighSpeed;
  pace.time_scale = 10;  // of the chip; a device takes it 0.5 us, and the line 4 us
  pace.bytes_per_s = 1e6;
  ThreadTransport transport(real_board(false), pace);
  Settings settings = quick();
  settings.only = "speed.";
  EXPECT_THAT(ids(run(transport, settings), Verdict::Failed), ElementsAre("speed.block_reads"));
}

TEST(ConformanceInRealTime, ALineOfTwelveMillisecondsIsTooSlow) {
  mock::BoardPace pace = kHighSpeed;
  pace.latency = 12ms;
  ThreadTransport transport(real_board(false), pace);
  Settings settings = quick();
  settings.only = "speed.round_trip";
  EXPECT_THAT(ids(run(transport, settings), Verdict::Failed), ElementsAre("speed.round_trip"));
}

}  // namespace
}  // namespace pcmlab::conformance

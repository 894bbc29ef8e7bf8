// SPDX-License-Identifier: Apache-2.0
// A run whose process dies anywhere while its board lives on, and the process that goes on with it:
// by the board's own count no device gets a pulse twice, and none is left out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "db/care.h"
#include "driver/recovering_board.h"
#include "experiments/engine/engine.h"
#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

constexpr const char* kPlan = R"(
[run]
name = "test"
[[step]]
experiment = "program"
verify_delay_s = 1
[[step]]
experiment = "retention"
points = 4
)";

/// Dies with a piece of an answer: what the database holds at that moment is all that stays. What
/// was sent is still executed.
class DyingBoard final : public Board {
 public:
  DyingBoard(Board& board, std::size_t pieces, std::function<void()> die)
      : board_(board), pieces_(pieces), die_(std::move(die)) {}

  bool is_dead() const { return dead_; }

  const BoardInformation& information() const override { return board_.information(); }
  std::size_t chunk_devices() const override { return board_.chunk_devices(); }
  Result<void> read(std::span<const DeviceAddress> addresses, const ReadSettings& settings,
                    const ReadSink& sink) override {
    return alive([&] {
      return board_.read(addresses, settings, [&](const ReadChunk& chunk) {
        return piece([&] { return sink(chunk); });
      });
    });
  }
  Result<void> program(std::uint64_t first_batch, Duration width,
                       std::span<const DeviceAddress> addresses,
                       std::span<const std::uint16_t> amplitudes_10nA,
                       const PulseSink& sink) override {
    return alive([&] {
      return board_.program(
          first_batch, width, addresses, amplitudes_10nA,
          [&](const PulseChunk& chunk) { return piece([&] { return sink(chunk); }); });
    });
  }
  Result<void> initialise(std::uint64_t first_batch, std::span<const Pulse> sequence,
                          std::span<const DeviceAddress> addresses,
                          const PulseSink& sink) override {
    return alive([&] {
      return board_.initialise(first_batch, sequence, addresses, [&](const PulseChunk& chunk) {
        return piece([&] { return sink(chunk); });
      });
    });
  }
  Result<BoardStatus> status() override {
    return alive([&] { return board_.status(); });
  }
  Result<Temperature> temperature() override {
    return alive([&] { return board_.temperature(); });
  }
  Result<Calibration> calibrate(const ReadSettings& settings) override {
    return alive([&] { return board_.calibrate(settings); });
  }
  Result<Limits> set_limits(const Limits& limits) override { return board_.set_limits(limits); }
  Result<void> set_life(ChipLife life) override { return board_.set_life(std::move(life)); }
  Result<void> abort() override { return board_.abort(); }
  Result<BoardTime> advance_time_to(BoardTime until) override {
    return alive([&] { return board_.advance_time_to(until); });
  }
  Result<void> reopen() override { return board_.reopen(); }

 private:
  template <class Call>
  auto alive(const Call& call) -> decltype(call()) {
    if (dead_) return fail(ErrorCode::Disconnected, "the process is dead");
    return call();
  }
  template <class Take>
  Result<void> piece(const Take& take) {
    if (pieces_-- == 0) {
      dead_ = true;
      die_();
    }
    if (dead_) return fail(ErrorCode::Stopped, "the process is dead");
    return take();
  }

  Board& board_;
  std::size_t pieces_;
  std::function<void()> die_;
  bool dead_ = false;
};

EarlierWork earlier_work(db::RunStore& store, db::RowId run) {
  const db::BoardLeft left = store.board_left(run).value();
  EarlierWork earlier;
  earlier.boot_epoch = left.epoch.boot_epoch;
  earlier.offset = BoardTime(left.epoch.offset_ns);
  earlier.latest = BoardTime(left.latest_tick_ns);
  earlier.first_unsettled = left.first_unsettled;
  earlier.end_unsettled = left.end_unsettled;
  earlier.unsettled_epoch = left.unsettled_epoch;
  return earlier;
}

class NextProcessTest : public ::testing::Test {
 protected:
  NextProcessTest() {
    settings.limits.max_devices_per_request = 16;
    settings.ledger_batches = 100'000;
    file = std::filesystem::temp_directory_path() /
           ("pcmlab-next-process-" + std::to_string(getpid()) + ".db");
  }
  ~NextProcessTest() override { forget(); }

  void forget() const {
    for (const char* const ending : {"", "-wal", "-shm"}) {
      std::filesystem::remove(file.string() + ending);
    }
  }

  /// Runs until so many pieces of answers have come. \return whether that was before the end.
  bool run_until(TestBench& bench, std::size_t pieces) {
    forget();
    auto store = db::RunStore::open(":memory:").value();
    RecoveringBoard board(std::move(bench.board));
    DyingBoard dying(board, pieces, [&] { ASSERT_TRUE(db::back_up(store.database(), file, {})); });
    RunObserver observer;
    const RunResult result =
        run_plan(plan, inputs, dying, store, observer, {"1.0", "abc", "mock"}, {});
    EXPECT_EQ(result.outcome.has_value(), !dying.is_dead());
    return dying.is_dead();
  }

  /// The next process, on the database as it was at that moment.
  void go_on(TestBench& bench, const std::string& when) {
    bench.mock->connection_lost();
    auto store = db::RunStore::open(file).value();
    RecoverySettings recovery;
    recovery.earlier = earlier_work(store, 1);
    RecoveringBoard board(bench.open(), recovery);
    RunObserver observer;
    const RunResult result =
        resume_plan(1, plan, inputs, board, store, observer, {"1.0", "abc", "mock"}, {});
    ASSERT_TRUE(result.outcome) << when << ": " << result.outcome.error().message;
    expect_every_pulse_once(bench, store, when);
    EXPECT_EQ(store.sweeps(1)->size(), 4U) << when;
  }

  static void expect_every_pulse_once(const TestBench& bench, db::RunStore& store,
                                      const std::string& when) {
    const db::ProgrammingRow programming = store.programmings(1).value().at(0);
    const db::Placement placement = store.placement(programming.id).value();
    const auto devices = store.programming_result(programming.id).value();
    for (std::size_t d = 0; d < placement.addresses.size(); ++d) {
      ASSERT_EQ(bench.mock->chip().pulses_of(placement.addresses[d]), devices.pulses[d])
          << when << ", device " << d;
    }
    std::map<std::uint64_t, std::uint32_t> applied;
    for (const mock::AppliedBatch& batch : bench.mock->ledger()) {
      applied[original_batch(batch.batch.batch)] += batch.batch.devices_done;
    }
    const auto intended = store.batches(programming.id).value();
    for (const db::BatchRow& batch : intended) {
      const auto done = applied.find(batch.batch);
      if (done == applied.end()) continue;  // given up before it was sent
      ASSERT_EQ(done->second, batch.devices.size()) << when << ", batch " << batch.batch;
    }
  }

  mock::MockBoardSettings settings;
  Plan plan = parse_plan(kPlan, "test.toml", plan_schema({})).value();
  RunInputs inputs = small_inputs();
  std::filesystem::path file;
};

TEST_F(NextProcessTest, GivesNoPulseTwiceAndLeavesNoneOutWhereverTheOneBeforeDied) {
  std::size_t died = 0;
  for (std::size_t pieces = 0;; pieces += 23, ++died) {
    TestBench bench(TestBench::good_devices(), settings);
    if (!run_until(bench, pieces)) break;
    go_on(bench, "died with piece " + std::to_string(pieces));
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(died, 8U);
}

TEST_F(NextProcessTest, ReadsDevicesWhosePulsesItCannotKnowOfWhenTheBoardHasBooted) {
  for (std::size_t pieces = 3; pieces < 120; pieces += 29) {
    TestBench bench(TestBench::good_devices(), settings);
    ASSERT_TRUE(run_until(bench, pieces));
    bench.mock->reboot();
    bench.mock->connection_lost();
    auto store = db::RunStore::open(file).value();
    RecoverySettings recovery;
    recovery.earlier = earlier_work(store, 1);
    RecoveringBoard board(bench.open(), recovery);
    RunObserver observer;
    const RunResult result =
        resume_plan(1, plan, inputs, board, store, observer, {"1.0", "abc", "mock"}, {});
    ASSERT_TRUE(result.outcome) << pieces << ": " << result.outcome.error().message;
    const db::ProgrammingRow programming = store.programmings(1).value().at(0);
    EXPECT_GE(programming.converged, 165) << pieces;
    // Never a number twice, in either boot.
    std::map<std::uint64_t, int> times;
    for (const mock::AppliedBatch& batch : bench.mock->ledger()) ++times[batch.batch.batch];
    for (const auto& [batch, count] : times) ASSERT_EQ(count, 1) << pieces << ", batch " << batch;
  }
}

}  // namespace
}  // namespace pcmlab

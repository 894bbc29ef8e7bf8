// SPDX-License-Identifier: Apache-2.0
// Runs whose disk is full, whose cable is pulled, whose computer sleeps: they go on by themselves,
// and end with the results of a run that nothing happened to.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "driver/recovering_board.h"
#include "experiments/engine/engine.h"
#include "tests/db/run_results.h"
#include "tests/db/small_disk.h"
#include "tests/db/test_files.h"
#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr std::int64_t kSecond = 1'000'000'000;

constexpr const char* kPlan = R"(
[run]
name = "test"
[[step]]
experiment = "program"
verify_delay_s = 1
[[step]]
experiment = "retention"
points = 6
[[step]]
experiment = "accuracy"
conditions = ["none", "gdc"]
)";

/// Sees to what a run complains about, and counts.
struct Somebody : RunObserver {
  void message(const std::string& text) override { messages.push_back(text); }
  void held_up(const std::string& text) override {
    complaints.push_back(text);
    if (mend) mend();
  }
  void progress(const db::ProgressRow& progress) override {
    if (progress.total == 0) signs_of_life.push_back(progress.activity);
    if (on_progress) on_progress(progress);
  }
  void went_on() override { ++goings_on; }

  std::vector<std::string> messages, complaints;
  std::vector<std::string> signs_of_life;  ///< while nothing is measured
  std::size_t goings_on = 0;
  std::function<void()> mend;
  std::function<void(const db::ProgressRow&)> on_progress;
};

class TroubleTest : public ::testing::Test {
 protected:
  TroubleTest() {
    settings.limits.max_devices_per_request = 16;
    settings.ledger_batches = 100'000;
    host.first_wait = host.longest_wait = std::chrono::milliseconds(0);
  }

  /// A run into a new file, from its beginning; the same chip each time.
  RunResult run(const std::string& file) {
    bench.emplace(TestBench::good_devices(), settings);
    auto store = db::RunStore::open(folder / file, std::chrono::milliseconds(1)).value();
    RecoverySettings recovery;
    recovery.pause_between_attempts = std::chrono::milliseconds(0);
    recovery.wait_for_cooling = std::chrono::hours(1);
    recovery.tell = [this](const BoardEvent& event) { told(event); };
    RecoveringBoard board(std::move(bench->board), recovery);
    if (begun) begun(store);
    return run_plan(plan, inputs, board, store, somebody, {"1.0", "abc", "mock"},
                    {stop.get_token()}, host);
  }
  void told(const BoardEvent& event) {
    events.push_back(event);
    if (on_event) on_event(event);
  }
  std::vector<db::GapRow> gaps(const std::string& file) const {
    return db::RunStore::open_read_only(folder / file).value().gaps(1).value();
  }
  void expect_same(const std::string& file, const std::string& undisturbed) const {
    const db::RunResults is = db::results_of(folder / file);
    for (const auto& [table, rows] : db::results_of(folder / undisturbed)) {
      EXPECT_EQ(is.at(table), rows) << file << ", " << table;
    }
  }

  const Plan plan = parse_plan(kPlan, "test", plan_schema({})).value();
  const RunInputs inputs = small_inputs();
  const db::TemporaryFolder folder;
  mock::MockBoardSettings settings;
  std::optional<TestBench> bench;
  Somebody somebody;
  std::stop_source stop;
  Host host;
  std::int64_t host_time_ns = 1'800'000'000 * kSecond;
  std::vector<BoardEvent> events;
  std::function<void(const BoardEvent&)> on_event;
  std::function<void(db::RunStore&)> begun;  ///< the store is open
};

// ---- disk --------------------------------------------------------------------------------------

TEST_F(TroubleTest, AFullDiskAnywhereIsWaitedForAndChangesNoResult) {
  ASSERT_TRUE(run("a.db").outcome);
  std::mt19937_64 random(3);
  std::size_t episodes = 0;
  for (int runs = 0; episodes < 20; ++runs) {
    ASSERT_LT(runs, 20) << "the runs do not fill their disks";
    const std::string file = fmt::format("b{}.db", runs);
    std::optional<db::SmallDisk> disk(1'000'000'000);
    somebody = {};
    // More than one commit wants, for he who makes room is asked once for each episode.
    somebody.mend = [&] {
      disk->add_room(2'000'000 + static_cast<std::int64_t>(random() % 2'000'000));
    };
    begun = [&](db::RunStore& store) {
      ASSERT_TRUE(store.database().execute("PRAGMA wal_autocheckpoint = 100"));
      somebody.on_progress = [&](const db::ProgressRow& progress) {
        if (progress.total > 0) disk->fill();
      };
    };
    const RunResult result = run(file);
    ASSERT_TRUE(result.outcome) << result.outcome.error().message;
    EXPECT_THAT(somebody.complaints, Each(HasSubstr("is full: free some space; the run waits")));
    episodes += somebody.complaints.size();
    EXPECT_EQ(somebody.goings_on, somebody.complaints.size());
    if (!somebody.complaints.empty()) {
      EXPECT_THAT(somebody.signs_of_life, Contains("waiting: the disk was full"));
    }
    EXPECT_GE(gaps(file).size(), somebody.complaints.size());
    for (const db::GapRow& gap : gaps(file)) {
      EXPECT_EQ(gap.cause, db::GapCause::Pause);
      EXPECT_EQ(gap.text, "paused by itself: the disk was full");
    }
    disk.reset();
    expect_same(file, "a.db");
  }
}

TEST_F(TroubleTest, ADiskThatFailsForAWhileIsWaitedForAndChangesNoResult) {
  ASSERT_TRUE(run("a.db").outcome);
  for (int good_syncs = 1; good_syncs < 40; good_syncs += 6) {
    const std::string file = fmt::format("b{}.db", good_syncs);
    somebody = {};
    std::optional<db::SmallDisk> disk(1'000'000'000);
    begun = [&](db::RunStore&) { disk->fail_sync_after(good_syncs); };
    somebody.mend = [&] { disk->fail_sync_after(-1); };
    const RunResult result = run(file);
    ASSERT_TRUE(result.outcome) << result.outcome.error().message;
    ASSERT_THAT(somebody.complaints, SizeIs(1));
    EXPECT_THAT(somebody.complaints[0], HasSubstr("disk I/O error"));
    ASSERT_THAT(gaps(file), SizeIs(1));
    EXPECT_EQ(gaps(file)[0].text, "paused by itself: the database could not be read or written");
    disk.reset();
    expect_same(file, "a.db");
  }
}

TEST_F(TroubleTest, ADatabaseThatAnotherWriterHoldsIsWaitedFor) {
  ASSERT_TRUE(run("a.db").outcome);
  std::optional<db::Database> other;
  std::optional<db::Transaction> held;
  somebody.on_progress = [&](const db::ProgressRow& progress) {
    if (other || !progress.activity.starts_with("sweep 2")) return;
    other = db::Database::open(folder / "b.db", db::OpenMode::ReadWriteCreate).value();
    held.emplace(other->begin(db::Access::Write).value());
  };
  somebody.mend = [&] { held.reset(); };
  ASSERT_TRUE(run("b.db").outcome);
  ASSERT_THAT(somebody.complaints, SizeIs(1));
  EXPECT_THAT(somebody.complaints[0], HasSubstr("database is locked"));
  ASSERT_THAT(gaps("b.db"), SizeIs(1));
  EXPECT_EQ(gaps("b.db")[0].text, "paused by itself: the database was held by another process");
  other.reset();
  expect_same("b.db", "a.db");
}

TEST_F(TroubleTest, ARunThatWaitsForItsDiskSendsNothingAndCanBeStopped) {
  std::optional<db::SmallDisk> disk(1'000'000'000);
  std::uint64_t pulses = 0;
  somebody.on_progress = [&](const db::ProgressRow&) { disk->fill(); };
  somebody.mend = [&] {
    pulses = bench->mock->pulses_executed();
    stop.request_stop();
  };
  const RunResult result = run("a.db");
  ASSERT_FALSE(result.outcome);
  EXPECT_EQ(result.outcome.error().code, ErrorCode::Stopped);
  EXPECT_THAT(result.outcome.error().message, Not(HasSubstr("full")));
  EXPECT_THAT(somebody.complaints, SizeIs(1));
  EXPECT_GT(pulses, 0U);
  EXPECT_EQ(bench->mock->pulses_executed(), pulses);
}

TEST_F(TroubleTest, WhatCannotPassIsNotWaitedFor) {
  somebody.on_progress = [&, first = true](const db::ProgressRow&) mutable {
    if (!std::exchange(first, false)) return;
    auto other = db::Database::open(folder / "a.db", db::OpenMode::ReadWriteCreate).value();
    EXPECT_TRUE(other.execute("DROP TABLE pulse_batch_verify"));
  };
  const RunResult result = run("a.db");
  ASSERT_FALSE(result.outcome);
  EXPECT_EQ(result.outcome.error().code, ErrorCode::Database);
  EXPECT_THAT(somebody.complaints, IsEmpty());
}

// ---- board -------------------------------------------------------------------------------------

TEST_F(TroubleTest, AHundredUnplugsChangeNoResult) {
  ASSERT_TRUE(run("a.db").outcome);
  std::mt19937_64 random(5);
  int unplugs = 0;
  const auto pull_later = [&] {
    LoopbackCable& cable = *bench->cable;
    if (random() % 2 == 0) {
      cable.unplug_after_sends(8 + random() % 16);
    } else {
      cable.unplug_after_bytes_to_board(600 + random() % 1500);
    }
  };
  on_event = [&](const BoardEvent& event) {
    if (event.kind == BoardEvent::Kind::Interrupted) {
      ++unplugs;
      bench->cable->replug();
    }
    if (event.kind == BoardEvent::Kind::Reconnected) pull_later();
  };
  begun = [&](db::RunStore&) { pull_later(); };
  for (int runs = 0; unplugs < 100; ++runs) {
    ASSERT_LT(runs, 20);
    const std::string file = fmt::format("b{}.db", runs);
    const RunResult result = run(file);
    ASSERT_TRUE(result.outcome) << unplugs << ": " << result.outcome.error().message;
    expect_same(file, "a.db");
  }
}

TEST_F(TroubleTest, AChipThatIsTooHotGetsNoPulsesUntilItHasCooled) {
  const Temperature usual = Temperature::from_K(300), limit = settings.limits.max_temperature;
  std::uint64_t pulses_when_hot = 0;
  begun = [&](db::RunStore&) {
    mock::TemperatureProfile profile(usual);
    profile.add_excursion(2, 100, 70);
    bench->mock->set_temperature(profile);
  };
  on_event = [&](const BoardEvent& event) {
    const auto& mock = *bench->mock;
    if (event.kind == BoardEvent::Kind::TooHot) {
      EXPECT_GT(mock.chip().temperature_at(mock.chip_time()), limit);
      pulses_when_hot = mock.pulses_executed();
    } else if (event.kind == BoardEvent::Kind::Cooled) {
      EXPECT_GE(mock.chip_time(), from_seconds(110));
      EXPECT_EQ(mock.pulses_executed(), pulses_when_hot);
    }
  };
  const RunResult result = run("a.db");
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_THAT(events[0].text, StartsWith("paused by itself: the chip is at 96."));
  EXPECT_GT(pulses_when_hot, 0U);
  auto store = db::RunStore::open_read_only(folder / "a.db").value();
  EXPECT_GE(store.programmings(1).value().at(0).converged, 165);
}

TEST_F(TroubleTest, ARunWhoseChipIsTooHotCanBeStoppedByOthers) {
  begun = [&](db::RunStore&) {
    mock::TemperatureProfile profile(Temperature::from_K(300));
    profile.add_excursion(2, 1e6, 70);
    bench->mock->set_temperature(profile);
  };
  on_event = [&](const BoardEvent& event) {
    if (event.kind != BoardEvent::Kind::TooHot) return;
    auto other = db::RunStore::open(folder / "a.db").value();
    EXPECT_TRUE(other.request(1, db::RunCommand::Stop, "Ada"));
    host_time_ns += kSecond;
  };
  host.clocks = [this] { return HostClocks{host_time_ns, host_time_ns, host_time_ns}; };
  const RunResult result = run("a.db");
  ASSERT_FALSE(result.outcome);
  EXPECT_EQ(result.outcome.error().code, ErrorCode::Stopped);
  EXPECT_THAT(result.outcome.error().message, HasSubstr("stopped by Ada"));
}

TEST_F(TroubleTest, AChipThatNeverCoolsEndsTheRun) {
  begun = [&](db::RunStore&) {
    bench->mock->set_temperature(mock::TemperatureProfile(Temperature::from_K(400)));
  };
  const RunResult result = run("a.db");
  ASSERT_FALSE(result.outcome);
  EXPECT_EQ(result.outcome.error().code, ErrorCode::LimitExceeded);
  EXPECT_THAT(result.outcome.error().message, HasSubstr("the chip does not cool"));
}

// ---- clocks ------------------------------------------------------------------------------------

TEST_F(TroubleTest, ClockStepsAndSuspendsAreGapsAndChangeNoResult) {
  ASSERT_TRUE(run("a.db").outcome);
  HostClocks now{50 * kSecond, 60 * kSecond, 1'800'000'000 * kSecond};
  host.clocks = [&now] { return now; };
  int steps = 0, sleeps = 0;
  somebody.on_progress = [&](const db::ProgressRow& progress) {
    if (progress.activity.starts_with("accuracy")) return;
    // Each look of the run is a second after the one before, by all three clocks.
    now.running_ns += kSecond;
    now.boot_ns += kSecond;
    now.utc_ns += kSecond;
    if (steps < 12 && steps <= sleeps) {
      now.utc_ns += (steps++ % 2 == 0 ? 3600 : -3600) * kSecond;
    } else if (sleeps < 20) {
      now.boot_ns += 1800 * kSecond;
      now.utc_ns += 1800 * kSecond;
      ++sleeps;
    }
  };
  ASSERT_TRUE(run("b.db").outcome);
  EXPECT_EQ(steps, 12);
  EXPECT_EQ(sleeps, 20);
  int steps_noted = 0, slept_s = 0;
  for (const db::GapRow& gap : gaps("b.db")) {
    if (gap.cause == db::GapCause::ClockStep) {
      ++steps_noted;
      EXPECT_THAT(gap.text, HasSubstr(" by 3600 s"));
    } else {
      // Between two looks the computer may have slept twice.
      constexpr std::string_view kSlept = "the computer slept for ";
      ASSERT_THAT(gap.text, StartsWith(kSlept));
      slept_s += std::stoi(gap.text.substr(kSlept.size()));
    }
  }
  EXPECT_EQ(steps_noted, 12);
  EXPECT_EQ(slept_s, 20 * 1800);
  expect_same("b.db", "a.db");
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
// How a run hears of others, of a computer that slept and of a clock that was set.
#include "experiments/engine/run_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::int64_t kSecond = 1'000'000'000;

/// A run whose host clocks the test sets. The control looks at once when it is new.
class RunControlTest : public ::testing::Test {
 protected:
  RunControl control() {
    RunControl made({stop.get_token(), abort.get_token()}, [this] { return clocks; });
    made.attach(run.store, run.run, observer);
    return made;
  }
  /// Looks twice, with this much time between on the host's clocks.
  void look_again_after(const HostClocks& passed) {
    RunControl watched = control();
    ASSERT_TRUE(watched.check());
    clocks.running_ns += passed.running_ns;
    clocks.boot_ns += passed.boot_ns;
    clocks.utc_ns += passed.utc_ns;
    ASSERT_TRUE(watched.check());
  }

  TestBench bench;
  TestRun run{*bench.board};
  RecordingObserver observer;
  std::stop_source stop, abort;
  HostClocks clocks{50 * kSecond, 60 * kSecond, 1'800'000'000 * kSecond};
};

TEST_F(RunControlTest, NotesThatTheComputerSlept) {
  look_again_after({1 * kSecond, 3601 * kSecond, 3601 * kSecond});
  const auto gaps = run.store.gaps(run.run).value();
  ASSERT_THAT(gaps, SizeIs(1));
  EXPECT_EQ(gaps[0].cause, db::GapCause::Suspend);
  EXPECT_THAT(gaps[0].text, HasSubstr("slept for 3600 s"));
  EXPECT_EQ(gaps[0].begin_utc, "2027-01-15T08:00:00.000Z");
}

TEST_F(RunControlTest, NotesThatTheClockWasSetForwardOrBack) {
  look_again_after({1 * kSecond, 1 * kSecond, 3601 * kSecond});
  look_again_after({1 * kSecond, 1 * kSecond, -3599 * kSecond});
  const auto gaps = run.store.gaps(run.run).value();
  ASSERT_THAT(gaps, SizeIs(2));
  EXPECT_EQ(gaps[0].cause, db::GapCause::ClockStep);
  EXPECT_THAT(gaps[0].text, HasSubstr("set forward by 3600 s"));
  EXPECT_THAT(gaps[1].text, HasSubstr("set back by 3600 s"));
}

TEST_F(RunControlTest, NotesNothingWhenTimePassesAsItShould) {
  look_again_after({8 * kSecond, 8 * kSecond, 8 * kSecond + kSecond / 2});
  EXPECT_THAT(run.store.gaps(run.run).value(), IsEmpty());
}

TEST_F(RunControlTest, AStopIsHeardBetweenPiecesAndAnAbortBetweenRequestsToo) {
  RunControl heard = control();
  EXPECT_TRUE(heard.check());
  stop.request_stop();
  EXPECT_TRUE(heard.check_abort());
  const auto stopped = heard.check();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::Stopped);
  EXPECT_THAT(stopped.error().advice, HasSubstr("pcmlab resume"));
  abort.request_stop();
  const auto aborted = heard.check_abort();
  ASSERT_FALSE(aborted);
  EXPECT_THAT(aborted.error().message, HasSubstr("aborted on request"));
}

TEST_F(RunControlTest, ARequestInTheDatabaseIsHeardAndMarkedAsSeen) {
  ASSERT_TRUE(run.store.request(run.run, db::RunCommand::Stop, "Ada"));
  const auto stopped = control().check();
  ASSERT_FALSE(stopped);
  EXPECT_THAT(stopped.error().message, HasSubstr("stopped by Ada"));
  const auto commands = run.store.commands(run.run).value();
  ASSERT_THAT(commands, SizeIs(1));
  EXPECT_NE(commands[0].taken_utc, "");
}

TEST_F(RunControlTest, APauseThatSomebodyTookBackBeforeItBeganIsNone) {
  ASSERT_TRUE(run.store.request(run.run, db::RunCommand::Pause, "Ada"));
  ASSERT_TRUE(run.store.request(run.run, db::RunCommand::Continue, "Ada"));
  EXPECT_TRUE(control().checkpoint());
  EXPECT_THAT(run.store.gaps(run.run).value(), IsEmpty());
}

TEST_F(RunControlTest, AStopEndsAPause) {
  ASSERT_TRUE(run.store.request(run.run, db::RunCommand::Pause, "Ada"));
  stop.request_stop();
  RunControl paused = control();
  EXPECT_FALSE(paused.checkpoint());
}

}  // namespace
}  // namespace pcmlab

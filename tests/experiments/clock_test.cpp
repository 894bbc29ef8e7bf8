// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/clock.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(VirtualClock, LetsTheBoardsTimePassInsteadOfWaiting) {
  TestBench bench;
  const auto clock = make_clock(*bench.board);
  const BoardTime due = clock->now().value() + hours(24);
  ASSERT_TRUE(clock->sleep_until(due, {}));
  const BoardTime reached = clock->now().value();
  EXPECT_GE(reached, due);
  EXPECT_LT(reached, due + milliseconds(1));
}

TEST(VirtualClock, ReturnsAtOnceWhenTheTimeHasPassed) {
  TestBench bench;
  VirtualClock clock(*bench.board);
  const BoardTime before = clock.now().value();
  ASSERT_TRUE(clock.sleep_until(BoardTime(0), {}));
  EXPECT_LT(clock.now().value(), before + milliseconds(1));
}

TEST(VirtualClock, DoesNotLetTimePassAfterAStop) {
  TestBench bench;
  VirtualClock clock(*bench.board);
  std::stop_source stop;
  stop.request_stop();
  const BoardTime before = clock.now().value();
  const auto slept = clock.sleep_until(before + hours(24), {stop.get_token()});
  ASSERT_FALSE(slept);
  EXPECT_EQ(slept.error().code, ErrorCode::Stopped);
  EXPECT_LT(clock.now().value(), before + hours(1));
}

TEST(SystemClock, AStopEndsALongWaitAtOnce) {
  mock::MockBoardSettings real_time;
  real_time.capabilities = wire::kReferenceResistors;
  TestBench bench(TestBench::good_devices(), real_time);
  const auto clock = make_clock(*bench.board);
  ASSERT_NE(dynamic_cast<SystemClock*>(clock.get()), nullptr);
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  const auto slept = clock->sleep_until(BoardTime(hours(1000)), {stop.get_token()});
  ASSERT_FALSE(slept);
  EXPECT_EQ(slept.error().code, ErrorCode::Stopped);
}

TEST(Clock, PassesOnThatTheBoardIsGone) {
  TestBench bench;
  bench.cable->unplug();
  VirtualClock clock(*bench.board);
  const auto slept = clock.sleep_until(BoardTime(hours(1)), {});
  ASSERT_FALSE(slept);
  EXPECT_EQ(slept.error().code, ErrorCode::Disconnected);
}

}  // namespace
}  // namespace pcmlab

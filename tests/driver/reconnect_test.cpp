// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

class ReconnectTest : public ::testing::Test {
 protected:
  void lose_connection() {
    script->unplugged = true;
    ASSERT_FALSE(board->status());
    script->unplugged = false;
    script->heard.clear();
  }
  ErrorCode reopen_error() {
    const Result<void> reopened = board->reopen();
    return reopened ? ErrorCode::Internal : reopened.error().code;
  }

  std::shared_ptr<ScriptedBoard> script = std::make_shared<ScriptedBoard>();
  ArrayShape shape = script->information.shape;
  std::unique_ptr<TestBoard> board = open(script);
};

TEST_F(ReconnectTest, EveryCallFailsTheSameWayUntilItIsReopened) {
  lose_connection();
  PulseLog pulses;
  ReadLog reads;
  const auto addresses = scattered(shape, 5);
  const std::vector<Pulse> reset{{Current::from_uA(450), Duration(50)}};
  const std::vector<Error> errors{
      board->read(addresses, {}, reads.sink()).error(),
      board->program(1, kWidth, addresses, std::vector<std::uint16_t>(5, 100), pulses.sink())
          .error(),
      board->initialise(2, reset, addresses, pulses.sink()).error(),
      board->status().error(),
      board->temperature().error(),
      board->calibrate({}).error(),
      board->set_limits({}).error(),
      board->abort().error(),
      board->advance_time_to(Duration(1)).error()};
  for (const Error& error : errors) {
    EXPECT_EQ(error.code, ErrorCode::Disconnected);
    EXPECT_THAT(error.message, HasSubstr("the board is disconnected"));
    EXPECT_THAT(error.advice, HasSubstr("connect it again"));
  }
  EXPECT_TRUE(script->heard.empty());
  ASSERT_TRUE(board->reopen());
  EXPECT_TRUE(board->status());
}

TEST_F(ReconnectTest, NamesTheBatchesThatWereUnderWay) {
  script->script = [&](const Heard& heard) {
    script->reply_plainly(heard);
    if (std::get<wire::ProgramRequest>(heard.request).batch == 6) script->unplugged = true;
    return true;
  };
  PulseLog pulses;
  const auto result = board->program(1, kWidth, scattered(shape, 100),
                                     std::vector<std::uint16_t>(100, 100), pulses.sink());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Disconnected);
  EXPECT_THAT(result.error().message, HasSubstr("not acknowledged: batch 3 to 6"));
  EXPECT_THAT(result.error().advice, HasSubstr("status()"));
  EXPECT_EQ(pulses.chunks.size(), 2U);
}

TEST_F(ReconnectTest, GoesOnWithHigherSequenceNumbers) {
  ASSERT_TRUE(board->status());
  const std::uint32_t before = script->heard.back().sequence;
  lose_connection();
  ASSERT_TRUE(board->reopen());
  EXPECT_GT(script->heard.front().sequence, before);
  EXPECT_EQ(type_of(script->heard.front().request), MessageType::Hello);
}

TEST_F(ReconnectTest, StaysClosedWhileTheCableIsOut) {
  lose_connection();
  script->unplugged = true;
  EXPECT_EQ(reopen_error(), ErrorCode::Disconnected);
  EXPECT_EQ(board->status().error().code, ErrorCode::Disconnected);
}

TEST_F(ReconnectTest, StaysClosedWhenAnotherBoardIsThere) {
  lose_connection();
  script->information.serial = "SCRIPT02";
  const auto reopened = board->reopen();
  ASSERT_FALSE(reopened);
  EXPECT_EQ(reopened.error().code, ErrorCode::Incompatible);
  EXPECT_THAT(reopened.error().message, HasSubstr("SCRIPT01"));
  EXPECT_THAT(reopened.error().message, HasSubstr("SCRIPT02"));
  EXPECT_EQ(board->information().serial, "SCRIPT01");
  EXPECT_EQ(board->status().error().code, ErrorCode::Disconnected);
  script->information.serial = "SCRIPT01";
  EXPECT_TRUE(board->reopen());
}

TEST_F(ReconnectTest, StaysClosedWhenTheBoardHasAnotherArrayOrProtocol) {
  lose_connection();
  script->information.shape = {8, 64};
  EXPECT_EQ(reopen_error(), ErrorCode::Incompatible);
  script->information.shape = shape;
  script->script = [&](const Heard& heard) {
    script->reply(heard, wire::RefusalReply{wire::Refusal::VersionMismatch, ""});
    return true;
  };
  EXPECT_EQ(reopen_error(), ErrorCode::Incompatible);
}

TEST_F(ReconnectTest, StaysClosedWhenBatchesCouldNoLongerBeNumberedAsBefore) {
  lose_connection();
  script->information.limits.max_devices_per_request = 9;
  EXPECT_EQ(reopen_error(), ErrorCode::Incompatible);
  script->information.limits.max_devices_per_request = 11;
  EXPECT_TRUE(board->reopen());
  EXPECT_EQ(board->chunk_devices(), 10U);
}

TEST_F(ReconnectTest, StaysClosedWhenNobodyAnswersTheGreeting) {
  lose_connection();
  script->script = [](const Heard&) { return true; };
  EXPECT_EQ(reopen_error(), ErrorCode::Timeout);
  EXPECT_EQ(board->status().error().code, ErrorCode::Disconnected);
}

TEST_F(ReconnectTest, ShowsThatTheBoardHasLostItsMemory) {
  lose_connection();
  script->information.boot_epoch = 8;
  ASSERT_TRUE(board->reopen());
  EXPECT_EQ(board->information().boot_epoch, 8U);
}

TEST_F(ReconnectTest, SetsAgainTheLimitsThatWereSet) {
  Limits limits{};
  limits.max_amplitude = Current::from_uA(300);
  limits.max_devices_per_request = 5;
  ASSERT_TRUE(board->set_limits(limits));
  lose_connection();
  ASSERT_TRUE(board->reopen());
  EXPECT_EQ(script->count(MessageType::SetLimits), 1U);
  EXPECT_NEAR(board->information().limits.max_amplitude.uA(), 300, 1e-9);
  EXPECT_EQ(board->chunk_devices(), 5U);
}

}  // namespace
}  // namespace pcmlab

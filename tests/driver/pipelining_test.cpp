// SPDX-License-Identifier: Apache-2.0
// Several requests in flight, lost and late replies, what is repeated and what never is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/test_board.h"
#include "tests/driver/scripted_board.h"

namespace pcmlab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Heard;
using testing::kWidth;
using testing::open;
using testing::PulseLog;
using testing::ReadLog;
using testing::scattered;
using testing::ScriptedBoard;
using wire::MessageType;

class PipeliningTest : public ::testing::Test {
 protected:
  Result<void> read(std::size_t count) {
    return board->read(scattered(shape, count), {}, log.sink());
  }
  Result<void> program(std::uint64_t first_batch, std::size_t count) {
    return board->program(first_batch, kWidth, scattered(shape, count),
                          std::vector<std::uint16_t>(count, 100), pulses.sink());
  }
  /// The n-th request of this type from now on gets no answer (the first is number 0).
  void swallow(MessageType type, std::size_t n) {
    script->script = [type, n, seen = std::size_t{0}](const Heard& heard) mutable {
      if (type_of(heard.request) != type) return false;
      return seen++ == n;
    };
  }
  void expect_whole_read(std::size_t count) {
    const auto addresses = scattered(shape, count);
    ASSERT_EQ(log.sums.size(), count);
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(log.sums[i], ScriptedBoard::code_sum(addresses[i], 5)) << i;
    }
  }

  std::shared_ptr<ScriptedBoard> script = std::make_shared<ScriptedBoard>();
  ArrayShape shape = script->information.shape;
  std::unique_ptr<TestBoard> board = open(script);
  ReadLog log;
  PulseLog pulses;
};

// ---- window ----------------------------------------------------------------------------------

TEST_F(PipeliningTest, KeepsAsManyRequestsInFlightAsTheBoardTakesAndNeverMore) {
  ASSERT_TRUE(read(200));
  EXPECT_EQ(script->most_in_flight, 4U);
  ASSERT_TRUE(program(1, 200));
  EXPECT_EQ(script->most_in_flight, 4U);
}

TEST_F(PipeliningTest, KeepsFewerInFlightWhenTheHostWantsFewer) {
  board = open(script, {.max_requests_in_flight = 2});
  ASSERT_TRUE(read(200));
  EXPECT_EQ(script->most_in_flight, 2U);
}

TEST_F(PipeliningTest, RefillsTheWindowWithEachReply) {
  std::vector<std::size_t> sent_when_taken;
  ASSERT_TRUE(board->read(scattered(shape, 80), {}, [&](const ReadChunk&) -> Result<void> {
    sent_when_taken.push_back(script->heard.size());
    return {};
  }));
  EXPECT_THAT(sent_when_taken, ElementsAre(4, 5, 6, 7, 8, 8, 8, 8));
}

TEST_F(PipeliningTest, GivesEachRequestANewSequenceNumber) {
  ASSERT_TRUE(read(50));
  ASSERT_TRUE(board->status());
  for (std::size_t k = 1; k < script->heard.size(); ++k) {
    EXPECT_EQ(script->heard[k].sequence, script->heard[k - 1].sequence + 1);
  }
}

// ---- replies that do not belong --------------------------------------------------------------

TEST_F(PipeliningTest, IgnoresAndCountsRepliesToRequestsThatItDidNotSend) {
  script->script = [&](const Heard& heard) {
    script->reply({heard.request, heard.sequence + 1000}, script->plain_reply(heard.request));
    script->reply({heard.request, heard.sequence - 1000}, script->plain_reply(heard.request));
    return false;
  };
  ASSERT_TRUE(read(30));
  expect_whole_read(30);
  EXPECT_EQ(board->line_counters().ignored_replies, 6U);
  EXPECT_EQ(board->line_counters().repeated_requests, 0U);
}

TEST_F(PipeliningTest, IgnoresARepliesSecondComing) {
  script->script = [&](const Heard& heard) {
    script->reply_plainly(heard);
    return false;
  };
  ASSERT_TRUE(read(40));
  ASSERT_TRUE(board->status());
  expect_whole_read(40);
  EXPECT_GE(board->line_counters().ignored_replies, 3U);
}

TEST_F(PipeliningTest, IgnoresAReplyOfAnotherTypeWithTheRightNumber) {
  script->script = [&](const Heard& heard) {
    script->reply({wire::StatusRequest{}, heard.sequence}, wire::StatusReply{});
    return false;
  };
  ASSERT_TRUE(read(10));
  expect_whole_read(10);
  EXPECT_EQ(board->line_counters().ignored_replies, 1U);
}

TEST_F(PipeliningTest, ReadsOnAfterNoiseAndADamagedFrame) {
  script->script = [&](const Heard& heard) {
    script->to_host.push_back(std::vector<std::byte>(33, std::byte{'P'}));
    std::vector<std::byte>& damaged = script->to_host.emplace_back();
    encode(script->plain_reply(heard.request), MessageType::Read, heard.sequence, damaged);
    damaged[25] ^= std::byte{1};
    return false;
  };
  ASSERT_TRUE(read(10));
  expect_whole_read(10);
  EXPECT_GE(board->line_counters().bad_frames, 1U);
  EXPECT_GE(board->line_counters().skipped_bytes, 33U);
}

// ---- reads are repeated once -----------------------------------------------------------------

TEST_F(PipeliningTest, RepeatsOnlyTheReadWhoseReplyIsMissing) {
  swallow(MessageType::Read, 2);
  ASSERT_TRUE(read(80));
  expect_whole_read(80);
  EXPECT_THAT(log.begins, ElementsAre(0, 10, 20, 30, 40, 50, 60, 70));
  EXPECT_EQ(script->count(MessageType::Read), 9U);
  EXPECT_EQ(board->line_counters().repeated_requests, 1U);
  EXPECT_EQ(script->most_in_flight, 4U);
}

TEST_F(PipeliningTest, RepeatsTheLastReadAfterSilence) {
  swallow(MessageType::Read, 7);
  ASSERT_TRUE(read(80));
  expect_whole_read(80);
  EXPECT_EQ(script->count(MessageType::Read), 9U);
}

TEST_F(PipeliningTest, RepeatsEveryReadWhenAWholeWindowIsLost) {
  script->script = [seen = 0](const Heard&) mutable { return seen++ < 4; };
  ASSERT_TRUE(read(80));
  expect_whole_read(80);
  EXPECT_EQ(script->count(MessageType::Read), 12U);
}

TEST_F(PipeliningTest, GivesUpOnAReadThatIsLostTwice) {
  script->script = [&](const Heard& heard) {
    const auto* request = std::get_if<wire::ReadRequest>(&heard.request);
    return request != nullptr && expand(request->devices).front() == scattered(shape, 11)[10];
  };
  const auto result = read(40);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Timeout);
  EXPECT_THAT(result.error().message, HasSubstr("read of 10 devices from number 10 on"));
  EXPECT_EQ(script->count(MessageType::Read), 5U);
  EXPECT_THAT(log.begins, ElementsAre(0));
}

TEST_F(PipeliningTest, ASilentBoardCostsTwoDeadlinesAndNotOnePerRequest) {
  script->script = [](const Heard&) { return true; };
  const auto result = read(80);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Timeout);
  EXPECT_EQ(script->count(MessageType::Read), 5U);
}

TEST_F(PipeliningTest, WaitsFromWhenTheSinkIsDone) {
  script->receive_deadlines.clear();
  std::vector<Transport::Deadline> earliest;
  ASSERT_TRUE(board->read(scattered(shape, 50), {}, [&](const ReadChunk&) -> Result<void> {
    earliest.push_back(Transport::Clock::now());
    return {};
  }));
  ASSERT_EQ(script->receive_deadlines.size(), 5U);
  for (std::size_t k = 0; k + 1 < earliest.size(); ++k) {
    EXPECT_GE(script->receive_deadlines[k + 1], earliest[k] + TestBoardSettings{}.reply_deadline);
  }
}

// ---- pulses and time never are ---------------------------------------------------------------

TEST_F(PipeliningTest, NeverRepeatsABatchWhoseReplyIsMissing) {
  swallow(MessageType::Program, 2);
  const auto result = program(17, 80);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Timeout);
  EXPECT_THAT(result.error().message, HasSubstr("program batch 19 (10 devices, 400 ns)"));
  EXPECT_THAT(result.error().message, HasSubstr("not acknowledged: batch 19 to 22"));
  EXPECT_THAT(result.error().advice, HasSubstr("status()"));
  EXPECT_EQ(pulses.chunks.size(), 2U);
  EXPECT_EQ(script->count(MessageType::Program), 6U);
}

TEST_F(PipeliningTest, NeverRepeatsABatchAfterSilence) {
  script->script = [](const Heard&) { return true; };
  const auto result = program(17, 10);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Timeout);
  EXPECT_THAT(result.error().message, HasSubstr("not acknowledged: batch 17"));
  EXPECT_EQ(script->heard.size(), 1U);
}

TEST_F(PipeliningTest, NeverRepeatsAnInitialisation) {
  swallow(MessageType::Initialise, 0);
  const std::vector<Pulse> reset{{Current::from_uA(450), Duration(50)}};
  const auto result = board->initialise(3, reset, scattered(shape, 10), pulses.sink());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Timeout);
  EXPECT_EQ(script->heard.size(), 1U);
}

TEST_F(PipeliningTest, RepeatsAnAdvanceOfTime) {
  swallow(MessageType::AdvanceTime, 0);
  EXPECT_TRUE(board->advance_time_to(std::chrono::seconds(10)));
  EXPECT_EQ(script->heard.size(), 2U);
}

TEST_F(PipeliningTest, SendsAgainWhatDidNotFitIntoTheBoardsQueue) {
  int refusals = 2;
  script->script = [&](const Heard& heard) {
    const auto* program = std::get_if<wire::ProgramRequest>(&heard.request);
    if (program == nullptr || program->batch != 3 || refusals-- == 0) return false;
    script->reply(heard, wire::RefusalReply{wire::Refusal::QueueFull, ""});
    return true;
  };

  EXPECT_TRUE(board->program(1, Duration(400), scattered(shape, 50),
                             std::vector<std::uint16_t>(50, 100), pulses.sink()));
  EXPECT_EQ(pulses.chunks.size(), 5U);
  EXPECT_EQ(board->line_counters().repeated_requests, 2U);
}

TEST_F(PipeliningTest, RepeatsAStatusRequest) {
  swallow(MessageType::Status, 0);
  EXPECT_TRUE(board->status());
  EXPECT_EQ(script->heard.size(), 2U);
}

// ---- after an error --------------------------------------------------------------------------

TEST_F(PipeliningTest, ASinksErrorEndsTheCallWhenWhatIsInFlightHasBeenAwaited) {
  std::size_t taken = 0;
  const auto result = board->read(scattered(shape, 200), {}, [&](const ReadChunk&) -> Result<void> {
    if (++taken == 3) return fail(ErrorCode::DiskFull, "no room");
    return {};
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::DiskFull);
  EXPECT_EQ(taken, 3U);
  EXPECT_EQ(script->heard.size(), 6U);
  EXPECT_EQ(script->in_flight, 0U);
}

TEST_F(PipeliningTest, ASinksErrorTellsWhichBatchesWereStillUnderWay) {
  const auto result =
      board->program(1, kWidth, scattered(shape, 200), std::vector<std::uint16_t>(200, 100),
                     [](const PulseChunk&) -> Result<void> {
                       return fail(ErrorCode::DiskFull, "no room", "Make some.");
                     });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::DiskFull);
  EXPECT_THAT(result.error().message, HasSubstr("not acknowledged: batch 2 to 4"));
  EXPECT_THAT(result.error().advice, HasSubstr("Make some."));
}

TEST_F(PipeliningTest, AnExceptionFromASinkLeavesTheBoardUsable) {
  EXPECT_THROW(static_cast<void>(
                   board->read(scattered(shape, 80), {},
                               [](const ReadChunk&) -> Result<void> { throw std::bad_alloc(); })),
               std::bad_alloc);
  ASSERT_TRUE(read(30));
  expect_whole_read(30);
  EXPECT_EQ(board->line_counters().ignored_replies, 3U);
}

TEST_F(PipeliningTest, TheNextCallIsNotDisturbedByRepliesThatCameTooLate) {
  std::vector<Heard> late;
  script->script = [&](const Heard& heard) {
    late.push_back(heard);
    return true;
  };
  EXPECT_FALSE(program(1, 40));
  script->script = nullptr;
  for (const Heard& heard : late) script->reply_plainly(heard);
  ASSERT_TRUE(program(11, 40));
  EXPECT_EQ(pulses.chunks.size(), 4U);
  EXPECT_EQ(board->line_counters().ignored_replies, 4U);
}

}  // namespace
}  // namespace pcmlab

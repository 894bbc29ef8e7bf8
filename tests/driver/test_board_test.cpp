// SPDX-License-Identifier: Apache-2.0
#include "driver/test_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/driver/scripted_board.h"

namespace pcmlab {
namespace {

using testing::devices;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Heard;
using testing::kWidth;
using testing::open;
using testing::PulseLog;
using testing::ReadLog;
using testing::scattered;
using testing::ScriptedBoard;
using testing::ScriptedTransport;
using wire::MessageType;

class TestBoardTest : public ::testing::Test {
 protected:
  const wire::ReadRequest& read_request(std::size_t k) {
    return std::get<wire::ReadRequest>(script->heard.at(k).request);
  }
  Result<std::unique_ptr<TestBoard>> try_open(const TestBoardSettings& settings = {}) {
    return TestBoard::open(std::make_unique<ScriptedTransport>(script), settings);
  }

  std::shared_ptr<ScriptedBoard> script = std::make_shared<ScriptedBoard>();
  ArrayShape shape = script->information.shape;
};

// ---- opening ---------------------------------------------------------------------------------

TEST_F(TestBoardTest, GreetsTheBoardFirstAndThenAsksWhoItIs) {
  const auto board = try_open();
  ASSERT_TRUE(board);
  ASSERT_EQ(script->heard.size(), 2U);
  EXPECT_EQ(type_of(script->heard[0].request), MessageType::Hello);
  EXPECT_EQ(type_of(script->heard[1].request), MessageType::Information);
  EXPECT_EQ((*board)->information(), script->information);
}

TEST_F(TestBoardTest, IsIncompatibleWithABoardThatAnswersWithAnotherVersion) {
  script->script = [&](const Heard& heard) {
    script->reply(heard, wire::HelloReply{2});
    return true;
  };
  const auto board = try_open();
  ASSERT_FALSE(board);
  EXPECT_EQ(board.error().code, ErrorCode::Incompatible);
  EXPECT_THAT(board.error().message, HasSubstr("version 2"));
}

TEST_F(TestBoardTest, IsIncompatibleWithABoardThatRefusesItsVersion) {
  script->script = [&](const Heard& heard) {
    script->reply(heard, wire::RefusalReply{wire::Refusal::VersionMismatch, "I speak 3 to 4"});
    return true;
  };
  const auto board = try_open();
  ASSERT_FALSE(board);
  EXPECT_EQ(board.error().code, ErrorCode::Incompatible);
  EXPECT_THAT(board.error().message, HasSubstr("I speak 3 to 4"));
}

TEST_F(TestBoardTest, IsIncompatibleWithABoardThatTakesNoDevices) {
  script->information.limits.max_devices_per_request = 0;
  const auto board = try_open();
  ASSERT_FALSE(board);
  EXPECT_EQ(board.error().code, ErrorCode::Incompatible);
}

TEST_F(TestBoardTest, GreetsASecondTimeAndThenGivesUpOnASilentBoard) {
  script->script = [](const Heard&) { return true; };
  const auto board = try_open();
  ASSERT_FALSE(board);
  EXPECT_EQ(board.error().code, ErrorCode::Timeout);
  EXPECT_EQ(script->count(MessageType::Hello), 2U);
  EXPECT_EQ(script->heard.size(), 2U);
}

// ---- chunks ----------------------------------------------------------------------------------

TEST_F(TestBoardTest, CutsAReadIntoChunksAndHandsThemOverInOrder) {
  const auto board = open(script);
  const auto addresses = scattered(shape, 57);
  ReadLog log;
  ASSERT_TRUE(board->read(addresses, {}, log.sink()));
  EXPECT_EQ(board->chunk_devices(), 10U);
  EXPECT_THAT(log.begins, ElementsAre(0, 10, 20, 30, 40, 50));
  ASSERT_EQ(log.sums.size(), addresses.size());
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    EXPECT_EQ(log.sums[i], ScriptedBoard::code_sum(addresses[i], 5)) << i;
  }
  EXPECT_EQ(device_count(read_request(5).devices), 7U);
}

TEST_F(TestBoardTest, TakesTheSmallerOfItsOwnAndTheBoardsChunk) {
  EXPECT_EQ(open(script, {.chunk_devices = 6})->chunk_devices(), 6U);
  EXPECT_EQ(open(script, {.chunk_devices = 600})->chunk_devices(), 10U);
  script->information.limits.max_devices_per_request = 1U << 31;
  EXPECT_EQ(open(script)->chunk_devices(), 4096U);
  EXPECT_LE(open(script, {.chunk_devices = 1U << 30})->chunk_devices() * 6, wire::kMaxPayloadBytes);
}

TEST_F(TestBoardTest, NumbersPulseBatchesByChunk) {
  const auto board = open(script);
  const auto addresses = scattered(shape, 25);
  std::vector<std::uint16_t> amplitudes(25, 20000);
  amplitudes[21] = 0;
  PulseLog log;
  ASSERT_TRUE(board->program(100, kWidth, addresses, amplitudes, log.sink()));
  ASSERT_EQ(log.chunks.size(), 3U);
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(log.chunks[k].batch, 100 + k);
    EXPECT_EQ(log.chunks[k].begin, 10 * k);
    EXPECT_EQ(log.chunks[k].count, k < 2 ? 10U : 5U);
    EXPECT_EQ(log.chunks[k].pulses_executed, k < 2 ? 10U : 4U);
    const auto& request = std::get<wire::ProgramRequest>(script->heard[k].request);
    EXPECT_EQ(request.batch, 100 + k);
    EXPECT_EQ(request.width, kWidth);
  }
  const auto& last = std::get<wire::ProgramRequest>(script->heard[2].request);
  EXPECT_EQ(last.addresses, std::vector(addresses.begin() + 20, addresses.end()));
  EXPECT_THAT(last.amplitudes_10nA, ElementsAre(20000, 0, 20000, 20000, 20000));
}

TEST_F(TestBoardTest, SendsTheWholeSequenceWithEachChunkOfAnInitialisation) {
  const auto board = open(script);
  const std::vector<Pulse> sequence{{Current::from_uA(450), Duration(50)},
                                    {Current::from_uA(160), Duration(1000)}};
  PulseLog log;
  ASSERT_TRUE(board->initialise(7, sequence, scattered(shape, 12), log.sink()));
  ASSERT_EQ(log.chunks.size(), 2U);
  EXPECT_EQ(log.chunks[1].batch, 8U);
  EXPECT_EQ(log.chunks[1].pulses_executed, 4U);
  EXPECT_EQ(std::get<wire::InitialiseRequest>(script->heard[1].request).sequence, sequence);
}

TEST_F(TestBoardTest, NothingToDoIsDoneWithoutAskingTheBoard) {
  const auto board = open(script);
  ReadLog reads;
  PulseLog pulses;
  EXPECT_TRUE(board->read({}, {}, reads.sink()));
  EXPECT_TRUE(board->program(1, kWidth, {}, {}, pulses.sink()));
  EXPECT_TRUE(script->heard.empty());
}

TEST_F(TestBoardTest, NamesARectangleInsteadOfItsDevices) {
  script->information.limits.max_devices_per_request = 128;
  const auto board = open(script);
  ReadLog log;
  ASSERT_TRUE(board->read(devices(shape, 64, 192), {}, log.sink()));
  EXPECT_EQ(std::get<wire::Rectangle>(read_request(0).devices),
            (wire::Rectangle{{WordLine{1}, BitLine{0}}, 2, 64}));

  std::vector<DeviceAddress> window;
  for (std::uint16_t row = 3; row < 6; ++row) {
    for (std::uint16_t column = 10; column < 14; ++column) {
      window.push_back({WordLine{row}, BitLine{column}});
    }
  }
  ASSERT_TRUE(board->read(window, {}, log.sink()));
  EXPECT_EQ(std::get<wire::Rectangle>(read_request(1).devices),
            (wire::Rectangle{{WordLine{3}, BitLine{10}}, 3, 4}));

  std::vector<DeviceAddress> column;
  for (std::uint16_t row = 0; row < 16; ++row) column.push_back({WordLine{row}, BitLine{5}});
  ASSERT_TRUE(board->read(column, {}, log.sink()));
  EXPECT_EQ(std::get<wire::Rectangle>(read_request(2).devices),
            (wire::Rectangle{{WordLine{0}, BitLine{5}}, 16, 1}));
}

TEST_F(TestBoardTest, ListsDevicesThatAreNoRectangleInThatOrder) {
  script->information.limits.max_devices_per_request = 128;
  const auto board = open(script);
  auto swapped = devices(shape, 64, 192);
  std::swap(swapped[100], swapped[101]);
  const auto ragged = devices(shape, 10, 100);
  auto repeated = devices(shape, 0, 2);
  repeated[1] = repeated[0];
  std::size_t k = 0;
  for (const auto& addresses : {swapped, ragged, repeated}) {
    ReadLog log;
    ASSERT_TRUE(board->read(addresses, {}, log.sink()));
    EXPECT_EQ(std::get<wire::DeviceList>(read_request(k++).devices).addresses, addresses);
    EXPECT_EQ(log.sums.back(), ScriptedBoard::code_sum(addresses.back(), 5));
  }
}

// ---- refusals and wrong answers --------------------------------------------------------------

TEST_F(TestBoardTest, SaysWhichBatchTheBoardRefusedAndWhy) {
  const auto board = open(script);
  script->script = [&](const Heard& heard) {
    const auto* program = std::get_if<wire::ProgramRequest>(&heard.request);
    if (program == nullptr || program->batch != 18) return false;
    script->reply(heard, wire::RefusalReply{wire::Refusal::OverTemperature, "it is at 371 K"});
    return true;
  };
  PulseLog log;
  const auto result = board->program(17, kWidth, scattered(shape, 100),
                                     std::vector<std::uint16_t>(100, 100), log.sink());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::LimitExceeded);
  EXPECT_THAT(result.error().message, HasSubstr("program batch 18 (10 devices, 400 ns)"));
  EXPECT_THAT(result.error().message, HasSubstr("it is at 371 K"));
  EXPECT_THAT(result.error().message, HasSubstr("not acknowledged: batch 19 to 21"));
  EXPECT_THAT(result.error().advice, HasSubstr("status()"));
  EXPECT_EQ(log.chunks.size(), 1U);
  EXPECT_EQ(script->count(MessageType::Program), 5U);
}

TEST_F(TestBoardTest, TurnsEachRefusalIntoAnErrorOfItsKind) {
  using wire::Refusal;
  const std::vector<std::pair<Refusal, ErrorCode>> kinds{
      {Refusal::UnknownRequest, ErrorCode::Unsupported},
      {Refusal::BadPayload, ErrorCode::Refused},
      {Refusal::BadAddress, ErrorCode::Refused},
      {Refusal::LimitExceeded, ErrorCode::LimitExceeded},
      {Refusal::Unsupported, ErrorCode::Unsupported},
      {Refusal::VersionMismatch, ErrorCode::Incompatible},
      {Refusal::QueueFull, ErrorCode::Refused},
      {Refusal::Aborted, ErrorCode::Stopped},
      {Refusal::DuplicateBatch, ErrorCode::DuplicateBatch},
      {Refusal::OverTemperature, ErrorCode::LimitExceeded}};
  const auto board = open(script);
  for (const auto& [reason, code] : kinds) {
    script->script = [&, reason = reason](const Heard& heard) {
      script->reply(heard, wire::RefusalReply{reason, "so it is"});
      return true;
    };
    const auto status = board->status();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, code);
    EXPECT_THAT(status.error().message, HasSubstr(std::string(to_string(reason))));
    EXPECT_FALSE(status.error().advice.empty());
  }
}

TEST_F(TestBoardTest, StopsAtABatchThatWasAbortedHalfWayAndReportsWhatWasDone) {
  const auto board = open(script);
  script->script = [&](const Heard& heard) {
    const auto* program = std::get_if<wire::ProgramRequest>(&heard.request);
    if (program == nullptr || program->batch != 2) return false;
    auto reply = std::get<wire::ProgramReply>(script->plain_reply(heard.request));
    reply.devices_done = reply.pulses_executed = 3;
    script->reply(heard, reply);
    return true;
  };
  PulseLog log;
  const auto result = board->program(1, kWidth, scattered(shape, 20),
                                     std::vector<std::uint16_t>(20, 100), log.sink());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Stopped);
  ASSERT_EQ(log.chunks.size(), 2U);
  EXPECT_EQ(log.chunks[1].count, 3U);
}

TEST_F(TestBoardTest, AReadWithTooFewValuesIsABadFrame) {
  const auto board = open(script);
  script->script = [&](const Heard& heard) {
    auto reply = std::get<wire::ReadReply>(script->plain_reply(heard.request));
    reply.code_sums.pop_back();
    script->reply(heard, reply);
    return true;
  };
  ReadLog log;
  const auto result = board->read(scattered(shape, 10), {}, log.sink());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::BadFrame);
  EXPECT_TRUE(log.begins.empty());
}

TEST_F(TestBoardTest, AnAcknowledgementOfAnotherBatchIsABadFrame) {
  const auto board = open(script);
  script->script = [&](const Heard& heard) {
    auto reply = std::get<wire::ProgramReply>(script->plain_reply(heard.request));
    reply.batch += 1;
    script->reply(heard, reply);
    return true;
  };
  PulseLog log;
  const auto result = board->program(1, kWidth, scattered(shape, 10),
                                     std::vector<std::uint16_t>(10, 100), log.sink());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::BadFrame);
  EXPECT_TRUE(log.chunks.empty());
}

// ---- the rest --------------------------------------------------------------------------------

TEST_F(TestBoardTest, PassesOnStatusTemperatureAbortAndTime) {
  const auto board = open(script);
  EXPECT_EQ(board->status()->boot_epoch, 7U);
  EXPECT_NEAR(board->temperature()->K(), 301.5, 1e-9);
  EXPECT_TRUE(board->abort());
  EXPECT_EQ(*board->advance_time_to(std::chrono::hours(24)), std::chrono::hours(24));
  EXPECT_EQ(script->heard.size(), 4U);
}

TEST_F(TestBoardTest, DoesNotAskABoardWithRealTimeToAdvanceIt) {
  script->information.capabilities = 0;
  const auto board = open(script);
  const auto result = board->advance_time_to(std::chrono::hours(1));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Unsupported);
  EXPECT_TRUE(script->heard.empty());
}

TEST_F(TestBoardTest, ASinkThatTalksToTheBoardIsToldSo) {
  const auto board = open(script);
  Result<BoardStatus> inner;
  const auto result = board->read(scattered(shape, 10), {}, [&](const ReadChunk&) -> Result<void> {
    inner = board->status();
    return {};
  });
  EXPECT_TRUE(result);
  ASSERT_FALSE(inner);
  EXPECT_EQ(inner.error().code, ErrorCode::Internal);
  EXPECT_TRUE(board->status());
}

}  // namespace
}  // namespace pcmlab

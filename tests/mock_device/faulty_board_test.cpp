// SPDX-License-Identifier: Apache-2.0
// The faults of a plan, frame by frame.
#include "mock_device/faulty_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/frame_reader.h"
#include "protocol/messages.h"
#include "tests/protocol/untimed.h"

namespace pcmlab::mock {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using wire::Refusal;
using Bytes = std::vector<std::byte>;

constexpr ArrayShape kShape{8, 32};
constexpr Duration kWidth{400};
constexpr Duration kOverhead{1000};

wire::ProgramRequest program(std::uint64_t batch, std::size_t count = 10) {
  wire::ProgramRequest request;
  request.batch = batch;
  request.width = kWidth;
  for (std::size_t i = 0; i < count; ++i) request.addresses.push_back(kShape.at(i));
  request.amplitudes_10nA.assign(count, 10000);
  return request;
}

wire::ReadRequest read(std::uint16_t word_lines = 8, std::uint8_t samples = 1) {
  return {wire::Rectangle{{}, word_lines, kShape.bit_lines}, samples, Voltage::from_mV(200)};
}

/// Requests of all kinds in turn, some of which are refused. None whose reply tells how many others
/// are queued: that depends on how bytes are cut, faults or not.
wire::Request varied(std::size_t number) {
  switch (number % 10) {
    case 0:
      return wire::TemperatureRequest{};
    case 1:
      return wire::InformationRequest{};
    case 2:
    case 3:
      return program(number);
    case 4:
      return wire::AdvanceTimeRequest{std::chrono::seconds(number / 10 + 1)};
    case 5:
      return wire::InitialiseRequest{
          number, {{Current::from_uA(450), kWidth}}, wire::Rectangle{{}, 2, 8}};
    case 6:
      return wire::ReadReferencesRequest{5, Voltage::from_mV(200)};
    case 7:
      return program(1);
    default:
      return read();
  }
}

MockBoardSettings settings() {
  MockBoardSettings settings;
  settings.request_overhead = kOverhead;
  settings.ledger_batches = 1000;
  return settings;
}

PcmChip chip() { return {PcmParameters{}, kShape, 1, 1}; }

/// The frames in a stream.
std::vector<wire::Frame> frames(const Bytes& bytes) {
  wire::FrameReader reader;
  reader.append(bytes);
  std::vector<wire::Frame> frames;
  while (std::optional<wire::Frame> frame = reader.next()) frames.push_back(std::move(*frame));
  return frames;
}

class FaultyBoardTest : public ::testing::Test {
 protected:
  FaultyBoardTest() { start(); }

  /// Puts a new chip on a new board, with the plan as it is now.
  void start() {
    board.emplace(chip(), settings(), plan);
    sequence = 0;
  }

  std::uint32_t send(const wire::Request& request) {
    Bytes bytes;
    encode(request, ++sequence, bytes);
    board->receive(bytes);
    return sequence;
  }

  /// Lets the board work on all it has. \return what it says.
  Bytes output() {
    while (board->work()) {
    }
    Bytes bytes;
    board->take_output(bytes);
    return bytes;
  }

  /// Sequence numbers of the replies that come now.
  std::vector<std::uint32_t> replies() {
    std::vector<std::uint32_t> sequences;
    for (const wire::Frame& frame : frames(output())) sequences.push_back(frame.sequence);
    return sequences;
  }

  /// The one reply to this request.
  template <class Reply>
  Reply ask(const wire::Request& request) {
    send(request);
    const std::vector<wire::Frame> all = frames(output());
    EXPECT_THAT(all, SizeIs(1));
    if (all.empty()) return {};
    const Result<wire::Reply> reply = decode_reply(all[0]);
    const bool right = reply && std::holds_alternative<Reply>(*reply);
    EXPECT_TRUE(right);
    return right ? std::get<Reply>(*reply) : Reply{};
  }

  FaultPlan plan;
  std::optional<FaultyBoard> board;
  std::uint32_t sequence = 0;
};

// ---- the plan as a whole ---------------------------------------------------------------------

TEST_F(FaultyBoardTest, WithoutFaultsItIsAMockBoardBitForBit) {
  MockBoard plain(chip(), settings());
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 200; ++i) {
    Bytes bytes(i % 3, std::byte{0x55});  // noise between the frames
    encode(varied(i), ++number, bytes);
    if (i % 7 == 0) bytes[bytes.size() / 2] ^= std::byte{1};
    plain.receive(bytes);
    board->receive(bytes);
    while (plain.work()) {
    }
    Bytes expected;
    plain.take_output(expected);
    ASSERT_EQ(output(), expected) << "request " << i;
  }
  EXPECT_EQ(board->counters(), FaultCounters{});
  EXPECT_EQ(board->board().bad_frames(), plain.bad_frames());
  EXPECT_EQ(board->board().skipped_bytes(), plain.skipped_bytes());
  EXPECT_EQ(board->board().now(), plain.now());
  EXPECT_EQ(board->board().ledger(), plain.ledger());
}

FaultPlan everything() {
  FaultPlan plan;
  plan.seed = 7;
  plan.line.requests = {.lost = 0.05, .corrupted = 0.05, .truncated = 0.05, .repeated = 0.05};
  plan.line.replies = plan.line.requests;
  plan.line.late_replies = 0.05;
  plan.line.late_by = 3;
  plan.over_temperature_K = 100;
  plan.over_temperature_from = std::chrono::seconds(20);
  plan.over_temperature_until = std::chrono::seconds(40);
  plan.chip.stuck_low_fraction = 0.1;
  return plan;
}

/// Sends so many varied requests, in pieces of a size. \return all that the board says.
Bytes conversation(FaultyBoard& board, std::size_t requests, std::size_t piece) {
  Bytes to_board;
  for (std::size_t i = 0; i < requests; ++i) {
    encode(varied(i), static_cast<std::uint32_t>(i + 1), to_board);
  }
  Bytes said;
  for (std::size_t at = 0; at < to_board.size(); at += piece) {
    board.receive(std::span(to_board).subspan(at, std::min(piece, to_board.size() - at)));
    while (board.work()) board.take_output(said);
  }
  return said;
}

TEST_F(FaultyBoardTest, TheSameSeedGivesTheSameFaultsAndAnotherOneOthers) {
  plan = everything();
  start();
  const Bytes first = conversation(*board, 500, 4096);
  const FaultCounters counters = board->counters();
  start();
  EXPECT_EQ(conversation(*board, 500, 4096), first);
  EXPECT_EQ(board->counters(), counters);
  plan.seed = 8;
  start();
  EXPECT_NE(conversation(*board, 500, 4096), first);
}

TEST_F(FaultyBoardTest, FaultsDoNotDependOnHowTheBytesAreCut) {
  plan = everything();
  start();
  const Bytes whole = conversation(*board, 500, 100);
  const FaultCounters counters = board->counters();
  EXPECT_GT(std::min({counters.requests.lost, counters.requests.corrupted,
                      counters.requests.truncated, counters.requests.repeated}),
            0U);
  EXPECT_GT(std::min({counters.replies.lost, counters.replies.corrupted, counters.replies.truncated,
                      counters.replies.repeated, counters.replies.late, counters.hot_requests}),
            0U);
  for (const std::size_t piece : {1U, 7U, 23U, 64U}) {
    start();
    EXPECT_EQ(conversation(*board, 500, piece), whole) << piece;
    EXPECT_EQ(board->counters(), counters) << piece;
  }
}

TEST_F(FaultyBoardTest, BreaksTheChipByTheSeedOfThePlan) {
  plan.chip.stuck_high_fraction = 0.3;
  plan.chip.seed = 99;
  start();
  const auto first = ask<wire::ReadReply>(read(8, 5));
  plan.chip.seed = 100;
  start();
  EXPECT_EQ(ask<wire::ReadReply>(read(8, 5)), first);
  const auto high = std::count_if(first.code_sums.begin(), first.code_sums.end(),
                                  [](std::uint16_t sum) { return sum > 5 * 100; });
  EXPECT_NEAR(static_cast<double>(high), 0.3 * 256, 30);
  plan.seed = 2;
  start();
  EXPECT_NE(ask<wire::ReadReply>(read(8, 5)).code_sums, first.code_sums);
}

// ---- line ------------------------------------------------------------------------------------

TEST_F(FaultyBoardTest, ALostRequestIsNotExecuted) {
  plan.line.requests.lost = 1;
  plan.line.most = 1;
  start();
  send(program(1));
  send(program(2));
  EXPECT_THAT(replies(), ElementsAre(2));
  EXPECT_THAT(board->board().ledger(), SizeIs(1));
  EXPECT_EQ(board->counters().requests, FrameFaultCounters{.lost = 1});
}

TEST_F(FaultyBoardTest, TheRequestOfALostReplyIsExecuted) {
  plan.line.replies.lost = 1;
  plan.line.spared = 1;
  plan.line.most = 1;
  start();
  send(program(1));
  send(program(2));
  send(program(3));
  EXPECT_THAT(replies(), ElementsAre(1, 3));
  EXPECT_THAT(board->board().ledger(), SizeIs(3));
  EXPECT_EQ(board->counters().replies, FrameFaultCounters{.lost = 1});
}

TEST_F(FaultyBoardTest, ACorruptedRequestGetsNoAnswer) {
  plan.line.requests.corrupted = 1;
  start();
  for (std::uint64_t batch = 1; batch <= 50; ++batch) send(program(batch));
  EXPECT_THAT(replies(), IsEmpty());
  EXPECT_GE(board->board().bad_frames(), 1U);
  EXPECT_THAT(board->board().ledger(), IsEmpty());
  EXPECT_EQ(board->counters().requests.corrupted, 50U);
}

TEST_F(FaultyBoardTest, ACorruptedReplyIsNoFrame) {
  plan.line.replies.corrupted = 1;
  start();
  for (std::uint64_t batch = 1; batch <= 50; ++batch) {
    send(program(batch));
    EXPECT_THAT(frames(output()), IsEmpty());
  }
  EXPECT_THAT(board->board().ledger(), SizeIs(50));
  EXPECT_EQ(board->counters().replies.corrupted, 50U);
}

TEST_F(FaultyBoardTest, OfATruncatedRequestTheBoardGetsNothing) {
  plan.line.requests.truncated = 1;
  plan.line.most = 1;
  start();
  send(program(1));
  for (std::uint64_t batch = 2; batch <= 5; ++batch) send(program(batch));
  EXPECT_THAT(replies(), ElementsAre(2, 3, 4, 5));
  EXPECT_EQ(board->counters().requests, FrameFaultCounters{.truncated = 1});
}

/// The rest that its header promises is waited for, as protocol/README.md has it.
TEST_F(FaultyBoardTest, ATruncatedRequestMakesTheBoardDeafUntilAsMuchHasCome) {
  plan.line.requests.truncated = 1;
  plan.line.most = 1;
  for (plan.seed = 1;; ++plan.seed) {
    start();
    send(program(1, 200));
    send(wire::StatusRequest{});
    if (replies().empty()) break;  // the header was whole
    ASSERT_LT(plan.seed, 100U);
  }
  send(program(2, 200));
  EXPECT_THAT(replies(), ElementsAre(2, 3)) << "what was swallowed is found again";
  board->connection_lost();
  EXPECT_THAT(board->board().ledger(), SizeIs(1));
}

TEST_F(FaultyBoardTest, ATruncatedReplyIsShorterThanItsFrame) {
  plan.line.replies.truncated = 1;
  start();
  send(read());
  const Bytes part = output();
  EXPECT_GE(part.size(), 1U);
  EXPECT_LT(part.size(), wire::kHeaderBytes + 20 + 2 * 256 + wire::kCrcBytes);
  EXPECT_EQ(board->counters().replies, FrameFaultCounters{.truncated = 1});
}

TEST_F(FaultyBoardTest, ARepeatedRequestIsAnsweredTwiceAndItsPulsesGoOutOnce) {
  plan.line.requests.repeated = 1;
  start();
  send(program(1));
  const std::vector<wire::Frame> all = frames(output());
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_TRUE(std::holds_alternative<wire::ProgramReply>(*decode_reply(all[0])));
  EXPECT_EQ(std::get<wire::RefusalReply>(*decode_reply(all[1])).reason, Refusal::DuplicateBatch);
  EXPECT_EQ(all[1].sequence, 1U);
  EXPECT_EQ(board->board().chip().pulses_of(kShape.at(0)), 1U);
  EXPECT_EQ(board->counters().requests, FrameFaultCounters{.repeated = 1});
}

TEST_F(FaultyBoardTest, ARepeatedReplyComesTwice) {
  plan.line.replies.repeated = 1;
  start();
  send(program(1));
  EXPECT_THAT(replies(), ElementsAre(1, 1));
  EXPECT_THAT(board->board().ledger(), SizeIs(1));
  EXPECT_EQ(board->counters().replies, FrameFaultCounters{.repeated = 1});
}

TEST_F(FaultyBoardTest, ALateReplyComesOnlyAfterTheNextOne) {
  plan.line.late_replies = 1;
  plan.line.most = 1;
  start();
  send(wire::StatusRequest{});
  EXPECT_THAT(replies(), IsEmpty());
  send(wire::StatusRequest{});
  send(wire::StatusRequest{});
  EXPECT_THAT(replies(), ElementsAre(2, 1, 3));
  EXPECT_EQ(board->counters().replies, FrameFaultCounters{.late = 1});
}

TEST_F(FaultyBoardTest, ALateReplyDoesNotOutliveItsConnection) {
  plan.line.late_replies = 1;
  plan.line.most = 1;
  start();
  send(wire::StatusRequest{});
  EXPECT_THAT(replies(), IsEmpty());
  board->connection_lost();
  send(wire::StatusRequest{});
  EXPECT_THAT(replies(), ElementsAre(2));
}

// ---- interruptions ---------------------------------------------------------------------------

TEST_F(FaultyBoardTest, DisconnectsWithTheRequestThatIsPlanned) {
  plan.disconnect.after_requests = 3;
  start();
  for (std::uint64_t batch = 1; batch <= 5; ++batch) send(program(batch));
  const Bytes said = output();
  EXPECT_TRUE(board->unplugged());
  EXPECT_THAT(frames(said), SizeIs(2));
  const std::size_t whole_reply = wire::kHeaderBytes + 32 + wire::kCrcBytes;
  EXPECT_GT(said.size(), 2 * whole_reply) << "something of the last reply gets out";
  EXPECT_LT(said.size(), 3 * whole_reply);
  EXPECT_THAT(board->board().ledger(), SizeIs(3));

  send(wire::StatusRequest{});
  EXPECT_THAT(output(), IsEmpty()) << "deaf until the carrier knows";
  board->connection_lost();
  EXPECT_FALSE(board->unplugged());
  const auto status = ask<wire::StatusReply>(wire::StatusRequest{});
  EXPECT_EQ(status.boot_epoch, 1U);
  EXPECT_THAT(status.recent_batches, SizeIs(3));
  EXPECT_EQ(board->counters(), FaultCounters{.disconnects = 1});
}

TEST_F(FaultyBoardTest, DisconnectsAsOftenAsPlanned) {
  const auto disconnects_of = [this](std::uint64_t times) {
    plan.disconnect.after_requests = 4;
    plan.disconnect.times = times;
    start();
    std::vector<std::uint32_t> numbers;
    for (std::uint32_t i = 1; i <= 20; ++i) {
      send(wire::StatusRequest{});
      output();
      if (board->unplugged()) numbers.push_back(i);
      if (board->unplugged()) board->connection_lost();
    }
    EXPECT_EQ(board->counters().disconnects, numbers.size());
    return numbers;
  };
  EXPECT_THAT(disconnects_of(1), ElementsAre(4));
  EXPECT_THAT(disconnects_of(2), ElementsAre(4, 8));
  EXPECT_THAT(disconnects_of(0), ElementsAre(4, 8, 12, 16, 20));
}

TEST_F(FaultyBoardTest, ADisconnectInsideABatchLeavesARecordOfHowFarItCame) {
  plan.disconnect = {.after_requests = 1, .share = 0.5};
  start();
  send(program(1));
  output();
  ASSERT_TRUE(board->unplugged());
  board->connection_lost();
  const auto status = ask<wire::StatusReply>(wire::StatusRequest{});
  EXPECT_THAT(status.recent_batches,
              ElementsAre(::testing::ResultOf(untimed, wire::BatchRecord{1, 10, 5, 5})));
  EXPECT_EQ(board->board().chip().pulses_of(kShape.at(4)), 1U);
  EXPECT_EQ(board->board().chip().pulses_of(kShape.at(5)), 0U);
}

TEST_F(FaultyBoardTest, ALossOfMemoryChangesTheBootEpochAndEndsTheConnection) {
  plan.memory_loss = {.after_requests = 2, .share = 0.2};
  plan.memory_loss_off = std::chrono::seconds(5);
  start();
  send(program(1));
  send(program(2));
  send(program(3));
  EXPECT_THAT(replies(), ElementsAre(1));
  ASSERT_TRUE(board->unplugged());
  board->connection_lost();
  const auto status = ask<wire::StatusReply>(wire::StatusRequest{});
  EXPECT_EQ(status.boot_epoch, 2U);
  EXPECT_EQ(status.now, Duration(0));
  EXPECT_THAT(status.recent_batches, IsEmpty());
  EXPECT_GT(board->board().chip_time(), std::chrono::seconds(5));
  EXPECT_EQ(board->board().chip().pulses_of(kShape.at(1)), 2U);
  EXPECT_EQ(board->board().chip().pulses_of(kShape.at(2)), 1U);
  EXPECT_EQ(board->counters(), FaultCounters{.memory_losses = 1});
}

TEST_F(FaultyBoardTest, ALossOfMemoryGoesBeforeADisconnectOfTheSameRequest) {
  plan.memory_loss.after_requests = plan.disconnect.after_requests = 1;
  start();
  send(wire::StatusRequest{});
  output();
  EXPECT_EQ(board->counters(), FaultCounters{.memory_losses = 1});
}

// ---- board -----------------------------------------------------------------------------------

TEST_F(FaultyBoardTest, IsTooHotBetweenTheTimesPlanned) {
  plan.over_temperature_K = 80;
  plan.over_temperature_from = std::chrono::seconds(10);
  plan.over_temperature_until = std::chrono::seconds(20);
  start();
  board->set_temperature(TemperatureProfile(Temperature::from_K(310)));
  const auto temperature_K = [this] {
    return ask<wire::TemperatureReply>(wire::TemperatureRequest{}).chip.K();
  };
  EXPECT_NEAR(temperature_K(), 310, 1e-9);
  EXPECT_EQ(ask<wire::ProgramReply>(program(1)).pulses_executed, 10U);
  ask<wire::AdvanceTimeReply>(wire::AdvanceTimeRequest{std::chrono::seconds(10)});
  EXPECT_NEAR(temperature_K(), 390, 1e-9);
  EXPECT_EQ(ask<wire::RefusalReply>(program(2)).reason, Refusal::OverTemperature);
  EXPECT_THAT(ask<wire::ReadReply>(read()).code_sums, SizeIs(256)) << "reads are still allowed";
  board->set_temperature(TemperatureProfile(Temperature::from_K(300)));
  EXPECT_NEAR(temperature_K(), 380, 1e-9);
  ask<wire::AdvanceTimeReply>(wire::AdvanceTimeRequest{std::chrono::seconds(20)});
  EXPECT_NEAR(temperature_K(), 300, 1e-9);
  EXPECT_EQ(ask<wire::ProgramReply>(program(2)).pulses_executed, 10U);
  EXPECT_EQ(board->counters(), FaultCounters{.hot_requests = 5});
}

TEST_F(FaultyBoardTest, TheHotTimeIsThatOfTheChipOverAllBoots) {
  plan.over_temperature_K = 80;
  plan.over_temperature_from = std::chrono::seconds(10);
  start();
  ask<wire::StatusReply>(wire::StatusRequest{});
  board->board().reboot(std::chrono::seconds(10));
  ask<wire::StatusReply>(wire::StatusRequest{});
  EXPECT_EQ(board->counters().hot_requests, 1U);
}

TEST_F(FaultyBoardTest, ASlowBoardTakesLongerForRequestsReadsAndPulses) {
  const auto times = [this] {
    start();
    const auto reply = ask<wire::ReadReply>(read());
    ask<wire::ProgramReply>(program(1));
    const auto status = ask<wire::StatusReply>(wire::StatusRequest{});
    return std::vector<Duration>{reply.first, reply.last - reply.first, status.busy};
  };
  const std::vector<Duration> usual = times();
  EXPECT_EQ(usual[0], kOverhead);
  plan.slowness = 4;
  plan.request_overhead = std::chrono::milliseconds(2);
  EXPECT_THAT(times(),
              ElementsAre(kOverhead + std::chrono::milliseconds(2), 4 * usual[1], 4 * usual[2]));
}

}  // namespace
}  // namespace pcmlab::mock

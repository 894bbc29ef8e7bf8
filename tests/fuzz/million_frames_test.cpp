// SPDX-License-Identifier: Apache-2.0
// A million frames and more over lines that flip bits, truncate, repeat, reorder, lose, and promise
// absurd lengths, in both directions. What is delivered must be what was sent, all of it, and
// nothing else; the seeds are fixed, for one damaged frame in 2^32 has a right checksum.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "driver/conversation.h"
#include "mock_device/mock_board.h"
#include "protocol/frame_reader.h"
#include "protocol/messages.h"
#include "tests/fuzz/hostile_line.h"
#include "tests/protocol/random_messages.h"
#include "tests/protocol/raw_frame.h"

namespace pcmlab {
namespace {

using testing::HostileLine;
using testing::kAllTypes;
using testing::RandomMessages;
using testing::RawFrame;
using wire::MessageType;
using ByteVector = std::vector<std::byte>;

#ifdef PCMLAB_SANITIZED
constexpr std::uint32_t kShare = 10;  // sanitizers take ten times as long
#else
constexpr std::uint32_t kShare = 1;
#endif
constexpr std::uint32_t kReplies = 500'000 / kShare;
constexpr std::uint32_t kRequests = 500'000 / kShare;
/// Both ways.
constexpr std::uint32_t kConversation = 500'000 / kShare;

constexpr unsigned kMostHarmed = 60;
constexpr std::size_t kLargestFrame = wire::kHeaderBytes + wire::kMaxPayloadBytes + wire::kCrcBytes;

std::int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * std::int64_t{1024};
}

/// The largest frame a few times over, whatever came.
void expect_bounded_memory(std::int64_t before) {
#ifndef PCMLAB_SANITIZED
  constexpr std::int64_t kAllowed = 64 << 20;
  EXPECT_LT(peak_memory_bytes() - before, kAllowed);
#else
  static_cast<void>(before);
#endif
}

void expect_every_fault(const HostileLine& line) {
  EXPECT_EQ(line.faults().size(), 8U);
  for (const auto& [name, times] : line.faults()) EXPECT_GT(times, 500U) << name;
}

ByteVector bytes_of(const wire::Frame& frame) {
  return RawFrame{.type = frame.type,
                  .flags = frame.flags,
                  .sequence = frame.sequence,
                  .payload = frame.payload}
      .bytes();
}

wire::Frame frame_of(const ByteVector& bytes) {
  wire::FrameReader reader;
  reader.append(bytes);
  return reader.next().value();
}

// ---- replies at the host's reader and decoder --------------------------------------------------

TEST(AMillionFrames, RepliesThatAreDecodedAreThoseThatWereSent) {
  constexpr std::uint32_t kBetweenFlushes = 20'000;
  const std::int64_t before = peak_memory_bytes();
  RandomMessages random(501, 12);
  HostileLine line(502, kMostHarmed);
  wire::FrameReader reader;
  std::uint64_t delivered = 0;
  std::size_t most_buffered = 0;
  const auto receive = [&] {
    while (!line.empty()) {
      reader.append(line.take(random.number(1, 2000)));
      while (const std::optional<wire::Frame> frame = reader.next()) {
        ASSERT_FALSE(line.whole.empty()) << "a frame that was not sent whole";
        ASSERT_EQ(bytes_of(*frame), line.whole.front()) << "after " << delivered << " frames";
        const Result<wire::Reply> reply = decode_reply(*frame);
        ASSERT_TRUE(reply) << reply.error().message;
        ByteVector again;
        encode(*reply, static_cast<MessageType>(frame->type & ~wire::kReplyBit), frame->sequence,
               again);
        ASSERT_EQ(again, line.whole.front()) << "after " << delivered << " frames";
        line.whole.pop_front();
        ++delivered;
      }
      most_buffered = std::max(most_buffered, reader.buffered_bytes());
    }
  };
  for (std::uint32_t sequence = 0; sequence < kReplies; ++sequence) {
    const MessageType type = kAllTypes[random.number(0, kAllTypes.size() - 1)];
    ByteVector frame;
    if (random.number(0, 9) == 0) {
      encode(wire::Reply(random.refusal()), type, sequence, frame);
    } else {
      encode(random.reply(type), type, sequence, frame);
    }
    line.send(frame);
    const bool last = sequence + 1 == kReplies;
    if (last || sequence % kBetweenFlushes == kBetweenFlushes - 1) line.flush();
    ASSERT_NO_FATAL_FAILURE(receive());
    ASSERT_LT(line.whole.size(), 200'000U);
    if (last || sequence % kBetweenFlushes == kBetweenFlushes - 1) {
      ASSERT_TRUE(line.whole.empty()) << line.whole.size() << " whole frames were not delivered";
    }
  }
  EXPECT_LT(most_buffered, kLargestFrame);
  EXPECT_GT(delivered, kReplies / 2);
  EXPECT_GT(reader.bad_frames(), kReplies / 20);
  expect_every_fault(line);
  expect_bounded_memory(before);
}

// ---- requests at the board ---------------------------------------------------------------------

constexpr ArrayShape kShape{8, 32};

/// What a host says to a board, sensible for the most part; some of it is rotten inside right
/// checksums.
class Host {
 public:
  explicit Host(std::uint32_t seed) : random_(seed, 8) {}

  ByteVector next() {
    ++sequence_;
    ByteVector bytes;
    const MessageType type = kAllTypes[random_.number(0, kAllTypes.size() - 1)];
    encode(request(type), sequence_, bytes);
    // Limits that rot would end the campaign's pulses.
    if (random_.number(0, 9) != 0 || type == MessageType::SetLimits) return bytes;
    RawFrame rotten{.type = static_cast<std::uint8_t>(random_.number(0, 20)),
                    .sequence = sequence_,
                    .payload = frame_of(bytes).payload};
    if (random_.number(0, 2) != 0) rotten.type = static_cast<std::uint8_t>(type);
    if (rotten.type == static_cast<std::uint8_t>(MessageType::SetLimits)) return bytes;
    if (random_.number(0, 9) == 0) rotten.type |= wire::kReplyBit;
    if (random_.number(0, 9) == 0) rotten.flags = 1;
    if (!rotten.payload.empty()) {
      const std::size_t place = random_.number(0, rotten.payload.size() - 1);
      rotten.payload[place] = random_.bytes(1)[0];
      if (random_.number(0, 3) == 0) rotten.payload.resize(place);
    }
    return rotten.bytes();
  }

 private:
  std::vector<DeviceAddress> addresses() {
    std::vector<DeviceAddress> result(random_.number(1, 8));
    for (DeviceAddress& address : result) {
      address = kShape.at(random_.number(0, kShape.device_count() - 1));
    }
    return result;
  }

  wire::Request request(MessageType type) {
    switch (type) {
      case MessageType::Program: {
        wire::ProgramRequest program;
        program.batch = ++batch_;
        program.width = Duration(random_.number(60, 9000));
        program.addresses = addresses();
        for (std::size_t i = 0; i < program.addresses.size(); ++i) {
          const auto amplitude_10nA = static_cast<std::uint16_t>(random_.number(0, 49'000));
          program.amplitudes_10nA.push_back(random_.number(0, 4) == 0 ? std::uint16_t{0}
                                                                      : amplitude_10nA);
        }
        return program;
      }
      case MessageType::Initialise:
        return wire::InitialiseRequest{++batch_,
                                       {{Current::from_uA(300), Duration(100)},
                                        {Current::from_uA(0), Duration(100)},
                                        {Current::from_uA(90), Duration(900)}},
                                       wire::DeviceList{addresses()}};
      case MessageType::Read:
        if (random_.number(0, 1) == 0) return random_.request(type);
        return wire::ReadRequest{wire::DeviceList{addresses()}, 2, Voltage::from_mV(200)};
      case MessageType::SetLimits: {
        wire::SetLimitsRequest loose;
        loose.limits = mock::MockBoardSettings{}.limits;
        return loose;
      }
      case MessageType::AdvanceTime:
        return wire::AdvanceTimeRequest{BoardTime(random_.number(0, 1'000'000'000))};
      default:
        return random_.request(type);
    }
  }

  RandomMessages random_;
  std::uint32_t sequence_ = 0;
  std::uint64_t batch_ = 0;
};

/// Holds the board's replies against the requests that reached it whole.
class Ledger {
 public:
  void request(const wire::Frame& frame) {
    if ((frame.type & wire::kReplyBit) == 0) unanswered_.push_back(frame);
  }

  void reply(const wire::Frame& frame) {
    ASSERT_FALSE(unanswered_.empty()) << "a reply to nothing";
    const wire::Frame asked = std::move(unanswered_.front());
    unanswered_.pop_front();
    ASSERT_EQ(frame.sequence, asked.sequence);
    ASSERT_EQ(frame.type, asked.type | wire::kReplyBit);
    const Result<wire::Reply> reply = decode_reply(frame);
    ASSERT_TRUE(reply) << reply.error().message;
    if (std::holds_alternative<wire::RefusalReply>(*reply)) {
      ++refused;
      return;
    }
    const Result<wire::Request> request = decode_request(asked);
    ASSERT_TRUE(request) << "a malformed request was executed: " << request.error().message;
    ++executed;
    if (const auto* program = std::get_if<wire::ProgramRequest>(&*request)) {
      std::vector<std::uint32_t> each;
      for (const std::uint16_t amplitude : program->amplitudes_10nA) each.push_back(amplitude != 0);
      count(std::get<wire::ProgramReply>(*reply), program->batch, program->addresses, each);
    } else if (const auto* initialise = std::get_if<wire::InitialiseRequest>(&*request)) {
      const auto each = std::ranges::count_if(
          initialise->sequence, [](const wire::Pulse& pulse) { return pulse.amplitude.uA() > 0; });
      const std::vector<DeviceAddress> addresses = expand(initialise->devices);
      count(std::get<wire::InitialiseReply>(*reply), initialise->batch, addresses,
            std::vector<std::uint32_t>(addresses.size(), static_cast<std::uint32_t>(each)));
    } else if (const auto* read = std::get_if<wire::ReadRequest>(&*request)) {
      ASSERT_EQ(std::get<wire::ReadReply>(*reply).code_sums.size(), device_count(read->devices));
    } else if (const auto* advance = std::get_if<wire::AdvanceTimeRequest>(&*request)) {
      ASSERT_GE(std::get<wire::AdvanceTimeReply>(*reply).now, advance->until);
    }
  }

  std::size_t unanswered() const { return unanswered_.size(); }

  std::vector<std::uint32_t> pulses = std::vector<std::uint32_t>(kShape.device_count());
  std::uint64_t executed = 0;
  std::uint64_t refused = 0;

 private:
  void count(const wire::PulseReply& reply, std::uint64_t batch,
             const std::vector<DeviceAddress>& addresses, const std::vector<std::uint32_t>& each) {
    ASSERT_EQ(reply.batch, batch);
    ASSERT_EQ(std::ranges::count(last_batches_, batch), 0) << "batch " << batch << " came twice";
    last_batches_.push_back(batch);
    if (last_batches_.size() > wire::kMaxRecentBatches) last_batches_.pop_front();
    ASSERT_EQ(reply.devices_done, addresses.size());
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      pulses[kShape.linear(addresses[i])] += each[i];
      sum += each[i];
    }
    ASSERT_EQ(reply.pulses_executed, sum);
  }

  std::deque<wire::Frame> unanswered_;
  std::deque<std::uint64_t> last_batches_;
};

TEST(AMillionFrames, RequestsThatTheBoardExecutesAreThoseThatWereSent) {
  constexpr std::uint32_t kBetweenFlushes = 20'000;
  const std::int64_t before = peak_memory_bytes();
  RandomMessages random(511);
  Host host(512);
  HostileLine line(513, kMostHarmed);
  mock::MockBoard board(mock::PcmChip(mock::PcmParameters{}, kShape, 1, 1));
  wire::FrameReader replies;
  Ledger ledger;
  const auto exchange = [&](bool finish) {
    while (!line.empty()) {
      board.receive(line.take(random.number(1, 300)));
      for (std::uint64_t times = random.number(0, 25); times > 0 && board.work(); --times) {
      }
    }
    while (finish && board.work()) {
    }
    ByteVector output;
    board.take_output(output);
    replies.append(output);
    // What lies whole on the line is what the board must have seen, sooner or later.
    for (const ByteVector& frame : line.whole) ledger.request(frame_of(frame));
    line.whole.clear();
    while (const std::optional<wire::Frame> frame = replies.next()) {
      ASSERT_NO_FATAL_FAILURE(ledger.reply(*frame));
    }
  };
  for (std::uint32_t i = 1; i <= kRequests; ++i) {
    line.send(host.next());
    const bool finish = i == kRequests || i % kBetweenFlushes == 0;
    if (finish) line.flush();
    if (!finish && random.number(0, 3) != 0) continue;
    ASSERT_NO_FATAL_FAILURE(exchange(finish));
    if (finish) {
      ASSERT_EQ(ledger.unanswered(), 0U);
      ASSERT_EQ(board.queued_requests(), 0U);
    }
  }
  EXPECT_EQ(replies.skipped_bytes(), 0U);
  std::uint64_t pulses = 0;
  for (std::size_t i = 0; i < kShape.device_count(); ++i) {
    ASSERT_EQ(board.chip().pulses_of(kShape.at(i)), ledger.pulses[i]) << "device " << i;
    pulses += ledger.pulses[i];
  }
  EXPECT_EQ(board.pulses_executed(), pulses);
  EXPECT_GT(pulses, kRequests / 20);
  EXPECT_GT(ledger.executed, kRequests / 10);
  EXPECT_GT(ledger.refused, kRequests / 20);
  EXPECT_GT(board.bad_frames(), kRequests / 20);
  expect_every_fault(line);
  expect_bounded_memory(before);
}

// ---- a conversation over two such lines --------------------------------------------------------

/// The only right answer to a request; every request of the campaign has another one.
wire::Reply answer_to(const wire::Request& request) {
  if (const auto* read = std::get_if<wire::ReadRequest>(&request)) {
    wire::ReadReply reply;
    for (const DeviceAddress address : expand(read->devices)) {
      reply.code_sums.push_back(
          static_cast<std::uint16_t>(address.word_line.index * 7 + address.bit_line.index));
    }
    reply.last = BoardTime(read->samples);
    return reply;
  }
  if (const auto* program = std::get_if<wire::ProgramRequest>(&request)) {
    wire::ProgramReply reply;
    reply.batch = program->batch;
    reply.devices_done = static_cast<std::uint32_t>(program->addresses.size());
    return reply;
  }
  if (const auto* advance = std::get_if<wire::AdvanceTimeRequest>(&request)) {
    return wire::AdvanceTimeReply{advance->until};
  }
  return wire::SetLimitsReply{std::get<wire::SetLimitsRequest>(request).limits};
}

/// The k-th request of the campaign. Programs that come twice are refused, as by a board.
wire::Request unique_request(MessageType type, std::uint64_t k) {
  const auto line = [k](unsigned shift) { return static_cast<std::uint16_t>(k >> shift); };
  const DeviceAddress first{WordLine{line(16)}, BitLine{line(0)}};
  const DeviceAddress second{WordLine{line(0)}, BitLine{line(4)}};
  switch (type) {
    case MessageType::Program:
      return wire::ProgramRequest{k, Duration(100), {first, second}, {1, 2}};
    case MessageType::AdvanceTime:
      return wire::AdvanceTimeRequest{BoardTime(k)};
    case MessageType::SetLimits: {
      wire::SetLimitsRequest request;
      request.limits.max_pulses_per_device = k;
      return request;
    }
    default:
      return wire::ReadRequest{wire::DeviceList{{first, second}}, 1, Voltage::from_mV(200)};
  }
}

class HostileTransport final : public Transport {
 public:
  explicit HostileTransport(unsigned harmed_percent)
      : to_board(522, harmed_percent), to_host(523, harmed_percent) {}

  Result<void> send(std::span<const std::byte> bytes, Deadline /*deadline*/) override {
    if (gone_) return fail(ErrorCode::Disconnected, "unplugged");
    ++sends;
    to_board.send(bytes);
    reader_.append(to_board.take(kLargestFrame));
    to_board.whole.clear();
    while (const std::optional<wire::Frame> frame = reader_.next()) {
      ByteVector reply;
      const wire::Request request = decode_request(*frame).value();
      encode(answer_to(request), type_of(request), frame->sequence, reply);
      to_host.send(reply);
    }
    return {};
  }

  Result<void> receive(ByteVector& into, Deadline /*deadline*/) override {
    ++receives;
    constexpr std::uint64_t kBetweenUnplugs = 4999;
    if (receives % kBetweenUnplugs == 0) gone_ = true;
    if (gone_) return fail(ErrorCode::Disconnected, "unplugged");
    if (to_host.empty()) {
      ++timeouts;
      // The board too forgets a frame that never ends.
      reader_.reset();
      return fail(ErrorCode::Timeout, "nothing came");
    }
    testing::append(into, to_host.take(1 + receives * 37 % 300));
    to_host.whole.clear();
    return {};
  }

  /// What was on its way still comes, which is worse than a real line does.
  Result<void> reopen(Deadline /*deadline*/) override {
    gone_ = false;
    reader_.reset();
    return {};
  }

  std::string description() const override { return "hostile line"; }

  HostileLine to_board;
  HostileLine to_host;
  std::uint64_t sends = 0;
  std::uint64_t receives = 0;
  std::uint64_t timeouts = 0;

 private:
  wire::FrameReader reader_;
  bool gone_ = false;
};

TEST(AMillionFrames, EveryReplyThatAConversationTakesIsTheReplyToItsRequest) {
  constexpr unsigned kHarmed = 12;
  constexpr std::size_t kMostRequests = 40;
  const std::int64_t before = peak_memory_bytes();
  RandomMessages random(521);
  auto owned = std::make_unique<HostileTransport>(kHarmed);
  HostileTransport& transport = *owned;
  Conversation conversation(std::move(owned), std::chrono::minutes(10));
  std::uint64_t next = 1;
  std::uint64_t taken = 0;
  std::uint64_t whole_works = 0;
  std::uint64_t failed_works = 0;
  while (transport.sends < kConversation / 2) {
    conversation.set_window(random.number(1, 16));
    constexpr std::array kTypes = {MessageType::Read, MessageType::Read, MessageType::Program,
                                   MessageType::AdvanceTime, MessageType::SetLimits};
    Conversation::Work work;
    work.type = kTypes[random.number(0, kTypes.size() - 1)];
    work.requests = random.number(1, kMostRequests);
    const std::uint64_t first = std::exchange(next, next + work.requests);
    wire::Request request;
    work.request = [&](std::size_t k) -> const wire::Request& {
      return request = unique_request(work.type, first + k);
    };
    std::size_t taken_now = 0;
    work.take = [&](std::size_t k, wire::Reply& reply) -> Result<void> {
      EXPECT_EQ(k, taken_now) << "replies are taken in the order of the requests";
      EXPECT_TRUE(reply == answer_to(unique_request(work.type, first + k)))
          << "request " << first + k << " got the reply to another one";
      ++taken_now;
      return {};
    };
    work.describe = [&](std::size_t k) { return "request " + std::to_string(first + k); };
    const std::uint64_t receives_before = transport.receives;
    const std::uint64_t sends_before = transport.sends;
    const Conversation::Outcome outcome = conversation.run(work);
    ASSERT_FALSE(::testing::Test::HasFailure());
    ASSERT_LT(transport.receives - receives_before, 100'000U) << "it should have given up";
    ASSERT_LE(transport.sends - sends_before, 2 * work.requests);
    ASSERT_EQ(outcome.taken, taken_now);
    ASSERT_LE(outcome.taken, outcome.answered);
    ASSERT_LE(outcome.answered, outcome.sent);
    ASSERT_LE(outcome.sent, work.requests);
    ASSERT_EQ(outcome.error.has_value(), outcome.taken < work.requests);
    taken += taken_now;
    ++(outcome.error ? failed_works : whole_works);
    if (outcome.error) {
      ASSERT_TRUE(outcome.error->code == ErrorCode::Timeout ||
                  outcome.error->code == ErrorCode::Disconnected)
          << outcome.error->message;
      if (outcome.error->code == ErrorCode::Disconnected || random.number(0, 1) == 0) {
        ASSERT_TRUE(conversation.reopen(std::chrono::seconds(1)));
      }
    }
  }
  EXPECT_GT(taken, transport.sends / 2) << "the campaign should get on";
  EXPECT_GT(whole_works, transport.sends / 200);
  EXPECT_GT(failed_works, transport.sends / 1000);
  EXPECT_GT(conversation.counters().ignored_replies, transport.sends / 100);
  EXPECT_GT(conversation.counters().bad_frames, transport.sends / 100);
  EXPECT_GT(conversation.counters().repeated_requests, transport.sends / 100);
  expect_bounded_memory(before);
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "protocol/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "protocol/frame_reader.h"
#include "tests/protocol/hex.h"
#include "tests/protocol/random_messages.h"

namespace pcmlab::wire {
namespace {

using namespace std::chrono_literals;
using pcmlab::testing::from_hex;
using pcmlab::testing::kAllTypes;
using pcmlab::testing::RandomMessages;
using ::testing::HasSubstr;

Frame frame_in(const std::vector<std::byte>& bytes) {
  FrameReader reader;
  reader.append(bytes);
  return reader.next().value();
}

Frame frame_of(const Request& request, std::uint32_t sequence = 1) {
  std::vector<std::byte> bytes;
  encode(request, sequence, bytes);
  return frame_in(bytes);
}

Frame frame_of(const Reply& reply, MessageType type, std::uint32_t sequence = 1) {
  std::vector<std::byte> bytes;
  encode(reply, type, sequence, bytes);
  return frame_in(bytes);
}

template <class Message>
Message round_trip(const Message& message) {
  return std::get<Message>(decode_request(frame_of(Request(message))).value());
}

std::string why_not_request(MessageType type, std::string_view payload_hex) {
  const Frame frame{static_cast<std::uint8_t>(type), 0, 1, from_hex(payload_hex)};
  const Result<Request> request = decode_request(frame);
  if (request) {
    return "accepted";
  }
  EXPECT_EQ(request.error().code, ErrorCode::BadFrame);
  return request.error().message;
}

std::string why_not_reply(MessageType type, std::string_view payload_hex, std::uint16_t flags = 0) {
  const auto number = static_cast<std::uint8_t>(static_cast<std::uint8_t>(type) | kReplyBit);
  const Result<Reply> reply = decode_reply(Frame{number, flags, 1, from_hex(payload_hex)});
  if (reply) {
    return "accepted";
  }
  EXPECT_EQ(reply.error().code, ErrorCode::BadFrame);
  return reply.error().message;
}

TEST(Messages, EveryRequestComesBackAsItWasSent) {
  RandomMessages random(101);
  for (const MessageType type : kAllTypes) {
    for (std::uint32_t i = 0; i < 300; ++i) {
      const Request request = random.request(type);
      ASSERT_EQ(type_of(request), type);
      const Frame frame = frame_of(request, i);
      ASSERT_EQ(frame.sequence, i);
      const Result<Request> decoded = decode_request(frame);
      ASSERT_TRUE(decoded) << decoded.error().message;
      ASSERT_TRUE(*decoded == request) << to_string(type) << " request " << i;
    }
  }
}

TEST(Messages, EveryReplyComesBackAsItWasSent) {
  RandomMessages random(102);
  for (const MessageType type : kAllTypes) {
    for (std::uint32_t i = 0; i < 300; ++i) {
      const Reply reply = random.reply(type);
      const Frame frame = frame_of(reply, type, i);
      ASSERT_EQ(frame.sequence, i);
      const Result<Reply> decoded = decode_reply(frame);
      ASSERT_TRUE(decoded) << decoded.error().message;
      ASSERT_TRUE(*decoded == reply) << to_string(type) << " reply " << i;
    }
  }
}

TEST(Messages, ARefusalOfAnyRequestComesBackAsItWasSent) {
  RandomMessages random(103);
  for (const MessageType type : kAllTypes) {
    for (int i = 0; i < 30; ++i) {
      const Reply refusal = random.refusal();
      const Frame frame = frame_of(refusal, type);
      ASSERT_EQ(frame.flags, kRefusalFlag);
      ASSERT_TRUE(decode_reply(frame).value() == refusal);
    }
  }
}

TEST(Messages, ARefusalOfAnUnknownRequestCanBeSentAndRead) {
  const auto unknown = static_cast<MessageType>(0x55);
  const Frame frame = frame_of(RefusalReply{Refusal::UnknownRequest, "no request 0x55"}, unknown);
  EXPECT_EQ(frame.type, 0xD5);
  EXPECT_TRUE(decode_reply(frame));
}

TEST(Messages, OfAWholeArrayFitIntoOneFrame) {
  RandomMessages random(104);
  ReadReply sweep;
  sweep.code_sums.resize(std::size_t{512} * 2048);
  for (std::uint16_t& sum : sweep.code_sums) {
    sum = static_cast<std::uint16_t>(random.number(0, 0xFFFF));
  }
  EXPECT_TRUE(decode_reply(frame_of(sweep, MessageType::Read)).value() == Reply(sweep));
  ReadRequest request{Rectangle{{}, 512, 2048}, 5, Voltage::from_mV(200)};
  EXPECT_TRUE(decode_request(frame_of(request)).value() == Request(request));
}

TEST(Messages, AreAppendedBehindWhatIsThere) {
  std::vector<std::byte> out(3, std::byte{0xEE});
  encode(Request(StatusRequest{}), 1, out);
  encode(Request(ReadRequest{Rectangle{{}, 1, 1}, 1, {}}), 2, out);
  encode(Reply(AbortReply{3}), MessageType::Abort, 3, out);
  FrameReader reader;
  reader.append(out);
  EXPECT_EQ(reader.next()->sequence, 1u);
  EXPECT_EQ(reader.next()->sequence, 2u);
  EXPECT_EQ(reader.next()->sequence, 3u);
  EXPECT_EQ(reader.skipped_bytes(), 3u);
}

TEST(Messages, RoundQuantitiesToTheStepOfTheWire) {
  const auto sent = [](double amplitude_uA) {
    return round_trip(
               InitialiseRequest{1, {{Current::from_uA(amplitude_uA), 1ns}}, Rectangle{{}, 1, 1}})
        .sequence[0]
        .amplitude.uA();
  };
  EXPECT_EQ(sent(123.456), 123.46);
  EXPECT_EQ(sent(0.004), 0.0);
  EXPECT_EQ(sent(0.005), 0.01);
  EXPECT_EQ(sent(655.35), 655.35);
}

TEST(Messages, ClampQuantitiesToTheRangeOfTheWire) {
  const auto sent = [](double amplitude_uA, Duration width) {
    return round_trip(
               InitialiseRequest{1, {{Current::from_uA(amplitude_uA), width}}, Rectangle{{}, 1, 1}})
        .sequence[0];
  };
  EXPECT_EQ(sent(-1.0, -5ns), (Pulse{Current::from_uA(0.0), 0ns}));
  EXPECT_EQ(sent(1e9, 1h), (Pulse{Current::from_uA(655.35), 4'294'967'295ns}));
  EXPECT_EQ(sent(std::nan(""), 1ns).amplitude.uA(), 0.0);
  EXPECT_EQ(sent(std::numeric_limits<double>::infinity(), 1ns).amplitude.uA(), kMaxAmplitude_uA);
  EXPECT_EQ(round_trip(AdvanceTimeRequest{-1s}).until, 0ns);
}

TEST(Messages, ThatCannotBeAFrameAreABugOfTheCallerAndLeaveTheOutputAlone) {
  std::vector<std::byte> out(5);
  const auto throws = [&](const Request& request) {
    EXPECT_THROW(encode(request, 1, out), std::invalid_argument);
    EXPECT_EQ(out.size(), 5u);
  };
  throws(ProgramRequest{1, 50ns, {DeviceAddress{}}, {}});
  throws(InitialiseRequest{1, {}, Rectangle{{}, 1, 1}});
  throws(InitialiseRequest{1, std::vector<Pulse>(33), Rectangle{{}, 1, 1}});
  throws(ReadRequest{DeviceList{std::vector<DeviceAddress>(kMaxPayloadBytes / 4)}, 1, {}});
  StatusReply status;
  status.recent_batches.resize(65);
  EXPECT_THROW(encode(Reply(status), MessageType::Status, 1, out), std::invalid_argument);
  EXPECT_THROW(encode(Reply(AbortReply{}), MessageType::Read, 1, out), std::invalid_argument);
  EXPECT_EQ(out.size(), 5u);
}

TEST(Messages, CutShortAnywhereAreBad) {
  RandomMessages random(105, 5);
  const auto expect_bad = [](auto decode, Frame frame, MessageType type) {
    const std::vector<std::byte> payload = frame.payload;
    for (std::size_t length = 0; length < payload.size(); ++length) {
      frame.payload.assign(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(length));
      const auto decoded = decode(frame);
      ASSERT_FALSE(decoded) << to_string(type) << " with " << length << " of " << payload.size();
      ASSERT_EQ(decoded.error().code, ErrorCode::BadFrame);
      ASSERT_THAT(decoded.error().message, HasSubstr(std::string(to_string(type))));
    }
  };
  for (const MessageType type : kAllTypes) {
    for (int i = 0; i < 20; ++i) {
      expect_bad(decode_request, frame_of(random.request(type)), type);
      expect_bad(decode_reply, frame_of(random.reply(type), type), type);
    }
  }
}

TEST(Messages, WithBytesLeftOverAreBad) {
  RandomMessages random(106, 5);
  for (const MessageType type : kAllTypes) {
    Frame request = frame_of(random.request(type));
    request.payload.push_back(std::byte{0});
    EXPECT_THAT(decode_request(request).error().message, HasSubstr("1 bytes more"));
    Frame reply = frame_of(random.reply(type), type);
    reply.payload.resize(reply.payload.size() + 1000);
    EXPECT_THAT(decode_reply(reply).error().message, HasSubstr("1000 bytes more"));
  }
}

TEST(Messages, OfAnUnknownTypeAreUnsupportedAsRequestsAndBadAsReplies) {
  for (const int type : {0x00, 0x0C, 0x7F, 0x80, 0x83, 0xFF}) {
    const auto number = static_cast<std::uint8_t>(type);
    EXPECT_EQ(decode_request(Frame{number, 0, 1, {}}).error().code, ErrorCode::Unsupported);
  }
  for (const int type : {0x00, 0x03, 0x80, 0x8C, 0xFF}) {
    const auto number = static_cast<std::uint8_t>(type);
    EXPECT_EQ(decode_reply(Frame{number, 0, 1, {}}).error().code, ErrorCode::BadFrame);
  }
}

TEST(Messages, WithUnknownFlagsAreBad) {
  EXPECT_FALSE(decode_request(Frame{0x06, 1, 1, {}}));
  EXPECT_FALSE(decode_request(Frame{0x06, 0x8000, 1, {}}));
  EXPECT_THAT(why_not_reply(MessageType::Abort, "01000000", 2), HasSubstr("flags"));
  EXPECT_THAT(why_not_reply(MessageType::Abort, "0100 0000", 3), HasSubstr("flags"));
}

TEST(Hello, NeedsARangeOfVersionsThatIsNotEmpty) {
  EXPECT_THAT(why_not_request(MessageType::Hello, "0201"), HasSubstr("versions"));
  EXPECT_THAT(why_not_request(MessageType::Hello, "0001"), HasSubstr("versions"));
  EXPECT_THAT(why_not_reply(MessageType::Hello, "00"), HasSubstr("version 0"));
}

TEST(ReadRequest, NeedsSamplesAndDevices) {
  EXPECT_THAT(why_not_request(MessageType::Read, "0000c800 01000000 00000000 01000100"),
              HasSubstr("samples"));
  EXPECT_THAT(why_not_request(MessageType::ReadReferences, "0000c800"), HasSubstr("samples"));
  EXPECT_THAT(why_not_request(MessageType::Read, "0100c800 00000000 00000000"),
              HasSubstr("list is empty"));
  EXPECT_THAT(why_not_request(MessageType::Read, "0100c800 01000000 00000000 00000100"),
              HasSubstr("rectangle is empty"));
  EXPECT_THAT(why_not_request(MessageType::Read, "0100c800 01000000 00000000 01000000"),
              HasSubstr("rectangle is empty"));
  EXPECT_THAT(why_not_request(MessageType::Read, "0100c800 02000000 00000000 01000100"),
              HasSubstr("neither"));
}

TEST(ReadRequest, RejectsARectangleThatEndsBeyondTheLastLine) {
  EXPECT_THAT(why_not_request(MessageType::Read, "0100c800 01000000 ffffffff 01000100"),
              "accepted");
  EXPECT_THAT(why_not_request(MessageType::Read, "0100c800 01000000 ffff0000 02000100"),
              HasSubstr("beyond"));
  EXPECT_THAT(why_not_request(MessageType::Read, "0100c800 01000000 00000200 0100ffff"),
              HasSubstr("beyond"));
}

TEST(ReadRequest, RejectsACountThatThePayloadDoesNotJustify) {
  EXPECT_THAT(why_not_request(MessageType::Read, "0100c800 00000000 02000000 01000100"),
              HasSubstr("fewer elements"));
  EXPECT_THAT(why_not_request(MessageType::Read, "0100c800 00000000 ffffffff 01000100"),
              HasSubstr("fewer elements"));
}

TEST(ReadRequest, RejectsReservedBytesThatAreNotZero) {
  EXPECT_THAT(why_not_request(MessageType::Read, "0101c800 01000000 00000000 01000100"),
              HasSubstr("reserved"));
  EXPECT_THAT(why_not_request(MessageType::Read, "0100c800 01000100 00000000 01000100"),
              HasSubstr("reserved"));
}

TEST(ProgramRequest, NeedsOneAmplitudePerDevice) {
  constexpr std::string_view kHead = "0100000000000000 32000000 ";
  EXPECT_EQ(why_not_request(MessageType::Program,
                            std::string(kHead) + "02000000 00000000 00000100 1027 1027"),
            "accepted");
  EXPECT_THAT(
      why_not_request(MessageType::Program, std::string(kHead) + "02000000 00000000 00000100 1027"),
      HasSubstr("fewer elements"));
  EXPECT_THAT(
      why_not_request(MessageType::Program, std::string(kHead) + "01000000 00000000 1027 1027"),
      HasSubstr("2 bytes more"));
  EXPECT_THAT(why_not_request(MessageType::Program, std::string(kHead) + "00000000"),
              HasSubstr("empty"));
}

TEST(InitialiseRequest, HasOneToThirtyTwoPulses) {
  constexpr std::string_view kBatch = "0100000000000000 ";
  constexpr std::string_view kDevices = " 01000000 00000000 01000100";
  const auto with_pulses = [&](std::string_view count, std::size_t pulses) {
    std::string payload = std::string(kBatch) + std::string(count) + "000000";
    for (std::size_t i = 0; i < pulses; ++i) {
      payload += " 1027000032000000";
    }
    return why_not_request(MessageType::Initialise, payload + std::string(kDevices));
  };
  EXPECT_EQ(with_pulses("01", 1), "accepted");
  EXPECT_EQ(with_pulses("20", 32), "accepted");
  EXPECT_THAT(with_pulses("00", 0), HasSubstr("1 to 32"));
  EXPECT_THAT(with_pulses("21", 33), HasSubstr("1 to 32"));
}

TEST(AdvanceTimeRequest, RejectsATimeThatDoesNotFit) {
  EXPECT_EQ(why_not_request(MessageType::AdvanceTime, "ffffffffffffff7f"), "accepted");
  EXPECT_THAT(why_not_request(MessageType::AdvanceTime, "0000000000000080"), HasSubstr("2^63"));
}

TEST(InformationReply, RejectsWhatNoBoardCanBe) {
  const auto with = [](std::string_view shape, std::string_view adc_bits, std::string_view serial) {
    return why_not_reply(MessageType::Information,
                         "0100000000000000 00000000 " + std::string(shape) + std::string(adc_bits) +
                             "000000 400d0300 e8030000" + std::string(56, '0') +
                             std::string(serial) + "0000");
  };
  EXPECT_EQ(with("00020008", "08", "01007e"), "accepted");
  EXPECT_THAT(with("00000008", "08", "01007e"), HasSubstr("no devices"));
  EXPECT_THAT(with("00020000", "08", "01007e"), HasSubstr("no devices"));
  EXPECT_THAT(with("00020008", "00", "01007e"), HasSubstr("1 to 16 bits"));
  EXPECT_THAT(with("00020008", "11", "01007e"), HasSubstr("1 to 16 bits"));
  EXPECT_THAT(with("00020008", "08", "01000a"), HasSubstr("printable"));
  EXPECT_THAT(with("00020008", "08", "0100c3"), HasSubstr("printable"));
}

TEST(ReadReply, DoesNotEndBeforeItStarts) {
  EXPECT_EQ(why_not_reply(MessageType::Read, "0100000000000000 0100000000000000 00000000"),
            "accepted");
  EXPECT_THAT(why_not_reply(MessageType::Read, "0200000000000000 0100000000000000 00000000"),
              HasSubstr("before"));
}

TEST(StatusReply, HasAtMost64RecordsThatAreConsistent) {
  const std::string head(64 + 8, '0');
  constexpr std::string_view kOneOfTwoDone =
      "0100000000000000 02000000 01000000 01000000"
      "0500000000000000 0600000000000000";
  constexpr std::string_view kTwoOfOneDone =
      "0100000000000000 01000000 02000000 01000000"
      "0500000000000000 0600000000000000";
  constexpr std::string_view kEndsFirst =
      "0100000000000000 02000000 01000000 01000000"
      "0600000000000000 0500000000000000";
  EXPECT_EQ(why_not_reply(MessageType::Status, head + "01000000" + std::string(kOneOfTwoDone)),
            "accepted");
  EXPECT_THAT(why_not_reply(MessageType::Status, head + "01000000" + std::string(kTwoOfOneDone)),
              HasSubstr("more devices"));
  EXPECT_THAT(why_not_reply(MessageType::Status, head + "01000000" + std::string(kEndsFirst)),
              HasSubstr("ends before"));
  EXPECT_THAT(why_not_reply(MessageType::Status,
                            head + "41000000" + std::string(std::size_t{65} * 72, '0')),
              HasSubstr("64"));
  EXPECT_THAT(why_not_reply(MessageType::Status, head + "ffffffff"), HasSubstr("64"));
}

TEST(ReadReferencesReply, RejectsACountThatThePayloadDoesNotJustify) {
  EXPECT_THAT(why_not_reply(MessageType::ReadReferences, "ffffffff 404b4c00 90010000"),
              HasSubstr("fewer elements"));
}

TEST(RefusalReply, HasAReasonThatIsKnown) {
  EXPECT_EQ(why_not_reply(MessageType::Read, "0a00 0000", kRefusalFlag), "accepted");
  EXPECT_THAT(why_not_reply(MessageType::Read, "0000 0000", kRefusalFlag), HasSubstr("reason"));
  EXPECT_THAT(why_not_reply(MessageType::Read, "0b00 0000", kRefusalFlag), HasSubstr("reason"));
  EXPECT_THAT(why_not_reply(MessageType::Read, "0300 0500 61", kRefusalFlag), HasSubstr("fewer"));
}

TEST(Names, AreThereForEveryTypeAndReasonAndForNothingElse) {
  std::set<std::string_view> types;
  for (const MessageType type : kAllTypes) {
    types.insert(to_string(type));
  }
  EXPECT_EQ(types.size(), kAllTypes.size());
  EXPECT_FALSE(types.contains(""));
  std::set<std::string_view> reasons;
  for (int reason = 1; reason <= 10; ++reason) {
    reasons.insert(to_string(static_cast<Refusal>(reason)));
  }
  EXPECT_EQ(reasons.size(), 10u);
  EXPECT_FALSE(reasons.contains(""));
  EXPECT_TRUE(to_string(static_cast<Refusal>(11)).empty());
  EXPECT_TRUE(to_string(static_cast<MessageType>(0x0C)).empty());
}

}  // namespace
}  // namespace pcmlab::wire

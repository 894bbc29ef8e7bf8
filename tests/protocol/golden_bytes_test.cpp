// SPDX-License-Identifier: Apache-2.0
// One whole frame of every kind, written down as bytes. They were computed from the tables in
// protocol/README.md by a program of its own (Python, struct and a bitwise CRC), not by the code
// under test. If one of these fails, boards in the field no longer understand us.
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "protocol/frame_reader.h"
#include "protocol/messages.h"
#include "tests/protocol/hex.h"

namespace pcmlab::wire {
namespace {

using namespace std::chrono_literals;
using pcmlab::testing::from_hex;
using pcmlab::testing::to_hex;

constexpr DeviceAddress at(std::uint16_t word_line, std::uint16_t bit_line) {
  return {WordLine{word_line}, BitLine{bit_line}};
}

Limits limits_of_the_board() {
  return {.max_amplitude = Current::from_uA(450),
          .min_width = 50ns,
          .max_width = 5ms,
          .max_devices_per_request = 4096,
          .max_requests_in_flight = 8,
          .max_pulses_per_device = 1'000'000'000'000,
          .max_temperature = Temperature::from_K(353.15)};
}

Limits tightened_limits() {
  return {.max_amplitude = Current::from_uA(200),
          .min_width = 100ns,
          .max_width = 1us,
          .max_devices_per_request = 256,
          .max_requests_in_flight = 4,
          .max_pulses_per_device = 5000,
          .max_temperature = Temperature::from_K(330)};
}

struct GoldenRequest {
  Request request;
  std::uint32_t sequence = 0;
  std::string frame;
};

struct GoldenReply {
  Reply reply;
  MessageType type = MessageType::Hello;
  std::uint32_t sequence = 0;
  std::string frame;
};

// The third one is the example in protocol/README.md.
std::vector<GoldenRequest> golden_requests() {
  return {
      {HelloRequest{1, 1}, 1,
       "50434d42 01010000 01000000 02000000 ca2352e9 "
       "0101 "
       "7537c09d"},
      {InformationRequest{}, 2,
       "50434d42 01020000 02000000 00000000 90e90f31 "
       "90e90f31"},
      {ReadRequest{DeviceList{{at(3, 17), at(511, 2047)}}, 5, Voltage::from_mV(200)}, 0x1020304,
       "50434d42 01030000 04030201 14000000 8b5cc5dc "
       "0500c800 00000000 02000000 03001100 ff01ff07 "
       "7baa44a8"},
      {ReadRequest{Rectangle{at(0x102, 0x304), 2, 0x400}, 255, Voltage::from_mV(300)}, 4,
       "50434d42 01030000 04000000 10000000 4fd77ffc "
       "ff002c01 01000000 02010403 02000004 "
       "f1f178e8"},
      {ProgramRequest{0x1122334455667788, 500ns, {at(0, 1), at(2, 3), at(4, 5)}, {10000, 0, 45000}},
       5,
       "50434d42 01040000 05000000 22000000 0b7004de "
       "88776655 44332211 f4010000 03000000 00000100 02000300 "
       "04000500 10270000 c8af "
       "6da806bb"},
      {InitialiseRequest{9,
                         {{Current::from_uA(450), 50ns}, {Current::from_uA(123.45), 1us}},
                         Rectangle{at(0, 0), 512, 2048}},
       6,
       "50434d42 01050000 06000000 28000000 c44012db "
       "09000000 00000000 02000000 c8af0000 32000000 39300000 "
       "e8030000 01000000 00000000 00020008 "
       "c1402976"},
      {InitialiseRequest{10, {{Current::from_uA(450), 50ns}}, DeviceList{{at(7, 8)}}}, 7,
       "50434d42 01050000 07000000 20000000 055e6a64 "
       "0a000000 00000000 01000000 c8af0000 32000000 00000000 "
       "01000000 07000800 "
       "8fe0cece"},
      {StatusRequest{}, 8,
       "50434d42 01060000 08000000 00000000 e22553b7 "
       "e22553b7"},
      {TemperatureRequest{}, 9,
       "50434d42 01070000 09000000 00000000 04af1e69 "
       "04af1e69"},
      {SetLimitsRequest{tightened_limits()}, 10,
       "50434d42 01080000 0a000000 1c000000 ddf20790 "
       "204e0400 64000000 e8030000 00010000 10090500 88130000 "
       "00000000 "
       "45540e9d"},
      {AbortRequest{}, 0xFFFFFFFF,
       "50434d42 01090000 ffffffff 00000000 d555e0c0 "
       "d555e0c0"},
      {AdvanceTimeRequest{24h}, 0,
       "50434d42 010a0000 00000000 08000000 f4150df9 "
       "00004f91 944e0000 "
       "993c8f89"},
      {ReadReferencesRequest{16, Voltage::from_mV(200)}, 13,
       "50434d42 010b0000 0d000000 04000000 b04b00c9 "
       "1000c800 "
       "51ea07fa"},
  };
}

std::vector<GoldenReply> golden_replies() {
  return {
      {HelloReply{1}, MessageType::Hello, 1,
       "50434d42 01810000 01000000 01000000 59ac2d6c "
       "01 "
       "e1fced89"},
      {InformationReply{"PCM0001", "1.0.2", ArrayShape{512, 2048},
                        kVirtualTime | kReferenceResistors, 0xFEDCBA9876543210, 8,
                        Conductance::from_uS(0.2), 1us, limits_of_the_board()},
       MessageType::Information, 2,
       "50434d42 01820000 02000000 48000000 3bd3b08b "
       "10325476 98badcfe 03000000 00020008 08000000 400d0300 "
       "e8030000 c8af0800 32000000 404b4c00 00100000 7e630500 "
       "0010a5d4 e8000000 07005043 4d303030 31050031 2e302e32 "
       "1d9e46b2"},
      {ReadReply{1s, 1s + 10us, {640, 1275}}, MessageType::Read, 3,
       "50434d42 01830000 03000000 18000000 07b73f17 "
       "00ca9a3b 00000000 10f19a3b 00000000 02000000 8002fb04 "
       "d437245e"},
      {ProgramReply{{0x1122334455667788, 3, 2, 2s, 2s + 1500ns}}, MessageType::Program, 5,
       "50434d42 01840000 05000000 20000000 20553e86 "
       "88776655 44332211 03000000 02000000 00943577 00000000 "
       "dc993577 00000000 "
       "b1464bd0"},
      {InitialiseReply{{9, 1048576, 2097152, 3s, 4600ms}}, MessageType::Initialise, 6,
       "50434d42 01850000 06000000 20000000 88250bca "
       "09000000 00000000 00001000 00002000 005ed0b2 00000000 "
       "006e2e12 01000000 "
       "d264d596"},
      {StatusReply{0xFEDCBA9876543210,
                   5s,
                   123456789ns,
                   3,
                   2097154,
                   {{9, 1048576, 1048576, 2097152, 1s, 2s}, {10, 100, 40, 40, 3s, 3500ms}}},
       MessageType::Status, 8,
       "50434d42 01860000 08000000 70000000 19d9e9c5 "
       "10325476 98badcfe 00f2052a 01000000 15cd5b07 00000000 "
       "02002000 00000000 03000000 02000000 09000000 00000000 "
       "00001000 00001000 00002000 00ca9a3b 00000000 00943577 "
       "00000000 0a000000 00000000 64000000 28000000 28000000 "
       "005ed0b2 00000000 00c39dd0 00000000 "
       "136ecb9a"},
      {TemperatureReply{Temperature::from_K(298.15)}, MessageType::Temperature, 9,
       "50434d42 01870000 09000000 04000000 5d9861f5 "
       "a68c0400 "
       "22ec11ee"},
      {SetLimitsReply{tightened_limits()}, MessageType::SetLimits, 10,
       "50434d42 01880000 0a000000 1c000000 77f45a77 "
       "204e0400 64000000 e8030000 00010000 10090500 88130000 "
       "00000000 "
       "5584c9bc"},
      {AbortReply{7}, MessageType::Abort, 0xFFFFFFFF,
       "50434d42 01890000 ffffffff 04000000 8c629f5c "
       "07000000 "
       "6155f6d8"},
      {AdvanceTimeReply{24h + 5s}, MessageType::AdvanceTime, 0,
       "50434d42 018a0000 00000000 08000000 5e13501e "
       "00f254bb 954e0000 "
       "2c870c15"},
      {ReadReferencesReply{{{Conductance::from_uS(5), 400}, {Conductance::from_uS(20), 1600}}},
       MessageType::ReadReferences, 13,
       "50434d42 018b0000 0d000000 14000000 27fc39c7 "
       "02000000 404b4c00 90010000 002d3101 40060000 "
       "b34403c1"},
      {RefusalReply{Refusal::BadAddress, "word line 600 of 512"}, MessageType::Read, 14,
       "50434d42 01830100 0e000000 18000000 323773f6 "
       "03001400 776f7264 206c696e 65203630 30206f66 20353132 "
       "8e725662"},
  };
}

Frame only_frame(const std::vector<std::byte>& bytes) {
  FrameReader reader;
  reader.append(bytes);
  auto frame = reader.next();
  EXPECT_TRUE(frame.has_value());
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_EQ(reader.skipped_bytes(), 0u);
  return frame.value_or(Frame{});
}

TEST(GoldenBytes, EveryRequestIsEncodedAsWrittenDown) {
  for (const GoldenRequest& golden : golden_requests()) {
    std::vector<std::byte> frame;
    encode(golden.request, golden.sequence, frame);
    EXPECT_EQ(to_hex(frame), to_hex(from_hex(golden.frame))) << to_string(type_of(golden.request));
  }
}

TEST(GoldenBytes, EveryReplyIsEncodedAsWrittenDown) {
  for (const GoldenReply& golden : golden_replies()) {
    std::vector<std::byte> frame;
    encode(golden.reply, golden.type, golden.sequence, frame);
    EXPECT_EQ(to_hex(frame), to_hex(from_hex(golden.frame))) << to_string(golden.type);
  }
}

TEST(GoldenBytes, EveryRequestIsDecodedFromWhatIsWrittenDown) {
  for (const GoldenRequest& golden : golden_requests()) {
    const Frame frame = only_frame(from_hex(golden.frame));
    EXPECT_EQ(frame.sequence, golden.sequence);
    const Result<Request> request = decode_request(frame);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_TRUE(*request == golden.request) << to_string(type_of(golden.request));
  }
}

TEST(GoldenBytes, EveryReplyIsDecodedFromWhatIsWrittenDown) {
  for (const GoldenReply& golden : golden_replies()) {
    const Frame frame = only_frame(from_hex(golden.frame));
    EXPECT_EQ(frame.sequence, golden.sequence);
    EXPECT_EQ(frame.type, static_cast<std::uint8_t>(golden.type) | kReplyBit);
    const Result<Reply> reply = decode_reply(frame);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_TRUE(*reply == golden.reply) << to_string(golden.type);
  }
}

TEST(GoldenBytes, LeaveNoKindOfMessageOut) {
  std::set<std::size_t> requests;
  for (const GoldenRequest& golden : golden_requests()) {
    requests.insert(golden.request.index());
  }
  EXPECT_EQ(requests.size(), std::variant_size_v<Request>);
  std::set<std::size_t> replies;
  for (const GoldenReply& golden : golden_replies()) {
    replies.insert(golden.reply.index());
  }
  EXPECT_EQ(replies.size(), std::variant_size_v<Reply>);
}

}  // namespace
}  // namespace pcmlab::wire

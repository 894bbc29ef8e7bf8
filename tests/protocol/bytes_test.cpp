// SPDX-License-Identifier: Apache-2.0
#include "protocol/bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/protocol/hex.h"

namespace pcmlab::wire {
namespace {

using pcmlab::testing::from_hex;
using pcmlab::testing::to_hex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ByteWriter, WritesTheLowestByteFirst) {
  std::vector<std::byte> out;
  ByteWriter writer(out);
  writer.u8(0x01);
  writer.u16(0x0203);
  writer.u32(0x04050607);
  writer.u64(0x08090A0B0C0D0E0F);
  writer.zeros(2);
  writer.array(std::span<const std::uint16_t>(std::array<std::uint16_t, 2>{0x1112, 0x1314}));
  writer.text("ab");
  EXPECT_EQ(to_hex(out),
            "01030207060504"
            "0f0e0d0c0b0a0908"
            "0000"
            "12111413"
            "02006162");
}

TEST(ByteWriter, CutsATextThatItsLengthFieldCannotHold) {
  std::vector<std::byte> out;
  ByteWriter(out).text(std::string(70'000, 'x'));
  EXPECT_EQ(out.size(), 2u + 65'535u);
}

TEST(ByteReader, ReadsBackWhatTheWriterWrote) {
  std::vector<std::byte> out;
  ByteWriter writer(out);
  writer.u64(0x0123456789ABCDEF);
  writer.u8(7);
  writer.text("chip");
  writer.u32(0xDEADBEEF);
  ByteReader reader(out);
  EXPECT_EQ(reader.u64(), 0x0123456789ABCDEFu);
  EXPECT_EQ(reader.u8(), 7);
  EXPECT_EQ(reader.text(), "chip");
  EXPECT_EQ(reader.u32(), 0xDEADBEEFu);
  EXPECT_TRUE(reader.finish("test"));
}

TEST(ByteReader, ReadsZeroAfterTheEndAndSaysSo) {
  const auto bytes = from_hex("0102 03");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u16(), 0x0201);
  EXPECT_EQ(reader.u16(), 0);
  EXPECT_EQ(reader.u8(), 0) << "nothing is read after a problem, though a byte is left";
  const Result<void> result = reader.finish("Test message");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::BadFrame);
  EXPECT_EQ(result.error().message, "Test message: the payload ends too early");
}

TEST(ByteReader, KeepsTheFirstProblem) {
  ByteReader reader({});
  EXPECT_FALSE(reader.require(false, "first"));
  EXPECT_FALSE(reader.require(false, "second"));
  EXPECT_THAT(reader.finish("x").error().message, HasSubstr("first"));
}

TEST(ByteReader, DoesNotBelieveACountThatTheBytesDoNotJustify) {
  const auto bytes = from_hex("aabbccdd ee");
  ByteReader reader(bytes);
  EXPECT_THAT(reader.array<std::uint16_t>(0xFFFFFFFF), IsEmpty());
  EXPECT_FALSE(reader.ok());
  ByteReader other(bytes);
  EXPECT_THAT(other.array<std::uint16_t>(2), ElementsAre(0xBBAA, 0xDDCC));
  EXPECT_EQ(other.remaining(), 1u);
}

TEST(ByteReader, RejectsBytesLeftOverAndReservedBytesThatAreNotZero) {
  const auto bytes = from_hex("00000100");
  ByteReader two(bytes);
  two.zeros(2);
  EXPECT_THAT(two.finish("x").error().message, HasSubstr("2 bytes more"));
  ByteReader three(bytes);
  three.zeros(3);
  EXPECT_THAT(three.finish("x").error().message, HasSubstr("reserved"));
}

}  // namespace
}  // namespace pcmlab::wire

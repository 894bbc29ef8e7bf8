// SPDX-License-Identifier: Apache-2.0
#include "protocol/frame_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "tests/protocol/random_messages.h"
#include "tests/protocol/raw_frame.h"

namespace pcmlab::wire {
namespace {

using pcmlab::testing::append;
using pcmlab::testing::RandomMessages;
using pcmlab::testing::RawFrame;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::size_t kEmptyFrameBytes = kHeaderBytes + kCrcBytes;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::uint32_t> sequences_from(FrameReader& reader) {
  std::vector<std::uint32_t> sequences;
  while (const auto frame = reader.next()) {
    sequences.push_back(frame->sequence);
  }
  return sequences;
}

std::vector<std::uint32_t> sequences_in(std::span<const std::byte> bytes) {
  FrameReader reader;
  reader.append(bytes);
  return sequences_from(reader);
}

TEST(FrameReader, GivesWhatTheFrameSays) {
  const RawFrame raw{.type = 0x83, .flags = 1, .sequence = 77, .payload = bytes_of("payload")};
  FrameReader reader;
  reader.append(raw.bytes());
  const auto frame = reader.next();
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->type, 0x83);
  EXPECT_EQ(frame->flags, 1);
  EXPECT_EQ(frame->sequence, 77u);
  EXPECT_EQ(frame->payload, raw.payload);
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_EQ(reader.skipped_bytes(), 0u);
  EXPECT_EQ(reader.bad_frames(), 0u);
}

TEST(FrameReader, GivesNothingBeforeTheLastByteAndTheFrameWithIt) {
  const auto bytes = RawFrame{.sequence = 5, .payload = bytes_of("some content")}.bytes();
  FrameReader reader;
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
    reader.append(std::span(bytes).subspan(i, 1));
    ASSERT_FALSE(reader.next().has_value()) << "after byte " << i;
  }
  reader.append(std::span(bytes).last(1));
  EXPECT_THAT(sequences_from(reader), ElementsAre(5));
}

TEST(FrameReader, GivesTheSameFramesHoweverTheStreamIsCut) {
  RandomMessages random(11);
  std::vector<std::byte> stream;
  std::vector<std::vector<std::byte>> payloads;
  for (std::uint32_t sequence = 0; sequence < 300; ++sequence) {
    payloads.push_back(random.bytes(random.number(0, 400)));
    append(stream, random.bytes(random.number(0, 9)));
    append(stream, RawFrame{.sequence = sequence, .payload = payloads.back()}.bytes());
  }
  for (const std::size_t largest_piece : {1u, 7u, 100u, 5000u, 1'000'000u}) {
    FrameReader reader;
    std::size_t frames = 0;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t piece = std::min(random.number(1, largest_piece), stream.size() - at);
      reader.append(std::span(stream).subspan(at, piece));
      at += piece;
      while (const auto frame = reader.next()) {
        ASSERT_EQ(frame->sequence, frames);
        ASSERT_EQ(frame->payload, payloads[frames]);
        ++frames;
      }
    }
    EXPECT_EQ(frames, payloads.size()) << "pieces of up to " << largest_piece;
  }
}

TEST(FrameReader, SkipsGarbageBetweenFramesAndCountsIt) {
  std::vector<std::byte> stream = bytes_of("noise");
  append(stream, RawFrame{.sequence = 1}.bytes());
  append(stream, bytes_of("more PC noise PCM"));
  append(stream, RawFrame{.sequence = 2}.bytes());
  FrameReader reader;
  reader.append(stream);
  EXPECT_THAT(sequences_from(reader), ElementsAre(1, 2));
  EXPECT_EQ(reader.skipped_bytes(), 5u + 17u);
  EXPECT_EQ(reader.bad_frames(), 0u) << "no magic was complete";
}

TEST(FrameReader, FindsAMagicRightAfterTheBeginningOfAnother) {
  for (const std::string_view before : {"P", "PC", "PCM", "PP", "PCPCM", "PCMB", "PCMBPCM"}) {
    std::vector<std::byte> stream = bytes_of(before);
    append(stream, RawFrame{.sequence = 3}.bytes());
    EXPECT_THAT(sequences_in(stream), ElementsAre(3)) << before;
  }
}

TEST(FrameReader, RejectsAFrameWhoseHeaderCrcIsWrong) {
  std::vector<std::byte> stream = RawFrame{.sequence = 1, .header_crc_error = 0x100}.bytes();
  append(stream, RawFrame{.sequence = 2}.bytes());
  FrameReader reader;
  reader.append(stream);
  EXPECT_THAT(sequences_from(reader), ElementsAre(2));
  EXPECT_EQ(reader.bad_frames(), 1u);
  EXPECT_EQ(reader.skipped_bytes(), kEmptyFrameBytes);
}

TEST(FrameReader, RejectsAFrameWhosePayloadCrcIsWrong) {
  std::vector<std::byte> stream =
      RawFrame{.sequence = 1, .payload = bytes_of("abc"), .frame_crc_error = 1}.bytes();
  append(stream, RawFrame{.sequence = 2}.bytes());
  FrameReader reader;
  reader.append(stream);
  EXPECT_THAT(sequences_from(reader), ElementsAre(2));
  EXPECT_EQ(reader.bad_frames(), 1u);
}

TEST(FrameReader, RejectsAFrameOfAnotherVersion) {
  for (const std::uint8_t version : std::to_array<std::uint8_t>({0, 2, 255})) {
    std::vector<std::byte> stream = RawFrame{.version = version, .sequence = 1}.bytes();
    append(stream, RawFrame{.sequence = 2}.bytes());
    EXPECT_THAT(sequences_in(stream), ElementsAre(2));
  }
}

TEST(FrameReader, RejectsTheHeaderOfOneFrameOnTheBodyOfAnother) {
  // Both CRCs of the mixture are right in themselves. It is refused because the frame CRC leaves
  // out the header CRC field: over that field too it would end the same for every header.
  const auto a = RawFrame{.sequence = 1, .payload = bytes_of("aaaa")}.bytes();
  const auto b = RawFrame{.sequence = 2, .payload = bytes_of("bbbb")}.bytes();
  std::vector<std::byte> stream(a.begin(), a.begin() + kHeaderBytes);
  append(stream, std::span(b).subspan(kHeaderBytes));
  EXPECT_THAT(sequences_in(stream), IsEmpty());
}

TEST(FrameReader, RejectsAnAbsurdLengthAtOnceThoughItsCrcIsRight) {
  const auto length = static_cast<std::uint32_t>(kMaxPayloadBytes);
  for (const std::uint32_t absurd : {length + 1, 0x80000000u, 0xFFFFFFFFu}) {
    std::vector<std::byte> stream = RawFrame{.sequence = 1, .length_error = absurd}.bytes();
    append(stream, RawFrame{.sequence = 2}.bytes());
    EXPECT_THAT(sequences_in(stream), ElementsAre(2)) << "length " << absurd;
  }
}

TEST(FrameReader, DoesNotWaitForBytesThatADamagedLengthPromises) {
  std::vector<std::byte> damaged = RawFrame{.sequence = 1}.bytes();
  damaged[13] = std::byte{0x10};  // length 4096, header CRC now wrong
  append(damaged, RawFrame{.sequence = 2}.bytes());
  EXPECT_THAT(sequences_in(damaged), ElementsAre(2));
}

TEST(FrameReader, FindsTheGoodFrameAfterOneTruncatedInItsHeader) {
  const auto whole = RawFrame{.sequence = 1}.bytes();
  for (std::size_t length = 0; length < kHeaderBytes; ++length) {
    std::vector<std::byte> stream(whole.begin(),
                                  whole.begin() + static_cast<std::ptrdiff_t>(length));
    append(stream, RawFrame{.sequence = 2}.bytes());
    EXPECT_THAT(sequences_in(stream), ElementsAre(2)) << "truncated to " << length;
  }
}

TEST(FrameReader, FindsTheGoodFramesThatATruncatedOneSwallowed) {
  const auto whole = RawFrame{.sequence = 1, .payload = RandomMessages(3).bytes(100)}.bytes();
  for (std::size_t length = kHeaderBytes; length < whole.size(); ++length) {
    FrameReader reader;
    reader.append(std::span(whole).first(length));
    std::vector<std::uint32_t> sequences;
    // The header is right, so its length is believed until that many bytes have come.
    for (std::uint32_t sequence = 2; sequence < 8; ++sequence) {
      reader.append(RawFrame{.sequence = sequence}.bytes());
      std::ranges::copy(sequences_from(reader), std::back_inserter(sequences));
    }
    EXPECT_THAT(sequences, ElementsAre(2, 3, 4, 5, 6, 7)) << "truncated to " << length;
    EXPECT_EQ(reader.skipped_bytes(), length);
  }
}

TEST(FrameReader, DoesNotLookIntoAPayloadUnlessTheFrameAroundItIsDamaged) {
  RawFrame outer{.sequence = 1, .payload = RawFrame{.sequence = 2}.bytes()};
  EXPECT_THAT(sequences_in(outer.bytes()), ElementsAre(1));
  outer.frame_crc_error = 1;
  EXPECT_THAT(sequences_in(outer.bytes()), ElementsAre(2));
}

TEST(FrameReader, TakesTheLargestPayload) {
  const RawFrame largest{.sequence = 9, .payload = std::vector<std::byte>(kMaxPayloadBytes)};
  const auto bytes = largest.bytes();
  FrameReader reader;
  for (std::size_t at = 0; at < bytes.size(); at += 16'384) {
    EXPECT_FALSE(reader.next().has_value());
    reader.append(std::span(bytes).subspan(at, std::min<std::size_t>(16'384, bytes.size() - at)));
  }
  const auto frame = reader.next();
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->payload.size(), kMaxPayloadBytes);
}

TEST(FrameReader, DropsHalfAFrameOnResetAndKeepsCounting) {
  const auto bytes = RawFrame{.sequence = 1, .payload = bytes_of("lost")}.bytes();
  FrameReader reader;
  reader.append(bytes_of("xyz"));
  reader.append(std::span(bytes).first(22));
  EXPECT_FALSE(reader.next().has_value());
  reader.reset();
  reader.append(RawFrame{.sequence = 2}.bytes());
  EXPECT_THAT(sequences_from(reader), ElementsAre(2));
  EXPECT_EQ(reader.skipped_bytes(), 3u);
}

TEST(FrameReader, HoldsFramesBackBehindOneThatNeverEndsAndLosesNone) {
  const auto bytes = RawFrame{.sequence = 1, .payload = std::vector<std::byte>(500)}.bytes();
  FrameReader reader;
  reader.append(std::span(bytes).first(kHeaderBytes));
  for (std::uint32_t sequence = 2; sequence <= 20; ++sequence) {
    reader.append(RawFrame{.sequence = sequence}.bytes());
    ASSERT_FALSE(reader.next().has_value());
    ASSERT_EQ(reader.buffered_bytes(), kHeaderBytes + (sequence - 1) * kEmptyFrameBytes);
  }
  for (std::uint32_t sequence = 21; sequence <= 22; ++sequence) {
    reader.append(RawFrame{.sequence = sequence}.bytes());
  }
  const auto sequences = sequences_from(reader);
  ASSERT_EQ(sequences.size(), 21u);
  EXPECT_EQ(sequences.front(), 2u);
  EXPECT_EQ(sequences.back(), 22u);
  EXPECT_EQ(reader.buffered_bytes(), 0u);
}

TEST(FrameReader, TakesTheNextFrameAtOnceWhenOneThatNeverEndsIsDropped) {
  const auto bytes = RawFrame{.sequence = 1, .payload = std::vector<std::byte>(500)}.bytes();
  FrameReader reader;
  reader.append(std::span(bytes).first(kHeaderBytes + 9));
  ASSERT_FALSE(reader.next().has_value());
  reader.reset();
  EXPECT_EQ(reader.buffered_bytes(), 0u);
  reader.append(RawFrame{.sequence = 2}.bytes());
  EXPECT_THAT(sequences_from(reader), ElementsAre(2));
}

TEST(FrameReader, FindsAFrameBehindAMebibyteOfNoise) {
  RandomMessages random(12);
  std::vector<std::byte> stream = random.bytes(1 << 20);
  append(stream, RawFrame{.sequence = 4}.bytes());
  EXPECT_THAT(sequences_in(stream), ElementsAre(4));
}

}  // namespace
}  // namespace pcmlab::wire

// SPDX-License-Identifier: Apache-2.0
// Damaged frames and payloads in large numbers, with fixed seeds. A damaged frame must never come
// out of the reader; a damaged payload that a decoder takes must be a message in its own right.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "protocol/frame_reader.h"
#include "protocol/messages.h"
#include "tests/protocol/hex.h"
#include "tests/protocol/random_messages.h"
#include "tests/protocol/raw_frame.h"

namespace pcmlab::wire {
namespace {

using pcmlab::testing::append;
using pcmlab::testing::kAllTypes;
using pcmlab::testing::RandomMessages;
using pcmlab::testing::RawFrame;
using pcmlab::testing::to_hex;

std::vector<std::byte> random_frame(RandomMessages& random) {
  const MessageType type = kAllTypes[random.number(0, kAllTypes.size() - 1)];
  const auto sequence = static_cast<std::uint32_t>(random.number(0, 0xFFFFFFFF));
  std::vector<std::byte> bytes;
  switch (random.number(0, 2)) {
    case 0:
      encode(random.request(type), sequence, bytes);
      break;
    case 1:
      encode(random.reply(type), type, sequence, bytes);
      break;
    default:
      encode(Reply(random.refusal()), type, sequence, bytes);
      break;
  }
  return bytes;
}

std::ptrdiff_t random_place(RandomMessages& random, const std::vector<std::byte>& bytes) {
  return static_cast<std::ptrdiff_t>(random.number(0, bytes.size() - 1));
}

void flip_bit(std::vector<std::byte>& bytes, std::size_t bit) {
  bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
}

/// Damages a frame in one of the ways in which lines, buffers and firmware do.
void damage(RandomMessages& random, std::vector<std::byte>& bytes) {
  const std::ptrdiff_t place = random_place(random, bytes);
  const auto rest = static_cast<std::uint64_t>(static_cast<std::ptrdiff_t>(bytes.size()) - place);
  const auto length =
      static_cast<std::ptrdiff_t>(random.number(1, std::min<std::uint64_t>(rest, 40)));
  const auto first = bytes.begin() + place;
  switch (random.number(0, 6)) {
    case 0:
    case 1:
      for (std::uint64_t flips = random.number(1, 8); flips > 0; --flips) {
        flip_bit(bytes, random.number(0, bytes.size() * 8 - 1));
      }
      break;
    case 2:
      std::ranges::copy(random.bytes(static_cast<std::size_t>(length)), first);
      break;
    case 3:
      std::fill(first, first + length, random.bytes(1)[0]);
      break;
    case 4:
      bytes.erase(first, first + length);
      break;
    case 5: {
      const auto inserted = random.bytes(static_cast<std::size_t>(length));
      bytes.insert(first, inserted.begin(), inserted.end());
      break;
    }
    default: {  // a piece that came twice
      const std::vector<std::byte> piece(first, first + length);
      bytes.insert(first, piece.begin(), piece.end());
      break;
    }
  }
}

std::size_t occurrences(std::span<const std::byte> in, std::span<const std::byte> what) {
  std::size_t count = 0;
  const auto next_after = [&](auto place) {
    return std::search(place, in.end(), what.begin(), what.end());
  };
  for (auto found = next_after(in.begin()); found != in.end();
       found = next_after(found + static_cast<std::ptrdiff_t>(what.size()))) {
    ++count;
  }
  return count;
}

TEST(DamagedFrames, AreNeverDeliveredAndNeverHideTheGoodOnesBehindThem) {
  constexpr int kFrames = 150'000;
  RandomMessages random(201, 12);
  std::uint64_t undamaged = 0;
  for (int i = 0; i < kFrames; ++i) {
    const std::vector<std::byte> original = random_frame(random);
    std::vector<std::byte> stream = original;
    damage(random, stream);
    // The original may still be there, when bytes were put before it or the damage changed nothing,
    // and be there twice, when it was all of it that came twice.
    const std::size_t survivors = occurrences(stream, original);
    undamaged += survivors > 0 ? 1 : 0;

    const std::vector<std::byte> good = RawFrame{.type = 0x86, .sequence = 0x600D}.bytes();
    append(stream, good);
    append(stream, good);
    // A header that is still right is believed: bring as many bytes as it may promise.
    stream.resize(stream.size() + original.size());
    FrameReader reader;
    reader.append(stream);
    std::vector<std::vector<std::byte>> delivered;
    while (const auto frame = reader.next()) {
      delivered.push_back(RawFrame{.type = frame->type,
                                   .flags = frame->flags,
                                   .sequence = frame->sequence,
                                   .payload = frame->payload}
                              .bytes());
    }
    std::vector<std::vector<std::byte>> expected(survivors, original);
    expected.push_back(good);
    expected.push_back(good);
    ASSERT_EQ(delivered, expected)
        << "frame " << i << ": " << to_hex(original) << "\nbecame " << to_hex(stream);
  }
  EXPECT_LT(undamaged, kFrames / 10);
}

TEST(DamagedFrames, WithOneOrTwoFlippedBitsAreNeverDelivered) {
  std::vector<std::byte> frame;
  encode(Request(ReadRequest{Rectangle{{}, 2, 3}, 5, Voltage::from_mV(200)}), 7, frame);
  const auto delivers = [&] {
    FrameReader reader;
    reader.append(frame);
    return reader.next().has_value();
  };
  ASSERT_TRUE(delivers());
  const std::size_t bits = frame.size() * 8;
  for (std::size_t a = 0; a < bits; ++a) {
    flip_bit(frame, a);
    ASSERT_FALSE(delivers()) << "bit " << a;
    for (std::size_t b = a + 1; b < bits; ++b) {
      flip_bit(frame, b);
      ASSERT_FALSE(delivers()) << "bits " << a << " and " << b;
      flip_bit(frame, b);
    }
    flip_bit(frame, a);
  }
}

/// Payload of what the decoder made of this frame, or nothing when it refused.
std::optional<std::vector<std::byte>> decoded_and_encoded_again(const Frame& frame) {
  std::vector<std::byte> bytes;
  if ((frame.type & kReplyBit) == 0) {
    const Result<Request> request = decode_request(frame);
    if (!request) {
      return std::nullopt;
    }
    encode(*request, frame.sequence, bytes);
  } else {
    const Result<Reply> reply = decode_reply(frame);
    if (!reply) {
      return std::nullopt;
    }
    const auto type = static_cast<MessageType>(frame.type & ~kReplyBit);
    encode(*reply, type, frame.sequence, bytes);
  }
  return std::vector<std::byte>(bytes.begin() + kHeaderBytes, bytes.end() - kCrcBytes);
}

TEST(DamagedPayloads, AreRefusedOrMeanExactlyWhatTheySay) {
  RandomMessages random(202, 8);
  int accepted = 0;
  int refused = 0;
  for (int i = 0; i < 100'000; ++i) {
    FrameReader reader;
    reader.append(random_frame(random));
    Frame frame = reader.next().value();
    if (!frame.payload.empty()) {
      damage(random, frame.payload);
    }
    const auto again = decoded_and_encoded_again(frame);
    if (again.has_value()) {
      ++accepted;
      ASSERT_EQ(to_hex(*again), to_hex(frame.payload)) << "type " << int{frame.type};
    } else {
      ++refused;
    }
  }
  EXPECT_GT(accepted, 10'000) << "the campaign should reach deep into the decoders";
  EXPECT_GT(refused, 10'000);
}

TEST(DamagedPayloads, OfRandomBytesDoNoHarm) {
  RandomMessages random(203);
  for (int i = 0; i < 100'000; ++i) {
    Frame frame;
    frame.type = static_cast<std::uint8_t>(random.number(0, 12) + (i % 2 == 0 ? 0u : kReplyBit));
    frame.flags = static_cast<std::uint16_t>(random.number(0, 9) == 0 ? 1 : 0);
    frame.payload = random.bytes(random.number(0, 120));
    // Small numbers and zeros, so that counts and reserved bytes are often right.
    for (std::byte& byte : frame.payload) {
      if (random.number(0, 2) != 0) {
        byte = static_cast<std::byte>(random.number(0, 5) / 5);
      }
    }
    const auto again = decoded_and_encoded_again(frame);
    if (again.has_value()) {
      ASSERT_EQ(to_hex(*again), to_hex(frame.payload)) << "type " << int{frame.type};
    }
  }
}

}  // namespace
}  // namespace pcmlab::wire

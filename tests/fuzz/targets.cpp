// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/targets.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "driver/recording.h"
#include "mock_device/mock_board.h"
#include "protocol/bytes.h"
#include "protocol/crc32c.h"
#include "protocol/frame_reader.h"
#include "protocol/messages.h"
#include "tests/protocol/raw_frame.h"

namespace pcmlab::fuzz {
namespace {

using testing::RawFrame;

std::uint32_t u32_at(Bytes bytes, std::size_t offset) {
  return wire::ByteReader(bytes.subspan(offset, sizeof(std::uint32_t))).u32();
}

void put_u32(std::span<std::byte> bytes, std::size_t offset, std::uint32_t value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

bool has_magic(Bytes bytes) {
  return bytes.size() >= wire::kMagic.size() &&
         std::memcmp(bytes.data(), wire::kMagic.data(), wire::kMagic.size()) == 0;
}

std::vector<std::byte> bytes_of(const wire::Frame& frame) {
  return RawFrame{.type = frame.type,
                  .flags = frame.flags,
                  .sequence = frame.sequence,
                  .payload = frame.payload}
      .bytes();
}

/// The frames in the bytes by the letter of protocol/README.md, slowly.
std::vector<std::vector<std::byte>> frames_in(Bytes bytes) {
  constexpr std::size_t kVersionOffset = 4;
  constexpr std::size_t kLengthOffset = 12;
  constexpr std::size_t kCrcOffset = 16;
  std::vector<std::vector<std::byte>> frames;
  for (std::size_t at = 0; at + wire::kHeaderBytes <= bytes.size();) {
    const Bytes rest = bytes.subspan(at);
    ++at;
    if (!has_magic(rest)) continue;
    const std::size_t length = u32_at(rest, kLengthOffset);
    if (u32_at(rest, kCrcOffset) != wire::crc32c(rest.first(kCrcOffset)) ||
        rest[kVersionOffset] != std::byte{wire::kProtocolVersion} ||
        length > wire::kMaxPayloadBytes) {
      continue;
    }
    const std::size_t whole = wire::kHeaderBytes + length + wire::kCrcBytes;
    if (rest.size() < whole) break;
    std::vector<std::byte> covered(rest.begin(), rest.begin() + kCrcOffset);
    testing::append(covered, rest.subspan(wire::kHeaderBytes, length));
    if (u32_at(rest, wire::kHeaderBytes + length) != wire::crc32c(covered)) continue;
    frames.emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(whole));
    at += whole - 1;
  }
  return frames;
}

std::optional<wire::Frame> frame_from(Bytes input) {
  constexpr std::size_t kHead = 3;
  if (input.size() < kHead || input.size() - kHead > wire::kMaxPayloadBytes) return std::nullopt;
  wire::ByteReader in(input);
  wire::Frame frame;
  frame.type = in.u8();
  frame.flags = in.u16();
  frame.payload = in.array<std::byte>(in.remaining());
  return frame;
}

/// A message that was accepted says exactly what its bytes say.
void require_same(const wire::Frame& frame, const std::vector<std::byte>& again) {
  require(again == bytes_of(frame), "a decoded message is not what its bytes are");
}

}  // namespace

void require(bool condition, const char* broken) {
  if (condition) return;
  std::fprintf(stderr, "broken: %s\n", broken);
  std::abort();
}

Pieces::Pieces(Bytes bytes, std::byte how)
    : rest_(bytes),
      whole_(std::to_integer<unsigned>(how) % 4 == 0),
      state_(std::to_integer<unsigned>(how)) {}

unsigned Pieces::random() {
  constexpr unsigned kFactor = 1664525;
  constexpr unsigned kTerm = 1013904223;
  constexpr unsigned kLowBits = 16;
  state_ = state_ * kFactor + kTerm;
  return state_ >> kLowBits;
}

Bytes Pieces::next() {
  constexpr unsigned kLargest = 64;
  const std::size_t wanted = whole_ ? rest_.size() : 1 + random() % kLargest;
  const Bytes piece = rest_.first(std::min(wanted, rest_.size()));
  rest_ = rest_.subspan(piece.size());
  return piece;
}

void frame_reader(Bytes input) {
  if (input.empty()) return;
  const Bytes stream = input.subspan(1);
  const std::vector<std::vector<std::byte>> expected = frames_in(stream);
  wire::FrameReader reader;
  std::size_t delivered = 0;
  std::size_t bytes_delivered = 0;
  for (Pieces pieces(stream, input[0]); !pieces.empty();) {
    reader.append(pieces.next());
    while (const std::optional<wire::Frame> frame = reader.next()) {
      require(delivered < expected.size(), "a frame was delivered that is not in the stream");
      require(bytes_of(*frame) == expected[delivered], "a frame is another than in the stream");
      bytes_delivered += expected[delivered].size();
      ++delivered;
    }
  }
  require(delivered == expected.size(), "a frame was not delivered");
  require(bytes_delivered + reader.skipped_bytes() + reader.buffered_bytes() == stream.size(),
          "bytes are neither delivered nor skipped nor kept");
}

void decode_request(Bytes input) {
  const std::optional<wire::Frame> frame = frame_from(input);
  if (!frame) return;
  const Result<wire::Request> request = wire::decode_request(*frame);
  if (!request) return;
  std::vector<std::byte> again;
  encode(*request, frame->sequence, again);
  require_same(*frame, again);
}

void decode_reply(Bytes input) {
  const std::optional<wire::Frame> frame = frame_from(input);
  if (!frame) return;
  const Result<wire::Reply> reply = wire::decode_reply(*frame);
  if (!reply) return;
  std::vector<std::byte> again;
  encode(*reply, static_cast<wire::MessageType>(frame->type & ~wire::kReplyBit), frame->sequence,
         again);
  require_same(*frame, again);
}

void recording(Bytes input) {
  const Result<Recording> parsed = parse_recording({input.begin(), input.end()}, "fuzz");
  if (!parsed) {
    require(parsed.error().code == ErrorCode::BadFile, "a bad recording is another kind of error");
    return;
  }
  require(parsed->content.size() == input.size(), "a recording has other bytes than its file");
  for (const Record& record : parsed->records) {
    std::vector<std::byte> bytes;
    wire::ByteWriter out(bytes);
    out.u8(static_cast<std::uint8_t>(record.kind));
    out.zeros(3);
    out.u32(static_cast<std::uint32_t>(record.bytes.size()));
    out.u64(static_cast<std::uint64_t>(record.time.count()));
    const std::uint32_t crc = wire::crc32c(bytes);
    out.u32(crc);
    out.array(record.bytes);
    out.u32(wire::crc32c(record.bytes, crc));
    require(record.offset + bytes.size() <= input.size() &&
                std::ranges::equal(bytes, input.subspan(record.offset, bytes.size())),
            "a record is not what its bytes are");
    const bool failure = record.kind == RecordKind::SendFailed ||
                         record.kind == RecordKind::ReceiveFailed ||
                         record.kind == RecordKind::ReopenFailed;
    require(!failure || recorded_error(record).has_value(), "a recorded failure has no error");
  }
}

void mock_board(Bytes input) {
  constexpr ArrayShape kShape{4, 8};
  constexpr std::uint64_t kSeed = 1;
  if (input.empty()) return;
  const Bytes stream = input.subspan(1);
  mock::MockBoard board(mock::PcmChip(mock::PcmParameters{}, kShape, kSeed, 1));
  const wire::Limits at_boot = board.limits();
  std::vector<std::byte> output;
  for (Pieces pieces(stream, input[0]); !pieces.empty();) {
    board.receive(pieces.next());
    for (unsigned times = pieces.random() % 4; times > 0; --times) board.work();
    if (pieces.random() % 2 == 0) board.take_output(output);
  }
  while (board.work()) {
  }
  board.take_output(output);

  // One reply to each request, in order, and nothing else.
  wire::FrameReader replies;
  replies.append(output);
  for (const std::vector<std::byte>& frame : frames_in(stream)) {
    wire::FrameReader reader;
    reader.append(frame);
    const wire::Frame request = reader.next().value();
    if ((request.type & wire::kReplyBit) != 0) continue;
    const std::optional<wire::Frame> reply = replies.next();
    require(reply.has_value(), "a request has no reply");
    require(reply->sequence == request.sequence, "a reply has another sequence number");
    require(reply->type == (request.type | wire::kReplyBit), "a reply has another type");
    const Result<wire::Reply> decoded = wire::decode_reply(*reply);
    require(decoded.has_value(), "the board's reply cannot be decoded");
    const bool sensible = wire::decode_request(request).has_value();
    require(sensible || std::holds_alternative<wire::RefusalReply>(*decoded),
            "a malformed request was not refused");
  }
  require(!replies.next() && replies.skipped_bytes() == 0 && replies.buffered_bytes() == 0,
          "the board says more than its replies");

  std::uint64_t pulses = 0;
  for (std::size_t i = 0; i < kShape.device_count(); ++i) {
    pulses += board.chip().pulses_of(kShape.at(i));
  }
  require(pulses == board.pulses_executed(), "pulses of the devices and of the board differ");
  const wire::Limits& now = board.limits();
  require(now.max_amplitude <= at_boot.max_amplitude && now.min_width >= at_boot.min_width &&
              now.max_width <= at_boot.max_width &&
              now.max_devices_per_request <= at_boot.max_devices_per_request &&
              now.max_requests_in_flight <= at_boot.max_requests_in_flight &&
              now.max_temperature <= at_boot.max_temperature,
          "limits became looser");
  require(Duration{} <= board.busy() && board.busy() <= board.now(), "the clock is wrong");
}

void mend_frames(std::span<std::byte> bytes) {
  constexpr std::size_t kLengthOffset = 12;
  constexpr std::size_t kCrcOffset = 16;
  for (std::size_t at = 0; at + wire::kHeaderBytes + wire::kCrcBytes <= bytes.size(); ++at) {
    const std::span<std::byte> rest = bytes.subspan(at);
    if (!has_magic(rest)) continue;
    const std::uint32_t crc = wire::crc32c(rest.first(kCrcOffset));
    put_u32(rest, kCrcOffset, crc);
    const std::size_t length = u32_at(rest, kLengthOffset);
    if (length > rest.size() - wire::kHeaderBytes - wire::kCrcBytes) continue;
    put_u32(rest, wire::kHeaderBytes + length,
            wire::crc32c(rest.subspan(wire::kHeaderBytes, length), crc));
    at += wire::kHeaderBytes + length + wire::kCrcBytes - 1;
  }
}

void mend_recording(std::span<std::byte> file) {
  constexpr std::size_t kPreamble = 12;
  constexpr std::size_t kLengthOffset = 4;
  constexpr std::size_t kCrcOffset = 16;
  constexpr std::size_t kHead = 20;
  constexpr std::size_t kTail = 4;
  for (std::size_t at = kPreamble; at + kHead + kTail <= file.size();) {
    const std::span<std::byte> rest = file.subspan(at);
    const std::uint32_t crc = wire::crc32c(rest.first(kCrcOffset));
    put_u32(rest, kCrcOffset, crc);
    const std::size_t length = u32_at(rest, kLengthOffset);
    if (length > rest.size() - kHead - kTail) return;
    put_u32(rest, kHead + length, wire::crc32c(rest.subspan(kHead, length), crc));
    at += kHead + length + kTail;
  }
}

}  // namespace pcmlab::fuzz

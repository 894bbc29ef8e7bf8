// SPDX-License-Identifier: Apache-2.0
#include "protocol/frame_reader.h"

#include <algorithm>
#include <cstring>

#include "protocol/bytes.h"
#include "protocol/crc32c.h"

namespace pcmlab::wire {
namespace {

/// Offset of the first magic, or of what may become one when more bytes come, or the size.
std::size_t find_magic(std::span<const std::byte> bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const void* found = std::memchr(bytes.data() + at, kMagic[0], bytes.size() - at);
    if (found == nullptr) {
      return bytes.size();
    }
    at = static_cast<std::size_t>(static_cast<const std::byte*>(found) - bytes.data());
    const std::size_t length = std::min(kMagic.size(), bytes.size() - at);
    if (std::memcmp(bytes.data() + at, kMagic.data(), length) == 0) {
      return at;
    }
    ++at;
  }
  return bytes.size();
}

}  // namespace

void FrameReader::append(std::span<const std::byte> bytes) {
  // Moves what is left to the front only when that is the smaller part, so each byte moves O(1)
  // times.
  if (begin_ >= buffer_.size() - begin_) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

std::optional<Frame> FrameReader::next() {
  while (true) {
    skip(find_magic(std::span(buffer_).subspan(begin_)));
    const auto bytes = std::span<const std::byte>(buffer_).subspan(begin_);
    if (bytes.size() < kHeaderBytes) {
      return std::nullopt;
    }
    ByteReader header(bytes.first(kHeaderBytes).subspan(kMagic.size()));
    Frame frame;
    const std::uint8_t version = header.u8();
    frame.type = header.u8();
    frame.flags = header.u16();
    frame.sequence = header.u32();
    const std::size_t payload_bytes = header.u32();
    const std::uint32_t header_crc = header.u32();
    if (header_crc != crc32c(bytes.first(kHeaderBytes - kCrcBytes)) ||
        version != kProtocolVersion || payload_bytes > kMaxPayloadBytes) {
      ++bad_frames_;
      skip(1);
      continue;
    }
    if (bytes.size() < kHeaderBytes + payload_bytes + kCrcBytes) {
      return std::nullopt;
    }
    const auto payload = bytes.subspan(kHeaderBytes, payload_bytes);
    ByteReader trailer(bytes.subspan(kHeaderBytes + payload_bytes, kCrcBytes));
    if (trailer.u32() != crc32c(payload, header_crc)) {
      ++bad_frames_;
      skip(1);
      continue;
    }
    frame.payload.assign(payload.begin(), payload.end());
    begin_ += kHeaderBytes + payload_bytes + kCrcBytes;
    return frame;
  }
}

void FrameReader::reset() {
  buffer_.clear();
  begin_ = 0;
}

void FrameReader::skip(std::size_t count) {
  begin_ += count;
  skipped_bytes_ += count;
}

}  // namespace pcmlab::wire

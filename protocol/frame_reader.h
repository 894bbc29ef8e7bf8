// SPDX-License-Identifier: Apache-2.0
/// \file
/// Cuts a byte stream into frames. One reader per stream, used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "protocol/messages.h"

namespace pcmlab::wire {

/// Takes bytes in pieces of any size and gives whole, checked frames. After garbage, a bad CRC or
/// an absurd length it skips to the next magic that starts a valid frame and counts what it
/// skipped. A wrong length never makes it wait: the length is believed only when the header's CRC
/// is right.
class FrameReader {
 public:
  void append(std::span<const std::byte> bytes);

  /// The next whole frame, or nothing until more bytes have come.
  std::optional<Frame> next();

  /// Drops what is buffered, for a new connection. The counters go on.
  void reset();

  /// Bytes that wait for the rest of a frame. When next() has nothing to give they are less than
  /// the largest frame.
  std::size_t buffered_bytes() const { return buffer_.size() - begin_; }

  std::uint64_t skipped_bytes() const { return skipped_bytes_; }
  /// Places that began like a frame and were none.
  std::uint64_t bad_frames() const { return bad_frames_; }

 private:
  void skip(std::size_t count);

  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::uint64_t skipped_bytes_ = 0;
  std::uint64_t bad_frames_ = 0;
};

}  // namespace pcmlab::wire

// SPDX-License-Identifier: Apache-2.0
/// \file
/// A line that does to frames what lines, buffers and bad firmware do, and that knows which frames
/// still came through whole. Frames in, bytes out; belongs to one test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "tests/protocol/random_messages.h"

namespace pcmlab::testing {

class HostileLine {
 public:
  /// \param harmed_percent  of the frames meet a fault
  HostileLine(std::uint32_t seed, unsigned harmed_percent)
      : random_(seed), harmed_percent_(harmed_percent) {}

  void send(std::span<const std::byte> frame);

  /// Lets all come that is late, and as many zeros as the largest frame could still miss.
  void flush();

  /// The next bytes, up to `most`; none when the line is empty.
  std::vector<std::byte> take(std::size_t most);
  bool empty() const { return begin_ == bytes_.size(); }

  /// Frames that lie whole on the line, in order: exactly what a receiver must deliver. The
  /// receiver's test takes them from the front.
  std::deque<std::vector<std::byte>> whole;

  /// How often each fault happened, by name.
  const std::map<std::string_view, std::uint64_t>& faults() const { return faults_; }

 private:
  struct Late {
    std::uint64_t after_frame = 0;
    std::vector<std::byte> frame;
  };

  void put(std::span<const std::byte> bytes);
  /// Puts what is left of a frame, so that no neighbour happens to make it whole again.
  void put_rest(std::span<const std::byte> rest, std::span<const std::byte> frame);
  void put_whole(std::span<const std::byte> frame);
  void suffer(std::span<const std::byte> frame);
  void flip_bits(std::vector<std::byte> frame);
  void cut(std::vector<std::byte> frame);
  void give_absurd_length(std::vector<std::byte> frame);
  void make_noise();

  RandomMessages random_;
  unsigned harmed_percent_;
  std::uint64_t frames_ = 0;
  std::vector<std::byte> bytes_;
  std::size_t begin_ = 0;
  std::byte last_byte_{};
  std::optional<std::byte> missing_;  // the next byte of a frame that was truncated just now
  std::deque<Late> late_;
  std::deque<std::vector<std::byte>> sent_;  // the last ones, to come again
  std::map<std::string_view, std::uint64_t> faults_;
};

}  // namespace pcmlab::testing

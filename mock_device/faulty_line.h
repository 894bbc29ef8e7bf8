// SPDX-License-Identifier: Apache-2.0
/// \file
/// One direction of a line on which frames suffer the faults of a plan. Bytes in, bytes out; used
/// by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "mock_device/fault_plan.h"

namespace pcmlab::mock {

/// Faults that really happened to frames of one direction.
struct FrameFaultCounters {
  std::uint64_t lost = 0;
  std::uint64_t corrupted = 0;
  std::uint64_t truncated = 0;
  std::uint64_t repeated = 0;
  std::uint64_t late = 0;

  std::uint64_t all() const { return lost + corrupted + truncated + repeated + late; }
  bool operator==(const FrameFaultCounters&) const = default;
};

class FaultyLine {
 public:
  enum class Direction : std::uint8_t { Requests, Replies };

  FaultyLine(Direction direction, const LineFaults& faults, std::uint64_t seed);

  /// Whether nothing is planned for it.
  bool is_perfect() const;

  /// Takes one whole frame, which it may change, and appends to `out` what comes through now.
  void pass(std::vector<std::byte>& frame, std::vector<std::byte>& out);

  /// The same when the connection goes meanwhile: a first part comes through, and nothing of what
  /// was late. Counts as no fault of the frame.
  void pass_part(std::vector<std::byte>& frame, std::vector<std::byte>& out);

  /// The connection is lost: what is late will not come.
  void drop() { held_.clear(); }

  const FrameFaultCounters& counters() const { return counters_; }

 private:
  enum class Draw : std::uint8_t { Lost, Corrupted, Truncated, Repeated, Late, Damage };
  struct Held {
    std::uint64_t after_frame = 0;
    std::vector<std::byte> bytes;
  };

  /// A random number about the frame at work.
  std::uint32_t draw(Draw what, std::uint32_t index = 0) const;
  bool hits(Draw what, double probability) const;
  /// Shortens it to a part that has at least a byte and lacks at least one.
  void truncate(std::vector<std::byte>& frame) const;
  void flip_bits(std::vector<std::byte>& frame) const;
  void suffer(std::vector<std::byte>& frame, std::vector<std::byte>& out);

  Direction direction_;
  LineFaults faults_;
  FrameFaults probabilities_;
  double late_ = 0;
  std::uint64_t seed_;
  std::uint64_t frames_ = 0;  // before the one at work
  FrameFaultCounters counters_;
  std::deque<Held> held_;
};

}  // namespace pcmlab::mock

// SPDX-License-Identifier: Apache-2.0
/// \file
/// What shall go wrong with a mock board, its chip and its line. FaultyBoard makes it happen.
/// Plain values; a default FaultPlan plans nothing.
#pragma once

#include <chrono>
#include <cstdint>

#include "mock_device/chip_faults.h"
#include "protocol/quantities.h"

namespace pcmlab::mock {

/// Probabilities, each for any one frame of a direction of the line. A frame suffers one fault at
/// most: where several draws hit, the first in this order.
struct FrameFaults {
  double lost = 0;
  double corrupted = 0;  ///< 1 to 3 bits flipped, which a frame's CRC-32C finds for certain
  double truncated = 0;  ///< only a first part of it comes
  double repeated = 0;   ///< comes twice, one right after the other
  bool operator==(const FrameFaults&) const = default;
};

/// What happens to a frame follows from the plan's seed, the direction and how many frames came
/// before it in that direction since the board was made; bytes, pieces and time do not matter.
struct LineFaults {
  FrameFaults requests;
  FrameFaults replies;
  /// Probability that a reply comes late, i.e. right after one of the next `late_by` replies, drawn
  /// evenly; a host that waits for it alone sees it only when it has asked again. Comes after
  /// FrameFaults in the order of draws.
  double late_replies = 0;
  std::uint32_t late_by = 1;
  std::uint64_t spared = 0;  ///< so many frames of each direction pass unharmed first
  std::uint64_t most = 0;    ///< so many faults in each direction, then none; 0 = no end
  bool operator==(const LineFaults&) const = default;
};

/// Something that ends the connection when a certain request is executed: what was queued behind
/// it is dropped, and of its reply only a first part gets out.
struct Interruption {
  std::uint64_t after_requests = 0;  ///< happens with this one, counted from 1; 0 = never
  std::uint64_t times = 1;           ///< once; or so often, each after as many more; 0 = no end
  double share = 1;  ///< of a batch's devices that still get their pulses, taken in order
  bool operator==(const Interruption&) const = default;
};

struct FaultPlan {
  std::uint64_t seed = 1;  ///< of all draws; chip.seed is not looked at
  ChipFaults chip;

  // Board
  double over_temperature_K = 0;  ///< above its temperature, at chip times [from, until)
  BoardTime over_temperature_from{};
  BoardTime over_temperature_until = BoardTime::max();
  double slowness = 1;          ///< reads and pulses take so many times as long
  Duration request_overhead{};  ///< added to the board's own, for each read or batch
  Interruption memory_loss;     ///< the board boots again
  Duration memory_loss_off = std::chrono::seconds(1);  ///< how long that takes

  // Line
  LineFaults line;
  Interruption disconnect;

  bool operator==(const FaultPlan&) const = default;
};

}  // namespace pcmlab::mock

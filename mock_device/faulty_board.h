// SPDX-License-Identifier: Apache-2.0
/// \file
/// A MockBoard on which a FaultPlan comes true. Owns its board; used by one thread at a time.
/// Carried like a MockBoard; whoever carries the bytes looks at unplugged() as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mock_device/fault_plan.h"
#include "mock_device/faulty_line.h"
#include "mock_device/mock_board.h"
#include "protocol/frame_reader.h"

namespace pcmlab::mock {

/// What really happened since the board was made.
struct FaultCounters {
  FrameFaultCounters requests = {};
  FrameFaultCounters replies = {};
  std::uint64_t hot_requests = 0;  ///< executed while the plan had the chip warmer
  std::uint64_t memory_losses = 0;
  std::uint64_t disconnects = 0;  ///< without those of a loss of memory
  bool operator==(const FaultCounters&) const = default;
};

class FaultyBoard {
 public:
  /// Breaks the chip as planned and puts it on a board.
  FaultyBoard(PcmChip chip, const MockBoardSettings& settings, const FaultPlan& plan);

  // As MockBoard has them.
  void receive(std::span<const std::byte> bytes);
  bool work();
  void take_output(std::vector<std::byte>& into);
  void connection_lost();

  /// Whether the plan has ended the connection. The carrier delivers what take_output() still has,
  /// ends the connection on its side too and calls connection_lost(); until then the board is deaf.
  bool unplugged() const { return unplugged_; }

  /// The temperature that a planned excursion comes on top of.
  void set_temperature(TemperatureProfile profile);

  const FaultPlan& plan() const { return plan_; }
  FaultCounters counters() const;
  /// Since the board was made, refused ones included.
  std::uint64_t executed_requests() const { return executed_; }

  /// The board itself, past all faults of the line.
  MockBoard& board() { return board_; }
  const MockBoard& board() const { return board_; }

 private:
  bool is_due(const Interruption& interruption, std::uint64_t happened) const;
  void interrupt(bool loses_memory);

  FaultPlan plan_;
  MockBoard board_;
  FaultyLine requests_;
  FaultyLine replies_;

  std::uint64_t executed_ = 0;  // requests, since the board was made
  std::uint64_t hot_requests_ = 0;
  std::uint64_t memory_losses_ = 0;
  std::uint64_t disconnects_ = 0;

  // Lost with the connection
  bool unplugged_ = false;
  wire::FrameReader from_host_;
  std::vector<std::byte> output_;

  std::vector<std::byte> frame_;     // at work
  std::vector<std::byte> to_board_;  // of receive()
};

}  // namespace pcmlab::mock

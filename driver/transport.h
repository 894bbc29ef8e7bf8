// SPDX-License-Identifier: Apache-2.0
/// \file
/// A byte stream to a board and back.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "protocol/error.h"

namespace pcmlab {

/// Moves bytes between host and board, in both directions at once. Implemented over USB, and by
/// loopback to a board in the same process.
///
/// Calls come from one thread at a time; an implementation may have threads of its own. After
/// ErrorCode::Disconnected every call fails the same way until reopen() succeeds.
class Transport {
 public:
  using Clock = std::chrono::steady_clock;
  using Deadline = Clock::time_point;

  virtual ~Transport() = default;

  /// Queues bytes for the board and returns once they are accepted; they are on their way while
  /// the caller goes on. Waits, at most until the deadline, only while the queue is full.
  /// Errors: Timeout, Disconnected.
  virtual Result<void> send(std::span<const std::byte> bytes, Deadline deadline) = 0;

  /// Appends at least one byte from the board to `into`, waiting for it at most until the deadline.
  /// Errors: Timeout, Disconnected.
  virtual Result<void> receive(std::vector<std::byte>& into, Deadline deadline) = 0;

  /// Drops all that is in flight and connects again to the same board.
  /// Errors: Timeout, Disconnected, Incompatible (another board is there).
  virtual Result<void> reopen(Deadline deadline) = 0;

  /// Where this goes, for messages: "loopback", "usb 1-4 serial PCM0001".
  virtual std::string description() const = 0;
};

}  // namespace pcmlab

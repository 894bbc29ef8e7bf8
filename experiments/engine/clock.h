// SPDX-License-Identifier: Apache-2.0
/// \file
/// Whose time an experiment waits by. Both kinds speak the board's time, so that schedules are
/// absolute from each device's programming whichever it is.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>

#include "driver/board.h"
#include "protocol/error.h"
#include "protocol/quantities.h"

namespace pcmlab {

/// What may happen while a clock waits.
struct Waiting {
  std::stop_token stop = {};  ///< ends the wait at once
  /// Called before and, in a real wait, twice a second. Its error ends the wait.
  std::function<Result<void>(BoardTime now)> look = {};
};

/// Used by the experiment's thread only.
class Clock {
 public:
  virtual ~Clock() = default;

  /// The board's time now. Errors: those of Board::status().
  virtual Result<BoardTime> now() = 0;

  /// Returns once the board's time has reached `time`, at once if it has. Errors: Stopped, those of
  /// the board and of `waiting`.
  virtual Result<void> sleep_until(BoardTime time, const Waiting& waiting) = 0;
};

/// The board's virtual time when it has one, else the system's clock.
std::unique_ptr<Clock> make_clock(Board& board);

/// Lets a board's virtual time pass instead of waiting.
class VirtualClock : public Clock {
 public:
  explicit VirtualClock(Board& board) : board_(board) {}
  Result<BoardTime> now() override;
  Result<void> sleep_until(BoardTime time, const Waiting& waiting) override;

 private:
  Board& board_;
};

/// Really waits; a stop ends the wait at once.
class SystemClock : public Clock {
 public:
  explicit SystemClock(Board& board) : board_(board) {}
  Result<BoardTime> now() override;
  Result<void> sleep_until(BoardTime time, const Waiting& waiting) override;

 private:
  Board& board_;
};

}  // namespace pcmlab

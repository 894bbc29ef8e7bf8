// SPDX-License-Identifier: Apache-2.0
/// \file
/// A mock board that works by itself, behind a line with latency and bandwidth, in virtual time or
/// along the wall clock: what a USB device function is made of.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "mock_device/faulty_board.h"
#include "protocol/quantities.h"

namespace pcmlab::mock {

struct BoardPace {
  /// Board time over wall time. 0: virtual time, which passes by work alone and as fast as it can.
  /// Otherwise the board's clock follows the wall clock, also while it has nothing to do.
  double time_scale = 0;
  std::chrono::nanoseconds latency{};  ///< of the line, each way
  double bytes_per_s = 0;              ///< of the line, each way; 0 = no limit
  std::size_t buffer_bytes = 1 << 20;  ///< from the host, on their way or not yet understood
};

/// Owns the board and one thread, which is the only one to use it but for visit(). All functions
/// may be called from any thread.
class BoardThread {
 public:
  /// \param board  with capability kVirtualTime only if pace.time_scale is 0
  /// \param changed  called from the board's thread, without a lock held, when readable() or the
  /// room for write() has grown, or the plan has ended the connection
  BoardThread(std::unique_ptr<FaultyBoard> board, const BoardPace& pace,
              std::function<void()> changed);
  ~BoardThread();
  BoardThread(const BoardThread&) = delete;
  BoardThread& operator=(const BoardThread&) = delete;

  /// Bytes from the host. \return how many were taken: fewer than offered when the buffer is full.
  std::size_t write(std::span<const std::byte> bytes);

  /// Bytes to the host that have arrived there. \return how many were put into `into`.
  std::size_t read(std::span<std::byte> into);
  std::size_t readable() const;

  /// Whether the fault plan has ended the connection. Bytes that came before it can still be read;
  /// nothing is taken from the host until connection_lost().
  bool unplugged() const;

  /// The cable is out: what is on the line, queued and unsent is dropped. Of a request at work or
  /// next, as on a real board, only a part is done:
  /// \param share  of the devices of a pulse batch that is first in the queue; 0 = it was not begun
  void connection_lost(double share = 0);

  /// Lets the caller look at the board, or change it, between two requests.
  template <class Visitor>
  auto visit(Visitor&& visitor) {
    const std::lock_guard lock(board_mutex_);
    return std::forward<Visitor>(visitor)(*board_);
  }

 private:
  using Clock = std::chrono::steady_clock;
  /// One direction of the line: bytes in order, each piece with the time of its arrival.
  struct Line {
    struct Piece {
      Clock::time_point arrives;
      std::vector<std::byte> bytes;
      std::size_t taken = 0;
      bool announced = false;
    };
    std::deque<Piece> pieces;
    std::size_t bytes = 0;
    Clock::time_point free_at{};
  };

  void put(Line& line, std::span<const std::byte> bytes);
  void run(const std::stop_token& stop);
  /// Hands arrived bytes to the board. \return whether there were any.
  bool deliver(Clock::time_point now);
  /// Lets out what a finished request has said, and begins the next. \return whether either.
  bool work(Clock::time_point now);
  Clock::time_point wall_time_of(BoardTime board_time) const;
  /// The board's clock catches up with the wall's, at a moment at which it is idle.
  void synchronise(Clock::time_point wall);

  const BoardPace pace_;
  const std::function<void()> changed_;

  mutable std::mutex line_mutex_;  // taken after board_mutex_ where both are
  std::condition_variable_any wake_;
  bool woken_ = false;
  Line to_board_;
  Line to_host_;
  bool unplugged_ = false;
  bool unplug_to_announce_ = false;

  std::mutex board_mutex_;
  std::unique_ptr<FaultyBoard> board_;
  std::vector<std::byte> output_;  // of the request at work, until its time is over
  Clock::time_point busy_until_{};
  Clock::time_point began_;
  BoardTime board_time_at_start_{};

  std::jthread thread_;
};

}  // namespace pcmlab::mock

// SPDX-License-Identifier: Apache-2.0
#include "mock_device/board_thread.h"

#include <sys/prctl.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace pcmlab::mock {

BoardThread::BoardThread(std::unique_ptr<FaultyBoard> board, const BoardPace& pace,
                         std::function<void()> changed)
    : pace_(pace),
      changed_(std::move(changed)),
      board_(std::move(board)),
      began_(Clock::now()),
      board_time_at_start_(board_->board().chip_time()),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

BoardThread::~BoardThread() = default;

// ---- the line --------------------------------------------------------------------------------

void BoardThread::put(Line& line, std::span<const std::byte> bytes) {
  const auto now = Clock::now();
  line.free_at = std::max(line.free_at, now);
  if (pace_.bytes_per_s > 0) {
    line.free_at += std::chrono::nanoseconds(
        std::llround(1e9 * static_cast<double>(bytes.size()) / pace_.bytes_per_s));
  }
  line.pieces.push_back({line.free_at + pace_.latency, {bytes.begin(), bytes.end()}, 0, false});
  line.bytes += bytes.size();
}

std::size_t BoardThread::write(std::span<const std::byte> bytes) {
  const std::lock_guard lock(line_mutex_);
  if (unplugged_) return 0;
  const std::size_t room = pace_.buffer_bytes - std::min(to_board_.bytes, pace_.buffer_bytes);
  const std::size_t taken = std::min(bytes.size(), room);
  if (taken == 0) return 0;
  put(to_board_, bytes.first(taken));
  woken_ = true;
  wake_.notify_one();
  return taken;
}

std::size_t BoardThread::read(std::span<std::byte> into) {
  const std::lock_guard lock(line_mutex_);
  const auto now = Clock::now();
  std::size_t came = 0;
  while (came < into.size() && !to_host_.pieces.empty() && to_host_.pieces[0].arrives <= now) {
    Line::Piece& piece = to_host_.pieces.front();
    const auto rest = std::span<const std::byte>(piece.bytes).subspan(piece.taken);
    const std::size_t count = std::min(rest.size(), into.size() - came);
    std::copy_n(rest.begin(), count, into.begin() + static_cast<std::ptrdiff_t>(came));
    came += count;
    piece.taken += count;
    to_host_.bytes -= count;
    if (piece.taken == piece.bytes.size()) to_host_.pieces.pop_front();
  }
  return came;
}

std::size_t BoardThread::readable() const {
  const std::lock_guard lock(line_mutex_);
  const auto now = Clock::now();
  std::size_t bytes = 0;
  for (const Line::Piece& piece : to_host_.pieces) {
    if (piece.arrives > now) break;
    bytes += piece.bytes.size() - piece.taken;
  }
  return bytes;
}

bool BoardThread::unplugged() const {
  const std::lock_guard lock(line_mutex_);
  return unplugged_;
}

void BoardThread::connection_lost(double share) {
  const std::lock_guard board_lock(board_mutex_);
  if (share > 0) board_->board().work(share);
  board_->connection_lost();
  output_.clear();
  const std::lock_guard lock(line_mutex_);
  to_board_ = {};
  to_host_ = {};
  unplugged_ = false;
}

// ---- the thread ------------------------------------------------------------------------------

void BoardThread::run(const std::stop_token& stop) {
  prctl(PR_SET_TIMERSLACK, 1);  // ns; the default of 50 us would be most of a USB round trip
  while (!stop.stop_requested()) {
    const auto now = Clock::now();
    const bool worked = work(now);
    const bool delivered = deliver(now);
    bool changed = delivered;

    std::unique_lock lock(line_mutex_);
    auto next = Clock::time_point::max();
    for (Line::Piece& piece : to_host_.pieces) {
      if (piece.arrives > now) {
        next = std::min(next, piece.arrives);
        break;
      }
      changed = changed || !std::exchange(piece.announced, true);
    }
    changed = changed || std::exchange(unplug_to_announce_, false);
    if (changed) {
      lock.unlock();
      changed_();
      continue;
    }
    if (worked || delivered) continue;
    if (!to_board_.pieces.empty()) next = std::min(next, to_board_.pieces.front().arrives);
    if (busy_until_ > now) next = std::min(next, busy_until_);
    const auto woken = [this] { return std::exchange(woken_, false); };
    if (next == Clock::time_point::max()) {
      wake_.wait(lock, stop, woken);
    } else {
      wake_.wait_until(lock, stop, next, woken);
    }
  }
}

bool BoardThread::deliver(Clock::time_point now) {
  const std::lock_guard board_lock(board_mutex_);
  bool any = false;
  for (;;) {
    Line::Piece piece;
    {
      const std::lock_guard lock(line_mutex_);
      if (to_board_.pieces.empty() || to_board_.pieces.front().arrives > now) return any;
      piece = std::move(to_board_.pieces.front());
      to_board_.pieces.pop_front();
      to_board_.bytes -= piece.bytes.size();
    }
    // A request that finds the board idle starts now; one that waited starts without a pause.
    if (board_->board().queued_requests() == 0 && piece.arrives > busy_until_) {
      synchronise(piece.arrives);
    }
    board_->receive(piece.bytes);
    any = true;
  }
}

bool BoardThread::work(Clock::time_point now) {
  if (now < busy_until_) return false;
  const std::lock_guard board_lock(board_mutex_);
  bool something = false;
  if (!output_.empty()) {
    const std::lock_guard lock(line_mutex_);
    put(to_host_, output_);
    output_.clear();
    something = true;
  }
  if (!board_->work()) return something;
  board_->take_output(output_);
  busy_until_ = pace_.time_scale > 0 ? wall_time_of(board_->board().chip_time()) : now;
  if (board_->unplugged()) {
    const std::lock_guard lock(line_mutex_);
    put(to_host_, output_);
    output_.clear();
    to_board_ = {};
    unplugged_ = true;
    unplug_to_announce_ = true;
  }
  return true;
}

BoardThread::Clock::time_point BoardThread::wall_time_of(BoardTime board_time) const {
  const double board_ns = static_cast<double>((board_time - board_time_at_start_).count());
  return began_ + std::chrono::nanoseconds(std::llround(board_ns / pace_.time_scale));
}

void BoardThread::synchronise(Clock::time_point wall) {
  if (pace_.time_scale <= 0) return;
  const double wall_ns =
      static_cast<double>(std::chrono::duration_cast<Duration>(wall - began_).count());
  const BoardTime due = board_time_at_start_ + Duration(std::llround(wall_ns * pace_.time_scale));
  MockBoard& board = board_->board();
  if (due > board.chip_time()) board.rest(due - board.chip_time());
}

}  // namespace pcmlab::mock

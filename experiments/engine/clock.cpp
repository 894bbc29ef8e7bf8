// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/clock.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace pcmlab {
namespace {

Result<BoardTime> board_now(Board& board) {
  PCM_ASSIGN(const BoardStatus status, board.status());
  return status.now;
}

tl::unexpected<Error> stopped() {
  return fail(ErrorCode::Stopped, "stopped while waiting for the next time point");
}

}  // namespace

std::unique_ptr<Clock> make_clock(Board& board) {
  if ((board.information().capabilities & wire::kVirtualTime) != 0) {
    return std::make_unique<VirtualClock>(board);
  }
  return std::make_unique<SystemClock>(board);
}

Result<BoardTime> VirtualClock::now() { return board_now(board_); }

Result<void> VirtualClock::sleep_until(BoardTime time, const Waiting& waiting) {
  if (waiting.look) PCM_TRY(waiting.look(time));
  if (waiting.stop.stop_requested()) return stopped();
  PCM_TRY(board_.advance_time_to(time));
  return {};
}

Result<BoardTime> SystemClock::now() { return board_now(board_); }

Result<void> SystemClock::sleep_until(BoardTime time, const Waiting& waiting) {
  constexpr std::chrono::milliseconds kBetweenLooks{500};
  std::mutex mutex;
  std::condition_variable_any wake;
  while (true) {
    // The board is asked again and again: its clock, not ours, is the schedule's, and a cable that
    // was pulled is noticed long before the next time point.
    PCM_ASSIGN(const BoardTime current, now());
    if (waiting.look) PCM_TRY(waiting.look(current));
    if (waiting.stop.stop_requested()) return stopped();
    if (current >= time) return {};
    std::unique_lock lock(mutex);
    wake.wait_for(lock, waiting.stop, std::min<BoardTime>(time - current, kBetweenLooks),
                  [] { return false; });
  }
}

}  // namespace pcmlab

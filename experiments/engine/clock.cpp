// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/clock.h"

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

Result<void> VirtualClock::sleep_until(BoardTime time, const std::stop_token& stop) {
  if (stop.stop_requested()) return stopped();
  PCM_TRY(board_.advance_time_to(time));
  return {};
}

Result<BoardTime> SystemClock::now() { return board_now(board_); }

Result<void> SystemClock::sleep_until(BoardTime time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  while (true) {
    if (stop.stop_requested()) return stopped();
    PCM_ASSIGN(const BoardTime current, now());
    if (current >= time) return {};
    // The board is asked again at the end: its clock, not ours, is the schedule's.
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, time - current, [] { return false; });
  }
}

}  // namespace pcmlab

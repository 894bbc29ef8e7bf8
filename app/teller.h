// SPDX-License-Identifier: Apache-2.0
/// \file
/// Tells people, and programs that watch, what becomes of a run. Nothing here holds up the run:
/// messages are sent by threads of their own, and what goes wrong with one is only noted.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "app/tell.h"

namespace pcmlab::app {

/// Tells of one run. All calls come from the experiment's thread and return at once, but for
/// finish().
class Teller {
 public:
  Teller(TellSettings settings, TellFacts facts);
  ~Teller();
  Teller(const Teller&) = delete;
  Teller& operator=(const Teller&) = delete;

  /// From now on it must make progress, and its heart beats.
  void begin(db::RowId run, const std::string& name);
  void tell(TellMessage message);
  void made_progress();
  void lost_board(const std::string& text);
  void found_board();
  /// What went wrong with telling, and stalls that are over, since the last time.
  std::vector<std::string> take_problems();

  /// The run is over: the heart stops. Waits until all is told, at most for twice the limit of one
  /// way. \param stop  does not wait any longer \param report  the run's; may be empty
  void finish(TellMessage message, const std::filesystem::path& report,
              const std::stop_token& stop = {});

 private:
  using Steady = std::chrono::steady_clock;

  void add(TellMessage message);
  void note(const std::vector<Delivery>& deliveries, bool only_changes);
  void send_messages(const std::stop_token& stop);
  void look_at_clocks();
  bool is_stalled() const;
  Steady::time_point next_look() const;
  void beat_heart(const std::stop_token& stop);

  const TellSettings settings_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  TellFacts facts_;
  std::deque<TellMessage> messages_;
  std::size_t dropped_ = 0;
  bool is_sending_ = false, has_begun_ = false, told_stall_ = false, told_loss_ = false;
  bool heart_fails_ = false;
  Steady::time_point progress_at_{};
  std::optional<Steady::time_point> board_gone_at_;
  std::string board_text_;
  std::vector<std::string> problems_;
  std::jthread sender_, heart_;
};

}  // namespace pcmlab::app

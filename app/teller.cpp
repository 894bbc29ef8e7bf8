// SPDX-License-Identifier: Apache-2.0
#include "app/teller.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pcmlab::app {
namespace {

std::string seconds_text(std::chrono::steady_clock::duration time) {
  return fmt::format("{:.0f} s", std::chrono::duration<double>(time).count());
}

}  // namespace

Teller::Teller(TellSettings settings, TellFacts facts)
    : settings_(std::move(settings)), facts_(std::move(facts)) {
  sender_ = std::jthread([this](const std::stop_token& stop) { send_messages(stop); });
}

Teller::~Teller() {
  heart_.request_stop();
  sender_.request_stop();
}

void Teller::begin(db::RowId run, const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    facts_.run = run;
    facts_.name = name;
    has_begun_ = true;
    progress_at_ = Steady::now();
  }
  changed_.notify_all();
  if (settings_.heartbeat_file.empty() && settings_.heartbeat_url.empty()) return;
  heart_ = std::jthread([this](const std::stop_token& stop) { beat_heart(stop); });
}

void Teller::tell(TellMessage message) {
  const std::lock_guard lock(mutex_);
  add(std::move(message));
}

/// With the mutex held.
void Teller::add(TellMessage message) {
  constexpr std::size_t kMostWaiting = 50;
  const auto& on = settings_.on;
  if (std::find(on.begin(), on.end(), to_string(message.event)) == on.end()) return;
  if (messages_.size() == kMostWaiting) {
    messages_.pop_front();
    ++dropped_;
  }
  messages_.push_back(std::move(message));
  changed_.notify_all();
}

void Teller::made_progress() {
  found_board();
  const std::lock_guard lock(mutex_);
  const auto last = std::exchange(progress_at_, Steady::now());
  if (!std::exchange(told_stall_, false)) return;
  problems_.push_back("nothing was measured or computed for " + seconds_text(progress_at_ - last));
  add({TellEvent::Continued, "it makes progress again"});
}

void Teller::lost_board(const std::string& text) {
  const std::lock_guard lock(mutex_);
  board_text_ = text;
  if (board_gone_at_) return;
  board_gone_at_ = Steady::now();
  changed_.notify_all();
}

void Teller::found_board() {
  const std::lock_guard lock(mutex_);
  if (!board_gone_at_) return;
  board_gone_at_.reset();
  progress_at_ = Steady::now();
  if (std::exchange(told_loss_, false)) add({TellEvent::BoardBack, "it goes on"});
}

std::vector<std::string> Teller::take_problems() {
  const std::lock_guard lock(mutex_);
  return std::exchange(problems_, {});
}

void Teller::finish(TellMessage message, const std::filesystem::path& report,
                    const std::stop_token& stop) {
  heart_.request_stop();
  {
    std::unique_lock lock(mutex_);
    has_begun_ = false;
    board_gone_at_.reset();
    facts_.report = report;
    add(std::move(message));
    changed_.wait_for(lock, stop, 2 * settings_.limit,
                      [this] { return messages_.empty() && !is_sending_; });
    if (!messages_.empty()) {
      problems_.push_back(fmt::format("{} messages were not sent in time", messages_.size()));
    }
    messages_.clear();
  }
  sender_.request_stop();
  sender_.join();
  if (heart_.joinable()) heart_.join();
}

bool Teller::is_stalled() const {
  return has_begun_ && !board_gone_at_ && Steady::now() - progress_at_ >= settings_.stall;
}

/// With the mutex held.
void Teller::look_at_clocks() {
  if (board_gone_at_ && !told_loss_ && Steady::now() - *board_gone_at_ >= settings_.board_lost) {
    told_loss_ = true;
    add({TellEvent::BoardLost, board_text_});
  }
  if (is_stalled() && !told_stall_) {
    told_stall_ = true;
    add({TellEvent::Stalled,
         "nothing was measured or computed for " + seconds_text(Steady::now() - progress_at_)});
  }
}

/// With the mutex held.
Teller::Steady::time_point Teller::next_look() const {
  constexpr std::chrono::hours kFar{1};
  Steady::time_point next = Steady::now() + kFar;
  if (board_gone_at_ && !told_loss_) next = std::min(next, *board_gone_at_ + settings_.board_lost);
  if (has_begun_ && !board_gone_at_ && !told_stall_) {
    next = std::min(next, progress_at_ + settings_.stall);
  }
  return next;
}

void Teller::note(const std::vector<Delivery>& deliveries, bool only_changes) {
  bool is_bad = false;
  const std::lock_guard lock(mutex_);
  for (const Delivery& delivery : deliveries) {
    if (delivery.result) continue;
    const Error& error = delivery.result.error();
    // The heart stops with the run, also in the middle of a beat.
    if (only_changes && error.code == ErrorCode::Stopped) continue;
    is_bad = true;
    if (only_changes && heart_fails_) continue;
    problems_.push_back(fmt::format("telling by {}: {}", delivery.by, error.message));
  }
  if (only_changes) heart_fails_ = is_bad;
}

void Teller::send_messages(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    look_at_clocks();
    if (messages_.empty()) {
      const auto next = next_look();
      changed_.wait_until(lock, stop, next, [&] {
        return !messages_.empty() || next_look() < next || Steady::now() >= next;
      });
      continue;
    }
    if (dropped_ > 0) {
      problems_.push_back(
          fmt::format("{} messages were not sent: too many waited", std::exchange(dropped_, 0U)));
    }
    const TellMessage message = std::move(messages_.front());
    messages_.pop_front();
    const TellFacts facts = facts_;
    is_sending_ = true;
    lock.unlock();
    note(deliver(settings_, facts, message, stop), false);
    lock.lock();
    is_sending_ = false;
    changed_.notify_all();
  }
}

void Teller::beat_heart(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (!is_stalled()) {
      lock.unlock();
      note(beat(settings_, stop), true);
      lock.lock();
    }
    changed_.wait_for(lock, stop, settings_.heartbeat, [] { return false; });
  }
}

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/run_control.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <utility>

namespace pcmlab {
namespace {

constexpr std::chrono::nanoseconds kBetweenLooks = std::chrono::milliseconds(200);
constexpr std::chrono::nanoseconds kBetweenBeats = std::chrono::seconds(5);
/// Less is the work of clocks that are held in step.
constexpr double kSmallestStep_s = 1;

std::int64_t now_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

HostClocks host_clocks() {
  return {now_ns(CLOCK_MONOTONIC), now_ns(CLOCK_BOOTTIME), now_ns(CLOCK_REALTIME)};
}

RunControl::RunControl(StopRequests requests, std::function<HostClocks()> clocks)
    : requests_(std::move(requests)), clocks_(std::move(clocks)) {}

bool RunControl::is_due(const std::optional<std::int64_t>& last_ns,
                        std::chrono::nanoseconds every) const {
  return !last_ns || clocks_().running_ns - *last_ns >= every.count();
}

void RunControl::attach(db::RunStore& store, db::RowId run, RunObserver& observer) {
  store_ = &store;
  run_ = run;
  observer_ = &observer;
}

Result<void> RunControl::check() {
  if (is_due(looked_ns_, kBetweenLooks)) PCM_TRY(look());
  return stopped();
}

Result<void> RunControl::stopped() const {
  if (stopped_by_.empty() && !requests_.stop.stop_requested() && !is_aborted()) return {};
  const std::string who = stopped_by_.empty() ? "on request" : "by " + stopped_by_;
  return fail(ErrorCode::Stopped,
              fmt::format("{} {}; everything measured so far is kept",
                          is_aborted() ? "aborted" : "stopped", who),
              run_ == 0 ? "" : fmt::format("to go on: pcmlab resume {}", run_));
}

Result<void> RunControl::checkpoint() {
  PCM_TRY(check());
  if (paused_by_.empty()) return {};
  return wait_while_paused();
}

Result<void> RunControl::check_abort() {
  if (is_due(looked_ns_, kBetweenLooks)) PCM_TRY(look());
  return is_aborted() ? check() : Result<void>();
}

Waiting RunControl::waiting(std::string what, BoardTime until) {
  return {requests_.stop, [this, what = std::move(what), until](BoardTime now) -> Result<void> {
            PCM_TRY(checkpoint());
            return beat(what, seconds(until - now));
          }};
}

Result<void> RunControl::look() {
  looked_ns_ = clocks_().running_ns;
  if (store_ == nullptr) return {};
  PCM_TRY(look_at_clocks());
  return look_at_commands();
}

Result<void> RunControl::look_at_commands() {
  PCM_ASSIGN(const auto pending, store_->pending_commands(run_));
  if (pending.empty()) return {};
  hear(pending);
  PCM_ASSIGN(const auto taken, store_->take_commands(run_));
  hear(taken);
  return {};
}

/// Also before they can be marked as seen.
void RunControl::hear(const std::vector<db::CommandRow>& commands) {
  for (const db::CommandRow& command : commands) {
    if (command.id <= heard_) continue;
    heard_ = command.id;
    switch (command.command) {
      case db::RunCommand::Pause:
        paused_by_ = command.requested_by;
        observer_->message(fmt::format("{} asks for a pause", command.requested_by));
        break;
      case db::RunCommand::Continue:
        paused_by_.clear();
        break;
      case db::RunCommand::Abort:
        aborted_ = true;
        [[fallthrough]];
      case db::RunCommand::Stop:
        stopped_by_ = command.requested_by;
        break;
    }
  }
}

Result<void> RunControl::hold(std::chrono::milliseconds time, const std::string& what) {
  const auto until = std::chrono::steady_clock::now() + time;
  beat_ns_.reset();
  std::mutex mutex;
  std::condition_variable_any wake;
  for (;;) {
    if (const auto pending = store_->pending_commands(run_)) hear(*pending);
    PCM_TRY(stopped());
    sign_of_life(what, 0);
    const auto left = until - std::chrono::steady_clock::now();
    if (left <= left.zero()) return {};
    std::unique_lock lock(mutex);
    wake.wait_for(lock, requests_.stop, std::min<std::chrono::nanoseconds>(left, kBetweenLooks),
                  [] { return false; });
  }
}

/// Gaps of which nobody told us.
Result<void> RunControl::look_at_clocks() {
  const HostClocks now = clocks_();
  const std::optional<HostClocks> before = std::exchange(before_, now);
  if (!before) return {};
  const auto passed = [](std::int64_t from, std::int64_t to) {
    return static_cast<double>(to - from) * 1e-9;
  };
  const double with_sleep_s = passed(before->boot_ns, now.boot_ns);
  const double slept_s = with_sleep_s - passed(before->running_ns, now.running_ns);
  const double step_s = passed(before->utc_ns, now.utc_ns) - with_sleep_s;
  if (slept_s > kSmallestStep_s) {
    const std::string text = fmt::format("the computer slept for {:.0f} s", slept_s);
    observer_->message(text);
    PCM_TRY(store_->add_gap(run_, db::GapCause::Suspend, before->utc_ns, text));
  }
  if (std::abs(step_s) > kSmallestStep_s) {
    const std::string text = fmt::format("the computer's clock was set {} by {:.0f} s",
                                         step_s > 0 ? "forward" : "back", std::abs(step_s));
    observer_->message(text);
    PCM_TRY(store_->add_gap(run_, db::GapCause::ClockStep, before->utc_ns, text));
  }
  return {};
}

Result<void> RunControl::wait_while_paused() {
  const std::string who = paused_by_;
  const std::int64_t begin_utc_ns = clocks_().utc_ns;
  observer_->message(fmt::format("paused by {}; to go on: pcmlab continue {}", who, run_));
  observer_->paused("by " + who);
  beat_ns_.reset();
  std::mutex mutex;
  std::condition_variable_any wake;
  Result<void> waited;
  while (waited && !paused_by_.empty()) {
    waited = beat("paused by " + who, 0);
    if (!waited) break;
    {
      std::unique_lock lock(mutex);
      wake.wait_for(lock, requests_.stop, kBetweenLooks, [] { return false; });
    }
    waited = check();
  }
  const std::string text = fmt::format("paused by {}", who);
  const Result<void> noted = store_->add_gap(run_, db::GapCause::Pause, begin_utc_ns, text);
  PCM_TRY(waited);
  PCM_TRY(noted);
  observer_->message("going on");
  observer_->went_on();
  return {};
}

Result<void> RunControl::still_waiting(const std::string& for_what) {
  PCM_TRY(check());
  return beat("waiting for " + for_what, 0);
}

/// While nothing is measured, for the observer and the database.
Result<void> RunControl::beat(const std::string& activity, double eta_s) {
  const auto row = sign_of_life(activity, eta_s);
  return row ? store_->set_progress(run_, *row) : Result<void>();
}

/// For the observer. \return what it was told; nothing if it is too early.
std::optional<db::ProgressRow> RunControl::sign_of_life(const std::string& activity, double eta_s) {
  if (store_ == nullptr || !is_due(beat_ns_, kBetweenBeats)) return std::nullopt;
  beat_ns_ = clocks_().running_ns;
  db::ProgressRow row;
  row.activity = activity;
  row.eta_s = eta_s;
  observer_->progress(row);
  return row;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// What systemd is told of this process when it has started it, and the computer kept awake while a
/// run is at work.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "protocol/error.h"

namespace pcmlab::app {

/// The other end of a unit of Type=notify with WatchdogSec (sd_notify(3)). Without systemd all does
/// nothing. The watchdog is fed by nobody but who made progress: a thread that is stuck feeds no
/// more, and systemd ends the process and starts another. Calls may come from any thread.
class Service {
 public:
  using Clock = std::chrono::steady_clock;
  /// As the environment says: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID.
  explicit Service(std::function<Clock::time_point()> now = Clock::now);

  void ready();
  void stopping();
  /// One line for `systemctl status`; at most one every few seconds is sent.
  void status(const std::string& text);
  /// Progress was made, or is rightly waited for.
  void is_alive();
  /// No progress is to be expected for so long.
  void is_busy_for(std::chrono::seconds time);

 private:
  void send(const std::string& text);

  std::function<Clock::time_point()> now_;
  std::mutex mutex_;
  bool has_systemd_ = false;
  std::chrono::microseconds watchdog_{0};  ///< 0: none
  bool is_longer_ = false;                 ///< than the unit says, for a while
  std::optional<Clock::time_point> fed_at_, status_at_;
  std::string status_;
};

/// Keeps the computer from going to sleep while it lives, by logind.
class SleepInhibitor {
 public:
  SleepInhibitor() = default;
  ~SleepInhibitor();
  SleepInhibitor(const SleepInhibitor&) = delete;
  SleepInhibitor& operator=(const SleepInhibitor&) = delete;

  /// \param why  for `systemd-inhibit --list`. Errors: Io (there is no logind, or it refuses).
  Result<void> begin(const std::string& why);

 private:
  int descriptor_ = -1;  ///< logind's, until it is closed
};

}  // namespace pcmlab::app

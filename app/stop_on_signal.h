// SPDX-License-Identifier: Apache-2.0
/// \file
/// Ctrl-C and SIGTERM as a request to stop at the next safe place.
#pragma once

#include <signal.h>

#include <stop_token>
#include <string>
#include <thread>

namespace pcmlab::app {

/// While it lives, the first SIGINT or SIGTERM requests a stop and says so. For a run a second one
/// aborts it. The one after that ends the process at once, which loses nothing that was committed.
/// Made before any other thread, so that all of them leave these signals to its own thread.
class StopOnSignal {
 public:
  /// \param message  said when the first one has come
  explicit StopOnSignal(std::string message);
  /// \param abort_message  said when the second one has come
  StopOnSignal(std::string message, std::string abort_message);
  /// For runs: they also go on when their terminal is closed or nobody reads what they print.
  StopOnSignal();
  ~StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  std::stop_token token() const { return stop_.get_token(); }
  /// Never requested where there is no message for it.
  std::stop_token abort_token() const { return abort_.get_token(); }

 private:
  void listen(const std::stop_token& done);

  std::string message_, abort_message_;
  sigset_t signals_{};
  sigset_t before_{};
  std::stop_source stop_, abort_;
  std::jthread listener_;
};

}  // namespace pcmlab::app

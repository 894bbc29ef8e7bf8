// SPDX-License-Identifier: Apache-2.0
/// \file
/// Ctrl-C and SIGTERM as a request to stop at the next safe place.
#pragma once

#include <signal.h>

#include <stop_token>
#include <string>
#include <thread>

namespace pcmlab::app {

/// While it lives, the first SIGINT or SIGTERM requests a stop and says so; a second one ends the
/// process at once, which loses nothing that was committed. Made before any other thread, so that
/// all of them leave these signals to its own thread.
class StopOnSignal {
 public:
  /// \param message  said when the first one has come
  explicit StopOnSignal(std::string message =
                            "stopping after the block at work; once more to leave at once (what is "
                            "committed is safe)");
  ~StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  std::stop_token token() const { return stop_.get_token(); }

 private:
  void listen(const std::stop_token& done);

  std::string message_;
  sigset_t signals_{};
  sigset_t before_{};
  std::stop_source stop_;
  std::jthread listener_;
};

}  // namespace pcmlab::app

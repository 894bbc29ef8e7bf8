// SPDX-License-Identifier: Apache-2.0
#include "app/stop_on_signal.h"

#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "app/exit_code.h"

namespace pcmlab::app {

StopOnSignal::StopOnSignal()
    : StopOnSignal("stopping at the next safe place; once more to stop at once",
                   "stopping as soon as the board has answered; once more to leave (what is "
                   "committed is safe)") {
  // A terminal that is closed, or a reader of the output that is gone, does not end a run.
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

StopOnSignal::StopOnSignal(std::string message) : StopOnSignal(std::move(message), "") {}

StopOnSignal::StopOnSignal(std::string message, std::string abort_message)
    : message_(std::move(message)), abort_message_(std::move(abort_message)) {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGUSR1);  // the destructor's own, to end the wait
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  listener_ = std::jthread([this](const std::stop_token& done) { listen(done); });
}

StopOnSignal::~StopOnSignal() {
  listener_.request_stop();
  pthread_kill(listener_.native_handle(), SIGUSR1);
  listener_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void StopOnSignal::listen(const std::stop_token& done) {
  while (!done.stop_requested()) {
    int signal = 0;
    if (sigwait(&signals_, &signal) != 0 || signal == SIGUSR1) continue;
    const bool is_first = !stop_.stop_requested();
    if (!is_first && (abort_message_.empty() || abort_.stop_requested())) std::_Exit(kStopped);
    (is_first ? stop_ : abort_).request_stop();
    std::fputs(fmt::format("\n{}\n", is_first ? message_ : abort_message_).c_str(), stderr);
  }
}

}  // namespace pcmlab::app

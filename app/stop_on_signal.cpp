// SPDX-License-Identifier: Apache-2.0
#include "app/stop_on_signal.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "app/exit_code.h"

namespace pcmlab::app {

StopOnSignal::StopOnSignal(std::string message) : message_(std::move(message)) {
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
    if (stop_.stop_requested()) std::_Exit(kStopped);
    stop_.request_stop();
    fmt::print(stderr, "\n{}\n", message_);
  }
}

}  // namespace pcmlab::app

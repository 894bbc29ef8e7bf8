// SPDX-License-Identifier: Apache-2.0
/// \file
/// Other programs, run for a limited time. Functions without state, callable from any thread.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

#include "protocol/error.h"

namespace pcmlab::app {

struct ChildJob {
  std::vector<std::string> command;  ///< the program, looked for in PATH, and its arguments
  std::vector<std::string> environment = {};  ///< "NAME=value", besides this process's
  std::string input = {};                     ///< its standard input
  std::chrono::milliseconds limit{30000};     ///< then it is ended, with all it has started
};

/// Runs a program to its end, in a process group of its own and with ordinary signals.
/// \param stop  ends it before its time
/// Errors: NotFound (no such program); Timeout; Stopped; Io (it could not be started, or ended with
/// another exit code than 0; says the last that it printed).
Result<void> run_child(const ChildJob& job, const std::stop_token& stop = {});

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
/// \file
/// A plan gone through without a board and without leaving anything behind.
#pragma once

#include "experiments/engine/plan.h"
#include "protocol/error.h"

namespace pcmlab::app {

/// Runs the plan's steps on the mock chip, whatever board it names, into a database that is removed
/// again, and prints every request to the board as a line on standard output. Steps that do not use
/// the board are left out. Errors: those of the run.
Result<void> rehearse(const Plan& plan, bool quiet);

}  // namespace pcmlab::app

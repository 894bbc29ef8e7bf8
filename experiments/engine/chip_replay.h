// SPDX-License-Identifier: Apache-2.0
/// \file
/// A simulated chip ends with its process. For going on with a run on it, a new one is brought to
/// where the run left the old one: it gets the pulses and reads of the run again, each at its board
/// time, and must answer as the database says. Functions, in the experiment's thread.
#pragma once

#include <span>

#include "db/run_store.h"
#include "driver/board.h"
#include "experiments/engine/plan.h"
#include "protocol/error.h"

namespace pcmlab {

/// A run and its plan.
struct ReplayedRun {
  db::RowId run = 0;
  Plan plan;
};

/// \param board  of virtual time, at its beginning \param runs  one after the other on its chip
/// Errors: those of board and store; Incompatible when the chip answers otherwise than the one
/// before (another model or seed, or pulses of which nobody knows whether they were given).
Result<void> replay_chip(Board& board, db::RunStore& store, std::span<const ReplayedRun> runs);

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the devices of a chip have borne in all runs of a database, against the limits of a plan.
/// Functions without state.
#pragma once

#include <filesystem>

#include "driver/board.h"
#include "experiments/engine/engine.h"

namespace pcmlab::app {

/// Counted from the batches of all runs on this board and the plan's sample, deleted ones too; a
/// batch of which nobody knows counts as given. A database that is not there: a new chip.
/// Errors: those of ResultsQuery.
Result<ChipLife> chip_life(const Plan& plan, const BoardInformation& board,
                           const std::filesystem::path& database);

/// The most pulses, and the most energy in uJ, that any device has borne.
std::int64_t most_pulses(const ChipLife& life);
double most_energy(const ChipLife& life, const Plan& plan);

/// Whether the plan's pulses are within the limits, whichever device gets them.
/// Errors: BadPlan.
Result<void> check_life(const ChipLife& life, const Prediction& total);

}  // namespace pcmlab::app

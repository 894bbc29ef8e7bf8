// SPDX-License-Identifier: Apache-2.0
/// \file
/// What experiments that program devices have in common: settings against the board's limits, what
/// a programming takes, and one programming from its first row in the database to its last.
/// Functions, in the experiment's thread.
#pragma once

#include <string_view>

#include "experiments/engine/experiment.h"
#include "experiments/programming/program_and_verify.h"
#include "experiments/programming/program_settings.h"

namespace pcmlab {

/// Errors: BadPlan (a pulse that the board does not allow, with what it allows).
Result<void> check_limits(const ProgramSettings& settings, const Limits& limits);

/// Passes of a programming as the mock needs them, if the settings allow so many.
struct ExpectedPasses {
  double of_a_device = 18;
  double in_all = 35;
};

/// What program-and-verify of `targets` devices and one RESET of `zeros` others take.
Prediction predict_programming(const ProgramSettings& settings, std::int64_t targets,
                               std::int64_t zeros, Duration sample_time,
                               ExpectedPasses expected = {});

/// Programs the placement's devices as one programming of the run and step of `context`: layers,
/// placement, every batch, read and verdict are in the store. \param layers  whose weights the
/// devices hold; none: no weights. \param phase  what it is called in progress and messages.
/// Errors: those of board and store, Stopped.
Result<ProgramOutcome> program_chip(RunContext& context, const ProgramSettings& settings,
                                    const db::Placement& placement,
                                    std::span<const db::LayerRow> layers, std::string_view phase);

}  // namespace pcmlab

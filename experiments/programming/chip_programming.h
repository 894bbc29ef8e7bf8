// SPDX-License-Identifier: Apache-2.0
/// \file
/// What experiments that program devices have in common: settings against the board's limits, what
/// a programming takes, and one programming from its first row in the database to its last.
/// Functions, in the experiment's thread.
#pragma once

#include <optional>
#include <string_view>

#include "experiments/engine/experiment.h"
#include "experiments/programming/program_and_verify.h"
#include "experiments/programming/program_settings.h"

namespace pcmlab {

/// Errors: BadPlan (a pulse that the board does not allow, with what it allows).
Result<void> check_limits(const ProgramSettings& settings, const Limits& limits);

/// Passes of a programming, if the settings allow so many.
struct ExpectedPasses {
  double of_a_device = 0;  ///< verify reads, each but the last with a pulse behind it
  double in_all = 0;       ///< until the slowest device is done
};

/// As the mock chip joshi-2020 needs them for levels from 1 to 25 uS: a fit to programmings of
/// 1,100 and 11,000 devices with tolerances from 0.1 to 2 uS and the other settings as by default.
ExpectedPasses expected_passes(double tolerance_uS, std::int64_t targets);

/// What program-and-verify of `targets` devices and one RESET of `zeros` others take.
Prediction predict_programming(const ProgramSettings& settings, std::int64_t targets,
                               std::int64_t zeros, Duration sample_time, ExpectedPasses expected);

/// The programming of this step and filling, if it was begun before. Its placement is in the store
/// and counts, whatever is known of bad devices since.
Result<std::optional<db::ProgrammingRow>> begun_programming(RunContext& context);

/// The first rows of a programming of the run and step of `context`, in one commit. \return its id
Result<db::RowId> begin_programming(RunContext& context, const ReadSettings& read,
                                    const Calibration& calibration, const db::Placement& placement,
                                    std::span<const db::LayerRow> layers);

/// Programs the placement's devices as one programming of the run and step of `context`: layers,
/// placement, every batch, read and verdict are in the store. Goes on with one that was begun
/// before; one that is complete is left as it is. \param layers  whose weights the devices hold;
/// none: no weights. \param phase  what it is called in progress and messages.
/// Errors: those of board and store, and of ProgramAndVerify::run().
Result<ProgramOutcome> program_chip(RunContext& context, const ProgramSettings& settings,
                                    const db::Placement& placement,
                                    std::span<const db::LayerRow> layers, std::string_view phase);

}  // namespace pcmlab

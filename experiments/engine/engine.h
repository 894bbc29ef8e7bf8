// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs a plan from its files to the last committed block. Used by one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experiments/engine/experiment.h"
#include "experiments/engine/inputs.h"

namespace pcmlab {

/// Who runs it, for the run's provenance.
struct Provenance {
  std::string program_version;
  std::string git_revision;
  std::string board_description;
  std::optional<db::RowId> queue_entry = {};  ///< that the run is, if it is one
  std::optional<db::RowId> parent = {};       ///< the run on whose chip, as it left it, it begins
};

/// Sections of the engine and all experiments; `extra` are the program's own sections.
PlanSchema plan_schema(std::vector<ParameterTable> extra);

/// What the plan will take, in the order of its steps. Errors: BadPlan when a step lacks what an
/// earlier one should have given.
Result<std::vector<Prediction>> predict(const Plan& plan, const RunInputs& inputs,
                                        const BoardInformation& board);

/// Runs all steps. Whatever happens, the run's row says how it ended, and what was measured stays.
/// \return the run's id; on an error the run is in the database as failed or stopped.
struct RunResult {
  db::RowId run = 0;
  Result<void> outcome;
};
RunResult run_plan(const Plan& plan, const RunInputs& inputs, Board& board, db::RunStore& store,
                   RunObserver& observer, const Provenance& provenance, StopRequests requests,
                   const Host& host = {});

/// Gives the steps of a run that have begun the defaults that they began with, which another
/// version may have changed. \param plan  parsed from the run's own text \return a sentence for
/// each step that is not over and would have gone on otherwise
Result<std::vector<std::string>> keep_defaults(db::RowId run, Plan& plan, db::RunStore& store);

/// Goes on with a run whose process is over, in this one: what is in the database counts, the rest
/// is done. \param plan  the run's own, after keep_defaults(), as are `inputs` \param board  as the
/// run left it
/// Errors of the outcome: also those of RunStore::resume_run(); BadPlan when the inputs or the
/// board are not those of the run, or another run has programmed the chip since.
RunResult resume_plan(db::RowId run, const Plan& plan, const RunInputs& inputs, Board& board,
                      db::RunStore& store, RunObserver& observer, const Provenance& provenance,
                      StopRequests requests, db::Elsewhere elsewhere = db::Elsewhere::Refused,
                      const Host& host = {});

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Drift fits of a run's programmings, made from its sweeps and kept in the database.
#pragma once

#include <optional>

#include "db/run_store.h"
#include "protocol/error.h"

namespace pcmlab {

struct FittedDrift {
  db::DriftFitRow row;  ///< without id until it is stored
  db::DriftFits fits;
};

/// Fits every device of a programming to the complete sweeps of a step. At most 128 sweeps go in,
/// spread over the logarithm of time. Times are those at which each device was really read, so that
/// a gap or a late sweep is no error. \return nothing with too few sweeps or too short a time.
/// Errors: those of the store.
Result<std::optional<FittedDrift>> fit_drift_of(db::RunStore& store, db::RowId run, db::RowId step,
                                                db::RowId programming);

/// The same, and stores the fits.
Result<std::optional<db::DriftFitRow>> store_drift_fits(db::RunStore& store, db::RowId run,
                                                        db::RowId step, db::RowId programming);

}  // namespace pcmlab

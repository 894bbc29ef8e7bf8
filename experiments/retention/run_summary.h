// SPDX-License-Identifier: Apache-2.0
/// \file
/// The figures of a run that a lab asks for first, computed from what the database holds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "db/run_store.h"
#include "protocol/error.h"

namespace pcmlab {

/// One time point.
struct SweepFigures {
  db::SweepRow sweep;
  double sum_ratio = 1;  ///< sum of all conductances over that of the first sweep
  std::optional<double> none_percent;
  std::optional<double> gdc_percent;
};

/// Devices whose targets lie in [low_uS, high_uS) and that converged.
struct ConductanceClass {
  double low_uS = 0, high_uS = 0;
  std::int64_t devices = 0;
  double error_mean_uS = 0;              ///< measured at the first sweep minus target
  double error_sigma_uS = 0;             ///< spread of that error
  std::optional<double> drift_exponent;  ///< median of the devices' own fits
  /// By time point.
  std::vector<double> median_uS, p10_uS, p90_uS;
};

struct RunSummary {
  db::RunRow run;
  std::optional<db::ProgrammingRow> programming;
  std::int64_t stuck_low = 0, stuck_high = 0, max_iterations = 0;  ///< devices not converged
  std::vector<SweepFigures> sweeps;                                ///< complete ones
  std::vector<ConductanceClass> classes;  ///< from low to high; empty without sweeps
  std::optional<double> sigma_uS;         ///< median of the classes' error_sigma_uS
  std::optional<double> drift_exponent;   ///< median over converged devices above 5 uS
  std::optional<double> software_percent;
  std::string precision;
  std::string gdc_reference;
};

/// Errors: NotFound, those of the database.
Result<RunSummary> summarise_run(db::RunStore& store, db::RowId run);

}  // namespace pcmlab

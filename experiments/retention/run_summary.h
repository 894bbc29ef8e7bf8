// SPDX-License-Identifier: Apache-2.0
/// \file
/// The figures of a run that a lab asks for first, computed from what the database holds.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "db/run_store.h"
#include "protocol/error.h"

namespace pcmlab {

/// One read of the network's weights.
struct SweepFigures {
  db::SweepRow sweep;    ///< of the first filling
  double sum_ratio = 1;  ///< sum of all conductances over that of the first read
  std::map<std::string, db::AccuracyRow> accuracies;  ///< by condition, see condition_of()
};

/// Accuracy at one time point over its repeated reads.
struct PointAccuracy {
  double mean_percent = 0;
  std::optional<double> deviation_percent;  ///< standard deviation of one read; none of one alone
  int reads = 0;
};

/// All sweeps of one scheduled time.
struct TimePoint {
  double scheduled_s = 0;
  double after_s = 0;    ///< mean of the sweeps' middles after programming
  double sum_ratio = 1;  ///< mean
  std::map<std::string, PointAccuracy> accuracies;  ///< by condition
};

/// Devices whose targets lie in [low_uS, high_uS) and that converged; where the array was filled
/// several times, every so many-th of them.
struct ConductanceClass {
  double low_uS = 0, high_uS = 0;
  std::int64_t devices = 0;
  double error_mean_uS = 0;              ///< measured at the first sweep minus target
  double error_sigma_uS = 0;             ///< spread of that error
  std::optional<double> drift_exponent;  ///< median of the devices' own, where they were fitted
  /// By time point.
  std::vector<double> median_uS, p10_uS, p90_uS;
};

struct RunSummary {
  db::RunRow run;
  std::vector<db::NoteRow> notes;
  std::vector<db::SessionRow> sessions;  ///< processes that worked at it, one after another
  std::vector<db::GapRow> gaps;          ///< by their beginning
  std::optional<db::ProgrammingRow> programming;  ///< of the network; all fillings together
  int fillings = 1;                               ///< of the array, one after another
  std::int64_t stuck_low = 0, stuck_high = 0, max_iterations = 0;  ///< devices not converged
  std::vector<SweepFigures> sweeps;                                ///< complete ones
  std::vector<TimePoint> points;                                   ///< of these, by time
  std::vector<std::string> conditions;      ///< that were evaluated, in the order of the literature
  std::vector<ConductanceClass> classes;    ///< from low to high; empty without sweeps
  std::optional<double> sigma_uS;           ///< median of the classes' error_sigma_uS
  std::optional<double> drift_exponent;     ///< median over converged devices above 5 uS
  std::vector<db::DriftFitRow> drift_fits;  ///< one of each filling, where it was fitted
  std::optional<double> software_percent;
  std::string precision;
  std::string gdc_reference;
};

/// What an accuracy was counted under: its compensation, and the bits of its converters if it had
/// some: "gdc", "gdc, 8 bit in, 6 bit out". The same step twice: the later one counts.
std::string condition_of(const db::AccuracyRow& row);

/// Where a condition stands among others: as read, then under more and more compensation.
std::size_t place_of_condition(const std::string& condition);
void sort_conditions(std::vector<std::string>& conditions);  ///< by that

/// For people: "as read", "GDC", "AdaBS + GDC, 8 bit in".
std::string condition_name(const std::string& condition);

double percent_of(const db::AccuracyRow& row);

/// Errors: NotFound, those of the database.
Result<RunSummary> summarise_run(db::RunStore& store, db::RowId run);

}  // namespace pcmlab

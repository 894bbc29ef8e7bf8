// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/run_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "experiments/characterisation/statistics.h"
#include "experiments/retention/measured_conductances.h"
#include "experiments/retention/programmed_network.h"
#include "experiments/retention/stored_drift.h"

namespace pcmlab {
namespace {

/// Around the levels at which the literature gives figures.
constexpr std::array<double, 7> kClassEdges_uS{0.25, 2.5, 7.5, 12.5, 17.5, 22.5, 25.01};
constexpr double kFitAbove_uS = 5.0;

std::optional<double> median_of(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  return median(std::move(values));
}

struct NamedCompensation {
  std::string_view id, name;
};
/// In the order in which they are shown.
constexpr std::array<NamedCompensation, 5> kCompensations{{{"none", "as read"},
                                                           {"gdc", "GDC"},
                                                           {"gdc+offset", "GDC + offset"},
                                                           {"adabs", "AdaBS"},
                                                           {"adabs+gdc", "AdaBS + GDC"}}};

void add_accuracies(const std::vector<db::AccuracyRow>& rows, RunSummary& summary) {
  for (const db::AccuracyRow& row : rows) {
    if (row.images == 0) continue;
    if (!row.sweep) {
      summary.software_percent = percent_of(row);
      summary.precision = row.precision;
      continue;
    }
    const auto figures =
        std::find_if(summary.sweeps.begin(), summary.sweeps.end(),
                     [&](const SweepFigures& f) { return f.sweep.id == *row.sweep; });
    if (figures == summary.sweeps.end()) continue;
    figures->accuracies[condition_of(row)] = row;
    if (!row.reference.empty()) summary.gdc_reference = row.reference;
  }
  for (const SweepFigures& figures : summary.sweeps) {
    for (const auto& [condition, row] : figures.accuracies) {
      auto& known = summary.conditions;
      if (std::find(known.begin(), known.end(), condition) == known.end()) {
        known.push_back(condition);
      }
    }
  }
  sort_conditions(summary.conditions);
}

/// Sweeps of one scheduled time become a point.
void add_points(RunSummary& summary) {
  std::map<double, std::vector<const SweepFigures*>> by_time;
  for (const SweepFigures& f : summary.sweeps) by_time[f.sweep.scheduled_s].push_back(&f);
  for (const auto& [scheduled_s, sweeps] : by_time) {
    TimePoint point;
    point.scheduled_s = scheduled_s;
    point.sum_ratio = 0;
    const auto count = static_cast<double>(sweeps.size());
    std::map<std::string, std::vector<double>> percents;
    for (const SweepFigures* sweep : sweeps) {
      point.after_s += sweep->sweep.after_s / count;
      point.sum_ratio += sweep->sum_ratio / count;
      for (const auto& [condition, row] : sweep->accuracies) {
        percents[condition].push_back(percent_of(row));
      }
    }
    for (const auto& [condition, values] : percents) {
      PointAccuracy& accuracy = point.accuracies[condition];
      const Moments figures = moments(values);
      accuracy.mean_percent = figures.mean;
      if (values.size() > 1) accuracy.deviation_percent = figures.deviation;
      accuracy.reads = static_cast<int>(values.size());
    }
    summary.points.push_back(std::move(point));
  }
}

/// Devices that converged, over all readings: all of them, or of several fillings every so many-th.
struct Devices {
  std::vector<float> targets_uS;
  std::vector<std::optional<float>> exponents;  ///< none: it could not be fitted
  std::vector<std::vector<float>> g_uS;         ///< by reading, by device
};

/// As stored at the end of the step; runs of earlier versions are fitted now.
Result<std::optional<FittedDrift>> drift_of(db::RunStore& store, db::RowId run,
                                            db::RowId programming, db::RowId step) {
  PCM_ASSIGN(auto stored, store.drift_fits(run));
  for (db::DriftFitRow& row : stored) {
    if (row.programming != programming) continue;
    PCM_ASSIGN(db::DriftFits fits, store.drift_of_devices(row.id));
    return FittedDrift{std::move(row), std::move(fits)};
  }
  return fit_drift_of(store, run, step, programming);
}

Result<void> add_filling(db::RunStore& store, const ProgrammedNetwork& network, std::size_t filling,
                         RunSummary& summary, Devices& devices) {
  const db::RowId programming = network.fillings[filling].id;
  PCM_ASSIGN(const db::ProgrammingResult result, store.programming_result(programming));
  const auto count = [&](db::Verdict verdict) {
    return std::count(result.verdicts.begin(), result.verdicts.end(), verdict);
  };
  summary.stuck_low += count(db::Verdict::StuckLow);
  summary.stuck_high += count(db::Verdict::StuckHigh);
  summary.max_iterations += count(db::Verdict::MaxIterations);
  if (network.readings.empty()) return {};
  PCM_ASSIGN(const db::Placement placement, store.placement(programming));
  std::vector<std::size_t> chosen;
  for (std::size_t d = 0, seen = 0; d < placement.targets_uS.size(); ++d) {
    if (result.verdicts[d] != db::Verdict::Converged) continue;
    if (seen++ % network.fillings.size() == 0) chosen.push_back(d);
  }
  PCM_ASSIGN(const auto fitted, drift_of(store, summary.run.id, programming,
                                         network.readings.front().sweeps[filling].step));
  if (fitted) summary.drift_fits.push_back(fitted->row);
  for (const std::size_t d : chosen) {
    devices.targets_uS.push_back(placement.targets_uS[d]);
    std::optional<float> exponent;
    if (fitted && !std::isnan(fitted->fits.exponents[d])) exponent = fitted->fits.exponents[d];
    devices.exponents.push_back(exponent);
  }
  devices.g_uS.resize(network.readings.size());
  for (std::size_t i = 0; i < network.readings.size(); ++i) {
    const db::SweepRow& sweep = network.readings[i].sweeps[filling];
    PCM_ASSIGN(const auto code_sums, store.sweep_code_sums(sweep.id));
    const auto g_uS =
        conductances_uS(code_sums, {sweep.gain_uS_per_code, sweep.offset_uS}, sweep.samples);
    for (const std::size_t d : chosen) devices.g_uS[i].push_back(g_uS[d]);
  }
  return {};
}

ConductanceClass summarise_class(double low_uS, double high_uS, const Devices& data,
                                 std::vector<double>& exponents_above) {
  ConductanceClass out;
  out.low_uS = low_uS;
  out.high_uS = high_uS;
  std::vector<std::size_t> members;
  for (std::size_t d = 0; d < data.targets_uS.size(); ++d) {
    const auto target = static_cast<double>(data.targets_uS[d]);
    if (target >= low_uS && target < high_uS) members.push_back(d);
  }
  out.devices = static_cast<std::int64_t>(members.size());
  if (members.empty()) return out;

  std::vector<double> exponents;
  double sum = 0, sum_of_squares = 0;
  for (const std::size_t d : members) {
    const auto target = static_cast<double>(data.targets_uS[d]);
    const double error = static_cast<double>(data.g_uS[0][d]) - target;
    sum += error;
    sum_of_squares += error * error;
    if (!data.exponents[d]) continue;
    const auto exponent = static_cast<double>(*data.exponents[d]);
    exponents.push_back(exponent);
    if (target >= kFitAbove_uS) exponents_above.push_back(exponent);
  }
  const auto count = static_cast<double>(members.size());
  out.error_mean_uS = sum / count;
  out.error_sigma_uS =
      std::sqrt(std::max(0.0, sum_of_squares / count - out.error_mean_uS * out.error_mean_uS));
  out.drift_exponent = median_of(std::move(exponents));
  std::vector<double> values;
  for (const auto& sweep : data.g_uS) {
    values.clear();
    for (const std::size_t d : members) values.push_back(static_cast<double>(sweep[d]));
    out.p10_uS.push_back(quantile(values, 0.1));
    out.median_uS.push_back(quantile(values, 0.5));
    out.p90_uS.push_back(quantile(values, 0.9));
  }
  return out;
}

/// The fillings as one programming.
db::ProgrammingRow sum_of(const std::vector<db::ProgrammingRow>& fillings) {
  db::ProgrammingRow sum = fillings.front();
  for (auto filling = fillings.begin() + 1; filling != fillings.end(); ++filling) {
    sum.iterations = std::max(sum.iterations, filling->iterations);
    sum.nonzero_targets += filling->nonzero_targets;
    sum.converged += filling->converged;
    sum.pulses += filling->pulses;
    sum.end_tick_ns = filling->end_tick_ns;
  }
  return sum;
}

void add_readings(const ProgrammedNetwork& network, RunSummary& summary) {
  for (const NetworkReading& reading : network.readings) {
    SweepFigures figures;
    figures.sweep = reading.sweeps.front();
    const double reference_uS = network.readings.front().sum_uS();
    if (reference_uS > 0) figures.sum_ratio = reading.sum_uS() / reference_uS;
    summary.sweeps.push_back(std::move(figures));
  }
}

Result<void> add_devices(db::RunStore& store, const ProgrammedNetwork& network,
                         RunSummary& summary) {
  Devices data;
  for (std::size_t filling = 0; filling < network.fillings.size(); ++filling) {
    PCM_TRY(add_filling(store, network, filling, summary, data));
  }
  if (network.readings.empty()) return {};
  std::vector<double> exponents, sigmas;
  for (std::size_t i = 0; i + 1 < kClassEdges_uS.size(); ++i) {
    summary.classes.push_back(
        summarise_class(kClassEdges_uS[i], kClassEdges_uS[i + 1], data, exponents));
    if (summary.classes.back().devices > 0) {
      sigmas.push_back(summary.classes.back().error_sigma_uS);
    }
  }
  summary.sigma_uS = median_of(std::move(sigmas));
  summary.drift_exponent = median_of(std::move(exponents));
  return {};
}

}  // namespace

std::string condition_of(const db::AccuracyRow& row) {
  std::string condition = row.compensation;
  if (row.input_bits > 0) condition += fmt::format(", {} bit in", row.input_bits);
  if (row.output_bits > 0) condition += fmt::format(", {} bit out", row.output_bits);
  return condition;
}

std::size_t place_of_condition(const std::string& condition) {
  const std::string_view id = std::string_view(condition).substr(0, condition.find(','));
  const auto* const found =
      std::find_if(kCompensations.begin(), kCompensations.end(),
                   [&](const NamedCompensation& compensation) { return compensation.id == id; });
  return static_cast<std::size_t>(found - kCompensations.begin());
}

void sort_conditions(std::vector<std::string>& conditions) {
  std::stable_sort(conditions.begin(), conditions.end(),
                   [](const std::string& a, const std::string& b) {
                     return place_of_condition(a) < place_of_condition(b);
                   });
}

std::string condition_name(const std::string& condition) {
  const std::size_t place = place_of_condition(condition);
  if (place == kCompensations.size()) return condition;
  std::string name(kCompensations[place].name);
  return name.append(condition, std::min(condition.find(','), condition.size()));
}

double percent_of(const db::AccuracyRow& row) {
  return 100.0 * static_cast<double>(row.correct) / static_cast<double>(row.images);
}

Result<RunSummary> summarise_run(db::RunStore& store, db::RowId run) {
  RunSummary summary;
  PCM_ASSIGN(summary.run, store.run(run));
  PCM_ASSIGN(summary.notes, store.notes(run));
  PCM_ASSIGN(summary.sessions, store.sessions(run));
  PCM_ASSIGN(summary.gaps, store.gaps(run));
  PCM_ASSIGN(const ProgrammedNetwork network, programmed_devices(store, run));
  add_readings(network, summary);
  PCM_ASSIGN(const auto accuracies, store.accuracies(run));
  add_accuracies(accuracies, summary);
  add_points(summary);
  if (network.fillings.empty()) {
    PCM_ASSIGN(const auto programmings, store.programmings(run));
    if (!programmings.empty()) summary.programming = programmings.back();
    return summary;
  }
  summary.fillings = static_cast<int>(network.fillings.size());
  summary.programming = sum_of(network.fillings);
  PCM_TRY(add_devices(store, network, summary));
  return summary;
}

}  // namespace pcmlab

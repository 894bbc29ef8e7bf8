// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/run_summary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "experiments/characterisation/statistics.h"
#include "experiments/retention/drift_fit.h"
#include "experiments/retention/measured_conductances.h"

namespace pcmlab {
namespace {

/// Around the levels at which the literature gives figures.
constexpr std::array<double, 7> kClassEdges_uS{0.25, 2.5, 7.5, 12.5, 17.5, 22.5, 25.01};
constexpr double kFitAbove_uS = 5.0;

std::optional<double> median_of(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  return median(std::move(values));
}

double percent(const db::AccuracyRow& row) {
  return 100.0 * static_cast<double>(row.correct) / static_cast<double>(row.images);
}

void add_accuracies(const std::vector<db::AccuracyRow>& rows, RunSummary& summary) {
  for (const db::AccuracyRow& row : rows) {
    if (row.images == 0) continue;
    if (!row.sweep) {
      summary.software_percent = percent(row);
      summary.precision = row.precision;
      continue;
    }
    const auto figures =
        std::find_if(summary.sweeps.begin(), summary.sweeps.end(),
                     [&](const SweepFigures& f) { return f.sweep.id == *row.sweep; });
    if (figures == summary.sweeps.end()) continue;
    if (row.compensation == "gdc") {
      figures->gdc_percent = percent(row);
      summary.gdc_reference = row.reference;
    } else if (row.compensation == "none") {
      figures->none_percent = percent(row);
    }
  }
}

/// The devices of a class over all sweeps.
struct ClassData {
  const std::vector<std::vector<float>>& g_uS;  ///< by sweep, by device
  const std::vector<double>& sweep_tick_s;
  const db::Placement& placement;
  const db::ProgrammingResult& result;
};

ConductanceClass summarise_class(double low_uS, double high_uS, const ClassData& data,
                                 std::vector<double>& exponents_above) {
  ConductanceClass out;
  out.low_uS = low_uS;
  out.high_uS = high_uS;
  std::vector<std::size_t> members;
  for (std::size_t d = 0; d < data.placement.targets_uS.size(); ++d) {
    const auto target = static_cast<double>(data.placement.targets_uS[d]);
    if (data.result.verdicts[d] == db::Verdict::Converged && target >= low_uS && target < high_uS) {
      members.push_back(d);
    }
  }
  out.devices = static_cast<std::int64_t>(members.size());
  if (members.empty()) return out;

  const std::size_t sweeps = data.g_uS.size();
  std::vector<double> exponents;
  std::vector<double> age_s(sweeps), g(sweeps);
  double sum = 0, sum_of_squares = 0;
  for (const std::size_t d : members) {
    const auto target = static_cast<double>(data.placement.targets_uS[d]);
    const double error = static_cast<double>(data.g_uS[0][d]) - target;
    sum += error;
    sum_of_squares += error * error;
    for (std::size_t s = 0; s < sweeps; ++s) {
      age_s[s] =
          data.sweep_tick_s[s] - 1e-9 * static_cast<double>(data.result.last_pulse_ticks_ns[d]);
      g[s] = static_cast<double>(data.g_uS[s][d]);
    }
    if (const auto fit = fit_drift(age_s, g)) {
      exponents.push_back(fit->exponent);
      if (target >= kFitAbove_uS) exponents_above.push_back(fit->exponent);
    }
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

Result<void> add_devices(db::RunStore& store, RunSummary& summary) {
  PCM_ASSIGN(const db::ProgrammingResult result, store.programming_result(summary.programming->id));
  summary.stuck_low =
      std::count(result.verdicts.begin(), result.verdicts.end(), db::Verdict::StuckLow);
  summary.stuck_high =
      std::count(result.verdicts.begin(), result.verdicts.end(), db::Verdict::StuckHigh);
  summary.max_iterations =
      std::count(result.verdicts.begin(), result.verdicts.end(), db::Verdict::MaxIterations);
  if (summary.sweeps.empty()) return {};
  PCM_ASSIGN(const db::Placement placement, store.placement(summary.programming->id));
  std::vector<std::vector<float>> g_uS;
  std::vector<double> sweep_tick_s;
  for (const SweepFigures& figures : summary.sweeps) {
    const db::SweepRow& sweep = figures.sweep;
    PCM_ASSIGN(const auto code_sums, store.sweep_code_sums(sweep.id));
    g_uS.push_back(
        conductances_uS(code_sums, {sweep.gain_uS_per_code, sweep.offset_uS}, sweep.samples));
    sweep_tick_s.push_back(
        0.5e-9 * static_cast<double>(sweep.stamp.first_tick_ns + sweep.stamp.last_tick_ns));
  }
  const ClassData data{g_uS, sweep_tick_s, placement, result};
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

Result<RunSummary> summarise_run(db::RunStore& store, db::RowId run) {
  RunSummary summary;
  PCM_ASSIGN(summary.run, store.run(run));
  PCM_ASSIGN(const auto programmings, store.programmings(run));
  PCM_ASSIGN(const auto sweeps, store.sweeps(run));
  for (const db::SweepRow& sweep : sweeps) {
    if (!sweep.complete) continue;
    SweepFigures figures;
    figures.sweep = sweep;
    if (!summary.sweeps.empty() && summary.sweeps.front().sweep.sum_uS > 0) {
      figures.sum_ratio = sweep.sum_uS / summary.sweeps.front().sweep.sum_uS;
    }
    summary.sweeps.push_back(figures);
  }
  PCM_ASSIGN(const auto accuracies, store.accuracies(run));
  add_accuracies(accuracies, summary);
  if (!programmings.empty()) {
    summary.programming = programmings.back();
    if (summary.programming->complete) PCM_TRY(add_devices(store, summary));
  }
  return summary;
}

}  // namespace pcmlab

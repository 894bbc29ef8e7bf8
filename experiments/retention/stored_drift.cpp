// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/stored_drift.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <thread>

#include "experiments/characterisation/statistics.h"
#include "experiments/retention/drift_fit.h"

namespace pcmlab {
namespace {

/// Of targets; around the levels at which the literature gives figures.
constexpr std::array<double, 8> kTargetEdges_uS{0, 0.25, 2.5, 7.5, 12.5, 17.5, 22.5, 25.01};
constexpr std::size_t kMostSweeps = 128;

/// The complete sweeps of the step, by time; of very many, those that are spread best.
std::vector<db::SweepRow> chosen_sweeps(std::vector<db::SweepRow> sweeps, db::RowId step,
                                        db::RowId programming) {
  std::erase_if(sweeps, [&](const db::SweepRow& sweep) {
    return !sweep.complete || sweep.step != step || sweep.programming != programming ||
           sweep.after_s <= 0;
  });
  std::sort(sweeps.begin(), sweeps.end(), [](const db::SweepRow& a, const db::SweepRow& b) {
    return a.stamp.first_tick_ns < b.stamp.first_tick_ns;
  });
  if (sweeps.size() <= kMostSweeps) return sweeps;
  const double first = std::log(sweeps.front().after_s);
  const double decades = std::log(sweeps.back().after_s) - first;
  std::vector<db::SweepRow> chosen;
  for (const db::SweepRow& sweep : sweeps) {
    const double place = (std::log(sweep.after_s) - first) / decades * (kMostSweeps - 1);
    if (place + 1e-9 >= static_cast<double>(chosen.size())) chosen.push_back(sweep);
  }
  return chosen;
}

/// \param largest_code  what a saturated converter gives.
Result<DriftReading> reading_of(db::RunStore& store, const db::SweepRow& sweep,
                                std::int64_t largest_code) {
  DriftReading reading;
  PCM_ASSIGN(reading.code_sums, store.sweep_code_sums(sweep.id));
  PCM_ASSIGN(const auto blocks, store.sweep_times(sweep.id));
  for (const db::SweepTimes& block : blocks) {
    reading.times.push_back(
        {block.first_device, block.device_count, block.first_tick_ns, block.last_tick_ns});
  }
  reading.calibration = {sweep.gain_uS_per_code, sweep.offset_uS};
  reading.samples = sweep.samples;
  reading.largest_sum = largest_code * sweep.samples;
  return reading;
}

std::vector<db::DriftByTarget> by_target(const db::DriftFits& fits,
                                         const std::vector<float>& targets_uS) {
  std::vector<db::DriftByTarget> all;
  std::vector<std::vector<double>> exponents(kTargetEdges_uS.size());
  for (std::size_t k = 0; k < kTargetEdges_uS.size(); ++k) {
    const bool last = k + 1 == kTargetEdges_uS.size();
    all.push_back({kTargetEdges_uS[k], last ? 1e9 : kTargetEdges_uS[k + 1]});
  }
  for (std::size_t d = 0; d < fits.classes.size(); ++d) {
    const auto target = static_cast<double>(targets_uS[d]);
    const auto edge = std::upper_bound(kTargetEdges_uS.begin() + 1, kTargetEdges_uS.end(), target);
    const auto k = static_cast<std::size_t>(edge - kTargetEdges_uS.begin()) - 1;
    db::DriftByTarget& group = all[k];
    ++group.devices;
    switch (fits.classes[d]) {
      case db::DriftClass::TooFewPoints:
        ++group.too_few_points;
        continue;
      case db::DriftClass::Stuck:
        ++group.stuck;
        continue;
      case db::DriftClass::Drifting:
        ++group.drifting;
        break;
      case db::DriftClass::Noisy:
        ++group.noisy;
        break;
      case db::DriftClass::Backwards:
        ++group.backwards;
        break;
    }
    exponents[k].push_back(static_cast<double>(fits.exponents[d]));
  }
  for (std::size_t k = 0; k < all.size(); ++k) {
    if (exponents[k].empty()) continue;
    all[k].exponent_p10 = quantile(exponents[k], 0.1);
    all[k].exponent_median = quantile(exponents[k], 0.5);
    all[k].exponent_p90 = quantile(exponents[k], 0.9);
  }
  std::erase_if(all, [](const db::DriftByTarget& group) { return group.devices == 0; });
  return all;
}

}  // namespace

Result<std::optional<FittedDrift>> fit_drift_of(db::RunStore& store, db::RowId run, db::RowId step,
                                                db::RowId programming) {
  PCM_ASSIGN(auto all_sweeps, store.sweeps(run));
  const auto sweeps = chosen_sweeps(std::move(all_sweeps), step, programming);
  if (sweeps.size() < kFewestDriftPoints) return std::nullopt;
  PCM_ASSIGN(const db::ProgrammingResult result, store.programming_result(programming));
  if (result.verdicts.empty()) return std::nullopt;
  const auto [first_pulse, last_pulse] =
      std::minmax_element(result.last_pulse_ticks_ns.begin(), result.last_pulse_ticks_ns.end());
  FittedDrift fitted;
  db::DriftFitRow& row = fitted.row;
  row.run = run;
  row.step = step;
  row.programming = programming;
  row.method = "power law by weighted log-log regression on the law's own logarithm";
  row.sweeps = static_cast<int>(sweeps.size());
  row.first_s = 1e-9 * static_cast<double>(sweeps.front().stamp.first_tick_ns - *last_pulse);
  row.last_s = 1e-9 * static_cast<double>(sweeps.back().stamp.last_tick_ns - *first_pulse);
  row.t0_s = kDriftTime0_s;
  if (row.last_s < kShortestDriftSpan * row.first_s) return std::nullopt;
  PCM_ASSIGN(const db::Placement placement, store.placement(programming));
  PCM_ASSIGN(const db::RunRow of_run, store.run(run));
  const std::int64_t largest_code = (std::int64_t{1} << of_run.adc_bits) - 1;
  std::vector<DriftReading> readings;
  for (const db::SweepRow& sweep : sweeps) {
    PCM_ASSIGN(DriftReading reading, reading_of(store, sweep, largest_code));
    readings.push_back(std::move(reading));
  }
  const std::size_t threads = std::max(1U, std::thread::hardware_concurrency());
  fitted.fits = fit_drifts(readings, result, threads);
  row.by_target = by_target(fitted.fits, placement.targets_uS);
  row.devices = static_cast<std::int64_t>(fitted.fits.classes.size());
  return fitted;
}

Result<std::optional<db::DriftFitRow>> store_drift_fits(db::RunStore& store, db::RowId run,
                                                        db::RowId step, db::RowId programming) {
  PCM_ASSIGN(auto fitted, fit_drift_of(store, run, step, programming));
  if (!fitted) return std::nullopt;
  PCM_ASSIGN(fitted->row.id, store.add_drift_fit(fitted->row, fitted->fits));
  return std::move(fitted->row);
}

}  // namespace pcmlab

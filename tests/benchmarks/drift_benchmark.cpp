// SPDX-License-Identifier: Apache-2.0
// Drift exponents of all devices of the paper's network from 20 sweeps. compare_drift_with_numpy
// sets numpy's unweighted regression on logarithms beside it.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "experiments/retention/drift_fit.h"

namespace pcmlab {
namespace {

constexpr std::size_t kDevices = 723'444;
constexpr int kSweeps = 20;

std::vector<DriftReading> make_readings() {
  std::mt19937 random(1);
  std::vector<float> start_uS(kDevices);
  for (float& g : start_uS) g = static_cast<float>(random() % 25000) * 1e-3F;
  std::vector<DriftReading> readings;
  for (int s = 0; s < kSweeps; ++s) {
    const double age_s = 25 * std::pow(3456.0, s / (kSweeps - 1.0));
    const auto drifted = static_cast<float>(std::pow(age_s / kDriftTime0_s, -0.05) / 0.2 * 5);
    DriftReading reading;
    for (const float g : start_uS) {
      const auto noise = static_cast<float>(random() % 100) * 0.001F - 0.05F;
      reading.code_sums.push_back(static_cast<std::uint16_t>(g * drifted * (1 + noise)));
    }
    reading.calibration = {0.2, 0};
    reading.samples = 5;
    reading.largest_sum = 255 * 5;
    const auto tick_ns = static_cast<std::int64_t>(1e9 * age_s);
    reading.times = {{0, std::int64_t{kDevices}, tick_ns, tick_ns + 4'000'000'000}};
    readings.push_back(std::move(reading));
  }
  return readings;
}

void fit_all_devices(benchmark::State& state) {
  const auto readings = make_readings();
  db::ProgrammingResult result;
  result.verdicts.assign(kDevices, db::Verdict::Converged);
  result.last_pulse_ticks_ns.assign(kDevices, 0);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        fit_drifts(readings, result, static_cast<std::size_t>(state.range(0))));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kDevices) * kSweeps);
}
BENCHMARK(fit_all_devices)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace pcmlab

BENCHMARK_MAIN();

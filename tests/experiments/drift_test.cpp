// SPDX-License-Identifier: Apache-2.0
// Drift fits of whole chips: bias at low conductance, honest errors, classes, what is stored.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "experiments/characterisation/statistics.h"
#include "experiments/engine/engine.h"
#include "experiments/retention/drift_fit.h"
#include "experiments/retention/stored_drift.h"
#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

constexpr double kSecond_ns = 1e9;

std::vector<double> day_of(std::size_t points) {
  std::vector<double> ages_s;
  for (std::size_t i = 0; i < points; ++i) {
    ages_s.push_back(25 *
                     std::pow(3456.0, static_cast<double>(i) / static_cast<double>(points - 1)));
  }
  return ages_s;
}

/// A chip whose codes a test sets: readings of `devices` devices at these times.
struct Chip {
  Chip(std::size_t devices, const std::vector<double>& times_s) {
    result.verdicts.assign(devices, db::Verdict::Converged);
    result.last_pulse_ticks_ns.assign(devices, 0);
    for (const double time_s : times_s) {
      DriftReading reading;
      reading.code_sums.assign(devices, 0);
      reading.calibration = {0.1, 0};
      reading.samples = 5;
      reading.largest_sum = 255 * 5;
      const auto tick_ns = static_cast<std::int64_t>(time_s * kSecond_ns);
      reading.times = {{0, static_cast<std::int64_t>(devices), tick_ns, tick_ns}};
      readings.push_back(std::move(reading));
    }
  }

  /// Codes of a conductance, rounded as the converter rounds.
  void set(std::size_t reading, std::size_t device, double g_uS) {
    const double sum = std::round(g_uS / 0.1 * 5);
    readings[reading].code_sums[device] =
        static_cast<std::uint16_t>(std::clamp(sum, 0.0, 255.0 * 5));
  }

  std::vector<DriftReading> readings;
  db::ProgrammingResult result;
};

TEST(DriftFits, AreNotBiasedByNoiseAtLowConductance) {
  // Each reading strays by 30 %: logarithms of such readings lie 5 % low, and lower the smaller
  // they are.
  constexpr std::size_t kDevices = 20000;
  const auto ages_s = day_of(12);
  Chip chip(kDevices, ages_s);
  std::mt19937 random(3);
  std::normal_distribution<double> noise(0, 0.3);
  for (std::size_t s = 0; s < ages_s.size(); ++s) {
    for (std::size_t d = 0; d < kDevices; ++d) {
      chip.set(s, d, 1.5 * std::pow(ages_s[s] / 20, -0.08) * (1 + noise(random)));
    }
  }
  const db::DriftFits fits = fit_drifts(chip.readings, chip.result, 2);
  const std::vector<double> exponents(fits.exponents.begin(), fits.exponents.end());
  const std::vector<double> g_uS(fits.g_t0_uS.begin(), fits.g_t0_uS.end());
  // The mean of 20,000 exponents is known to 0.0003.
  EXPECT_NEAR(moments(exponents).mean, 0.08, 0.002);
  EXPECT_NEAR(moments(g_uS).mean, 1.5, 0.05);
}

TEST(DriftFits, AreTheSameOnAnyNumberOfThreads) {
  constexpr std::size_t kDevices = 5001;
  const auto ages_s = day_of(8);
  Chip chip(kDevices, ages_s);
  std::mt19937 random(4);
  for (auto& reading : chip.readings) {
    for (auto& sum : reading.code_sums) sum = static_cast<std::uint16_t>(400 + random() % 50);
  }
  const db::DriftFits one = fit_drifts(chip.readings, chip.result, 1);
  const db::DriftFits three = fit_drifts(chip.readings, chip.result, 3);
  EXPECT_EQ(one.exponents, three.exponents);
  EXPECT_EQ(one.exponent_errors, three.exponent_errors);
  EXPECT_EQ(one.classes, three.classes);
}

TEST(DriftFits, NameWhatADeviceDoes) {
  const auto ages_s = day_of(10);
  Chip chip(7, ages_s);
  std::mt19937 random(5);
  std::normal_distribution<double> noise(0, 0.01);
  enum Device { Drifting, Backwards, AlwaysSame, NoAnswer, Wild, Nothing, ResetNothing };
  for (std::size_t s = 0; s < ages_s.size(); ++s) {
    const double age = ages_s[s] / 20;
    chip.set(s, Drifting, 12 * std::pow(age, -0.05) * (1 + noise(random)));
    chip.set(s, Backwards, 12 * std::pow(age, 0.05) * (1 + noise(random)));
    chip.set(s, AlwaysSame, 12);
    chip.set(s, NoAnswer, 12 * std::pow(age, -0.05) * (1 + noise(random)));
    chip.set(s, Wild, 5 * (1 + 70 * noise(random)));
    chip.set(s, Nothing, s == 3 ? 0.1 : 0);
    chip.set(s, ResetNothing, 0);
  }
  chip.result.verdicts[NoAnswer] = db::Verdict::StuckHigh;
  chip.result.verdicts[ResetNothing] = db::Verdict::Reset;
  const db::DriftFits fits = fit_drifts(chip.readings, chip.result, 1);
  EXPECT_EQ(fits.classes[Drifting], db::DriftClass::Drifting);
  EXPECT_NEAR(fits.exponents[Drifting], 0.05, 0.01);
  EXPECT_EQ(fits.classes[Backwards], db::DriftClass::Backwards);
  EXPECT_NEAR(fits.exponents[Backwards], -0.05, 0.01);
  EXPECT_EQ(fits.classes[AlwaysSame], db::DriftClass::Stuck);
  EXPECT_TRUE(std::isnan(fits.exponents[AlwaysSame]));
  EXPECT_EQ(fits.classes[NoAnswer], db::DriftClass::Stuck);
  EXPECT_EQ(fits.classes[Wild], db::DriftClass::Noisy);
  EXPECT_EQ(fits.classes[Nothing], db::DriftClass::TooFewPoints);
  EXPECT_EQ(fits.classes[ResetNothing], db::DriftClass::TooFewPoints);
}

TEST(DriftFits, CountFromEachDevicesOwnLastPulse) {
  const auto ages_s = day_of(10);
  Chip chip(2, ages_s);
  // Device 1 had its last pulse 500 s before device 0; the board reads one after the other.
  chip.result.last_pulse_ticks_ns = {0, static_cast<std::int64_t>(-500 * kSecond_ns)};
  for (std::size_t s = 0; s < ages_s.size(); ++s) {
    auto& times = chip.readings[s].times.front();
    times.last_tick_ns += static_cast<std::int64_t>(2 * kSecond_ns);
    chip.set(s, 0, 25 * std::pow(ages_s[s] / 20, -0.05));
    chip.set(s, 1, 25 * std::pow((ages_s[s] + 502) / 20, -0.05));
  }
  const db::DriftFits fits = fit_drifts(chip.readings, chip.result, 1);
  EXPECT_NEAR(fits.exponents[0], 0.05, 2e-3);
  EXPECT_NEAR(fits.exponents[1], 0.05, 2e-3);
  EXPECT_NEAR(fits.g_t0_uS[1], 25, 0.3);
}

TEST(NoiseInflation, IsOneOfFewReadingsAndMoreOfManyWithinADecade) {
  EXPECT_EQ(noise_inflation(std::vector<double>{1, 100}), 1);
  EXPECT_GT(noise_inflation(day_of(20)), 1.3);
  EXPECT_LT(noise_inflation(day_of(20)), 3);
}

/// A run of `plan` on a chip whose devices all drift by the same exponent; noise is as published.
struct SameDrift {
  explicit SameDrift(const std::string& plan) : bench(parameters(), {}, {64, 128}) {
    RecordingObserver observer;
    const RunInputs inputs = small_inputs();
    result = run_plan(parse_plan(plan, "test.toml", plan_schema({})).value(), inputs, *bench.board,
                      store, observer, {"1.0", "abc", "the test's mock"}, {});
  }
  static mock::PcmParameters parameters() {
    mock::PcmParameters same = TestBench::good_devices();
    same.drift_mean_min = same.drift_mean_max = 0.06;
    same.drift_spread_min = same.drift_spread_max = 0;
    return same;
  }

  TestBench bench;
  db::RunStore store = db::RunStore::open(":memory:").value();
  RunResult result;
};

TEST(StoredDrift, RecoversTheExponentOfTheMockWithinItsStandardError) {
  SameDrift session(
      "[[step]]\nexperiment = \"screen\"\nlevel_uS = 15\n"
      "[[step]]\nexperiment = \"retention\"\npoints = 12\n");
  ASSERT_TRUE(session.result.outcome) << session.result.outcome.error().message;
  const auto stored = session.store.drift_fits(session.result.run).value();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].sweeps, 12);
  EXPECT_EQ(stored[0].devices, 64 * 128);
  EXPECT_GE(stored[0].first_s, 25);
  EXPECT_NEAR(stored[0].last_s, 86400, 100);
  const db::DriftFits fits = session.store.drift_of_devices(stored[0].id).value();
  std::vector<double> exponents;
  int within_one = 0;
  for (std::size_t d = 0; d < fits.classes.size(); ++d) {
    if (fits.classes[d] != db::DriftClass::Drifting) continue;
    exponents.push_back(static_cast<double>(fits.exponents[d]));
    within_one += std::abs(fits.exponents[d] - 0.06F) < fits.exponent_errors[d] ? 1 : 0;
  }
  ASSERT_GT(exponents.size(), 8000U);
  EXPECT_NEAR(moments(exponents).mean, 0.06, 0.001);
  EXPECT_NEAR(within_one / static_cast<double>(exponents.size()), 0.67, 0.06);
  ASSERT_EQ(stored[0].by_target.size(), 1U);
  EXPECT_EQ(stored[0].by_target[0].low_uS, 12.5);
  EXPECT_EQ(stored[0].by_target[0].drifting, static_cast<std::int64_t>(exponents.size()));
  EXPECT_NEAR(stored[0].by_target[0].exponent_median.value(), 0.06, 0.001);
}

TEST(StoredDrift, IsNotMadeOfTooFewSweepsOrTooShortATime) {
  for (const char* const retention : {"points = 5\n", "points = 8\nlast_s = 1000\n"}) {
    SameDrift session(std::string("[[step]]\nexperiment = \"screen\"\n"
                                  "[[step]]\nexperiment = \"retention\"\n") +
                      retention);
    ASSERT_TRUE(session.result.outcome);
    EXPECT_TRUE(session.store.drift_fits(session.result.run).value().empty());
  }
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "experiments/characterisation/level.h"
#include "experiments/characterisation/noise.h"
#include "experiments/characterisation/published.h"
#include "experiments/characterisation/pulse_response.h"
#include "experiments/characterisation/statistics.h"
#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

ProgramSettings paper_loop(double verify_delay_s) {
  ProgramSettings settings = program_settings(ParameterValues(program_parameters()));
  settings.aim_age = Duration(0);
  settings.verify_delay = from_seconds(verify_delay_s);
  return settings;
}

TEST(Statistics, MomentsQuantilesAndLinesOfKnownValues) {
  const std::vector<double> values{2, 4, 4, 4, 5, 5, 7, 9};
  EXPECT_DOUBLE_EQ(moments(values).mean, 5);
  EXPECT_NEAR(moments(values).deviation, std::sqrt(32.0 / 7), 1e-12);
  EXPECT_EQ(moments({}).mean, 0);
  EXPECT_EQ(moments(std::vector<double>{3}).deviation, 0);
  EXPECT_DOUBLE_EQ(median({9, 1, 5}), 5);
  EXPECT_DOUBLE_EQ(midmean({-1000, 1, 2, 3, 4, 5, 6, 1000}), 3.5);

  const Line line = fit_line(std::vector<double>{0, 1, 2, 3}, std::vector<double>{1, 3, 5, 7});
  EXPECT_NEAR(line.slope, 2, 1e-12);
  EXPECT_NEAR(line.intercept, 1, 1e-12);
  EXPECT_NEAR(line.slope_error, 0, 1e-9);
  // Draper and Smith's textbook formula: residual deviation over the spread of x.
  const Line rough = fit_line(std::vector<double>{0, 1, 2, 3}, std::vector<double>{0, 2, 1, 3});
  EXPECT_NEAR(rough.slope, 0.8, 1e-12);
  EXPECT_NEAR(rough.slope_error, std::sqrt(1.8 / 2 / 5), 1e-12);
}

/// The density of white noise is 2 sigma^2 dt, its sum over all frequencies sigma^2.
TEST(NoiseSpectrum, TheDensityOfWhiteNoiseIsFlatAndHoldsItsPower) {
  constexpr std::size_t kLength = 1 << 16;
  constexpr double kStep_s = 0.5, kSigma = 3;
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal(0, kSigma);
  std::vector<double> record(kLength);
  for (double& value : record) value = 100 + normal(random);
  const std::vector<double> density = power_density(record, kStep_s);
  ASSERT_EQ(density.size(), kLength / 2 - 1);
  const double flat = moments(density).mean;
  EXPECT_NEAR(flat, 2 * kSigma * kSigma * kStep_s, 0.02 * flat);
  const std::span all(density);
  EXPECT_NEAR(moments(all.first(1000)).mean, moments(all.last(1000)).mean, 0.15 * flat);
}

TEST(NoiseSpectrum, ATonesPowerStandsAtItsFrequency) {
  constexpr std::size_t kLength = 4096;
  std::vector<double> record(kLength);
  for (std::size_t i = 0; i < kLength; ++i) {
    record[i] = 2 * std::sin(2 * std::numbers::pi * 300 * static_cast<double>(i) / kLength);
  }
  const std::vector<double> density = power_density(record, 1);
  const auto peak = std::max_element(density.begin(), density.end()) - density.begin();
  EXPECT_EQ(peak + 1, 300);
  double power = 0;
  for (const double value : density) power += value / kLength;
  EXPECT_NEAR(power, 2, 1e-6);
}

TEST(NoiseSpectrum, TheFitFindsTheExponentOfAPowerLaw) {
  for (const double beta : {0.8, 1.0, 1.21, 1.6}) {
    Spectrum spectrum;
    for (int k = 1; k < 8192; ++k) {
      spectrum.frequency_Hz.push_back(k / 16384.0);
      spectrum.density_per_Hz.push_back(5e-4 * std::pow(k / 16384.0, -beta));
    }
    EXPECT_NEAR(fit_spectrum(spectrum).slope, beta, 0.02);
  }
}

TEST(NoiseSpectrum, RefusesReadsThatTakeLongerThanTheTimeBetween) {
  TestBench bench;
  CharacterisationBench characterisation = CharacterisationBench::open(*bench.board).value();
  const auto devices = characterisation.devices(1000).value();
  const auto spectrum = noise_spectrum(characterisation, devices, std::chrono::milliseconds(1), 64);
  ASSERT_FALSE(spectrum);
  EXPECT_EQ(spectrum.error().code, ErrorCode::Unsupported);
}

TEST(CharacterisationBench, RefusesMoreDevicesThanTheArrayHas) {
  TestBench bench;
  CharacterisationBench characterisation = CharacterisationBench::open(*bench.board).value();
  EXPECT_EQ(characterisation.devices(32 * 128).value().size(), 4096u);
  const auto too_many = characterisation.devices(4097);
  ASSERT_FALSE(too_many);
  EXPECT_EQ(too_many.error().code, ErrorCode::DoesNotFit);
}

TEST(Level, EveryConvergedDeviceIsReadAtItsOwnAge) {
  TestBench bench;
  CharacterisationBench characterisation = CharacterisationBench::open(*bench.board).value();
  const auto devices = characterisation.devices(1500).value();
  const LevelSettings settings{paper_loop(9.12), {27.36, 1000, 86400}};
  const Level level =
      measure_level(characterisation, devices, Conductance::from_uS(12.5), settings).value();
  EXPECT_GT(level.converged.size(), 1450u);
  ASSERT_EQ(level.reads.size(), 3u);
  for (std::size_t age = 0; age < 3; ++age) {
    const AgedReads& reads = level.reads[age];
    ASSERT_EQ(reads.g_uS.size(), level.converged.size());
    EXPECT_EQ(reads.wanted_age_s, settings.ages_s[age]);
    // Late by a pass of the loop at most, and never early.
    EXPECT_GE(*std::min_element(reads.age_s.begin(), reads.age_s.end()), settings.ages_s[age]);
    EXPECT_LE(*std::max_element(reads.age_s.begin(), reads.age_s.end()), settings.ages_s[age] + 10);
  }
  EXPECT_NEAR(moments(level.reads[0].age_s).mean, 27.4, 0.1);
  EXPECT_NEAR(midmean(level.reads[0].g_uS), 12, 0.3);
  EXPECT_NEAR(midmean(level.reads[2].g_uS) / midmean(level.reads[0].g_uS),
              std::pow(86400 / 27.36, -0.049), 0.02);
}

TEST(Level, ADeviceThatDoesNotConvergeIsNotAmongThoseRead) {
  mock::PcmParameters parameters = TestBench::good_devices();
  parameters.stuck_low_fraction = 0.3;
  TestBench bench(parameters);
  CharacterisationBench characterisation = CharacterisationBench::open(*bench.board).value();
  const auto devices = characterisation.devices(1000).value();
  const Level level =
      measure_level(characterisation, devices, Conductance::from_uS(10), {paper_loop(10), {30}})
          .value();
  EXPECT_EQ(level.devices, 1000u);
  EXPECT_NEAR(static_cast<double>(level.converged.size()), 700, 50);
  EXPECT_GT(*std::min_element(level.reads[0].g_uS.begin(), level.reads[0].g_uS.end()), 5);
}

TEST(PulseResponse, LeavesOutDevicesThatAnswerNoPulse) {
  mock::PcmParameters parameters = TestBench::good_devices();
  parameters.stuck_low_fraction = 0.1;
  parameters.stuck_high_fraction = 0.1;
  TestBench bench(parameters);
  CharacterisationBench characterisation = CharacterisationBench::open(*bench.board).value();
  const auto devices = characterisation.devices(2000).value();
  std::vector<Pulse> staircase{{Current::from_uA(450), Duration(50)}};
  for (const double amplitude_uA : {160, 140, 120, 100, 80, 60}) {
    staircase.push_back({Current::from_uA(amplitude_uA), Duration(1000)});
  }
  const auto working =
      working_devices(characterisation, devices, staircase, Conductance::from_uS(25)).value();
  EXPECT_NEAR(static_cast<double>(working.size()), 1600, 60);
  const Pulse partial_set{Current::from_uA(90), Duration(50)};
  const auto curve = accumulation_curve(characterisation, working, partial_set, 5).value();
  ASSERT_EQ(curve.size(), 5u);
  for (std::size_t i = 1; i < curve.size(); ++i) EXPECT_GT(curve[i].mean, curve[i - 1].mean);
  const std::vector<double> amplitudes_uA{60, 160, 260, 450};
  const auto programming =
      programming_curve(characterisation, working, amplitudes_uA, Duration(1000)).value();
  EXPECT_LT(programming[0].mean, programming[1].mean);
  EXPECT_GT(programming[1].mean, programming[2].mean);
  EXPECT_LT(programming[3].mean, 0.5);
}

/// The tables of the literature, as computed from its formulas.
TEST(Published, GivesTheFiguresOfTheLiterature) {
  const PublishedChip* chip = find_published("joshi-2020");
  ASSERT_NE(chip, nullptr);
  EXPECT_EQ(find_published("nobody's"), nullptr);
  const struct {
    double g_uS, drift_mean, drift_spread, noise;
  } rows[] = {{0.5, 0.0850, 0.0430, 0.1119},
              {2.5, 0.0601, 0.0229, 0.0393},
              {5, 0.0493, 0.0142, 0.0251},
              {10, 0.0490, 0.0080, 0.0160},
              {25, 0.0490, 0.0080, 0.0088}};
  for (const auto& row : rows) {
    EXPECT_NEAR(chip->drift_mean(row.g_uS), row.drift_mean, 6e-5);
    EXPECT_NEAR(chip->drift_spread(row.g_uS), row.drift_spread, 6e-5);
    EXPECT_NEAR(chip->noise(row.g_uS), row.noise, 6e-5);
  }
  const struct {
    double age_s, ratio;
  } retention[] = {
      {1000, 0.825}, {3600, 0.775}, {86400, 0.664}, {30 * 86400.0, 0.562}, {365 * 86400.0, 0.497}};
  for (const auto& row : retention) {
    EXPECT_NEAR(chip->retention(12.5, row.age_s), row.ratio, 1e-3);
  }
  EXPECT_NEAR(chip->spread_uS(25), 1.065, 1e-3);
}

}  // namespace
}  // namespace pcmlab

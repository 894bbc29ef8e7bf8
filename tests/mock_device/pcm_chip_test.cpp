// SPDX-License-Identifier: Apache-2.0
#include "mock_device/pcm_chip.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace pcmlab::mock {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::nanoseconds;

constexpr ArrayShape kShape{64, 256};
constexpr Voltage kReadVoltage = Voltage::from_mV(200);

/// Every device good unless a test asks for faults, so that statistics are about the model.
PcmParameters good_devices() {
  PcmParameters parameters;
  parameters.stuck_low_fraction = 0;
  parameters.stuck_high_fraction = 0;
  parameters.limited_range_fraction = 0;
  return parameters;
}

std::vector<DeviceAddress> first_devices(std::size_t count) {
  std::vector<DeviceAddress> addresses;
  for (std::size_t i = 0; i < count; ++i) addresses.push_back(kShape.at(i));
  return addresses;
}

wire::Pulse pulse(double amplitude_uA, int width_ns) {
  return {Current::from_uA(amplitude_uA), nanoseconds(width_ns)};
}

const std::vector<wire::Pulse>& reset() {
  static const std::vector<wire::Pulse> kReset{pulse(450, 50)};
  return kReset;
}
const std::vector<wire::Pulse>& staircase() {
  static const std::vector<wire::Pulse> kStaircase{
      pulse(450, 50),   pulse(160, 1000), pulse(140, 1000), pulse(120, 1000),
      pulse(100, 1000), pulse(80, 1000),  pulse(60, 1000)};
  return kStaircase;
}

/// A chip with a clock of its own that only goes forward.
class Bench {
 public:
  explicit Bench(const PcmParameters& parameters, std::size_t devices = 4096, unsigned threads = 1,
                 std::uint64_t seed = 5)
      : chip(parameters, kShape, seed, threads), addresses(first_devices(devices)) {}

  std::vector<double> read_uS(std::uint8_t samples = 5) {
    std::vector<std::uint16_t> sums(addresses.size());
    chip.read(addresses, samples, kReadVoltage, now, sums);
    now += chip.read_time(samples) * static_cast<std::int64_t>(addresses.size());
    std::vector<double> g_uS;
    g_uS.reserve(sums.size());
    for (const std::uint16_t sum : sums) {
      g_uS.push_back(chip.parameters().adc_step_uS * sum / samples);
    }
    return g_uS;
  }
  void initialise(const std::vector<wire::Pulse>& sequence) {
    chip.initialise(addresses, sequence, now);
    now += std::chrono::seconds(1);
  }
  void program(double amplitude_uA, int width_ns) {
    const std::vector<std::uint16_t> amplitudes(
        addresses.size(), static_cast<std::uint16_t>(std::lround(amplitude_uA * 100)));
    chip.program(addresses, amplitudes, nanoseconds(width_ns), now);
    now += std::chrono::seconds(1);
  }

  PcmChip chip;
  std::vector<DeviceAddress> addresses;
  BoardTime now{std::chrono::seconds(1)};
};

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}
double spread(const std::vector<double>& values) {
  const double m = mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - m) * (v - m);
  return std::sqrt(sum / static_cast<double>(values.size()));
}
double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double mean_a = mean(a), mean_b = mean(b);
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - mean_a) * (b[i] - mean_b);
  return sum / static_cast<double>(a.size()) / spread(a) / spread(b);
}

TEST(PcmChip, ResetBringsDevicesToAlmostNothing) {
  Bench bench(good_devices());
  bench.initialise(reset());
  EXPECT_LT(mean(bench.read_uS()), 0.2);
}

TEST(PcmChip, StaircaseBringsDevicesToHighConductance) {
  Bench bench(good_devices());
  bench.initialise(staircase());
  const std::vector<double> g_uS = bench.read_uS();
  EXPECT_GT(mean(g_uS), 20);
  EXPECT_GT(*std::min_element(g_uS.begin(), g_uS.end()), 10);
}

TEST(PcmChip, HigherAmplitudeMeltsMoreAboveTheOnset) {
  Bench bench(good_devices());
  double before_uS = 100;
  for (const double amplitude_uA : {180.0, 220.0, 260.0, 300.0, 340.0, 400.0}) {
    bench.initialise(staircase());
    bench.program(amplitude_uA, 400);
    const double g_uS = mean(bench.read_uS());
    EXPECT_LT(g_uS, before_uS) << amplitude_uA;
    before_uS = g_uS;
  }
  EXPECT_LT(before_uS, 0.5);
}

TEST(PcmChip, PulsesBelowTheMeltOnsetCrystalliseStepByStep) {
  Bench bench(good_devices());
  bench.initialise(reset());
  double before_uS = mean(bench.read_uS());
  for (int i = 0; i < 5; ++i) {
    bench.program(90, 50);
    const double g_uS = mean(bench.read_uS());
    EXPECT_GT(g_uS, before_uS) << i;
    before_uS = g_uS;
  }
}

/// science: Nandakumar 2018, mean after one pulse 2.05 uS and after ten 7.84 uS, on a device
/// without drift and read noise.
TEST(PcmChip, AccumulationOfShortSetPulsesFollowsThePublishedFit) {
  PcmParameters parameters = good_devices();
  parameters.drift_mean_min = parameters.drift_mean_max = 0;
  parameters.drift_spread_min = parameters.drift_spread_max = 0;
  parameters.noise_max = 0;
  parameters.set_mean_floor_uS = 0;
  Bench bench(parameters, 16384);
  bench.initialise(reset());
  bench.program(90, 50);
  EXPECT_NEAR(mean(bench.read_uS()), 2.05, 0.25);
  for (int i = 1; i < 10; ++i) bench.program(90, 50);
  EXPECT_NEAR(mean(bench.read_uS()), 7.84, 0.4);
}

TEST(PcmChip, ConductanceDriftsWithThePublishedMeanExponent) {
  Bench bench(good_devices(), 16384);
  bench.initialise(staircase());
  bench.program(260, 400);
  const BoardTime programmed = bench.now - std::chrono::seconds(1);
  bench.now = programmed + std::chrono::seconds(20);
  const double early_uS = mean(bench.read_uS());
  bench.now = programmed + hours(24);
  const double late_uS = mean(bench.read_uS());
  const double exponent = -std::log(late_uS / early_uS) / std::log(86400.0 / 20.0);
  EXPECT_NEAR(exponent, 0.049, 0.003);
}

TEST(PcmChip, DriftFollowsAbsoluteTimeAndNotTheNumberOfReads) {
  Bench often(good_devices(), 8192), seldom(good_devices(), 8192);
  for (Bench* bench : {&often, &seldom}) bench->initialise(staircase());
  for (int i = 0; i < 50; ++i) often.read_uS();
  const BoardTime later = BoardTime(hours(5));
  often.now = seldom.now = later;
  EXPECT_NEAR(mean(often.read_uS()) / mean(seldom.read_uS()), 1, 0.003);
}

TEST(PcmChip, APulseRestartsTheDrift) {
  Bench bench(good_devices(), 8192);
  bench.initialise(staircase());
  bench.program(260, 400);
  bench.now += std::chrono::seconds(9);
  const double fresh_uS = mean(bench.read_uS());
  bench.now += hours(24);
  EXPECT_LT(mean(bench.read_uS()), 0.8 * fresh_uS);
  bench.program(260, 400);
  bench.now += std::chrono::seconds(9);
  EXPECT_NEAR(mean(bench.read_uS()), fresh_uS, 0.03 * fresh_uS);
}

TEST(PcmChip, ReadsAMicrosecondApartAgreeAndReadsADayApartDoNot) {
  PcmParameters parameters = good_devices();
  parameters.set_conductance_spread = 0;
  parameters.melt_current_spread = 0;
  parameters.melt_cycle_spread = 0;
  parameters.melt_state_noise = 0;
  parameters.drift_spread_min = parameters.drift_spread_max = 0;  // what differs is the noise
  parameters.adc_step_uS = 0.25;
  Bench bench(parameters, 16384);
  bench.initialise(staircase());
  bench.program(260, 400);
  bench.now += hours(1);
  const BoardTime then = bench.now;
  const std::vector<double> first = bench.read_uS(1);
  // The same devices again, each one microsecond after its first read.
  bench.now = then + microseconds(1);
  const std::vector<double> at_once = bench.read_uS(1);
  bench.now = then + hours(24);
  const std::vector<double> next_day = bench.read_uS(1);
  EXPECT_GT(correlation(first, at_once), 0.97);
  EXPECT_LT(correlation(first, next_day), 0.8);
}

TEST(PcmChip, SamplesOfABurstShareTheSlowNoise) {
  PcmParameters parameters = good_devices();
  Bench bench(parameters, 8192);
  bench.initialise(staircase());
  bench.program(260, 400);
  bench.now += std::chrono::seconds(20);
  const double one = spread(bench.read_uS(1));
  bench.now += std::chrono::seconds(20);
  const double many = spread(bench.read_uS(100));
  EXPECT_GT(many, 0.85 * one) << "averaging must not remove noise slower than the burst";
}

TEST(PcmChip, CodesSaturateAtBothEnds) {
  PcmParameters parameters = good_devices();
  parameters.adc_step_uS = 0.01;
  Bench bench(parameters, 64);
  bench.initialise(staircase());
  std::vector<std::uint16_t> sums(64);
  bench.chip.read(bench.addresses, 3, kReadVoltage, bench.now, sums);
  EXPECT_TRUE(std::all_of(sums.begin(), sums.end(), [](auto sum) { return sum == 3 * 255; }));
  parameters.adc_step_uS = 10;
  parameters.adc_noise_lsb = parameters.bit_line_offset_lsb = 0;
  Bench coarse(parameters, 64);
  coarse.initialise(reset());
  coarse.chip.read(coarse.addresses, 3, kReadVoltage, coarse.now, sums);
  EXPECT_TRUE(std::all_of(sums.begin(), sums.end(), [](auto sum) { return sum == 0; }));
}

TEST(PcmChip, ZeroAmplitudeLeavesADeviceAlone) {
  Bench pulsed(good_devices(), 512), control(good_devices(), 512);
  for (Bench* bench : {&pulsed, &control}) bench->initialise(staircase());
  std::vector<std::uint16_t> amplitudes(512, 0);
  amplitudes[100] = 30000;
  pulsed.chip.program(pulsed.addresses, amplitudes, nanoseconds(400), pulsed.now);
  pulsed.now = control.now = BoardTime(std::chrono::minutes(1));
  const auto a = pulsed.read_uS(), b = control.read_uS();
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (i == 100) {
      EXPECT_NE(a[i], b[i]);
    } else {
      EXPECT_EQ(a[i], b[i]) << i;
    }
  }
  EXPECT_EQ(pulsed.chip.pulses_of(pulsed.addresses[100]), staircase().size() + 1);
  EXPECT_EQ(pulsed.chip.pulses_of(pulsed.addresses[101]), staircase().size());
}

TEST(PcmChip, AnswersDoNotDependOnTheNumberOfThreads) {
  std::vector<std::vector<double>> answers;
  for (const unsigned threads : {1u, 2u, 5u}) {
    Bench bench(PcmParameters{}, 10007, threads);
    bench.initialise(staircase());
    bench.program(250, 400);
    answers.push_back(bench.read_uS());
  }
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_EQ(answers[0], answers[2]);
}

TEST(PcmChip, AnswersDoNotDependOnHowAListIsCut) {
  Bench whole(PcmParameters{}, 1000), cut(PcmParameters{}, 1000);
  for (Bench* bench : {&whole, &cut}) bench->initialise(staircase());
  std::vector<std::uint16_t> at_once(1000), in_pieces(1000);
  whole.chip.read(whole.addresses, 5, kReadVoltage, whole.now, at_once);
  const std::span addresses(cut.addresses);
  for (std::size_t begin = 0; begin < 1000; begin += 37) {
    const std::size_t count = std::min<std::size_t>(37, 1000 - begin);
    cut.chip.read(addresses.subspan(begin, count), 5, kReadVoltage,
                  cut.now + cut.chip.read_time(5) * static_cast<std::int64_t>(begin),
                  std::span(in_pieces).subspan(begin, count));
  }
  EXPECT_EQ(at_once, in_pieces);
}

TEST(PcmChip, ADeviceNamedTwiceIsServedTwiceInOrder) {
  Bench listed(PcmParameters{}, 1), separate(PcmParameters{}, 1);
  for (Bench* bench : {&listed, &separate}) bench->initialise(staircase());
  const std::vector<DeviceAddress> twice{listed.addresses[0], listed.addresses[0]};
  std::vector<std::uint16_t> together(2), one(1), two(1);
  listed.chip.read(twice, 5, kReadVoltage, listed.now, together);
  separate.chip.read(separate.addresses, 5, kReadVoltage, separate.now, one);
  separate.chip.read(separate.addresses, 5, kReadVoltage, separate.now + separate.chip.read_time(5),
                     two);
  EXPECT_EQ(together[0], one[0]);
  EXPECT_EQ(together[1], two[0]);
}

TEST(PcmChip, AnotherSeedIsAnotherChip) {
  Bench first(PcmParameters{}, 256, 1, 1), second(PcmParameters{}, 256, 1, 2);
  for (Bench* bench : {&first, &second}) bench->initialise(staircase());
  EXPECT_NE(first.read_uS(), second.read_uS());
}

TEST(PcmChip, StuckDevicesIgnorePulses) {
  PcmParameters low = good_devices();
  low.stuck_low_fraction = 1;
  Bench stuck_low(low, 256);
  stuck_low.initialise(staircase());
  EXPECT_LT(mean(stuck_low.read_uS()), 0.2);
  PcmParameters high = good_devices();
  high.stuck_high_fraction = 1;
  Bench stuck_high(high, 256);
  stuck_high.initialise(reset());
  EXPECT_GT(mean(stuck_high.read_uS()), 20);
}

TEST(PcmChip, ReferenceResistorsReadTheirNominalConductance) {
  PcmChip chip(PcmParameters{}, kShape, 1, 1);
  const auto nominal = chip.parameters().references_uS();
  std::vector<std::uint16_t> sums(nominal.size());
  chip.read_references(255, BoardTime(0), sums);
  for (std::size_t r = 0; r < nominal.size(); ++r) {
    EXPECT_NEAR(chip.parameters().adc_step_uS * sums[r] / 255, nominal[r], 0.05);
  }
}

/// Devices that differ in nothing, noise and yield included.
PcmParameters alike_devices() {
  PcmParameters parameters = good_devices();
  parameters.set_conductance_spread = parameters.reset_conductance_spread = 0;
  parameters.spatial_spread = parameters.melt_current_spread = 0;
  parameters.melt_cycle_spread = parameters.melt_state_noise = 0;
  parameters.drift_spread_min = parameters.drift_spread_max = 0;
  parameters.noise_max = parameters.adc_noise_lsb = parameters.bit_line_offset_lsb = 0;
  return parameters;
}

/// science: G(T) = G(T0) exp(-(Ea / k)(1/T - 1/T0)), Ea falling from RESET to 0 at SET.
TEST(PcmChip, AWarmChipConductsBetterTheMoreAmorphousTheDevice) {
  PcmParameters parameters = alike_devices();
  parameters.adc_step_uS = 0.05;
  std::vector<double> gain;
  for (const double amplitude_uA : {320.0, 290.0}) {
    double g_uS[2];
    for (const bool warm : {false, true}) {
      Bench bench(parameters, 32);
      if (warm) bench.chip.set_temperature(TemperatureProfile(Temperature::from_K(310)));
      bench.initialise(staircase());
      bench.program(amplitude_uA, 400);
      bench.now += std::chrono::seconds(19);
      g_uS[warm ? 1 : 0] = mean(bench.read_uS(255));
    }
    const double activation_eV =
        std::log(g_uS[1] / g_uS[0]) / ((1.0 / 300 - 1.0 / 310) / 8.617333e-5);
    const double expected_eV =
        parameters.activation_energy_eV * (1 - g_uS[0] / parameters.set_conductance_uS);
    EXPECT_NEAR(activation_eV, expected_eV, 0.01) << amplitude_uA;
    gain.push_back(g_uS[1] / g_uS[0]);
  }
  EXPECT_GT(gain[0], gain[1]);
}

TEST(PcmChip, TheTemperatureFollowsItsProfileDuringARun) {
  TemperatureProfile profile(Temperature::from_K(300));
  profile.add(100, 300);
  profile.add(200, 330);
  Bench bench(alike_devices(), 32);
  bench.chip.set_temperature(profile);
  bench.initialise(staircase());
  bench.program(290, 400);
  EXPECT_EQ(bench.chip.temperature_at(BoardTime(0)).K(), 300);
  EXPECT_NEAR(bench.chip.temperature_at(BoardTime(std::chrono::seconds(150))).K(), 315, 1e-9);
  EXPECT_EQ(bench.chip.temperature_at(BoardTime(hours(1))).K(), 330);
  bench.now = BoardTime(std::chrono::seconds(90));
  const double cold_uS = mean(bench.read_uS(255));
  bench.now = BoardTime(std::chrono::seconds(210));
  const double drift = std::pow(208.0 / 88.0, -0.049);
  EXPECT_GT(mean(bench.read_uS(255)), 1.5 * drift * cold_uS);
}

TEST(PcmChip, ReadsDisturbNothingAt200mVAndCrystalliseAboveTheOnset) {
  Bench bench(alike_devices(), 32);
  bench.initialise(staircase());
  bench.program(300, 400);
  const BoardTime later = bench.now + hours(24);
  const auto mean_after = [&](double read_voltage_mV) {
    std::vector<std::uint16_t> sums(bench.addresses.size());
    for (int i = 0; i < 200; ++i) {
      bench.chip.read(bench.addresses, 255, Voltage::from_mV(read_voltage_mV), later, sums);
    }
    bench.chip.read(bench.addresses, 255, kReadVoltage, later, sums);
    return std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(sums.size());
  };
  const double before = mean_after(200);
  EXPECT_EQ(mean_after(200), before);
  EXPECT_EQ(mean_after(300), before);
  EXPECT_GT(mean_after(400), 1.1 * before);
}

TEST(PcmChip, EachBitLineHasAnOffsetOfItsOwn) {
  PcmParameters parameters = alike_devices();
  parameters.bit_line_offset_lsb = 2;
  PcmChip chip(parameters, kShape, 3, 1);
  std::vector<DeviceAddress> addresses;
  for (std::size_t i = 0; i < kShape.device_count(); ++i) addresses.push_back(kShape.at(i));
  chip.initialise(addresses, std::vector{pulse(260, 400)}, BoardTime(0));
  std::vector<std::uint16_t> sums(addresses.size());
  chip.read(addresses, 1, kReadVoltage, BoardTime(std::chrono::seconds(1)), sums);
  std::vector<double> first_line;
  for (std::uint16_t b = 0; b < kShape.bit_lines; ++b) {
    first_line.push_back(sums[b]);
    for (std::uint16_t w = 1; w < kShape.word_lines; ++w) {
      // Devices further down were pulsed and read a little later: at most one code apart.
      EXPECT_NEAR(sums[kShape.linear({WordLine{w}, BitLine{b}})], sums[b], 1);
    }
  }
  EXPECT_NEAR(spread(first_line), 2, 0.3);
}

/// The spread that the parameter names is that over the array, in waves longer than a quarter of
/// it.
TEST(PcmChip, DevicesVarySmoothlyOverTheArray) {
  PcmParameters parameters = alike_devices();
  parameters.spatial_spread = 0.1;
  parameters.set_spread_uS = parameters.set_spread_slope = parameters.set_spread_memory_uS = 0;
  parameters.adc_step_uS = 0.25;
  PcmChip chip(parameters, kShape, 8, 1);
  std::vector<DeviceAddress> addresses;
  for (std::size_t i = 0; i < kShape.device_count(); ++i) addresses.push_back(kShape.at(i));
  std::vector<wire::Pulse> full_set = reset();
  full_set.insert(full_set.end(), 32, pulse(100, 10000));
  chip.initialise(addresses, full_set, BoardTime(0));
  std::vector<std::uint16_t> sums(addresses.size());
  chip.read(addresses, 1, kReadVoltage, BoardTime(std::chrono::seconds(20)), sums);
  std::vector<double> g;
  double steepest = 0;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    g.push_back(std::log(sums[i]));
    const DeviceAddress address = kShape.at(i);
    if (address.bit_line.index > 0) steepest = std::max(steepest, std::abs(g[i] - g[i - 1]));
  }
  EXPECT_NEAR(spread(g), 0.1, 0.02);
  EXPECT_LT(steepest, 0.03);
}

TEST(PcmChip, WearClosesTheRangeFromOneEndUntilTheDeviceIsStuck) {
  PcmParameters parameters = alike_devices();
  parameters.endurance_cycles = 1000;
  parameters.endurance_spread = 0;
  for (const bool ends_high : {false, true}) {
    parameters.wear_stuck_high_share = ends_high ? 1 : 0;
    Bench bench(parameters, 32);
    const auto window_uS = [&] {
      bench.initialise(staircase());
      const double high = mean(bench.read_uS());
      bench.initialise(reset());
      return std::pair(mean(bench.read_uS()), high);
    };
    const auto fresh = window_uS();
    for (int i = 0; i < 700; ++i) bench.program(450, 50);
    const auto worn = window_uS();
    if (ends_high) {
      EXPECT_GT(worn.first, fresh.first + 5);
    } else {
      EXPECT_LT(worn.second, fresh.second - 5);
    }
    for (int i = 0; i < 400; ++i) bench.program(450, 50);
    const auto stuck = window_uS();
    EXPECT_NEAR(stuck.first, stuck.second, 0.15 * stuck.second + 0.05);
    EXPECT_EQ(stuck.second > 5, ends_high);
  }
}

TEST(PcmChip, OpenLinesReadNothingWhateverThePulses) {
  PcmParameters parameters = good_devices();
  parameters.bad_bit_line_fraction = 0.1;
  parameters.bad_word_line_fraction = 0.1;
  Bench bench(parameters, kShape.device_count());
  bench.initialise(staircase());
  const std::vector<double> g_uS = bench.read_uS();
  std::vector<int> dead_in_row(kShape.word_lines), dead_in_column(kShape.bit_lines);
  for (std::size_t i = 0; i < g_uS.size(); ++i) {
    if (g_uS[i] > 1) continue;
    ++dead_in_row[kShape.at(i).word_line.index];
    ++dead_in_column[kShape.at(i).bit_line.index];
  }
  const auto rows = std::count(dead_in_row.begin(), dead_in_row.end(), kShape.bit_lines);
  const auto columns = std::count(dead_in_column.begin(), dead_in_column.end(), kShape.word_lines);
  EXPECT_NEAR(static_cast<double>(rows), 6.4, 6);
  EXPECT_GT(rows, 0);
  EXPECT_NEAR(static_cast<double>(columns), 25.6, 12);
  const auto dead = std::accumulate(dead_in_row.begin(), dead_in_row.end(), 0L);
  EXPECT_EQ(dead, rows * kShape.bit_lines + columns * kShape.word_lines - rows * columns)
      << "whole lines and nothing else";
}

TEST(PcmChip, PlannedFaultsBreakWhatTheyName) {
  ChipFaults faults;
  faults.stuck_low = {{WordLine{0}, BitLine{1}}};
  faults.stuck_high = {{WordLine{0}, BitLine{2}}, {WordLine{9999}, BitLine{9999}}};
  faults.dead_word_lines = {{3}};
  faults.dead_bit_lines = {{7}};
  Bench bench(good_devices(), kShape.device_count());
  bench.chip.plant(faults);
  bench.initialise(staircase());
  std::vector<double> g_uS = bench.read_uS();
  EXPECT_LT(g_uS[1], 0.5);
  EXPECT_GT(g_uS[2], 10);
  EXPECT_LT(g_uS[7], 0.3);
  EXPECT_LT(g_uS[3 * kShape.bit_lines + 50], 0.3);
  bench.initialise(reset());
  g_uS = bench.read_uS();
  EXPECT_GT(g_uS[2], 10);
  EXPECT_LT(g_uS[0], 1);
}

TEST(PcmChip, PlannedFractionsOfStuckDevicesComeFromTheSeed) {
  ChipFaults faults;
  faults.stuck_low_fraction = 0.1;
  faults.seed = 77;
  std::vector<std::vector<double>> reads;
  for (int i = 0; i < 2; ++i) {
    Bench bench(good_devices(), 4096);
    bench.chip.plant(faults);
    bench.initialise(staircase());
    reads.push_back(bench.read_uS());
  }
  EXPECT_EQ(reads[0], reads[1]);
  const auto low = std::count_if(reads[0].begin(), reads[0].end(), [](double g) { return g < 1; });
  EXPECT_NEAR(static_cast<double>(low), 409.6, 60);
}

TEST(PcmChip, StuckAdcBitsAndADriftingReferenceShowInEveryCode) {
  ChipFaults faults;
  faults.adc_bits_stuck_at_1 = 0x01;
  faults.adc_bits_stuck_at_0 = 0x02;
  Bench bench(good_devices(), 4096);
  bench.chip.plant(faults);
  bench.initialise(staircase());
  std::vector<std::uint16_t> sums(4096);
  bench.chip.read(bench.addresses, 1, kReadVoltage, bench.now, sums);
  EXPECT_TRUE(std::all_of(sums.begin(), sums.end(), [](auto code) { return (code & 3) == 1; }));

  ChipFaults drifting;
  drifting.reference_error = 0.05;
  drifting.reference_drift_per_day = 0.1;
  PcmChip chip(good_devices(), kShape, 1, 1);
  chip.plant(drifting);
  std::vector<std::uint16_t> references(4);
  chip.read_references(255, BoardTime(hours(12)), references);
  EXPECT_NEAR(chip.parameters().adc_step_uS * references[2] / 255,
              1.10 * chip.parameters().reference_3_uS, 0.1);
}

TEST(PcmChip, KeepsItsStateSmall) { EXPECT_LE(PcmChip::bytes_per_device(), 100u); }

TEST(PcmParameterTable, NamesEveryParameterOnceInsideItsRange) {
  const PcmParameters defaults;
  std::vector<std::string_view> names;
  for (const PcmParameterInfo& info : pcm_parameter_table()) {
    const double value = defaults.*info.member;
    EXPECT_LE(info.minimum, value) << info.name;
    EXPECT_GE(info.maximum, value) << info.name;
    EXPECT_FALSE(info.help.empty()) << info.name;
    EXPECT_FALSE(info.source.empty()) << info.name;
    names.push_back(info.name);
  }
  EXPECT_EQ(names.size(), sizeof(PcmParameters) / sizeof(double))
      << "a parameter is missing from the table";
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace pcmlab::mock

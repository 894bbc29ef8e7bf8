// SPDX-License-Identifier: Apache-2.0
#include "mock_device/chip_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "mock_device/pcm_chip.h"

namespace pcmlab::mock {
namespace {

constexpr ArrayShape kShape{64, 128};

/// Mean and deviation of a whole array's conductances.
struct Reading {
  double mean = 0;
  double deviation = 0;
};

class Bench {
 public:
  explicit Bench(const ChipModel& model) : chip_(model, kShape, 4, 2) {
    for (std::size_t i = 0; i < kShape.device_count(); ++i) addresses_.push_back(kShape.at(i));
  }

  void pulse(double amplitude_uA, int width_ns) {
    const std::vector<wire::Pulse> sequence{
        {Current::from_uA(amplitude_uA), std::chrono::nanoseconds(width_ns)}};
    chip_.initialise(addresses_, sequence, now_);
    pulsed_ = now_;
  }
  /// \param age_s  since the last pulse
  Reading read(double age_s) {
    now_ = pulsed_ + from_seconds(age_s);
    std::vector<std::uint16_t> sums(addresses_.size());
    chip_.read(addresses_, 5, Voltage::from_mV(200), now_, sums);
    now_ += std::chrono::seconds(1);
    std::vector<double> g;
    for (const auto sum : sums) g.push_back(chip_.parameters().adc_step_uS * sum / 5);
    const double mean = std::accumulate(g.begin(), g.end(), 0.0) / static_cast<double>(g.size());
    double squares = 0;
    for (const double value : g) squares += (value - mean) * (value - mean);
    return {mean, std::sqrt(squares / static_cast<double>(g.size()))};
  }

 private:
  PcmChip chip_;
  std::vector<DeviceAddress> addresses_;
  BoardTime now_{};
  BoardTime pulsed_{};
};

ChipModel quiet_chip() {
  ChipModel model;
  PcmParameters& p = model.parameters;
  p.stuck_low_fraction = p.stuck_high_fraction = p.limited_range_fraction = 0;
  p.melt_current_spread = p.melt_cycle_spread = p.melt_state_noise = p.spatial_spread = 0;
  p.drift_spread_min = p.drift_spread_max = 0;
  p.noise_max = 0;
  return model;
}

TEST(ChipModel, PresetsAreGoodModelsWithNamesOfTheirOwn) {
  ASSERT_GE(chip_presets().size(), 3u);
  EXPECT_EQ(chip_presets().front().name, "joshi-2020");
  EXPECT_EQ(chip_presets().front().parameters, PcmParameters{});
  for (const ChipModel& chip : chip_presets()) {
    EXPECT_TRUE(check(chip)) << chip.name;
    EXPECT_FALSE(chip.summary.empty());
    EXPECT_EQ(find_preset(chip.name), &chip);
  }
  EXPECT_EQ(find_preset("none such"), nullptr);
}

TEST(ChipModel, AMeltTableGivesTheConductanceAfterAMeltingPulse) {
  ChipModel model = quiet_chip();
  model.melt = {{160, 200, 260, 320, 400}, {38, 25, 12, 4, 0.1}, {}};
  ASSERT_TRUE(check(model));
  Bench bench(model);
  for (std::size_t i = 0; i < model.melt.at.size(); ++i) {
    bench.pulse(450, 50);
    bench.pulse(model.melt.at[i], 5000);
    EXPECT_NEAR(bench.read(20).mean, model.melt.mean[i], 0.02 * model.melt.mean[i] + 0.1)
        << model.melt.at[i];
  }
  bench.pulse(450, 50);
  bench.pulse(230, 5000);
  EXPECT_NEAR(bench.read(20).mean, 18.5, 0.6) << "linear in between";
}

TEST(ChipModel, ADriftTableGivesMeanAndSpreadOfTheExponent) {
  ChipModel model = quiet_chip();
  model.melt = {{160, 400}, {38, 0.1}, {}};
  model.drift = {{1, 10, 30}, {0.12, 0.08, 0.02}, {0, 0, 0}};
  ASSERT_TRUE(check(model));
  Bench bench(model);
  bench.pulse(450, 50);
  bench.pulse(337.1, 5000);
  const double at_20s = bench.read(20).mean;
  EXPECT_NEAR(at_20s, 10, 0.5);
  EXPECT_NEAR(std::log(at_20s / bench.read(2e6).mean) / std::log(1e5), 0.08, 0.003);

  model.drift.spread = {0.02, 0.02, 0.02};
  model.parameters.set_conductance_spread = 0;
  Bench spread_bench(model);
  spread_bench.pulse(450, 50);
  spread_bench.pulse(337.1, 5000);
  const Reading late = spread_bench.read(2e6);
  EXPECT_NEAR(late.deviation / late.mean, 0.02 * std::log(1e5), 0.015);
}

TEST(ChipModel, ANoiseTableGivesTheRelativeReadNoise) {
  ChipModel model = quiet_chip();
  model.melt = {{160, 400}, {38, 0.1}, {}};
  model.noise = {{1, 40}, {0.02, 0.02}, {}};
  model.parameters.set_conductance_spread = 0;
  ASSERT_TRUE(check(model));
  Bench bench(model);
  bench.pulse(450, 50);
  bench.pulse(300, 5000);
  const double reference_s = model.parameters.noise_reference_time_s;
  const Reading reading = bench.read(reference_s);
  EXPECT_NEAR(reading.deviation / reading.mean,
              0.02 * std::sqrt(std::log(reference_s / (2 * 250e-9))), 0.004);
}

TEST(ChipModel, ASetStepTableGivesMeanAndSpreadOfASinglePulse) {
  ChipModel model = quiet_chip();
  PcmParameters& p = model.parameters;
  model.set_step = {{0.1, 20}, {1.5, 1.5}, {0.5, 0.5}};
  p.set_mean_memory_uS = p.set_spread_memory_uS = 0;
  p.reset_conductance_spread = 0;
  p.bit_line_offset_lsb = 0;
  ASSERT_TRUE(check(model));
  Bench bench(model);
  bench.pulse(450, 50);
  double before = bench.read(20).mean;
  bench.pulse(90, 50);
  const Reading first = bench.read(20);
  EXPECT_NEAR(first.mean - before, 1.5, 0.05);
  EXPECT_NEAR(first.deviation, 0.5, 0.05);
  for (int i = 0; i < 3; ++i) bench.pulse(90, 50);
  EXPECT_NEAR(bench.read(20).mean - first.mean, 4.5, 0.1);
}

TEST(ChipModel, BadTablesAreRefusedNamingTableAndPoint) {
  const auto error_of = [](auto change) {
    ChipModel model;
    change(model);
    const Result<void> result = check(model);
    return result ? std::string("accepted") : result.error().message;
  };
  EXPECT_EQ(error_of([](ChipModel& m) {
              m.drift = {{1}, {0.05}, {0.01}};
            }),
            "table drift: has 1 points, needs 2");
  EXPECT_EQ(error_of([](ChipModel& m) {
              m.drift = {{1, 2}, {0.05}, {0.01, 0.01}};
            }),
            "table drift: has 2 points and 1 means");
  EXPECT_EQ(error_of([](ChipModel& m) {
              m.drift = {{1, 2}, {0.05, 0.05}, {}};
            }),
            "table drift: has 2 points and 0 spreads");
  EXPECT_EQ(error_of([](ChipModel& m) {
              m.noise = {{2, 1}, {0.05, 0.05}, {}};
            }),
            "table noise: point 2 does not lie above the one before");
  EXPECT_EQ(error_of([](ChipModel& m) {
              m.noise = {{0, 1}, {0.05, 0.05}, {}};
            }),
            "table noise: point 1 is not at a positive number");
  EXPECT_EQ(error_of([](ChipModel& m) {
              m.noise = {{1, 2}, {0.05, -0.05}, {}};
            }),
            "table noise: has a negative value");
  EXPECT_EQ(error_of([](ChipModel& m) {
              m.set_step = {{1, 2}, {NAN, 1}, {1, 1}};
            }),
            "table set_step: point 1 has no finite mean");
  EXPECT_EQ(error_of([](ChipModel& m) {
              m.set_step = {{1, 2}, {1, 1}, {1, -1}};
            }),
            "table set_step: point 2 has a spread that is negative or not finite");
  EXPECT_EQ(error_of([](ChipModel& m) {
              m.melt = {{200, 300}, {5, 6}, {}};
            }),
            "table melt: conductance rises with the amplitude somewhere");
  EXPECT_EQ(error_of([](ChipModel& m) { m.parameters.melt_full_uA = 100; }),
            "melt_full_uA is not above melt_onset_uA");
}

}  // namespace
}  // namespace pcmlab::mock

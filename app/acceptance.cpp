// SPDX-License-Identifier: Apache-2.0
#include "app/acceptance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "driver/loopback_transport.h"
#include "driver/test_board.h"
#include "experiments/characterisation/pulse_response.h"
#include "experiments/programming/conductance_mapping.h"
#include "experiments/programming/placement.h"
#include "experiments/programming/program_and_verify.h"
#include "experiments/retention/drift_fit.h"
#include "mock_device/mock_board.h"

namespace pcmlab::app {
namespace {

constexpr double kDay_s = 86400;
constexpr std::size_t kNetworkDevices = 723444;

/// The chip without anything that makes one device or pulse differ from another: what is left is
/// read noise.
mock::ChipModel all_alike(mock::ChipModel chip) {
  mock::PcmParameters& p = chip.parameters;
  p.set_conductance_spread = p.reset_conductance_spread = p.spatial_spread = 0;
  p.melt_current_spread = p.melt_cycle_spread = p.melt_state_noise = 0;
  p.drift_spread_min = p.drift_spread_max = 0;
  p.bit_line_offset_lsb = 0;
  p.stuck_low_fraction = p.stuck_high_fraction = p.limited_range_fraction = 0;
  std::fill(chip.drift.spread.begin(), chip.drift.spread.end(), 0.0);
  return chip;
}

class Measurement {
 public:
  Measurement(const mock::ChipModel& chip, const PublishedChip& published,
              const AcceptanceSettings& settings,
              const std::function<void(const std::string&)>& tell)
      : published_(published), settings_(settings), tell_(tell) {
    acceptance_.chip = chip;
    acceptance_.seed = settings.seed;
    acceptance_.devices_per_level =
        std::min(settings.devices_per_level, chip.shape.device_count() / 4);
  }

  Result<Acceptance> run() {
    PCM_ASSIGN(const auto board, open(acceptance_.chip));
    PCM_ASSIGN(CharacterisationBench bench, CharacterisationBench::open(*board));
    PCM_TRY(measure_levels(bench));
    PCM_TRY(measure_retention(bench));
    PCM_TRY(measure_noise());
    PCM_TRY(measure_spectrum(bench));
    PCM_TRY(measure_pulses(bench));
    if (published_.converged_share > 0 &&
        acceptance_.chip.shape.device_count() >= kNetworkDevices) {
      PCM_TRY(measure_network());
    }
    return std::move(acceptance_);
  }

 private:
  Result<std::unique_ptr<TestBoard>> open(const mock::ChipModel& chip) const {
    auto mock = std::make_shared<mock::MockBoard>(
        mock::PcmChip(chip, chip.shape, settings_.seed, settings_.threads));
    LoopbackEnd far_end;
    far_end.take = [mock](std::span<const std::byte> bytes) { mock->receive(bytes); };
    far_end.give = [mock](std::vector<std::byte>& into) {
      mock->work();
      mock->take_output(into);
    };
    return TestBoard::open(std::make_unique<LoopbackTransport>(std::move(far_end)));
  }

  void add(std::string group, std::string what, std::string unit, double ours,
           std::optional<double> published, double low, double high) {
    acceptance_.rows.push_back(
        {std::move(group), std::move(what), std::move(unit), ours, published, low, high});
  }
  void add_within(std::string group, std::string what, std::string unit, double ours,
                  double published, double tolerance) {
    add(std::move(group), std::move(what), std::move(unit), ours, published, published - tolerance,
        published + tolerance);
  }

  /// Program-and-verify as the paper describes it: aimed at the target itself.
  ProgramSettings paper_settings(double verify_delay_s) const {
    ProgramSettings settings = program_settings(ParameterValues(program_parameters()));
    settings.aim_age = Duration(0);
    settings.verify_delay = from_seconds(verify_delay_s);
    return settings;
  }

  /// Devices for the k-th measurement: others than for the last ones where the array has them.
  Result<std::vector<DeviceAddress>> devices(const CharacterisationBench& bench, std::size_t k,
                                             std::size_t count) const {
    PCM_ASSIGN(const auto all, bench.devices(acceptance_.chip.shape.device_count()));
    const std::size_t begin = k * count % (all.size() - count + 1);
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(begin);
    return std::vector<DeviceAddress>(first, first + static_cast<std::ptrdiff_t>(count));
  }

  /// A fiftieth of the range, but not where the ADC no longer resolves it.
  double lowest_uS() const {
    return std::max(0.02 * published_.g_max_uS, 2.5 * acceptance_.chip.parameters.adc_step_uS);
  }

  Result<void> measure_levels(CharacterisationBench& bench) {
    AcceptanceCurves& curves = acceptance_.curves;
    LevelSettings level_settings{
        paper_settings(published_.verify_delay_s),
        {published_.spread_age_s, 100, 316, 1000, 3162, 10000, 31623, kDay_s}};
    std::sort(level_settings.ages_s.begin(), level_settings.ages_s.end());
    const std::string age = fmt::format("{:.4g} s", published_.spread_age_s);
    for (int i = 0; i <= 10; ++i) {
      const double g_uS = i == 0 ? lowest_uS() : published_.g_max_uS * 0.1 * i;
      tell_(fmt::format("level {} of 11: {:.4g} µS on {} devices", i + 1, g_uS,
                        acceptance_.devices_per_level));
      PCM_ASSIGN(const auto addresses,
                 devices(bench, static_cast<std::size_t>(i), acceptance_.devices_per_level));
      PCM_ASSIGN(const Level level,
                 measure_level(bench, addresses, Conductance::from_uS(g_uS), level_settings));
      const auto at_age = std::find_if(
          level.reads.begin(), level.reads.end(),
          [this](const AgedReads& reads) { return reads.wanted_age_s == published_.spread_age_s; });
      const Moments spread = moments(at_age->g_uS);
      curves.level_uS.push_back(g_uS);
      curves.spread_uS.push_back(spread.deviation);
      if (published_.spread_uS) {
        const double expected_uS = published_.spread_uS(g_uS);
        add_within("Spread after program-and-verify, " + age + " after each device's last pulse",
                   fmt::format("sigma at {:.4g} µS", g_uS), "µS", spread.deviation, expected_uS,
                   0.15 * expected_uS);
        curves.published_spread_uS.push_back(expected_uS);
      }
      fit_level(level, spread.mean);
    }
    const std::string group = "Spread over all levels";
    if (published_.highest_spread_uS > 0) {
      add(group, "highest sigma", "µS",
          *std::max_element(curves.spread_uS.begin(), curves.spread_uS.end()),
          published_.highest_spread_uS, 0, published_.highest_spread_uS);
    }
    if (published_.median_spread_uS > 0) {
      add_within(group, "median sigma", "µS", median(curves.spread_uS), published_.median_spread_uS,
                 0.1);
    }
    add_drift_rows();
    return {};
  }

  /// Drift exponent of the middle half's mean, which read noise does not bias; and the spread of
  /// the devices' own exponents, less what noise from read to read makes of it. \param mean_uS what
  /// the level really is; it has drifted from its target.
  void fit_level(const Level& level, double mean_uS) {
    std::vector<double> mean_age_s, middle_uS;
    for (const AgedReads& reads : level.reads) {
      mean_age_s.push_back(moments(reads.age_s).mean);
      middle_uS.push_back(midmean(reads.g_uS));
    }
    const auto of_middle = fit_drift(mean_age_s, middle_uS);
    std::vector<double> exponents, errors;
    std::vector<double> age_s(level.reads.size()), g_uS(level.reads.size());
    const double inflation = noise_inflation(mean_age_s);
    for (std::size_t d = 0; d < level.converged.size(); ++d) {
      for (std::size_t i = 0; i < level.reads.size(); ++i) {
        age_s[i] = level.reads[i].age_s[d];
        g_uS[i] = level.reads[i].g_uS[d];
      }
      if (const auto fit = fit_drift(age_s, g_uS, inflation)) {
        exponents.push_back(fit->exponent);
        errors.push_back(fit->exponent_error * fit->exponent_error);
      }
    }
    const double deviation = moments(exponents).deviation;
    const double variance = deviation * deviation - moments(errors).mean;
    AcceptanceCurves& curves = acceptance_.curves;
    curves.drift_mean.push_back(of_middle ? of_middle->exponent : 0);
    curves.drift_spread.push_back(std::sqrt(std::max(0.0, variance)));
    curves.published_drift_mean.push_back(published_.drift_mean(mean_uS));
    curves.published_drift_spread.push_back(published_.drift_spread(mean_uS));
  }

  void add_drift_rows() {
    const AcceptanceCurves& curves = acceptance_.curves;
    for (std::size_t i = 0; i < curves.level_uS.size(); ++i) {
      const double expected = curves.published_drift_mean[i];
      add_within("Drift exponent, fitted to the mean of the middle half",
                 fmt::format("at {:.4g} µS", curves.level_uS[i]), "", curves.drift_mean[i],
                 expected, 0.1 * expected);
    }
  }

  Result<void> measure_retention(CharacterisationBench& bench) {
    const double g_uS = published_.g_max_uS / 2;
    tell_(fmt::format("retention of {:.4g} µS for a year", g_uS));
    const LevelSettings level_settings{
        paper_settings(published_.reference_age_s / 2),
        {published_.reference_age_s, 1000, 3600, kDay_s, 30 * kDay_s, 365 * kDay_s}};
    PCM_ASSIGN(const auto addresses, devices(bench, 11, acceptance_.devices_per_level));
    PCM_ASSIGN(const Level level,
               measure_level(bench, addresses, Conductance::from_uS(g_uS), level_settings));
    const double reference_uS = moments(level.reads.front().g_uS).mean;
    AcceptanceCurves& curves = acceptance_.curves;
    for (const AgedReads& reads : level.reads) {
      const double age_s = reads.wanted_age_s;
      const double ratio = moments(reads.g_uS).mean / reference_uS;
      curves.retention_s.push_back(age_s);
      curves.retention.push_back(ratio);
      curves.published_retention.push_back(published_.retention(reference_uS, age_s));
      if (age_s <= published_.reference_age_s) continue;
      const std::string when =
          age_s < kDay_s ? fmt::format("{:.0f} s", age_s) : fmt::format("{:.0f} d", age_s / kDay_s);
      add_within(fmt::format("Mean conductance of {:.4g} µS devices over that at {:.0f} s", g_uS,
                             published_.reference_age_s),
                 "after " + when, "", ratio, curves.published_retention.back(), 0.02);
    }
    return {};
  }

  /// Read noise against conductance, on devices that are all alike.
  Result<void> measure_noise() {
    tell_("read noise against conductance");
    PCM_ASSIGN(const auto board, open(all_alike(acceptance_.chip)));
    PCM_ASSIGN(CharacterisationBench bench, CharacterisationBench::open(*board));
    PCM_ASSIGN(const auto addresses,
               bench.devices(std::min<std::size_t>(4096, acceptance_.devices_per_level)));
    const mock::PcmParameters& p = acceptance_.chip.parameters;
    std::vector<double> amplitudes_uA;
    constexpr int kAmplitudes = 160;
    for (int i = 1; i < kAmplitudes; ++i) {
      const double share = static_cast<double>(i) / kAmplitudes;
      amplitudes_uA.push_back(p.melt_onset_uA + share * (p.melt_full_uA - p.melt_onset_uA));
    }
    PulseResponseSettings pulses;
    pulses.settle = from_seconds(published_.spread_age_s);
    PCM_ASSIGN(const auto curve,
               programming_curve(bench, addresses, amplitudes_uA, Duration(10000), pulses));
    // What white noise and quantisation add, independent from sample to sample.
    const double circuit = p.adc_step_uS * p.adc_step_uS *
                           (p.adc_noise_lsb * p.adc_noise_lsb + 1.0 / 12) /
                           bench.read_settings().samples;
    AcceptanceCurves& curves = acceptance_.curves;
    for (const double share : {0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0}) {
      const double wanted_uS = std::max(share * published_.g_max_uS, lowest_uS());
      const Moments& nearest = *std::min_element(
          curve.begin(), curve.end(), [wanted_uS](const Moments& a, const Moments& b) {
            return std::abs(a.mean - wanted_uS) < std::abs(b.mean - wanted_uS);
          });
      const double expected = published_.relative_noise(nearest.mean, published_.spread_age_s);
      const double cells_uS =
          std::sqrt(std::max(0.0, nearest.deviation * nearest.deviation - circuit));
      curves.noise_at_uS.push_back(nearest.mean);
      curves.noise.push_back(cells_uS / nearest.mean);
      curves.published_noise.push_back(expected);
      add_within(fmt::format("Relative read noise of the cells, {:.4g} s after the last pulse",
                             published_.spread_age_s),
                 fmt::format("at {:.3g} µS", nearest.mean), "", curves.noise.back(), expected,
                 0.1 * expected);
    }
    return {};
  }

  Result<void> measure_spectrum(CharacterisationBench& bench) {
    tell_("spectrum of the read noise");
    constexpr std::size_t kDevices = 512;
    constexpr std::size_t kReads = 16384;
    const LevelSettings level_settings{paper_settings(published_.verify_delay_s), {kDay_s}};
    PCM_ASSIGN(const auto addresses, devices(bench, 25, kDevices));
    PCM_ASSIGN(const Level level,
               measure_level(bench, addresses, Conductance::from_uS(published_.g_max_uS / 2),
                             level_settings));
    PCM_ASSIGN(const Spectrum spectrum,
               noise_spectrum(bench, level.converged, std::chrono::seconds(1), kReads));
    acceptance_.curves.spectrum = averaged_by_octave(spectrum);
    acceptance_.curves.noise_exponent = fit_spectrum(spectrum).slope;
    add_within("Spectrum of the read noise, 0.0002 to 0.015 Hz", "beta of 1/f^beta", "",
               acceptance_.curves.noise_exponent, published_.noise_exponent, 0.1);
    return {};
  }

  Result<void> measure_pulses(CharacterisationBench& bench) {
    tell_("accumulation of partial SET pulses and programming curve");
    AcceptanceCurves& curves = acceptance_.curves;
    PCM_ASSIGN(const auto all, devices(bench, 12, acceptance_.devices_per_level));
    const ProgramSettings program = paper_settings(0);
    std::vector<Pulse> staircase{{program.reset_amplitude, program.reset_width}};
    for (const Current amplitude : program.staircase) {
      staircase.push_back({amplitude, program.staircase_width});
    }
    PCM_ASSIGN(const auto addresses,
               working_devices(bench, all, staircase, Conductance::from_uS(published_.g_max_uS)));
    const Pulse partial_set{Current::from_uA(90), Duration(50)};
    PCM_ASSIGN(curves.accumulation, accumulation_curve(bench, addresses, partial_set, 20));
    for (const PublishedAccumulation& point : kPublishedAccumulation) {
      if (!published_.spread_uS) break;  // of another kind of chip
      const Moments& ours = curves.accumulation[static_cast<std::size_t>(point.pulses - 1)];
      const std::string group = "Partial SET from RESET, pulses of 90 µA and 50 ns";
      add_within(group, fmt::format("mean after {}", point.pulses), "µS", ours.mean, point.mean_uS,
                 0.1 * point.mean_uS);
      add_within(group, fmt::format("deviation after {}", point.pulses), "µS", ours.deviation,
                 point.deviation_uS, 0.15 * point.deviation_uS);
    }

    for (int amplitude_uA = 40; amplitude_uA <= 450; amplitude_uA += 10) {
      curves.amplitude_uA.push_back(amplitude_uA);
    }
    PCM_ASSIGN(curves.programming,
               programming_curve(bench, addresses, curves.amplitude_uA, Duration(1000)));
    const auto peak =
        std::max_element(curves.programming.begin(), curves.programming.end(),
                         [](const Moments& a, const Moments& b) { return a.mean < b.mean; });
    const auto falling =
        std::is_sorted(peak, curves.programming.end(),
                       [](const Moments& a, const Moments& b) { return a.mean > b.mean + 0.02; });
    const auto rising =
        std::is_sorted(curves.programming.begin(), std::next(peak),
                       [](const Moments& a, const Moments& b) { return a.mean < b.mean - 0.02; });
    const std::string group = "Programming curve, one pulse of 1 µs after a RESET";
    const mock::PcmParameters& p = acceptance_.chip.parameters;
    add(group, "amplitude of the highest conductance", "µA",
        curves.amplitude_uA[static_cast<std::size_t>(peak - curves.programming.begin())],
        std::nullopt, p.set_onset_uA, p.melt_onset_uA * 1.1);
    add(group, "rises up to there and falls beyond (1 = yes)", "", rising && falling ? 1 : 0,
        std::nullopt, 1, 1);
    add(group, "left at 450 µA of the highest", "", curves.programming.back().mean / peak->mean,
        std::nullopt, 0, 0.02);
    return {};
  }

  /// The paper's network, as `program` does it.
  Result<void> measure_network() {
    PCM_ASSIGN(const Network network, load_builtin_network(builtin_networks().front()));
    const WeightSet weights = weights_of(network);
    tell_(fmt::format("{} weights of {}", weights.values.size(), network.name));
    const ConductanceMapping mapping(weights, Conductance::from_uS(published_.g_max_uS));
    PCM_ASSIGN(const auto board, open(acceptance_.chip));
    PCM_ASSIGN(CharacterisationBench bench, CharacterisationBench::open(*board));
    db::Placement placement;
    placement.shape = acceptance_.chip.shape;
    placement.targets_uS = mapping.targets_uS(weights);
    PCM_ASSIGN(placement.addresses,
               place_devices(placement.targets_uS.size(), placement.shape, {}));
    PCM_ASSIGN(
        const ProgramOutcome outcome,
        program_placement(bench, placement, program_settings(ParameterValues(program_parameters())),
                          [](const ProgramPass&) { return Result<void>(); }));
    const auto targets = static_cast<double>(outcome.summary.nonzero_targets);
    const std::string group = "The paper's network";
    add_within(group, "weights", "", static_cast<double>(weights.values.size()), 361722, 0);
    add_within(group, "devices", "", static_cast<double>(outcome.devices.verdicts.size()),
               kNetworkDevices, 0);
    add(group, fmt::format("converged within {} iterations", outcome.summary.iterations), "%",
        100 * static_cast<double>(outcome.summary.converged) / targets,
        100 * published_.converged_share, 100 * published_.converged_share, 100);
    return {};
  }

  const PublishedChip& published_;
  AcceptanceSettings settings_;
  const std::function<void(const std::string&)>& tell_;
  Acceptance acceptance_;
};

}  // namespace

std::size_t Acceptance::failed() const {
  return static_cast<std::size_t>(std::count_if(
      rows.begin(), rows.end(), [](const AcceptanceRow& row) { return !row.passed(); }));
}

Result<Acceptance> measure_acceptance(const mock::ChipModel& chip, const PublishedChip& published,
                                      const AcceptanceSettings& settings,
                                      const std::function<void(const std::string&)>& tell) {
  return Measurement(chip, published, settings, tell).run();
}

}  // namespace pcmlab::app

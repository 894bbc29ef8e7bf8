// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/chip_programming.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace pcmlab {
namespace {

/// The programming's first rows, in one commit.
Result<db::RowId> begin_programming(RunContext& context, const ReadSettings& read,
                                    const Calibration& calibration, const db::Placement& placement,
                                    std::span<const db::LayerRow> layers) {
  PCM_ASSIGN(auto transaction, context.store.transaction());
  if (!layers.empty()) PCM_TRY(context.store.add_layers(context.step, layers));
  db::ProgrammingStart start;
  start.run = context.run;
  start.step = context.step;
  start.verify_samples = read.samples;
  start.read_voltage_mV = read.read_voltage.mV();
  start.gain_uS_per_code = calibration.gain_uS_per_code;
  start.offset_uS = calibration.offset_uS;
  PCM_ASSIGN(const db::RowId programming, context.store.begin_programming(start));
  PCM_TRY(context.store.set_placement(programming, placement));
  PCM_TRY(transaction.commit());
  return programming;
}

}  // namespace

Result<void> check_limits(const ProgramSettings& settings, const Limits& limits) {
  if (settings.min_amplitude > settings.max_amplitude) {
    return fail(ErrorCode::BadPlan, "min_amplitude_uA is above max_amplitude_uA",
                "set min_amplitude_uA to at most max_amplitude_uA");
  }
  Current highest = std::max(settings.max_amplitude, settings.reset_amplitude);
  for (const Current amplitude : settings.staircase) highest = std::max(highest, amplitude);
  if (highest > limits.max_amplitude) {
    return fail(
        ErrorCode::BadPlan,
        fmt::format("a pulse of {:.6g} uA is asked for, but the board allows at most {:.6g} "
                    "uA",
                    highest.uA(), limits.max_amplitude.uA()),
        "lower the amplitudes of the step");
  }
  for (const Duration width :
       {settings.pulse_width, settings.reset_width, settings.staircase_width}) {
    if (width >= limits.min_width && width <= limits.max_width) continue;
    return fail(ErrorCode::BadPlan,
                fmt::format("a pulse of {} ns is asked for, but the board allows {} .. {} ns",
                            width.count(), limits.min_width.count(), limits.max_width.count()),
                "change the widths of the step");
  }
  return {};
}

Prediction predict_programming(const ProgramSettings& settings, std::int64_t target_devices,
                               std::int64_t zero_devices, Duration sample_time,
                               ExpectedPasses expected) {
  const auto targets = static_cast<double>(target_devices);
  const double devices = targets + static_cast<double>(zero_devices);
  const double passes = std::min<double>(settings.max_iterations, expected.in_all);
  const double mean_passes = std::min(expected.of_a_device, passes);
  const double read_s = seconds(sample_time) * settings.read.samples;
  const auto stairs = static_cast<double>(settings.staircase.size());
  Prediction prediction;
  prediction.pulses = zero_devices + static_cast<std::int64_t>(targets * (stairs + mean_passes));
  prediction.chip_busy_s = targets * mean_passes * (read_s + seconds(settings.pulse_width)) +
                           targets * stairs * seconds(settings.staircase_width) +
                           devices * seconds(settings.reset_width);
  const auto block = static_cast<double>(settings.block_devices);
  const double blocks = block == 0 ? 1 : std::ceil(devices / block);
  const double pass_s = prediction.chip_busy_s / (blocks * passes);
  prediction.waiting_s = blocks * passes * std::max(0.0, seconds(settings.verify_delay) - pass_s);
  prediction.host_s = 0.4e-6 * targets * mean_passes;
  // Intended pulses (device, amplitude), verify sums, placement and results.
  prediction.bytes =
      static_cast<std::int64_t>(targets * mean_passes * (4 + 2 + 2) + devices * (4 + 4 + 4 + 16));
  return prediction;
}

Result<ProgramOutcome> program_chip(RunContext& context, const ProgramSettings& settings,
                                    const db::Placement& placement,
                                    std::span<const db::LayerRow> layers, std::string_view phase) {
  PCM_ASSIGN(const Calibration calibration, context.board.calibrate(settings.read));
  PCM_ASSIGN(const db::RowId programming,
             begin_programming(context, settings.read, calibration, placement, layers));
  ProgramAndVerify loop(context.board, context.clock, context.store, programming, settings,
                        calibration, context.stop);
  PCM_ASSIGN(ProgramOutcome outcome, loop.run(placement, [&](const ProgramPass& pass) {
    return context.report_progress(std::string(phase), fmt::format("iteration {}", pass.iteration),
                                   pass.decided, pass.targets);
  }));
  PCM_TRY(context.store.finish_programming(programming, outcome.devices, outcome.summary));
  const db::ProgrammingSummary& summary = outcome.summary;
  context.observer.message(fmt::format(
      "{}: {} of {} devices with a target converged ({:.2f} %) in {} iterations with {} pulses",
      phase, summary.converged, summary.nonzero_targets,
      100.0 * static_cast<double>(summary.converged) /
          static_cast<double>(std::max<std::int64_t>(1, summary.nonzero_targets)),
      summary.iterations, summary.pulses));
  return outcome;
}

}  // namespace pcmlab

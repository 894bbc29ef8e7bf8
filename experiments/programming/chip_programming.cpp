// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/chip_programming.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace pcmlab {
namespace {

/// Of a programming that is complete.
Result<ProgramOutcome> stored_outcome(db::RunStore& store, const db::ProgrammingRow& row) {
  ProgramOutcome outcome;
  PCM_ASSIGN(outcome.devices, store.programming_result(row.id));
  outcome.summary = {row.iterations, row.nonzero_targets, row.converged, row.pulses,
                     row.end_tick_ns};
  return outcome;
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

ExpectedPasses expected_passes(double tolerance_uS, std::int64_t targets) {
  return {9.7 + 1.62 / tolerance_uS,
          10 + 4.2 / tolerance_uS * std::log10(std::max<double>(1, static_cast<double>(targets)))};
}

Prediction predict_programming(const ProgramSettings& settings, std::int64_t target_devices,
                               std::int64_t zero_devices, Duration sample_time,
                               ExpectedPasses expected) {
  const auto targets = static_cast<double>(target_devices);
  const double devices = targets + static_cast<double>(zero_devices);
  const double passes = std::min<double>(settings.max_iterations, expected.in_all);
  const double reads = std::min(expected.of_a_device, passes);
  const double pulses = std::max(0.0, reads - 1);
  const double read_s = seconds(sample_time) * settings.read.samples;
  const auto stairs = static_cast<double>(settings.staircase.size());
  Prediction prediction;
  prediction.pulses = zero_devices + static_cast<std::int64_t>(targets * (1 + stairs + pulses));
  // The sequences of RESET and staircase, then one a pass.
  prediction.pulses_of_a_device =
      1 + static_cast<std::int64_t>(settings.staircase.size()) + settings.max_iterations;
  prediction.chip_busy_s = targets * (reads * read_s + pulses * seconds(settings.pulse_width)) +
                           targets * stairs * seconds(settings.staircase_width) +
                           devices * seconds(settings.reset_width);
  const auto block = static_cast<double>(settings.block_devices);
  const double blocks = block == 0 ? 1 : std::ceil(devices / block);
  prediction.waiting_s = blocks * passes * seconds(settings.verify_delay);
  prediction.host_s = 0.4e-6 * targets * reads;
  // Devices and amplitudes of batches and verify sums, as they fill pages of the file. Then
  // placement and results.
  prediction.bytes = static_cast<std::int64_t>(1.04 * (6 * targets * pulses + 4 * devices) +
                                               1.12 * 2 * targets * reads + 24 * devices);
  return prediction;
}

Result<db::RowId> begin_programming(RunContext& context, const ReadSettings& read,
                                    const Calibration& calibration, const db::Placement& placement,
                                    std::span<const db::LayerRow> layers) {
  db::ProgrammingStart start;
  start.run = context.run;
  start.step = context.step;
  start.verify_samples = read.samples;
  start.read_voltage_mV = read.read_voltage.mV();
  start.gain_uS_per_code = calibration.gain_uS_per_code;
  start.offset_uS = calibration.offset_uS;
  db::RowId programming = 0;
  PCM_TRY(context.store.together("beginning to program", [&]() -> Result<void> {
    if (!layers.empty()) PCM_TRY(context.store.add_layers(context.step, layers));
    PCM_ASSIGN(programming, context.store.begin_programming(start));
    return context.store.set_placement(programming, placement);
  }));
  return programming;
}

Result<std::optional<db::ProgrammingRow>> begun_programming(RunContext& context) {
  PCM_ASSIGN(auto all, context.store.programmings(context.run));
  std::erase_if(all, [&](const db::ProgrammingRow& row) { return row.step != context.step; });
  if (context.filling >= all.size()) return std::nullopt;
  return all[context.filling];
}

Result<ProgramOutcome> program_chip(RunContext& context, const ProgramSettings& settings,
                                    const db::Placement& placement,
                                    std::span<const db::LayerRow> layers, std::string_view phase) {
  PCM_ASSIGN(const auto begun, begun_programming(context));
  if (begun && begun->complete) return stored_outcome(context.store, *begun);
  db::RowId programming = 0;
  Calibration calibration;
  ProgrammingRecord record;
  if (begun) {
    programming = begun->id;
    calibration = {begun->gain_uS_per_code, begun->offset_uS};
    PCM_ASSIGN(record, ProgrammingRecord::load(context.store, programming));
    context.observer.message(fmt::format("going on with the {} that was begun, behind {} batches",
                                         phase, record.end() - record.first()));
  } else {
    PCM_ASSIGN(calibration, context.board.calibrate(settings.read));
    PCM_ASSIGN(programming,
               begin_programming(context, settings.read, calibration, placement, layers));
  }
  ProgramAndVerify loop(context.board, context.clock, context.store, programming, settings,
                        calibration, context.control);
  PCM_ASSIGN(ProgramOutcome outcome, loop.run(
                                         placement,
                                         [&](const ProgramPass& pass) {
                                           return context.report_progress(
                                               std::string(phase),
                                               fmt::format("iteration {}", pass.iteration),
                                               pass.decided, pass.targets);
                                         },
                                         std::move(record)));
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

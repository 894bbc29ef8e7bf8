// SPDX-License-Identifier: Apache-2.0
/// \file
/// Experiment `program`: the network's weights onto the chip, by program-and-verify.
#include <fmt/format.h>

#include "experiments/engine/experiment.h"
#include "experiments/programming/conductance_mapping.h"
#include "experiments/programming/placement.h"
#include "experiments/programming/program_and_verify.h"

namespace pcmlab {
namespace {

class Program : public Experiment {
 public:
  explicit Program(const ParameterValues& values)
      : settings_(program_settings(values)),
        g_max_(Conductance::from_uS(values.real("g_max_uS"))) {}

  Result<Prediction> predict(PlanFacts& facts) const override {
    PCM_TRY(check_limits(facts.limits));
    // Passes that a device takes part in, and passes in all, as the mock with the paper's settings
    // needs them.
    constexpr double kMeanPasses = 18;
    constexpr double kPasses = 35;
    const auto targets = static_cast<double>(facts.nonzero_targets);
    const auto zeros = static_cast<double>(facts.devices - facts.nonzero_targets);
    const double passes = std::min<double>(settings_.max_iterations, kPasses);
    const double mean_passes = std::min(kMeanPasses, passes);
    const double read_s = seconds(facts.sample_time) * settings_.read.samples;
    const auto stairs = static_cast<double>(settings_.staircase.size());
    Prediction prediction;
    prediction.pulses = static_cast<std::int64_t>(zeros + targets * (stairs + mean_passes));
    prediction.chip_busy_s = targets * mean_passes * (read_s + seconds(settings_.pulse_width)) +
                             targets * stairs * seconds(settings_.staircase_width) +
                             static_cast<double>(facts.devices) * seconds(settings_.reset_width);
    const auto block = static_cast<double>(settings_.block_devices);
    const double blocks = block == 0 ? 1 : std::ceil(static_cast<double>(facts.devices) / block);
    const double pass_s = prediction.chip_busy_s / (blocks * passes);
    prediction.waiting_s =
        blocks * passes * std::max(0.0, seconds(settings_.verify_delay) - pass_s);
    prediction.host_s = 0.4e-6 * targets * mean_passes;
    // Intended pulses (device, amplitude), verify sums, placement and results.
    prediction.bytes = static_cast<std::int64_t>(targets * mean_passes * (4 + 2 + 2)) +
                       facts.devices * (4 + 4 + 4 + 16);
    facts.programmed = true;
    return prediction;
  }

  Result<void> run(RunContext& context) override;

 private:
  Result<void> check_limits(const Limits& limits) const;

  ProgramSettings settings_;
  Conductance g_max_;
};

/// What the plan asks for against what the board allows.
Result<void> Program::check_limits(const Limits& limits) const {
  if (settings_.min_amplitude > settings_.max_amplitude) {
    return fail(ErrorCode::BadPlan, "min_amplitude_uA is above max_amplitude_uA",
                "set min_amplitude_uA to at most max_amplitude_uA");
  }
  Current highest = std::max(settings_.max_amplitude, settings_.reset_amplitude);
  for (const Current amplitude : settings_.staircase) highest = std::max(highest, amplitude);
  if (highest > limits.max_amplitude) {
    return fail(
        ErrorCode::BadPlan,
        fmt::format("a pulse of {:.6g} uA is asked for, but the board allows at most {:.6g} "
                    "uA",
                    highest.uA(), limits.max_amplitude.uA()),
        "lower the amplitudes of the program step");
  }
  for (const Duration width :
       {settings_.pulse_width, settings_.reset_width, settings_.staircase_width}) {
    if (width >= limits.min_width && width <= limits.max_width) continue;
    return fail(ErrorCode::BadPlan,
                fmt::format("a pulse of {} ns is asked for, but the board allows {} .. {} ns",
                            width.count(), limits.min_width.count(), limits.max_width.count()),
                "change the widths of the program step");
  }
  return {};
}

Result<void> Program::run(RunContext& context) {
  const WeightSet& weights = context.inputs.weights;
  const ConductanceMapping mapping(weights, g_max_);
  db::Placement placement;
  placement.shape = context.board.information().shape;
  placement.targets_uS = mapping.targets_uS(weights);
  PCM_ASSIGN(placement.addresses, place_devices(placement.targets_uS.size(), placement.shape, {}));
  PCM_TRY(context.store.add_layers(context.run, mapping.layers()));
  PCM_TRY(context.store.set_placement(context.run, placement));

  PCM_ASSIGN(const Calibration calibration, context.board.calibrate(settings_.read));
  db::ProgrammingStart start;
  start.run = context.run;
  start.step = context.step;
  start.verify_samples = settings_.read.samples;
  start.read_voltage_mV = settings_.read.read_voltage.mV();
  start.gain_uS_per_code = calibration.gain_uS_per_code;
  start.offset_uS = calibration.offset_uS;
  PCM_ASSIGN(const db::RowId programming, context.store.begin_programming(start));
  context.observer.message(fmt::format("programming {} weights onto {} devices in {} layers",
                                       weights.values.size(), placement.addresses.size(),
                                       weights.layers.size()));

  ProgramAndVerify loop(context.board, context.clock, context.store, programming, settings_,
                        calibration, context.stop);
  PCM_ASSIGN(const ProgramOutcome outcome, loop.run(placement, [&](const ProgramPass& pass) {
    return context.report_progress("programming", fmt::format("iteration {}", pass.iteration),
                                   pass.decided, pass.targets);
  }));
  PCM_TRY(context.store.finish_programming(programming, outcome.devices, outcome.summary));
  const db::ProgrammingSummary& summary = outcome.summary;
  context.observer.message(fmt::format(
      "{} of {} devices with a target converged ({:.2f} %) in {} iterations with {} pulses",
      summary.converged, summary.nonzero_targets,
      100.0 * static_cast<double>(summary.converged) /
          static_cast<double>(std::max<std::int64_t>(1, summary.nonzero_targets)),
      summary.iterations, summary.pulses));
  return {};
}

}  // namespace

extern const ExperimentInfo program_info;
const ExperimentInfo program_info{
    {"program", "Programs the network's weights as differential pairs, with a verify loop.",
     [] {
       std::vector<Parameter> parameters = program_parameters();
       parameters.insert(
           parameters.begin(),
           real("g_max_uS", "uS", 25, 1, 1000, "conductance of the largest weight of a layer [P]"));
       return parameters;
     }()},
    [](const ParameterValues& values) -> std::unique_ptr<Experiment> {
      return std::make_unique<Program>(values);
    }};

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Experiment `program`: the network's weights onto the chip, by program-and-verify.
#include <fmt/format.h>

#include "experiments/programming/chip_programming.h"
#include "experiments/programming/conductance_mapping.h"
#include "experiments/programming/placement.h"

namespace pcmlab {
namespace {

constexpr std::string_view kLayer = "layer";
constexpr std::string_view kRow = "row";
constexpr std::string_view kRun = "run";
constexpr std::string_view kChip = "chip";
constexpr std::string_view kNone = "none";

class Program : public Experiment {
 public:
  explicit Program(const ParameterValues& values)
      : settings_(program_settings(values)),
        mapping_{Conductance::from_uS(values.real("g_max_uS")),
                 values.text("scaling") == kRow ? Scaling::Row : Scaling::Layer,
                 values.real("clip_sigma")},
        known_bad_(values.text("known_bad")),
        stop_below_yield_(values.real("stop_below_yield")) {}

  Result<Prediction> predict(PlanFacts& facts) const override {
    PCM_TRY(check_limits(settings_, facts.limits));
    facts.programmed_devices = facts.devices;
    facts.holds_weights = true;
    const std::int64_t targets = facts.nonzero_targets / facts.fillings;
    return facts.fillings *
           predict_programming(settings_, targets, facts.devices / facts.fillings - targets,
                               facts.sample_time, expected_passes(settings_.tolerance_uS, targets));
  }

  Result<void> run(RunContext& context) override;

 private:
  Result<db::Placement> place(RunContext& context, const ConductanceMapping& mapping) const;

  ProgramSettings settings_;
  MappingSettings mapping_;
  std::string known_bad_;
  double stop_below_yield_;
};

/// Where the weights from next_weight on go, as far as the array has room.
Result<db::Placement> Program::place(RunContext& context, const ConductanceMapping& mapping) const {
  const WeightSet& weights = context.inputs.weights;
  std::vector<DeviceAddress> bad;
  if (known_bad_ != kNone) {
    PCM_ASSIGN(bad, context.store.known_bad(
                        context.run, known_bad_ == kChip ? db::KnownTo::Chip : db::KnownTo::Run));
  }
  const std::size_t first = context.next_weight;
  db::Placement placement;
  placement.shape = context.board.information().shape;
  const std::size_t count = std::min(pairs_of(placement.shape, bad), weights.values.size() - first);
  if (count == 0) {
    return fail(
        ErrorCode::DoesNotFit,
        fmt::format("{} devices of the array of {} x {} are known to be bad; no pair is left",
                    bad.size(), placement.shape.word_lines, placement.shape.bit_lines),
        "screen the chip anew, or set known_bad = \"none\"");
  }
  placement.first_weight = static_cast<std::int64_t>(first);
  placement.targets_uS = mapping.targets_uS(weights, first, count);
  PCM_ASSIGN(placement.addresses, place_devices(placement.targets_uS.size(), placement.shape, bad));
  context.observer.message(
      fmt::format("programming {} weights in {} layers onto {} devices{}", count,
                  weights.layers.size(), placement.addresses.size(),
                  bad.empty() ? "" : fmt::format(", around {} known-bad devices", bad.size())));
  return placement;
}

Result<void> Program::run(RunContext& context) {
  const WeightSet& weights = context.inputs.weights;
  const ConductanceMapping mapping(weights, mapping_);
  db::Placement placement;
  PCM_ASSIGN(const auto begun, begun_programming(context));
  if (begun) {
    PCM_ASSIGN(placement, context.store.placement(begun->id));
  } else {
    PCM_ASSIGN(placement, place(context, mapping));
  }
  const std::size_t count = placement.addresses.size() / 2;
  const bool whole = count == weights.values.size();
  const std::span<const db::LayerRow> layers = mapping.layers();
  PCM_ASSIGN(
      const ProgramOutcome outcome,
      program_chip(
          context, settings_, placement, context.filling == 0 ? layers : layers.first(0),
          whole ? "programming" : fmt::format("programming filling {}", context.filling + 1)));
  context.next_weight += count;
  const auto targets =
      static_cast<double>(std::max<std::int64_t>(1, outcome.summary.nonzero_targets));
  const double yield = static_cast<double>(outcome.summary.converged) / targets;
  if (outcome.summary.nonzero_targets == 0 || yield >= stop_below_yield_) return {};
  return fail(
      ErrorCode::Stopped,
      fmt::format("the plan wants no more: {:.3f} % of the devices with a target converged, "
                  "which is below stop_below_yield = {:.6g} %",
                  100 * yield, 100 * stop_below_yield_),
      "see pcmlab show for the devices that did not; a plan with stop_below_yield = 0 does "
      "not stop");
}

}  // namespace

extern const ExperimentInfo program_info;
const ExperimentInfo program_info{
    {"program", "Programs the network's weights as differential pairs, with a verify loop.",
     [] {
       std::vector<Parameter> parameters = program_parameters();
       parameters.insert(
           parameters.begin(),
           {real("g_max_uS", "uS", 25, 1, 1000, "conductance of the largest weight of a layer [P]"),
            text("scaling", std::string(kLayer),
                 "what has a largest weight of its own: each layer, as in the paper, or each row, "
                 "the weights of one output [P]",
                 {std::string(kLayer), std::string(kRow)}),
            real("clip_sigma", "", 0, 0, 100,
                 "weights are clipped to so many standard deviations of their layer, biases "
                 "included, before they are scaled; 0 = not [E]"),
            text("known_bad", std::string(kRun),
                 "leaves out devices that did not answer pulses: in an earlier step of this run "
                 "(screen), in any run of this board and sample, or none [E]",
                 {std::string(kRun), std::string(kChip), std::string(kNone)})});
       parameters.push_back(
           real("stop_below_yield", "", 0, 0, 1,
                "share of converged devices, of those with a target, under which the run stops "
                "after programming; 0 = never"));
       return parameters;
     }()},
    [](const ParameterValues& values) -> std::unique_ptr<Experiment> {
      return std::make_unique<Program>(values);
    },
    WeightUse::Programs};

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Experiment `screen`: finds the devices of the array that do not answer pulses, by bringing all
/// of them to one conductance, roughly. Programming leaves them out afterwards.
#include <fmt/format.h>

#include <algorithm>

#include "experiments/programming/chip_programming.h"
#include "experiments/programming/placement.h"

namespace pcmlab {
namespace {

class Screen : public Experiment {
 public:
  explicit Screen(const ParameterValues& values)
      : settings_(program_settings(values)),
        level_uS_(static_cast<float>(values.real("level_uS"))) {}

  Result<Prediction> predict(PlanFacts& facts) const override {
    PCM_TRY(check_limits(settings_, facts.limits));
    facts.programmed_devices = static_cast<std::int64_t>(facts.shape.device_count());
    facts.holds_weights = false;
    return predict_programming(settings_, static_cast<std::int64_t>(facts.shape.device_count()), 0,
                               facts.sample_time, {.of_a_device = 4.7, .in_all = 20});
  }

  Result<void> run(RunContext& context) override {
    db::Placement placement;
    placement.shape = context.board.information().shape;
    for (std::size_t d = 0; d < placement.shape.device_count(); ++d) {
      placement.addresses.push_back(placement.shape.at(d));
    }
    placement.targets_uS.assign(placement.addresses.size(), level_uS_);
    context.observer.message(
        fmt::format("screening {} devices at {:g} uS", placement.addresses.size(), level_uS_));
    PCM_ASSIGN(const ProgramOutcome outcome,
               program_chip(context, settings_, placement, {}, "screening"));
    const auto& verdicts = outcome.devices.verdicts;
    context.observer.message(
        fmt::format("{} devices are stuck low and {} stuck high",
                    std::count(verdicts.begin(), verdicts.end(), db::Verdict::StuckLow),
                    std::count(verdicts.begin(), verdicts.end(), db::Verdict::StuckHigh)));
    return {};
  }

 private:
  ProgramSettings settings_;
  float level_uS_;
};

/// Those of program-and-verify; rough and quick unless the plan says otherwise.
std::vector<Parameter> parameters() {
  std::vector<Parameter> all = program_parameters();
  const auto change = [&](const char* name, ParameterValue value) {
    std::find_if(all.begin(), all.end(), [&](const Parameter& p) {
      return p.name == name;
    })->default_value = std::move(value);
  };
  change("tolerance_uS", 3.0);
  change("gain_uA_per_uS", 3.0);
  change("max_iterations", std::int64_t{20});
  change("verify_samples", std::int64_t{1});
  change("verify_delay_s", 0.0);
  change("aim_age_s", 0.0);
  change("give_up_after", std::int64_t{4});
  all.insert(all.begin(), real("level_uS", "uS", 24, 1, 1000,
                               "conductance that every device is brought to [E]"));
  return all;
}

}  // namespace

extern const ExperimentInfo screen_info;
const ExperimentInfo screen_info{
    {"screen", "Finds the devices of the whole array that do not answer pulses.", parameters()},
    [](const ParameterValues& values) -> std::unique_ptr<Experiment> {
      return std::make_unique<Screen>(values);
    }};

}  // namespace pcmlab

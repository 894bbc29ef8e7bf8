// SPDX-License-Identifier: Apache-2.0
/// \file
/// Experiment `levels`: groups of devices to conductance levels, by program-and-verify, to see what
/// becomes of each: how sharp it is, how it drifts, how it is read.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "experiments/programming/chip_programming.h"

namespace pcmlab {
namespace {

class Levels : public Experiment {
 public:
  explicit Levels(const ParameterValues& values)
      : settings_(program_settings(values)),
        levels_uS_(values.reals("levels_uS")),
        devices_per_level_(static_cast<std::size_t>(values.integer("devices_per_level"))) {}

  Result<Prediction> predict(PlanFacts& facts) const override {
    PCM_TRY(check_limits(settings_, facts.limits));
    if (levels_uS_.empty()) {
      return fail(ErrorCode::BadPlan, "levels_uS is empty", "name the conductances in uS");
    }
    if (devices() > facts.shape.device_count()) return too_many(facts.shape.device_count());
    const auto zeros =
        static_cast<std::size_t>(std::count(levels_uS_.begin(), levels_uS_.end(), 0.0));
    const std::size_t targets = (levels_uS_.size() - zeros) * devices_per_level_;
    facts.programmed_devices = static_cast<std::int64_t>(devices());
    facts.holds_weights = false;
    return predict_programming(
        settings_, static_cast<std::int64_t>(targets),
        static_cast<std::int64_t>(zeros * devices_per_level_), facts.sample_time,
        expected_passes(settings_.tolerance_uS, static_cast<std::int64_t>(targets)));
  }

  Result<void> run(RunContext& context) override {
    db::Placement placement;
    PCM_ASSIGN(const auto begun, begun_programming(context));
    if (begun) {
      PCM_ASSIGN(placement, context.store.placement(begun->id));
    } else {
      PCM_ASSIGN(placement, place(context));
    }
    context.observer.message(
        fmt::format("{} levels from {:g} to {:g} uS, {} devices each", levels_uS_.size(),
                    *std::min_element(levels_uS_.begin(), levels_uS_.end()),
                    *std::max_element(levels_uS_.begin(), levels_uS_.end()), devices_per_level_));
    PCM_TRY(program_chip(context, settings_, placement, {}, "levels"));
    return {};
  }

 private:
  std::size_t devices() const { return levels_uS_.size() * devices_per_level_; }

  tl::unexpected<Error> too_many(std::size_t room) const {
    return fail(ErrorCode::DoesNotFit,
                fmt::format("{} levels of {} devices are {} devices; there are {}",
                            levels_uS_.size(), devices_per_level_, devices(), room),
                "lower devices_per_level");
  }

  /// All over the array, one level beside the other, so that no level has better places than
  /// another. Devices that did not answer pulses in this run are left out.
  Result<db::Placement> place(RunContext& context) const {
    db::Placement placement;
    placement.shape = context.board.information().shape;
    PCM_ASSIGN(const auto bad, context.store.known_bad(context.run, db::KnownTo::Run));
    std::vector<bool> is_bad(placement.shape.device_count());
    for (const DeviceAddress& address : bad) is_bad[placement.shape.linear(address)] = true;
    std::vector<DeviceAddress> good;
    for (std::size_t d = 0; d < is_bad.size(); ++d) {
      if (!is_bad[d]) good.push_back(placement.shape.at(d));
    }
    if (devices() > good.size()) return too_many(good.size());
    for (std::size_t i = 0; i < devices(); ++i) {
      placement.addresses.push_back(good[i * good.size() / devices()]);
      placement.targets_uS.push_back(static_cast<float>(levels_uS_[i % levels_uS_.size()]));
    }
    return placement;
  }

  ProgramSettings settings_;
  std::vector<double> levels_uS_;
  std::size_t devices_per_level_;
};

}  // namespace

extern const ExperimentInfo levels_info;
const ExperimentInfo levels_info{
    {"levels", "Programs groups of devices to conductance levels, with a verify loop.",
     [] {
       std::vector<Parameter> parameters = program_parameters();
       parameters.insert(
           parameters.begin(),
           {reals("levels_uS", "uS", {2.5, 5, 7.5, 10, 12.5, 15, 17.5, 20, 22.5, 25}, 0, 1000,
                  "the levels; 0 = RESET"),
            integer("devices_per_level", "devices", 1000, 1, 1e8, "spread over the whole array")});
       return parameters;
     }()},
    [](const ParameterValues& values) -> std::unique_ptr<Experiment> {
      return std::make_unique<Levels>(values);
    }};

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Experiment `wait`: nothing is done to the chip until a time has come.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <string>

#include "experiments/engine/experiment.h"
#include "experiments/engine/wall_clock.h"

namespace pcmlab {
namespace {

class Wait : public Experiment {
 public:
  explicit Wait(const ParameterValues& values)
      : for_s_(values.real("for_s")), until_(values.text("until")) {}

  Result<Prediction> predict(PlanFacts& /*facts*/) const override {
    if ((for_s_ > 0) == !until_.empty()) {
      return fail(ErrorCode::BadPlan, "a wait has either for_s or until",
                  "write for example until = \"22:00\", or for_s = 3600");
    }
    PCM_ASSIGN(const double wait_s, remaining_s(host_clocks().utc_ns));
    Prediction prediction;
    prediction.waiting_s = std::max(0.0, wait_s);
    return prediction;
  }

  Result<void> run(RunContext& context) override;

 private:
  /// Seconds from `now_utc_ns` to the end of a wait that began then, or at `begun_utc_ns`.
  Result<double> remaining_s(std::int64_t now_utc_ns) const {
    return remaining_s(now_utc_ns, now_utc_ns);
  }
  Result<double> remaining_s(std::int64_t now_utc_ns, std::int64_t begun_utc_ns) const {
    if (until_.empty()) {
      return for_s_ - 1e-9 * static_cast<double>(now_utc_ns - begun_utc_ns);
    }
    PCM_ASSIGN(const std::int64_t end_utc_ns, wall_clock_time(until_, begun_utc_ns));
    return 1e-9 * static_cast<double>(end_utc_ns - now_utc_ns);
  }

  double for_s_;
  std::string until_;
};

Result<void> Wait::run(RunContext& context) {
  PCM_ASSIGN(const auto steps, context.store.steps(context.run));
  const auto step = std::find_if(steps.begin(), steps.end(),
                                 [&](const db::StepRow& row) { return row.id == context.step; });
  if (step == steps.end()) return fail(ErrorCode::Internal, "the step is not in the database");
  const std::string what =
      until_.empty() ? fmt::format("waiting for {:.6g} s", for_s_) : "waiting until " + until_;
  context.observer.message(what);
  // A board with virtual time has waited once the time is added. The others' time is also that of
  // the wall, whose clock may be set while we wait.
  const bool is_virtual = (context.board.information().capabilities & wire::kVirtualTime) != 0;
  for (;;) {
    PCM_ASSIGN(const double left_s, remaining_s(host_clocks().utc_ns, step->begun_utc_ns));
    if (left_s <= 0) return {};
    PCM_ASSIGN(const BoardTime now, context.clock.now());
    const BoardTime end = now + from_seconds(left_s);
    PCM_TRY(context.clock.sleep_until(end, context.control.waiting(what, end)));
    if (is_virtual) return {};
  }
}

}  // namespace

extern const ExperimentInfo wait_info;
const ExperimentInfo wait_info{
    {"wait",
     "Leaves the chip alone for a time, or until a time of the day.",
     {
         real("for_s", "s", 0, 0, 1e9, "how long, from the beginning of the step"),
         text(
             "until", "",
             "instead: this computer's time, as \"22:00\" (the next such) or \"2026-12-24 18:00\""),
     }},
    [](const ParameterValues& values) -> std::unique_ptr<Experiment> {
      return std::make_unique<Wait>(values);
    }};

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/experiment.h"

#include <algorithm>

namespace pcmlab {

Result<const CalibrationImages*> RunContext::calibration() const {
  if (ordinal < inputs.calibration.size() && inputs.calibration[ordinal].images.count() > 0) {
    return &inputs.calibration[ordinal];
  }
  return fail(ErrorCode::Internal, "the step has no calibration images");
}

Result<void> RunContext::report_progress(const std::string& phase, const std::string& detail,
                                         std::int64_t done, std::int64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (phase != phase_) {
    phase_ = phase;
    phase_begin_ = now;
  }
  db::ProgressRow row;
  row.activity = detail.empty() ? phase : phase + ", " + detail;
  row.done = done;
  row.total = total;
  if (done > 0) {
    row.eta_s = std::chrono::duration<double>(now - phase_begin_).count() *
                static_cast<double>(total - done) / static_cast<double>(done);
  }
  observer.progress(row);
  constexpr std::chrono::milliseconds kBetweenRows{500};
  if (last_row_ && now - *last_row_ < kBetweenRows) return {};
  last_row_ = now;
  return store.set_progress(run, row);
}

const ExperimentInfo* find_experiment(std::string_view name) {
  const auto all = experiments();
  const auto it = std::find_if(
      all.begin(), all.end(), [&](const ExperimentInfo* info) { return info->table.name == name; });
  return it == all.end() ? nullptr : *it;
}

}  // namespace pcmlab

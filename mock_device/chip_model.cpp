// SPDX-License-Identifier: Apache-2.0
#include "mock_device/chip_model.h"

#include <algorithm>
#include <cmath>

namespace pcmlab::mock {
namespace {

tl::unexpected<Error> bad(std::string_view table, const std::string& what) {
  return fail(ErrorCode::BadFile, "table " + std::string(table) + ": " + what,
              "mend that table of the chip file");
}

Result<void> check(const MeasuredTable& table, std::string_view name, bool wants_spread) {
  if (table.empty() && table.mean.empty() && table.spread.empty()) return {};
  const std::size_t points = table.at.size();
  if (points < 2) return bad(name, "has " + std::to_string(points) + " points, needs 2");
  if (table.mean.size() != points) {
    return bad(name, "has " + std::to_string(points) + " points and " +
                         std::to_string(table.mean.size()) + " means");
  }
  if (table.spread.size() != (wants_spread ? points : 0)) {
    return bad(name, "has " + std::to_string(points) + " points and " +
                         std::to_string(table.spread.size()) + " spreads");
  }
  for (std::size_t i = 0; i < points; ++i) {
    const std::string where = "point " + std::to_string(i + 1) + " ";
    if (!std::isfinite(table.at[i]) || table.at[i] <= 0) {
      return bad(name, where + "is not at a positive number");
    }
    if (i > 0 && table.at[i] <= table.at[i - 1]) {
      return bad(name, where + "does not lie above the one before");
    }
    if (!std::isfinite(table.mean[i])) return bad(name, where + "has no finite mean");
    if (wants_spread && !(std::isfinite(table.spread[i]) && table.spread[i] >= 0)) {
      return bad(name, where + "has a spread that is negative or not finite");
    }
  }
  return {};
}

}  // namespace

Result<void> check(const ChipModel& model) {
  PCM_TRY(check(model.set_step, "set_step", true));
  PCM_TRY(check(model.melt, "melt", false));
  PCM_TRY(check(model.drift, "drift", true));
  PCM_TRY(check(model.noise, "noise", false));
  const PcmParameters& p = model.parameters;
  if (p.melt_full_uA <= p.melt_onset_uA) {
    return fail(ErrorCode::BadFile, "melt_full_uA is not above melt_onset_uA",
                "a full RESET takes more current than the onset of melting");
  }
  if (p.reset_conductance_uS >= p.set_conductance_uS) {
    return fail(ErrorCode::BadFile, "reset_conductance_uS is not below set_conductance_uS",
                "a device conducts better after SET than after RESET");
  }
  const auto& melted_uS = model.melt.mean;
  if (std::adjacent_find(melted_uS.begin(), melted_uS.end(), std::less<>()) != melted_uS.end()) {
    return bad("melt", "conductance rises with the amplitude somewhere");
  }
  if (!melted_uS.empty() && melted_uS.back() < 0) return bad("melt", "has a negative conductance");
  const auto& noise = model.noise.mean;
  if (std::any_of(noise.begin(), noise.end(), [](double q) { return q < 0; })) {
    return bad("noise", "has a negative value");
  }
  return {};
}

}  // namespace pcmlab::mock

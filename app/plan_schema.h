// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a plan may say to this program. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "experiments/engine/plan.h"

namespace pcmlab::app {

/// Sections of the engine and of this program, and all experiments.
PlanSchema app_plan_schema();

/// A plan without steps, for what only its board matters to.
/// \param assignments  "SECTION.KEY=VALUE", the only keys that are not the defaults
/// Errors: BadPlan.
Result<Plan> plan_of_board(const std::vector<std::string>& assignments);

}  // namespace pcmlab::app

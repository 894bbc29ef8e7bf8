// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a plan may say to this program. Pure function.
#pragma once

#include "experiments/engine/plan.h"

namespace pcmlab::app {

/// Sections of the engine and of this program, and all experiments.
PlanSchema app_plan_schema();

}  // namespace pcmlab::app

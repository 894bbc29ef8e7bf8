// SPDX-License-Identifier: Apache-2.0
/// \file
/// Faults of the mock board as a plan names them. Plain functions.
#pragma once

#include <string>

#include "experiments/engine/plan.h"
#include "mock_device/fault_plan.h"
#include "protocol/device_address.h"
#include "protocol/error.h"

namespace pcmlab::app {

/// [faults]: what shall go wrong with chip, board and line. Defaults plan nothing.
ParameterTable faults_section();

/// Errors: BadPlan for what the section's ranges cannot tell: lines that are no whole numbers or
/// outside the array, faults that contradict each other.
Result<mock::FaultPlan> fault_plan(const ParameterValues& faults, ArrayShape shape);

/// "planned faults: seed = 1, lost_replies = 0.02"; empty when nothing is planned.
std::string describe_faults(const ParameterValues& faults);

}  // namespace pcmlab::app

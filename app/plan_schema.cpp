// SPDX-License-Identifier: Apache-2.0
#include "app/plan_schema.h"

#include "app/faults.h"
#include "app/mock.h"
#include "app/tell_settings.h"
#include "experiments/engine/engine.h"

namespace pcmlab::app {

PlanSchema app_plan_schema() {
  return plan_schema({mock_section(), faults_section(), tell_section()});
}

}  // namespace pcmlab::app

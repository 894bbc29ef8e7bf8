// SPDX-License-Identifier: Apache-2.0
#include "app/plan_schema.h"

#include "app/faults.h"
#include "app/mock.h"
#include "app/tell_settings.h"
#include "experiments/engine/engine.h"
#include "experiments/engine/plan_edit.h"

namespace pcmlab::app {

PlanSchema app_plan_schema() {
  return plan_schema({mock_section(), faults_section(), tell_section()});
}

Result<Plan> plan_of_board(const std::vector<std::string>& assignments) {
  std::string text;
  for (const std::string& assignment : assignments) {
    PCM_ASSIGN(text, with_plan_key(text, "--set", assignment));
  }
  Plan plan;
  PCM_ASSIGN(plan.sections, parse_sections(text, "--set", app_plan_schema().sections,
                                           "`pcmlab describe` shows what a plan looks like"));
  return plan;
}

}  // namespace pcmlab::app

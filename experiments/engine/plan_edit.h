// SPDX-License-Identifier: Apache-2.0
/// \file
/// Changes of a plan's text, as if its author had written them: comments stay, and what is stored
/// with the run says what was run. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "protocol/error.h"

namespace pcmlab {

/// "SECTION.KEY=VALUE", or for a [[step]] "step.N.KEY=VALUE" with its number, counted from 1, or
/// "step.EXPERIMENT.KEY=VALUE" if it is the only such experiment. VALUE is TOML;
/// what is none is taken as a text. Replaces the value that the key has, or adds the key, or adds
/// the section. Names and ranges are checked when the plan is parsed.
/// \param source  of the text, for errors
/// Errors: BadPlan, saying what is wrong with the assignment; the text must be TOML.
Result<std::string> with_plan_key(const std::string& text, const std::string& source,
                                  std::string_view assignment);

/// Without the lines of a key, "SECTION.KEY" or "step.N.KEY", and the comment behind its value; as
/// it is if it does not have the key.
/// Errors: BadPlan (the key shares its line with others); the text must be TOML.
Result<std::string> without_plan_key(const std::string& text, const std::string& source,
                                     std::string_view name);

}  // namespace pcmlab

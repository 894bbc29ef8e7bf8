// SPDX-License-Identifier: Apache-2.0
/// \file
/// A plan's text as a person edits it: where a line belongs, and steps that come and go. Pure
/// functions; values are changed by experiments/engine/plan_edit.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/error.h"

namespace pcmlab::gui {

/// A section of a plan, or one of its steps.
struct PlanPart {
  std::string section;   ///< "mock"; "step"
  std::size_t step = 0;  ///< from 1; 0: a section
  bool operator==(const PlanPart&) const = default;
};

struct PlanPlace {
  PlanPart part;
  std::string key;  ///< empty: of the part as a whole
};

/// What a line, counted from 1, says. None: it is before the first section, or behind the end.
std::optional<PlanPlace> place_of_line(const std::string& text, int line);
/// The line that an error of parse_plan() names: "SOURCE:12, step 2 (program): ...".
std::optional<int> line_of_error(const Error& error, const std::string& source);
/// The line on which a part begins, from 1.
std::optional<int> line_of_part(const std::string& text, const PlanPart& part);
/// Its experiments in the order of the steps, as far as lines tell.
std::vector<std::string> steps_of(const std::string& text);

std::string with_step(std::string text, const std::string& experiment);
/// Without the lines from the step's head to the next head; comments above that stay with it.
std::string without_step(const std::string& text, std::size_t step);

}  // namespace pcmlab::gui

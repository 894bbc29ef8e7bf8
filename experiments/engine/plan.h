// SPDX-License-Identifier: Apache-2.0
/// \file
/// A plan file (TOML): what to run, on what, with which settings. Plain values once parsed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/engine/parameter.h"
#include "protocol/error.h"

namespace pcmlab {

/// A named table of parameters: a section of the plan, or an experiment.
struct ParameterTable {
  std::string name;
  std::string summary;
  std::vector<Parameter> parameters;
};

/// Everything a plan may contain. The sections of the engine are plan_sections(); a program adds
/// those of what it brings along, such as [mock].
struct PlanSchema {
  std::vector<ParameterTable> sections;     ///< [run], [board], ...
  std::vector<ParameterTable> experiments;  ///< [[step]] with experiment = "name"
};

/// [run], [board], [network] and [images].
std::vector<ParameterTable> plan_sections();

struct PlanStep {
  std::string experiment;
  ParameterValues values;
};

struct Plan {
  std::string text;   ///< the file as it was, comments included
  std::string round;  ///< which of the runs of a plan with loops: "tolerance_uS = 0.1"
  std::map<std::string, ParameterValues> sections;
  std::vector<PlanStep> steps;

  const ParameterValues& section(const std::string& name) const { return sections.at(name); }
};

/// A TOML file of nothing but sections. Those that it leaves out have their defaults.
/// \param advice  for a file that is not TOML at all
/// Errors: BadPlan, as parse_plan().
Result<std::map<std::string, ParameterValues>> parse_sections(
    const std::string& text, const std::string& source, const std::vector<ParameterTable>& sections,
    const std::string& advice);

/// Errors: BadPlan, naming line, section and key, what would be right, and for a misspelt name the
/// nearest known one.
Result<Plan> parse_plan(std::string text, const std::string& source, const PlanSchema& schema);
/// One run's plan. \param assignments  changes of the text as for with_plan_key(), made before it
/// is parsed. Errors: also NotFound, Io, BadPlan (loops that make several runs), those of
/// with_plan_key().
Result<Plan> load_plan(const std::filesystem::path& file, const PlanSchema& schema,
                       std::span<const std::string> assignments = {});

/// The runs that a plan file stands for: one, or as many as its loops make (plan_loops.h).
/// Errors: as load_plan(), and those of plan_rounds(); of a round, also which it is.
Result<std::vector<Plan>> load_plans(const std::filesystem::path& file, const PlanSchema& schema,
                                     std::span<const std::string> assignments = {});

/// A plan that says nothing but defaults, with every key, unit, range and help as comments.
std::string describe_as_toml(const ParameterTable& table, bool is_experiment);

}  // namespace pcmlab

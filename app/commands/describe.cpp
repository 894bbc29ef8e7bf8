// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/console.h"

namespace pcmlab::app {
namespace {

nlohmann::ordered_json table_json(const ParameterTable& table) {
  nlohmann::ordered_json json{{"name", table.name}, {"summary", table.summary}};
  json["parameters"] = nlohmann::ordered_json::array();
  for (const Parameter& parameter : table.parameters) {
    nlohmann::ordered_json entry{
        {"name", parameter.name}, {"type", type_name(parameter)}, {"unit", parameter.unit}};
    std::visit([&entry](const auto& value) { entry["default"] = value; }, parameter.default_value);
    if (!parameter.choices.empty()) {
      entry["choices"] = parameter.choices;
    } else if (!range_text(parameter).empty()) {
      entry["minimum"] = parameter.minimum;
      entry["maximum"] = parameter.maximum;
    }
    entry["help"] = parameter.help;
    json["parameters"].push_back(std::move(entry));
  }
  return json;
}

Result<void> describe(const Session& session, const std::string& name) {
  const PlanSchema schema = app_plan_schema();
  std::string text;
  auto json = nlohmann::ordered_json::array();
  std::vector<std::string> known;
  for (const auto* tables : {&schema.sections, &schema.experiments}) {
    for (const ParameterTable& table : *tables) {
      known.push_back(table.name);
      if (!name.empty() && table.name != name) continue;
      text += (text.empty() ? "" : "\n") + describe_as_toml(table, tables == &schema.experiments);
      json.push_back(table_json(table));
    }
  }
  if (json.empty()) {
    const std::string nearest = nearest_name(name, known);
    return fail(ErrorCode::BadPlan, fmt::format("there is no experiment or section \"{}\"", name),
                nearest.empty() ? fmt::format("known are: {}", fmt::join(known, ", "))
                                : fmt::format("did you mean \"{}\"?", nearest));
  }
  fmt::print("{}", session.json ? json.dump(2) + "\n" : text);
  return {};
}

}  // namespace

void add_describe(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "describe",
      "Every key of a plan, with default, unit, range and help, as a plan would say it");
  auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "an experiment or a section; all when left out");
  command->callback([&session, name] { session.end(describe(session, *name)); });
}

}  // namespace pcmlab::app

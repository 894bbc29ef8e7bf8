// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "experiments/engine/plan_edit.h"
#include "experiments/engine/plan_loops.h"

namespace pcmlab {
namespace {

/// Where in the file something stands, for error messages.
std::string place(const std::string& source, const toml::source_region& region) {
  return fmt::format("{}:{}", source, region.begin.line);
}

std::vector<std::string> names_of(const std::vector<ParameterTable>& tables) {
  std::vector<std::string> names;
  names.reserve(tables.size());
  for (const ParameterTable& table : tables) names.push_back(table.name);
  return names;
}

const ParameterTable* find(const std::vector<ParameterTable>& tables, std::string_view name) {
  const auto it = std::find_if(tables.begin(), tables.end(),
                               [&](const ParameterTable& table) { return table.name == name; });
  return it == tables.end() ? nullptr : &*it;
}

std::string suggestion(std::string_view wrong, const std::vector<std::string>& known) {
  const std::string nearest = nearest_name(wrong, known);
  if (!nearest.empty()) return fmt::format("did you mean \"{}\"?", nearest);
  return fmt::format("known are: {}", fmt::join(known, ", "));
}

Result<void> check_number(const Parameter& parameter, double value, const std::string& where) {
  if (std::isfinite(value) && value >= parameter.minimum && value <= parameter.maximum) return {};
  return fail(
      ErrorCode::BadPlan,
      fmt::format("{}: {} = {} is outside {}", where, parameter.name, value, range_text(parameter)),
      fmt::format("set {} inside that range; the default is {}", parameter.name,
                  to_toml(parameter.default_value)));
}

tl::unexpected<Error> wrong_type(const Parameter& parameter, const std::string& where) {
  return fail(
      ErrorCode::BadPlan,
      fmt::format("{}: {} must be {} {}", where, parameter.name,
                  type_name(parameter).starts_with('i') ? "an" : "a", type_name(parameter)),
      fmt::format("write for example {} = {}", parameter.name, to_toml(parameter.default_value)));
}

Result<void> check_text(const Parameter& parameter, const std::string& value,
                        const std::string& where) {
  const std::vector<std::string>& choices = parameter.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) {
    return {};
  }
  return fail(ErrorCode::BadPlan,
              fmt::format("{}: {} = \"{}\" is not one of {}", where, parameter.name, value,
                          range_text(parameter)),
              suggestion(value, choices));
}

Result<ParameterValue> read_value(const Parameter& parameter, const toml::node& node,
                                  const std::string& where) {
  if (std::holds_alternative<bool>(parameter.default_value)) {
    if (!node.is_boolean()) return wrong_type(parameter, where);
    return ParameterValue(node.as_boolean()->get());
  }
  if (std::holds_alternative<std::int64_t>(parameter.default_value)) {
    if (!node.is_integer()) return wrong_type(parameter, where);
    const std::int64_t value = node.as_integer()->get();
    PCM_TRY(check_number(parameter, static_cast<double>(value), where));
    return ParameterValue(value);
  }
  if (std::holds_alternative<double>(parameter.default_value)) {
    if (!node.is_number()) return wrong_type(parameter, where);
    const double value = node.value<double>().value();
    PCM_TRY(check_number(parameter, value, where));
    return ParameterValue(value);
  }
  if (std::holds_alternative<std::string>(parameter.default_value)) {
    if (!node.is_string()) return wrong_type(parameter, where);
    std::string value = node.as_string()->get();
    PCM_TRY(check_text(parameter, value, where));
    return ParameterValue(std::move(value));
  }
  if (!node.is_array()) return wrong_type(parameter, where);
  if (std::holds_alternative<std::vector<std::string>>(parameter.default_value)) {
    std::vector<std::string> texts;
    for (const toml::node& element : *node.as_array()) {
      if (!element.is_string()) return wrong_type(parameter, where);
      texts.push_back(element.as_string()->get());
      PCM_TRY(check_text(parameter, texts.back(), where));
    }
    return ParameterValue(std::move(texts));
  }
  std::vector<double> values;
  for (const toml::node& element : *node.as_array()) {
    if (!element.is_number()) return wrong_type(parameter, where);
    values.push_back(element.value<double>().value());
    PCM_TRY(check_number(parameter, values.back(), where));
  }
  return ParameterValue(std::move(values));
}

/// Values of one TOML table against one parameter table; `skip` is a key that was dealt with.
Result<ParameterValues> read_table(const ParameterTable& table, const toml::table& toml,
                                   const std::string& source, const std::string& title,
                                   std::string_view skip) {
  ParameterValues values(table.parameters);
  for (const auto& [key, node] : toml) {
    if (key.str() == skip) continue;
    const std::string where = fmt::format("{}, {}", place(source, key.source()), title);
    const auto it =
        std::find_if(table.parameters.begin(), table.parameters.end(),
                     [&name = key](const Parameter& p) { return p.name == name.str(); });
    if (it == table.parameters.end()) {
      std::vector<std::string> known;
      for (const Parameter& parameter : table.parameters) known.push_back(parameter.name);
      return fail(ErrorCode::BadPlan, fmt::format("{}: there is no key \"{}\"", where, key.str()),
                  suggestion(key.str(), known));
    }
    PCM_ASSIGN(ParameterValue value, read_value(*it, node, where));
    values.set(it->name, std::move(value));
  }
  return values;
}

Result<PlanStep> read_step(const toml::table& toml, const std::string& source, std::size_t number,
                           const PlanSchema& schema) {
  const std::string title = fmt::format("step {}", number);
  const std::string where = fmt::format("{}, {}", place(source, toml.source()), title);
  const auto name = toml["experiment"].value<std::string>();
  const std::vector<std::string> known = names_of(schema.experiments);
  if (!name) {
    return fail(ErrorCode::BadPlan, where + ": no experiment = \"...\" is given",
                fmt::format("name one of: {}", fmt::join(known, ", ")));
  }
  const ParameterTable* table = find(schema.experiments, *name);
  if (table == nullptr) {
    return fail(ErrorCode::BadPlan, fmt::format("{}: there is no experiment \"{}\"", where, *name),
                suggestion(*name, known));
  }
  PCM_ASSIGN(ParameterValues values,
             read_table(*table, toml, source, fmt::format("{} ({})", title, *name), "experiment"));
  return PlanStep{*name, std::move(values)};
}

Result<toml::table> parse_toml(const std::string& text, const std::string& source,
                               const std::string& advice) {
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    return fail(
        ErrorCode::BadPlan,
        fmt::format("{}: not valid TOML: {}", place(source, error.source()), error.description()),
        advice);
  }
}

/// The sections of a file. \param other  a key at the top that is none.
Result<std::map<std::string, ParameterValues>> read_sections(
    const toml::table& toml, const std::string& source, const std::vector<ParameterTable>& sections,
    std::string_view other) {
  std::map<std::string, ParameterValues> values;
  for (const ParameterTable& section : sections) {
    values.emplace(section.name, ParameterValues(section.parameters));
  }
  std::vector<std::string> known = names_of(sections);
  if (!other.empty()) known.emplace_back(other);
  for (const auto& [key, node] : toml) {
    if (key.str() == other) continue;
    const ParameterTable* section = find(sections, key.str());
    if (section == nullptr || !node.is_table()) {
      return fail(
          ErrorCode::BadPlan,
          fmt::format("{}: there is no section \"{}\"", place(source, key.source()), key.str()),
          suggestion(key.str(), known));
    }
    PCM_ASSIGN(values[section->name], read_table(*section, *node.as_table(), source,
                                                 fmt::format("[{}]", section->name), {}));
  }
  return values;
}

}  // namespace

std::vector<ParameterTable> plan_sections() {
  return {
      {"run",
       "What the run is called and who answers for it.",
       {text("name", "", "name of the run in lists and plots"), text("operator", "", "who runs it"),
        text("sample", "", "which chip or sample is on the board"),
        integer("seed", "", 1, 0, 9e15, "seed of everything random on the host")}},
      {"board",
       "Which board to use.",
       {text("kind", "mock",
             "mock: the simulated board inside this program; usb: a board on the USB; replay: a "
             "recorded conversation",
             {"mock", "usb", "replay"}),
        text("serial", "", "with kind = \"usb\": the board's serial number; empty: the only one"),
        integer("usb_vendor", "", 0x1209, 0, 0xFFFF, "with kind = \"usb\": vendor number"),
        integer("usb_product", "", 0x0001, 0, 0xFFFF, "with kind = \"usb\": product number"),
        real("wait_for_board_s", "s", 60, 0, 1e6,
             "how long a run waits for a board that is gone before it fails"),
        text("record", "", "record the conversation with the board to this file, which is made"),
        text("recording", "", "with kind = \"replay\": the file to replay")}},
      {"limits",
       "What a device may bear in the life of its chip, by all runs of this database on a board "
       "and "
       "sample of the same names. No pulse is sent beyond.",
       {integer("pulses_per_device", "pulses", 10'000'000, 0, 1e12,
                "0 = no limit; devices endure 1e8 to 1e9 [M]"),
        real("energy_per_device_uJ", "uJ", 1000, 0, 1e9,
             "current squared x on_resistance_ohm x time of the pulses; 0 = no limit [E]"),
        real("on_resistance_ohm", "ohm", 2000, 1, 1e6, "of a device while it is molten [E]")}},
      {"network",
       "The network whose weights go onto the chip.",
       {text("file", "resnet32-fashion-mnist", "an ONNX file, or the name of a built-in network"),
        texts("digital_layers", {},
              "layers that are not programmed but computed with the network's own weights: their "
              "names, or \"first\" and \"last\"")}},
      {"images",
       "The images on which accuracy is counted.",
       {text("set", "fashion-mnist", "which data set",
             {"fashion-mnist", "mnist", "cifar-10", "cifar-100", "image-folder"}),
        text("folder", "", "where its files are; empty: where Debian's package puts Fashion-MNIST"),
        integer(
            "limit", "images", 0, 0, 1e7,
            "use only the first so many; 0 = all. Of an image-folder: one of each class in turn"),
        integer("shorter_side_px", "px", 256, 1, 10000,
                "of an image-folder: resize the shorter side to this, then cut out the centre"),
        reals("mean", "", {}, 0, 1,
              "of the pixels (0 .. 1), one number a channel; empty: what is usual for the set"),
        reals("std", "", {}, 1e-3, 10, "their standard deviation, likewise")}},
  };
}

Result<std::map<std::string, ParameterValues>> parse_sections(
    const std::string& text, const std::string& source, const std::vector<ParameterTable>& sections,
    const std::string& advice) {
  PCM_ASSIGN(const toml::table toml, parse_toml(text, source, advice));
  return read_sections(toml, source, sections, {});
}

Result<Plan> parse_plan(std::string text, const std::string& source, const PlanSchema& schema) {
  PCM_ASSIGN(
      const toml::table toml,
      parse_toml(text, source, "mend that line; `pcmlab describe` shows what a plan looks like"));
  Plan plan;
  PCM_ASSIGN(plan.sections, read_sections(toml, source, schema.sections, "step"));
  if (const toml::node* node = toml.get("step")) {
    const toml::array* steps = node->as_array();
    if (steps == nullptr || !steps->is_array_of_tables()) {
      return fail(ErrorCode::BadPlan,
                  place(source, node->source()) + ": step is not a list of tables",
                  "write each step under a line of its own that says [[step]]");
    }
    for (std::size_t i = 0; i < steps->size(); ++i) {
      PCM_ASSIGN(PlanStep step, read_step(*steps->get(i)->as_table(), source, i + 1, schema));
      plan.steps.push_back(std::move(step));
    }
  }
  if (plan.steps.empty()) {
    return fail(ErrorCode::BadPlan, source + ": the plan has no [[step]]",
                fmt::format("add a [[step]] with experiment = one of: {}",
                            fmt::join(names_of(schema.experiments), ", ")));
  }
  plan.text = std::move(text);
  return plan;
}

Result<std::vector<Plan>> load_plans(const std::filesystem::path& file, const PlanSchema& schema,
                                     std::span<const std::string> assignments) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) {
    return fail(ErrorCode::NotFound, fmt::format("cannot open the plan {}", file.string()),
                "check the path; `pcmlab describe` shows what a plan looks like");
  }
  std::ostringstream text;
  text << in.rdbuf();
  if (in.bad()) {
    return fail(ErrorCode::Io, fmt::format("reading the plan {} failed", file.string()),
                "check the disk");
  }
  std::string changed = std::move(text).str();
  for (const std::string& assignment : assignments) {
    PCM_ASSIGN(changed, with_plan_key(changed, file.string(), assignment));
  }
  // The lines of errors are those of the changed text.
  const std::string source = assignments.empty() ? file.string() : file.string() + " with --set";
  PCM_ASSIGN(std::vector<PlanRound> rounds, plan_rounds(changed, source));
  std::vector<Plan> plans;
  plans.reserve(rounds.size());
  for (PlanRound& round : rounds) {
    auto plan = parse_plan(std::move(round.text), source, schema);
    if (!plan) {
      return tl::unexpected(round.name.empty()
                                ? plan.error()
                                : plan.error().during(fmt::format("the run with {}", round.name)));
    }
    plan->round = std::move(round.name);
    plans.push_back(std::move(*plan));
  }
  return plans;
}

Result<Plan> load_plan(const std::filesystem::path& file, const PlanSchema& schema,
                       std::span<const std::string> assignments) {
  PCM_ASSIGN(std::vector<Plan> plans, load_plans(file, schema, assignments));
  if (plans.size() == 1) return std::move(plans.front());
  return fail(
      ErrorCode::BadPlan,
      fmt::format("{} stands for {} runs, and one is wanted here", file.string(), plans.size()),
      "pcmlab queue add takes all of them, and pcmlab queue run works them off");
}

std::string describe_as_toml(const ParameterTable& table, bool is_experiment) {
  std::string out = fmt::format("# {}\n", table.summary);
  out += is_experiment ? fmt::format("[[step]]\nexperiment = \"{}\"\n", table.name)
                       : fmt::format("[{}]\n", table.name);
  for (const Parameter& parameter : table.parameters) {
    const std::string range = range_text(parameter);
    out += fmt::format("{} = {}\n    # {}{}{}\n", parameter.name, to_toml(parameter.default_value),
                       parameter.help, range.empty() ? "" : "; ", range);
  }
  return out;
}

}  // namespace pcmlab

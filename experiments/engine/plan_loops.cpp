// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/plan_loops.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "experiments/engine/parameter.h"
#include "experiments/engine/plan_edit.h"

namespace pcmlab {
namespace {

struct Assignment {
  std::string key;
  std::string value;  ///< TOML
};

/// One loop: for each of its values what it sets.
struct Loop {
  std::vector<std::vector<Assignment>> turns;
  toml::source_index first_line = 0, last_line = 0;  ///< of its text
};

tl::unexpected<Error> wrong(const std::string& source, const toml::node& node,
                            const std::string& what) {
  return fail(
      ErrorCode::BadPlan,
      fmt::format("{}:{}, [[loop]]: {}", source, node.source().begin.line, what),
      "write key = \"SECTION.KEY\" or \"step.N.KEY\" and values = [...], or keys = [...] and "
      "values = [[...], ...] with a value for each of them");
}

std::string as_toml(const toml::node& node) {
  if (const auto* const text = node.as_string()) return to_toml(ParameterValue(text->get()));
  if (const auto* const number = node.as_floating_point()) {
    const std::string text = fmt::format("{}", number->get());  // the shortest that is the same
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  if (const toml::array* const array = node.as_array()) {
    std::vector<std::string> elements;
    for (const toml::node& element : *array) elements.push_back(as_toml(element));
    return fmt::format("[{}]", fmt::join(elements, ", "));
  }
  std::ostringstream out;
  node.visit([&out](const auto& value) { out << value; });
  return std::move(out).str();
}

toml::source_index last_line(const toml::node& node) {
  toml::source_index last = node.source().end.line;
  if (const toml::table* const table = node.as_table()) {
    for (const auto& [key, value] : *table) last = std::max(last, last_line(value));
  }
  return last;
}

Result<std::vector<std::string>> keys_of(const toml::table& loop, const std::string& source) {
  std::vector<std::string> keys;
  if (const auto key = loop["key"].value<std::string>()) keys.push_back(*key);
  if (const toml::array* const all = loop["keys"].as_array()) {
    for (const toml::node& key : *all) {
      if (!key.is_string()) return wrong(source, key, "keys must be texts");
      keys.push_back(key.as_string()->get());
    }
  }
  if (keys.empty() || (loop.contains("key") && loop.contains("keys"))) {
    return wrong(source, loop, "it must have either key or keys");
  }
  return keys;
}

Result<Loop> read_loop(const toml::table& table, const std::string& source) {
  PCM_ASSIGN(const auto keys, keys_of(table, source));
  for (const auto& [key, node] : table) {
    if (key.str() != "key" && key.str() != "keys" && key.str() != "values") {
      return wrong(source, node, fmt::format("there is no key \"{}\"", key.str()));
    }
  }
  const toml::array* const values = table["values"].as_array();
  if (values == nullptr || values->empty()) return wrong(source, table, "it has no values = [...]");
  Loop loop;
  loop.first_line = table.source().begin.line;
  loop.last_line = last_line(table);
  const bool one_key = table.contains("key");
  for (const toml::node& value : *values) {
    std::vector<Assignment> turn;
    if (one_key) {
      turn.push_back({keys.front(), as_toml(value)});
    } else {
      const toml::array* const row = value.as_array();
      if (row == nullptr || row->size() != keys.size()) {
        return wrong(source, value,
                     fmt::format("each of values must be a list of {}", keys.size()));
      }
      for (std::size_t k = 0; k < keys.size(); ++k) turn.push_back({keys[k], as_toml((*row)[k])});
    }
    loop.turns.push_back(std::move(turn));
  }
  return loop;
}

Result<std::vector<Loop>> read_loops(const std::string& text, const std::string& source) {
  std::vector<Loop> loops;
  try {
    const toml::table toml = toml::parse(text, source);
    const toml::node* const node = toml.get("loop");
    if (node == nullptr) return loops;
    const toml::array* const all = node->as_array();
    if (all == nullptr || !all->is_array_of_tables()) {
      return wrong(source, *node, "loop is not a list of tables");
    }
    for (const toml::node& table : *all) {
      PCM_ASSIGN(Loop loop, read_loop(*table.as_table(), source));
      loops.push_back(std::move(loop));
    }
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::BadPlan,
                fmt::format("{}:{}: not valid TOML: {}", source, error.source().begin.line,
                            error.description()),
                "mend that line; `pcmlab describe` shows what a plan looks like");
  }
  return loops;
}

/// The text with the lines of the loops made comments; lines keep their numbers.
std::string without_loops(const std::string& text, const std::vector<Loop>& loops) {
  std::istringstream in(text);
  std::string out, line;
  for (toml::source_index number = 1; std::getline(in, line); ++number) {
    const bool in_loop = std::any_of(loops.begin(), loops.end(), [number](const Loop& loop) {
      return loop.first_line <= number && number <= loop.last_line;
    });
    if (in_loop) out += "# ";
    out += line;
    out += '\n';
  }
  return out;
}

/// The value as people would say it: without quotes.
std::string spoken(const std::string& value) {
  if (value.size() >= 2 && value.front() == '"') {
    return value.substr(1, value.size() - 2);
  }
  return value;
}

std::string name_of_run(const std::string& text) {
  return toml::parse(text)["run"]["name"].value_or(std::string());
}

/// "tolerance_uS" of "step.program.tolerance_uS", unless another one ends in the same.
std::string spoken_key(const std::string& key, const std::vector<Assignment>& assignments) {
  const auto end_of = [](const std::string& whole) { return whole.substr(whole.rfind('.') + 1); };
  const auto same_end =
      std::count_if(assignments.begin(), assignments.end(),
                    [&](const Assignment& other) { return end_of(other.key) == end_of(key); });
  return same_end == 1 ? end_of(key) : key;
}

Result<PlanRound> make_round(const std::string& text, const std::string& source,
                             const std::vector<Assignment>& assignments) {
  PlanRound round{text, {}};
  bool names_the_run = false;
  for (const Assignment& assignment : assignments) {
    PCM_ASSIGN(round.text, with_plan_key(round.text, source,
                                         fmt::format("{}={}", assignment.key, assignment.value)));
    if (!round.name.empty()) round.name += ", ";
    round.name +=
        fmt::format("{} = {}", spoken_key(assignment.key, assignments), spoken(assignment.value));
    names_the_run = names_the_run || assignment.key == "run.name";
  }
  if (names_the_run) return round;
  const std::string name = name_of_run(text);
  PCM_ASSIGN(round.text, with_plan_key(round.text, source,
                                       fmt::format("run.name={}{}{}", name,
                                                   name.empty() ? "" : ": ", round.name)));
  return round;
}

}  // namespace

Result<std::vector<PlanRound>> plan_rounds(const std::string& text, const std::string& source) {
  PCM_ASSIGN(const std::vector<Loop> loops, read_loops(text, source));
  if (loops.empty()) return std::vector<PlanRound>{{text, {}}};
  std::size_t count = 1;
  for (const Loop& loop : loops) {
    count *= loop.turns.size();
    if (count > kMostRounds) {
      return fail(ErrorCode::BadPlan,
                  fmt::format("{}: its loops make more than {} runs", source, kMostRounds),
                  "shorten the lists of values");
    }
  }
  const std::string plain = without_loops(text, loops);
  std::vector<PlanRound> rounds;
  for (std::size_t number = 0; number < count; ++number) {
    std::vector<Assignment> assignments;
    std::size_t inner = count, rest = number;
    for (const Loop& loop : loops) {
      inner /= loop.turns.size();
      const auto& turn = loop.turns[rest / inner];
      assignments.insert(assignments.end(), turn.begin(), turn.end());
      rest %= inner;
    }
    PCM_ASSIGN(PlanRound round, make_round(plain, source, assignments));
    rounds.push_back(std::move(round));
  }
  return rounds;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/plan_edit.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>
#include <vector>

namespace pcmlab {
namespace {

struct Assignment {
  std::string section;
  std::size_t step = 0;    ///< from 1; 0 = a section, or not known yet
  std::string experiment;  ///< instead of the step's number
  std::string key;
  std::string value;  ///< TOML
};

bool is_bare_key(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
}

tl::unexpected<Error> malformed(std::string_view assignment) {
  return fail(ErrorCode::BadPlan,
              fmt::format("--set {}: this is not SECTION.KEY=VALUE", assignment),
              "write for example --set mock.seed=7 or --set step.1.tolerance_uS=0.3");
}

/// The value as TOML: as it is when it is one and nothing else, or as a quoted text.
std::string as_toml(std::string_view value) {
  const bool one_line = std::none_of(value.begin(), value.end(), [](unsigned char c) {
    return c == '#' || std::iscntrl(c) != 0;  // a comment or a line's end would go beyond the value
  });
  if (one_line) {
    try {
      if (toml::parse(fmt::format("x = {}", value)).size() == 1) return std::string(value);
    } catch (const toml::parse_error&) {
    }
  }
  std::string quoted = "\"";
  for (const char c : value) {
    if (std::iscntrl(static_cast<unsigned char>(c)) != 0) {
      quoted += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
      continue;
    }
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

Result<Assignment> parse_assignment(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return malformed(text);
  std::string_view name = text.substr(0, equals);
  Assignment assignment;
  assignment.value = as_toml(text.substr(equals + 1));
  std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) return malformed(text);
  assignment.section = name.substr(0, dot);
  name.remove_prefix(dot + 1);
  if (assignment.section == "step") {
    dot = name.find('.');
    if (dot == std::string_view::npos) return malformed(text);
    const std::string_view number = name.substr(0, dot);
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), assignment.step);
    if (error != std::errc() || end != number.data() + number.size()) {
      if (!is_bare_key(number) || std::isdigit(static_cast<unsigned char>(number.front())) != 0) {
        return malformed(text);
      }
      assignment.experiment = number;
    } else if (assignment.step == 0) {
      return malformed(text);
    }
    name.remove_prefix(dot + 1);
  }
  assignment.key = name;
  if (!is_bare_key(assignment.section) || !is_bare_key(assignment.key)) return malformed(text);
  return assignment;
}

/// Byte offset of a position; toml++ counts lines and, in them, code points from 1.
std::size_t offset_of(std::string_view text, toml::source_position position) {
  std::size_t at = 0;
  for (toml::source_index line = 1; line < position.line; ++line) {
    at = text.find('\n', at);
    if (at == std::string_view::npos) return text.size();
    ++at;
  }
  for (toml::source_index column = 1; column < position.column && at < text.size(); ++column) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U) ++at;
  }
  return at;
}

/// The start of the line after a position.
std::size_t next_line(std::string& text, toml::source_position position) {
  const std::size_t end = text.find('\n', offset_of(text, position));
  if (end != std::string::npos) return end + 1;
  text += '\n';
  return text.size();
}

/// The number of the only step that is such an experiment.
Result<std::size_t> step_of(const toml::array* steps, std::string_view experiment,
                            std::string_view assignment, const std::string& source) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; steps != nullptr && i < steps->size(); ++i) {
    const toml::table* const step = steps->get_as<toml::table>(i);
    if (step != nullptr && (*step)["experiment"].value<std::string_view>() == experiment) {
      found.push_back(i + 1);
    }
  }
  if (found.size() == 1) return found.front();
  return fail(ErrorCode::BadPlan,
              fmt::format("--set {}: the plan {} has {} step with experiment = \"{}\"", assignment,
                          source, found.empty() ? "no" : "more than one", experiment),
              "name the step by its number, counted from 1");
}

/// The table that an assignment changes, if it is there.
template <class Table>
Table* table_of(Table& toml, const Assignment& assignment) {
  if (assignment.step == 0) return toml.template get_as<toml::table>(assignment.section);
  auto* steps = toml.template get_as<toml::array>("step");
  return steps == nullptr ? nullptr : steps->template get_as<toml::table>(assignment.step - 1);
}

Result<toml::table> parse_text(const std::string& text, const std::string& source) {
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::BadPlan,
                fmt::format("{}:{}: not valid TOML: {}", source, error.source().begin.line,
                            error.description()),
                "mend that line; `pcmlab describe` shows what a plan looks like");
  }
}

std::string printed(const toml::table& toml) {
  std::ostringstream words;
  words << toml;
  return words.str();
}

std::string edited(std::string text, const toml::table* section, const Assignment& assignment) {
  const std::string line = fmt::format("{} = {}\n", assignment.key, assignment.value);
  if (section == nullptr) {
    if (!text.empty() && text.back() != '\n') text += '\n';
    return text + fmt::format("\n[{}]\n{}", assignment.section, line);
  }
  if (const toml::node* value = section->get(assignment.key)) {
    const std::size_t begin = offset_of(text, value->source().begin);
    const std::size_t end = offset_of(text, value->source().end);
    return text.replace(begin, end - begin, assignment.value);
  }
  return text.insert(next_line(text, section->source().begin), line);
}

/// Whether the text has what the assignment says where it says it.
bool says(const std::string& text, const Assignment& assignment) {
  try {
    const toml::table changed = toml::parse(text);
    const toml::table wanted = toml::parse(fmt::format("x = {}", assignment.value));
    const toml::table* section = table_of(changed, assignment);
    const toml::node* value = section == nullptr ? nullptr : section->get(assignment.key);
    if (value == nullptr) return false;
    return printed(toml::table{{"x", *value}}) == printed(wanted);
  } catch (const toml::parse_error&) {
    return false;
  }
}

}  // namespace

Result<std::string> with_plan_key(const std::string& text, const std::string& source,
                                  std::string_view assignment_text) {
  PCM_ASSIGN(Assignment assignment, parse_assignment(assignment_text));
  PCM_ASSIGN(const toml::table toml, parse_text(text, source));
  const toml::array* steps = toml.get_as<toml::array>("step");
  if (!assignment.experiment.empty()) {
    PCM_ASSIGN(assignment.step, step_of(steps, assignment.experiment, assignment_text, source));
  }
  const std::size_t count = steps == nullptr ? 0 : steps->size();
  if (assignment.step > count) {
    return fail(ErrorCode::BadPlan,
                fmt::format("--set {}: the plan {} has {} steps", assignment_text, source, count),
                "steps are counted from 1");
  }
  std::string changed = edited(text, table_of(toml, assignment), assignment);
  if (says(changed, assignment)) return changed;
  return fail(ErrorCode::BadPlan,
              fmt::format("--set {}: {} writes this section in a way that cannot be added to",
                          assignment_text, source),
              fmt::format("write the section as lines under [{}], or set the key in the plan",
                          assignment.section));
}

Result<std::string> without_plan_key(const std::string& text, const std::string& source,
                                     std::string_view name) {
  PCM_ASSIGN(const Assignment assignment, parse_assignment(fmt::format("{}=0", name)));
  PCM_ASSIGN(toml::table toml, parse_text(text, source));
  toml::table* section = table_of(toml, assignment);
  const toml::node* value = section == nullptr ? nullptr : section->get(assignment.key);
  if (value == nullptr) return text;
  std::string changed = text;
  const std::size_t end = next_line(changed, value->source().end);
  const std::size_t before = changed.rfind('\n', offset_of(changed, value->source().begin));
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  changed.erase(begin, end - begin);
  section->erase(assignment.key);
  const Result<toml::table> left = parse_text(changed, source);
  if (left && printed(*left) == printed(toml)) return changed;
  return fail(ErrorCode::BadPlan, fmt::format("{}: {} shares its line with others", source, name),
              "take it out of the text by hand");
}

}  // namespace pcmlab

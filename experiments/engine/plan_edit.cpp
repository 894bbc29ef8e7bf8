// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/plan_edit.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

namespace pcmlab {
namespace {

struct Assignment {
  std::string section;
  std::size_t step = 0;  ///< from 1; 0 = a section
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

/// The value as TOML: as it is when it is one, else as a quoted text.
std::string as_toml(std::string_view value) {
  const auto parsed = [](std::string_view text) {
    try {
      const toml::table table = toml::parse(fmt::format("x = {}", text));
      return table.size() == 1;
    } catch (const toml::parse_error&) {
      return false;
    }
  };
  if (parsed(value)) return std::string(value);
  std::string quoted = "\"";
  for (const char c : value) {
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
    if (error != std::errc() || end != number.data() + number.size() || assignment.step == 0) {
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

}  // namespace

Result<std::string> with_plan_key(const std::string& text, const std::string& source,
                                  std::string_view assignment_text) {
  PCM_ASSIGN(const Assignment assignment, parse_assignment(assignment_text));
  std::optional<toml::table> toml;
  try {
    toml = toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::BadPlan,
                fmt::format("{}:{}: not valid TOML: {}", source, error.source().begin.line,
                            error.description()),
                "mend that line; `pcmlab describe` shows what a plan looks like");
  }
  const toml::table* section = nullptr;
  if (assignment.step == 0) {
    section = toml->get_as<toml::table>(assignment.section);
  } else {
    const toml::array* steps = toml->get_as<toml::array>("step");
    const std::size_t count = steps == nullptr ? 0 : steps->size();
    if (assignment.step > count) {
      return fail(ErrorCode::BadPlan,
                  fmt::format("--set {}: the plan {} has {} steps", assignment_text, source, count),
                  "steps are counted from 1");
    }
    section = steps->get_as<toml::table>(assignment.step - 1);
  }
  const std::string line = fmt::format("{} = {}\n", assignment.key, assignment.value);
  std::string changed = text;
  if (section == nullptr) {
    if (!changed.empty() && changed.back() != '\n') changed += '\n';
    return changed + fmt::format("\n[{}]\n{}", assignment.section, line);
  }
  if (const toml::node* value = section->get(assignment.key)) {
    const std::size_t begin = offset_of(text, value->source().begin);
    const std::size_t end = offset_of(text, value->source().end);
    return changed.replace(begin, end - begin, assignment.value);
  }
  return changed.insert(next_line(changed, section->source().begin), line);
}

}  // namespace pcmlab

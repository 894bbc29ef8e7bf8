// SPDX-License-Identifier: Apache-2.0
#include "app/gui/plan_text.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string_view>

namespace pcmlab::gui {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// "[mock]" as "mock", "[[step]]" as "step"; empty: no head.
std::string_view head_of(std::string_view line) {
  line = trimmed(line);
  const std::size_t open = line.starts_with("[[") ? 2 : 1;
  const std::size_t close = line.find(']');
  if (!line.starts_with('[') || close == std::string_view::npos) return {};
  return trimmed(line.substr(open, close - open));
}

std::string_view key_of(std::string_view line) {
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos || trimmed(line).starts_with('#')) return {};
  return trimmed(line.substr(0, equals));
}

/// A value between quotes.
std::string_view quoted(std::string_view line) {
  const std::size_t open = line.find_first_of("\"'");
  if (open == std::string_view::npos) return {};
  const std::size_t close = line.find(line[open], open + 1);
  return close == std::string_view::npos ? std::string_view()
                                         : line.substr(open + 1, close - open - 1);
}

}  // namespace

std::optional<PlanPlace> place_of_line(const std::string& text, int line) {
  const auto lines = lines_of(text);
  if (line < 1 || static_cast<std::size_t>(line) > lines.size()) return std::nullopt;
  std::optional<PlanPlace> place;
  std::size_t steps = 0;
  for (int i = 0; i < line; ++i) {
    const std::string_view each = lines[static_cast<std::size_t>(i)];
    const std::string_view head = head_of(each);
    if (head.empty()) continue;
    if (head == "step") ++steps;
    place = PlanPlace{{std::string(head), head == "step" ? steps : 0}, {}};
  }
  if (place) place->key = key_of(lines[static_cast<std::size_t>(line - 1)]);
  return place;
}

std::optional<int> line_of_error(const Error& error, const std::string& source) {
  const std::size_t at = error.message.find(source + ":");
  if (at == std::string::npos) return std::nullopt;
  int line = 0;
  const char* begin = error.message.data() + at + source.size() + 1;
  const auto [end, wrong] =
      std::from_chars(begin, error.message.data() + error.message.size(), line);
  if (wrong != std::errc() || end == begin) return std::nullopt;
  return line;
}

std::optional<int> line_of_part(const std::string& text, const PlanPart& part) {
  const auto lines = lines_of(text);
  std::size_t steps = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string_view head = head_of(lines[i]);
    if (head == "step") ++steps;
    if (head == part.section && (part.step == 0 || part.step == steps)) {
      return static_cast<int>(i) + 1;
    }
  }
  return std::nullopt;
}

std::vector<std::string> steps_of(const std::string& text) {
  std::vector<std::string> steps;
  bool in_step = false;
  for (const std::string_view line : lines_of(text)) {
    const std::string_view head = head_of(line);
    if (!head.empty()) {
      in_step = head == "step";
      if (in_step) steps.emplace_back();
    } else if (in_step && key_of(line) == "experiment") {
      steps.back() = quoted(line);
    }
  }
  return steps;
}

std::string with_step(std::string text, const std::string& experiment) {
  if (!text.empty() && text.back() != '\n') text += '\n';
  text.append("\n[[step]]\nexperiment = \"").append(experiment).append("\"\n");
  return text;
}

std::string without_step(const std::string& text, std::size_t step) {
  const auto lines = lines_of(text);
  const auto begin = line_of_part(text, {"step", step});
  if (!begin) return text;
  auto first = static_cast<std::size_t>(*begin) - 1;
  std::size_t last = first + 1;
  while (last < lines.size() && head_of(lines[last]).empty()) ++last;
  if (last < lines.size()) {
    // What stands right above the next head is said of it.
    while (last > first + 1 && trimmed(lines[last - 1]).starts_with('#')) --last;
  } else {
    while (first > 0 && trimmed(lines[first - 1]).empty()) --first;
  }
  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i < first || i >= last) out.append(lines[i]).push_back('\n');
  }
  return out;
}

}  // namespace pcmlab::gui

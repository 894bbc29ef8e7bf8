// SPDX-License-Identifier: Apache-2.0
#include "app/plot_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace pcmlab::app {
namespace {

/// Length of the UTF-8 character that text starts with; 0 if there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first < 0x80                     ? 1
                             : first >= 0xC2 && first < 0xE0  ? 2
                             : first >= 0xE0 && first < 0xF0  ? 3
                             : first >= 0xF0 && first <= 0xF4 ? 4
                                                              : 0;
  if (length == 0 || length > text.size()) {
    return 0;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) {
      return 0;
    }
  }
  return length;
}

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string clean;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      clean += '?';
    } else if (length == 1 && (static_cast<unsigned char>(text[0]) < 0x20 || text[0] == 0x7F)) {
      clean += ' ';
    } else {
      clean += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return clean;
}

std::string gnuplot_string(std::string_view text) {
  std::string out = "\"";
  bool behind_octal = false;
  for (const char c : one_line(text)) {
    const bool digit = c >= '0' && c <= '9';
    const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == ' ';
    if (letter || (digit && !behind_octal)) {
      out += c;
      behind_octal = false;
    } else {
      // A digit behind it is octal too: gnuplot would take it as a part of the number.
      fmt::format_to(std::back_inserter(out), "\\{:03o}", static_cast<unsigned char>(c));
      behind_octal = true;
    }
  }
  out += '"';
  return out;
}

std::string shortened(std::string_view text, std::size_t columns) {
  if (columns_of(text) <= columns) {
    return std::string(text);
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i + 1 < columns; ++i) {
    bytes += std::max<std::size_t>(utf8_length(text.substr(bytes)), 1);
  }
  return std::string(text.substr(0, bytes)) + "…";
}

std::vector<std::string> wrapped(std::string_view text, std::size_t columns,
                                 std::size_t most_lines) {
  const std::string clean = one_line(text);
  std::vector<std::string> lines;
  std::string_view rest = clean;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (word.empty()) {
      continue;
    }
    const bool fits = !lines.empty() && columns_of(lines.back()) + 1 + columns_of(word) <= columns;
    if (fits || lines.size() == most_lines) {
      lines.back() += ' ';
      lines.back() += word;
    } else {
      lines.emplace_back(word);
    }
  }
  for (std::string& line : lines) {
    line = shortened(line, columns);
  }
  return lines;
}

std::string grouped(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (std::size_t i = digits.size(); i > 3; i -= 3) {
    digits.insert(i - 3, "\u2009");
  }
  return digits;
}

}  // namespace pcmlab::app

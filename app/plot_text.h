// SPDX-License-Identifier: Apache-2.0
/// \file
/// Text for plots: made safe for gnuplot, cut and broken to fit. UTF-8. Plain functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pcmlab::app {

/// Text that can be drawn on one line: control characters become spaces, broken UTF-8 '?'.
std::string one_line(std::string_view text);

/// The text as a gnuplot string constant. All but letters, digits and spaces is written in octal,
/// so that neither quotes nor backquotes, macros or escapes in it mean anything.
std::string gnuplot_string(std::string_view text);

/// At most `columns` characters, ending in an ellipsis where something was cut.
std::string shortened(std::string_view text, std::size_t columns);

/// Breaks at spaces; lines too long are shortened.
std::vector<std::string> wrapped(std::string_view text, std::size_t columns,
                                 std::size_t most_lines);

/// 86400 as "86 400", with thin spaces.
std::string grouped(double value);

}  // namespace pcmlab::app

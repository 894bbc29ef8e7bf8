// SPDX-License-Identifier: Apache-2.0
/// \file
/// When a retention run reads. Pure functions.
#pragma once

#include <vector>

namespace pcmlab {

enum class Spacing {
  Log,    ///< the same ratio between any two time points
  Linear  ///< the same time
};

/// Times in seconds after the end of programming, ascending from first to last, both included.
/// \param count  at least 1; 1 gives only `first_s`.
std::vector<double> spaced_s(double first_s, double last_s, int count, Spacing spacing);

/// The time points of a step `retention`, ascending: those that it names, else spaced ones.
std::vector<double> time_points_s(std::vector<double> times_s, double first_s, double last_s,
                                  int count, Spacing spacing);

}  // namespace pcmlab

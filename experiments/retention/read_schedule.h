// SPDX-License-Identifier: Apache-2.0
/// \file
/// When a retention run reads. Pure functions.
#pragma once

#include <vector>

namespace pcmlab {

/// Times in seconds after the end of programming, ascending, log-spaced from first to last, both
/// included. \param count  at least 1; 1 gives only `first_s`.
std::vector<double> log_spaced_s(double first_s, double last_s, int count);

}  // namespace pcmlab

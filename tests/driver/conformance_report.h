// SPDX-License-Identifier: Apache-2.0
/// \file
/// What tests of the conformance checks ask of a report.
#pragma once

#include <string>
#include <vector>

#include "driver/conformance/conformance.h"

namespace pcmlab::conformance {

/// The checks with this verdict.
inline std::vector<std::string> ids(const Report& report, Verdict verdict) {
  std::vector<std::string> found;
  for (const Outcome& outcome : report.outcomes) {
    if (outcome.verdict == verdict) found.push_back(outcome.check.id);
  }
  return found;
}

/// The failed checks, as a text.
inline std::string failures(const Report& report) {
  std::string all;
  for (const Outcome& outcome : report.outcomes) {
    if (outcome.verdict != Verdict::Failed) continue;
    all += outcome.check.id + ": expected " + outcome.expected + "; came " + outcome.found + "\n";
  }
  return all;
}

}  // namespace pcmlab::conformance

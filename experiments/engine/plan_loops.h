// SPDX-License-Identifier: Apache-2.0
/// \file
/// Plans that stand for several runs: each [[loop]] gives one or several keys one value after
/// another. Pure functions.
///
///     [[loop]]
///     key = "step.2.tolerance_uS"
///     values = [0.1, 0.25, 0.5]
///
///     [[loop]]                                  # inside the first: three times two runs
///     keys = ["network.file", "images.set"]
///     values = [["mlp.onnx", "mnist"], ["lenet.onnx", "fashion-mnist"]]
#pragma once

#include <string>
#include <vector>

#include "protocol/error.h"

namespace pcmlab {

/// One run of a plan with loops.
struct PlanRound {
  /// The plan as if its author had written it for this run alone: loops are comments, and the run's
  /// name says which it is.
  std::string text;
  std::string name;  ///< "tolerance_uS = 0.1, file = mlp.onnx"; "" without loops
};

/// The rounds in the order of the runs, the last loop being the innermost; a plan without loops is
/// one round. Keys, types and ranges of what the loops set are checked when a round is parsed.
/// \param source  of the text, for errors
/// Errors: BadPlan (a loop that is none, more than kMostRounds rounds, a text that is not TOML).
Result<std::vector<PlanRound>> plan_rounds(const std::string& text, const std::string& source);

constexpr std::size_t kMostRounds = 10'000;

}  // namespace pcmlab

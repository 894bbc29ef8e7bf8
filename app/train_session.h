// SPDX-License-Identifier: Apache-2.0
/// \file
/// The two things that `pcmlab-train` does. Called from the main thread, results on standard
/// output.
#pragma once

#include <filesystem>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "experiments/network/training/settings.h"
#include "protocol/error.h"

namespace pcmlab::app {

/// The command line.
struct TrainOptions {
  std::string program;
  std::filesystem::path out;
  bool resume = false;
  int threads = 0;
  bool quiet = false;
  std::vector<std::string> evaluate;
  std::vector<double> etas;
  std::filesystem::path evaluated_model;
  int draws = 5;
  bool json = false;
  std::filesystem::path csv;
  std::map<std::string, ParameterValue> given;  ///< training parameters
};

/// Trains into a folder, or goes on there; then network.onnx and its evaluation.
Result<void> train_and_export(const TrainOptions& options, const std::stop_token& stop);

/// Accuracy of networks with and without noise.
Result<void> evaluate_files(const TrainOptions& options, const std::stop_token& stop);

}  // namespace pcmlab::app

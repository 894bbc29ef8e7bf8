// SPDX-License-Identifier: Apache-2.0
/// \file
/// What trained networks are worth: with noise on their weights, and read back from their file.
/// Free functions; a call has threads of its own.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "experiments/network/dataset.h"
#include "experiments/network/inference.h"
#include "experiments/network/training/gradients.h"
#include "experiments/network/training/weight_noise.h"

namespace pcmlab::training {

/// Accuracy of one network under one noise.
struct NoisyAccuracy {
  std::string network;
  std::optional<double> trained_with;  ///< eta of its training, if its file says so
  std::string noise;                   ///< "none", "eta 0.038", or a noise model's name
  double eta = 0;
  std::vector<double> draws;  ///< accuracy of 1, one for each draw of all weights

  double mean() const;
  /// Standard deviation of the draws (divided by n - 1); 0 for a single one.
  double deviation() const;
};

struct EvaluationSettings {
  std::vector<double> etas;  ///< besides no noise at all
  std::optional<NoiseModel> model;
  int draws = 5;
  std::uint64_t seed = 1;
  Precision precision = fastest_precision();
};

/// \param done  told each result as it is there. Errors: Stopped, and those of InferenceEngine.
Result<std::vector<NoisyAccuracy>> evaluate_noise(
    const Network& network, const Dataset& images, const EvaluationSettings& settings,
    const std::function<void(const NoisyAccuracy&)>& done, const std::stop_token& stop);

/// What a network's file gives, beside what was trained.
struct Verification {
  std::size_t compared = 0;        ///< images whose logits were compared
  double largest_logit = 0;        ///< magnitude
  double float32_difference = 0;   ///< largest, of logits
  double bfloat16_difference = 0;  ///< 0 where the CPU has no bfloat16
  double float32_accuracy = 0;     ///< of 1, all test images
  std::optional<double> bfloat16_accuracy;
};

/// Writes a network as an ONNX file, reads it back, and compares it with what `engine` computes.
/// Errors: DiskFull, Io, Internal (logits that differ by more than a thousandth of the largest;
/// the file stays for a look).
Result<Verification> write_verified(const Network& network, const std::filesystem::path& file,
                                    GradientEngine& engine, const Dataset& test);

/// Metadata key under which a network's file has its training's settings, as TOML.
constexpr const char* kSettingsKey = "pcmlab.training";

}  // namespace pcmlab::training

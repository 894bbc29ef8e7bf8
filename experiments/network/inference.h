// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs a network on images with oneDNN. One engine is used by one thread; it runs its kernels on
/// the machine's cores itself.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "experiments/network/dataset.h"
#include "experiments/network/network.h"
#include "protocol/error.h"

namespace pcmlab {

enum class Precision { Float32, Bfloat16 };
std::string_view to_string(Precision precision);

/// bfloat16 where the CPU has instructions for it, else float32.
Precision fastest_precision();

/// A network ready to run: kernels chosen and memory laid out once; weights and output scales can
/// be exchanged between runs without building anything again.
class InferenceEngine {
 public:
  /// \param batch  images in one pass; the last pass may be partly filled.
  /// Errors: Unsupported (precision), BadNetwork.
  static Result<InferenceEngine> create(const Network& network, Precision precision, int batch);
  InferenceEngine(InferenceEngine&&) noexcept;
  InferenceEngine& operator=(InferenceEngine&&) noexcept;
  ~InferenceEngine();

  /// Weights of all analog layers, in the order of weights_of(network).
  void set_weights(std::span<const float> values);

  /// Divides the output of each analog layer (before batch norm) by its factor: global drift
  /// compensation. One factor per analog layer, 1 = none.
  void set_output_divisors(std::span<const float> divisors);

  /// Logits of images [first, first + count), [count][classes]. Errors: BadNetwork (image shape).
  Result<std::vector<float>> logits(const Dataset& images, std::size_t first, std::size_t count);

  /// How many of the images have their label as the largest logit.
  Result<std::int64_t> count_correct(const Dataset& images);

 private:
  struct Impl;
  explicit InferenceEngine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pcmlab

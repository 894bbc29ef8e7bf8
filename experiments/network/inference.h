// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs a network on images. One engine is used by one thread at a time; it spreads passes over as
/// many threads as OpenMP would use (OMP_NUM_THREADS), which exist only during a call. Results do
/// not depend on their number.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "experiments/network/dataset.h"
#include "experiments/network/network.h"
#include "protocol/error.h"

namespace pcmlab {

enum class Precision { Float32, Bfloat16 };
std::string_view to_string(Precision precision);

/// Images in one pass of one thread: activations stay in a core's cache.
constexpr int kDefaultBatch = 16;

/// What a BatchNormNode normalises with.
struct BatchNormStatistics {
  std::vector<float> mean, variance;  ///< [channels]
};

/// The largest magnitudes that the converters of an analog layer do not cut off.
struct ConverterRange {
  float input = 0, output = 0;
  bool input_signed = false;  ///< else inputs are never negative, and no level is spent on a sign
};

/// What an analog layer's inputs come through (DAC) and its outputs (ADC, of W x + b as the chip
/// gives it: output divisors and batch norm come behind). 0 bits = as they are.
struct Converters {
  int input_bits = 0, output_bits = 0;
  std::vector<ConverterRange> ranges;  ///< one per analog layer
};

/// Which class each image was taken for: that of the largest logit, the first one if several are.
struct Confusion {
  int classes = 0;
  std::vector<std::uint32_t> counts;  ///< [label][class]; an image with a NaN logit is nowhere
  std::int64_t correct() const;
};

/// bfloat16 where the CPU has instructions for it, else float32.
Precision fastest_precision();

/// A network ready to run: kernels chosen and memory laid out once; weights, output scales and
/// batch norms can be exchanged between runs without building anything again. A setter that is
/// given another number of values than the network has throws std::invalid_argument.
class InferenceEngine {
 public:
  /// \param batch  images in one pass of one thread; 0 = kDefaultBatch.
  /// Errors: Unsupported (precision), BadNetwork (oneDNN has no kernel for a node).
  static Result<InferenceEngine> create(const Network& network, Precision precision,
                                        int batch = kDefaultBatch);
  InferenceEngine(InferenceEngine&&) noexcept;
  InferenceEngine& operator=(InferenceEngine&&) noexcept;
  ~InferenceEngine();

  /// Weights of all analog layers, in the order of weights_of(network).
  void set_weights(std::span<const float> values);

  /// Divides the output of each analog layer (before batch norm) by its factor: global drift
  /// compensation. One factor per analog layer, 1 = none.
  void set_output_divisors(std::span<const float> divisors);

  /// Statistics of all batch norms, in node order; at first those of the network.
  std::vector<BatchNormStatistics> batch_norms() const;
  void set_batch_norms(std::span<const BatchNormStatistics> statistics);

  /// Converters around all analog layers, from now on; a pass then takes some three times as long.
  /// Errors: Unsupported (bits and bfloat16, which has no more than 8 of its own).
  Result<void> set_converters(const Converters& converters);

  /// Ranges that hold a fraction of the magnitudes which images [first, first + count) give, with
  /// weights, divisors and batch norms of now and without converters. In float32.
  /// Errors: as logits(); Unsupported (bfloat16).
  Result<std::vector<ConverterRange>> measure_converter_ranges(const Dataset& images,
                                                               std::size_t first, std::size_t count,
                                                               double fraction);

  /// Mean and variance (divided by the number of values) of every batch norm's input over one
  /// mini-batch, images [first, first + count), each batch norm passing on values normalised with
  /// the mini-batch's own statistics, as in training. Leaves the engine's statistics alone.
  /// Takes some 0.2 MB an image for a ResNet-32, kept for the next call. Errors: as logits().
  Result<std::vector<BatchNormStatistics>> measure_batch_norms(const Dataset& images,
                                                               std::size_t first,
                                                               std::size_t count);

  /// Logits of images [first, first + count), [count][classes]. Errors: BadNetwork (image shape).
  Result<std::vector<float>> logits(const Dataset& images, std::size_t first, std::size_t count);

  /// Errors: BadNetwork (image shape, number of classes).
  Result<Confusion> classify(const Dataset& images);
  /// How many of the images were taken for what they are. Errors: as classify().
  Result<std::int64_t> count_correct(const Dataset& images);

 private:
  struct Impl;
  explicit InferenceEngine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pcmlab

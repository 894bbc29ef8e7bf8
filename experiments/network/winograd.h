// SPDX-License-Identifier: Apache-2.0
/// \file
/// 3x3 convolutions with stride 1 by Winograd's minimal filtering, F(4x4, 3x3): a quarter of the
/// multiplications (Lavin and Gray, arXiv 1509.09308), written for AVX-512.
///
/// Thread rule: several threads may run() one object at once, each with scratch memory of its own;
/// set_weights() only while none does.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

#include "experiments/network/inference.h"
#include "experiments/network/network.h"

namespace pcmlab {

/// Zeroed memory that begins on a cache line.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(std::size_t size);
  std::byte* data() const { return bytes_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }  // NOLINT: from aligned_alloc
  };
  std::unique_ptr<std::byte, Free> bytes_;
};

class WinogradConv {
 public:
  /// Whether this CPU has the instructions.
  static bool available();
  /// Whether the convolution is of the kind: 3x3, stride 1, one group.
  static bool fits(const ConvNode& conv);

  /// \param input  shape of the images; activations are held as `precision`.
  WinogradConv(const ConvNode& conv, const ValueShape& input, Precision precision);

  /// \param weights  [out][in][3][3]; \param bias  [out].
  void set_weights(std::span<const float> weights, std::span<const float> bias);

  /// Bytes that run() needs, aligned to 64; their content does not matter.
  std::size_t scratch_bytes() const;

  /// Activations are [image][channel / 16][row][column][channel % 16], missing channels 0.
  /// output = relu(convolution + bias + output), the last term if `accumulate`.
  void run(const std::byte* input, std::byte* output, int images, bool accumulate, bool relu,
           std::byte* scratch) const;

 private:
  template <class Element>
  void run_as(const Element* input, Element* output, int images, bool accumulate, bool relu,
              std::byte* scratch) const;

  Precision precision_;
  int in_channels_, out_channels_;
  int in_blocks_, out_blocks_;  ///< of 16 channels
  int in_height_, in_width_, out_height_, out_width_;
  int pad_top_, pad_left_;
  AlignedBytes weights_;  ///< [point][out block group][in][out block][16], see winograd.cpp
  AlignedBytes bias_;     ///< float[out_blocks * 16]
};

}  // namespace pcmlab

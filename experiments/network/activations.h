// SPDX-License-Identifier: Apache-2.0
/// \file
/// What is done to values between layers when a network runs one node after another: moments,
/// batch norm, converters. Pure functions, callable from any thread. Results do not depend on the
/// CPU's instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "experiments/network/inference.h"

namespace pcmlab {

/// How a value lies in memory: [image][group][pixel][lane], channel = group * lanes + lane. Lanes
/// beyond the last channel are 0 and must stay so. Elements are of the precision that the network
/// runs in.
struct ActivationShape {
  std::size_t groups = 1, pixels = 1, lanes = 1;
  std::size_t channels() const { return groups * lanes; }  ///< with those that pad the last group
  std::size_t per_image() const { return groups * pixels * lanes; }
  bool operator==(const ActivationShape&) const = default;
};

/// Sums by channel of v - shift and of its square, for images after each other.
struct ChannelMoments {
  std::vector<double> sums, squares;
};
ChannelMoments moments_of(const std::byte* values, Precision precision,
                          const ActivationShape& shape, std::size_t images,
                          std::span<const float> shift);

/// output = slope * input + offset + summand, by channel, negative ones 0 if `relu`.
/// \param summand  or null.  \param output  may be `input` or `summand`.
void normalise(const std::byte* input, const std::byte* summand, std::byte* output,
               Precision precision, const ActivationShape& shape, std::size_t images,
               std::span<const float> slope, std::span<const float> offset, bool relu);

/// A converter between analog and digital with equal steps: DAC or ADC.
struct Quantiser {
  float step = 0;                 ///< 0 = everything is 0
  float lowest = 0, highest = 0;  /// levels, whole numbers
  float factor = 1;               ///< of what comes out

  /// \param range  the largest magnitude that is not cut off.
  /// Levels 0 .. 2^bits - 1, or with a sign -(2^(bits-1) - 1) .. 2^(bits-1) - 1: zero is a level.
  static Quantiser of(int bits, float range, bool with_sign, float factor = 1);

  /// The nearest level, halves to the even one. NaN becomes the lowest level.
  void apply(const float* from, float* to, std::size_t count) const;
};

/// How often magnitudes occur, to a resolution of 1.6 %.
class MagnitudeHistogram {
 public:
  MagnitudeHistogram();
  void add(const float* values, std::size_t count);
  void add(const MagnitudeHistogram& other);
  /// The magnitude that this fraction of all values does not exceed. 0 without values.
  float quantile(double fraction) const;
  bool any_negative() const { return any_negative_; }

 private:
  std::vector<std::uint64_t> counts_;
  float largest_ = 0;
  bool any_negative_ = false;
};

}  // namespace pcmlab

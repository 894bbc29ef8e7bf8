// SPDX-License-Identifier: Apache-2.0
// Sixteen lanes go through together, as vectors of GCC and clang. Each function is compiled twice,
// for AVX-512 and for any x86-64; no sum depends on which one runs.
#include "experiments/network/activations.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "experiments/network/executor.h"

#if defined(__x86_64__)
#define PCM_WIDE __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#else
#define PCM_WIDE
#endif
#define PCM_INLINE_LAMBDA __attribute__((always_inline))
#define PCM_INLINE PCM_INLINE_LAMBDA inline

namespace pcmlab {
namespace {

constexpr std::size_t kTile = 16;
using Floats = float __attribute__((vector_size(4 * kTile)));
using Words = std::uint32_t __attribute__((vector_size(4 * kTile)));
using Halves = std::uint16_t __attribute__((vector_size(2 * kTile)));

template <class Vector, class Element>
PCM_INLINE Vector load_raw(const Element* from, std::size_t lanes) {
  Vector vector{};
  if (lanes == kTile) {
    std::memcpy(&vector, from, sizeof(vector));
  } else {
    std::memcpy(&vector, from, lanes * sizeof(Element));
  }
  return vector;
}
template <class Vector, class Element>
PCM_INLINE void store_raw(const Vector& vector, Element* to, std::size_t lanes) {
  if (lanes == kTile) {
    std::memcpy(to, &vector, sizeof(vector));
  } else {
    std::memcpy(to, &vector, lanes * sizeof(Element));
  }
}

PCM_INLINE Floats load(const float* from, std::size_t lanes) {
  return load_raw<Floats>(from, lanes);
}
PCM_INLINE Floats load(const std::uint16_t* from, std::size_t lanes) {  // bfloat16
  const auto halves = load_raw<Halves>(from, lanes);
  return std::bit_cast<Floats>(__builtin_convertvector(halves, Words) << 16U);
}
PCM_INLINE void store(const Floats& values, float* to, std::size_t lanes) {
  store_raw(values, to, lanes);
}
/// To the nearest, halves to the even one.
PCM_INLINE void store(const Floats& values, std::uint16_t* to, std::size_t lanes) {
  const auto bits = std::bit_cast<Words>(values);
  const Words rounded = (bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U;
  const Words quiet_nan = (bits >> 16U) | 0x40U;
  const auto is_nan = (bits & 0x7fffffffU) > 0x7f800000U;
  store_raw(__builtin_convertvector(is_nan ? quiet_nan : rounded, Halves), to, lanes);
}

/// Calls work(lane, lanes) for up to 16 lanes at a time; 16 is a constant where it is 16.
template <class Work>
PCM_INLINE void each_tile(std::size_t lanes, const Work& work) {
  std::size_t lane = 0;
  for (; lane + kTile <= lanes; lane += kTile) work(lane, kTile);
  if (lane < lanes) work(lane, lanes - lane);
}

template <class Element>
PCM_INLINE void add_moments(const Element* values, const ActivationShape& shape, std::size_t images,
                            const float* shift, ChannelMoments& moments) {
  constexpr std::size_t kPixels = 64;  // summed in float32 before they are added in float64
  for (std::size_t part = 0; part < images * shape.groups; ++part) {
    const std::size_t channel = part % shape.groups * shape.lanes;
    const Element* const plane = values + part * shape.pixels * shape.lanes;
    each_tile(shape.lanes, [&](std::size_t lane, std::size_t lanes) PCM_INLINE_LAMBDA {
      const Floats centre = load(shift + channel + lane, lanes);
      for (std::size_t begin = 0; begin < shape.pixels; begin += kPixels) {
        Floats sum{}, squares{};
        const std::size_t end = std::min(shape.pixels, begin + kPixels);
        for (std::size_t pixel = begin; pixel < end; ++pixel) {
          const Floats value = load(plane + pixel * shape.lanes + lane, lanes) - centre;
          sum += value;
          squares += value * value;
        }
        for (std::size_t l = 0; l < lanes; ++l) {
          moments.sums[channel + lane + l] += static_cast<double>(sum[l]);
          moments.squares[channel + lane + l] += static_cast<double>(squares[l]);
        }
      }
    });
  }
}

template <class Element>
PCM_INLINE void normalise_as(const Element* input, const Element* summand, Element* output,
                             const ActivationShape& shape, std::size_t images, const float* slopes,
                             const float* offsets, bool relu) {
  for (std::size_t part = 0; part < images * shape.groups; ++part) {
    const std::size_t channel = part % shape.groups * shape.lanes;
    each_tile(shape.lanes, [&](std::size_t lane, std::size_t lanes) PCM_INLINE_LAMBDA {
      const Floats slope = load(slopes + channel + lane, lanes);
      const Floats offset = load(offsets + channel + lane, lanes);
      std::size_t at = part * shape.pixels * shape.lanes + lane;
      for (std::size_t pixel = 0; pixel < shape.pixels; ++pixel, at += shape.lanes) {
        Floats value = slope * load(input + at, lanes) + offset;
        if (summand != nullptr) value += load(summand + at, lanes);
        if (relu) value = value < 0.0f ? Floats{} : value;  // a NaN comes through
        store(value, output + at, lanes);
      }
    });
  }
}

PCM_INLINE void quantise_all(const Quantiser& by, const float* from, float* to, std::size_t count) {
  const float per_step = by.step > 0 ? 1 / by.step : 0.0f;
  const float scale = by.step * by.factor;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves no room for a fraction
  for (std::size_t i = 0; i < count; ++i) {
    float level = from[i] * per_step;
    level = level > by.lowest ? level : by.lowest;
    level = level < by.highest ? level : by.highest;
    to[i] = ((level + kRound) - kRound) * scale;
  }
}

/// What moments_of() works on.
struct MomentsWork {
  const std::byte* values;
  Precision precision;
  const ActivationShape& shape;
  std::size_t images;
  const float* shift;
  ChannelMoments& moments;

  PCM_INLINE void run() const {
    if (precision == Precision::Bfloat16) {
      add_moments(reinterpret_cast<const std::uint16_t*>(values), shape, images, shift, moments);
    } else {
      add_moments(reinterpret_cast<const float*>(values), shape, images, shift, moments);
    }
  }
};

/// What normalise() works on.
struct NormaliseWork {
  const std::byte *input, *summand;
  std::byte* output;
  Precision precision;
  const ActivationShape& shape;
  std::size_t images;
  const float *slope, *offset;
  bool relu;

  template <class Element>
  PCM_INLINE void run_as() const {
    normalise_as(reinterpret_cast<const Element*>(input), reinterpret_cast<const Element*>(summand),
                 reinterpret_cast<Element*>(output), shape, images, slope, offset, relu);
  }
  PCM_INLINE void run() const {
    precision == Precision::Bfloat16 ? run_as<std::uint16_t>() : run_as<float>();
  }
};

/// What Quantiser::apply() works on.
struct QuantiseWork {
  const Quantiser& by;
  const float* from;
  float* to;
  std::size_t count;

  PCM_INLINE void run() const { quantise_all(by, from, to, count); }
};

template <class Work>
PCM_WIDE void run_wide(const Work& work) {
  work.run();
}

/// On the widest registers that there are.
template <class Work>
void run(const Work& work) {
#if defined(__x86_64__)
  static const bool wide = cpu_has(dnnl::cpu_isa::avx512_core);
  if (wide) return run_wide(work);
#endif
  work.run();
}

}  // namespace

ChannelMoments moments_of(const std::byte* values, Precision precision,
                          const ActivationShape& shape, std::size_t images,
                          std::span<const float> shift) {
  ChannelMoments moments{std::vector<double>(shape.channels()),
                         std::vector<double>(shape.channels())};
  run(MomentsWork{values, precision, shape, images, shift.data(), moments});
  return moments;
}

void normalise(const std::byte* input, const std::byte* summand, std::byte* output,
               Precision precision, const ActivationShape& shape, std::size_t images,
               std::span<const float> slope, std::span<const float> offset, bool relu) {
  run(NormaliseWork{input, summand, output, precision, shape, images, slope.data(), offset.data(),
                    relu});
}

Quantiser Quantiser::of(int bits, float range, bool with_sign, float factor) {
  Quantiser quantiser;
  quantiser.highest = std::exp2(static_cast<float>(with_sign ? bits - 1 : bits)) - 1;
  quantiser.lowest = with_sign ? -quantiser.highest : 0.0f;
  quantiser.step = range / quantiser.highest;
  quantiser.factor = factor;
  return quantiser;
}

void Quantiser::apply(const float* from, float* to, std::size_t count) const {
  run(QuantiseWork{*this, from, to, count});
}

// ---- MagnitudeHistogram ------------------------------------------------------------------------

// A bin is the exponent and the first six bits of the fraction of a float32.
namespace {
constexpr std::uint32_t kBinShift = 17;
constexpr std::size_t kBins = std::size_t{1} << (31 - kBinShift);
}  // namespace

MagnitudeHistogram::MagnitudeHistogram() : counts_(kBins) {}

void MagnitudeHistogram::add(const float* values, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const float magnitude = std::abs(values[i]);
    ++counts_[std::bit_cast<std::uint32_t>(magnitude) >> kBinShift];
    largest_ = std::max(largest_, magnitude);
    any_negative_ = any_negative_ || values[i] < 0;
  }
}

void MagnitudeHistogram::add(const MagnitudeHistogram& other) {
  for (std::size_t bin = 0; bin < kBins; ++bin) counts_[bin] += other.counts_[bin];
  largest_ = std::max(largest_, other.largest_);
  any_negative_ = any_negative_ || other.any_negative_;
}

float MagnitudeHistogram::quantile(double fraction) const {
  std::uint64_t total = 0;
  for (const std::uint64_t count : counts_) total += count;
  const double wanted = fraction * static_cast<double>(total);
  std::uint64_t below = 0;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    below += counts_[bin];
    if (below > 0 && static_cast<double>(below) >= wanted) {
      const auto edge = static_cast<std::uint32_t>(bin + 1) << kBinShift;
      return std::min(largest_, std::bit_cast<float>(edge));
    }
  }
  return largest_;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Arithmetic on a handful of devices at once, written so that the compiler vectorises it: no
/// branches, no calls into libm. Elementary functions are polynomials in a fixed order of
/// operations, so that every x86-64 gives the same bits. Pure functions.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace pcmlab::mock {

/// Devices that go through a kernel together.
constexpr std::size_t kLanes = 32;

template <class T>
using LaneArray = std::array<T, kLanes>;
using LaneFloat = LaneArray<float>;

/// Compiles a function for several generations of x86-64 and picks one at start-up. Sanitizers
/// instrument the start-up code that would pick, so they get the plain one.
#if defined(PCMLAB_SANITIZED) || !defined(__x86_64__)
#define PCM_VECTOR_CLONES
#else
#define PCM_VECTOR_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif

/// log2 of a positive, normal x; relative error below 2e-7. After Cephes' logf.
inline float lane_log2(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t shifted = bits - 0x3f3504f3;  // mantissa from sqrt(1/2) to sqrt(2)
  const std::int32_t exponent = shifted >> 23;
  const float m = std::bit_cast<float>(bits - (exponent << 23)) - 1.0f;
  const float z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const float ln = m + (m * z * p - 0.5f * z);
  return static_cast<float>(exponent) + ln * 1.44269504089f;
}

/// 2^x; 0 below -126, clipped above 126; relative error below 3e-7.
inline float lane_exp2(float x) {
  const float clipped = x < -126.0f ? -126.0f : (x > 126.0f ? 126.0f : x);
  const float shifted = clipped + 12582912.0f;  // 1.5 * 2^23: rounds to the nearest integer
  const std::int32_t whole = std::bit_cast<std::int32_t>(shifted) - 0x4b400000;
  const float f = (clipped - (shifted - 12582912.0f)) * 0.69314718056f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  const float e = 1.0f + (f + f * f * p);
  const float y = std::bit_cast<float>(std::bit_cast<std::int32_t>(e) + (whole << 23));
  return x < -126.0f ? 0.0f : y;
}

inline float lane_exp(float x) { return lane_exp2(x * 1.44269504089f); }

/// x^p for positive, normal x.
inline float lane_pow(float x, float p) { return lane_exp2(p * lane_log2(x)); }

/// One device's key of the random numbers.
struct LaneKey {
  std::uint32_t a, b;
};

inline std::uint32_t mix_bits(std::uint32_t x) {
  x ^= x >> 17;
  x *= 0xed5ad4bbu;
  x ^= x >> 11;
  x *= 0xac4c1b51u;
  x ^= x >> 15;
  x *= 0x31848babu;
  x ^= x >> 14;
  return x;
}

/// The key of device `index` under a seed.
inline LaneKey lane_key(std::uint64_t seed, std::uint32_t index) {
  const auto low = static_cast<std::uint32_t>(seed);
  const auto high = static_cast<std::uint32_t>(seed >> 32);
  const std::uint32_t a = mix_bits(index * 0x9e3779b9u + low);
  return {a ^ mix_bits(high + 0x7f4a7c15u), mix_bits(a + (index ^ 0x94d049bbu) + high)};
}

/// Counter-based random bits: the same key and counter give the same bits, in any order. The second
/// key enters between the rounds, so that two devices' sequences do not run in step by chance.
inline std::uint32_t lane_bits(LaneKey key, std::uint32_t counter) {
  std::uint32_t x = counter * 0x9e3779b9u + key.a;
  x ^= x >> 17;
  x *= 0xed5ad4bbu;
  x ^= x >> 11;
  x += key.b;
  x *= 0xac4c1b51u;
  x ^= x >> 15;
  x *= 0x31848babu;
  x ^= x >> 14;
  return x;
}

/// Uniform in (0, 1), never 0 or 1.
inline float lane_uniform(std::uint32_t bits) {
  return (static_cast<float>(static_cast<std::int32_t>(bits >> 8)) + 0.5f) * 5.9604644775e-8f;
}

/// Two independent standard normals from draws `counter` and `counter` + 1 (Box-Muller).
inline void lane_normals(LaneKey key, std::uint32_t counter, float& first, float& second) {
  const float radius =
      std::sqrt(-1.38629436112f * lane_log2(lane_uniform(lane_bits(key, counter))));
  // Angle 2 pi u: the quadrant from the two top bits, the rest from -pi/4 to pi/4.
  const std::uint32_t angle = lane_bits(key, counter + 1);
  const std::uint32_t quadrant = angle >> 30;
  const float v =
      (static_cast<float>(static_cast<std::int32_t>((angle >> 6) & 0xffffffu)) - 8388607.5f) *
      (1.57079632679f / 16777216.0f);
  const float z = v * v;
  const float s = v + v * z * (-1.6666654611e-1f + z * (8.3321608736e-3f - z * 1.9515295891e-4f));
  const float c =
      1.0f - 0.5f * z +
      z * z * (4.166664568298827e-2f + z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
  const bool swap = (quadrant & 1u) != 0;
  const float cosine = swap ? s : c;
  const float sine = swap ? c : s;
  first = radius * ((quadrant & 2u) != 0 ? -cosine : cosine);
  second = radius * (((quadrant + 1u) & 2u) != 0 ? -sine : sine);
}

/// The first of the two alone, where speed does not matter.
inline float lane_normal(LaneKey key, std::uint32_t counter = 0) {
  float first, second;
  lane_normals(key, counter, first, second);
  return first;
}

}  // namespace pcmlab::mock

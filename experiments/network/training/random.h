// SPDX-License-Identifier: Apache-2.0
/// \file
/// Random numbers that do not depend on what was drawn before: each use has a stream of its own,
/// named by seed, purpose and index, so that a training that goes on later draws the same ones.
/// Plain values, used by one thread each.
#pragma once

#include <array>
#include <cstdint>

namespace pcmlab::training {

/// What a stream is for.
enum class Purpose : std::uint64_t { Weights, Order, Augmentation, Noise, Evaluation, Statistics };

/// xoshiro256++ (Blackman and Vigna 2019), seeded through splitmix64.
class Random {
 public:
  Random(std::uint64_t seed, Purpose purpose, std::uint64_t index);

  std::uint64_t bits() {
    const auto rotated = [](std::uint64_t x, int k) { return x << k | x >> (64 - k); };
    const std::uint64_t result = rotated(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotated(state_[3], 45);
    return result;
  }

  /// 0 .. count - 1, each equally likely but for 1 part in 2^32 / count.
  std::uint32_t below(std::uint32_t count) {
    return static_cast<std::uint32_t>((bits() >> 32) * count >> 32);
  }
  /// [0, 1)
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  /// Standard normal: the ziggurat of Marsaglia and Tsang with 128 layers and Doornik's tail.
  float normal();

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace pcmlab::training

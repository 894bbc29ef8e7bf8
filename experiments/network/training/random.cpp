// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/random.h"

#include <cmath>
#include <cstddef>

namespace pcmlab::training {
namespace {

constexpr int kLayers = 128;
constexpr double kTail = 3.442619855899;       // where the tail begins
constexpr double kArea = 9.91256303526217e-3;  // of every layer

/// Right edges of the layers, and the part of each that lies under the curve whatever the height.
struct Ziggurat {
  std::array<double, kLayers + 1> edge{};
  std::array<double, kLayers> inside{};
  std::array<double, kLayers + 1> height{};

  Ziggurat() {
    double f = std::exp(-0.5 * kTail * kTail);
    edge[0] = kArea / f;
    edge[1] = kTail;
    edge[kLayers] = 0;
    for (std::size_t i = 2; i < kLayers; ++i) {
      edge[i] = std::sqrt(-2 * std::log(kArea / edge[i - 1] + f));
      f = std::exp(-0.5 * edge[i] * edge[i]);
    }
    for (std::size_t i = 0; i < kLayers; ++i) inside[i] = edge[i + 1] / edge[i];
    for (std::size_t i = 0; i <= kLayers; ++i) height[i] = std::exp(-0.5 * edge[i] * edge[i]);
  }
};

std::uint64_t splitmix(std::uint64_t& state) {
  std::uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

}  // namespace

Random::Random(std::uint64_t seed, Purpose purpose, std::uint64_t index) : state_{} {
  std::uint64_t mixed = seed;
  mixed = splitmix(mixed) ^ static_cast<std::uint64_t>(purpose);
  mixed = splitmix(mixed) ^ index;
  for (std::uint64_t& word : state_) word = splitmix(mixed);
}

float Random::normal() {
  static const Ziggurat kZiggurat;
  for (;;) {
    const std::uint64_t drawn = bits();
    const auto layer = static_cast<std::size_t>(drawn & (kLayers - 1));
    const double u = static_cast<double>(static_cast<std::int64_t>(drawn) >> 11) * 0x1p-52;
    if (std::abs(u) < kZiggurat.inside[layer]) return static_cast<float>(u * kZiggurat.edge[layer]);
    if (layer == 0) {
      double x = 0;
      double y = 0;
      do {
        x = -std::log(1 - uniform()) / kTail;
        y = -std::log(1 - uniform());
      } while (2 * y < x * x);
      return static_cast<float>(u < 0 ? -kTail - x : kTail + x);
    }
    const double x = u * kZiggurat.edge[layer];
    const double low = kZiggurat.height[layer];
    const double high = kZiggurat.height[layer + 1];
    if (low + uniform() * (high - low) < std::exp(-0.5 * x * x)) return static_cast<float>(x);
  }
}

}  // namespace pcmlab::training

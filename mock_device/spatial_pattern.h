// SPDX-License-Identifier: Apache-2.0
/// \file
/// How devices vary from place to place on an array. Plain values.
#pragma once

#include <array>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "mock_device/lanes.h"
#include "protocol/device_address.h"

namespace pcmlab::mock {

/// A smooth pattern over the array, zero mean, standard deviation 1: the lowest cosine waves along
/// word and bit lines, mixed at random.
class SpatialPattern {
 public:
  SpatialPattern(ArrayShape shape, LaneKey key) {
    double variance = 0;
    for (std::size_t mode = 0; mode < kModes.size(); ++mode) {
      amplitudes_[mode] = lane_normal(key, static_cast<std::uint32_t>(2 * mode));
      const auto [along_word_lines, along_bit_lines] = kModes[mode];
      variance += static_cast<double>(amplitudes_[mode] * amplitudes_[mode]) /
                  ((along_word_lines > 0 ? 2.0 : 1.0) * (along_bit_lines > 0 ? 2.0 : 1.0));
      waves_[mode] = {wave(along_word_lines, shape.word_lines),
                      wave(along_bit_lines, shape.bit_lines)};
    }
    for (float& amplitude : amplitudes_) amplitude /= static_cast<float>(std::sqrt(variance));
  }

  float at(DeviceAddress address) const {
    float sum = 0;
    for (std::size_t mode = 0; mode < kModes.size(); ++mode) {
      sum += amplitudes_[mode] * waves_[mode].first[address.word_line.index] *
             waves_[mode].second[address.bit_line.index];
    }
    return sum;
  }

 private:
  static constexpr std::array<std::pair<int, int>, 5> kModes{
      {{1, 0}, {0, 1}, {1, 1}, {2, 0}, {0, 2}}};

  static std::vector<float> wave(int halves, std::size_t lines) {
    std::vector<float> values(lines);
    for (std::size_t i = 0; i < lines; ++i) {
      const double place = (static_cast<double>(i) + 0.5) / static_cast<double>(lines);
      values[i] = static_cast<float>(std::cos(std::numbers::pi * halves * place));
    }
    return values;
  }

  std::array<float, kModes.size()> amplitudes_{};
  std::array<std::pair<std::vector<float>, std::vector<float>>, kModes.size()> waves_;
};

}  // namespace pcmlab::mock

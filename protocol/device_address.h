// SPDX-License-Identifier: Apache-2.0
/// \file
/// Where a device sits on the chip. Plain values.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace pcmlab {

struct WordLine {
  std::uint16_t index = 0;
  constexpr auto operator<=>(const WordLine&) const = default;
};

struct BitLine {
  std::uint16_t index = 0;
  constexpr auto operator<=>(const BitLine&) const = default;
};

/// One device: the crossing of a word line and a bit line.
struct DeviceAddress {
  WordLine word_line;
  BitLine bit_line;
  constexpr auto operator<=>(const DeviceAddress&) const = default;
};

/// Lines of the array. The paper's chip: 512 word lines x 2048 bit lines.
struct ArrayShape {
  std::uint16_t word_lines = 0;
  std::uint16_t bit_lines = 0;

  constexpr std::size_t device_count() const {
    return static_cast<std::size_t>(word_lines) * bit_lines;
  }
  constexpr bool contains(DeviceAddress address) const {
    return address.word_line.index < word_lines && address.bit_line.index < bit_lines;
  }
  /// Position of a device when the array is walked word line by word line.
  constexpr std::size_t linear(DeviceAddress address) const {
    return static_cast<std::size_t>(address.word_line.index) * bit_lines + address.bit_line.index;
  }
  constexpr DeviceAddress at(std::size_t linear_index) const {
    return {WordLine{static_cast<std::uint16_t>(linear_index / bit_lines)},
            BitLine{static_cast<std::uint16_t>(linear_index % bit_lines)}};
  }
  constexpr auto operator<=>(const ArrayShape&) const = default;
};

}  // namespace pcmlab

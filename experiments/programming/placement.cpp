// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/placement.h"

#include <fmt/format.h>

#include <algorithm>

namespace pcmlab {

namespace {

/// By pair, word line by word line: whether it has a known-bad device.
std::vector<bool> bad_pairs(ArrayShape shape, std::span<const DeviceAddress> known_bad) {
  const std::size_t pairs_per_line = shape.bit_lines / 2;
  std::vector<bool> bad(pairs_per_line * shape.word_lines, false);
  for (const DeviceAddress address : known_bad) {
    if (shape.contains(address) && address.bit_line.index / 2u < pairs_per_line) {
      bad[address.word_line.index * pairs_per_line + address.bit_line.index / 2] = true;
    }
  }
  return bad;
}

}  // namespace

std::size_t pairs_of(ArrayShape shape, std::span<const DeviceAddress> known_bad) {
  const std::vector<bool> bad = bad_pairs(shape, known_bad);
  return static_cast<std::size_t>(std::count(bad.begin(), bad.end(), false));
}

Result<std::vector<DeviceAddress>> place_devices(std::size_t devices, ArrayShape shape,
                                                 std::span<const DeviceAddress> known_bad) {
  const std::size_t pairs_per_line = shape.bit_lines / 2;
  const std::vector<bool> bad = bad_pairs(shape, known_bad);
  std::vector<DeviceAddress> addresses;
  addresses.reserve(devices);
  for (std::size_t pair = 0; pair < bad.size() && addresses.size() < devices; ++pair) {
    if (bad[pair]) continue;
    const WordLine word_line{static_cast<std::uint16_t>(pair / pairs_per_line)};
    const auto bit_line = static_cast<std::uint16_t>(2 * (pair % pairs_per_line));
    addresses.push_back({word_line, BitLine{bit_line}});
    addresses.push_back({word_line, BitLine{static_cast<std::uint16_t>(bit_line + 1)}});
  }
  if (addresses.size() < devices) {
    return fail(ErrorCode::DoesNotFit,
                fmt::format("{} devices are needed, but the array of {} x {} has only {} in good "
                            "pairs",
                            devices, shape.word_lines, shape.bit_lines, addresses.size()),
                "choose a smaller network or a larger array");
  }
  return addresses;
}

}  // namespace pcmlab

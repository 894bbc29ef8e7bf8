// SPDX-License-Identifier: Apache-2.0
#include "db/extension/pulse_batch.h"

#include <algorithm>
#include <array>

namespace pcmlab::db::extension {

Result<void> PulseBatch::check(std::int64_t crc) {
  PCM_TRY(check_blobs(crc, std::array{devices, amplitudes}, "pulse_batch", id));
  const auto held = [](std::span<const std::byte> blob, std::size_t width) {
    return static_cast<std::int64_t>(blob.size() / width);
  };
  device_count = std::min(device_count, held(devices, 4));
  if (!amplitudes.empty()) device_count = std::min(device_count, held(amplitudes, 2));
  return {};
}

std::optional<std::int64_t> PulseBatch::pulses_given(std::int64_t place,
                                                     std::int64_t before) const {
  const auto amplitude = amplitude_10nA(place);
  if (amplitude == 0) return 0;  // it was read without a pulse
  if (!acknowledged) return std::nullopt;
  if (amplitude) return before < pulses_executed ? 1 : 0;
  // A RESET is one pulse a device, a staircase as many for each.
  if (kind == "reset") return place < pulses_executed ? 1 : 0;
  if (pulses_executed % device_count == 0) return pulses_executed / device_count;
  return std::nullopt;
}

}  // namespace pcmlab::db::extension

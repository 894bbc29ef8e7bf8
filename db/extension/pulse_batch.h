// SPDX-License-Identifier: Apache-2.0
/// \file
/// A batch of pulses as it was intended and as far as the board acknowledged it. A plain value over
/// blobs that somebody else keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "db/extension/device_blocks.h"
#include "protocol/error.h"

namespace pcmlab::db::extension {

struct PulseBatch {
  std::int64_t id = 0;
  std::string kind;
  std::int64_t device_count = 0;
  bool acknowledged = false;
  std::int64_t pulses_executed = 0;
  std::span<const std::byte> devices, amplitudes;

  /// Errors: BadFile (damaged). Damage that the checksum does not cover does not lead out of blobs.
  Result<void> check(std::int64_t crc);

  std::int64_t device(std::int64_t place) const { return number_at<std::uint32_t>(devices, place); }
  /// None: not of a kind that has any.
  std::optional<std::int64_t> amplitude_10nA(std::int64_t place) const {
    if (amplitudes.empty() || place >= device_count) return std::nullopt;
    return number_at<std::uint16_t>(amplitudes, place);
  }
  /// Pulses that a device got, who are taken in their order; none: nobody knows.
  /// \param before  devices in front of it that have an amplitude above 0.
  std::optional<std::int64_t> pulses_given(std::int64_t place, std::int64_t before) const;
};

}  // namespace pcmlab::db::extension

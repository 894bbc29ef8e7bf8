// SPDX-License-Identifier: Apache-2.0
/// \file
/// Frames put together by hand, right or wrong in one field. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "protocol/messages.h"

namespace pcmlab::testing {

/// A frame as bytes(); a field that is set to something wrong has right CRCs around it.
struct RawFrame {
  std::uint8_t version = wire::kProtocolVersion;
  std::uint8_t type = 0x06;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::vector<std::byte> payload = {};
  std::uint32_t length_error = 0;      ///< added to the length field, modulo 2^32
  std::uint32_t header_crc_error = 0;  ///< flipped in the header CRC
  std::uint32_t frame_crc_error = 0;   ///< flipped in the frame CRC

  std::vector<std::byte> bytes() const;
};

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes);

}  // namespace pcmlab::testing

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Frames put together by hand, right or wrong in one field. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "protocol/bytes.h"
#include "protocol/crc32c.h"
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

  std::vector<std::byte> bytes() const {
    std::vector<std::byte> out;
    wire::ByteWriter writer(out);
    writer.array(std::span<const char>(wire::kMagic));
    writer.u8(version);
    writer.u8(type);
    writer.u16(flags);
    writer.u32(sequence);
    writer.u32(static_cast<std::uint32_t>(payload.size()) + length_error);
    const std::uint32_t header_crc = wire::crc32c(out);
    writer.u32(header_crc ^ header_crc_error);
    writer.array(std::span(payload));
    writer.u32(wire::crc32c(payload, header_crc) ^ frame_crc_error);
    return out;
  }
};

inline void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.data(), bytes.data() + bytes.size());
}

}  // namespace pcmlab::testing

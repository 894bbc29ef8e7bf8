// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/raw_frame.h"

#include "protocol/bytes.h"
#include "protocol/crc32c.h"

namespace pcmlab::testing {

std::vector<std::byte> RawFrame::bytes() const {
  std::vector<std::byte> out;
  out.reserve(wire::kHeaderBytes + payload.size() + wire::kCrcBytes);
  wire::ByteWriter writer(out);
  writer.characters({wire::kMagic.data(), wire::kMagic.size()});
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

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.data(), bytes.data() + bytes.size());
}

}  // namespace pcmlab::testing

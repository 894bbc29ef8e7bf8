// SPDX-License-Identifier: Apache-2.0
/// \file
/// USB/IP as bytes: the headers of Documentation/usb/usbip_protocol.rst of the Linux kernel.
/// Everything is big-endian but the setup packet. Pure functions.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pcmlab::mock::usbip {

// ---- over TCP, before the device is imported
// -----------------------------------------------------

inline constexpr std::uint16_t kVersion = 0x0111;
inline constexpr std::uint16_t kListRequest = 0x8005;
inline constexpr std::uint16_t kListReply = 0x0005;
inline constexpr std::uint16_t kImportRequest = 0x8003;
inline constexpr std::uint16_t kImportReply = 0x0003;

enum class Status : std::uint32_t { Ok = 0, Busy = 2, NoDevice = 4 };

inline constexpr std::size_t kOperationBytes = 8;  ///< version, code, status
inline constexpr std::size_t kBusIdBytes = 32;
inline constexpr std::size_t kPathBytes = 256;
inline constexpr std::size_t kDeviceBytes = 312;

// ---- on the connection of an imported device -------------------------------------------------

inline constexpr std::size_t kHeaderBytes = 48;

inline constexpr std::uint32_t kSubmit = 1;
inline constexpr std::uint32_t kUnlink = 2;
inline constexpr std::uint32_t kSubmitReply = 3;
inline constexpr std::uint32_t kUnlinkReply = 4;

/// What Linux calls the speeds, in device records and in vhci_hcd's file `attach`.
inline constexpr std::uint32_t kHighSpeed = 3;
inline constexpr std::uint32_t kSuperSpeed = 5;

inline std::uint32_t get_u32(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = (value << 8) | std::to_integer<std::uint32_t>(bytes[at + i]);
  }
  return value;
}

inline std::uint16_t get_u16(std::span<const std::byte> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[at]) << 8 |
                                    std::to_integer<unsigned>(bytes[at + 1]));
}

inline void put_u32(std::span<std::byte> bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) {
    bytes[at + i] = static_cast<std::byte>((value >> (24 - 8 * i)) & 0xff);
  }
}

inline void put_u16(std::span<std::byte> bytes, std::size_t at, std::uint16_t value) {
  bytes[at] = static_cast<std::byte>(value >> 8);
  bytes[at + 1] = static_cast<std::byte>(value & 0xff);
}

inline void put_text(std::span<std::byte> bytes, std::size_t at, std::string_view text) {
  std::transform(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at),
                 [](char c) { return static_cast<std::byte>(c); });
}

using Header = std::array<std::byte, kHeaderBytes>;

/// A header from the host, not yet checked.
struct Command {
  std::uint32_t command = 0;
  std::uint32_t sequence = 0;
  std::uint32_t device = 0;  ///< bus number << 16 | device number; the server has one device only
  std::uint32_t direction = 0;  ///< 0 = to the device, 1 = from it
  std::uint32_t endpoint = 0;
  // Submit
  std::uint32_t flags = 0;
  std::int32_t length = 0;   ///< of the transfer; to the device, so many bytes follow the header
  std::int32_t packets = 0;  ///< of an isochronous transfer; 0 or -1 for all others
  std::array<std::uint8_t, 8> setup = {};
  // Unlink
  std::uint32_t victim = 0;  ///< sequence number of the submit that is called back
};

inline Command parse_command(std::span<const std::byte> header) {
  Command c;
  c.command = get_u32(header, 0);
  c.sequence = get_u32(header, 4);
  c.device = get_u32(header, 8);
  c.direction = get_u32(header, 12);
  c.endpoint = get_u32(header, 16);
  if (c.command == kUnlink) {
    c.victim = get_u32(header, 20);
    return c;
  }
  c.flags = get_u32(header, 20);
  c.length = static_cast<std::int32_t>(get_u32(header, 24));
  c.packets = static_cast<std::int32_t>(get_u32(header, 32));
  for (std::size_t i = 0; i < c.setup.size(); ++i) {
    c.setup[i] = std::to_integer<std::uint8_t>(header[40 + i]);
  }
  return c;
}

/// \param status  0 or a negative errno, as Linux completes URBs
inline Header submit_reply(std::uint32_t sequence, int status, std::size_t actual_length) {
  Header header{};
  put_u32(header, 0, kSubmitReply);
  put_u32(header, 4, sequence);
  put_u32(header, 20, static_cast<std::uint32_t>(status));
  put_u32(header, 24, static_cast<std::uint32_t>(actual_length));
  return header;
}

inline Header unlink_reply(std::uint32_t sequence, int status) {
  Header header{};
  put_u32(header, 0, kUnlinkReply);
  put_u32(header, 4, sequence);
  put_u32(header, 20, static_cast<std::uint32_t>(status));
  return header;
}

}  // namespace pcmlab::mock::usbip

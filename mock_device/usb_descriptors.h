// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a board says of itself as a USB device: descriptors of high and super speed. Plain values,
/// bytes as USB 2.0 section 9.6 and USB 3.2 section 9.6 have them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pcmlab::mock {

enum class UsbSpeed { High, Super };

/// Endpoint addresses of the one interface, which is vendor-specific.
inline constexpr std::uint8_t kBulkOut = 0x01;
inline constexpr std::uint8_t kBulkIn = 0x81;

struct UsbIdentity {
  std::uint16_t vendor = 0x1209;   ///< pid.codes, for everybody's use
  std::uint16_t product = 0x0001;  ///< its number for tests in a laboratory
  std::uint16_t release = 0x0100;  ///< bcdDevice
  std::string manufacturer = "pcmlab";
  std::string product_name = "PCM mock board";
  std::string serial = "MOCK0001";
};

class UsbDescriptors {
 public:
  /// Texts are ASCII; a string descriptor has room for 126 characters, and what is longer is cut.
  UsbDescriptors(UsbIdentity identity, UsbSpeed speed);

  /// The answer to GET_DESCRIPTOR, whole; nothing for a descriptor that this device does not have.
  std::optional<std::vector<std::uint8_t>> find(std::uint8_t type, std::uint8_t index) const;

  const UsbIdentity& identity() const { return identity_; }
  UsbSpeed speed() const { return speed_; }
  /// Of the bulk endpoints: 512 or 1024 bytes.
  std::size_t max_packet() const { return speed_ == UsbSpeed::High ? 512 : 1024; }

 private:
  std::vector<std::uint8_t> device() const;
  std::vector<std::uint8_t> configuration(std::uint8_t type) const;

  UsbIdentity identity_;
  UsbSpeed speed_;
};

}  // namespace pcmlab::mock

// SPDX-License-Identifier: Apache-2.0
#include "mock_device/usb_descriptors.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace pcmlab::mock {
namespace {

using Bytes = std::vector<std::uint8_t>;

// bDescriptorType
constexpr std::uint8_t kDevice = 1;
constexpr std::uint8_t kConfiguration = 2;
constexpr std::uint8_t kString = 3;
constexpr std::uint8_t kInterface = 4;
constexpr std::uint8_t kEndpoint = 5;
constexpr std::uint8_t kQualifier = 6;
constexpr std::uint8_t kOtherSpeed = 7;
constexpr std::uint8_t kBos = 15;
constexpr std::uint8_t kCapability = 16;
constexpr std::uint8_t kCompanion = 48;

constexpr std::uint8_t kVendorSpecific = 0xff;
constexpr std::uint8_t kBulk = 2;
constexpr std::uint8_t kBurst = 15;  // packets after the first

// String descriptors
constexpr std::uint8_t kManufacturer = 1;
constexpr std::uint8_t kProduct = 2;
constexpr std::uint8_t kSerial = 3;
constexpr std::size_t kMostCharacters = 126;

constexpr std::uint8_t low(std::uint16_t value) { return static_cast<std::uint8_t>(value & 0xff); }
constexpr std::uint8_t high(std::uint16_t value) { return static_cast<std::uint8_t>(value >> 8); }

void append(Bytes& bytes, std::initializer_list<std::uint8_t> more) {
  for (const std::uint8_t byte : more) bytes.push_back(byte);
}

Bytes string_descriptor(const std::string& text) {
  const std::size_t length = std::min(text.size(), kMostCharacters);
  Bytes bytes = {static_cast<std::uint8_t>(2 + 2 * length), kString};
  for (std::size_t i = 0; i < length; ++i) {
    bytes.push_back(static_cast<std::uint8_t>(text[i]));
    bytes.push_back(0);
  }
  return bytes;
}

/// Binary object store: what a super-speed device must say of USB 2.0 extension and its own speeds.
Bytes object_store() {
  return {5,  kBos,        22,  0,    2,           // two capabilities, 22 bytes in all
          7,  kCapability, 2,   0x02, 0,    0, 0,  // USB 2.0 extension: link power management
          10, kCapability, 3,   0,    0x0e, 0, 1,
          10, 0xff,        0x07};  // full to super; U1 10 us, U2 2047 us
}

}  // namespace

UsbDescriptors::UsbDescriptors(UsbIdentity identity, UsbSpeed speed)
    : identity_(std::move(identity)), speed_(speed) {}

Bytes UsbDescriptors::device() const {
  const bool super = speed_ == UsbSpeed::Super;
  const UsbIdentity& id = identity_;
  return {18,
          kDevice,
          0x00,
          static_cast<std::uint8_t>(super ? 0x03 : 0x02),  // bcdUSB 3.0 or 2.0
          kVendorSpecific,
          0,
          0,
          static_cast<std::uint8_t>(super ? 9 : 64),  // control packet: 2^9 or 64 bytes
          low(id.vendor),
          high(id.vendor),
          low(id.product),
          high(id.product),
          low(id.release),
          high(id.release),
          kManufacturer,
          kProduct,
          kSerial,
          1};
}

Bytes UsbDescriptors::configuration(std::uint8_t type) const {
  const bool super = speed_ == UsbSpeed::Super;
  // At the other speed of a high-speed device, full speed, a bulk packet has 64 bytes.
  const auto packet = static_cast<std::uint16_t>(type == kOtherSpeed ? 64 : max_packet());
  constexpr std::uint8_t kSelfPowered = 0xc0;
  constexpr std::uint8_t kPower = 50;  // in 2 mA
  Bytes bytes;
  append(bytes, {9, type, 0, 0, 1, 1, 0, kSelfPowered, kPower});
  append(bytes, {9, kInterface, 0, 0, 2, kVendorSpecific, 0, 0, 0});
  for (const std::uint8_t address : {kBulkOut, kBulkIn}) {
    append(bytes, {7, kEndpoint, address, kBulk, low(packet), high(packet), 0});
    if (super) append(bytes, {6, kCompanion, kBurst, 0, 0, 0});
  }
  bytes[2] = static_cast<std::uint8_t>(bytes.size());
  return bytes;
}

std::optional<Bytes> UsbDescriptors::find(std::uint8_t type, std::uint8_t index) const {
  const bool super = speed_ == UsbSpeed::Super;
  if (type == kString) {
    constexpr std::uint8_t kEnglish[] = {0x09, 0x04};
    if (index == 0) return Bytes{4, kString, kEnglish[0], kEnglish[1]};
    if (index == kManufacturer) return string_descriptor(identity_.manufacturer);
    if (index == kProduct) return string_descriptor(identity_.product_name);
    if (index == kSerial) return string_descriptor(identity_.serial);
    return std::nullopt;
  }
  if (index != 0) return std::nullopt;
  if (type == kDevice) return device();
  if (type == kConfiguration) return configuration(type);
  if (type == kBos && super) return object_store();
  if (super) return std::nullopt;  // a super-speed device has neither of the following
  if (type == kOtherSpeed) return configuration(type);
  if (type == kQualifier) {
    return Bytes{10, kQualifier, 0x00, 0x02, kVendorSpecific, 0, 0, 64, 1, 0};
  }
  return std::nullopt;
}

}  // namespace pcmlab::mock

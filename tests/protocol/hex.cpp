// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/hex.h"

#include <cctype>
#include <stdexcept>

namespace pcmlab::testing {

std::vector<std::byte> from_hex(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::vector<std::byte> bytes;
  std::size_t digits = 0;
  for (const char character : text) {
    if (std::isspace(static_cast<unsigned char>(character)) != 0) {
      continue;
    }
    const std::size_t value = kDigits.find(character);
    if (value == std::string_view::npos) {
      throw std::invalid_argument("not a lower-case hexadecimal digit");
    }
    if (digits++ % 2 == 0) {
      bytes.push_back(static_cast<std::byte>(value << 4));
    } else {
      bytes.back() |= static_cast<std::byte>(value);
    }
  }
  return bytes;
}

std::string to_hex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    const auto value = std::to_integer<std::size_t>(byte);
    text += kDigits[value >> 4];
    text += kDigits[value & 0xF];
  }
  return text;
}

}  // namespace pcmlab::testing

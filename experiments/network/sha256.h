// SPDX-License-Identifier: Apache-2.0
/// \file
/// SHA-256 (FIPS 180-4), to name files by their content. Free of state between calls.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "protocol/error.h"

namespace pcmlab {

/// A hash under way: update() any number of times, then hex() once.
class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);

  /// 64 lower-case hexadecimal digits. Ends the hash: nothing may follow.
  std::string hex();

 private:
  void block(const std::byte* bytes);

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_{};
  std::uint64_t length_ = 0;  ///< bytes so far
};

std::string sha256_hex(std::span<const std::byte> bytes);

/// Errors: NotFound (no such file), Io.
Result<std::string> sha256_of_file(const std::filesystem::path& file);

}  // namespace pcmlab

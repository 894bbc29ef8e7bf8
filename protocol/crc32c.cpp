// SPDX-License-Identifier: Apache-2.0
#include "protocol/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

namespace pcmlab::wire {
namespace {

static_assert(std::endian::native == std::endian::little, "words are loaded as they lie in memory");

constexpr std::uint32_t kReflectedPolynomial = 0x82F63B78u;

using ByteTable = std::array<std::uint32_t, 256>;

/// tables[k][b]: the register after byte b and then k zero bytes.
constexpr std::array<ByteTable, 8> make_slicing_tables() {
  std::array<ByteTable, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1u) != 0 ? kReflectedPolynomial : 0u);
    }
    tables[0][byte] = crc;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t crc = tables[k - 1][byte];
      tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xFFu];
    }
  }
  return tables;
}
constexpr std::array<ByteTable, 8> kSlicing = make_slicing_tables();

std::uint64_t load64(const std::byte* from) {
  std::uint64_t word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
}

#if defined(__x86_64__)

/// The crc32 instruction has a latency of three cycles and a throughput of one, so three lanes of
/// this many bytes are computed side by side and then joined.
constexpr std::size_t kLaneBytes = 1024;

/// kLaneShift[k][b]: what byte k of the register, holding b, becomes after kLaneBytes zero bytes.
constexpr std::array<ByteTable, 4> make_lane_shift() {
  std::array<ByteTable, 4> tables{};
  for (std::size_t k = 0; k < tables.size(); ++k) {
    for (std::uint32_t byte = 1; byte < 256; ++byte) {
      const std::uint32_t lower = byte & (byte - 1);
      if (lower != 0) {
        tables[k][byte] = tables[k][lower] ^ tables[k][byte ^ lower];
        continue;
      }
      std::uint32_t crc = byte << (8 * k);
      for (std::size_t i = 0; i < kLaneBytes; ++i) {
        crc = (crc >> 8) ^ kSlicing[0][crc & 0xFFu];
      }
      tables[k][byte] = crc;
    }
  }
  return tables;
}
constexpr std::array<ByteTable, 4> kLaneShift = make_lane_shift();

std::uint32_t shift_by_lane(std::uint32_t crc) {
  return kLaneShift[0][crc & 0xFFu] ^ kLaneShift[1][(crc >> 8) & 0xFFu] ^
         kLaneShift[2][(crc >> 16) & 0xFFu] ^ kLaneShift[3][crc >> 24];
}

#endif

}  // namespace

namespace crc32c_kernels {

std::uint32_t table(std::span<const std::byte> bytes, std::uint32_t before) {
  std::uint32_t crc = ~before;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    const std::uint64_t word = load64(at) ^ crc;
    crc = kSlicing[7][word & 0xFFu] ^ kSlicing[6][(word >> 8) & 0xFFu] ^
          kSlicing[5][(word >> 16) & 0xFFu] ^ kSlicing[4][(word >> 24) & 0xFFu] ^
          kSlicing[3][(word >> 32) & 0xFFu] ^ kSlicing[2][(word >> 40) & 0xFFu] ^
          kSlicing[1][(word >> 48) & 0xFFu] ^ kSlicing[0][word >> 56];
  }
  for (; left > 0; --left, ++at) {
    crc = (crc >> 8) ^ kSlicing[0][(crc ^ static_cast<std::uint32_t>(*at)) & 0xFFu];
  }
  return ~crc;
}

#if defined(__x86_64__)

bool has_sse42() { return __builtin_cpu_supports("sse4.2") != 0; }

__attribute__((target("sse4.2"))) std::uint32_t sse42(std::span<const std::byte> bytes,
                                                      std::uint32_t before) {
  std::uint64_t crc = ~before;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 3 * kLaneBytes; left -= 3 * kLaneBytes, at += 3 * kLaneBytes) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < kLaneBytes; i += 8) {
      crc = __builtin_ia32_crc32di(crc, load64(at + i));
      second = __builtin_ia32_crc32di(second, load64(at + kLaneBytes + i));
      third = __builtin_ia32_crc32di(third, load64(at + 2 * kLaneBytes + i));
    }
    crc = shift_by_lane(static_cast<std::uint32_t>(crc)) ^ second;
    crc = shift_by_lane(static_cast<std::uint32_t>(crc)) ^ third;
  }
  for (; left >= 8; left -= 8, at += 8) {
    crc = __builtin_ia32_crc32di(crc, load64(at));
  }
  auto crc_32 = static_cast<std::uint32_t>(crc);
  for (; left > 0; --left, ++at) {
    crc_32 = __builtin_ia32_crc32qi(crc_32, static_cast<std::uint8_t>(*at));
  }
  return ~crc_32;
}

#else

bool has_sse42() { return false; }

std::uint32_t sse42(std::span<const std::byte> bytes, std::uint32_t before) {
  return table(bytes, before);
}

#endif

}  // namespace crc32c_kernels

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) {
  static const bool has_instruction = crc32c_kernels::has_sse42();
  return has_instruction ? crc32c_kernels::sse42(bytes, before)
                         : crc32c_kernels::table(bytes, before);
}

}  // namespace pcmlab::wire

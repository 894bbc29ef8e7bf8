// SPDX-License-Identifier: Apache-2.0
/// \file
/// CRC-32C (Castagnoli), the checksum of every frame. Pure functions, callable from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace pcmlab::wire {

/// CRC-32C of `bytes`: polynomial 0x1EDC6F41 reflected, register preset to ones, result inverted
/// (RFC 3720, 12.1). `before` is the CRC of what came before, so crc32c(b, crc32c(a)) is the CRC of
/// a followed by b. Uses the SSE 4.2 instruction where the processor has it.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0);

/// The two ways crc32c() is computed; the tests compare them.
namespace crc32c_kernels {
std::uint32_t table(std::span<const std::byte> bytes, std::uint32_t before);
bool has_sse42();
/// Only where has_sse42().
std::uint32_t sse42(std::span<const std::byte> bytes, std::uint32_t before);
}  // namespace crc32c_kernels

}  // namespace pcmlab::wire

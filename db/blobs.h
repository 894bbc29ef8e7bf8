// SPDX-License-Identifier: Apache-2.0
/// \file
/// Numbers as the blobs of the results database, and the checks of what comes back. Formats:
/// db/README.md. Private to db/. Functions without state, callable from any thread; the bytes of
/// bytes_of() belong to the vector they were taken from.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "protocol/crc32c.h"
#include "protocol/error.h"

namespace pcmlab::db {

// Blobs are little-endian on disk and are copied as they are.
static_assert(std::endian::native == std::endian::little);

template <class Number>
std::span<const std::byte> bytes_of(const std::vector<Number>& numbers) {
  return std::as_bytes(std::span(numbers));
}

template <class Number>
std::span<const std::byte> bytes_of(const std::vector<Number>& numbers, std::size_t first,
                                    std::size_t count) {
  return std::as_bytes(std::span(numbers).subspan(first, count));
}

template <class... Blobs>
std::uint32_t crc_of(const Blobs&... blobs) {
  std::uint32_t crc = 0;
  ((crc = wire::crc32c(blobs, crc)), ...);
  return crc;
}

template <class Number>
void append(std::vector<Number>& numbers, std::span<const std::byte> blob) {
  if (blob.empty()) {
    return;
  }
  const std::size_t old_size = numbers.size();
  numbers.resize(old_size + blob.size() / sizeof(Number));
  std::memcpy(numbers.data() + old_size, blob.data(),
              blob.size() / sizeof(Number) * sizeof(Number));
}

template <class Number>
std::vector<Number> numbers_of(std::span<const std::byte> blob) {
  std::vector<Number> numbers;
  append(numbers, blob);
  return numbers;
}

// What a block read back must pass; `what` names it in the error, BadFile.
inline Result<void> check_crc(std::int64_t stored, std::uint32_t computed,
                              const std::string& what) {
  if (stored != static_cast<std::int64_t>(computed)) {
    return fail(ErrorCode::BadFile, what + " is damaged: its checksum is wrong",
                "Take this part from a backup; the others can still be read.");
  }
  return {};
}

/// For blocks in device order: one must begin where the last one ended.
inline Result<void> check_contiguous(std::int64_t expected, std::int64_t first,
                                     const std::string& what) {
  if (first == expected) {
    return {};
  }
  return fail(ErrorCode::BadFile,
              first > expected
                  ? "devices " + std::to_string(expected) + " to " + std::to_string(first - 1) +
                        " of " + what + " are missing"
                  : "device " + std::to_string(first) + " of " + what + " is there more than once");
}

inline Result<void> check_count(std::int64_t expected, std::int64_t count,
                                const std::string& what) {
  if (count == expected) {
    return {};
  }
  return fail(ErrorCode::BadFile,
              what + " has " + std::to_string(count) + " devices of " + std::to_string(expected));
}

}  // namespace pcmlab::db

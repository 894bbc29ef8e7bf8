// SPDX-License-Identifier: Apache-2.0
/// \file
/// Little-endian fields to and from bytes. Writer and reader borrow the bytes they work on and are
/// used by one thread.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "protocol/error.h"

namespace pcmlab::wire {

static_assert(std::endian::native == std::endian::little,
              "fields and arrays are copied as they lie in memory");

/// Appends fields to a vector.
class ByteWriter {
 public:
  explicit ByteWriter(std::vector<std::byte>& out) : out_(out) {}

  void u8(std::uint8_t value) { put(&value, sizeof value); }
  void u16(std::uint16_t value) { put(&value, sizeof value); }
  void u32(std::uint32_t value) { put(&value, sizeof value); }
  void u64(std::uint64_t value) { put(&value, sizeof value); }
  void zeros(std::size_t count) { out_.resize(out_.size() + count); }

  /// The elements as they lie in memory; T must be laid out as on the wire, without padding.
  template <class T>
  void array(std::span<const T> elements) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto bytes = std::as_bytes(elements);
    out_.insert(out_.end(), bytes.data(), bytes.data() + bytes.size());
  }

  /// Length as u16, then the bytes; what is beyond 65535 bytes is cut off.
  void text(std::string_view text) {
    text = text.substr(0, 0xFFFF);
    u16(static_cast<std::uint16_t>(text.size()));
    characters(text);
  }

  /// The bytes alone.
  void characters(std::string_view text) { put(text.data(), text.size()); }

 private:
  void put(const void* from, std::size_t size) {
    if (size != 0) {
      const std::size_t at = out_.size();
      out_.resize(at + size);
      std::memcpy(out_.data() + at, from, size);
    }
  }

  std::vector<std::byte>& out_;
};

/// Takes fields from the front of a span. The first problem (too few bytes, or a require() that
/// fails) is kept; from then on every field reads as zero or empty. finish() tells.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  std::uint8_t u8() { return take<std::uint8_t>(); }
  std::uint16_t u16() { return take<std::uint16_t>(); }
  std::uint32_t u32() { return take<std::uint32_t>(); }
  std::uint64_t u64() { return take<std::uint64_t>(); }

  /// Reserved bytes.
  void zeros(std::size_t count) {
    while (count-- > 0) {
      require(u8() == 0, "a reserved byte is not zero");
    }
  }

  /// `count` elements as they lie in memory. Allocates only when that many bytes are there.
  template <class T>
  std::vector<T> array(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> elements;
    if (!require(count <= rest_.size() / sizeof(T), "there are fewer elements than counted")) {
      return elements;
    }
    elements.resize(count);
    if (count != 0) {
      std::memcpy(elements.data(), rest_.data(), count * sizeof(T));
    }
    rest_ = rest_.subspan(count * sizeof(T));
    return elements;
  }

  std::string text() {
    const auto characters = array<char>(u16());
    return {characters.begin(), characters.end()};
  }

  /// Notes `problem`, a string literal, when `condition` does not hold. \return false after any
  /// problem.
  bool require(bool condition, const char* problem) {
    if (problem_ == nullptr && !condition) {
      problem_ = problem;
      rest_ = {};
    }
    return problem_ == nullptr;
  }

  bool ok() const { return problem_ == nullptr; }
  std::size_t remaining() const { return rest_.size(); }

  /// Errors: BadFrame, when there was a problem or bytes are left over. `what` names what was read.
  Result<void> finish(std::string_view what) const {
    if (problem_ != nullptr) {
      return fail(ErrorCode::BadFrame, std::string(what) + ": " + problem_);
    }
    if (!rest_.empty()) {
      return fail(ErrorCode::BadFrame, std::string(what) + ": " + std::to_string(rest_.size()) +
                                           " bytes more than the message has");
    }
    return {};
  }

 private:
  template <std::unsigned_integral T>
  T take() {
    if (!require(rest_.size() >= sizeof(T), "the payload ends too early")) {
      return 0;
    }
    T value = 0;
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }

  std::span<const std::byte> rest_;
  const char* problem_ = nullptr;
};

}  // namespace pcmlab::wire

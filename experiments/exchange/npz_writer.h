// SPDX-License-Identifier: Apache-2.0
/// \file
/// NumPy's NPZ: a zip archive of arrays. Used by one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "experiments/exchange/output_file.h"

namespace pcmlab {

/// Writes arrays one after the other, each in as many parts as one likes; nothing is held back but
/// the list of arrays. Entries are stored, not compressed, as numpy.savez does; sizes are in zip64
/// fields always, so that arrays and archives may be larger than 4 GB. Little-endian machines only.
class NpzWriter {
 public:
  /// \param file  empty so far; outlives the writer.
  explicit NpzWriter(OutputFile& file) : file_(file) {}

  /// A whole array of one axis, of arithmetic values. Errors of all: those of OutputFile.
  template <class Number>
  Result<void> array(const std::string& name, std::span<const Number> values) {
    PCM_TRY(begin(name, type_of(Number{}), {values.size()}));
    PCM_TRY(add(values));
    return end();
  }
  /// Texts, as NumPy's fixed-width Unicode.
  Result<void> texts(const std::string& name, std::span<const std::string> values);

  /// An array in parts, C order. \param type  NumPy's, such as "<f4"; type_of() has it.
  Result<void> begin(const std::string& name, const std::string& type,
                     const std::vector<std::uint64_t>& shape);
  template <class Number>
  Result<void> add(std::span<const Number> values) {
    return add_bytes(std::as_bytes(values));
  }
  Result<void> end();

  /// The archive's directory; no array may follow. The file is then still to be finished.
  Result<void> finish();

  static const char* type_of(float) { return "<f4"; }
  static const char* type_of(double) { return "<f8"; }
  static const char* type_of(std::uint8_t) { return "|u1"; }
  static const char* type_of(std::int8_t) { return "|i1"; }
  static const char* type_of(std::uint16_t) { return "<u2"; }
  static const char* type_of(std::int32_t) { return "<i4"; }
  static const char* type_of(std::int64_t) { return "<i8"; }

 private:
  struct Entry {
    std::string name;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::uint32_t crc = 0;
  };
  Result<void> add_bytes(std::span<const std::byte> bytes);

  OutputFile& file_;
  std::vector<Entry> entries_;
  std::uint64_t written_ = 0;  ///< bytes of the current entry
};

}  // namespace pcmlab

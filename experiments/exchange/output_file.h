// SPDX-License-Identifier: Apache-2.0
/// \file
/// A file that is there whole or not at all. Used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error.h"

namespace pcmlab {

/// Written beside its place under another name, and put there by finish(). One that is not finished
/// is removed.
class OutputFile {
 public:
  /// \param replace  whether a file of that name may be replaced.
  /// Errors: Io (there is such a file, no folder, no right to write), DiskFull.
  static Result<OutputFile> create(const std::filesystem::path& path, bool replace);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  /// Errors: DiskFull, Io.
  Result<void> write(std::span<const std::byte> bytes);
  Result<void> write(std::string_view text);
  /// Writes at an offset, over what is there or beyond the end. Errors: as write().
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Reads what was written; zeros beyond the end. Errors: as write().
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> bytes);
  /// Of the file so far, in bytes.
  std::uint64_t size() const { return size_; }

  /// Makes sure that all is on the disk and puts the file into its place. Errors: as write(); Io
  /// when a file of that name has appeared meanwhile and may not be replaced.
  Result<void> finish();

 private:
  OutputFile() = default;
  Result<void> flush();
  tl::unexpected<Error> failed(int error_number, const std::string& doing) const;

  std::filesystem::path path_;
  std::string temporary_;  ///< empty once finished
  bool replace_ = false;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::vector<std::byte> pending_;
};

}  // namespace pcmlab

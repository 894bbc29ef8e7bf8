// SPDX-License-Identifier: Apache-2.0
/// \file
/// Files of data sets: reading them, gzip or plain, and what an error or a run says about them.
/// Free of state shared between files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/network/dataset.h"
#include "experiments/network/sha256.h"

struct gzFile_s;

namespace pcmlab {

/// A file, gzip or plain, read from its beginning to its end.
class InputFile {
 public:
  /// Errors: Io.
  static Result<InputFile> open(const std::filesystem::path& path);

  /// Fewer bytes than asked for only at the end of the file. Errors: BadFile (damaged gzip), Io.
  Result<std::vector<std::uint8_t>> read(std::size_t count);
  /// Errors: BadFile when bytes follow.
  Result<void> expect_end();
  /// SHA-256 of all that was read, unpacked. Ends the hash: read no more.
  std::string content_sha256() { return hash_.hex(); }

  tl::unexpected<Error> damaged(const std::string& what) const;

 private:
  struct Close {
    void operator()(gzFile_s* file) const;
  };
  std::unique_ptr<gzFile_s, Close> stream_;
  std::string path_;
  Sha256 hash_;
};

/// "PATH: WHAT", and the advice to replace the file.
tl::unexpected<Error> bad_file(const std::filesystem::path& path, const std::string& what);

/// "train" or "test".
std::string_view to_string(Split split);

/// "PATH (sha256 ...)" for a description. Errors: those of sha256_of_file().
Result<std::string> provenance(const std::filesystem::path& file);

/// Errors: BadFile naming the first label that is not below `classes`.
Result<void> check_labels(const std::filesystem::path& file, std::span<const std::uint8_t> labels,
                          int classes);

/// `count`, or `limit` if that is smaller and not 0.
std::size_t limited(std::size_t count, std::size_t limit);

}  // namespace pcmlab

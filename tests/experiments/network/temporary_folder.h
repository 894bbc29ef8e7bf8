// SPDX-License-Identifier: Apache-2.0
/// \file
/// A folder for one test's files. Removed at the end of its life.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace pcmlab::test {

class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes a file of the folder. \return its path.
  std::filesystem::path write(const std::string& name, std::span<const std::uint8_t> bytes) const;
  std::filesystem::path write(const std::string& name, std::span<const std::byte> bytes) const;

 private:
  std::filesystem::path path_;
};

}  // namespace pcmlab::test

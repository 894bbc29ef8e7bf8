// SPDX-License-Identifier: Apache-2.0
/// \file
/// Where a database must not be: SQLite's WAL needs memory that all its processes share, which file
/// systems over a network do not give. Private to db/. Functions without state, callable from any
/// thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "protocol/error.h"

namespace pcmlab::db {

struct FileSystem {
  std::uint32_t magic = 0;   ///< `f_type` of statfs(2)
  std::string mounted_as{};  ///< type in /proc/self/mountinfo, "fuse.sshfs"; of FUSE only
};

/// That of a file or folder; none: the system does not tell.
using FileSystemOf = std::function<std::optional<FileSystem>(const std::filesystem::path&)>;

std::optional<FileSystem> file_system_of(const std::filesystem::path& file_or_folder);

/// \param file  a database, which need not exist yet
/// Errors: Io for a file system that other machines may have too, by name.
Result<void> refuse_network_file_system(const std::filesystem::path& file,
                                        const FileSystemOf& file_system = file_system_of);

}  // namespace pcmlab::db

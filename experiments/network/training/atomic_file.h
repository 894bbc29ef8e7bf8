// SPDX-License-Identifier: Apache-2.0
/// \file
/// Files that are there whole or not at all. Free functions, callable from any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include "protocol/error.h"

namespace pcmlab::training {

/// Writes beside `file`, brings it to the disk, and then replaces `file`. On an error nothing is
/// left behind and an older file stays. Errors: DiskFull, Io.
Result<void> replace_file(const std::filesystem::path& file, std::span<const std::byte> bytes);
Result<void> replace_file(const std::filesystem::path& file, std::string_view text);

}  // namespace pcmlab::training

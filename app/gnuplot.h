// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs gnuplot and keeps its pictures. Free functions, callable from any thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "protocol/error.h"

namespace pcmlab::app {

/// Runs gnuplot on a script, without a shell and without the user's own gnuplot settings.
/// \return what it wrote to standard output: the picture, where the script sets no output.
/// Errors: NotFound (no gnuplot), Io, DiskFull, Internal (it failed, with what it said).
Result<std::string> run_gnuplot(std::string_view script);

/// Writes beside the file first and moves into place, so that no half picture is ever seen.
/// Errors: Io, DiskFull.
Result<void> write_picture(const std::filesystem::path& file, std::string_view bytes);

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Pictures of every page. GUI thread.
#pragma once

#include <filesystem>

#include "protocol/error.h"

namespace pcmlab::gui {

class MainWindow;

/// Writes FOLDER/PAGE-WIDTHxHEIGHT-THEME.png, at 1280x800 and 1920x1080, light and dark, of a
/// window whose database is open. Errors: Timeout (a page did not get its data), Io.
Result<void> take_screenshots(MainWindow& window, const std::filesystem::path& folder);

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
/// \file
/// A run as one HTML file that needs nothing else: for the mail in the morning, and to print.
/// Functions, callable from any thread.
#pragma once

#include <filesystem>
#include <string>

#include "db/run_store.h"
#include "protocol/error.h"

namespace pcmlab::app {

/// Figures, picture, tables, events and provenance of a run, as far as it has come.
/// \param database  the file that `store` is open on.
/// Errors: NotFound (no such run), those of the database; a picture that cannot be drawn is said
/// in its place.
Result<std::string> report_html(db::RunStore& store, const std::filesystem::path& database,
                                db::RowId run);

}  // namespace pcmlab::app

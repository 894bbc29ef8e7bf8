// SPDX-License-Identifier: Apache-2.0
/// \file
/// Tables over the blobs of a results database, one row a device: `reading`, `programmed_device`
/// and `pulse`. Columns: README.md.
#pragma once

#include "db/extension/sqlite_api.h"

namespace pcmlab::db::extension {

/// Gives a connection the tables. They read only, and belong to the connection.
/// \return SQLITE_OK, or what SQLite says.
int register_tables(sqlite3* database);

}  // namespace pcmlab::db::extension

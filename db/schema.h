// SPDX-License-Identifier: Apache-2.0
/// \file
/// The schema of the results database as numbered migrations. Contract: db/README.md.
/// Constant data and functions over one connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>

#include "db/database.h"

namespace pcmlab::db {

/// PRAGMA application_id of every results database: "PCML".
constexpr std::int64_t kApplicationId = 0x50434D4C;

/// One step: takes a database of `version - 1` to `version`.
struct Migration {
  int version = 0;
  const char* sql = nullptr;
};

/// All steps, in order, from an empty file. Steps that were released are never edited.
std::span<const Migration> migrations();

/// PRAGMA user_version that this program writes: that of the last migration.
int schema_version();

/// Whether the file is a results database that this program can read as it is.
/// Errors: BadFile (of another program, or older), DatabaseNewer.
Result<void> check_schema(Database& database);

/// Opens a database for writing, in WAL mode, with the schema of schema_version(). A file that is
/// new or empty gets it in one transaction. An older one is copied beside itself (FILE.migrating);
/// the copy is brought up to date, checked, and copied back in one transaction. Until that is
/// committed the file is as it was, come what may; meanwhile nobody else has it open.
/// Errors: Io (also: a network file system), BadFile (of another program), DatabaseNewer, Busy
/// (somebody has the older one open), those of Database.
Result<Database> open_up_to_date(const std::filesystem::path& file,
                                 std::chrono::milliseconds busy_timeout = kBusyTimeout);

}  // namespace pcmlab::db

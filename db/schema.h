// SPDX-License-Identifier: Apache-2.0
/// \file
/// The schema of the results database as numbered migrations. Contract: db/README.md.
/// Constant data and functions over one connection.
#pragma once

#include <cstdint>
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

/// Brings a new or older database to schema_version(), one transaction a step.
/// Errors: BadFile (of another program), DatabaseNewer, those of Database.
Result<void> migrate(Database& database);

}  // namespace pcmlab::db

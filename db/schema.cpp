// SPDX-License-Identifier: Apache-2.0
#include "db/schema.h"

#include <string>

namespace pcmlab::db {

namespace {

struct Identity {
  std::int64_t application_id = 0;
  std::int64_t version = 0;
  bool is_empty = false;  ///< no table yet
};

Result<Identity> identify(Database& database) {
  Identity identity;
  PCM_ASSIGN(identity.application_id, database.query_integer("PRAGMA application_id"));
  PCM_ASSIGN(identity.version, database.query_integer("PRAGMA user_version"));
  PCM_ASSIGN(const auto entries, database.query_integer("SELECT count(*) FROM sqlite_schema"));
  identity.is_empty = entries == 0;
  const std::string opening = "opening " + database.file() + ": ";
  const bool is_new = identity.is_empty && identity.application_id == 0 && identity.version == 0;
  if (!is_new && identity.application_id != kApplicationId) {
    return fail(ErrorCode::BadFile, opening + "it is an SQLite database of another program",
                "Give the path of a results database (written by pcmlab run), or of a new file.");
  }
  if (identity.version > schema_version()) {
    return fail(ErrorCode::DatabaseNewer,
                opening + "its schema has version " + std::to_string(identity.version) +
                    ", this program knows versions up to " + std::to_string(schema_version()),
                "Use the newer pcmlab that wrote it.");
  }
  return identity;
}

/// Readers see every commit at once and never wait for the writer, nor it for them.
Result<void> use_wal(Database& database) {
  // SQLite does not wait here for another process that makes the same database, so this does.
  constexpr int kTries = 100;
  constexpr int kPause_ms = 20;
  for (int attempt = 1;; ++attempt) {
    PCM_ASSIGN(auto statement, database.prepare("PRAGMA journal_mode = WAL"));
    const auto row = statement.step();
    if (!row && row.error().code == ErrorCode::Busy && attempt < kTries) {
      sqlite3_sleep(kPause_ms);
      continue;
    }
    PCM_TRY(row);
    const std::string mode = statement.text(0);
    if (mode != "wal" && mode != "memory") {
      return fail(ErrorCode::Io, "opening " + database.file() + ": this disk does not do WAL",
                  "Keep the database on a local disk.");
    }
    return {};
  }
}

}  // namespace

int schema_version() { return migrations().back().version; }

Result<void> check_schema(Database& database) {
  PCM_ASSIGN(const auto identity, identify(database));
  if (identity.is_empty) {
    return fail(ErrorCode::BadFile, "opening " + database.file() + ": it is empty",
                "Give the path of a results database (written by pcmlab run).");
  }
  if (identity.version < schema_version()) {
    return fail(ErrorCode::BadFile,
                "opening " + database.file() + ": its schema has the old version " +
                    std::to_string(identity.version),
                "Copy the file, then open the copy once for writing: that brings it up to date.");
  }
  return {};
}

Result<void> migrate(Database& database) {
  PCM_ASSIGN(auto identity, identify(database));
  PCM_TRY(use_wal(database));
  if (identity.version == schema_version()) {
    return {};
  }
  for (const Migration& migration : migrations()) {
    PCM_ASSIGN(auto transaction, database.begin());
    // Looked at again under the write lock: another process may have been faster.
    PCM_ASSIGN(identity, identify(database));
    if (identity.version >= migration.version) {
      continue;
    }
    const std::string version = std::to_string(migration.version);
    auto step = database.execute(std::string(migration.sql) +
                                 "PRAGMA application_id = " + std::to_string(kApplicationId) +
                                 "; PRAGMA user_version = " + version + ";");
    if (step) {
      step = transaction.commit();
    }
    if (!step) {
      return tl::unexpected<Error>(
          step.error().during("bringing the schema to version " + version));
    }
  }
  return {};
}

}  // namespace pcmlab::db

// SPDX-License-Identifier: Apache-2.0
#include "db/schema.h"

#include <string>
#include <system_error>
#include <utility>

#include "db/file_system.h"

namespace pcmlab::db {

namespace {

struct Identity {
  std::int64_t application_id = 0;
  std::int64_t version = 0;
  bool is_empty = false;  ///< no table yet
};

/// In one statement: another process may just be making the tables.
Result<Identity> identify(Database& database) {
  PCM_ASSIGN(auto select, database.prepare("SELECT application_id, user_version,"
                                           " NOT EXISTS (SELECT 1 FROM sqlite_schema)"
                                           " FROM pragma_application_id, pragma_user_version"));
  PCM_TRY(select.step());
  const Identity identity{select.integer(0), select.integer(1), select.integer(2) != 0};
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

Result<std::string> set_journal_mode(Database& database, const std::string& mode) {
  PCM_ASSIGN(auto statement, database.prepare("PRAGMA journal_mode = " + mode));
  PCM_TRY(statement.step());
  return statement.text(0);
}

/// Readers see every commit at once and never wait for the writer, nor it for them.
Result<void> use_wal(Database& database) {
  // SQLite does not wait here for another process that makes the same database, so this does.
  constexpr int kTries = 100;
  constexpr int kPause_ms = 20;
  auto attempt = set_journal_mode(database, "WAL");
  for (int i = 1; i < kTries && !attempt && attempt.error().code == ErrorCode::Busy; ++i) {
    sqlite3_sleep(kPause_ms);
    attempt = set_journal_mode(database, "WAL");
  }
  PCM_ASSIGN(const std::string mode, std::move(attempt));
  if (mode != "wal" && mode != "memory") {
    return fail(ErrorCode::Io, "opening " + database.file() + ": this disk does not do WAL",
                "Keep the database on a local disk.");
  }
  return {};
}

/// All steps from `version` on, in one transaction.
Result<void> apply_migrations(Database& database, std::int64_t version) {
  for (const Migration& migration : migrations()) {
    if (migration.version <= version) {
      continue;
    }
    const std::string number = std::to_string(migration.version);
    const auto step = database.execute(std::string(migration.sql) +
                                       "PRAGMA application_id = " + std::to_string(kApplicationId) +
                                       "; PRAGMA user_version = " + number + ";");
    if (!step) {
      return tl::unexpected<Error>(step.error().during("bringing the schema to version " + number));
    }
  }
  return {};
}

Result<void> make_tables(Database& database) {
  PCM_TRY(use_wal(database));
  PCM_ASSIGN(auto transaction, database.begin());
  // Looked at again under the write lock: another process may have been faster.
  PCM_ASSIGN(const auto identity, identify(database));
  PCM_TRY(apply_migrations(database, identity.version));
  return transaction.commit();
}

/// Nobody else reads or writes the file from now on, all of it is in the file itself, and no other
/// file belongs to it. Kept until the database is closed, which it must be after an error: two that
/// try this at once are in each other's way until one of them lets go.
Result<void> take_alone(Database& database) {
  sqlite3_busy_timeout(database.handle(), 0);
  PCM_TRY(database.execute("PRAGMA locking_mode = EXCLUSIVE"));
  PCM_TRY(set_journal_mode(database, "DELETE"));
  return database.execute("BEGIN EXCLUSIVE; COMMIT");
}

/// All pages, in one transaction of `to`.
Result<void> copy_pages(Database& from, Database& to) {
  sqlite3_backup* const backup = sqlite3_backup_init(to.handle(), "main", from.handle(), "main");
  if (backup != nullptr) {
    sqlite3_backup_step(backup, -1);
  }
  const int result =
      backup != nullptr ? sqlite3_backup_finish(backup) : sqlite3_errcode(to.handle());
  if (result == SQLITE_OK) {
    return {};
  }
  return fail((result & 0xff) == SQLITE_FULL ? ErrorCode::DiskFull : ErrorCode::Io,
              "copying " + from.file() + " to " + to.file() + ": " + sqlite3_errstr(result),
              "Make room for two more copies of the file, and check the disk (dmesg).");
}

Result<void> check_foreign_keys(Database& database) {
  PCM_ASSIGN(const auto broken,
             database.query_integer("SELECT count(*) FROM pragma_foreign_key_check"));
  if (broken != 0) {
    return fail(ErrorCode::BadFile,
                std::to_string(broken) + " rows refer to rows that are not there",
                "Restore a backup. The file is as it was.");
  }
  return {};
}

/// On a copy beside the file. Renaming that over the file would put a writer that is just opening
/// the old one beside the WAL of the new one; what SQLite copies back is one transaction of the
/// old file, under its locks.
Result<void> migrate_on_copy(Database old) {
  PCM_TRY(take_alone(old));
  PCM_ASSIGN(const auto identity, identify(old));
  const std::string file = old.file() + ".migrating";
  const auto migrate = [&]() -> Result<void> {
    PCM_ASSIGN(auto copy, Database::open(file, OpenMode::ReadWriteCreate));
    // A copy that fails is thrown away, so that it needs no journal. Keys are checked at the end:
    // tables are made anew beneath others that refer to them.
    PCM_TRY(set_journal_mode(copy, "OFF"));
    PCM_TRY(copy.execute("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF"));
    PCM_TRY(copy_pages(old, copy));
    PCM_ASSIGN(auto transaction, copy.begin());
    PCM_TRY(apply_migrations(copy, identity.version));
    PCM_TRY(check_foreign_keys(copy));
    PCM_TRY(transaction.commit());
    return copy_pages(copy, old);
  };
  // Only who has the database alone gets here: what is there was left by one that was killed.
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  auto migrated = migrate();
  std::filesystem::remove(file, ignored);
  return migrated;
}

/// Less than 50 ms, another time for everybody.
void pause_a_little() {
  unsigned char random = 0;
  sqlite3_randomness(sizeof random, &random);
  sqlite3_sleep(2 + random % 48);
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
                "pcmlab vacuum brings it up to date, or a copy of it; later runs do too.");
  }
  return {};
}

Result<Database> open_up_to_date(const std::filesystem::path& file,
                                 std::chrono::milliseconds busy_timeout) {
  if (file != ":memory:") {
    PCM_TRY(refuse_network_file_system(file));
  }
  const auto deadline = std::chrono::steady_clock::now() + busy_timeout;
  for (;;) {
    PCM_ASSIGN(auto database, Database::open(file, OpenMode::ReadWriteCreate, busy_timeout));
    PCM_ASSIGN(const auto identity, identify(database));
    if (identity.version == schema_version()) {
      PCM_TRY(use_wal(database));
      return database;
    }
    if (identity.is_empty) {
      PCM_TRY(make_tables(database));
      return database;
    }
    auto migrated = migrate_on_copy(std::move(database));
    if (migrated) {
      continue;
    }
    Error& error = migrated.error();
    if (error.code == ErrorCode::Busy && std::chrono::steady_clock::now() < deadline) {
      pause_a_little();
      continue;
    }
    if (error.code == ErrorCode::Busy) {
      error.advice = "End the programs that have it open, then try again.";
    }
    return tl::unexpected<Error>(
        error.during("bringing " + file.string() + " up to date, which is as it was"));
  }
}

}  // namespace pcmlab::db

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "db/extension/device_tables.h"
#include "db/extension/device_wear_table.h"
#include "db/extension/pulse_table.h"
#include "db/extension/query.h"
#include "db/extension/tables.h"
#include "db/extension/virtual_table.h"
#include "db/schema.h"

#ifdef PCMLAB_LOADABLE_EXTENSION
extern "C" {
SQLITE_EXTENSION_INIT1
}
#endif

namespace pcmlab::db::extension {
namespace {

/// The version of the schema that first has all that the tables read.
constexpr std::int64_t kOldestVersion = 5;

Result<std::int64_t> pragma(sqlite3* database, const std::string& name) {
  Query query(database);
  PCM_TRY(query.start("PRAGMA " + name, std::span<const std::int64_t>()));
  PCM_ASSIGN(const bool found, query.step());
  return found ? query.integer(0) : 0;
}

template <class Cursor>
int add(sqlite3* database, const char* name) {
  return sqlite3_create_module_v2(database, name, &VirtualTable<Cursor>::module(), nullptr,
                                  nullptr);
}

}  // namespace

Result<void> check_results_database(sqlite3* database) {
  PCM_ASSIGN(const auto id, pragma(database, "application_id"));
  if (id != kApplicationId) {
    return fail(ErrorCode::BadFile, "this is not a results database of pcmlab");
  }
  PCM_ASSIGN(const auto version, pragma(database, "user_version"));
  if (version < kOldestVersion) {
    return fail(
        ErrorCode::Database,
        fmt::format("the database has schema {}, the tables need {}", version, kOldestVersion),
        "the next run into it brings it up to date");
  }
  return {};
}

int register_tables(sqlite3* database) {
  int result = add<ReadingCursor>(database, "reading");
  if (result == SQLITE_OK) result = add<ProgrammedDeviceCursor>(database, "programmed_device");
  if (result == SQLITE_OK) result = add<DeviceDriftCursor>(database, "device_drift");
  if (result == SQLITE_OK) result = add<DeviceWearCursor>(database, "device_wear");
  if (result == SQLITE_OK) result = add<PulseCursor>(database, "pulse");
  return result;
}

}  // namespace pcmlab::db::extension

#ifdef PCMLAB_LOADABLE_EXTENSION
/// What SQLite calls when it has loaded the file.
extern "C" __attribute__((visibility("default"))) int sqlite3_extension_init(
    sqlite3* database, char**, const sqlite3_api_routines* routines) {
  SQLITE_EXTENSION_INIT2(routines)
  return pcmlab::db::extension::register_tables(database);
}
#endif

// SPDX-License-Identifier: Apache-2.0
/// \file
/// A table of SQLite's made of a C++ class: what SQLite calls, and what the class has to give.
/// Tables exist without being created and are read only.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <new>
#include <span>
#include <string>

#include "db/extension/filter.h"
#include "db/extension/sqlite_api.h"
#include "protocol/error.h"

namespace pcmlab::db::extension {

/// For xConnect: whether the tables know the database. Errors: BadFile (not a results database),
/// DatabaseNewer, Database (of an older schema), with what to do.
Result<void> check_results_database(sqlite3* database);

/// SQLite's module of a table whose cursor is `Cursor`, which has
///   static constexpr const char* kDeclaration;   CREATE TABLE ..., for its columns
///   static constexpr int kColumns;
///   static Searching searching();
///   explicit Cursor(sqlite3*);
///   Result<void> search(const Filter&);          to the first row
///   bool at_end() const;
///   bool next_is_near();                         to the next row, if that needs no work
///   Result<void> next();                         otherwise
///   Result<void> column(sqlite3_context*, int);  gives the context its result
///   sqlite3_int64 row_id() const;
template <class Cursor>
class VirtualTable {
 public:
  static const sqlite3_module& module() {
    static const sqlite3_module module = describe();
    return module;
  }

 private:
  struct Table : sqlite3_vtab {
    sqlite3* database = nullptr;
  };
  struct OpenCursor : sqlite3_vtab_cursor {
    explicit OpenCursor(sqlite3* database) : sqlite3_vtab_cursor{}, cursor(database) {}
    Cursor cursor;
  };

  static Cursor& of(sqlite3_vtab_cursor* cursor) {
    return static_cast<OpenCursor*>(cursor)->cursor;
  }

  static std::string text_of(const Error& error) {
    return error.advice.empty() ? error.message : error.message + ": " + error.advice;
  }

  /// Runs what may fail; C++ exceptions must not reach SQLite.
  template <class Work>
  static int run(sqlite3_vtab_cursor* cursor, const Work& work) {
    try {
      const Result<void> done = work();
      return done ? SQLITE_OK : report(cursor, done.error());
    } catch (const std::bad_alloc&) {
      return SQLITE_NOMEM;
    } catch (const std::exception& error) {
      return report(cursor, {ErrorCode::Internal, error.what(), "this is a bug in pcmlab"});
    }
  }

  static int report(sqlite3_vtab_cursor* cursor, const Error& error) {
    sqlite3_free(cursor->pVtab->zErrMsg);
    cursor->pVtab->zErrMsg = sqlite3_mprintf("%s", text_of(error).c_str());
    return error.code == ErrorCode::BadFile ? SQLITE_CORRUPT_VTAB : SQLITE_ERROR;
  }

  static int connect(sqlite3* database, void*, int, const char* const*, sqlite3_vtab** table,
                     char** message) {
    if (const auto known = check_results_database(database); !known) {
      *message = sqlite3_mprintf("%s", text_of(known.error()).c_str());
      return SQLITE_ERROR;
    }
    if (const int result = sqlite3_declare_vtab(database, Cursor::kDeclaration);
        result != SQLITE_OK) {
      return result;
    }
    sqlite3_vtab_config(database, SQLITE_VTAB_INNOCUOUS);
    auto* const made = new (std::nothrow) Table{};
    if (made == nullptr) return SQLITE_NOMEM;
    made->database = database;
    *table = made;
    return SQLITE_OK;
  }

  static int disconnect(sqlite3_vtab* table) {
    delete static_cast<Table*>(table);
    return SQLITE_OK;
  }

  static int best_index(sqlite3_vtab*, sqlite3_index_info* info) {
    return plan_search(Cursor::searching(), *info);
  }

  static int open(sqlite3_vtab* table, sqlite3_vtab_cursor** cursor) {
    try {
      *cursor = new OpenCursor(static_cast<Table*>(table)->database);
      return SQLITE_OK;
    } catch (const std::bad_alloc&) {
      return SQLITE_NOMEM;
    }
  }

  static int close(sqlite3_vtab_cursor* cursor) {
    delete static_cast<OpenCursor*>(cursor);
    return SQLITE_OK;
  }

  static int filter(sqlite3_vtab_cursor* cursor, int, const char* plan, int count,
                    sqlite3_value** values) {
    return run(cursor, [&] {
      return of(cursor).search(
          Filter(Cursor::kColumns, plan, {values, static_cast<std::size_t>(count)}));
    });
  }

  static int next(sqlite3_vtab_cursor* cursor) {
    if (of(cursor).next_is_near()) return SQLITE_OK;
    return run(cursor, [&] { return of(cursor).next(); });
  }

  static int at_end(sqlite3_vtab_cursor* cursor) { return of(cursor).at_end() ? 1 : 0; }

  static int column(sqlite3_vtab_cursor* cursor, sqlite3_context* context, int column) {
    return run(cursor, [&] { return of(cursor).column(context, column); });
  }

  static int row_id(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
    *id = of(cursor).row_id();
    return SQLITE_OK;
  }

  static sqlite3_module describe() {
    sqlite3_module module{};
    module.iVersion = 3;
    module.xConnect = connect;  // and no xCreate: the table is there by itself
    module.xBestIndex = best_index;
    module.xDisconnect = disconnect;
    module.xDestroy = disconnect;
    module.xOpen = open;
    module.xClose = close;
    module.xFilter = filter;
    module.xNext = next;
    module.xEof = at_end;
    module.xColumn = column;
    module.xRowid = row_id;
    return module;
  }
};

}  // namespace pcmlab::db::extension

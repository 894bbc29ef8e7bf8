// SPDX-License-Identifier: Apache-2.0
/// \file
/// A prepared statement on somebody else's connection, which must outlive it. For one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "db/extension/sqlite_api.h"
#include "protocol/error.h"

namespace pcmlab::db::extension {

class Query {
 public:
  explicit Query(sqlite3* database) : database_(database) {}
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query() { sqlite3_finalize(statement_); }

  /// Prepares if need be, binds all parameters and stands before the first row.
  /// Errors of all calls: Database, with SQLite's message.
  Result<void> start(const std::string& sql, std::span<const std::int64_t> parameters);
  Result<void> start(const std::string& sql, std::int64_t parameter) {
    return start(sql, std::span(&parameter, 1));
  }
  /// To the next row. \return false after the last one.
  Result<bool> step();

  // Columns of the current row, from 0; a blob's bytes and a text live until the next step.
  bool is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  double real(int column) const { return sqlite3_column_double(statement_, column); }
  std::string text(int column) const;
  std::span<const std::byte> blob(int column) const;

 private:
  Result<void> prepare(const std::string& sql);
  tl::unexpected<Error> failure() const;

  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace pcmlab::db::extension

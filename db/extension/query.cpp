// SPDX-License-Identifier: Apache-2.0
#include "db/extension/query.h"

namespace pcmlab::db::extension {

Result<void> Query::start(const std::string& sql, std::span<const std::int64_t> parameters) {
  PCM_TRY(prepare(sql));
  int index = 0;
  for (const std::int64_t parameter : parameters) {
    sqlite3_bind_int64(statement_, ++index, parameter);
  }
  return {};
}

Result<bool> Query::step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return failure();
}

std::string Query::text(int column) const {
  const auto* const begin = sqlite3_column_text(statement_, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return begin == nullptr ? std::string() : std::string(begin, begin + size);
}

std::span<const std::byte> Query::blob(int column) const {
  const auto* const begin = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
  return {begin, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

Result<void> Query::prepare(const std::string& sql) {
  if (statement_ != nullptr) {
    sqlite3_reset(statement_);
    return {};
  }
  const int result = sqlite3_prepare_v3(database_, sql.c_str(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
  if (result != SQLITE_OK) return failure();
  return {};
}

tl::unexpected<Error> Query::failure() const {
  return fail(ErrorCode::Database, sqlite3_errmsg(database_));
}

}  // namespace pcmlab::db::extension

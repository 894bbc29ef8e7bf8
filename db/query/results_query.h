// SPDX-License-Identifier: Apache-2.0
/// \file
/// SQL from outside on a results database: it reads and cannot do anything else, ends when its time
/// is over, and has the tables of db/extension. For one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "db/database.h"

namespace pcmlab::db {

struct Null {};
struct HexBlob {
  std::string digits;
};
/// One value of a row.
using Value = std::variant<Null, std::int64_t, double, std::string, HexBlob>;

struct QuerySettings {
  std::chrono::milliseconds timeout{60'000};  ///< of one execution; 0: none
  std::stop_token stop{};
};

class ResultsQuery {
 public:
  /// Errors: those of Database::open() and check_schema().
  static Result<ResultsQuery> open(const std::filesystem::path& file,
                                   const QuerySettings& settings = {});
  ResultsQuery(ResultsQuery&&) noexcept;
  ~ResultsQuery();

  /// Compiles one SELECT (or EXPLAIN, VALUES, a PRAGMA that reads) and gives its :parameters their
  /// values: numbers where they look like numbers, "null" for NULL, else text. Those without a
  /// value are NULL. Errors: BadPlan (SQL that is wrong, more than one statement, something else
  /// than reading, a value for a parameter that is not there).
  Result<void> prepare(const std::string& sql, const std::map<std::string, std::string>& values);
  /// Once more from the start, with the time that a new execution has.
  void restart();

  const std::vector<std::string>& columns() const;
  /// To the next row. \return false after the last one.
  /// Errors: Stopped (the time was over, or somebody asked for it), BadFile (a damaged block),
  /// those of Database.
  Result<bool> step();
  Value value(std::size_t column) const;

  /// Changes when somebody else has committed something.
  Result<std::int64_t> data_version();

 private:
  struct Connection;
  explicit ResultsQuery(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace pcmlab::db

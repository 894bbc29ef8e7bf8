// SPDX-License-Identifier: Apache-2.0
/// \file
/// How the methods of RunStore read and write: transactions, rows, and the errors of both. Private
/// to db/. Functions over one connection, on the thread it belongs to.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "db/database.h"
#include "db/records.h"

namespace pcmlab::db {

inline constexpr std::array kRunStates{RunState::Running, RunState::Complete, RunState::Stopped,
                                       RunState::Failed, RunState::Interrupted};

/// Runs `body` in a transaction of its own (or in a savepoint of the open one), which is kept if it
/// succeeds. After trouble that passed it is run again.
template <class Body>
auto transact(Database& database, Access access, const std::string& doing, const Body& body)
    -> decltype(body()) {
  const auto attempt = [&]() -> decltype(body()) {
    PCM_ASSIGN(auto transaction, database.begin(access));
    auto result = body();
    if (result && access == Access::Write) {
      PCM_TRY(transaction.commit());
    }
    return result;
  };
  return database.patiently([&]() -> decltype(body()) {
    auto result = attempt();
    if (!result) {
      return tl::unexpected<Error>(result.error().during(doing));
    }
    return result;
  });
}

template <class Body>
auto write(Database& database, const std::string& doing, const Body& body) -> decltype(body()) {
  return transact(database, Access::Write, doing, body);
}

/// Runs `body` on one state of the database.
template <class Body>
auto read(Database& database, const std::string& doing, const Body& body) -> decltype(body()) {
  return transact(database, Access::Read, doing, body);
}

/// All rows of a query; `row` makes one value of the statement's current row.
template <class Row, class... Values>
auto rows_of(Database& database, std::string_view sql, const Row& row, const Values&... values)
    -> Result<std::vector<typename std::invoke_result_t<Row, Statement&>::value_type>> {
  std::vector<typename std::invoke_result_t<Row, Statement&>::value_type> rows;
  PCM_ASSIGN(auto statement, database.prepare(sql));
  statement.bind(values...);
  for (;;) {
    PCM_ASSIGN(const bool more, statement.step());
    if (!more) {
      return rows;
    }
    PCM_ASSIGN(auto value, row(statement));
    rows.push_back(std::move(value));
  }
}

/// The value of an enum from its name in the file. Errors: BadFile.
template <class Values>
Result<typename Values::value_type> parse(const Values& values, const std::string& name) {
  for (const auto value : values) {
    if (to_string(value) == name) {
      return value;
    }
  }
  return fail(ErrorCode::BadFile, "unknown value '" + name + "'", "Use the newer pcmlab.");
}

inline tl::unexpected<Error> not_found(const std::string& what, RowId id) {
  return fail(ErrorCode::NotFound, "there is no " + what + " " + std::to_string(id));
}

inline std::string number(std::int64_t value) { return std::to_string(value); }
inline std::string number(std::size_t value) { return std::to_string(value); }

}  // namespace pcmlab::db

// SPDX-License-Identifier: Apache-2.0
#include "db/tables.h"

#include <algorithm>

#include "db/store_access.h"

namespace pcmlab::db {
namespace {

Result<RunTable> describe_table(Database& database, const std::string& name) {
  RunTable table;
  table.name = name;
  PCM_ASSIGN(table.columns,
             rows_of(
                 database, "SELECT name FROM pragma_table_info(?) ORDER BY cid",
                 [](const Statement& row) -> Result<std::string> { return row.text(0); }, name));
  PCM_ASSIGN(table.keys, rows_of(
                             database,
                             "SELECT \"from\", \"table\" FROM pragma_foreign_key_list(?)"
                             " WHERE on_delete <> 'SET NULL' ORDER BY "
                             "\"from\" <> 'run_id', id DESC",
                             [](const Statement& row) -> Result<ForeignKey> {
                               return ForeignKey{row.text(0), row.text(1)};
                             },
                             name));
  const auto names_something = [&](const std::string& column) {
    return std::any_of(table.keys.begin(), table.keys.end(),
                       [&](const ForeignKey& key) { return key.column == column; });
  };
  table.has_own_id = !table.columns.empty() && table.columns.front() == "id" &&
                     !names_something(table.columns.front());
  return table;
}

/// The column of `table` that its rows are referred to by.
std::string key_of(const RunTable& table) { return table.columns.front(); }

}  // namespace

Result<std::vector<RunTable>> run_tables(Database& database) {
  PCM_ASSIGN(const auto names,
             rows_of(database,
                     "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE"
                     " 'sqlite%' AND name <> 'run'",
                     [](const Statement& row) -> Result<std::string> { return row.text(0); }));
  std::vector<RunTable> waiting;
  for (const std::string& name : names) {
    PCM_ASSIGN(RunTable table, describe_table(database, name));
    waiting.push_back(std::move(table));
  }
  PCM_ASSIGN(RunTable run, describe_table(database, "run"));
  run.of_run = "id = ?1";
  std::vector<RunTable> owned{std::move(run)};
  const auto owner = [&](const RunTable& table) -> const RunTable* {
    for (const ForeignKey& key : table.keys) {
      for (const RunTable& candidate : owned) {
        if (candidate.name == key.table) return &candidate;
      }
    }
    return nullptr;
  };
  const auto waits_for = [&](const RunTable& table) {
    return std::any_of(table.keys.begin(), table.keys.end(), [&](const ForeignKey& key) {
      return key.table != table.name &&
             std::any_of(waiting.begin(), waiting.end(), [&](const RunTable& other) {
               return other.name == key.table && owner(other) != nullptr;
             });
    });
  };
  for (bool found = true; found;) {
    found = false;
    for (auto table = waiting.begin(); table != waiting.end(); ++table) {
      if (owner(*table) == nullptr || waits_for(*table)) continue;
      for (const ForeignKey& key : table->keys) {
        const auto of = std::find_if(owned.begin(), owned.end(), [&](const RunTable& candidate) {
          return candidate.name == key.table;
        });
        if (of == owned.end()) continue;
        table->of_run = key.table == "run" ? key.column + " = ?1"
                                           : key.column + " IN (SELECT " + key_of(*of) + " FROM " +
                                                 of->name + " WHERE " + of->of_run + ")";
        break;
      }
      owned.push_back(std::move(*table));
      waiting.erase(table);
      found = true;
      break;
    }
  }
  return owned;
}

}  // namespace pcmlab::db

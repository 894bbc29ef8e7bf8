// SPDX-License-Identifier: Apache-2.0
/// \file
/// The tables of a results database and which of their rows belong to a run, by their foreign keys,
/// so that what handles whole runs need not know each table. Private to db/. Plain values.
#pragma once

#include <string>
#include <vector>

#include "db/database.h"

namespace pcmlab::db {

struct ForeignKey {
  std::string column;
  std::string table;  ///< whose rows it names
};

struct RunTable {
  std::string name;
  std::vector<std::string> columns;
  bool has_own_id = false;  ///< `id` is its primary key and names nothing else
  std::vector<ForeignKey> keys;
  /// Its rows of run ?1, for a WHERE.
  std::string of_run;
};

/// `run` and all tables whose rows belong to one run, those that are referred to first. What only
/// names a run (ON DELETE SET NULL) does not belong to it.
Result<std::vector<RunTable>> run_tables(Database& database);

}  // namespace pcmlab::db

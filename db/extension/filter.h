// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a WHERE clause leaves of a table's integer columns, as intervals: how SQLite's planner and
/// a table come to terms. Plain values.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "db/extension/sqlite_api.h"

namespace pcmlab::db::extension {

/// first .. last, both included; empty where first > last.
struct Interval {
  std::int64_t first = std::numeric_limits<std::int64_t>::min();
  std::int64_t last = std::numeric_limits<std::int64_t>::max();

  bool empty() const { return first > last; }
  bool holds(std::int64_t number) const { return first <= number && number <= last; }
  void meet(Interval other);
};

inline constexpr Interval kNothing{1, 0};

/// A column that a table can look for, and what part of its rows one value of it leaves.
struct SearchedColumn {
  int column = 0;
  double share = 1;
};

/// A table's columns by which it can be searched and the order in which it gives its rows.
struct Searching {
  std::span<const SearchedColumn> columns;
  std::span<const int> order;  ///< columns; the rows rise by the first, then by the second, ...
  double rows = 0;             ///< of a table of usual size
  double start_cost = 0;       ///< of a search, in rows
};

/// SQLite's xBestIndex: takes the constraints that the table can do better than SQLite, and
/// promises them in full.
int plan_search(const Searching& searching, sqlite3_index_info& info);

/// The constraints of one search.
class Filter {
 public:
  /// \param plan  what plan_search() left in idxStr. \param values  as many as it promised.
  Filter(int columns, const char* plan, std::span<sqlite3_value*> values);

  const Interval& operator[](int column) const {
    return intervals_[static_cast<std::size_t>(column)];
  }
  /// Also true where a comparison left the whole interval: no row with a NULL passes it.
  bool limits(int column) const { return limited_[static_cast<std::size_t>(column)]; }

 private:
  std::vector<Interval> intervals_;
  std::vector<bool> limited_;
};

}  // namespace pcmlab::db::extension

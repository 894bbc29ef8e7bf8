// SPDX-License-Identifier: Apache-2.0
#include "db/extension/filter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace pcmlab::db::extension {
namespace {

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kHighest = std::numeric_limits<std::int64_t>::max();

/// How a comparison is written in a plan; 0: one that the tables leave to SQLite.
char letter_of(unsigned char comparison) {
  switch (comparison) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
      return '=';
    case SQLITE_INDEX_CONSTRAINT_GT:
      return '>';
    case SQLITE_INDEX_CONSTRAINT_GE:
      return 'G';
    case SQLITE_INDEX_CONSTRAINT_LT:
      return '<';
    case SQLITE_INDEX_CONSTRAINT_LE:
      return 'L';
    default:
      return 0;
  }
}

Interval compared_with_integer(char comparison, std::int64_t value) {
  switch (comparison) {
    case '=':
      return {value, value};
    case '>':
      return value == kHighest ? kNothing : Interval{value + 1, kHighest};
    case 'G':
      return {value, kHighest};
    case '<':
      return value == kLowest ? kNothing : Interval{kLowest, value - 1};
    default:
      return {kLowest, value};
  }
}

Interval compared_with_real(char comparison, double value) {
  const bool below = comparison == '<' || comparison == 'L';
  if (value >= 0x1p63) return below ? Interval{} : kNothing;
  if (value < -0x1p63) return below || comparison == '=' ? kNothing : Interval{};
  const auto whole = static_cast<std::int64_t>(std::floor(value));
  if (std::floor(value) == value) return compared_with_integer(comparison, whole);
  if (comparison == '=') return kNothing;
  return compared_with_integer(below ? 'L' : '>', whole);
}

/// As SQLite compares a column of integers: text that is a number is one, other text and blobs are
/// more than any number, NULL compares with nothing.
Interval compared_with(char comparison, sqlite3_value* value) {
  switch (sqlite3_value_numeric_type(value)) {
    case SQLITE_INTEGER:
      return compared_with_integer(comparison, sqlite3_value_int64(value));
    case SQLITE_FLOAT:
      return compared_with_real(comparison, sqlite3_value_double(value));
    case SQLITE_NULL:
      return kNothing;
    default:
      return comparison == '<' || comparison == 'L' ? Interval{} : kNothing;
  }
}

/// Whether the order that is asked for is the table's own; columns of one value do not count.
bool is_own_order(const Searching& searching, const sqlite3_index_info& info,
                  const std::vector<int>& single) {
  const auto is_single = [&](int column) {
    return std::find(single.begin(), single.end(), column) != single.end();
  };
  auto own = searching.order.begin();
  for (int i = 0; i < info.nOrderBy; ++i) {
    const auto& wanted = info.aOrderBy[i];
    if (is_single(wanted.iColumn)) continue;
    while (own != searching.order.end() && is_single(*own)) ++own;
    if (own == searching.order.end() || *own != wanted.iColumn || wanted.desc != 0) return false;
    ++own;
  }
  return true;
}

}  // namespace

void Interval::meet(Interval other) {
  first = std::max(first, other.first);
  last = std::min(last, other.last);
}

int plan_search(const Searching& searching, sqlite3_index_info& info) {
  std::string plan;
  std::vector<int> single;
  double rows = searching.rows;
  for (int i = 0; i < info.nConstraint; ++i) {
    const auto& constraint = info.aConstraint[i];
    const char letter = letter_of(constraint.op);
    const auto searched = std::find_if(
        searching.columns.begin(), searching.columns.end(),
        [&](const SearchedColumn& column) { return column.column == constraint.iColumn; });
    if (constraint.usable == 0 || letter == 0 || searched == searching.columns.end()) continue;
    plan += static_cast<char>('A' + constraint.iColumn);
    plan += letter;
    info.aConstraintUsage[i].argvIndex = static_cast<int>(plan.size() / 2);
    info.aConstraintUsage[i].omit = 1;
    if (letter == '=') {
      single.push_back(constraint.iColumn);
      rows *= searched->share;
    } else {
      rows *= std::max(searched->share, 0.3);
    }
  }
  info.idxStr = sqlite3_mprintf("%s", plan.c_str());
  if (info.idxStr == nullptr) return SQLITE_NOMEM;
  info.needToFreeIdxStr = 1;
  info.estimatedRows = static_cast<sqlite3_int64>(std::max(rows, 1.0));
  info.estimatedCost = rows + searching.start_cost;
  info.orderByConsumed = is_own_order(searching, info, single) ? 1 : 0;
  return SQLITE_OK;
}

Filter::Filter(int columns, const char* plan, std::span<sqlite3_value*> values)
    : intervals_(static_cast<std::size_t>(columns)), limited_(static_cast<std::size_t>(columns)) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto column = static_cast<std::size_t>(plan[2 * i] - 'A');
    intervals_[column].meet(compared_with(plan[2 * i + 1], values[i]));
    limited_[column] = true;
  }
}

}  // namespace pcmlab::db::extension

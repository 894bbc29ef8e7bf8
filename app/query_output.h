// SPDX-License-Identifier: Apache-2.0
/// \file
/// Rows of a query as a table for people, CSV, JSON or NPZ, one row after another. Used by one
/// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "db/query/results_query.h"
#include "experiments/exchange/output_file.h"

namespace pcmlab::app {

/// For a person to read: six digits, "-" for NULL.
std::string short_text(const db::Value& value);

/// Takes the rows of one query. Nothing but NPZ holds more than some hundred of them.
class QueryOutput {
 public:
  virtual ~QueryOutput() = default;
  virtual Result<void> begin(const std::vector<std::string>& columns) = 0;
  virtual Result<void> row(const std::vector<db::Value>& values) = 0;
  virtual Result<void> end() = 0;
};

/// Where text goes.
using WriteText = std::function<Result<void>(std::string_view)>;

/// Columns as wide as the first rows need.
std::unique_ptr<QueryOutput> table_output(WriteText write);
/// RFC 4180, with a header; NULL is an empty field, a blob its hexadecimal digits.
std::unique_ptr<QueryOutput> csv_output(WriteText write);
/// An array with one object a row.
std::unique_ptr<QueryOutput> json_output(WriteText write);
/// One array a column: int64, float64 (NULL is NaN) or text. Holds all values, 8 bytes each.
/// \param file  is finished by the caller.
std::unique_ptr<QueryOutput> npz_output(OutputFile& file);

}  // namespace pcmlab::app

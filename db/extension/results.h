// SPDX-License-Identifier: Apache-2.0
/// \file
/// Values as results of a column. Functions.
#pragma once

#include <optional>
#include <string_view>

#include "db/extension/programmed_devices.h"
#include "db/extension/sqlite_api.h"

namespace pcmlab::db::extension {

inline void give(sqlite3_context* context, std::int64_t number) {
  sqlite3_result_int64(context, number);
}
inline void give(sqlite3_context* context, double number) {
  sqlite3_result_double(context, number);
}
/// A text that lives until the cursor moves.
inline void give(sqlite3_context* context, std::string_view text) {
  sqlite3_result_text(context, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}
template <class Number>
void give(sqlite3_context* context, const std::optional<Number>& number) {
  if (number) give(context, *number);  // else it is NULL
}

/// Which of the columns that say which device a row is of.
enum class DeviceColumn { Layer, LayerName, Weight, Polarity, WordLine, BitLine, TargetUs };

/// Errors: those of ProgrammedDevices.
Result<void> give(sqlite3_context* context, ProgrammedDevices& devices, std::int64_t device,
                  DeviceColumn column);

}  // namespace pcmlab::db::extension

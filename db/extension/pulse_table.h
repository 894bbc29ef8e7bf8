// SPDX-License-Identifier: Apache-2.0
/// \file
/// The table `pulse`: each device of each batch of pulses, as intended and as acknowledged.
/// Columns: README.md. For one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/extension/filter.h"
#include "db/extension/programmed_devices.h"
#include "db/extension/pulse_batch.h"
#include "db/extension/query.h"
#include "db/extension/sqlite_api.h"

namespace pcmlab::db::extension {

class PulseCursor {
 public:
  static const char* const kDeclaration;
  static const int kColumns;
  static Searching searching();

  explicit PulseCursor(sqlite3* database);

  Result<void> search(const Filter& filter);
  bool at_end() const { return at_end_; }
  bool next_is_near() { return false; }
  Result<void> next();
  Result<void> column(sqlite3_context* context, int column);
  sqlite3_int64 row_id() const { return batch_.id << 32 | place_; }

 private:
  struct Batch : PulseBatch {
    std::int64_t run = 0;
    std::int64_t number = 0;
    std::int64_t iteration = 0;
    std::int64_t width_ns = 0;
    std::string intended_utc;
    std::int64_t first_tick_ns = 0, last_tick_ns = 0;
    std::span<const std::byte> code_sums;
  };

  Result<bool> next_batch();
  Result<void> want_devices_of(std::int64_t programming);
  bool wanted(std::int64_t device) const;
  std::int64_t device() const { return batch_.device(place_); }
  std::optional<std::int64_t> amplitude_10nA() const { return batch_.amplitude_10nA(place_); }
  /// Whether the device got what was intended; none: not known.
  std::optional<bool> given() const;

  Query batches_;
  ProgrammedDevices devices_;
  std::optional<Filter> filter_;
  std::vector<Interval> wanted_;  ///< devices of the programming
  Batch batch_;
  std::int64_t place_ = 0;          ///< in the batch
  std::int64_t pulses_before_ = 0;  ///< in the batch, of a kind with amplitudes
  bool at_end_ = true;
};

}  // namespace pcmlab::db::extension

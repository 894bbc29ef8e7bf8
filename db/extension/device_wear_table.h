// SPDX-License-Identifier: Apache-2.0
/// \file
/// The table `device_wear`: what each place on each chip has borne, counted anew for every search
/// and a chip at a time. Columns: README.md. For one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/extension/device_blocks.h"
#include "db/extension/filter.h"
#include "db/extension/programmed_devices.h"
#include "db/extension/pulse_batch.h"
#include "db/extension/query.h"
#include "db/extension/sqlite_api.h"
#include "protocol/device_address.h"

namespace pcmlab::db::extension {

class DeviceWearCursor {
 public:
  static const char* const kDeclaration;
  static const int kColumns;
  static Searching searching();

  explicit DeviceWearCursor(sqlite3* database);

  Result<void> search(const Filter& filter);
  bool at_end() const { return at_end_; }
  bool next_is_near() { return next_of_chip(); }
  Result<void> next();
  Result<void> column(sqlite3_context* context, int column);
  sqlite3_int64 row_id() const { return first_run_ << 32 | word_line_ << 16 | bit_line_; }

 private:
  struct Wear {
    std::int64_t programmings = 0;  ///< in which it was, or may have been, pulsed
    std::int64_t pulses = 0;
    double heat_A2s = 0;
    std::int64_t unknown_batches = 0;
    std::int64_t last_run = 0;
    std::int64_t last_programming = 0;
  };

  bool next_of_chip();
  Result<bool> next_chip();
  Result<void> count_chip();
  Result<void> place_devices_of(std::int64_t programming);
  /// \param heat_A2s  of a device, where the batch has no amplitudes of its own
  void add(const PulseBatch& batch, std::int64_t run, double width_s, double heat_A2s);
  Wear& wear_of(DeviceAddress address);
  const Wear& wear() const {
    return lines_[static_cast<std::size_t>(word_line_)][static_cast<std::size_t>(bit_line_)];
  }

  Query chips_;
  Query batches_;
  DeviceBlocks placement_;
  std::optional<Filter> filter_;
  std::int64_t programming_ = 0;          ///< that `addresses_` are of
  std::vector<DeviceAddress> addresses_;  ///< by device
  // The current chip.
  std::int64_t first_run_ = 0;
  std::string board_serial_, sample_;
  std::vector<std::vector<Wear>> lines_;  ///< [word line][bit line], as far as there were pulses
  std::int64_t word_line_ = 0, bit_line_ = -1;
  bool at_end_ = true;
};

}  // namespace pcmlab::db::extension

// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the tables with one row for each device of an owner (a sweep, a programming, a fit) have in
/// common: the owners a search wants, one after another, and the wanted devices of each. For one
/// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "db/extension/device_walk.h"
#include "db/extension/filter.h"
#include "db/extension/programmed_devices.h"
#include "db/extension/query.h"
#include "db/extension/sqlite_api.h"

namespace pcmlab::db::extension {

class DeviceCursor {
 public:
  DeviceCursor(const DeviceCursor&) = delete;
  DeviceCursor& operator=(const DeviceCursor&) = delete;

  Result<void> search(const Filter& filter);
  bool at_end() const { return at_end_; }
  bool next_is_near() { return walk_.next_in_piece(); }
  Result<void> next();
  sqlite3_int64 row_id() const { return owner_ << 32 | walk_.device(); }

 protected:
  struct Owners {
    /// Selects the owner's id, its programming's id and what take_owner() wants. Has a BETWEEN for
    /// each of `searched`, in this order, and its rows rise by id.
    std::string sql;
    std::span<const int> searched;  ///< columns of the table
  };

  DeviceCursor(sqlite3* database, DeviceBlocks::Table blocks, Owners owners,
               const DeviceColumns& columns);
  ~DeviceCursor() = default;

  /// \param row  its columns from 2 on are the table's own.
  virtual void take_owner(const Query& row) = 0;

  std::int64_t owner() const { return owner_; }
  std::int64_t device() const { return walk_.device(); }
  ProgrammedDevices& devices() { return devices_; }
  /// The block that holds the device.
  const DeviceBlocks& block() const { return walk_.block(); }

 private:
  Result<void> next_owner();

  Query owner_rows_;
  Owners owners_;
  DeviceColumns columns_;
  ProgrammedDevices devices_;
  DeviceWalk walk_;
  std::optional<Filter> filter_;
  std::int64_t owner_ = 0;
  bool at_end_ = true;
};

}  // namespace pcmlab::db::extension

// SPDX-License-Identifier: Apache-2.0
/// \file
/// A disk with so many bytes left, between SQLite and the real one: growing a file takes from
/// them, shrinking and deleting give back, and a write for which none are left is torn and fails
/// as a full disk makes it fail. One thread, one at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>

namespace pcmlab::db {

class SmallDisk {
 public:
  /// Every database opened from now on is on it.
  explicit SmallDisk(std::int64_t free_bytes);
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  /// All databases on it must be closed.
  ~SmallDisk();

  void add_room(std::int64_t bytes) { free_bytes_ += bytes; }
  void fill() { free_bytes_ = 0; }
  /// From now on, this many calls of fsync succeed and all later ones fail; negative: none fails.
  void fail_sync_after(int calls) { good_syncs_ = calls; }
  /// How many writes and fsyncs failed.
  int failures() const { return failures_; }

  struct File;  ///< an open file; small_disk.cpp

 private:
  friend struct SmallDiskMethods;
  sqlite3_vfs vfs_{};
  sqlite3_vfs* real_ = nullptr;
  std::int64_t free_bytes_ = 0;
  int good_syncs_ = -1;
  int failures_ = 0;
};

}  // namespace pcmlab::db

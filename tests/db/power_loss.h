// SPDX-License-Identifier: Apache-2.0
/// \file
/// A disk in memory that loses power: what was written and not yet synced is then kept, lost or
/// torn, sector by sector and in any order. Also one that fails a call of a kind with an I/O error.
/// One thread, one at a time; databases on it must be closed before it goes.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace pcmlab::db {

class MemoryDisk {
 public:
  enum class Call { Write, Sync, Open, Truncate };

  /// Every database opened from now on is on it, under any path.
  MemoryDisk();
  MemoryDisk(const MemoryDisk&) = delete;
  MemoryDisk& operator=(const MemoryDisk&) = delete;
  ~MemoryDisk();

  /// The power goes at the nth call from now that would change the disk (from 1): that one and all
  /// later ones fail.
  void lose_power_at(std::int64_t call) { calls_left_ = call; }
  bool has_power() const { return calls_left_ != 0; }
  /// Power is back: files are as synced, with some of the sectors written since, chosen by
  /// `random`.
  void restart(std::mt19937_64& random);

  /// The nth call of this kind from now fails with an I/O error, and only that one; 0: none.
  void fail_at(Call kind, std::int64_t nth);
  bool has_failed() const { return failed_; }

  struct File;    ///< what is on the disk; power_loss.cpp
  struct Handle;  ///< an open file

 private:
  friend struct MemoryDiskMethods;
  bool allow(Call kind);
  bool fails(Call kind);

  sqlite3_vfs vfs_{};
  std::map<std::string, std::shared_ptr<File>> files_;
  std::int64_t calls_left_ = -1;  ///< negative: power stays
  std::int64_t fail_left_ = 0;
  Call fail_kind_ = Call::Write;
  bool failed_ = false;
};

}  // namespace pcmlab::db

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Blocks of devices, one in memory at a time. For one thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "db/extension/query.h"

namespace pcmlab::db::extension {

/// A number of a blob, wherever it lies in memory.
template <class Number>
Number number_at(std::span<const std::byte> blob, std::int64_t index) {
  Number number;
  std::memcpy(&number, blob.data() + static_cast<std::size_t>(index) * sizeof(Number),
              sizeof(Number));
  return number;
}

/// The blocks of one table, by owner (a sweep, a programming) and device.
class DeviceBlocks {
 public:
  struct Table {
    std::string name;                ///< "sweep_block"
    std::string owner;               ///< "sweep_id"
    std::vector<std::string> blobs;  ///< all of them, as `crc32c` covers them
    std::vector<std::string> numbers{};
  };

  DeviceBlocks(sqlite3* database, Table table);

  /// Makes the block of a device, or where there is none the next one behind it, the current one.
  /// \return false: there is none, and no current one.
  /// Errors: BadFile (damaged, with table and id), those of Query.
  Result<bool> seek(std::int64_t owner, std::int64_t device) {
    if (owner == owner_ && first_ <= device && device < end_) return true;
    return load(owner, device);
  }

  // The current block.
  std::int64_t first() const { return first_; }
  std::int64_t end() const { return end_; }
  std::span<const std::byte> blob(std::size_t index) const { return blobs_[index]; }
  std::int64_t number(std::size_t index) const;
  /// A number of a device of the current block.
  template <class Number>
  Number at(std::size_t blob, std::int64_t device) const {
    return number_at<Number>(blobs_[blob], device - first_);
  }

 private:
  Result<bool> load(std::int64_t owner, std::int64_t device);

  Table table_;
  std::string sql_;
  Query query_;
  std::int64_t owner_ = -1;
  std::int64_t first_ = 0;
  std::int64_t end_ = 0;
  std::vector<std::span<const std::byte>> blobs_;
};

/// As in DeviceBlocks, for any row. Errors: BadFile.
Result<void> check_blobs(std::int64_t stored_crc, std::span<const std::span<const std::byte>> blobs,
                         std::string_view table, std::int64_t id);

}  // namespace pcmlab::db::extension

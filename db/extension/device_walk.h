// SPDX-License-Identifier: Apache-2.0
/// \file
/// A cursor's way through the wanted devices of one owner (a sweep, a programming), piece by piece:
/// devices in a row that are in one block. For one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "db/extension/device_blocks.h"
#include "db/extension/filter.h"

namespace pcmlab::db::extension {

class DeviceWalk {
 public:
  DeviceWalk(sqlite3* database, DeviceBlocks::Table table) : blocks_(database, std::move(table)) {}

  std::int64_t device() const { return device_; }
  /// The block that the device is in.
  const DeviceBlocks& block() const { return blocks_; }

  /// To the first device. \return false: there is none. Errors: those of DeviceBlocks.
  Result<bool> begin(std::int64_t owner, std::vector<Interval> wanted) {
    owner_ = owner;
    wanted_ = std::move(wanted);
    interval_ = 0;
    device_ = 0;
    end_ = 0;
    return next_piece();
  }
  /// To the next device of the piece. \return false: it was the last one.
  bool next_in_piece() { return ++device_ < end_; }
  /// To the next piece. \return false: there is none.
  Result<bool> next_piece() {
    while (interval_ < wanted_.size()) {
      const Interval& wanted = wanted_[interval_];
      const std::int64_t from = std::max(wanted.first, end_);
      if (from <= wanted.last) {
        PCM_ASSIGN(const bool found, blocks_.seek(owner_, from));
        if (!found) return false;
        device_ = std::max(from, blocks_.first());
        if (device_ <= wanted.last) {
          end_ = std::min(wanted.last + 1, blocks_.end());
          return true;
        }
      }
      ++interval_;
    }
    return false;
  }

 private:
  DeviceBlocks blocks_;
  std::int64_t owner_ = 0;
  std::vector<Interval> wanted_;
  std::size_t interval_ = 0;
  std::int64_t device_ = 0;
  std::int64_t end_ = 0;  ///< of the piece
};

}  // namespace pcmlab::db::extension

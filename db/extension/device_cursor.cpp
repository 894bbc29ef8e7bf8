// SPDX-License-Identifier: Apache-2.0
#include "db/extension/device_cursor.h"

#include <utility>

namespace pcmlab::db::extension {

DeviceCursor::DeviceCursor(sqlite3* database, DeviceBlocks::Table blocks, Owners owners,
                           const DeviceColumns& columns)
    : owner_rows_(database),
      owners_(std::move(owners)),
      columns_(columns),
      devices_(database),
      walk_(database, std::move(blocks)) {}

Result<void> DeviceCursor::search(const Filter& filter) {
  filter_ = filter;
  at_end_ = false;
  std::vector<std::int64_t> bounds;
  for (const int column : owners_.searched) {
    bounds.push_back(filter[column].first);
    bounds.push_back(filter[column].last);
  }
  PCM_TRY(owner_rows_.start(owners_.sql, bounds));
  return next_owner();
}

Result<void> DeviceCursor::next() {
  PCM_ASSIGN(const bool found, walk_.next_piece());
  if (found) return {};
  return next_owner();
}

Result<void> DeviceCursor::next_owner() {
  for (;;) {
    PCM_ASSIGN(const bool more, owner_rows_.step());
    if (!more) {
      at_end_ = true;
      return {};
    }
    owner_ = owner_rows_.integer(0);
    PCM_TRY(devices_.use(owner_rows_.integer(1)));
    take_owner(owner_rows_);
    PCM_ASSIGN(auto wanted, devices_.wanted(*filter_, columns_));
    PCM_ASSIGN(const bool found, walk_.begin(owner_, std::move(wanted)));
    if (found) return {};
  }
}

}  // namespace pcmlab::db::extension

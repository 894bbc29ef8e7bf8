// SPDX-License-Identifier: Apache-2.0
#include "db/extension/device_blocks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <utility>

#include "db/records.h"
#include "protocol/crc32c.h"

namespace pcmlab::db::extension {
namespace {

constexpr int kFirstBlob = 4;  // id, first_device, device_count, crc32c; then blobs and numbers

std::string select(const DeviceBlocks::Table& table) {
  std::vector<std::string> columns = table.blobs;
  columns.insert(columns.end(), table.numbers.begin(), table.numbers.end());
  return fmt::format(
      "SELECT id, first_device, device_count, crc32c, {0} FROM {1} WHERE {2} = ?1 "
      "AND first_device > ?2 - {3} AND first_device + device_count > ?2 "
      "ORDER BY first_device LIMIT 1",
      fmt::join(columns, ", "), table.name, table.owner, kMaxBlockDevices);
}

/// Bytes of one number, by the ending of a blob's name.
std::size_t width_of(std::string_view blob) {
  if (blob.ends_with("u8")) return 1;
  if (blob.ends_with("u16")) return 2;
  return blob.ends_with("i64") ? 8 : 4;
}

}  // namespace

Result<void> check_blobs(std::int64_t stored_crc, std::span<const std::span<const std::byte>> blobs,
                         std::string_view table, std::int64_t id) {
  std::uint32_t crc = 0;
  for (const auto& blob : blobs) crc = wire::crc32c(blob, crc);
  if (stored_crc == static_cast<std::int64_t>(crc)) return {};
  return fail(ErrorCode::BadFile,
              fmt::format("row {} of {} is damaged: its checksum is wrong", id, table),
              "leave it out, or take it from a backup");
}

DeviceBlocks::DeviceBlocks(sqlite3* database, Table table)
    : table_(std::move(table)), sql_(select(table_)), query_(database) {}

std::int64_t DeviceBlocks::number(std::size_t index) const {
  return query_.integer(kFirstBlob + static_cast<int>(blobs_.size() + index));
}

Result<bool> DeviceBlocks::load(std::int64_t owner, std::int64_t device) {
  owner_ = -1;
  PCM_TRY(query_.start(sql_, std::array{owner, device}));
  PCM_ASSIGN(const bool found, query_.step());
  if (!found) return false;
  blobs_.clear();
  for (std::size_t i = 0; i < table_.blobs.size(); ++i) {
    blobs_.push_back(query_.blob(kFirstBlob + static_cast<int>(i)));
  }
  PCM_TRY(check_blobs(query_.integer(3), blobs_, table_.name, query_.integer(0)));
  const std::int64_t count = query_.integer(2);
  for (std::size_t i = 0; i < blobs_.size(); ++i) {
    if (blobs_[i].size() != static_cast<std::size_t>(count) * width_of(table_.blobs[i])) {
      return fail(ErrorCode::BadFile,
                  fmt::format("row {} of {} is damaged: {} has not one number for each device",
                              query_.integer(0), table_.name, table_.blobs[i]));
    }
  }
  owner_ = owner;
  first_ = query_.integer(1);
  end_ = first_ + count;
  return true;
}

}  // namespace pcmlab::db::extension

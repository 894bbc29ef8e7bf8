// SPDX-License-Identifier: Apache-2.0
// RunStore: sweeps, their blocks, accuracies.
#include "db/run_store.h"

#include <algorithm>

#include "db/blobs.h"
#include "db/clocks.h"
#include "db/store_access.h"

namespace pcmlab::db {
namespace {

/// What a sweep should hold: its own count when it is complete, else the placement's.
struct SweepExtent {
  bool complete = false;
  std::optional<std::int64_t> devices;
};

Result<SweepExtent> extent_of(Database& database, RowId sweep) {
  PCM_ASSIGN(auto statement, database.prepare("SELECT complete, coalesce(sweep.device_count,"
                                              " placement.device_count) FROM sweep"
                                              " LEFT JOIN placement ON placement.programming_id ="
                                              " sweep.programming_id WHERE sweep.id = ?"));
  PCM_ASSIGN(const bool found, statement.bind(sweep).step());
  if (!found) {
    return not_found("sweep", sweep);
  }
  SweepExtent extent;
  extent.complete = statement.integer(0) != 0;
  if (!statement.is_null(1)) {
    extent.devices = statement.integer(1);
  }
  return extent;
}

/// The code sums of a sweep's blocks, which begin with device 0 and have no hole.
Result<std::vector<std::uint16_t>> read_blocks(Database& database, RowId sweep,
                                               const SweepExtent& extent) {
  std::vector<std::uint16_t> sums;
  sums.reserve(static_cast<std::size_t>(extent.devices.value_or(0)));
  PCM_ASSIGN(auto blocks, database.prepare("SELECT first_device, crc32c, code_sums_u16"
                                           " FROM sweep_block WHERE sweep_id = ?"
                                           " ORDER BY first_device"));
  blocks.bind(sweep);
  for (;;) {
    PCM_ASSIGN(const bool more, blocks.step());
    if (!more) return sums;
    const auto count = static_cast<std::int64_t>(sums.size());
    PCM_TRY(check_contiguous(count, blocks.integer(0), "it"));
    PCM_TRY(check_crc(blocks.integer(1), crc_of(blocks.blob(2)),
                      "the block of device " + number(count)));
    append(sums, blocks.blob(2));
  }
}

}  // namespace

Result<RowId> RunStore::begin_sweep(const SweepStart& start) {
  return write(
      database_,
      "beginning sweep " + number(std::int64_t{start.ordinal}) + " of run " + number(start.run),
      [&]() -> Result<RowId> {
        PCM_ASSIGN(
            auto insert,
            database_.prepare("INSERT INTO sweep (run_id, step_id, programming_id, ordinal,"
                              " scheduled_s, slip_s, samples, read_voltage_mV, gain_uS_per_code,"
                              " offset_uS, temperature_K, begun_utc, repeat)"
                              " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
        PCM_TRY(insert.execute(start.run, start.step, start.programming, start.ordinal,
                               start.scheduled_s, start.slip_s, start.samples,
                               start.read_voltage_mV, start.gain_uS_per_code, start.offset_uS,
                               start.temperature_K, utc_now(), start.repeat));
        return database_.last_insert_id();
      });
}

Result<void> RunStore::add_sweep_blocks(RowId sweep, std::span<const SweepBlock> blocks) {
  return write(database_, "adding readings to sweep " + number(sweep), [&]() -> Result<void> {
    PCM_ASSIGN(
        auto insert,
        database_.prepare("INSERT INTO sweep_block (sweep_id, first_device, device_count,"
                          " first_tick_ns, last_tick_ns, boottime_ns, utc, crc32c, code_sums_u16)"
                          " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    for (const SweepBlock& block : blocks) {
      const auto sums = bytes_of(block.code_sums);
      PCM_TRY(insert.execute(sweep, block.first_device, block.code_sums.size(),
                             block.stamp.first_tick_ns, block.stamp.last_tick_ns,
                             boottime_of(block.stamp), utc_of(block.stamp), crc_of(sums), sums));
    }
    return {};
  });
}

Result<void> RunStore::finish_sweep(RowId sweep, double sum_uS, double after_s) {
  return write(database_, "ending sweep " + number(sweep), [&]() -> Result<void> {
    PCM_ASSIGN(const auto extent, extent_of(database_, sweep));
    PCM_ASSIGN(auto select,
               database_.prepare("SELECT first_device, device_count, first_tick_ns, last_tick_ns"
                                 " FROM sweep_block WHERE sweep_id = ? ORDER BY first_device"));
    select.bind(sweep);
    std::int64_t devices = 0;
    Stamp stamp;
    for (;;) {
      PCM_ASSIGN(const bool more, select.step());
      if (!more) {
        break;
      }
      PCM_TRY(check_contiguous(devices, select.integer(0), "the sweep"));
      stamp.first_tick_ns =
          devices == 0 ? select.integer(2) : std::min(stamp.first_tick_ns, select.integer(2));
      stamp.last_tick_ns =
          devices == 0 ? select.integer(3) : std::max(stamp.last_tick_ns, select.integer(3));
      devices += select.integer(1);
    }
    PCM_TRY(check_count(extent.devices.value_or(devices), devices, "the sweep"));
    PCM_ASSIGN(auto update,
               database_.prepare("UPDATE sweep SET complete = 1, device_count = ?,"
                                 " first_tick_ns = ?, last_tick_ns = ?, sum_uS = ?, after_s = ?"
                                 " WHERE id = ?"));
    return update.execute(devices, stamp.first_tick_ns, stamp.last_tick_ns, sum_uS, after_s, sweep);
  });
}

Result<std::vector<SweepRow>> RunStore::sweeps(RowId run) {
  return read(database_, "reading the sweeps of run " + number(run), [&] {
    return rows_of(
        database_,
        "SELECT id, run_id, step_id, programming_id, ordinal, scheduled_s, slip_s, samples,"
        " read_voltage_mV, gain_uS_per_code, offset_uS, temperature_K, complete, sum_uS, after_s,"
        " coalesce(device_count, (SELECT sum(device_count) FROM sweep_block"
        "                         WHERE sweep_id = sweep.id)),"
        " coalesce(first_tick_ns, (SELECT min(first_tick_ns) FROM sweep_block"
        "                          WHERE sweep_id = sweep.id)),"
        " coalesce(last_tick_ns, (SELECT max(last_tick_ns) FROM sweep_block"
        "                         WHERE sweep_id = sweep.id)), repeat"
        " FROM sweep WHERE run_id = ? ORDER BY id",
        [](const Statement& row) -> Result<SweepRow> {
          SweepRow sweep;
          sweep.id = row.integer(0);
          sweep.run = row.integer(1);
          sweep.step = row.integer(2);
          sweep.programming = row.integer(3);
          sweep.ordinal = static_cast<int>(row.integer(4));
          sweep.scheduled_s = row.real(5);
          sweep.slip_s = row.real(6);
          sweep.samples = static_cast<int>(row.integer(7));
          sweep.read_voltage_mV = row.real(8);
          sweep.gain_uS_per_code = row.real(9);
          sweep.offset_uS = row.real(10);
          sweep.temperature_K = row.real(11);
          sweep.complete = row.integer(12) != 0;
          sweep.sum_uS = row.real(13);
          sweep.after_s = row.real(14);
          sweep.devices = row.integer(15);
          sweep.stamp = {row.integer(16), row.integer(17)};
          sweep.repeat = static_cast<int>(row.integer(18));
          return sweep;
        },
        run);
  });
}

Result<std::vector<std::uint16_t>> RunStore::sweep_code_sums(RowId sweep) {
  return read(database_, "reading sweep " + number(sweep),
              [&]() -> Result<std::vector<std::uint16_t>> {
                PCM_ASSIGN(const auto extent, extent_of(database_, sweep));
                PCM_ASSIGN(auto sums, read_blocks(database_, sweep, extent));
                const auto count = static_cast<std::int64_t>(sums.size());
                PCM_TRY(check_count(extent.devices.value_or(count), count, "it"));
                return sums;
              });
}

Result<std::vector<std::uint16_t>> RunStore::code_sums_so_far(RowId sweep) {
  return read(database_, "reading what there is of sweep " + number(sweep),
              [&]() -> Result<std::vector<std::uint16_t>> {
                PCM_ASSIGN(const auto extent, extent_of(database_, sweep));
                return read_blocks(database_, sweep, extent);
              });
}

}  // namespace pcmlab::db

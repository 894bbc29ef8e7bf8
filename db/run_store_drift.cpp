// SPDX-License-Identifier: Apache-2.0
// RunStore: drift fits, and the times they rest on.
#include <algorithm>

#include "db/blobs.h"
#include "db/clocks.h"
#include "db/run_store.h"
#include "db/store_access.h"

namespace pcmlab::db {
namespace {

Result<void> insert_fit_blocks(Database& database, RowId fit, const DriftFits& fits) {
  for (std::size_t first = 0; first < fits.classes.size(); first += kMaxBlockDevices) {
    const std::size_t count = std::min(kMaxBlockDevices, fits.classes.size() - first);
    const auto exponents = bytes_of(fits.exponents, first, count);
    const auto errors = bytes_of(fits.exponent_errors, first, count);
    const auto g_t0 = bytes_of(fits.g_t0_uS, first, count);
    const auto classes = bytes_of(fits.classes, first, count);
    PCM_ASSIGN(auto insert,
               database.prepare(
                   "INSERT INTO drift_fit_block (drift_fit_id, first_device, device_count, crc32c,"
                   " exponents_f32, exponent_errors_f32, g_t0_uS_f32, classes_u8)"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
    PCM_TRY(insert.execute(fit, first, count, crc_of(exponents, errors, g_t0, classes), exponents,
                           errors, g_t0, classes));
  }
  return {};
}

Result<std::vector<DriftByTarget>> drift_by_target(Database& database, RowId fit) {
  return rows_of(
      database,
      "SELECT low_uS, high_uS, devices, drifting, stuck, noisy, backwards, too_few_points,"
      " exponent_p10, exponent_median, exponent_p90 FROM drift_by_target WHERE drift_fit_id = ?"
      " ORDER BY low_uS",
      [](const Statement& row) -> Result<DriftByTarget> {
        DriftByTarget group{row.real(0),    row.real(1),    row.integer(2), row.integer(3),
                            row.integer(4), row.integer(5), row.integer(6), row.integer(7)};
        if (!row.is_null(9)) {
          group.exponent_p10 = row.real(8);
          group.exponent_median = row.real(9);
          group.exponent_p90 = row.real(10);
        }
        return group;
      },
      fit);
}

}  // namespace

Result<RowId> RunStore::add_drift_fit(const DriftFitRow& row, const DriftFits& fits) {
  return write(
      database_, "adding drift fits to programming " + number(row.programming),
      [&]() -> Result<RowId> {
        PCM_ASSIGN(auto insert,
                   database_.prepare("INSERT INTO drift_fit (run_id, step_id, programming_id,"
                                     " method, sweeps, first_s, last_s, t0_s, device_count,"
                                     " fitted_utc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
        PCM_TRY(insert.execute(row.run, row.step, row.programming, row.method, row.sweeps,
                               row.first_s, row.last_s, row.t0_s, fits.classes.size(), utc_now()));
        const RowId fit = database_.last_insert_id();
        PCM_TRY(insert_fit_blocks(database_, fit, fits));
        for (const DriftByTarget& group : row.by_target) {
          PCM_ASSIGN(auto add, database_.prepare(
                                   "INSERT INTO drift_by_target (drift_fit_id, low_uS, high_uS,"
                                   " devices, drifting, stuck, noisy, backwards, too_few_points,"
                                   " exponent_p10, exponent_median, exponent_p90)"
                                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
          PCM_TRY(add.execute(fit, group.low_uS, group.high_uS, group.devices, group.drifting,
                              group.stuck, group.noisy, group.backwards, group.too_few_points,
                              group.exponent_p10, group.exponent_median, group.exponent_p90));
        }
        return fit;
      });
}

Result<std::vector<DriftFitRow>> RunStore::drift_fits(RowId run) {
  return read(database_, "reading the drift fits of run " + number(run), [&] {
    return rows_of(
        database_,
        "SELECT id, run_id, step_id, programming_id, method, sweeps, first_s, last_s, t0_s,"
        " device_count, fitted_utc FROM drift_fit WHERE run_id = ?1 AND id IN"
        " (SELECT max(id) FROM drift_fit WHERE run_id = ?1 GROUP BY programming_id) ORDER BY id",
        [this](const Statement& row) -> Result<DriftFitRow> {
          DriftFitRow fit;
          fit.id = row.integer(0);
          fit.run = row.integer(1);
          fit.step = row.integer(2);
          fit.programming = row.integer(3);
          fit.method = row.text(4);
          fit.sweeps = static_cast<int>(row.integer(5));
          fit.first_s = row.real(6);
          fit.last_s = row.real(7);
          fit.t0_s = row.real(8);
          fit.devices = row.integer(9);
          fit.fitted_utc = row.text(10);
          PCM_ASSIGN(fit.by_target, drift_by_target(database_, fit.id));
          return fit;
        },
        run);
  });
}

Result<DriftFits> RunStore::drift_of_devices(RowId fit) {
  return read(database_, "reading drift fit " + number(fit), [&]() -> Result<DriftFits> {
    PCM_ASSIGN(auto select, database_.prepare("SELECT device_count FROM drift_fit WHERE id = ?"));
    PCM_ASSIGN(const bool found, select.bind(fit).step());
    if (!found) return not_found("drift fit", fit);
    const std::int64_t devices = select.integer(0);
    DriftFits fits;
    PCM_ASSIGN(auto blocks,
               database_.prepare("SELECT first_device, crc32c, exponents_f32, exponent_errors_f32,"
                                 " g_t0_uS_f32, classes_u8 FROM drift_fit_block"
                                 " WHERE drift_fit_id = ? ORDER BY first_device"));
    blocks.bind(fit);
    for (;;) {
      PCM_ASSIGN(const bool more, blocks.step());
      const auto count = static_cast<std::int64_t>(fits.classes.size());
      if (!more) {
        PCM_TRY(check_count(devices, count, "it"));
        return fits;
      }
      PCM_TRY(check_contiguous(count, blocks.integer(0), "it"));
      PCM_TRY(check_crc(blocks.integer(1),
                        crc_of(blocks.blob(2), blocks.blob(3), blocks.blob(4), blocks.blob(5)),
                        "the block of device " + number(count)));
      append(fits.exponents, blocks.blob(2));
      append(fits.exponent_errors, blocks.blob(3));
      append(fits.g_t0_uS, blocks.blob(4));
      append(fits.classes, blocks.blob(5));
    }
  });
}

Result<std::vector<SweepTimes>> RunStore::sweep_times(RowId sweep) {
  return read(database_, "reading the times of sweep " + number(sweep), [&] {
    return rows_of(
        database_,
        "SELECT first_device, device_count, first_tick_ns, last_tick_ns FROM sweep_block"
        " WHERE sweep_id = ? ORDER BY first_device",
        [](const Statement& row) -> Result<SweepTimes> {
          return SweepTimes{row.integer(0), row.integer(1), row.integer(2), row.integer(3)};
        },
        sweep);
  });
}

}  // namespace pcmlab::db

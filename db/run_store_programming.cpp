// SPDX-License-Identifier: Apache-2.0
// RunStore: layers, placement, programmings with their batches and results.
#include "db/run_store.h"

#include <algorithm>
#include <array>

#include "db/blobs.h"
#include "db/clocks.h"
#include "db/store_access.h"

namespace pcmlab::db {
namespace {

constexpr std::array kBatchKinds{BatchKind::Reset, BatchKind::Staircase, BatchKind::Program};

/// The id of a row, and that it is there. `sql` selects it by the value.
Result<RowId> find(Database& database, std::string_view sql, RowId id, const std::string& what) {
  PCM_ASSIGN(auto statement, database.prepare(sql));
  PCM_ASSIGN(const bool found, statement.bind(id).step());
  if (!found) {
    return not_found(what, id);
  }
  return statement.integer(0);
}

/// Devices of the programming's placement; none before it is set.
Result<std::optional<std::int64_t>> placed_devices(Database& database, RowId programming) {
  PCM_ASSIGN(auto statement,
             database.prepare("SELECT device_count FROM placement WHERE programming_id = ?"));
  PCM_ASSIGN(const bool found, statement.bind(programming).step());
  return found ? std::optional(statement.integer(0)) : std::nullopt;
}

struct BatchPlace {
  RowId id = 0;
  std::int64_t devices = 0;
};

Result<BatchPlace> find_batch(Database& database, RowId programming, std::uint64_t batch) {
  PCM_ASSIGN(auto statement, database.prepare("SELECT id, device_count FROM pulse_batch"
                                              " WHERE programming_id = ? AND batch = ?"));
  PCM_ASSIGN(const bool found, statement.bind(programming, batch).step());
  if (!found) {
    return fail(ErrorCode::NotFound, "batch " + std::to_string(batch) + " was never intended");
  }
  return BatchPlace{statement.integer(0), statement.integer(1)};
}

Result<void> insert_placement(Database& database, RowId programming, const Placement& placement) {
  const std::size_t count = placement.addresses.size();
  if (placement.targets_uS.size() != count) {
    return fail(ErrorCode::Internal, number(count) + " addresses but " +
                                         number(placement.targets_uS.size()) + " targets");
  }
  PCM_ASSIGN(auto insert,
             database.prepare("INSERT INTO placement (programming_id, word_lines, bit_lines,"
                              " device_count, first_weight) VALUES (?, ?, ?, ?, ?)"));
  PCM_TRY(insert.execute(programming, placement.shape.word_lines, placement.shape.bit_lines, count,
                         placement.first_weight));
  PCM_ASSIGN(
      auto insert_block,
      database.prepare(
          "INSERT INTO placement_block (programming_id, first_device,"
          " device_count, crc32c, addresses_u32, targets_uS_f32) VALUES (?, ?, ?, ?, ?, ?)"));
  std::vector<bool> taken(placement.shape.device_count());
  std::vector<std::uint32_t> packed;
  for (std::size_t first = 0; first < count; first += kMaxBlockDevices) {
    const std::size_t size = std::min(kMaxBlockDevices, count - first);
    packed.resize(size);
    for (std::size_t i = 0; i < size; ++i) {
      const DeviceAddress address = placement.addresses[first + i];
      if (!placement.shape.contains(address) || taken[placement.shape.linear(address)]) {
        return fail(ErrorCode::Internal, "device " + number(first + i) + " at word line " +
                                             std::to_string(address.word_line.index) +
                                             ", bit line " +
                                             std::to_string(address.bit_line.index) +
                                             " is outside the array, or where another device is");
      }
      taken[placement.shape.linear(address)] = true;
      packed[i] =
          static_cast<std::uint32_t>(address.word_line.index) << 16 | address.bit_line.index;
    }
    const auto addresses = bytes_of(packed);
    const auto targets = bytes_of(placement.targets_uS, first, size);
    PCM_TRY(insert_block.execute(programming, first, size, crc_of(addresses, targets), addresses,
                                 targets));
  }
  return {};
}

Result<void> insert_result(Database& database, RowId programming, const ProgrammingResult& result) {
  const std::size_t count = result.verdicts.size();
  if (result.iterations.size() != count || result.pulses.size() != count ||
      result.last_amplitudes_10nA.size() != count || result.last_code_sums.size() != count ||
      result.last_pulse_ticks_ns.size() != count) {
    return fail(ErrorCode::Internal, "the columns of the result differ in length");
  }
  PCM_ASSIGN(
      auto insert,
      database.prepare(
          "INSERT INTO programming_result (programming_id, first_device, device_count,"
          " crc32c, verdicts_u8, iterations_u8, pulses_u16, last_amplitude_10nA_u16,"
          " last_code_sum_u16, last_pulse_tick_ns_i64) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  for (std::size_t first = 0; first < count; first += kMaxBlockDevices) {
    const std::size_t size = std::min(kMaxBlockDevices, count - first);
    const auto verdicts = bytes_of(result.verdicts, first, size);
    const auto iterations = bytes_of(result.iterations, first, size);
    const auto pulses = bytes_of(result.pulses, first, size);
    const auto amplitudes = bytes_of(result.last_amplitudes_10nA, first, size);
    const auto sums = bytes_of(result.last_code_sums, first, size);
    const auto ticks = bytes_of(result.last_pulse_ticks_ns, first, size);
    PCM_TRY(insert.execute(programming, first, size,
                           crc_of(verdicts, iterations, pulses, amplitudes, sums, ticks), verdicts,
                           iterations, pulses, amplitudes, sums, ticks));
  }
  return {};
}

}  // namespace

Result<void> RunStore::add_layers(RowId step, std::span<const LayerRow> layers) {
  return write(database_, "adding the layers of step " + number(step), [&]() -> Result<void> {
    PCM_ASSIGN(const RowId run,
               find(database_, "SELECT run_id FROM step WHERE id = ?", step, "step"));
    PCM_ASSIGN(
        auto insert,
        database_.prepare("INSERT INTO layer (run_id, step_id, ordinal, name, outputs, inputs,"
                          " first_weight, max_abs_weight, g_max_uS, row_max_abs_weight_f32)"
                          " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    for (const LayerRow& layer : layers) {
      std::optional<std::span<const std::byte>> scales;
      if (!layer.row_max_abs_weights.empty()) scales = bytes_of(layer.row_max_abs_weights);
      PCM_TRY(insert.execute(run, step, layer.ordinal, layer.name, layer.rows, layer.columns,
                             layer.first_weight, layer.max_abs_weight, layer.g_max_uS, scales));
    }
    return {};
  });
}

Result<void> RunStore::set_placement(RowId programming, const Placement& placement) {
  return write(database_, "adding the placement of programming " + number(programming),
               [&] { return insert_placement(database_, programming, placement); });
}

Result<RowId> RunStore::begin_programming(const ProgrammingStart& start) {
  return write(
      database_, "beginning a programming of run " + number(start.run), [&]() -> Result<RowId> {
        PCM_ASSIGN(auto insert,
                   database_.prepare("INSERT INTO programming (run_id, step_id, verify_samples,"
                                     " read_voltage_mV, gain_uS_per_code, offset_uS, begun_utc)"
                                     " VALUES (?, ?, ?, ?, ?, ?, ?)"));
        PCM_TRY(insert.execute(start.run, start.step, start.verify_samples, start.read_voltage_mV,
                               start.gain_uS_per_code, start.offset_uS, utc_now()));
        return database_.last_insert_id();
      });
}

Result<void> RunStore::add_batches(RowId programming, std::span<const BatchRow> batches) {
  return write(
      database_, "adding batches to programming " + number(programming), [&]() -> Result<void> {
        PCM_ASSIGN(const RowId board,
                   find(database_,
                        "SELECT board_id FROM programming JOIN run ON run.id = programming.run_id"
                        " WHERE programming.id = ? AND board_id IS NOT NULL",
                        programming, "programming with a board"));
        PCM_ASSIGN(auto insert,
                   database_.prepare(
                       "INSERT INTO pulse_batch (programming_id, board_id, batch, kind, iteration,"
                       " width_ns, intended_utc, device_count, crc32c, devices_u32,"
                       " amplitudes_10nA_u16) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
        for (const BatchRow& batch : batches) {
          PCM_ASSIGN(auto given, database_.prepare("SELECT count(*) FROM pulse_batch"
                                                   " WHERE board_id = ? AND batch = ?"));
          PCM_TRY(given.bind(board, batch.batch).step());
          if (given.integer(0) != 0) {
            return fail(ErrorCode::Internal, "this board has already been given the number " +
                                                 std::to_string(batch.batch));
          }
          const auto devices = bytes_of(batch.devices);
          const auto amplitudes = bytes_of(batch.amplitudes_10nA);
          PCM_TRY(insert.execute(programming, board, batch.batch, to_string(batch.kind),
                                 batch.iteration, batch.width_ns, utc_now(), batch.devices.size(),
                                 crc_of(devices, amplitudes), devices,
                                 amplitudes.empty() ? std::nullopt : std::optional(amplitudes)));
        }
        return {};
      });
}

Result<void> RunStore::add_outcomes(RowId programming, std::span<const BatchOutcome> outcomes) {
  return write(
      database_, "adding outcomes to programming " + number(programming), [&]() -> Result<void> {
        PCM_ASSIGN(
            auto insert,
            database_.prepare("INSERT INTO pulse_batch_outcome (pulse_batch_id, pulses_executed,"
                              " first_tick_ns, last_tick_ns, boottime_ns, utc)"
                              " VALUES (?, ?, ?, ?, ?, ?)"));
        for (const BatchOutcome& outcome : outcomes) {
          PCM_ASSIGN(const auto place, find_batch(database_, programming, outcome.batch));
          PCM_TRY(insert.execute(place.id, outcome.pulses_executed, outcome.stamp.first_tick_ns,
                                 outcome.stamp.last_tick_ns, boottime_of(outcome.stamp),
                                 utc_of(outcome.stamp)));
        }
        return {};
      });
}

Result<void> RunStore::add_verify(RowId programming, std::span<const BatchVerify> reads) {
  return write(
      database_, "adding verify reads to programming " + number(programming),
      [&]() -> Result<void> {
        PCM_ASSIGN(auto insert,
                   database_.prepare(
                       "INSERT INTO pulse_batch_verify (pulse_batch_id, first_tick_ns,"
                       " last_tick_ns, boottime_ns, utc, device_count, crc32c, code_sums_u16)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
        for (const BatchVerify& verify : reads) {
          PCM_ASSIGN(const auto place, find_batch(database_, programming, verify.batch));
          if (place.devices != static_cast<std::int64_t>(verify.code_sums.size())) {
            return fail(ErrorCode::Internal, number(verify.code_sums.size()) +
                                                 " code sums for the " + number(place.devices) +
                                                 " devices of batch " +
                                                 std::to_string(verify.batch));
          }
          const auto sums = bytes_of(verify.code_sums);
          PCM_TRY(insert.execute(place.id, verify.stamp.first_tick_ns, verify.stamp.last_tick_ns,
                                 boottime_of(verify.stamp), utc_of(verify.stamp),
                                 verify.code_sums.size(), crc_of(sums), sums));
        }
        return {};
      });
}

Result<void> RunStore::finish_programming(RowId programming, const ProgrammingResult& result,
                                          const ProgrammingSummary& summary) {
  return write(database_, "ending programming " + number(programming), [&]() -> Result<void> {
    PCM_ASSIGN(const RowId run, find(database_, "SELECT run_id FROM programming WHERE id = ?",
                                     programming, "programming"));
    PCM_ASSIGN(const auto placed, placed_devices(database_, programming));
    PCM_TRY(insert_result(database_, programming, result));
    if (placed) {
      PCM_TRY(
          check_count(*placed, static_cast<std::int64_t>(result.verdicts.size()), "its result"));
      PCM_TRY(note_bad_devices(run, programming, result));
    }
    PCM_ASSIGN(auto update,
               database_.prepare("UPDATE programming SET complete = 1, iterations = ?,"
                                 " nonzero_targets = ?, converged = ?, pulses = ?, end_tick_ns = ?,"
                                 " ended_utc = ? WHERE id = ?"));
    return update.execute(summary.iterations, summary.nonzero_targets, summary.converged,
                          summary.pulses, summary.end_tick_ns, utc_now(), programming);
  });
}

Result<std::uint64_t> RunStore::next_batch(const std::string& board_serial) {
  return read(
      database_, "looking for the next batch number of board " + board_serial,
      [&]() -> Result<std::uint64_t> {
        PCM_ASSIGN(
            auto select,
            database_.prepare("SELECT 1 + max(coalesce((SELECT max(batch) FROM pulse_batch"
                              "  WHERE board_id = (SELECT id FROM board WHERE serial = ?1)), 0),"
                              " coalesce((SELECT max(last_batch) FROM purged_run"
                              "  WHERE board_id = (SELECT id FROM board WHERE serial = ?1)), 0))"));
        PCM_TRY(select.bind(board_serial).step());
        return static_cast<std::uint64_t>(select.integer(0));
      });
}

Result<std::vector<LayerRow>> RunStore::layers(RowId step) {
  return read(database_, "reading the layers of step " + number(step), [&] {
    return rows_of(
        database_,
        "SELECT ordinal, name, outputs, inputs, first_weight, max_abs_weight, g_max_uS,"
        " row_max_abs_weight_f32 FROM layer WHERE step_id = ? ORDER BY ordinal",
        [](const Statement& row) -> Result<LayerRow> {
          return LayerRow{static_cast<int>(row.integer(0)),
                          row.text(1),
                          row.integer(2),
                          row.integer(3),
                          row.integer(4),
                          row.real(5),
                          row.real(6),
                          numbers_of<float>(row.blob(7))};
        },
        step);
  });
}

Result<Placement> RunStore::placement(RowId programming) {
  return read(
      database_, "reading the placement of programming " + number(programming),
      [&]() -> Result<Placement> {
        Placement placement;
        PCM_ASSIGN(auto select,
                   database_.prepare("SELECT word_lines, bit_lines, device_count, first_weight"
                                     " FROM placement WHERE programming_id = ?"));
        PCM_ASSIGN(const bool found, select.bind(programming).step());
        if (!found) {
          return fail(ErrorCode::NotFound, "it has none");
        }
        placement.shape = {static_cast<std::uint16_t>(select.integer(0)),
                           static_cast<std::uint16_t>(select.integer(1))};
        const std::int64_t expected = select.integer(2);
        if (!select.is_null(3)) placement.first_weight = select.integer(3);
        PCM_ASSIGN(auto blocks,
                   database_.prepare("SELECT first_device, crc32c, addresses_u32, targets_uS_f32"
                                     " FROM placement_block WHERE programming_id = ?"
                                     " ORDER BY first_device"));
        blocks.bind(programming);
        for (;;) {
          PCM_ASSIGN(const bool more, blocks.step());
          const auto count = static_cast<std::int64_t>(placement.addresses.size());
          if (!more) {
            PCM_TRY(check_count(expected, count, "it"));
            return placement;
          }
          PCM_TRY(check_contiguous(count, blocks.integer(0), "it"));
          PCM_TRY(check_crc(blocks.integer(1), crc_of(blocks.blob(2), blocks.blob(3)),
                            "the block of device " + number(count)));
          for (const std::uint32_t packed : numbers_of<std::uint32_t>(blocks.blob(2))) {
            placement.addresses.push_back({WordLine{static_cast<std::uint16_t>(packed >> 16)},
                                           BitLine{static_cast<std::uint16_t>(packed & 0xffff)}});
          }
          append(placement.targets_uS, blocks.blob(3));
        }
      });
}

Result<std::vector<ProgrammingRow>> RunStore::programmings(RowId run) {
  return read(database_, "reading the programmings of run " + number(run), [&] {
    return rows_of(
        database_,
        "SELECT id, run_id, step_id, complete, iterations, nonzero_targets, converged, pulses, "
        "end_tick_ns,"
        " verify_samples, gain_uS_per_code, offset_uS FROM programming WHERE run_id = ?"
        " ORDER BY id",
        [](const Statement& row) -> Result<ProgrammingRow> {
          return ProgrammingRow{.id = row.integer(0),
                                .run = row.integer(1),
                                .step = row.integer(2),
                                .complete = row.integer(3) != 0,
                                .iterations = static_cast<int>(row.integer(4)),
                                .nonzero_targets = row.integer(5),
                                .converged = row.integer(6),
                                .pulses = row.integer(7),
                                .end_tick_ns = row.integer(8),
                                .verify_samples = static_cast<int>(row.integer(9)),
                                .gain_uS_per_code = row.real(10),
                                .offset_uS = row.real(11)};
        },
        run);
  });
}

Result<ProgrammingResult> RunStore::programming_result(RowId programming) {
  return read(database_, "reading the result of programming " + number(programming),
              [&]() -> Result<ProgrammingResult> {
                PCM_TRY(find(database_, "SELECT id FROM programming WHERE id = ? AND complete",
                             programming, "complete programming"));
                PCM_ASSIGN(const auto placed, placed_devices(database_, programming));
                ProgrammingResult result;
                PCM_ASSIGN(
                    auto blocks,
                    database_.prepare("SELECT first_device, crc32c, verdicts_u8, iterations_u8,"
                                      " pulses_u16, last_amplitude_10nA_u16, last_code_sum_u16,"
                                      " last_pulse_tick_ns_i64 FROM programming_result"
                                      " WHERE programming_id = ? ORDER BY first_device"));
                blocks.bind(programming);
                for (;;) {
                  PCM_ASSIGN(const bool more, blocks.step());
                  const auto count = static_cast<std::int64_t>(result.verdicts.size());
                  if (!more) {
                    PCM_TRY(check_count(placed.value_or(count), count, "it"));
                    return result;
                  }
                  PCM_TRY(check_contiguous(count, blocks.integer(0), "it"));
                  PCM_TRY(check_crc(blocks.integer(1),
                                    crc_of(blocks.blob(2), blocks.blob(3), blocks.blob(4),
                                           blocks.blob(5), blocks.blob(6), blocks.blob(7)),
                                    "the block of device " + number(count)));
                  append(result.verdicts, blocks.blob(2));
                  append(result.iterations, blocks.blob(3));
                  append(result.pulses, blocks.blob(4));
                  append(result.last_amplitudes_10nA, blocks.blob(5));
                  append(result.last_code_sums, blocks.blob(6));
                  append(result.last_pulse_ticks_ns, blocks.blob(7));
                }
              });
}

Result<std::vector<BatchRow>> RunStore::batches(RowId programming) {
  return read(database_, "reading the batches of programming " + number(programming), [&] {
    return rows_of(
        database_,
        "SELECT batch, kind, iteration, width_ns, crc32c, devices_u32, amplitudes_10nA_u16"
        " FROM pulse_batch WHERE programming_id = ? ORDER BY batch",
        [](const Statement& row) -> Result<BatchRow> {
          BatchRow batch;
          batch.batch = static_cast<std::uint64_t>(row.integer(0));
          PCM_ASSIGN(batch.kind, parse(kBatchKinds, row.text(1)));
          batch.iteration = static_cast<int>(row.integer(2));
          batch.width_ns = row.integer(3);
          PCM_TRY(check_crc(row.integer(4), crc_of(row.blob(5), row.blob(6)),
                            "batch " + std::to_string(batch.batch)));
          batch.devices = numbers_of<std::uint32_t>(row.blob(5));
          batch.amplitudes_10nA = numbers_of<std::uint16_t>(row.blob(6));
          return batch;
        },
        programming);
  });
}

Result<std::vector<BatchOutcome>> RunStore::outcomes(RowId programming) {
  return read(database_, "reading the outcomes of programming " + number(programming), [&] {
    return rows_of(
        database_,
        "SELECT batch, pulses_executed, first_tick_ns, last_tick_ns, boottime_ns,"
        " outcome.utc"
        " FROM pulse_batch JOIN pulse_batch_outcome AS outcome"
        " ON outcome.pulse_batch_id = pulse_batch.id WHERE programming_id = ? ORDER BY batch",
        [](const Statement& row) -> Result<BatchOutcome> {
          return BatchOutcome{
              static_cast<std::uint64_t>(row.integer(0)),
              row.integer(1),
              {row.integer(2), row.integer(3), row.integer(4), utc_ns_of(row.text(5))}};
        },
        programming);
  });
}

Result<std::vector<BatchVerify>> RunStore::verify_reads(RowId programming) {
  return read(database_, "reading the verify reads of programming " + number(programming), [&] {
    return rows_of(
        database_,
        "SELECT batch, first_tick_ns, last_tick_ns, boottime_ns, verify.utc, verify.crc32c, "
        "code_sums_u16"
        " FROM pulse_batch JOIN pulse_batch_verify AS verify"
        " ON verify.pulse_batch_id = pulse_batch.id WHERE programming_id = ? ORDER BY batch",
        [](const Statement& row) -> Result<BatchVerify> {
          BatchVerify verify;
          verify.batch = static_cast<std::uint64_t>(row.integer(0));
          verify.stamp = {row.integer(1), row.integer(2), row.integer(3), utc_ns_of(row.text(4))};
          PCM_TRY(check_crc(row.integer(5), crc_of(row.blob(6)),
                            "the read after batch " + std::to_string(verify.batch)));
          verify.code_sums = numbers_of<std::uint16_t>(row.blob(6));
          return verify;
        },
        programming);
  });
}

}  // namespace pcmlab::db

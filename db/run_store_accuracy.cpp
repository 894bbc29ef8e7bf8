// SPDX-License-Identifier: Apache-2.0
// RunStore: accuracies and what they rest on.
#include "db/blobs.h"
#include "db/clocks.h"
#include "db/run_store.h"
#include "db/store_access.h"

namespace pcmlab::db {

Result<RowId> RunStore::add_accuracy(const AccuracyRow& accuracy,
                                     const ConfusionMatrix& confusion) {
  return write(
      database_, "adding an accuracy to run " + number(accuracy.run), [&]() -> Result<RowId> {
        PCM_ASSIGN(
            auto insert,
            database_.prepare("INSERT INTO accuracy (run_id, sweep_id, compensation, reference,"
                              " precision, after_s, images, correct, wall_s, utc, input_bits,"
                              " output_bits, step_id)"
                              " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
        PCM_TRY(insert.execute(accuracy.run, accuracy.sweep, accuracy.compensation,
                               accuracy.reference, accuracy.precision, accuracy.after_s,
                               accuracy.images, accuracy.correct, accuracy.wall_s, utc_now(),
                               accuracy.input_bits, accuracy.output_bits, accuracy.step));
        const RowId id = database_.last_insert_id();
        if (confusion.classes == 0) return id;
        const auto counts = bytes_of(confusion.counts);
        PCM_ASSIGN(auto matrix,
                   database_.prepare("INSERT INTO accuracy_confusion (accuracy_id, classes, crc32c,"
                                     " counts_u32) VALUES (?, ?, ?, ?)"));
        PCM_TRY(matrix.execute(id, confusion.classes, crc_of(counts), counts));
        return id;
      });
}

Result<std::vector<AccuracyRow>> RunStore::accuracies(RowId run) {
  return read(database_, "reading the accuracies of run " + number(run), [&] {
    return rows_of(
        database_,
        "SELECT id, run_id, sweep_id, compensation, reference, precision, after_s, images, correct,"
        " wall_s, input_bits, output_bits, step_id FROM accuracy WHERE run_id = ? ORDER BY id",
        [](const Statement& row) -> Result<AccuracyRow> {
          AccuracyRow accuracy;
          accuracy.id = row.integer(0);
          accuracy.run = row.integer(1);
          if (!row.is_null(2)) accuracy.sweep = row.integer(2);
          accuracy.compensation = row.text(3);
          accuracy.reference = row.text(4);
          accuracy.precision = row.text(5);
          accuracy.after_s = row.real(6);
          accuracy.images = row.integer(7);
          accuracy.correct = row.integer(8);
          accuracy.wall_s = row.real(9);
          accuracy.input_bits = static_cast<int>(row.integer(10));
          accuracy.output_bits = static_cast<int>(row.integer(11));
          if (!row.is_null(12)) accuracy.step = row.integer(12);
          return accuracy;
        },
        run);
  });
}

Result<std::optional<ConfusionMatrix>> RunStore::confusion(RowId accuracy) {
  const std::string doing = "reading the confusion matrix of accuracy " + number(accuracy);
  return read(database_, doing, [&]() -> Result<std::optional<ConfusionMatrix>> {
    PCM_ASSIGN(auto select,
               database_.prepare("SELECT classes, crc32c, counts_u32 FROM accuracy_confusion"
                                 " WHERE accuracy_id = ?"));
    PCM_ASSIGN(const bool found, select.bind(accuracy).step());
    if (!found) return std::nullopt;
    PCM_TRY(check_crc(select.integer(1), crc_of(select.blob(2)), "it"));
    return ConfusionMatrix{static_cast<int>(select.integer(0)),
                           numbers_of<std::uint32_t>(select.blob(2))};
  });
}

Result<void> RunStore::add_gdc_reference(RowId step, std::span<const GdcReferenceRow> layers) {
  const std::string doing = "adding the GDC reference of step " + number(step);
  return write(database_, doing, [&]() -> Result<void> {
    PCM_ASSIGN(auto insert, database_.prepare(
                                "INSERT INTO gdc_reference (step_id, layer, kind, sweep_id,"
                                " every_pair, device_count, sum_uS) VALUES (?, ?, ?, ?, ?, ?, ?)"));
    for (const GdcReferenceRow& layer : layers) {
      PCM_TRY(insert.execute(step, layer.layer, layer.kind, layer.sweep, layer.every_pair,
                             layer.devices, layer.sum_uS));
    }
    return {};
  });
}

Result<std::vector<GdcReferenceRow>> RunStore::gdc_reference(RowId step) {
  return read(database_, "reading the GDC reference of step " + number(step), [&] {
    return rows_of(
        database_,
        "SELECT layer, kind, sweep_id, every_pair, device_count, sum_uS FROM gdc_reference"
        " WHERE step_id = ? ORDER BY layer",
        [](const Statement& row) -> Result<GdcReferenceRow> {
          GdcReferenceRow layer;
          layer.layer = static_cast<int>(row.integer(0));
          layer.kind = row.text(1);
          if (!row.is_null(2)) layer.sweep = row.integer(2);
          layer.every_pair = static_cast<int>(row.integer(3));
          layer.devices = row.integer(4);
          layer.sum_uS = row.real(5);
          return layer;
        },
        step);
  });
}

Result<void> RunStore::add_calibration(RowId step, const CalibrationRow& calibration) {
  const std::string doing = "adding the calibration images of step " + number(step);
  return write(database_, doing, [&]() -> Result<void> {
    const auto indices = bytes_of(calibration.indices);
    PCM_ASSIGN(auto insert,
               database_.prepare("INSERT INTO calibration (step_id, images, seed, batches,"
                                 " batch_images, momentum, image_count, crc32c, indices_u32)"
                                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    return insert.execute(step, calibration.images, static_cast<std::int64_t>(calibration.seed),
                          calibration.batches, calibration.batch_images, calibration.momentum,
                          calibration.indices.size(), crc_of(indices), indices);
  });
}

Result<std::optional<CalibrationRow>> RunStore::calibration(RowId step) {
  const std::string doing = "reading the calibration images of step " + number(step);
  return read(database_, doing, [&]() -> Result<std::optional<CalibrationRow>> {
    PCM_ASSIGN(auto select,
               database_.prepare("SELECT images, seed, batches, batch_images, momentum, crc32c,"
                                 " indices_u32 FROM calibration WHERE step_id = ?"));
    PCM_ASSIGN(const bool found, select.bind(step).step());
    if (!found) return std::nullopt;
    PCM_TRY(check_crc(select.integer(5), crc_of(select.blob(6)), "their list"));
    CalibrationRow row;
    row.images = select.text(0);
    row.seed = static_cast<std::uint64_t>(select.integer(1));
    row.batches = static_cast<int>(select.integer(2));
    row.batch_images = static_cast<int>(select.integer(3));
    row.momentum = select.real(4);
    row.indices = numbers_of<std::uint32_t>(select.blob(6));
    return row;
  });
}

Result<void> RunStore::add_layer_states(RowId step, std::span<const LayerStateRow> states) {
  const std::string doing = "adding states of layers to step " + number(step);
  return write(database_, doing, [&]() -> Result<void> {
    PCM_ASSIGN(auto insert,
               database_.prepare("INSERT INTO layer_state (step_id, sweep_id, layer, gdc_factor,"
                                 " weight_error_of_max, weight_error_of_rms,"
                                 " gdc_weight_error_of_max, gdc_weight_error_of_rms,"
                                 " activation_mean_shift, activation_variance_ratio)"
                                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    for (const LayerStateRow& state : states) {
      PCM_TRY(insert.execute(step, state.sweep, state.layer, state.gdc_factor,
                             state.weight_error_of_max, state.weight_error_of_rms,
                             state.gdc_weight_error_of_max, state.gdc_weight_error_of_rms,
                             state.activation_mean_shift, state.activation_variance_ratio));
    }
    return {};
  });
}

Result<std::vector<LayerStateRow>> RunStore::layer_states(RowId step) {
  return read(database_, "reading the states of layers of step " + number(step), [&] {
    return rows_of(
        database_,
        "SELECT sweep_id, layer, gdc_factor, weight_error_of_max, weight_error_of_rms,"
        " gdc_weight_error_of_max, gdc_weight_error_of_rms, activation_mean_shift,"
        " activation_variance_ratio FROM layer_state WHERE step_id = ? ORDER BY sweep_id, layer",
        [](const Statement& row) -> Result<LayerStateRow> {
          LayerStateRow state;
          state.sweep = row.integer(0);
          state.layer = static_cast<int>(row.integer(1));
          state.gdc_factor = row.real(2);
          state.weight_error_of_max = row.real(3);
          state.weight_error_of_rms = row.real(4);
          state.gdc_weight_error_of_max = row.real(5);
          state.gdc_weight_error_of_rms = row.real(6);
          if (!row.is_null(7)) state.activation_mean_shift = row.real(7);
          if (!row.is_null(8)) state.activation_variance_ratio = row.real(8);
          return state;
        },
        step);
  });
}

}  // namespace pcmlab::db

// SPDX-License-Identifier: Apache-2.0
#include "tests/db/run_results.h"

#include <utility>

#include "db/database.h"

namespace pcmlab::db {
namespace {

const std::vector<std::pair<std::string, std::string>> kResults{
    {"layer", "SELECT ordinal, name, outputs, inputs, max_abs_weight, g_max_uS FROM layer"},
    {"placement", "SELECT first_device, crc32c FROM placement_block ORDER BY id"},
    {"programming",
     "SELECT gain_uS_per_code, offset_uS, complete, iterations, nonzero_targets, converged, pulses,"
     " end_tick_ns FROM programming ORDER BY id"},
    {"pulse_batch",
     "SELECT kind, iteration, width_ns, device_count, crc32c, pulses_executed, first_tick_ns,"
     " last_tick_ns FROM pulse_batch JOIN pulse_batch_outcome ON pulse_batch_id = pulse_batch.id"
     " WHERE pulses_executed > 0 ORDER BY programming_id, batch"},
    {"verify",
     "SELECT verify.first_tick_ns, verify.last_tick_ns, verify.crc32c FROM pulse_batch JOIN"
     " pulse_batch_verify AS verify ON pulse_batch_id = pulse_batch.id"
     " ORDER BY programming_id, batch"},
    {"programming_result", "SELECT first_device, crc32c FROM programming_result ORDER BY id"},
    {"bad_device", "SELECT word_line, bit_line, verdict FROM bad_device ORDER BY id"},
    {"sweep",
     "SELECT ordinal, repeat, scheduled_s, slip_s, gain_uS_per_code, offset_uS, temperature_K,"
     " complete, first_tick_ns, last_tick_ns, sum_uS, after_s FROM sweep ORDER BY id"},
    {"sweep_block",
     "SELECT sweep_id, first_device, first_tick_ns, last_tick_ns, crc32c FROM sweep_block"
     " ORDER BY sweep_id, first_device"},
    {"drift_fit", "SELECT first_device, crc32c FROM drift_fit_block ORDER BY id"},
    {"accuracy",
     "SELECT sweep_id, compensation, reference, precision, images, correct FROM accuracy"
     " ORDER BY id"},
    {"layer_state",
     "SELECT sweep_id, layer, gdc_factor, weight_error_of_max FROM layer_state"
     " ORDER BY sweep_id, layer"},
    {"step", "SELECT ordinal, experiment, state FROM step ORDER BY ordinal"}};

}  // namespace

RunResults results_of(const std::filesystem::path& file) {
  auto database = Database::open(file, OpenMode::ReadOnly).value();
  RunResults results;
  for (const auto& [table, sql] : kResults) {
    auto select = database.prepare(sql).value();
    auto& rows = results[table];
    while (select.step().value()) {
      std::string row;
      for (int column = 0; column < select.columns(); ++column) {
        row.append(select.text(column)).append("|");
      }
      rows.push_back(row);
    }
  }
  return results;
}

}  // namespace pcmlab::db

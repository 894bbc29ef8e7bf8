// SPDX-License-Identifier: Apache-2.0
#include "db/extension/device_wear_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "db/extension/results.h"

namespace pcmlab::db::extension {
namespace {

enum WearColumn : int {
  kFirstRun,
  kBoardSerial,
  kSample,
  kWordLine,
  kBitLine,
  kProgrammings,
  kPulses,
  kHeat,
  kUnknownBatches,
  kLastRun,
  kWearColumns
};

// A lab of usual size.
constexpr double kChips = 10, kPlaces = 1e6;

constexpr std::array kSearchedPlaces = {SearchedColumn{kFirstRun, 1 / kChips},
                                        SearchedColumn{kWordLine, 0.01},
                                        SearchedColumn{kBitLine, 0.01}};
constexpr std::array<int, 3> kPlaceOrder = {kFirstRun, kWordLine, kBitLine};

constexpr const char* kChipRows =
    "SELECT min(run.id) AS first_run, serial, sample FROM run JOIN board ON board.id = board_id "
    "GROUP BY board_id, sample HAVING first_run BETWEEN ? AND ? ORDER BY first_run";

// Joined in this order, so that no batch is sorted. The last column: what a device gets in a batch
// whose pulses are those of the step, amplitude squared x width, uA^2 ns. A staircase begins with a
// RESET.
constexpr const char* kBatchRows =
    "SELECT batch.id, programming_id, run.id, kind, batch.device_count, crc32c, devices_u32, "
    "amplitudes_10nA_u16, pulses_executed, width_ns, CASE WHEN kind = 'program' THEN 0 ELSE "
    "json_extract(parameters_json, '$.reset_amplitude_uA') "
    "* json_extract(parameters_json, '$.reset_amplitude_uA') "
    "* json_extract(parameters_json, '$.reset_width_ns') "
    "+ CASE WHEN kind = 'reset' THEN 0 ELSE (SELECT total(value * value) "
    "FROM json_each(parameters_json, '$.staircase_uA')) "
    "* json_extract(parameters_json, '$.staircase_width_ns') END END "
    "FROM run AS first "
    "CROSS JOIN run ON run.board_id = first.board_id AND run.sample = first.sample "
    "CROSS JOIN programming ON programming.run_id = run.id "
    "CROSS JOIN step ON step.id = programming.step_id "
    "CROSS JOIN pulse_batch AS batch ON programming_id = programming.id "
    "LEFT JOIN pulse_batch_outcome ON pulse_batch_id = batch.id WHERE first.id = ?";

constexpr std::size_t kAddresses = 0;

}  // namespace

const char* const DeviceWearCursor::kDeclaration =
    "CREATE TABLE device_wear (first_run_id INTEGER, board_serial TEXT, sample TEXT, "
    "word_line INTEGER, bit_line INTEGER, programmings INTEGER, pulses INTEGER, heat_A2s REAL, "
    "unknown_batches INTEGER, last_run_id INTEGER)";
const int DeviceWearCursor::kColumns = kWearColumns;

Searching DeviceWearCursor::searching() {
  return {kSearchedPlaces, kPlaceOrder, kChips * kPlaces, 1e7};
}

DeviceWearCursor::DeviceWearCursor(sqlite3* database)
    : chips_(database),
      batches_(database),
      placement_(database,
                 {"placement_block", "programming_id", {"addresses_u32", "targets_uS_f32"}}) {}

Result<void> DeviceWearCursor::search(const Filter& filter) {
  filter_ = filter;
  at_end_ = false;
  lines_.clear();
  word_line_ = 0;
  bit_line_ = -1;
  PCM_TRY(chips_.start(kChipRows, std::array{filter[kFirstRun].first, filter[kFirstRun].last}));
  return next();
}

Result<void> DeviceWearCursor::next() {
  while (!next_of_chip()) {
    PCM_ASSIGN(const bool found, next_chip());
    if (!found) {
      at_end_ = true;
      return {};
    }
  }
  return {};
}

/// To the next place with pulses that is wanted. \return false: the chip has no more.
bool DeviceWearCursor::next_of_chip() {
  const Interval& word_lines = (*filter_)[kWordLine];
  const Interval& bit_lines = (*filter_)[kBitLine];
  for (; word_line_ < std::ssize(lines_); ++word_line_, bit_line_ = -1) {
    if (!word_lines.holds(word_line_)) continue;
    const auto bits = std::ssize(lines_[static_cast<std::size_t>(word_line_)]);
    while (++bit_line_ < bits) {
      if (bit_lines.holds(bit_line_) && wear().programmings > 0) return true;
    }
  }
  return false;
}

Result<bool> DeviceWearCursor::next_chip() {
  PCM_ASSIGN(const bool more, chips_.step());
  if (!more) return false;
  first_run_ = chips_.integer(0);
  board_serial_ = chips_.text(1);
  sample_ = chips_.text(2);
  word_line_ = 0;
  bit_line_ = -1;
  PCM_TRY(count_chip());
  return true;
}

Result<void> DeviceWearCursor::count_chip() {
  lines_.clear();
  PCM_TRY(batches_.start(kBatchRows, first_run_));
  for (;;) {
    PCM_ASSIGN(const bool more, batches_.step());
    if (!more) return {};
    PulseBatch batch;
    batch.id = batches_.integer(0);
    batch.kind = batches_.text(3);
    batch.device_count = batches_.integer(4);
    batch.devices = batches_.blob(6);
    batch.amplitudes = batches_.blob(7);
    batch.acknowledged = !batches_.is_null(8);
    batch.pulses_executed = batches_.integer(8);
    PCM_TRY(batch.check(batches_.integer(5)));
    PCM_TRY(place_devices_of(batches_.integer(1)));
    add(batch, batches_.integer(2), 1e-9 * batches_.real(9), 1e-21 * batches_.real(10));
  }
}

/// Whole: the devices of a batch are anywhere in it.
Result<void> DeviceWearCursor::place_devices_of(std::int64_t programming) {
  if (programming == programming_) return {};
  programming_ = 0;
  addresses_.clear();
  for (;;) {
    PCM_ASSIGN(const bool found,
               placement_.seek(programming, static_cast<std::int64_t>(addresses_.size())));
    if (!found) break;
    if (placement_.first() != std::ssize(addresses_)) {
      return fail(ErrorCode::BadFile,
                  fmt::format("devices {} to {} of programming {} have no place", addresses_.size(),
                              placement_.first() - 1, programming),
                  "`pcmlab verify` tells what else is missing");
    }
    for (std::int64_t device = placement_.first(); device < placement_.end(); ++device) {
      addresses_.push_back(unpacked(placement_.at<std::uint32_t>(kAddresses, device)));
    }
  }
  programming_ = programming;
  return {};
}

void DeviceWearCursor::add(const PulseBatch& batch, std::int64_t run, double width_s,
                           double heat_A2s) {
  std::int64_t pulses_before = 0;
  for (std::int64_t place = 0; place < batch.device_count; ++place) {
    const auto pulses = batch.pulses_given(place, pulses_before);
    if (batch.amplitude_10nA(place).value_or(0) > 0) ++pulses_before;
    const auto device = static_cast<std::size_t>(batch.device(place));
    if (pulses == 0 || device >= addresses_.size()) continue;
    Wear& wear = wear_of(addresses_[device]);
    if (wear.last_programming != programming_) ++wear.programmings;
    wear.last_programming = programming_;
    wear.last_run = std::max(wear.last_run, run);
    wear.pulses += pulses.value_or(0);
    if (const auto amplitude = batch.amplitude_10nA(place)) {
      const double amplitude_A = static_cast<double>(*amplitude) * 1e-8;
      heat_A2s = amplitude_A * amplitude_A * width_s;
    }
    // Of what nobody knows the most that it can have been.
    if (pulses.value_or(1) > 0) wear.heat_A2s += heat_A2s;
    wear.unknown_batches += pulses ? 0 : 1;
  }
}

DeviceWearCursor::Wear& DeviceWearCursor::wear_of(DeviceAddress address) {
  const std::size_t word_line = address.word_line.index, bit_line = address.bit_line.index;
  if (word_line >= lines_.size()) lines_.resize(word_line + 1);
  std::vector<Wear>& line = lines_[word_line];
  if (bit_line >= line.size()) line.resize(bit_line + 1);
  return line[bit_line];
}

Result<void> DeviceWearCursor::column(sqlite3_context* context, int column) {
  const Wear& of = wear();
  switch (column) {
    case kFirstRun:
      give(context, first_run_);
      break;
    case kBoardSerial:
      give(context, std::string_view(board_serial_));
      break;
    case kSample:
      give(context, std::string_view(sample_));
      break;
    case kWordLine:
      give(context, word_line_);
      break;
    case kBitLine:
      give(context, bit_line_);
      break;
    case kProgrammings:
      give(context, of.programmings);
      break;
    case kPulses:
      give(context, of.pulses);
      break;
    case kHeat:
      give(context, of.heat_A2s);
      break;
    case kUnknownBatches:
      give(context, of.unknown_batches);
      break;
    case kLastRun:
      give(context, of.last_run);
      break;
    default:
      break;
  }
  return {};
}

}  // namespace pcmlab::db::extension

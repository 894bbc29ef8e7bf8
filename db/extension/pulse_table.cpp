// SPDX-License-Identifier: Apache-2.0
#include "db/extension/pulse_table.h"

#include <algorithm>
#include <array>

#include "db/extension/results.h"

namespace pcmlab::db::extension {
namespace {

enum PulseColumn : int {
  kRun,
  kProgramming,
  kBatchId,
  kBatch,
  kKind,
  kIteration,
  kPlace,
  kDevice,
  kLayer,
  kLayerName,
  kWeight,
  kPolarity,
  kWordLine,
  kBitLine,
  kTarget,
  kAmplitude,
  kWidth,
  kGiven,
  kTick,
  kCodeSum,
  kVerified,
  kIntended,
  kPulseColumns
};

// A programming of usual size: pulses of one device are as many as its iterations.
constexpr double kBatches = 3000, kPulses = 20e6, kDevices = 723'444;

constexpr std::array kSearchedPulses = {SearchedColumn{kRun, 0.3},
                                        SearchedColumn{kProgramming, 0.3},
                                        SearchedColumn{kBatchId, 1 / kBatches},
                                        SearchedColumn{kBatch, 1 / kBatches},
                                        SearchedColumn{kIteration, 0.02},
                                        SearchedColumn{kLayer, 0.03},
                                        SearchedColumn{kWeight, 2 / kDevices},
                                        SearchedColumn{kWordLine, 0.01},
                                        SearchedColumn{kBitLine, 0.01},
                                        SearchedColumn{kDevice, 1 / kDevices}};
constexpr std::array<int, 2> kPulseOrder = {kBatchId, kPlace};
constexpr std::array<int, 5> kSearchedBatches = {kBatchId, kRun, kProgramming, kBatch, kIteration};

constexpr const char* kBatchRows =
    "SELECT batch.id, programming_id, run_id, batch, kind, iteration, width_ns, intended_utc, "
    "batch.device_count, batch.crc32c, devices_u32, amplitudes_10nA_u16, pulses_executed, "
    "outcome.first_tick_ns, outcome.last_tick_ns, verify.crc32c, code_sums_u16 "
    "FROM pulse_batch AS batch JOIN programming ON programming.id = programming_id "
    "JOIN run ON run.id = run_id "
    "LEFT JOIN pulse_batch_outcome AS outcome ON outcome.pulse_batch_id = batch.id "
    "LEFT JOIN pulse_batch_verify AS verify ON verify.pulse_batch_id = batch.id "
    "WHERE batch.id BETWEEN ? AND ? AND run_id BETWEEN ? AND ? AND programming_id BETWEEN ? AND ? "
    "AND batch BETWEEN ? AND ? AND iteration BETWEEN ? AND ? AND deleted_utc IS NULL "
    "ORDER BY batch.id";

}  // namespace

const char* const PulseCursor::kDeclaration =
    "CREATE TABLE pulse (run_id INTEGER, programming_id INTEGER, pulse_batch_id INTEGER, "
    "batch INTEGER, kind TEXT, iteration INTEGER, place INTEGER, device INTEGER, layer INTEGER, "
    "layer_name TEXT, weight INTEGER, polarity INTEGER, word_line INTEGER, bit_line INTEGER, "
    "target_uS REAL, amplitude_uA REAL, width_ns INTEGER, given INTEGER, tick_ns INTEGER, "
    "code_sum INTEGER, verified_uS REAL, intended_utc TEXT)";
const int PulseCursor::kColumns = kPulseColumns;

Searching PulseCursor::searching() { return {kSearchedPulses, kPulseOrder, kPulses, 3000}; }

PulseCursor::PulseCursor(sqlite3* database) : batches_(database), devices_(database) {}

Result<void> PulseCursor::search(const Filter& filter) {
  filter_ = filter;
  wanted_.clear();  // those of the search before, which may be of the same programming
  at_end_ = false;
  std::vector<std::int64_t> bounds;
  for (const int column : kSearchedBatches) {
    bounds.push_back(filter[column].first);
    bounds.push_back(filter[column].last);
  }
  PCM_TRY(batches_.start(kBatchRows, bounds));
  batch_ = {};
  place_ = -1;
  return next();
}

Result<void> PulseCursor::next() {
  for (;;) {
    if (place_ >= 0 && amplitude_10nA().value_or(0) > 0) ++pulses_before_;
    while (++place_ < batch_.device_count) {
      if (wanted(device())) return {};
      if (amplitude_10nA().value_or(0) > 0) ++pulses_before_;
    }
    PCM_ASSIGN(const bool found, next_batch());
    if (!found) {
      at_end_ = true;
      return {};
    }
  }
}

Result<bool> PulseCursor::next_batch() {
  PCM_ASSIGN(const bool more, batches_.step());
  if (!more) return false;
  batch_.id = batches_.integer(0);
  batch_.run = batches_.integer(2);
  batch_.number = batches_.integer(3);
  batch_.kind = batches_.text(4);
  batch_.iteration = batches_.integer(5);
  batch_.width_ns = batches_.integer(6);
  batch_.intended_utc = batches_.text(7);
  batch_.device_count = batches_.integer(8);
  batch_.acknowledged = !batches_.is_null(12);
  batch_.pulses_executed = batches_.integer(12);
  batch_.first_tick_ns = batches_.integer(13);
  batch_.last_tick_ns = batches_.integer(14);
  batch_.devices = batches_.blob(10);
  batch_.amplitudes = batches_.blob(11);
  batch_.code_sums = batches_.blob(16);
  place_ = -1;
  pulses_before_ = 0;
  PCM_TRY(batch_.check(batches_.integer(9)));
  if (!batches_.is_null(15)) {
    PCM_TRY(check_blobs(batches_.integer(15), std::array{batch_.code_sums}, "pulse_batch_verify",
                        batch_.id));
  }
  PCM_TRY(want_devices_of(batches_.integer(1)));
  return true;
}

Result<void> PulseCursor::want_devices_of(std::int64_t programming) {
  if (programming == devices_.programming() && !wanted_.empty()) return {};
  PCM_TRY(devices_.use(programming));
  PCM_ASSIGN(wanted_, devices_.wanted(*filter_, {kDevice, kLayer, kWeight, kWordLine}));
  return {};
}

bool PulseCursor::wanted(std::int64_t device) const {
  const auto behind =
      std::upper_bound(wanted_.begin(), wanted_.end(), device,
                       [](std::int64_t at, const Interval& other) { return at < other.first; });
  return behind != wanted_.begin() && std::prev(behind)->holds(device);
}

std::optional<bool> PulseCursor::given() const {
  const auto pulses = batch_.pulses_given(place_, pulses_before_);
  return pulses ? std::optional(*pulses > 0) : std::nullopt;
}

Result<void> PulseCursor::column(sqlite3_context* context, int column) {
  const auto code_sum = [&]() -> std::optional<std::int64_t> {
    if (static_cast<std::size_t>(place_) >= batch_.code_sums.size() / 2) return std::nullopt;
    return number_at<std::uint16_t>(batch_.code_sums, place_);
  };
  switch (column) {
    case kRun:
      give(context, batch_.run);
      break;
    case kProgramming:
      give(context, devices_.programming());
      break;
    case kBatchId:
      give(context, batch_.id);
      break;
    case kBatch:
      give(context, batch_.number);
      break;
    case kKind:
      give(context, std::string_view(batch_.kind));
      break;
    case kIteration:
      give(context, batch_.iteration);
      break;
    case kPlace:
      give(context, place_);
      break;
    case kDevice:
      give(context, device());
      break;
    case kAmplitude:
      if (const auto amplitude = amplitude_10nA()) {
        give(context, static_cast<double>(*amplitude) / 100);
      }
      break;
    case kWidth:
      if (batch_.width_ns > 0) give(context, batch_.width_ns);
      break;
    case kGiven:
      if (const auto is_given = given()) give(context, std::int64_t{*is_given});
      break;
    case kTick:
      // The pulses of a batch follow one another, each for as long as the others.
      if (given().value_or(false)) {
        const double part =
            static_cast<double>(place_ + 1) / static_cast<double>(batch_.device_count);
        give(context,
             batch_.first_tick_ns +
                 static_cast<std::int64_t>(
                     static_cast<double>(batch_.last_tick_ns - batch_.first_tick_ns) * part));
      }
      break;
    case kCodeSum:
      give(context, code_sum());
      break;
    case kVerified:
      if (const auto sum = code_sum()) give(context, devices_.verified_uS(*sum));
      break;
    case kIntended:
      give(context, std::string_view(batch_.intended_utc));
      break;
    default:
      return give(context, devices_, device(), static_cast<DeviceColumn>(column - kLayer));
  }
  return {};
}

}  // namespace pcmlab::db::extension

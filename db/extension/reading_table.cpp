// SPDX-License-Identifier: Apache-2.0
// The table `reading`.
#include <array>

#include "db/extension/device_tables.h"
#include "db/extension/results.h"

namespace pcmlab::db::extension {
namespace {

enum ReadingColumn : int {
  kRun,
  kSweep,
  kProgramming,
  kOrdinal,
  kRepeat,
  kScheduled,
  kDevice,
  kLayer,
  kLayerName,
  kWeight,
  kPolarity,
  kWordLine,
  kBitLine,
  kTarget,
  kCodeSum,
  kConductance,
  kTick,
  kAfter,
  kAge,
  kReadingColumns
};

// A database of usual size.
constexpr double kSweeps = 20, kDevices = 723'444;

constexpr std::array kSearchedReadings = {SearchedColumn{kRun, 0.1},
                                          SearchedColumn{kSweep, 1 / kSweeps},
                                          SearchedColumn{kOrdinal, 0.1},
                                          SearchedColumn{kProgramming, 0.1},
                                          SearchedColumn{kLayer, 0.03},
                                          SearchedColumn{kWeight, 2 / kDevices},
                                          SearchedColumn{kWordLine, 0.01},
                                          SearchedColumn{kBitLine, 0.01},
                                          SearchedColumn{kDevice, 1 / kDevices}};
constexpr std::array<int, 2> kReadingOrder = {kSweep, kDevice};
constexpr std::array<int, 4> kSearchedSweeps = {kSweep, kRun, kProgramming, kOrdinal};

constexpr const char* kSweepRows =
    "SELECT sweep.id, programming_id, run_id, ordinal, repeat, scheduled_s, samples, "
    "gain_uS_per_code, offset_uS FROM sweep JOIN run ON run.id = run_id "
    "WHERE sweep.id BETWEEN ? AND ? AND run_id BETWEEN ? AND ? AND programming_id BETWEEN ? AND ? "
    "AND ordinal BETWEEN ? AND ? AND deleted_utc IS NULL ORDER BY sweep.id";

}  // namespace

const char* const ReadingCursor::kDeclaration =
    "CREATE TABLE reading (run_id INTEGER, sweep_id INTEGER, programming_id INTEGER, "
    "sweep_ordinal INTEGER, repeat INTEGER, scheduled_s REAL, device INTEGER, layer INTEGER, "
    "layer_name TEXT, weight INTEGER, polarity INTEGER, word_line INTEGER, bit_line INTEGER, "
    "target_uS REAL, code_sum INTEGER, g_uS REAL, tick_ns INTEGER, after_s REAL, age_s REAL)";
const int ReadingCursor::kColumns = kReadingColumns;

Searching ReadingCursor::searching() {
  return {kSearchedReadings, kReadingOrder, kSweeps * kDevices, 30};
}

ReadingCursor::ReadingCursor(sqlite3* database)
    : DeviceCursor(
          database,
          {"sweep_block", "sweep_id", {"code_sums_u16"}, {"first_tick_ns", "last_tick_ns"}},
          {kSweepRows, kSearchedSweeps}, {kDevice, kLayer, kWeight, kWordLine}) {}

void ReadingCursor::take_owner(const Query& row) {
  run_ = row.integer(2);
  ordinal_ = row.integer(3);
  repeat_ = row.integer(4);
  scheduled_s_ = row.real(5);
  samples_ = row.real(6);
  gain_uS_per_code_ = row.real(7);
  offset_uS_ = row.real(8);
}

std::int64_t ReadingCursor::code_sum() const { return block().at<std::uint16_t>(0, device()); }

/// The devices of a block are read one after another, each for as long as the others.
std::int64_t ReadingCursor::tick_ns() const {
  const std::int64_t first = block().number(0), last = block().number(1);
  const double place = static_cast<double>(device() - block().first()) + 0.5;
  const double part = place / static_cast<double>(block().end() - block().first());
  return first + static_cast<std::int64_t>(static_cast<double>(last - first) * part);
}

Result<void> ReadingCursor::column(sqlite3_context* context, int column) {
  switch (column) {
    case kRun:
      give(context, run_);
      break;
    case kSweep:
      give(context, owner());
      break;
    case kProgramming:
      give(context, devices().programming());
      break;
    case kOrdinal:
      give(context, ordinal_);
      break;
    case kRepeat:
      give(context, repeat_);
      break;
    case kScheduled:
      give(context, scheduled_s_);
      break;
    case kDevice:
      give(context, device());
      break;
    case kCodeSum:
      give(context, code_sum());
      break;
    case kConductance:
      give(context, gain_uS_per_code_ * static_cast<double>(code_sum()) / samples_ + offset_uS_);
      break;
    case kTick:
      give(context, tick_ns());
      break;
    case kAfter:
      if (const auto end = devices().end_tick_ns()) {
        give(context, static_cast<double>(tick_ns() - *end) * 1e-9);
      }
      break;
    case kAge: {
      PCM_ASSIGN(const auto pulse, devices().last_pulse_tick_ns(device()));
      if (pulse) give(context, static_cast<double>(tick_ns() - *pulse) * 1e-9);
      break;
    }
    default:
      return give(context, devices(), device(), static_cast<DeviceColumn>(column - kLayer));
  }
  return {};
}

}  // namespace pcmlab::db::extension

// SPDX-License-Identifier: Apache-2.0
// The table `programmed_device`.
#include <array>

#include "db/extension/device_tables.h"
#include "db/extension/results.h"
#include "db/records.h"

namespace pcmlab::db::extension {
namespace {

enum ProgrammedColumn : int {
  kRun,
  kProgramming,
  kDevice,
  kLayer,
  kLayerName,
  kWeight,
  kPolarity,
  kWordLine,
  kBitLine,
  kTarget,
  kVerdict,
  kIterations,
  kPulses,
  kLastAmplitude,
  kCodeSum,
  kVerified,
  kError,
  kLastPulse,
  kProgrammedColumns
};

/// Blobs of programming_result.
enum : std::size_t {
  kVerdicts,
  kIterationCounts,
  kPulseCounts,
  kLastAmplitudes,
  kLastCodeSums,
  kLastPulseTicks
};

constexpr double kProgrammings = 5, kDevices = 723'444;

constexpr std::array kSearchedDevices = {SearchedColumn{kRun, 1 / kProgrammings},
                                         SearchedColumn{kProgramming, 1 / kProgrammings},
                                         SearchedColumn{kLayer, 0.03},
                                         SearchedColumn{kWeight, 2 / kDevices},
                                         SearchedColumn{kWordLine, 0.01},
                                         SearchedColumn{kBitLine, 0.01},
                                         SearchedColumn{kDevice, 1 / kDevices}};
constexpr std::array<int, 2> kProgrammedOrder = {kProgramming, kDevice};
constexpr std::array<int, 2> kSearchedProgrammings = {kProgramming, kRun};

constexpr const char* kProgrammingRows =
    "SELECT programming.id, programming.id, run_id FROM programming JOIN run ON run.id = run_id "
    "WHERE programming.id BETWEEN ? AND ? AND run_id BETWEEN ? AND ? AND deleted_utc IS NULL "
    "ORDER BY programming.id";

}  // namespace

const char* const ProgrammedDeviceCursor::kDeclaration =
    "CREATE TABLE programmed_device (run_id INTEGER, programming_id INTEGER, device INTEGER, "
    "layer INTEGER, layer_name TEXT, weight INTEGER, polarity INTEGER, word_line INTEGER, "
    "bit_line INTEGER, target_uS REAL, verdict TEXT, iterations INTEGER, pulses INTEGER, "
    "last_amplitude_uA REAL, code_sum INTEGER, verified_uS REAL, error_uS REAL, "
    "last_pulse_tick_ns INTEGER)";
const int ProgrammedDeviceCursor::kColumns = kProgrammedColumns;

Searching ProgrammedDeviceCursor::searching() {
  return {kSearchedDevices, kProgrammedOrder, kProgrammings * kDevices, 30};
}

ProgrammedDeviceCursor::ProgrammedDeviceCursor(sqlite3* database)
    : DeviceCursor(database,
                   {"programming_result",
                    "programming_id",
                    {"verdicts_u8", "iterations_u8", "pulses_u16", "last_amplitude_10nA_u16",
                     "last_code_sum_u16", "last_pulse_tick_ns_i64"}},
                   {kProgrammingRows, kSearchedProgrammings},
                   {kDevice, kLayer, kWeight, kWordLine}) {}

void ProgrammedDeviceCursor::take_owner(const Query& row) { run_ = row.integer(2); }

Result<void> ProgrammedDeviceCursor::column(sqlite3_context* context, int column) {
  const auto verdict = static_cast<Verdict>(block().at<std::uint8_t>(kVerdicts, device()));
  const bool verified = verdict != Verdict::Reset;
  const std::int64_t code_sum = block().at<std::uint16_t>(kLastCodeSums, device());
  switch (column) {
    case kRun:
      give(context, run_);
      break;
    case kProgramming:
      give(context, owner());
      break;
    case kDevice:
      give(context, device());
      break;
    case kVerdict:
      give(context, to_string(verdict));
      break;
    case kIterations:
      give(context, std::int64_t{block().at<std::uint8_t>(kIterationCounts, device())});
      break;
    case kPulses:
      give(context, std::int64_t{block().at<std::uint16_t>(kPulseCounts, device())});
      break;
    case kLastAmplitude:
      if (const auto amplitude_10nA = block().at<std::uint16_t>(kLastAmplitudes, device())) {
        give(context, amplitude_10nA / 100.0);
      }
      break;
    case kCodeSum:
      if (verified) give(context, code_sum);
      break;
    case kVerified:
      if (verified) give(context, devices().verified_uS(code_sum));
      break;
    case kError: {
      PCM_ASSIGN(const auto target_uS, devices().target_uS(device()));
      if (verified && target_uS) {
        give(context, devices().verified_uS(code_sum) - static_cast<double>(*target_uS));
      }
      break;
    }
    case kLastPulse:
      give(context, block().at<std::int64_t>(kLastPulseTicks, device()));
      break;
    default:
      return give(context, devices(), device(), static_cast<DeviceColumn>(column - kLayer));
  }
  return {};
}

}  // namespace pcmlab::db::extension

// SPDX-License-Identifier: Apache-2.0
// The table `device_drift`.
#include <array>
#include <cmath>

#include "db/extension/device_tables.h"
#include "db/extension/results.h"
#include "db/records.h"

namespace pcmlab::db::extension {
namespace {

enum DriftColumn : int {
  kRun,
  kFit,
  kProgramming,
  kDevice,
  kLayer,
  kLayerName,
  kWeight,
  kPolarity,
  kWordLine,
  kBitLine,
  kTarget,
  kExponent,
  kExponentError,
  kConductance,
  kT0,
  kClass,
  kDriftColumns
};

/// Blobs of drift_fit_block.
enum : std::size_t { kExponents, kExponentErrors, kConductances, kClasses };

constexpr double kFits = 5, kDevices = 723'444;

constexpr std::array kSearchedDrifts = {
    SearchedColumn{kRun, 1 / kFits},         SearchedColumn{kFit, 1 / kFits},
    SearchedColumn{kProgramming, 1 / kFits}, SearchedColumn{kLayer, 0.03},
    SearchedColumn{kWeight, 2 / kDevices},   SearchedColumn{kWordLine, 0.01},
    SearchedColumn{kBitLine, 0.01},          SearchedColumn{kDevice, 1 / kDevices}};
constexpr std::array<int, 2> kDriftOrder = {kFit, kDevice};
constexpr std::array<int, 3> kSearchedFits = {kFit, kRun, kProgramming};

constexpr const char* kFitRows =
    "SELECT drift_fit.id, programming_id, run_id, t0_s FROM drift_fit JOIN run ON run.id = run_id "
    "WHERE drift_fit.id BETWEEN ? AND ? AND run_id BETWEEN ? AND ? "
    "AND programming_id BETWEEN ? AND ? AND deleted_utc IS NULL ORDER BY drift_fit.id";

void give_known(sqlite3_context* context, float number) {
  if (!std::isnan(number)) give(context, static_cast<double>(number));
}

}  // namespace

const char* const DeviceDriftCursor::kDeclaration =
    "CREATE TABLE device_drift (run_id INTEGER, drift_fit_id INTEGER, programming_id INTEGER, "
    "device INTEGER, layer INTEGER, layer_name TEXT, weight INTEGER, polarity INTEGER, "
    "word_line INTEGER, bit_line INTEGER, target_uS REAL, exponent REAL, exponent_error REAL, "
    "g_t0_uS REAL, t0_s REAL, class TEXT)";
const int DeviceDriftCursor::kColumns = kDriftColumns;

Searching DeviceDriftCursor::searching() {
  return {kSearchedDrifts, kDriftOrder, kFits * kDevices, 30};
}

DeviceDriftCursor::DeviceDriftCursor(sqlite3* database)
    : DeviceCursor(database,
                   {"drift_fit_block",
                    "drift_fit_id",
                    {"exponents_f32", "exponent_errors_f32", "g_t0_uS_f32", "classes_u8"}},
                   {kFitRows, kSearchedFits}, {kDevice, kLayer, kWeight, kWordLine}) {}

void DeviceDriftCursor::take_owner(const Query& row) {
  run_ = row.integer(2);
  t0_s_ = row.real(3);
}

Result<void> DeviceDriftCursor::column(sqlite3_context* context, int column) {
  switch (column) {
    case kRun:
      give(context, run_);
      break;
    case kFit:
      give(context, owner());
      break;
    case kProgramming:
      give(context, devices().programming());
      break;
    case kDevice:
      give(context, device());
      break;
    case kExponent:
      give_known(context, block().at<float>(kExponents, device()));
      break;
    case kExponentError:
      give_known(context, block().at<float>(kExponentErrors, device()));
      break;
    case kConductance:
      give_known(context, block().at<float>(kConductances, device()));
      break;
    case kT0:
      give(context, t0_s_);
      break;
    case kClass:
      give(context,
           to_string(static_cast<DriftClass>(block().at<std::uint8_t>(kClasses, device()))));
      break;
    default:
      return give(context, devices(), device(), static_cast<DeviceColumn>(column - kLayer));
  }
  return {};
}

}  // namespace pcmlab::db::extension

// SPDX-License-Identifier: Apache-2.0
/// \file
/// How the devices of a run drift, by what they were programmed to: read from the database and made
/// into plots. Plain values; for the reading thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/gui/plot_content.h"
#include "db/run_store.h"

namespace pcmlab::gui {

/// Edges of the levels by which devices are told apart: those at which the literature gives
/// figures.
inline constexpr std::array<double, 7> kLevelEdges_uS{0.25, 2.5, 7.5, 12.5, 17.5, 22.5, 25.01};
inline constexpr std::size_t kLevels = kLevelEdges_uS.size() - 1;
std::optional<std::size_t> level_of(double target_uS);
/// "7.5–12.5", of µS.
std::string level_name(std::size_t level);
/// Series::shade of a level.
double level_shade(std::size_t level);

/// Converged devices whose targets lie in [low_uS, high_uS).
struct DriftLevel {
  double low_uS = 0, high_uS = 0;
  std::int64_t devices = 0;
  std::string name() const;  ///< "7.5–12.5", of µS
};

/// A sweep of all devices. What was read once stays as it is, and need not be read again.
struct DriftSweep {
  double after_s = 0, scheduled_s = 0;
  int repeat = 0;
  double sum_uS = 0;
  std::vector<double> p10_uS, median_uS, p90_uS;  ///< by level; NaN without devices
  std::vector<std::vector<std::pair<double, double>>>
      distribution;              ///< by level: uS, percent below
  std::vector<float> sample_uS;  ///< of RetentionData::sample
};

struct RetentionData {
  db::RunRow run;
  std::vector<DriftLevel> levels;
  /// Devices that are shown one by one, with the level of each.
  std::vector<std::pair<std::uint32_t, int>> sample;
  std::map<db::RowId, DriftSweep> sweeps;  ///< complete ones, by the id of the first filling's
  std::vector<db::DriftFitRow> fits;
  std::vector<std::pair<float, float>> exponents;  ///< target uS and exponent, of every so many-th
  std::size_t exponents_left_out = 0;
  std::int64_t left_out = 0;        ///< devices that did not converge
  std::vector<Stretch> gaps;        ///< s after programming
  std::vector<double> next_s = {};  ///< reads that are still to come, s after programming

  std::vector<const DriftSweep*> by_time() const;
};

/// \param known  of the same run before, whose sweeps are not read again; may be null.
/// Errors: Stopped, those of the store.
Result<RetentionData> read_retention(db::RunStore& store, db::RowId run, const RetentionData* known,
                                     const std::stop_token& stop);

PlotContent drift_plot(const RetentionData& data, bool devices);
PlotContent distribution_plot(const RetentionData& data, db::RowId sweep);
PlotContent exponent_plot(const RetentionData& data);
PlotContent sum_plot(const RetentionData& data);

/// "run 1 (uuid), NAME": what an exported plot says of its source.
std::string source_of(const db::RunRow& run);

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the network's accuracy became, read from the database and made into plots. Plain values;
/// for the reading thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "app/gui/plot_content.h"
#include "db/run_store.h"

namespace pcmlab::gui {

/// All passes of one condition at one scheduled time.
struct AccuracyPoint {
  double after_s = 0;
  double mean_percent = 0;
  /// Standard deviation over repeated reads; over the images if there is one read only: what
  /// another draw of as many images would do.
  double error_percent = 0;
  int reads = 0;
  db::RowId accuracy = 0;  ///< of the last read: its confusion
  std::int64_t images = 0;
};

struct AccuracyData {
  db::RunRow run;
  std::map<std::string, std::vector<AccuracyPoint>> conditions;  ///< each by time
  std::vector<std::string> order;                                ///< of the conditions
  std::optional<double> software_percent;
  std::string precision;
  std::string newest;  ///< the sweep that was counted last: "sweep 6 of 6, 1 d after programming"
  std::vector<db::LayerRow> layers;
  std::vector<db::LayerStateRow> states;                ///< of the newest sweep
  std::map<db::RowId, db::ConfusionMatrix> confusions;  ///< by accuracy
};

/// Errors: those of the store.
Result<AccuracyData> read_accuracy(db::RunStore& store, db::RowId run);

/// \param close_up  of the compensated accuracies: the axis leaves out what is further below.
PlotContent accuracy_plot(const AccuracyData& data, bool close_up);
PlotContent layer_plot(const AccuracyData& data);

}  // namespace pcmlab::gui

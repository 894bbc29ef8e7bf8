// SPDX-License-Identifier: Apache-2.0
/// \file
/// The devices of a rectangle of the array: how they are distributed, how they drift, and how one
/// asks the database for them. Plain values; drift is for the reading thread.
#pragma once

#include <QRect>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "app/gui/array_map.h"
#include "app/gui/plot_content.h"
#include "db/run_store.h"

namespace pcmlab::gui {

/// "word lines 3–10, bit lines 100–163".
std::string region_name(const QRect& region);
/// Of the devices of a programming that are there. x are bit lines, y word lines.
std::vector<std::uint32_t> devices_in(const ArrayMap& map, const QRect& region);
/// Of what the map shows.
PlotContent region_histogram(const ArrayMap& map, const QRect& region, const std::string& source);
/// Median and 10 to 90 % of the devices, sweep by sweep. Errors: Stopped, those of the store.
Result<PlotContent> read_region_drift(db::RunStore& store,
                                      const ArrayChoices::Programming& programming,
                                      const std::vector<std::uint32_t>& devices,
                                      const std::string& name, const std::string& source,
                                      const std::stop_token& stop);
/// All their readings, for the SQL page, the command line or Python.
std::string region_sql(db::RowId programming, const QRect& region);

/// Mean over the visible lines of one direction: by pixel; NaN where nothing is known.
struct LineMeans {
  std::vector<double> bit_lines;   ///< from left to right
  std::vector<double> word_lines;  ///< from top to bottom
};
/// \param view  in devices, as of draw_array()
LineMeans line_means(const ArrayMap& map, const QRectF& view, const QSize& size);

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Where things stand in a retention plot: axes, ticks and labels. Plain functions.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/plot.h"

namespace pcmlab::app {

/// First and last time of the axis of both panels, so that they can be compared; at least a decade
/// and a half apart. Seconds.
std::pair<double, double> time_range(const RetentionPlot& plot);

struct TimeTick {
  double at_s;
  std::string_view label;
};

/// Ticks in units that people use, the most telling first where there is no room for all.
std::vector<TimeTick> time_ticks(double low_s, double high_s);

/// Lower end, upper end and tick distance of the accuracy axis: the whole scale where the curves
/// spread, a close-up where they do not.
std::array<double, 3> accuracy_axis(const RetentionPlot& plot);

/// Round values on a logarithmic axis, denser the shorter it is.
std::vector<double> conductance_ticks(double low_uS, double high_uS);

/// The name of a curve, written beside its last point in the curve's colour.
struct CurveLabel {
  std::vector<std::string> lines;
  std::string colour;
  double height = 0;  ///< of its middle, as a fraction of the panel
};

/// Moves labels apart that would overlap, as little as possible, and into the panel.
/// \param labels       sorted from the highest to the lowest.
/// \param line_height  of a line of text, as a fraction of the panel.
void spread(std::vector<CurveLabel>& labels, double line_height);

}  // namespace pcmlab::app

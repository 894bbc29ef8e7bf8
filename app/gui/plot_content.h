// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a plot shows, as plain values: made in any thread, drawn by PlotView, exported as CSV.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pcmlab::gui {

enum class Scale {
  Linear,
  Log,
  Time,   ///< logarithmic, seconds in, ticks in units that people use
  Probit  ///< percent in, a normal distribution is a straight line
};

struct Axis {
  std::string title;
  std::string unit;  ///< "µS"; "%"; empty for a pure number
  Scale scale = Scale::Linear;
  std::optional<std::pair<double, double>> range = {};  ///< unless zoomed; else all there is
};

enum class Mark {
  Line,
  LinePoints,
  Points,
  Band,  ///< between low and high
};

/// x and y have one length; low and high too, or they are empty.
struct Series {
  std::string name;
  Mark mark = Mark::Line;
  int colour = 0;                    ///< of Theme::series
  std::optional<double> shade = {};  ///< 0 .. 1 in its place: an ordered family of curves
  bool faint = false;                ///< one of many: thin, pale, and not in the legend
  std::vector<double> x, y;
  std::vector<double> low = {}, high = {};  ///< of a band, or of error bars
};

/// What is true all over a range of x, or at one y.
struct Stretch {
  double from = 0, to = 0;  ///< the same: a line
  std::string name;
};
struct Level {
  double y = 0;
  std::string name;
};
/// Something that will be at one x.
struct Moment {
  double x = 0;
  std::string name;
};

struct PlotContent {
  std::string title;
  Axis x, y;
  std::vector<Series> series;
  std::vector<Stretch> stretches = {};  ///< gaps in what was measured
  std::vector<Level> levels = {};
  std::vector<Moment> moments = {};  ///< ascending
  std::string note = {};             ///< beside the title: what was left out, what was used
  std::string source = {};           ///< run, uuid, query: what an exported file says of itself
};

/// A line for every point, with a head that says where it is from (#).
std::string to_csv(const PlotContent& content);

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
#include "app/plot_layout.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pcmlab::app {
namespace {

/// The next round number down, so that the axis begins where a tick may stand.
double round_time_below(double t_s) {
  const double decade = std::pow(10.0, std::floor(std::log10(t_s)));
  double round = decade;
  for (const double digit : {1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0}) {
    if (digit * decade <= t_s) {
      round = digit * decade;
    }
  }
  return round;
}

}  // namespace

std::pair<double, double> time_range(const RetentionPlot& plot) {
  double low_s = std::numeric_limits<double>::infinity();
  double high_s = 0;
  const auto cover = [&](const std::vector<double>& times_s) {
    for (const double t_s : times_s) {
      low_s = std::min(low_s, t_s);
      high_s = std::max(high_s, t_s);
    }
  };
  for (const AccuracySeries& series : plot.accuracy) {
    cover(series.after_s);
  }
  for (const DriftBand& band : plot.drift) {
    cover(band.after_s);
  }
  constexpr double kMargin = 1.25;
  constexpr double kLeastSpan = 30;
  const double span = high_s / low_s * kMargin * kMargin;
  const double margin = span < kLeastSpan ? kMargin * std::sqrt(kLeastSpan / span) : kMargin;
  return {round_time_below(low_s / margin * 1.15), high_s * margin};
}

std::vector<TimeTick> time_ticks(double low_s, double high_s) {
  constexpr std::array<TimeTick, 23> kByImportance = {{
      {60, "1 min"},       {3600, "1 h"},     {86400, "1 d"},  {31557600, "1 y"}, {1, "1 s"},
      {600, "10 min"},     {2592000, "30 d"}, {10, "10 s"},    {21600, "6 h"},    {604800, "7 d"},
      {315576000, "10 y"}, {1e-3, "1 ms"},    {1e-6, "1 µs"},  {0.1, "0.1 s"},    {0.01, "10 ms"},
      {1e-5, "10 µs"},     {1e-4, "100 µs"},  {30, "30 s"},    {20, "20 s"},      {120, "2 min"},
      {300, "5 min"},      {1800, "30 min"},  {172800, "2 d"},
  }};
  constexpr double kLeastDistance = 0.115;  // of the axis, for the widest label
  const double span = std::log(high_s / low_s);
  std::vector<TimeTick> ticks;
  for (const TimeTick& tick : kByImportance) {
    const bool inside = tick.at_s >= low_s && tick.at_s <= high_s;
    const bool free = std::none_of(ticks.begin(), ticks.end(), [&](const TimeTick& other) {
      return std::abs(std::log(tick.at_s / other.at_s)) < kLeastDistance * span;
    });
    if (inside && free) {
      ticks.push_back(tick);
    }
  }
  std::sort(ticks.begin(), ticks.end(),
            [](const TimeTick& a, const TimeTick& b) { return a.at_s < b.at_s; });
  return ticks;
}

std::array<double, 3> accuracy_axis(const RetentionPlot& plot) {
  double low = plot.software_percent.value_or(100);
  double high = plot.software_percent.value_or(0);
  for (const AccuracySeries& series : plot.accuracy) {
    for (const double percent : series.percent) {
      low = std::min(low, percent);
      high = std::max(high, percent);
    }
  }
  constexpr double kSpread = 30;
  if (high - low > kSpread || low < 0 || high > 100) {
    constexpr double kStep = 20;
    return {std::min(0.0, std::floor(low / kStep) * kStep),
            std::max(100.0, std::ceil(high / kStep) * kStep), kStep};
  }
  const double margin = std::max(0.15 * (high - low), 1.0);
  double step = 0.5;
  for (const double candidate : {1.0, 2.0, 5.0, 10.0}) {
    if ((high - low + 2 * margin) / step > 6) {
      step = candidate;
    }
  }
  return {std::max(0.0, std::floor((low - margin) / step) * step),
          std::min(100.0, std::ceil((high + margin) / step) * step), step};
}

std::vector<double> conductance_ticks(double low_uS, double high_uS) {
  const double ratio = high_uS / low_uS;
  std::vector<double> digits = {1.0, 2.0, 5.0};
  if (ratio < 8) {
    digits = {1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0};
  } else if (ratio > 2000) {
    digits = {1.0};
  }
  std::vector<double> ticks;
  const int highest = static_cast<int>(std::ceil(std::log10(high_uS)));
  for (int decade = static_cast<int>(std::floor(std::log10(low_uS))); decade <= highest; ++decade) {
    for (const double digit : digits) {
      const double at_uS = digit * std::pow(10.0, decade);
      if (at_uS >= low_uS && at_uS <= high_uS) {
        ticks.push_back(at_uS);
      }
    }
  }
  return ticks;
}

void spread(std::vector<CurveLabel>& labels, double line_height) {
  struct Group {  // labels that touch each other; `top` is where the first one begins
    double top = 0;
    double height = 0;
    double wish = 0;  // sum of the tops that its labels would like
    double count = 0;
  };
  constexpr double kGap = 0.4;  // between labels, in lines
  std::vector<double> heights;
  std::vector<Group> groups;
  for (const CurveLabel& label : labels) {
    const double height = (static_cast<double>(label.lines.size()) + kGap) * line_height;
    heights.push_back(height);
    const double top = label.height + height / 2;
    groups.push_back({top, height, top, 1});
    while (groups.size() > 1) {
      Group& upper = groups[groups.size() - 2];
      const Group& lower = groups.back();
      if (upper.top - upper.height >= lower.top) {
        break;
      }
      upper.wish += lower.wish + lower.count * upper.height;
      upper.count += lower.count;
      upper.height += lower.height;
      upper.top = upper.wish / upper.count;
      groups.pop_back();
    }
  }
  // Touching groups at the panel's ends: push down from the top, then up from the bottom.
  double ceiling = 1 + line_height;
  for (Group& group : groups) {
    group.top = std::min(group.top, ceiling);
    ceiling = group.top - group.height;
  }
  double floor = -line_height;
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) {
    group->top = std::max(group->top, floor + group->height);
    floor = group->top;
  }
  std::size_t next = 0;
  for (const Group& group : groups) {
    double top = group.top;
    const double bottom = group.top - group.height;
    while (next < labels.size() && top - heights[next] > bottom - 1e-9) {
      labels[next].height = top - heights[next] / 2;
      top -= heights[next];
      ++next;
    }
  }
}

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
#include "experiments/characterisation/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pcmlab {

Moments moments(std::span<const double> values) {
  if (values.empty()) return {};
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() == 1) return {mean, 0};
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return {mean, std::sqrt(sum / (n - 1))};
}

double quantile(std::vector<double>& values, double share) {
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

double median(std::vector<double> values) { return quantile(values, 0.5); }

double midmean(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t quarter = values.size() / 4;
  return moments(std::span(values).subspan(quarter, values.size() - 2 * quarter)).mean;
}

Line fit_line(std::span<const double> x, std::span<const double> y) {
  const auto n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xx = 0, xy = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
  }
  Line line;
  line.slope = xy / xx;
  line.intercept = mean_y - line.slope * mean_x;
  if (x.size() > 2) {
    line.slope_error = std::sqrt(std::max(0.0, yy - line.slope * xy) / (n - 2) / xx);
  }
  return line;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Moments, quantiles and straight lines of measured values. Pure functions.
#pragma once

#include <span>
#include <vector>

namespace pcmlab {

struct Moments {
  double mean = 0;
  double deviation = 0;  ///< standard deviation, of the sample
};

/// Zeros for no values; deviation 0 for one.
Moments moments(std::span<const double> values);

/// The value below which `share` of the values lie. Reorders them. \pre not empty.
double quantile(std::vector<double>& values, double share);
double median(std::vector<double> values);
/// Mean of the middle half: as deaf to outliers as the median, and no coarser than the values'
/// steps. \pre not empty.
double midmean(std::vector<double> values);

/// Least-squares line y = intercept + slope x. \pre two different x.
struct Line {
  double slope = 0;
  double intercept = 0;
  double slope_error = 0;  ///< standard error; 0 with two points
};
Line fit_line(std::span<const double> x, std::span<const double> y);

}  // namespace pcmlab

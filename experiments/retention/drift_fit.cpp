// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/drift_fit.h"

#include <algorithm>
#include <cmath>

namespace pcmlab {

std::optional<DriftFit> fit_drift(std::span<const double> age_s, std::span<const double> g_uS) {
  constexpr std::size_t kFewestPoints = 6;
  constexpr double kShortestSpan = 2.0;  // decades
  std::size_t n = 0;
  double sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0, sum_yy = 0;
  double first = INFINITY, last = -INFINITY;
  for (std::size_t i = 0; i < age_s.size(); ++i) {
    if (g_uS[i] <= 0 || age_s[i] <= 0) continue;
    const double x = std::log(age_s[i]);
    const double y = std::log(g_uS[i]);
    ++n;
    sum_x += x;
    sum_y += y;
    sum_xx += x * x;
    sum_xy += x * y;
    sum_yy += y * y;
    first = std::min(first, x);
    last = std::max(last, x);
  }
  if (n < kFewestPoints || (last - first) / std::log(10.0) < kShortestSpan) return std::nullopt;
  const auto count = static_cast<double>(n);
  const double var_x = sum_xx - sum_x * sum_x / count;
  const double cov = sum_xy - sum_x * sum_y / count;
  const double var_y = sum_yy - sum_y * sum_y / count;
  const double slope = cov / var_x;
  const double residual = std::max(0.0, var_y - slope * cov);
  DriftFit fit;
  fit.exponent = -slope;
  fit.exponent_error = std::sqrt(residual / (count - 2) / var_x);
  fit.g_at_1s_uS = std::exp((sum_y - slope * sum_x) / count);
  return fit;
}

}  // namespace pcmlab

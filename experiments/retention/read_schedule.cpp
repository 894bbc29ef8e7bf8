// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/read_schedule.h"

#include <algorithm>
#include <cmath>

namespace pcmlab {

std::vector<double> spaced_s(double first_s, double last_s, int count, Spacing spacing) {
  std::vector<double> times_s{first_s};
  for (int i = 1; i < count; ++i) {
    const double part = static_cast<double>(i) / static_cast<double>(count - 1);
    if (i == count - 1) {
      times_s.push_back(last_s);
    } else if (spacing == Spacing::Log) {
      times_s.push_back(first_s * std::pow(last_s / first_s, part));
    } else {
      times_s.push_back(first_s + (last_s - first_s) * part);
    }
  }
  return times_s;
}

std::vector<double> time_points_s(std::vector<double> times_s, double first_s, double last_s,
                                  int count, Spacing spacing) {
  if (times_s.empty()) times_s = spaced_s(first_s, last_s, count, spacing);
  std::sort(times_s.begin(), times_s.end());
  return times_s;
}

}  // namespace pcmlab

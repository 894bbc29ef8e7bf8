// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/read_schedule.h"

#include <cmath>

namespace pcmlab {

std::vector<double> log_spaced_s(double first_s, double last_s, int count) {
  std::vector<double> times_s{first_s};
  for (int i = 1; i < count; ++i) {
    times_s.push_back(
        i == count - 1 ? last_s
                       : first_s * std::pow(last_s / first_s, static_cast<double>(i) /
                                                                  static_cast<double>(count - 1)));
  }
  return times_s;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/global_drift_compensation.h"

namespace pcmlab {

std::vector<float> drift_factors(std::span<const double> now_uS,
                                 std::span<const double> reference_uS) {
  std::vector<float> factors;
  factors.reserve(now_uS.size());
  for (std::size_t l = 0; l < now_uS.size(); ++l) {
    const bool usable = reference_uS[l] > 0 && now_uS[l] > 0;
    factors.push_back(usable ? static_cast<float>(now_uS[l] / reference_uS[l]) : 1.0f);
  }
  return factors;
}

}  // namespace pcmlab

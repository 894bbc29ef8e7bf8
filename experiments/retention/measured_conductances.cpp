// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/measured_conductances.h"

#include <algorithm>

namespace pcmlab {

std::vector<float> conductances_uS(std::span<const std::uint16_t> code_sums,
                                   const Calibration& calibration, int samples) {
  std::vector<float> g_uS(code_sums.size());
  const auto gain = static_cast<float>(calibration.gain_uS_per_code / samples);
  const auto offset = static_cast<float>(calibration.offset_uS);
  std::transform(code_sums.begin(), code_sums.end(), g_uS.begin(), [=](std::uint16_t code_sum) {
    return gain * static_cast<float>(code_sum) + offset;
  });
  return g_uS;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Raw ADC codes as conductances. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "driver/board.h"

namespace pcmlab {

/// \param code_sums  by device, each the sum of `samples` ADC codes. \return uS by device.
std::vector<float> conductances_uS(std::span<const std::uint16_t> code_sums,
                                   const Calibration& calibration, int samples);

}  // namespace pcmlab

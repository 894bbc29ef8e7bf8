// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include "protocol/quantities.h"
namespace pcmlab::mock {
struct PcmParameters {
  double sample_time_ns = 1000;
  double adc_step_uS = 0.2;
  std::array<double, 4> references_uS{2.0, 10.0, 25.0, 45.0};
};
}  // namespace pcmlab::mock

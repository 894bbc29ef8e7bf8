// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "experiments/programming/program_settings.h"

namespace pcmlab {

/// Program-and-verify with the constants of Joshi et al. (2020).
inline ProgramSettings paper_settings() {
  ProgramSettings s;
  s.reset_amplitude = Current::from_uA(450);
  s.reset_width = Duration(50);
  for (const double amplitude_uA : {160, 140, 120, 100, 80, 60}) {
    s.staircase.push_back(Current::from_uA(amplitude_uA));
  }
  s.staircase_width = Duration(1000);
  s.tolerance_uS = 0.25;
  s.gain_uA_per_uS = 1.5;
  s.start_amplitude = s.min_amplitude = Current::from_uA(80);
  s.max_amplitude = Current::from_uA(400);
  s.pulse_width = Duration(400);
  s.max_iterations = 55;
  s.give_up_after = 10;
  s.verify_delay = std::chrono::seconds(10);
  return s;
}

}  // namespace pcmlab

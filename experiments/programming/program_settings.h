// SPDX-License-Identifier: Apache-2.0
/// \file
/// The constants of program-and-verify, and how a plan names them. Plain values.
#pragma once

#include <cstddef>
#include <vector>

#include "driver/board.h"
#include "experiments/engine/parameter.h"
#include "protocol/quantities.h"

namespace pcmlab {

/// The paper's program-and-verify loop; every constant is a plan's parameter.
struct ProgramSettings {
  // Initialisation
  Current reset_amplitude;
  Duration reset_width{};
  std::vector<Current> staircase;
  Duration staircase_width{};
  // Loop
  double tolerance_uS = 0;
  double gain_uA_per_uS = 0;  ///< amplitude change for each uS above the target
  Current start_amplitude, min_amplitude, max_amplitude;
  Duration pulse_width{};
  int max_iterations = 0;
  int give_up_after = 0;  ///< verifies at an amplitude limit without converging; 0 = never
  ReadSettings read;
  Duration verify_delay{};        ///< at least so long after its pulse is a device read
  Duration aim_age{};             ///< a device is to hold its target when so old; 0 = when verified
  double aim_drift_exponent = 0;  ///< expected between the verify and then
  std::size_t block_devices = 0;  ///< programmed to the end before the next; 0 = the whole array
};

/// The parameters of a plan that make up ProgramSettings, with the paper's loop as defaults.
/// Tags: [P] primary text, [S] secondary summary, [M] remembered, [E] our own choice, [C] computed.
std::vector<Parameter> program_parameters();

/// \param values  of a table that has at least program_parameters().
ProgramSettings program_settings(const ParameterValues& values);

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Devices programmed to one conductance, and what becomes of them: spread, drift, retention.
#pragma once

#include <span>
#include <vector>

#include "experiments/characterisation/bench.h"
#include "experiments/programming/program_and_verify.h"
#include "protocol/error.h"
#include "protocol/quantities.h"

namespace pcmlab {

/// The converged devices of a level, read when each was so old.
struct AgedReads {
  double wanted_age_s = 0;
  std::vector<double> age_s;  ///< since the device's last pulse, by converged device
  std::vector<double> g_uS;   ///< by converged device
};

struct Level {
  double target_uS = 0;
  std::size_t devices = 0;
  std::vector<DeviceAddress> converged;  ///< in the order of the reads
  std::vector<double> iterations;        ///< by converged device
  std::vector<AgedReads> reads;          ///< by age
};

struct LevelSettings {
  ProgramSettings program;
  std::vector<double> ages_s;  ///< each at least the verify delay, rising
};

/// Program-and-verify on a bench. Errors: those of the board.
Result<ProgramOutcome> program_placement(CharacterisationBench& bench,
                                         const db::Placement& placement,
                                         const ProgramSettings& settings,
                                         const ProgramProgress& progress);

/// Programs the devices to the target with program-and-verify, and reads every converged device at
/// the ages asked for, counted from its own last pulse. A read is late by a pass of the loop at
/// most, and says so in `age_s`. Errors: those of the board.
Result<Level> measure_level(CharacterisationBench& bench, std::span<const DeviceAddress> addresses,
                            Conductance target, const LevelSettings& settings);

}  // namespace pcmlab

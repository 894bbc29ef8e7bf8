// SPDX-License-Identifier: Apache-2.0
/// \file
/// What single pulses do to devices: accumulation of partial SETs, and conductance against
/// amplitude. Free functions on a bench.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "experiments/characterisation/bench.h"
#include "experiments/characterisation/statistics.h"

namespace pcmlab {

/// How pulses are given: from a RESET, and each read so long after it.
struct PulseResponseSettings {
  Pulse reset{Current::from_uA(450), Duration(50)};
  Duration settle = std::chrono::seconds(20);
};

/// Those of the devices that can be RESET (below a twentieth of `high`) and SET (above half of it,
/// after a RESET and a staircase down through the melt onset): a stuck device answers no pulse.
Result<std::vector<DeviceAddress>> working_devices(CharacterisationBench& bench,
                                                   std::span<const DeviceAddress> addresses,
                                                   std::span<const Pulse> staircase,
                                                   Conductance high,
                                                   const PulseResponseSettings& settings = {});

/// Conductance of the devices after the 1st, 2nd .. nth of equal pulses on a RESET device, uS.
Result<std::vector<Moments>> accumulation_curve(CharacterisationBench& bench,
                                                std::span<const DeviceAddress> addresses,
                                                const Pulse& pulse, int pulses,
                                                const PulseResponseSettings& settings = {});

/// Conductance after one pulse of each amplitude, each on devices that were RESET before, uS.
Result<std::vector<Moments>> programming_curve(CharacterisationBench& bench,
                                               std::span<const DeviceAddress> addresses,
                                               std::span<const double> amplitudes_uA,
                                               Duration width,
                                               const PulseResponseSettings& settings = {});

}  // namespace pcmlab

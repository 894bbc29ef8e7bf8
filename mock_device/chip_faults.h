// SPDX-License-Identifier: Apache-2.0
/// \file
/// Faults of a chip and its ADC that somebody has planned, beyond the yield that the model draws.
/// Plain values.
#pragma once

#include <cstdint>
#include <vector>

#include "protocol/device_address.h"

namespace pcmlab::mock {

struct ChipFaults {
  // Devices. Fractions are drawn from `seed`, so the same plan breaks the same devices.
  std::uint64_t seed = 1;
  std::vector<DeviceAddress> stuck_low;   ///< stay at RESET whatever the pulse
  std::vector<DeviceAddress> stuck_high;  ///< stay crystalline
  double stuck_low_fraction = 0;
  double stuck_high_fraction = 0;
  // Lines that are open: their devices read 0 and no pulse arrives.
  std::vector<WordLine> dead_word_lines;
  std::vector<BitLine> dead_bit_lines;
  // ADC
  std::uint8_t adc_bits_stuck_at_1 = 0;  ///< mask of the code's bits
  std::uint8_t adc_bits_stuck_at_0 = 0;
  double reference_error = 0;          ///< of the ADC's reference, relative: codes are so much high
  double reference_drift_per_day = 0;  ///< added to it for each day of chip time

  bool operator==(const ChipFaults&) const = default;
};

}  // namespace pcmlab::mock

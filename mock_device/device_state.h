// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a PcmChip keeps of each device. Owned by the chip; its threads work on devices apart.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "mock_device/pcm_physics.h"

namespace pcmlab::mock {

enum class Fault : std::uint8_t { None, LimitedRange, StuckLow, StuckHigh, Open };

inline bool ignores_pulses(Fault fault) { return fault > Fault::LimitedRange; }

// Small deviations are kept in 16 bits.
constexpr double kDeviationStep = 1.0 / 8192.0;
inline std::int16_t store_deviation(double deviation) {
  return static_cast<std::int16_t>(
      std::clamp(std::lround(deviation / kDeviationStep), -32767L, 32767L));
}
inline float load_deviation(std::int16_t stored) {
  return static_cast<float>(stored) * static_cast<float>(kDeviationStep);
}

/// State of all devices, struct of arrays by linear index.
struct DeviceState {
  explicit DeviceState(std::size_t count)
      : set_uS(count),
        reset_uS(count),
        melt_onset(count),
        melt_full(count),
        conductance_uS(count),
        drift_exponent(count),
        pulsed_ns(count),
        noise_ns(count),
        counter(count),
        pulses(count),
        melts(count),
        set_steps(count),
        fault(count) {
    for (auto& term : noise) term.resize(count);
  }

  std::vector<std::int16_t> set_uS, reset_uS;       // logarithm of the ratio to the mean
  std::vector<std::int16_t> melt_onset, melt_full;  // relative deviation from the mean
  std::vector<float> conductance_uS, drift_exponent;
  std::array<std::vector<float>, kNoiseTerms> noise;
  std::vector<std::int64_t> pulsed_ns;  // when the last pulse was over
  std::vector<std::int64_t> noise_ns;   // when the noise was last brought up to date
  std::vector<std::uint32_t> counter, pulses, melts;
  std::vector<std::uint8_t> set_steps;
  std::vector<Fault> fault;
};

constexpr std::size_t kBytesPerDevice = 4 * sizeof(std::int16_t) + 2 * sizeof(float) +
                                        kNoiseTerms * sizeof(float) + 2 * sizeof(std::int64_t) +
                                        3 * sizeof(std::uint32_t) + 2;

}  // namespace pcmlab::mock

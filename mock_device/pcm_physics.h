// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a pulse and a read do to PCM devices, kLanes of them at a time. The model stands in
/// pcm_parameters.h. Pure functions on their arguments.
#pragma once

#include <array>
#include <cstdint>

#include "mock_device/lanes.h"
#include "mock_device/pcm_parameters.h"

namespace pcmlab::mock {

/// One Ornstein-Uhlenbeck term of the 1/f noise per decade, 1 us .. 1e6 s.
constexpr std::size_t kNoiseTerms = 13;

/// The model's constants as the kernels want them.
struct PhysicsConstants {
  explicit PhysicsConstants(const PcmParameters& parameters);

  PcmParameters parameters;
  std::array<float, kNoiseTerms> rate_per_s;  ///< 1 / correlation time
  std::array<float, kNoiseTerms> weight;      ///< standard deviation of the term, in units of Q_s
};

/// State and circumstances of the devices in a kernel; unused lanes hold harmless values.
struct DeviceLanes {
  LaneArray<std::uint32_t> key_a, key_b;
  LaneArray<std::uint32_t> counter;  ///< next random draw of the device
  // What a device is
  LaneFloat set_uS, reset_uS, melt_onset_uA, melt_full_uA;
  // What has been done to it
  LaneFloat state;      ///< x, 0 crystalline .. 1 amorphous
  LaneFloat set_steps;  ///< crystallising steps since the last melt
  LaneFloat drift_exponent;
  std::array<LaneFloat, kNoiseTerms> noise;  ///< unit variance each, once grown
  // When
  LaneFloat age_s;    ///< since the last pulse
  LaneFloat since_s;  ///< since the noise was last brought up to date
};

/// What a conductance goes through on its way to a code, common to all devices of a call.
struct ReadCircuit {
  float gain = 1.0f;  ///< of the ADC, relative to its nominal step
  std::uint8_t bits_stuck_at_1 = 0, bits_stuck_at_0 = 0;  ///< of the code
};

/// One pulse of each lane's amplitude; lanes with amplitude 0 are computed and must be discarded by
/// the caller. Draws, state, drift exponent and noise are those after the pulse.
void apply_pulse(const PhysicsConstants& constants, const LaneFloat& amplitude_uA, float width_ns,
                 DeviceLanes& lanes);

/// A burst of consecutive samples of each lane; sums of ADC codes.
void read_burst(const PhysicsConstants& constants, const ReadCircuit& circuit, int samples,
                DeviceLanes& lanes, LaneArray<std::uint32_t>& code_sums);

}  // namespace pcmlab::mock

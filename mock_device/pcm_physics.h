// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a pulse and a read do to PCM devices, kLanes of them at a time. The model stands in
/// pcm_parameters.h. Pure functions on their arguments.
#pragma once

#include <array>
#include <cstdint>

#include "mock_device/chip_model.h"
#include "mock_device/lanes.h"

namespace pcmlab::mock {

/// One Ornstein-Uhlenbeck term of the 1/f noise per decade, 1 us .. 1e6 s.
constexpr std::size_t kNoiseTerms = 13;

/// A function of a positive quantity as the kernels look it up: linear in log2 of it, 16 points an
/// octave, constant beyond its ends.
class LogCurve {
 public:
  static constexpr int kLowestOctave = -8;
  static constexpr int kOctaves = 18;
  static constexpr int kPointsPerOctave = 16;

  /// \param function  double(double)
  template <class Function>
  void fill(Function function) {
    for (std::size_t i = 0; i < points_.size(); ++i) {
      points_[i] = static_cast<float>(
          function(std::exp2(kLowestOctave + static_cast<double>(i) / kPointsPerOctave)));
    }
  }

  /// Looks up every lane. \param log2_x  of the argument.
  [[gnu::always_inline]] inline void look_up(const LaneFloat& log2_x, LaneFloat& result) const {
    constexpr auto kLast = static_cast<float>(kOctaves * kPointsPerOctave) - 0.001f;
    const float* __restrict points = points_.data();
    LaneArray<std::int32_t> below;
    LaneFloat part;
    for (std::size_t i = 0; i < kLanes; ++i) {
      float place =
          (log2_x[i] - static_cast<float>(kLowestOctave)) * static_cast<float>(kPointsPerOctave);
      place = place < 0.0f ? 0.0f : (place > kLast ? kLast : place);
      below[i] = static_cast<std::int32_t>(place);
      part[i] = place - static_cast<float>(below[i]);
    }
    LaneFloat low, high;
    for (std::size_t i = 0; i < kLanes; ++i) low[i] = points[below[i]];
    for (std::size_t i = 0; i < kLanes; ++i) high[i] = points[below[i] + 1];
    for (std::size_t i = 0; i < kLanes; ++i) result[i] = low[i] + part[i] * (high[i] - low[i]);
  }

 private:
  std::array<float, kOctaves * kPointsPerOctave + 1> points_{};
};

/// A chip's constants and tables as the kernels want them.
struct Physics {
  explicit Physics(const ChipModel& model);

  PcmParameters parameters;
  LogCurve drift_mean, drift_spread;  ///< exponent, against uS
  LogCurve noise;                     ///< Q_s, against uS
  LogCurve set_mean, set_spread;      ///< uS a step without memory, against uS
  LogCurve melted;                    ///< amorphous state, against (I^2 - I_m^2) / (I_f^2 - I_m^2)
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
  LaneFloat conductance_uS;  ///< G0
  LaneFloat set_steps;       ///< crystallising steps since the last melt
  LaneFloat drift_exponent;
  std::array<LaneFloat, kNoiseTerms> noise;  ///< unit variance each, once grown
  LaneArray<std::uint32_t> melts;            ///< melting pulses so far
  // When and where it is read
  LaneFloat age_s;           ///< since the last pulse
  LaneFloat since_s;         ///< since the noise was last brought up to date
  LaneFloat thermal_per_eV;  ///< (1/T - 1/T0) / k
  LaneFloat offset_lsb;      ///< of its bit line
};

/// How a burst is read, common to all devices of a call.
struct ReadCircuit {
  int samples = 1;
  float gain = 1.0f;  ///< of the ADC, relative to its nominal step
  std::uint8_t bits_stuck_at_1 = 0, bits_stuck_at_0 = 0;  ///< of the code
  float disturb_per_sample = 0;  ///< part of the plug that each sample crystallises
  bool thermal = false;          ///< whether thermal_per_eV is to be looked at
};

/// One pulse of each lane's amplitude; lanes with amplitude 0 are computed and must be discarded by
/// the caller. Draws, conductance, drift exponent, melts and noise are those after the pulse.
void apply_pulse(const Physics& physics, const LaneFloat& amplitude_uA, float width_ns,
                 DeviceLanes& lanes);

/// A burst of consecutive samples of each lane; sums of ADC codes. Changes the noise, and the
/// conductance where the circuit disturbs.
void read_burst(const Physics& physics, const ReadCircuit& circuit, DeviceLanes& lanes,
                LaneArray<std::uint32_t>& code_sums);

}  // namespace pcmlab::mock

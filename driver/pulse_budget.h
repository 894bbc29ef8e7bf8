// SPDX-License-Identifier: Apache-2.0
/// \file
/// What devices may bear and what they have borne: pulses of this connection against the board's
/// limit, and pulses and heat over the life of the chip. For one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/device_address.h"
#include "protocol/error.h"
#include "protocol/quantities.h"

namespace pcmlab {

/// What devices have borne in the life of their chip, and may at most. "Heat" is the square of the
/// current, summed over the time of the pulses (A^2 s): times the resistance of a device while it
/// is molten it is the energy that the pulses put into it.
struct ChipLife {
  std::uint64_t max_pulses = 0;       ///< of a device; 0 = no limit
  double max_heat_A2s = 0;            ///< of a device; 0 = no limit
  std::vector<std::uint32_t> pulses;  ///< by linear address; none: of a new chip
  std::vector<double> heat_A2s;       ///< likewise
};

/// The heat of one pulse, A^2 s.
constexpr double pulse_heat(Current amplitude, Duration width) {
  const double amplitude_A = amplitude.uA() * 1e-6;
  return amplitude_A * amplitude_A * seconds(width);
}

/// The pulses of one call.
struct PulsesAsked {
  std::string_view what;  ///< for messages: "program"
  std::span<const DeviceAddress> addresses;
  std::span<const std::uint16_t> amplitudes_10nA;  ///< by address, 0 = none; empty: `each` for all
  Duration width{};                                ///< of those with an amplitude
  std::uint32_t each = 0;                          ///< pulses of a device that gets any
  double heat_each_A2s = 0;                        ///< without amplitudes

  /// The same without those that were sent.
  PulsesAsked behind(std::size_t sent) const;
};

class PulseBudget {
 public:
  /// \param max_pulses  of a device in this connection; 0 = no limit. What was counted stays.
  void limit(ArrayShape shape, std::uint64_t max_pulses);
  /// \pre its lists are empty or as long as the array
  void set_life(ArrayShape shape, ChipLife life);

  /// Counts them. Errors: LimitExceeded, naming a device; then nothing is counted.
  Result<void> take(const PulsesAsked& pulses);
  void give_back(const PulsesAsked& pulses);

 private:
  bool counts() const { return max_pulses_ > 0 || life_.max_pulses > 0 || life_.max_heat_A2s > 0; }
  Result<void> take(const PulsesAsked& pulses, std::size_t i);
  void give_back(const PulsesAsked& pulses, std::size_t end);
  double heat_of(const PulsesAsked& pulses, std::size_t i) const;

  ArrayShape shape_;
  std::uint64_t max_pulses_ = 0;
  ChipLife life_;
  std::vector<std::uint32_t> sent_;    ///< by linear address, in this connection
  std::vector<double> heat_sent_A2s_;  ///< likewise, while there is a limit
};

}  // namespace pcmlab

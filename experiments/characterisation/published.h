// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the literature says of a kind of chip, to hold measurements against. Plain values and pure
/// functions; conductances in uS.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pcmlab {

struct PublishedChip {
  std::string name;    ///< as the mock's preset
  std::string source;  ///< texts
  double g_max_uS = 0;
  double reference_age_s = 0;    ///< t_c of drift
  double spread_age_s = 0;       ///< age at which `spread_uS` holds
  double verify_delay_s = 0;     ///< with which levels are programmed here
  double noise_exponent = 0;     ///< beta of S = Q / f^beta
  double read_time_s = 0;        ///< t_r
  double median_spread_uS = 0;   ///< over all levels; 0 = not published
  double highest_spread_uS = 0;  ///< at any level; 0 = not published
  double converged_share = 0;    ///< of non-zero targets within 55 iterations; 0 = not published
  /// After program-and-verify; empty where it is not that of the paper's loop.
  std::function<double(double g_uS)> spread_uS;
  std::function<double(double g_uS)> drift_mean;    ///< mean drift exponent
  std::function<double(double g_uS)> drift_spread;  ///< its standard deviation
  std::function<double(double g_uS)> noise;         ///< Q_s

  /// Read noise accumulated since the last pulse, relative to the conductance.
  double relative_noise(double g_uS, double age_s) const;
  /// Mean of G(t) / G(reference age).
  double retention(double g_uS, double age_s) const;
};

/// Joshi 2020, HERMES with two devices a polarity, HERMES with one.
std::span<const PublishedChip> published_chips();
const PublishedChip* find_published(std::string_view name);

/// Partial SET after a RESET, 90 uA for 50 ns (Nandakumar 2018): mean and deviation after so many
/// pulses, as computed from the published rule.
struct PublishedAccumulation {
  int pulses;
  double mean_uS;
  double deviation_uS;
};
constexpr std::array<PublishedAccumulation, 4> kPublishedAccumulation{
    {{1, 2.05, 1.52}, {4, 5.28, 2.32}, {10, 7.84, 2.49}, {20, 9.38, 2.69}}};

}  // namespace pcmlab

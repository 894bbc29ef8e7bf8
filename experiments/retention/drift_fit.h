// SPDX-License-Identifier: Apache-2.0
/// \file
/// Drift exponents from conductances read over time, of one device or of a whole chip. Pure
/// functions; fit_drifts() has threads of its own while it computes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "db/records.h"
#include "driver/board.h"

namespace pcmlab {

/// Conductances of fits are those at this time after the last pulse (the t_c of the literature).
constexpr double kDriftTime0_s = 20;

/// G(t) = g_t0 (t / kDriftTime0_s)^-exponent: the log-log regression weighted by 1 / sigma_read^2,
/// as the power law closest to the readings. Taking logarithms of single noisy readings would make
/// the exponents of low conductances too large (their mean logarithm is too low, and what reads
/// zero has none); this regresses on the law's own logarithm instead (iteratively, deviations
/// relative to the law), which zeros and negative readings enter as they are. sigma_read is the
/// ADC's step and the 1/f noise of Nandakumar et al., ICECS 2019, whose common scale cancels: the
/// standard error is that of the deviations found, times noise_inflation() as far as 1/f noise is
/// their cause.
struct DriftFit {
  double exponent = 0;
  double exponent_error = 0;  ///< standard error
  double g_t0_uS = 0;
};

/// What an exponent needs at least.
constexpr std::size_t kFewestDriftPoints = 6;
constexpr double kShortestDriftSpan = 100;  ///< oldest over youngest reading
/// A device whose exponent is known no better is noisy: the exponents themselves are about that.
constexpr double kNoisyExponentError = 0.05;

/// How many times larger the error of an exponent is than readings of independent noise would make
/// it, at these ages: 1/f^1.21 noise (V. Joshi et al.) is much the same from one reading to the
/// next, which looks like drift. 1 with fewer than three.
double noise_inflation(std::span<const double> age_s);

/// \param age_s  time since the device's own last pulse, one per conductance; more than 0.
/// \param inflation  noise_inflation() of the ages; 1: noise that is independent at every reading.
/// \return nothing with fewer than 6 points or less than 2 decades of time.
std::optional<DriftFit> fit_drift(std::span<const double> age_s, std::span<const double> g_uS,
                                  double inflation = 1);

/// Devices first_device .. first_device + device_count - 1 were read one after another.
struct ReadTimes {
  std::int64_t first_device = 0;
  std::int64_t device_count = 0;
  std::int64_t first_tick_ns = 0, last_tick_ns = 0;
};

/// One read of all devices.
struct DriftReading {
  std::vector<std::uint16_t> code_sums;  ///< by device
  Calibration calibration;
  int samples = 1;
  std::int64_t largest_sum = 0;  ///< what a saturated converter gives
  std::vector<ReadTimes> times;  ///< in device order, all devices
};

/// Fits of all devices, split over `threads`; the same for any number of them.
/// \param result  verdicts and last pulses, by device. A device that does not answer pulses, or
/// always reads the same, is stuck; it has no exponent.
db::DriftFits fit_drifts(std::span<const DriftReading> readings,
                         const db::ProgrammingResult& result, std::size_t threads);

}  // namespace pcmlab

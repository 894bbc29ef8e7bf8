// SPDX-License-Identifier: Apache-2.0
/// \file
/// Drift exponents from conductances read over time. Pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace pcmlab {

/// G(t) = G_1s (t / 1 s)^-exponent, by least squares on logarithms. Read noise is nearly a constant
/// fraction of a device's conductance, so that all points of a device weigh the same.
struct DriftFit {
  double exponent = 0;
  double exponent_error = 0;  ///< standard error
  double g_at_1s_uS = 0;
};

/// \param age_s  time since the device's own last pulse, one per conductance.
/// \return nothing with fewer than 6 usable points (g > 0) or less than 2 decades of time.
std::optional<DriftFit> fit_drift(std::span<const double> age_s, std::span<const double> g_uS);

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Read noise over time: its spectrum, and the exponent of S = Q / f^beta. A bench is used by one
/// thread; the rest are pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "experiments/characterisation/bench.h"
#include "experiments/characterisation/statistics.h"

namespace pcmlab {

/// Power spectral density, averaged over devices, by frequency.
struct Spectrum {
  std::vector<double> frequency_Hz;
  std::vector<double> density_per_Hz;  ///< of G / mean(G) - 1
};

/// Reads the devices `reads` times, `every` apart, and averages their spectra.
/// \param reads  even, at least 64; powers of two are fast.
/// Errors: those of the board; Unsupported when one read of all takes longer than `every`.
Result<Spectrum> noise_spectrum(CharacterisationBench& bench,
                                std::span<const DeviceAddress> addresses, Duration every,
                                std::size_t reads);

/// Density of one record, Hann window (P. Welch 1967), one-sided; frequencies 1 .. n/2 - 1 times
/// 1 / (n dt). \pre the length is even.
std::vector<double> power_density(std::span<const double> record, double dt_s);

/// Means over equal steps of log frequency: what a straight line may be fitted to.
Spectrum averaged_by_octave(const Spectrum& spectrum);

/// beta of 1 / f^beta, by least squares on logarithms, from the octaves that hold at least four
/// frequencies up to a 32nd of the highest.
Line fit_spectrum(const Spectrum& spectrum);

}  // namespace pcmlab

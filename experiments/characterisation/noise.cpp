// SPDX-License-Identifier: Apache-2.0
#include "experiments/characterisation/noise.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <kissfft/kissfft.hh>
#include <numbers>
#include <numeric>

namespace pcmlab {
std::vector<double> power_density(std::span<const double> record, double dt_s) {
  const std::size_t n = record.size();
  const double mean = std::accumulate(record.begin(), record.end(), 0.0) / static_cast<double>(n);
  std::vector<double> windowed(n);
  double window_power = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double phase = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n);
    const double window = 0.5 - 0.5 * std::cos(phase);
    window_power += window * window;
    windowed[i] = window * (record[i] - mean);
  }
  std::vector<std::complex<double>> spectrum(n / 2);
  kissfft<double> transform(n / 2, false);
  transform.transform_real(windowed.data(), spectrum.data());
  std::vector<double> density(n / 2 - 1);
  for (std::size_t k = 1; k < n / 2; ++k) {
    density[k - 1] = 2 * std::norm(spectrum[k]) * dt_s / window_power;
  }
  return density;
}

Result<Spectrum> noise_spectrum(CharacterisationBench& bench,
                                std::span<const DeviceAddress> addresses, Duration every,
                                std::size_t reads) {
  std::vector<std::vector<double>> records(addresses.size(), std::vector<double>(reads));
  PCM_ASSIGN(const BoardTime begin, bench.clock().now());
  for (std::size_t i = 0; i < reads; ++i) {
    const BoardTime due = begin + every * static_cast<Duration::rep>(i + 1);
    PCM_TRY(bench.wait_until(due));
    PCM_ASSIGN(const auto reading, bench.read(addresses));
    if (reading.last - due > every) {
      return fail(ErrorCode::Unsupported,
                  "a read of " + std::to_string(addresses.size()) +
                      " devices takes longer than the time between two of them",
                  "ask for fewer devices or a longer time");
    }
    for (std::size_t d = 0; d < addresses.size(); ++d) records[d][i] = reading.g_uS[d];
  }

  const double dt_s = seconds(every);
  Spectrum spectrum;
  spectrum.density_per_Hz.assign(reads / 2 - 1, 0.0);
  for (std::size_t k = 1; k < reads / 2; ++k) {
    spectrum.frequency_Hz.push_back(static_cast<double>(k) / (static_cast<double>(reads) * dt_s));
  }
  std::size_t used = 0;
  for (std::vector<double>& record : records) {
    const double mean = moments(record).mean;
    if (mean <= 0) continue;
    for (double& g : record) g /= mean;
    const std::vector<double> density = power_density(record, dt_s);
    for (std::size_t k = 0; k < density.size(); ++k) spectrum.density_per_Hz[k] += density[k];
    ++used;
  }
  for (double& density : spectrum.density_per_Hz) {
    density /= static_cast<double>(std::max<std::size_t>(used, 1));
  }
  return spectrum;
}

Spectrum averaged_by_octave(const Spectrum& spectrum) {
  constexpr std::size_t kFirst = 4;  // below, the window has smeared what there is
  Spectrum octaves;
  for (std::size_t begin = kFirst; 2 * begin <= spectrum.frequency_Hz.size(); begin *= 2) {
    double log_frequency = 0, density = 0;
    for (std::size_t k = begin; k < 2 * begin; ++k) {
      log_frequency += std::log(spectrum.frequency_Hz[k - 1]);
      density += spectrum.density_per_Hz[k - 1];
    }
    const auto count = static_cast<double>(begin);
    octaves.frequency_Hz.push_back(std::exp(log_frequency / count));
    octaves.density_per_Hz.push_back(density / count);
  }
  return octaves;
}

Line fit_spectrum(const Spectrum& spectrum) {
  const Spectrum octaves = averaged_by_octave(spectrum);
  // Noise faster than the reads is folded back and flattens what is above.
  const double highest = spectrum.frequency_Hz.back() / 32;
  std::vector<double> x, y;
  for (std::size_t i = 0; i < octaves.frequency_Hz.size(); ++i) {
    if (octaves.frequency_Hz[i] > highest) continue;
    x.push_back(std::log(octaves.frequency_Hz[i]));
    y.push_back(std::log(octaves.density_per_Hz[i]));
  }
  Line line = fit_line(x, y);
  line.slope = -line.slope;
  return line;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// What devices were measured to do with a conductance that they were programmed to: the file that
/// README.md describes. Immutable, may be shared between threads.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "experiments/network/training/random.h"
#include "protocol/error.h"

namespace pcmlab::training {

/// A quantity against conductance: a polynomial, or points with straight lines between and the
/// outermost values beyond; without either it is zero.
struct ConductanceCurve {
  std::vector<double> at_uS;       ///< rising
  std::vector<double> value;       ///< there
  std::vector<double> polynomial;  ///< coefficients of g_uS^0, g_uS^1, ...

  bool empty() const { return value.empty() && polynomial.empty(); }
  double operator()(double g_uS) const;
};

/// A pair of devices for every weight: one holds G_max |w| / max|w|, the other is in RESET.
class NoiseModel {
 public:
  struct Constants {
    std::string name;
    double g_max_uS = 25;
    double reset_uS = 0;        ///< mean of the device in RESET
    double reset_sigma_uS = 0;  ///< and its spread
    double t0_s = 27.36;        ///< after programming; when `sigma_uS` was measured
    double first_age_s = 27.36, last_age_s = 27.36;  ///< a pass is at an age between, log-uniform
    ConductanceCurve sigma_uS;                       ///< around the target, at t0
    ConductanceCurve drift;                          ///< mean exponent
    ConductanceCurve drift_sd;                       ///< its standard deviation
    ConductanceCurve relative_noise;  ///< of one read, over the conductance; on top of sigma_uS
  };

  explicit NoiseModel(Constants constants);

  const Constants& constants() const { return constants_; }

  /// What a layer's weights are read as. Conductances stay at or above zero. After drift the layer
  /// is divided by the ratio of its summed conductance at that age to that at t0, as global drift
  /// compensation does.
  void apply(std::span<float> weights, Random& random) const;

 private:
  struct AtConductance {
    float sigma_uS = 0, drift = 0, drift_sd = 0, relative_noise = 0;
  };

  Constants constants_;
  std::vector<AtConductance> grid_;  ///< the curves at equal steps from 0 to g_max
};

/// Errors: BadPlan (line, key and what would be right), as of any TOML file of the project.
Result<NoiseModel> parse_noise_model(const std::string& text, const std::string& source);

/// Errors: NotFound, Io, and those of parse_noise_model().
Result<std::string> read_noise_model(const std::filesystem::path& file);

float largest_magnitude(std::span<const float> weights);

}  // namespace pcmlab::training

// SPDX-License-Identifier: Apache-2.0
/// \file
/// The built-in chips.
#include <algorithm>
#include <array>
#include <cmath>

#include "mock_device/chip_model.h"

namespace pcmlab::mock {
namespace {

ChipModel joshi_2020() {
  ChipModel chip;
  chip.name = "joshi-2020";
  chip.summary = "90 nm mushroom cells, 512 x 2048, of Joshi 2020 (noise model: Nandakumar 2019)";
  return chip;
}

/// Clipped logarithm below `edge`, polynomial above it: the form of all of HERMES' fits.
struct Fit {
  double edge;
  double slope, offset, low, high;   // clip(slope ln g + offset, low, high)
  std::array<double, 4> polynomial;  // in g, constant term first

  double operator()(double g) const {
    if (g < edge) return std::clamp(slope * std::log(g) + offset, low, high);
    return polynomial[0] + g * (polynomial[1] + g * (polynomial[2] + g * polynomial[3]));
  }
};

// P: aihwkit, inference/noise/hermes.py (Le Gallo 2023); g = G / G_max.
constexpr Fit kMeanDrift{0.0945, -0.0387, -0.0182, 0.0720, 0.13, {0.0736, -0.0126, -0.0436, 0}};
constexpr Fit kSpreadOfDrift2{0.3055, -0.0117, -0.0057, 0.0091, 0.04, {0.0073, 0.0093, -0.0118, 0}};
constexpr Fit kSpreadOfDrift1{0.3039, -0.0120, -0.0023, 0.0124, 0.04, {0.0104, 0.0116, -0.0165, 0}};
constexpr Fit kNoise2{0.16, -0.0117, -0.0069, 0.015, 0.04, {0.0123, 0.0211, -0.0280, 0.0069}};
constexpr Fit kNoise1{0.1591, -0.0078, 0.0038, 0.0179, 0.04, {0.0088, 0.0768, -0.1352, 0.0664}};

/// The fits at 48 conductances a factor apart, from a thousandth of G_max to beyond it.
ChipModel hermes(double g_max_uS, double t_0_s, const Fit& drift_spread, const Fit& noise) {
  ChipModel chip;
  chip.shape = {256, 256};
  chip.g_max_uS = g_max_uS;
  PcmParameters& p = chip.parameters;
  p.set_conductance_uS = 1.6 * g_max_uS;  // E: the share of the range that the paper's chip uses
  p.drift_reference_time_s = t_0_s;
  p.noise_read_time_s = 512e-9;
  p.noise_exponent = 1.0;  // the published form; the paper's 1.21 is of the other chip
  p.noise_reference_time_s = t_0_s;
  p.reference_conductance_uS = g_max_uS;
  p.adc_step_uS = 2 * p.set_conductance_uS / 256;
  constexpr int kPoints = 48;
  for (int i = 0; i < kPoints; ++i) {
    const double g = 1e-3 * std::pow(1.1e3, static_cast<double>(i) / (kPoints - 1));
    chip.drift.at.push_back(g * g_max_uS);
    chip.drift.mean.push_back(kMeanDrift(g));
    chip.drift.spread.push_back(drift_spread(g));
    chip.noise.at.push_back(g * g_max_uS);
    chip.noise.mean.push_back(noise(g));
  }
  return chip;
}

ChipModel hermes_pair() {
  ChipModel chip = hermes(20.7, 300, kSpreadOfDrift2, kNoise2);
  chip.name = "hermes";
  chip.summary = "HERMES core, 14 nm, 256 x 256, cells of two devices a polarity (Le Gallo 2023)";
  return chip;
}

ChipModel hermes_single() {
  ChipModel chip = hermes(10.35, 200, kSpreadOfDrift1, kNoise1);
  chip.name = "hermes-single";
  chip.summary = "HERMES core, 14 nm, 256 x 256, cells of one device a polarity (Le Gallo 2023)";
  return chip;
}

}  // namespace

std::span<const ChipModel> chip_presets() {
  static const std::array<ChipModel, 3> kPresets{joshi_2020(), hermes_pair(), hermes_single()};
  return kPresets;
}

const ChipModel* find_preset(std::string_view name) {
  const auto presets = chip_presets();
  const auto found = std::find_if(presets.begin(), presets.end(),
                                  [name](const ChipModel& chip) { return chip.name == name; });
  return found == presets.end() ? nullptr : &*found;
}

}  // namespace pcmlab::mock

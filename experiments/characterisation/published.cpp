// SPDX-License-Identifier: Apache-2.0
#include "experiments/characterisation/published.h"

#include <algorithm>
#include <cmath>

namespace pcmlab {
namespace {

PublishedChip joshi_2020() {
  PublishedChip chip;
  chip.name = "joshi-2020";
  chip.source =
      "Joshi 2020 (spread: fit in Sandia's CrossSim), Nandakumar 2019 (drift, noise; aihwkit)";
  chip.g_max_uS = 25;
  chip.reference_age_s = 20;
  chip.spread_age_s = 27.36;
  chip.verify_delay_s = 27.36 / 3;
  chip.noise_exponent = 1.21;
  chip.read_time_s = 250e-9;
  chip.median_spread_uS = 0.94;
  chip.highest_spread_uS = 1.2;
  chip.converged_share = 0.991;
  chip.spread_uS = [](double g) { return -0.00178767 * g * g + 0.07585724 * g + 0.28638599; };
  chip.drift_mean = [](double g) {
    return std::clamp(-0.0155 * std::log(g / 25) + 0.0244, 0.049, 0.1);
  };
  chip.drift_spread = [](double g) {
    return std::clamp(-0.0125 * std::log(g / 25) - 0.0059, 0.008, 0.045);
  };
  chip.noise = [](double g) { return std::min(0.0088 / std::pow(g / 25, 0.65), 0.2); };
  return chip;
}

double polynomial(const std::array<double, 4>& c, double g) {
  return c[0] + g * (c[1] + g * (c[2] + g * c[3]));
}

double hermes_drift_mean(double g) {
  if (g < 0.0945) return std::clamp(-0.0387 * std::log(g) - 0.0182, 0.072, 0.13);
  return polynomial({0.0736, -0.0126, -0.0436, 0}, g);
}

/// Its spread after programming is that of another algorithm, and not limited by read noise.
PublishedChip hermes(std::string name, double g_max_uS, double t_0_s) {
  PublishedChip chip;
  chip.name = std::move(name);
  chip.source = "Le Gallo 2023 (aihwkit, inference/noise/hermes.py)";
  chip.g_max_uS = g_max_uS;
  chip.reference_age_s = chip.spread_age_s = t_0_s;
  chip.verify_delay_s = 10;
  chip.noise_exponent = 1;
  chip.read_time_s = 512e-9;
  chip.drift_mean = [g_max_uS](double g) { return hermes_drift_mean(g / g_max_uS); };
  return chip;
}

PublishedChip hermes_pair() {
  constexpr double kMax = 20.7;
  PublishedChip chip = hermes("hermes", kMax, 300);
  chip.drift_spread = [](double g_uS) {
    const double g = g_uS / kMax;
    if (g < 0.3055) return std::clamp(-0.0117 * std::log(g) - 0.0057, 0.0091, 0.04);
    return polynomial({0.0073, 0.0093, -0.0118, 0}, g);
  };
  chip.noise = [](double g_uS) {
    const double g = g_uS / kMax;
    if (g < 0.16) return std::clamp(-0.0117 * std::log(g) - 0.0069, 0.015, 0.04);
    return polynomial({0.0123, 0.0211, -0.0280, 0.0069}, g);
  };
  return chip;
}

PublishedChip hermes_single() {
  constexpr double kMax = 10.35;
  PublishedChip chip = hermes("hermes-single", kMax, 200);
  chip.drift_spread = [](double g_uS) {
    const double g = g_uS / kMax;
    if (g < 0.3039) return std::clamp(-0.0120 * std::log(g) - 0.0023, 0.0124, 0.04);
    return polynomial({0.0104, 0.0116, -0.0165, 0}, g);
  };
  chip.noise = [](double g_uS) {
    const double g = g_uS / kMax;
    if (g < 0.1591) return std::clamp(-0.0078 * std::log(g) + 0.0038, 0.0179, 0.04);
    return polynomial({0.0088, 0.0768, -0.1352, 0.0664}, g);
  };
  return chip;
}

}  // namespace

double PublishedChip::relative_noise(double g_uS, double age_s) const {
  return noise(g_uS) * std::sqrt(std::log((age_s + read_time_s) / (2 * read_time_s)));
}

double PublishedChip::retention(double g_uS, double age_s) const {
  return std::pow(age_s / reference_age_s, -drift_mean(g_uS));
}

std::span<const PublishedChip> published_chips() {
  static const std::array<PublishedChip, 3> kChips{joshi_2020(), hermes_pair(), hermes_single()};
  return kChips;
}

const PublishedChip* find_published(std::string_view name) {
  const auto chips = published_chips();
  const auto found = std::find_if(chips.begin(), chips.end(),
                                  [name](const PublishedChip& chip) { return chip.name == name; });
  return found == chips.end() ? nullptr : &*found;
}

}  // namespace pcmlab

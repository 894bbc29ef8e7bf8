// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/global_drift_compensation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pcmlab {

std::vector<float> drift_factors(std::span<const double> now_uS,
                                 std::span<const double> reference_uS) {
  std::vector<float> factors;
  factors.reserve(now_uS.size());
  for (std::size_t l = 0; l < now_uS.size(); ++l) {
    const bool usable = reference_uS[l] > 0 && now_uS[l] > 0;
    factors.push_back(usable ? static_cast<float>(now_uS[l] / reference_uS[l]) : 1.0f);
  }
  return factors;
}

GdcDevices::GdcDevices(std::span<const db::LayerRow> layers,
                       std::span<const DeviceAddress> addresses, int every_pair) {
  for (const db::LayerRow& layer : layers) {
    std::vector<std::uint32_t> all(static_cast<std::size_t>(2 * layer.rows * layer.columns));
    std::iota(all.begin(), all.end(), static_cast<std::uint32_t>(2 * layer.first_weight));
    std::vector<std::uint32_t> some;
    std::copy_if(all.begin(), all.end(), std::back_inserter(some), [&](std::uint32_t device) {
      return addresses[device].bit_line.index / 2 % every_pair == 0;
    });
    devices_.push_back(some.empty() ? std::move(all) : std::move(some));
  }
}

std::vector<double> GdcDevices::sums_uS(std::span<const float> g_uS) const {
  std::vector<double> sums;
  for (const std::vector<std::uint32_t>& devices : devices_) {
    sums.push_back(std::accumulate(
        devices.begin(), devices.end(), 0.0,
        [&](double sum, std::uint32_t device) { return sum + static_cast<double>(g_uS[device]); }));
  }
  return sums;
}

std::vector<std::int64_t> GdcDevices::counts() const {
  std::vector<std::int64_t> counts;
  for (const auto& devices : devices_) counts.push_back(static_cast<std::int64_t>(devices.size()));
  return counts;
}

std::vector<float> without_offsets(std::span<const float> measured, std::span<const float> wanted,
                                   std::span<const db::LayerRow> layers,
                                   std::span<const float> factors) {
  std::vector<float> weights(measured.begin(), measured.end());
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const auto columns = static_cast<std::size_t>(layers[l].columns);
    const auto alpha = static_cast<double>(factors[l]);
    for (std::int64_t row = 0; row < layers[l].rows; ++row) {
      const auto first = static_cast<std::size_t>(layers[l].first_weight) +
                         static_cast<std::size_t>(row) * columns;
      double excess = 0;
      for (std::size_t w = first; w < first + columns; ++w) {
        excess += static_cast<double>(measured[w]) - alpha * static_cast<double>(wanted[w]);
      }
      const auto offset = static_cast<float>(excess / static_cast<double>(columns));
      for (std::size_t w = first; w < first + columns; ++w) weights[w] -= offset;
    }
  }
  return weights;
}

WeightError weight_error(std::span<const float> measured, std::span<const float> wanted,
                         double divisor) {
  double errors = 0, squares = 0, largest = 0;
  for (std::size_t w = 0; w < wanted.size(); ++w) {
    const auto weight = static_cast<double>(wanted[w]);
    const double error = static_cast<double>(measured[w]) / divisor - weight;
    errors += error * error;
    squares += weight * weight;
    largest = std::max(largest, std::abs(weight));
  }
  if (largest == 0) return {};
  return {std::sqrt(errors / static_cast<double>(wanted.size())) / largest,
          std::sqrt(errors / squares)};
}

}  // namespace pcmlab

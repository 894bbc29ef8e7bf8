// SPDX-License-Identifier: Apache-2.0
/// \file
/// The chip's temperature over time. Plain values.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "protocol/quantities.h"

namespace pcmlab::mock {

/// Linear between its points, constant before the first and after the last; excursions come on top.
class TemperatureProfile {
 public:
  explicit TemperatureProfile(Temperature constant = Temperature::from_K(300)) {
    add(0, constant.K());
  }

  /// A point, in seconds of chip time; later than the last one added.
  void add(double at_s, double t_K) {
    at_s_.push_back(at_s);
    t_K_.push_back(t_K);
  }

  /// So much warmer from one time until just before another.
  void add_excursion(double from_s, double until_s, double by_K) {
    if (by_K != 0) excursions_.push_back({from_s, until_s, by_K});
  }

  bool is_constant() const {
    return excursions_.empty() &&
           std::all_of(t_K_.begin(), t_K_.end(), [&](double t_K) { return t_K == t_K_.front(); });
  }

  double kelvin_at(double at_s) const {
    double t_K = between_points_K(at_s);
    for (const Excursion& excursion : excursions_) {
      if (at_s >= excursion.from_s && at_s < excursion.until_s) t_K += excursion.by_K;
    }
    return t_K;
  }

 private:
  struct Excursion {
    double from_s, until_s, by_K;
  };

  double between_points_K(double at_s) const {
    const auto next = std::upper_bound(at_s_.begin(), at_s_.end(), at_s);
    if (next == at_s_.begin()) return t_K_.front();
    if (next == at_s_.end()) return t_K_.back();
    const auto i = static_cast<std::size_t>(next - at_s_.begin());
    const double part = (at_s - at_s_[i - 1]) / (at_s_[i] - at_s_[i - 1]);
    return t_K_[i - 1] + part * (t_K_[i] - t_K_[i - 1]);
  }

  std::vector<double> at_s_;
  std::vector<double> t_K_;
  std::vector<Excursion> excursions_;
};

}  // namespace pcmlab::mock

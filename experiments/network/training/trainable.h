// SPDX-License-Identifier: Apache-2.0
/// \file
/// The numbers of a network that training changes, as flat vectors. Immutable, may be shared
/// between threads.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "experiments/network/network.h"

namespace pcmlab::training {

/// Where a network's numbers are in two vectors. `values`: the weights of the analog layers, in the
/// order of weights_of(), then gamma and beta of each batch norm. `statistics`: mean and variance
/// of each batch norm. All in node order.
class Trainable {
 public:
  struct Layer : AnalogLayer {
    bool biased = false;  ///< the last column is a bias
  };
  struct Norm {
    int node = 0;
    std::size_t channels = 0;
    double epsilon = 0;
    std::size_t first_value = 0;      ///< of gamma; beta follows
    std::size_t first_statistic = 0;  ///< of the mean; the variance follows
  };

  explicit Trainable(const Network& network);

  const std::vector<Layer>& layers() const { return layers_; }
  const std::vector<Norm>& norms() const { return norms_; }
  std::size_t analog_count() const { return analog_count_; }
  std::size_t value_count() const { return value_count_; }
  std::size_t statistic_count() const { return statistic_count_; }

  std::vector<float> values(const Network& network) const;
  std::vector<float> statistics(const Network& network) const;
  /// Puts them into a network of the same nodes.
  void store(std::span<const float> values, std::span<const float> statistics,
             Network& network) const;

  /// Gives the batch norms other statistics, and changes gamma and beta so that they compute what
  /// they did. \param to  laid out as `statistics`.
  void exchange_statistics(std::span<float> values, std::span<float> statistics,
                           std::span<const float> to) const;

 private:
  std::vector<Layer> layers_;
  std::vector<Norm> norms_;
  std::size_t analog_count_ = 0;
  std::size_t value_count_ = 0;
  std::size_t statistic_count_ = 0;
};

/// The weights of one layer in a vector of values: rows x columns.
template <class T>
std::span<T> weights_in(std::span<T> values, const AnalogLayer& layer) {
  return values.subspan(static_cast<std::size_t>(layer.first_weight),
                        static_cast<std::size_t>(layer.rows * layer.columns));
}

}  // namespace pcmlab::training

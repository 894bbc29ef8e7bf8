// SPDX-License-Identifier: Apache-2.0
/// \file
/// How weights follow their gradients. Free functions on plain values.
#pragma once

#include <cstdint>
#include <span>

#include "experiments/network/training/trainable.h"

namespace pcmlab::training {

struct OptimizerSettings {
  double momentum = 0.9;
  double weight_decay = 5e-4;  ///< of weights; not of biases and batch norms
};

/// Rises in equal steps during warm-up, then falls as half a cosine to zero.
/// \param step  from 0; \param warm_up_steps, \param steps  of the whole training
double learning_rate_at(std::int64_t step, std::int64_t warm_up_steps, std::int64_t steps,
                        double highest);

/// Stochastic gradient descent with Nesterov momentum, as torch.optim.SGD. \param momentum  one
/// number per value, at first zero. \return whether all values are finite afterwards.
bool descend(const Trainable& trainable, const OptimizerSettings& settings, double learning_rate,
             std::span<const float> gradients, std::span<float> momentum, std::span<float> values);

}  // namespace pcmlab::training

// SPDX-License-Identifier: Apache-2.0
/// \file
/// A network computed node by node in double precision, straight from each operator's definition:
/// what the fast engine is compared with.
#pragma once

#include <span>
#include <vector>

#include "experiments/network/dataset.h"
#include "experiments/network/network.h"

namespace pcmlab::test {

/// Logits of one image, given as [channel][row][column].
std::vector<double> reference_logits(const Network& network, std::span<const float> image);

/// Puts weights into a network, in the order of weights_of().
void replace_weights(Network& network, std::span<const float> values);

/// Random images of a network's input shape, labels from 0 to 9.
Dataset random_images(const Network& network, std::size_t count, unsigned seed = 2);

}  // namespace pcmlab::test

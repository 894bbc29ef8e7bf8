// SPDX-License-Identifier: Apache-2.0
/// \file
/// Networks to train from scratch. Free functions, callable from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/network/network.h"

namespace pcmlab::training {

/// "resnet32": V. Joshi et al. 2020, 16/28/56 channels, 1x1-convolution shortcuts with batch norm,
/// biased last layer; 361,722 weights for 3 channels and 10 classes. "lenet": LeNet-5
/// (LeCun 1998) with ReLU and 2x2 maxima; its two convolutions have no bias. "mlp": two dense
/// layers with `hidden` units between.
std::vector<std::string> topologies();

struct TopologySettings {
  ValueShape input;
  int classes = 10;
  int hidden = 250;  ///< of the MLP; as Nandakumar 2020
};

/// With random weights: convolutions normal with variance 2 / (outputs x kernel) (He 2015), dense
/// layers uniform within 1 / sqrt(inputs); gamma 1, beta 0, mean 0, variance 1.
/// Errors: NotFound (no such topology), BadNetwork (input too small for it).
Result<Network> make_network(const std::string& topology, const TopologySettings& settings,
                             std::uint64_t seed);

}  // namespace pcmlab::training

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Writes a network as ONNX, in the form that onnx_reader.cpp and everybody else reads. Free
/// functions, callable from any thread.
#pragma once

#include <cstddef>
#include <vector>

#include "experiments/network/network.h"

namespace pcmlab {

/// Operator set 13, batch norms kept apart from convolutions, weights inside the file. One input
/// `images` [batch, channels, height, width] and one output `logits`; the network's name and
/// metadata go along. Equal networks give equal bytes. Errors: BadNetwork (no nodes, no output, a
/// node that is none of Conv, BatchNorm, Relu, Add, Pool, GlobalAverage and Dense).
Result<std::vector<std::byte>> to_onnx(const Network& network);

}  // namespace pcmlab

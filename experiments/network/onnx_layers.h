// SPDX-License-Identifier: Apache-2.0
/// \file
/// Single ONNX operators turned into nodes of a Network, from their attributes and constants alone.
/// Internal to the ONNX reader. All fail with BadNetwork, naming the node, where an operator would
/// be computed differently from how it is meant.
#pragma once

#include "experiments/network/network.h"
#include "experiments/network/onnx_constants.h"
#include "experiments/network/onnx_node.h"

namespace pcmlab {

Result<ConvNode> read_conv(const OnnxNode& node, const OnnxConstants& constants);
/// Gemm, and MatMul with a matrix of weights.
Result<DenseNode> read_dense(const OnnxNode& node, const OnnxConstants& constants);
Result<BatchNormNode> read_batch_norm(const OnnxNode& node, const OnnxConstants& constants);
/// MaxPool, AveragePool.
Result<PoolNode> read_pool(const OnnxNode& node);
/// Zeros on the four sides of an image: top, left, bottom, right.
Result<std::array<int, 4>> read_pads(const OnnxNode& node, const OnnxConstants& constants);

/// A function of each number, or several one after another.
bool is_activation(const std::string& op);
Result<std::vector<NodeKind>> read_activation(const OnnxNode& node, const OnnxConstants& constants);

/// x op constant or constant op x, for Add, Sub, Mul and Div, as scale * x + shift.
struct Linear {
  std::vector<float> scale, shift;  ///< one number for all, or one a channel
  bool adds_only = false;           ///< scale is 1
};
/// \param constant  which of the two inputs it is.
/// \param axes      of the value without the batch: 1 (features) or 3 (an image).
Result<Linear> read_linear(const OnnxNode& node, const OnnxConstants& constants, int constant,
                           std::size_t axes);

}  // namespace pcmlab

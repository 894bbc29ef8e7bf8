// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/onnx_layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

namespace pcmlab {
namespace {

using Function = ActivationNode::Function;

/// Products with larger weights leave float32 after a few layers.
constexpr float kLargestWeight = 1e9f;

bool in_range(const Dims& numbers, std::int64_t low) {
  return std::all_of(numbers.begin(), numbers.end(),
                     [low](std::int64_t n) { return n >= low && n <= kMaxExtent; });
}

/// What Conv and pools share. `Window` has kernel, stride, dilation and pads.
template <class Window>
Result<void> read_window(const OnnxNode& node, const Dims& kernel, Window& window) {
  PCM_ASSIGN(const Dims strides, node.list("strides", {1, 1}));
  PCM_ASSIGN(const Dims dilations, node.list("dilations", {1, 1}));
  PCM_ASSIGN(const Dims pads, node.list("pads", {0, 0, 0, 0}));
  const auto* automatic = node.attribute("auto_pad");
  if (automatic != nullptr && automatic->s() != "NOTSET" && automatic->s() != "VALID") {
    return node.bad(fmt::format("auto_pad {} cannot be run", automatic->s()),
                    "Export it with explicit pads.");
  }
  if (!in_range(kernel, 1) || !in_range(strides, 1) || !in_range(dilations, 1) ||
      !in_range(pads, 0)) {
    return node.bad(fmt::format("kernel {}, strides {}, dilations {} or pads {} are out of range",
                                fmt::join(kernel, "x"), fmt::join(strides, "x"),
                                fmt::join(dilations, "x"), fmt::join(pads, ",")));
  }
  window.kernel_h = static_cast<int>(kernel[0]);
  window.kernel_w = static_cast<int>(kernel[1]);
  window.stride_h = static_cast<int>(strides[0]);
  window.stride_w = static_cast<int>(strides[1]);
  window.dilation_h = static_cast<int>(dilations[0]);
  window.dilation_w = static_cast<int>(dilations[1]);
  for (std::size_t side = 0; side < 4; ++side) window.pads[side] = static_cast<int>(pads[side]);
  return {};
}

Result<void> check_size(const OnnxNode& node, const std::vector<float>& numbers,
                        std::string_view what) {
  for (const float number : numbers) {
    if (std::abs(number) <= kLargestWeight) continue;
    return node.bad(fmt::format("its {} reach {:g}", what, number),
                    fmt::format("Beyond {:g} it is no trained network, or its training diverged.",
                                kLargestWeight));
  }
  return {};
}

}  // namespace

Result<ConvNode> read_conv(const OnnxNode& node, const OnnxConstants& constants) {
  PCM_ASSIGN(const Dims dims, constants.dims(node, 1));
  if (dims.size() != 4) return node.bad("only two-dimensional convolutions can be run");
  PCM_ASSIGN(const Dims kernel, node.list("kernel_shape", {dims[2], dims[3]}));
  if (kernel != Dims{dims[2], dims[3]}) {
    return node.bad(fmt::format("kernel_shape {} does not fit its weights, {}",
                                fmt::join(kernel, "x"), fmt::join(dims, "x")));
  }
  ConvNode conv;
  PCM_TRY(read_window(node, kernel, conv));
  const std::int64_t groups = node.integer("group", 1);
  if (groups < 1 || groups > kMaxExtent || dims[0] % groups != 0 || dims[1] * groups > kMaxExtent) {
    return node.bad(
        fmt::format("{} groups do not divide its weights, {}", groups, fmt::join(dims, "x")));
  }
  conv.out_channels = static_cast<int>(dims[0]);
  conv.in_channels = static_cast<int>(dims[1] * groups);
  conv.groups = static_cast<int>(groups);
  PCM_ASSIGN(conv.weights, constants.floats(node, 1, "weights"));
  PCM_TRY(check_size(node, conv.weights, "weights"));
  if (node.has_input(2)) {
    PCM_ASSIGN(conv.bias, constants.vector(node, 2, "bias", dims[0]));
    PCM_TRY(check_size(node, conv.bias, "biases"));
  }
  return conv;
}

Result<DenseNode> read_dense(const OnnxNode& node, const OnnxConstants& constants) {
  if (node.op() == "Gemm" && (node.real("alpha", 1) != 1.0f || node.real("beta", 1) != 1.0f ||
                              node.integer("transA", 0) != 0)) {
    return node.bad("only alpha = beta = 1 and transA = 0 can be run");
  }
  PCM_ASSIGN(const Dims dims, constants.dims(node, 1));
  if (dims.size() != 2) return node.bad("its weights are not a matrix");
  PCM_ASSIGN(std::vector<float> weights, constants.floats(node, 1, "weights"));
  PCM_TRY(check_size(node, weights, "weights"));
  const bool out_by_in = node.op() == "Gemm" && node.integer("transB", 0) != 0;
  DenseNode dense;
  dense.out_features = static_cast<int>(out_by_in ? dims[0] : dims[1]);
  dense.in_features = static_cast<int>(out_by_in ? dims[1] : dims[0]);
  if (out_by_in) {
    dense.weights = std::move(weights);
  } else {
    const auto outs = static_cast<std::size_t>(dense.out_features);
    const auto ins = static_cast<std::size_t>(dense.in_features);
    dense.weights.resize(weights.size());
    for (std::size_t out = 0; out < outs; ++out) {
      for (std::size_t in = 0; in < ins; ++in) {
        dense.weights[out * ins + in] = weights[in * outs + out];
      }
    }
  }
  if (node.op() == "Gemm" && node.has_input(2)) {
    PCM_ASSIGN(dense.bias, constants.vector(node, 2, "bias", dense.out_features));
    PCM_TRY(check_size(node, dense.bias, "biases"));
  }
  return dense;
}

Result<BatchNormNode> read_batch_norm(const OnnxNode& node, const OnnxConstants& constants) {
  if (node.integer("training_mode", 0) != 0) {
    return node.bad("it is in training mode", "Export the network in evaluation mode.");
  }
  PCM_ASSIGN(const Dims dims, constants.dims(node, 1));
  if (dims.size() != 1) return node.bad("its scale is not one number a channel");
  BatchNormNode norm;
  norm.epsilon = node.real("epsilon", 1e-5f);
  PCM_ASSIGN(norm.gamma, constants.vector(node, 1, "scale", dims[0]));
  PCM_ASSIGN(norm.beta, constants.vector(node, 2, "bias", dims[0]));
  PCM_ASSIGN(norm.mean, constants.vector(node, 3, "mean", dims[0]));
  PCM_ASSIGN(norm.variance, constants.vector(node, 4, "variance", dims[0]));
  if (!(norm.epsilon >= 0) || std::any_of(norm.variance.begin(), norm.variance.end(),
                                          [&](float v) { return !(v + norm.epsilon > 0); })) {
    return node.bad("its variance is zero or negative");
  }
  return norm;
}

Result<PoolNode> read_pool(const OnnxNode& node) {
  PoolNode pool;
  pool.kind = node.op() == "MaxPool" ? PoolNode::Kind::Max : PoolNode::Kind::Average;
  PCM_ASSIGN(const Dims kernel, node.list("kernel_shape", {}));
  if (kernel.size() != 2) return node.bad("only two-dimensional windows can be run");
  PCM_TRY(read_window(node, kernel, pool));
  if (pool.kind == PoolNode::Kind::Average && (pool.dilation_h != 1 || pool.dilation_w != 1)) {
    return node.bad("dilated averages cannot be run");
  }
  const std::int64_t tall = std::int64_t{pool.dilation_h} * (pool.kernel_h - 1) + 1;
  const std::int64_t wide = std::int64_t{pool.dilation_w} * (pool.kernel_w - 1) + 1;
  if (std::max(pool.pads[0], pool.pads[2]) >= tall ||
      std::max(pool.pads[1], pool.pads[3]) >= wide) {
    return node.bad(fmt::format("its pads {} are as large as its window, {}x{}",
                                fmt::join(pool.pads, ","), tall, wide));
  }
  pool.ceil = node.integer("ceil_mode", 0) != 0;
  pool.count_pads = node.integer("count_include_pad", 0) != 0;
  return pool;
}

Result<std::array<int, 4>> read_pads(const OnnxNode& node, const OnnxConstants& constants) {
  if (const auto* mode = node.attribute("mode"); mode != nullptr && mode->s() != "constant") {
    return node.bad(fmt::format("mode \"{}\" cannot be run", mode->s()),
                    "Only padding with zeros can be run.");
  }
  Dims pads;
  float value = node.real("value", 0);
  if (node.has_input(1)) {
    PCM_ASSIGN(pads, constants.integers(node, 1));
    PCM_ASSIGN(value, constants.number(node, 2, "padding", 0));
  } else {
    PCM_ASSIGN(pads, node.list("pads", {}));
  }
  if (value != 0.0f) return node.bad("only padding with zeros can be run");
  // Begin of each axis, then end of each.
  const bool image = pads.size() == 8 && pads[0] == 0 && pads[1] == 0 && pads[4] == 0 &&
                     pads[5] == 0 && in_range(pads, 0);
  if (!image) {
    return node.bad(fmt::format("cannot pad by [{}]", fmt::join(pads, ", ")),
                    "Only height and width of an image can be padded, and not by less than zero.");
  }
  return std::array<int, 4>{static_cast<int>(pads[2]), static_cast<int>(pads[3]),
                            static_cast<int>(pads[6]), static_cast<int>(pads[7])};
}

bool is_activation(const std::string& op) {
  for (const std::string_view known : {"Relu", "LeakyRelu", "PRelu", "Elu", "Clip", "Sigmoid",
                                       "HardSigmoid", "HardSwish", "Tanh"}) {
    if (op == known) return true;
  }
  return false;
}

Result<std::vector<NodeKind>> read_activation(const OnnxNode& node,
                                              const OnnxConstants& constants) {
  const std::string& op = node.op();
  const auto one = [](Function function, float alpha = 0, float beta = 0) {
    return std::vector<NodeKind>{ActivationNode{function, alpha, beta}};
  };
  if (op == "LeakyRelu") return one(Function::LeakyRelu, node.real("alpha", 0.01f));
  if (op == "Elu") return one(Function::Elu, node.real("alpha", 1));
  if (op == "Sigmoid") return one(Function::Sigmoid);
  if (op == "Tanh") return one(Function::Tanh);
  if (op == "HardSwish") return one(Function::HardSwish);
  if (op == "PRelu") {
    PCM_ASSIGN(const float slope, constants.number(node, 1, "slope", 0));
    return one(Function::LeakyRelu, slope);
  }
  if (op == "HardSigmoid") {
    return std::vector<NodeKind>{
        ActivationNode{Function::Linear, node.real("alpha", 0.2f), node.real("beta", 0.5f)},
        ActivationNode{Function::Clip, 0, 1}};
  }
  if (op == "Clip") {
    constexpr float kMost = std::numeric_limits<float>::max();
    PCM_ASSIGN(const float low, constants.number(node, 1, "minimum", node.real("min", -kMost)));
    PCM_ASSIGN(const float high, constants.number(node, 2, "maximum", node.real("max", kMost)));
    if (!(low <= high)) return node.bad(fmt::format("it clips to {} .. {}", low, high));
    if (low == 0 && high >= kMost) return std::vector<NodeKind>{ReluNode{}};
    return one(Function::Clip, low, high);
  }
  return std::vector<NodeKind>{ReluNode{}};
}

Result<Linear> read_linear(const OnnxNode& node, const OnnxConstants& constants, int constant,
                           std::size_t axes) {
  PCM_ASSIGN(const Dims dims, constants.dims(node, constant));
  PCM_ASSIGN(std::vector<float> numbers, constants.floats(node, constant, "constants"));
  // Axes are counted from the last; of an image all but the channels must have size 1.
  const std::size_t inner = axes == 3 ? 2 : 0;
  bool fits = numbers.size() == 1;
  if (!fits && (axes == 1 || axes == 3) && dims.size() > inner) {
    Dims others = dims;
    others.erase(others.end() - static_cast<std::ptrdiff_t>(inner) - 1);
    fits = dims.size() <= axes + 1 &&
           std::all_of(others.begin(), others.end(), [](std::int64_t n) { return n == 1; });
  }
  if (!fits) {
    return node.bad(fmt::format("its constants have the shape {}", fmt::join(dims, "x")),
                    "There may be one number for all, or one a channel.");
  }
  const std::string& op = node.op();
  Linear linear;
  linear.adds_only = op == "Add" || (op == "Sub" && constant == 1);
  if (op == "Add" || op == "Sub") {
    const float sign = op == "Sub" && constant == 1 ? -1.0f : 1.0f;
    for (float& number : numbers) number *= sign;
    linear.scale.assign(numbers.size(), op == "Sub" && constant == 0 ? -1.0f : 1.0f);
    linear.shift = std::move(numbers);
    return linear;
  }
  if (op == "Div") {
    if (constant == 0) return node.bad("a constant divided by a value cannot be run");
    for (float& number : numbers) {
      number = 1.0f / number;
      if (!std::isfinite(number)) return node.bad("it divides by zero");
    }
  }
  linear.shift.assign(numbers.size(), 0.0f);
  linear.scale = std::move(numbers);
  return linear;
}

}  // namespace pcmlab

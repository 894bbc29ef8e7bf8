// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/onnx_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "experiments/network/onnx_layers.h"

namespace pcmlab {

Result<void> OnnxReader::read_alias(const OnnxNode& node) {
  if (node.op() == "Identity" && node.inputs() != 1) return node.bad("it must have one input");
  PCM_ASSIGN(const Value value, value_of(node, 0));
  values_[node.output()] = value;
  return {};
}

Result<void> OnnxReader::read_cast(const OnnxNode& node) {
  if (node.integer("to", 0) != onnx::TensorProto::FLOAT) {
    return node.bad("values can only be float32", "Export the network in float32.");
  }
  return read_alias(node);
}

Result<void> OnnxReader::read_flatten(const OnnxNode& node) {
  PCM_ASSIGN(const Value value, value_of(node, 0));
  const std::int64_t axis = node.integer("axis", 1);
  if (axis != 1 && axis != -static_cast<std::int64_t>(value.dims.size())) {
    return node.bad("only axis 1 can be flattened from");
  }
  values_[node.output()] = {value.id, {element_count(value.dims)}};
  return {};
}

Result<void> OnnxReader::read_reshape(const OnnxNode& node) {
  PCM_ASSIGN(const Value value, value_of(node, 0));
  PCM_ASSIGN(const Dims target, constants_.integers(node, 1));
  const std::int64_t features = element_count(value.dims);
  Dims dims(target.begin() + (target.empty() ? 0 : 1), target.end());
  const bool open_batch = !target.empty() && target[0] == -1;
  bool fits = !target.empty() && (open_batch || target[0] == 0 || target[0] == kBatch ||
                                  (batch_ > 0 && target[0] == batch_));
  std::int64_t known = 1;
  std::int64_t* inferred = nullptr;
  for (std::size_t axis = 0; axis < dims.size() && fits; ++axis) {
    std::int64_t& size = dims[axis];
    if (size == 0 && axis < value.dims.size()) size = value.dims[axis];
    if (size == -1) {
      fits = inferred == nullptr && !open_batch;
      inferred = &size;
    } else {
      fits = size >= 1 && size <= kMaxElements && (known *= size) <= kMaxElements;
    }
  }
  if (fits && inferred != nullptr) *inferred = features / known;
  if (!fits || dims.empty() || element_count(dims) != features) {
    Dims shown = target;
    std::replace(shown.begin(), shown.end(), kBatch, batch_);
    return node.bad(fmt::format("cannot reshape to [{}]", fmt::join(shown, ", ")),
                    fmt::format("[batch, {}] could be run here.", features));
  }
  values_[node.output()] = {value.id, dims};
  return {};
}

Result<Dims> OnnxReader::axes_of(const OnnxNode& node, std::size_t rank) const {
  Dims axes;
  if (node.has_input(1)) {
    PCM_ASSIGN(axes, constants_.integers(node, 1));
  } else {
    PCM_ASSIGN(axes, node.list("axes", {}));
  }
  for (std::int64_t& axis : axes) {
    if (axis < 0) axis += static_cast<std::int64_t>(rank);
  }
  std::sort(axes.begin(), axes.end());
  return axes;
}

Result<void> OnnxReader::read_squeeze(const OnnxNode& node) {
  PCM_ASSIGN(Value value, value_of(node, 0));
  PCM_ASSIGN(Dims axes, axes_of(node, value.dims.size() + 1));
  if (axes.empty()) {
    for (std::size_t i = 0; i < value.dims.size(); ++i) {
      if (value.dims[i] == 1) axes.push_back(static_cast<std::int64_t>(i) + 1);
    }
  }
  for (std::size_t i = axes.size(); i-- > 0;) {
    const std::int64_t at = axes[i] - 1;
    if (at < 0 || at >= static_cast<std::int64_t>(value.dims.size()) ||
        value.dims[static_cast<std::size_t>(at)] != 1) {
      return node.bad(fmt::format("cannot remove axis {} of [batch, {}]", axes[i],
                                  fmt::join(value.dims, ", ")));
    }
    value.dims.erase(value.dims.begin() + at);
  }
  values_[node.output()] = value;
  return {};
}

Result<void> OnnxReader::read_unsqueeze(const OnnxNode& node) {
  PCM_ASSIGN(Value value, value_of(node, 0));
  PCM_ASSIGN(const Dims added, axes_of(node, 0));
  PCM_ASSIGN(const Dims axes, axes_of(node, value.dims.size() + 1 + added.size()));
  for (const std::int64_t axis : axes) {
    if (axis < 1 || axis > static_cast<std::int64_t>(value.dims.size()) + 1) {
      return node.bad(
          fmt::format("cannot add axis {} to [batch, {}]", axis, fmt::join(value.dims, ", ")));
    }
    value.dims.insert(value.dims.begin() + axis - 1, 1);
  }
  values_[node.output()] = value;
  return {};
}

Result<void> OnnxReader::read_conv_node(const OnnxNode& node) {
  PCM_ASSIGN(ConvNode conv, read_conv(node, constants_));
  PCM_ASSIGN(const Value value, value_of(node, 0, true));
  for (std::size_t side = 0; side < 4; ++side) conv.pads[side] += value.pads[side];
  PCM_ASSIGN(const ValueId image, as_image(node, {value.id, value.dims}));
  PCM_TRY(append(node, std::move(conv), {image}));
  network_.nodes.back().module = module_of(node);
  return {};
}

Result<void> OnnxReader::read_dense_node(const OnnxNode& node) {
  if (node.op() == "MatMul" && constants_.contains(node.has_input(0) ? node.input(0) : "")) {
    return node.bad("its weights are its first input", "The second must be the weights.");
  }
  PCM_ASSIGN(DenseNode dense, read_dense(node, constants_));
  PCM_ASSIGN(const Value value, value_of(node, 0));
  if (value.dims.size() != 1) {
    return node.bad("its input is an image, not [batch, features]", "Put a Flatten before it.");
  }
  PCM_TRY(append(node, std::move(dense), {value.id}));
  network_.nodes.back().module = module_of(node);
  return {};
}

Result<void> OnnxReader::read_batch_norm_node(const OnnxNode& node) {
  PCM_ASSIGN(BatchNormNode norm, read_batch_norm(node, constants_));
  PCM_ASSIGN(const ValueId value, by_channels(node, 0));
  return append(node, std::move(norm), {value});
}

Result<void> OnnxReader::read_activation_node(const OnnxNode& node) {
  PCM_ASSIGN(const std::vector<NodeKind> functions, read_activation(node, constants_));
  PCM_ASSIGN(Value value, value_of(node, 0));
  for (const NodeKind& function : functions) {
    PCM_TRY(append(node, function, {value.id}, value.dims));
    value.id = network_.nodes.back().output;
  }
  return {};
}

Result<void> OnnxReader::read_arithmetic(const OnnxNode& node) {
  for (const int i : {0, 1}) {
    if (node.has_input(i) && constants_.contains(node.input(i))) return read_linear_node(node, i);
  }
  PCM_ASSIGN(Value a, value_of(node, 0));
  PCM_ASSIGN(Value b, value_of(node, 1));
  const bool multiplies = node.op() == "Mul";
  if (node.op() == "Div" || node.op() == "Sub") {
    return node.bad("one of its inputs must be a constant");
  }
  if (a.dims.size() != b.dims.size()) {
    return node.bad("it mixes a flattened value with one that is not");
  }
  if (multiplies && element_count(a.dims) < element_count(b.dims)) std::swap(a, b);
  if (a.dims != b.dims || shape_of(a.id) != shape_of(b.id)) {
    PCM_ASSIGN(a.id, materialised(node, a));
    PCM_ASSIGN(b.id, materialised(node, b));
  }
  return multiplies ? append(node, MultiplyNode{}, {a.id, b.id}, a.dims)
                    : append(node, AddNode{}, {a.id, b.id}, a.dims);
}

Result<void> OnnxReader::read_linear_node(const OnnxNode& node, int constant) {
  PCM_ASSIGN(const Value value, value_of(node, 1 - constant));
  PCM_ASSIGN(const Linear linear, read_linear(node, constants_, constant, value.dims.size()));
  std::vector<float>* bias = linear.adds_only ? missing_bias(node.input(1 - constant)) : nullptr;
  if (bias != nullptr) {
    const auto rows = static_cast<std::size_t>(shape_of(value.id).channels);
    if (linear.shift.size() == rows || linear.shift.size() == 1) {
      *bias = linear.shift;
      bias->resize(rows, linear.shift[0]);
      values_[node.output()] = value;
      return {};
    }
  }
  if (linear.scale.size() == 1) {
    const auto function = ActivationNode::Function::Linear;
    return append(node, ActivationNode{function, linear.scale[0], linear.shift[0]}, {value.id},
                  value.dims);
  }
  PCM_ASSIGN(const ValueId channels, by_channels(node, 1 - constant));
  return append(node, ScaleNode{linear.scale, linear.shift}, {channels});
}

std::vector<float>* OnnxReader::missing_bias(const std::string& name) {
  if (network_.nodes.empty() || readers_[name].size() != 1) return nullptr;
  Node& last = network_.nodes.back();
  if (made_as_[last.output] != name) return nullptr;
  if (auto* conv = std::get_if<ConvNode>(&last.kind)) {
    return conv->bias.empty() ? &conv->bias : nullptr;
  }
  auto* dense = std::get_if<DenseNode>(&last.kind);
  return dense != nullptr && dense->bias.empty() ? &dense->bias : nullptr;
}

Result<void> OnnxReader::read_pool_node(const OnnxNode& node) {
  PCM_ASSIGN(PoolNode pool, read_pool(node));
  if (node.outputs() > 1) return node.bad("the places of its maxima cannot be had");
  PCM_ASSIGN(const Value value, value_of(node, 0));
  PCM_ASSIGN(const ValueId image, as_image(node, value));
  PCM_TRY(append(node, pool, {image}));
  const ValueShape &in = shape_of(image), &out = network_.shapes.back();
  const bool hangs_over =
      (out.height - 1) * pool.stride_h + pool.kernel_h > in.height + pool.pads[0] + pool.pads[2] ||
      (out.width - 1) * pool.stride_w + pool.kernel_w > in.width + pool.pads[1] + pool.pads[3];
  if (pool.kind == PoolNode::Kind::Average && pool.count_pads && hangs_over) {
    return node.bad("an average over windows that hang over the padding cannot be run",
                    "Set ceil_mode or count_include_pad to 0.");
  }
  return {};
}

Result<void> OnnxReader::read_global_pool(const OnnxNode& node) {
  PCM_ASSIGN(const Value value, value_of(node, 0));
  PCM_ASSIGN(const ValueId image, as_image(node, value));
  if (node.op() == "GlobalAveragePool") return append(node, GlobalAverageNode{}, {image});
  const ValueShape& in = shape_of(image);
  PoolNode pool;
  pool.kernel_h = in.height;
  pool.kernel_w = in.width;
  return append(node, pool, {image});
}

Result<void> OnnxReader::read_reduce_mean(const OnnxNode& node) {
  PCM_ASSIGN(Value value, value_of(node, 0));
  PCM_ASSIGN(const Dims axes, axes_of(node, value.dims.size() + 1));
  // Height and width, or the axis that they were made one of.
  const ValueShape shape = shape_of(value.id);
  const bool joined = value.dims == Dims{shape.channels, std::int64_t{shape.height} * shape.width};
  if (!(axes == Dims{2, 3} && value.dims.size() == 3) && !(axes == Dims{2} && joined)) {
    return node.bad(fmt::format("cannot take the mean over axes [{}]", fmt::join(axes, ", ")),
                    "Only the mean over height and width (axes 2 and 3) can be run.");
  }
  ValueId image = value.id;
  if (!joined) {
    PCM_ASSIGN(image, as_image(node, value));
  }
  Dims dims{value.dims[0]};
  if (node.integer("keepdims", 1) != 0) dims.resize(value.dims.size(), 1);
  return append(node, GlobalAverageNode{}, {image}, dims);
}

Result<void> OnnxReader::read_concat(const OnnxNode& node) {
  std::vector<ValueId> inputs;
  std::size_t rank = 0;
  for (int i = 0; i < node.inputs(); ++i) {
    PCM_ASSIGN(const Value value, value_of(node, i));
    if (i > 0 && rank != value.dims.size()) {
      return node.bad("it mixes a flattened value with one that is not");
    }
    rank = value.dims.size();
    PCM_ASSIGN(const ValueId channels, by_channels(node, i));
    inputs.push_back(channels);
  }
  if (inputs.empty()) return node.missing(0);
  const std::int64_t axis = node.integer("axis", 0);
  if (axis != 1 && axis != -static_cast<std::int64_t>(rank)) {
    return node.bad(fmt::format("cannot join along axis {}", axis),
                    "Only channels or features (axis 1) can be joined.");
  }
  PCM_TRY(append(node, ConcatNode{}, std::move(inputs)));
  if (rank == 1) values_[node.output()].dims.resize(1);
  return {};
}

Result<void> OnnxReader::read_pad(const OnnxNode& node) {
  PCM_ASSIGN(const auto pads, read_pads(node, constants_));
  PCM_ASSIGN(Value value, value_of(node, 0));
  const auto& readers = readers_[node.output()];
  if (readers.size() == 1 && readers[0] != nullptr && readers[0]->op_type() == "Conv") {
    value.pads = pads;  // as the convolution's own
    values_[node.output()] = value;
    return {};
  }
  PCM_ASSIGN(const ValueId image, as_image(node, value));
  return append(node, PadNode{pads}, {image});
}

Result<void> OnnxReader::read_softmax(const OnnxNode& node) {
  PCM_ASSIGN(const Value value, value_of(node, 0));
  const auto rank = static_cast<std::int64_t>(value.dims.size()) + 1;
  const std::int64_t given = node.integer("axis", node.opset() < 13 ? 1 : -1);
  const std::int64_t axis = given < 0 ? given + rank : given;
  const bool pixels = element_count(value.dims) != value.dims[0];
  if (axis != 1 || (pixels && (rank != 4 || node.opset() < 13))) {
    return node.bad(fmt::format("cannot be run along axis {}", given),
                    "Only along classes (axis 1) can it be run.");
  }
  PCM_ASSIGN(const ValueId channels, by_channels(node, 0));
  return append(node, SoftmaxNode{node.op() == "LogSoftmax"}, {channels}, value.dims);
}

}  // namespace pcmlab

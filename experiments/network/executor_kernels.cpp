// SPDX-License-Identifier: Apache-2.0
// One oneDNN primitive, or Winograd convolution, for each kind of step.
#include <algorithm>

#include "experiments/network/executor.h"

namespace pcmlab {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

constexpr auto kInference = dnnl::prop_kind::forward_inference;

constexpr std::size_t index_of(int i) { return static_cast<std::size_t>(i); }

struct Elementwise {
  dnnl::algorithm algorithm;
  float alpha = 0, beta = 0;
};

/// A Relu or ActivationNode as oneDNN calls it.
Elementwise elementwise_of(const NodeKind& kind) {
  using Function = ActivationNode::Function;
  const auto* activation = std::get_if<ActivationNode>(&kind);
  if (activation == nullptr) return {dnnl::algorithm::eltwise_relu};
  const auto as = [&](dnnl::algorithm algorithm) {
    return Elementwise{algorithm, activation->alpha, activation->beta};
  };
  switch (activation->function) {
    case Function::LeakyRelu:
      return as(dnnl::algorithm::eltwise_relu);
    case Function::Elu:
      return as(dnnl::algorithm::eltwise_elu);
    case Function::Clip:
      return as(dnnl::algorithm::eltwise_clip);
    case Function::Sigmoid:
      return as(dnnl::algorithm::eltwise_logistic);
    case Function::Tanh:
      return as(dnnl::algorithm::eltwise_tanh);
    case Function::HardSwish:
      return as(dnnl::algorithm::eltwise_hardswish);
    case Function::Linear:
      break;
  }
  return as(dnnl::algorithm::eltwise_linear);
}

}  // namespace

dnnl::primitive_attr Executor::attributes(const ComputationStep& step) const {
  dnnl::post_ops operations;
  const NodeKind& kind = network_.nodes[index_of(step.node)].kind;
  const bool accumulates =
      std::holds_alternative<ConvNode>(kind) || std::holds_alternative<DenseNode>(kind);
  if (step.summand != kNone && accumulates) operations.append_sum(1.0f);
  if (step.activation != kNone) {
    const Elementwise function = elementwise_of(network_.nodes[index_of(step.activation)].kind);
    operations.append_eltwise(1.0f, function.algorithm, function.alpha, function.beta);
  }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(operations);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

void Executor::compile(std::size_t index) {
  const ComputationStep& step = computation_.steps[index];
  std::visit([&](const auto& kind) { build(steps_[index], step, kind); },
             network_.nodes[index_of(step.node)].kind);
}

memory Executor::constant(const memory::dims& dims, std::span<const float> numbers,
                          Tag order) const {
  memory held({dims, Type::f32, order}, cpu_);
  std::copy(numbers.begin(), numbers.end(), static_cast<float*>(held.get_data_handle()));
  return held;
}

dnnl::eltwise_forward::primitive_desc Executor::elementwise(const NodeKind& activation,
                                                            const memory::desc& layout) const {
  const Elementwise function = elementwise_of(activation);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return {
      {kInference, function.algorithm, layout, function.alpha, function.beta}, attributes, cpu_};
}

void Executor::build(Compiled& compiled, const ComputationStep& step, const ConvNode& conv) {
  if (winograd_ && WinogradConv::fits(conv) && !computation_.vectors[index_of(step.input)]) {
    compiled.winograd.emplace(conv, network_.shapes[index_of(step.input)], precision_);
    compiled.staged =
        memory({{conv.out_channels, conv.in_channels, 3, 3}, Type::f32, Tag::oihw}, cpu_);
    compiled.bias = memory({{conv.out_channels}, Type::f32, Tag::x}, cpu_);
    if (step.activation == kNone) return;
    const NodeKind& activation = network_.nodes[index_of(step.activation)].kind;
    compiled.winograd_relu = std::holds_alternative<ReluNode>(activation);
    if (!compiled.winograd_relu) {
      compiled.after = dnnl::eltwise_forward(elementwise(activation, layout_of(step.output)));
    }
    return;
  }
  const memory::dim groups = conv.groups, outs = conv.out_channels / groups,
                    ins = conv.in_channels / groups;
  const bool grouped = groups > 1;
  const memory::dims shape = grouped ? memory::dims{groups, outs, ins, conv.kernel_h, conv.kernel_w}
                                     : memory::dims{outs, ins, conv.kernel_h, conv.kernel_w};
  const memory::desc bias({conv.out_channels}, Type::f32, Tag::x);
  const dnnl::convolution_forward::desc description(
      kInference, dnnl::algorithm::convolution_direct, layout_of(step.input),
      memory::desc(shape, type_, Tag::any), bias, layout_of(step.output),
      {conv.stride_h, conv.stride_w}, {conv.dilation_h - 1, conv.dilation_w - 1},
      {conv.pads[0], conv.pads[1]}, {conv.pads[2], conv.pads[3]});
  const dnnl::convolution_forward::primitive_desc chosen(description, attributes(step), cpu_);
  compiled.primitive = dnnl::convolution_forward(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  keep_weights(compiled, memory::desc(shape, Type::f32, grouped ? Tag::goihw : Tag::oihw),
               chosen.weights_desc(), conv.out_channels);
  compiled.operands = {{DNNL_ARG_SRC, chosen.src_desc(), step.input, {}},
                       {DNNL_ARG_WEIGHTS, {}, kNone, compiled.weights},
                       {DNNL_ARG_BIAS, {}, kNone, compiled.bias},
                       {DNNL_ARG_DST, chosen.dst_desc(), step.output, {}}};
}

void Executor::build(Compiled& compiled, const ComputationStep& step, const DenseNode& dense) {
  const ValueShape& in = network_.shapes[index_of(step.input)];
  const memory::dims shape{dense.out_features, in.channels, in.height, in.width};
  const memory::desc bias({dense.out_features}, Type::f32, Tag::x);
  const memory::desc output({batch_, dense.out_features}, type_, Tag::nc);
  const dnnl::inner_product_forward::desc description(
      kInference, layout_of(step.input), memory::desc(shape, type_, Tag::any), bias, output);
  const dnnl::inner_product_forward::primitive_desc chosen(description, attributes(step), cpu_);
  compiled.primitive = dnnl::inner_product_forward(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  keep_weights(compiled, memory::desc(shape, Type::f32, Tag::oihw), chosen.weights_desc(),
               dense.out_features);
  compiled.operands = {{DNNL_ARG_SRC, chosen.src_desc(), step.input, {}},
                       {DNNL_ARG_WEIGHTS, {}, kNone, compiled.weights},
                       {DNNL_ARG_BIAS, {}, kNone, compiled.bias},
                       {DNNL_ARG_DST, chosen.dst_desc(), step.output, {}}};
}

void Executor::build(Compiled& compiled, const ComputationStep& step, const BatchNormNode& norm) {
  const dnnl::batch_normalization_forward::desc description(
      kInference, layout_of(step.input), norm.epsilon,
      dnnl::normalization_flags::use_global_stats | dnnl::normalization_flags::use_scale |
          dnnl::normalization_flags::use_shift);
  const dnnl::batch_normalization_forward::primitive_desc chosen(description, attributes(step),
                                                                 cpu_);
  compiled.primitive = dnnl::batch_normalization_forward(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  const auto vector_of = [&](std::span<const float> numbers) {
    return constant({static_cast<memory::dim>(numbers.size())}, numbers, Tag::x);
  };
  compiled.mean = vector_of(norm.mean);
  compiled.variance = vector_of(norm.variance);
  compiled.operands = {{DNNL_ARG_SRC, chosen.src_desc(), step.input, {}},
                       {DNNL_ARG_MEAN, {}, kNone, compiled.mean},
                       {DNNL_ARG_VARIANCE, {}, kNone, compiled.variance},
                       {DNNL_ARG_SCALE, {}, kNone, vector_of(norm.gamma)},
                       {DNNL_ARG_SHIFT, {}, kNone, vector_of(norm.beta)},
                       {DNNL_ARG_DST, chosen.dst_desc(), step.output, {}}};
}

void Executor::build(Compiled& compiled, const ComputationStep& step, const ScaleNode& scale) {
  const std::size_t channels = scale.scale.size();
  build(compiled, step,
        BatchNormNode{scale.scale, scale.shift, std::vector<float>(channels, 0.0f),
                      std::vector<float>(channels, 1.0f), 0.0f});
}

void Executor::build(Compiled& compiled, const ComputationStep& step, const ReluNode& /*relu*/) {
  build(compiled, step, ActivationNode{ActivationNode::Function::LeakyRelu, 0, 0});
}

void Executor::build(Compiled& compiled, const ComputationStep& step,
                     const ActivationNode& activation) {
  const auto chosen = elementwise(activation, layout_of(step.input));
  compiled.primitive = dnnl::eltwise_forward(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  compiled.operands = {{DNNL_ARG_SRC, chosen.src_desc(), step.input, {}},
                       {DNNL_ARG_DST, chosen.dst_desc(), step.output, {}}};
}

void Executor::build(Compiled& compiled, const ComputationStep& step, const AddNode& /*add*/) {
  build_binary(compiled, step, dnnl::algorithm::binary_add);
}

void Executor::build(Compiled& compiled, const ComputationStep& step,
                     const MultiplyNode& /*multiply*/) {
  build_binary(compiled, step, dnnl::algorithm::binary_mul);
}

void Executor::build_binary(Compiled& compiled, const ComputationStep& step,
                            dnnl::algorithm operation) {
  const dnnl::binary::desc description(operation, layout_of(step.input), layout_of(step.summand),
                                       layout_of(step.output));
  const dnnl::binary::primitive_desc chosen(description, attributes(step), cpu_);
  compiled.primitive = dnnl::binary(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  compiled.operands = {{DNNL_ARG_SRC_0, chosen.src0_desc(), step.input, {}},
                       {DNNL_ARG_SRC_1, chosen.src1_desc(), step.summand, {}},
                       {DNNL_ARG_DST, chosen.dst_desc(), step.output, {}}};
}

void Executor::build(Compiled& compiled, const ComputationStep& step,
                     const GlobalAverageNode& /*average*/) {
  const ValueShape& in = network_.shapes[index_of(step.input)];
  PoolNode whole;
  whole.kind = PoolNode::Kind::Average;
  whole.kernel_h = in.height;
  whole.kernel_w = in.width;
  whole.stride_h = in.height;
  whole.stride_w = in.width;
  build(compiled, step, whole);
}

void Executor::build(Compiled& compiled, const ComputationStep& step, const PoolNode& pool) {
  const ValueShape& in = network_.shapes[index_of(step.input)];
  const ValueShape& out = network_.shapes[index_of(step.output)];
  // How far the last window reaches behind the image.
  const auto reach = [](int size, int windows, int stride, int kernel, int dilation, int before) {
    return std::max(0, (windows - 1) * stride + dilation * (kernel - 1) + 1 - size - before);
  };
  const dnnl::algorithm algorithm = pool.kind == PoolNode::Kind::Max ? dnnl::algorithm::pooling_max
                                    : pool.count_pads
                                        ? dnnl::algorithm::pooling_avg_include_padding
                                        : dnnl::algorithm::pooling_avg_exclude_padding;
  const memory::dims below{
      reach(in.height, out.height, pool.stride_h, pool.kernel_h, pool.dilation_h, pool.pads[0]),
      reach(in.width, out.width, pool.stride_w, pool.kernel_w, pool.dilation_w, pool.pads[1])};
  const memory::dims strides{pool.stride_h, pool.stride_w};
  const memory::dims window{pool.kernel_h, pool.kernel_w};
  const memory::dims above{pool.pads[0], pool.pads[1]};
  const auto keep = [&](const auto& chosen, dnnl::primitive primitive) {
    compiled.primitive = std::move(primitive);
    compiled.scratchpad = chosen.scratchpad_desc();
    compiled.operands = {{DNNL_ARG_SRC, chosen.src_desc(), step.input, {}},
                         {DNNL_ARG_DST, chosen.dst_desc(), step.output, {}}};
  };
  if (pool.dilation_h == 1 && pool.dilation_w == 1) {
    const dnnl::pooling_forward::desc description(kInference, algorithm, layout_of(step.input),
                                                  layout_of(step.output), strides, window, above,
                                                  below);
    const dnnl::pooling_forward::primitive_desc chosen(description, attributes(step), cpu_);
    return keep(chosen, dnnl::pooling_forward(chosen));
  }
  const dnnl::pooling_v2_forward::desc description(
      kInference, algorithm, layout_of(step.input), layout_of(step.output), strides, window,
      {pool.dilation_h - 1, pool.dilation_w - 1}, above, below);
  const dnnl::pooling_v2_forward::primitive_desc chosen(description, attributes(step), cpu_);
  keep(chosen, dnnl::pooling_v2_forward(chosen));
}

void Executor::build(Compiled& compiled, const ComputationStep& step,
                     const ConcatNode& /*concat*/) {
  std::vector<ValueId> inputs{step.input};
  if (step.summand != kNone) inputs.push_back(step.summand);
  inputs.insert(inputs.end(), step.more.begin(), step.more.end());
  std::vector<memory::desc> sources;
  sources.reserve(inputs.size());
  for (const ValueId input : inputs) sources.push_back(layout_of(input));
  const dnnl::concat::primitive_desc chosen(layout_of(step.output), 1, sources, cpu_,
                                            attributes(step));
  compiled.primitive = dnnl::concat(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    compiled.operands.push_back(
        {DNNL_ARG_MULTIPLE_SRC + static_cast<int>(i), sources[i], inputs[i], {}});
  }
  compiled.operands.push_back({DNNL_ARG_DST, chosen.dst_desc(), step.output, {}});
}

/// A convolution of each channel with the one weight 1.
void Executor::build(Compiled& compiled, const ComputationStep& step, const PadNode& pad) {
  const memory::dim channels = network_.shapes[index_of(step.input)].channels;
  const memory::dims shape{channels, 1, 1, 1, 1};
  const dnnl::convolution_forward::desc description(
      kInference, dnnl::algorithm::convolution_direct, layout_of(step.input),
      memory::desc(shape, type_, Tag::any), layout_of(step.output), {1, 1},
      {pad.pads[0], pad.pads[1]}, {pad.pads[2], pad.pads[3]});
  const dnnl::convolution_forward::primitive_desc chosen(description, attributes(step), cpu_);
  compiled.primitive = dnnl::convolution_forward(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  memory ones =
      constant(shape, std::vector<float>(static_cast<std::size_t>(channels), 1.0f), Tag::goihw);
  memory weights(chosen.weights_desc(), cpu_);
  dnnl::reorder(ones, weights).execute(stream_, ones, weights);
  stream_.wait();
  compiled.operands = {{DNNL_ARG_SRC, chosen.src_desc(), step.input, {}},
                       {DNNL_ARG_WEIGHTS, {}, kNone, weights},
                       {DNNL_ARG_DST, chosen.dst_desc(), step.output, {}}};
}

/// The vector is [batch][feature] in memory, which is an image in the order nchw.
void Executor::build(Compiled& compiled, const ComputationStep& step, const ReshapeNode& reshape) {
  const bool to_vector = reshape.height == 1 && reshape.width == 1;
  memory::desc from = layout_of(step.input), to = layout_of(step.output);
  if (to_vector) {
    to = memory::desc(dims_of(step.input), type_, Tag::nchw);
  } else {
    from = memory::desc(dims_of(step.output), type_, Tag::nchw);
  }
  const dnnl::reorder::primitive_desc chosen(cpu_, from, cpu_, to, attributes(step));
  compiled.primitive = dnnl::reorder(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  compiled.operands = {{DNNL_ARG_FROM, from, step.input, {}}, {DNNL_ARG_TO, to, step.output, {}}};
}

void Executor::build(Compiled& compiled, const ComputationStep& step, const SoftmaxNode& softmax) {
  const dnnl::softmax_v2_forward::desc description(
      kInference,
      softmax.logarithm ? dnnl::algorithm::softmax_log : dnnl::algorithm::softmax_accurate,
      layout_of(step.input), layout_of(step.output), 1);
  const dnnl::softmax_v2_forward::primitive_desc chosen(description, attributes(step), cpu_);
  compiled.primitive = dnnl::softmax_v2_forward(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  compiled.operands = {{DNNL_ARG_SRC, chosen.src_desc(), step.input, {}},
                       {DNNL_ARG_DST, chosen.dst_desc(), step.output, {}}};
}

void Executor::compile_reorders() {
  images_ = memory::desc(dims_of(0), Type::f32, Tag::nchw);
  logits_ = memory::desc(dims_of(network_.output), Type::f32, Tag::nchw);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const auto reorder = [&](const memory::desc& from, const memory::desc& to) {
    return dnnl::reorder(dnnl::reorder::primitive_desc(cpu_, from, cpu_, to, attributes));
  };
  load_ = reorder(images_, layout_of(0));
  store_ = reorder(layout_of(network_.output), logits_);
}

void Executor::keep_weights(Compiled& compiled, const memory::desc& user,
                            const memory::desc& packed, int rows) {
  compiled.staged = memory(user, cpu_);
  compiled.weights = memory(packed, cpu_);
  compiled.bias = memory({{rows}, Type::f32, Tag::x}, cpu_);
  compiled.pack = dnnl::reorder(compiled.staged, compiled.weights);
}

}  // namespace pcmlab

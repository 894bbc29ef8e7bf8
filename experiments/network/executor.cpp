// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/executor.h"

#include <omp.h>

#include <algorithm>
#include <cstring>

namespace pcmlab {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

/// Channels last: oneDNN's fastest kernels on AVX-512 and AMX, without padding channels.
constexpr Tag kChannelsLast = Tag::nhwc;
/// Sixteen channels of a pixel side by side, missing ones 0: what WinogradConv works on.
constexpr Tag kBlocks = Tag::nChw16c;
constexpr std::size_t kBlockLanes = 16;

constexpr std::size_t index_of(int i) { return static_cast<std::size_t>(i); }

void check(dnnl_status_t status, const char* what) {
  if (status != dnnl_success) throw dnnl::error(status, what);
}

/// AVX-512 has no matrix unit, so fewer multiplications win; with AMX oneDNN's direct kernels do.
bool prefers_winograd(const Network& network, Precision precision) {
  if (!WinogradConv::available() || !cpu_has(dnnl::cpu_isa::avx512_core)) return false;
  if (precision == Precision::Bfloat16 && cpu_has(dnnl::cpu_isa::avx512_core_amx)) return false;
  return std::any_of(network.nodes.begin(), network.nodes.end(), [](const Node& node) {
    const auto* conv = std::get_if<ConvNode>(&node.kind);
    return conv != nullptr && WinogradConv::fits(*conv);
  });
}

}  // namespace

bool cpu_has(dnnl::cpu_isa instructions) {
  const auto wanted = static_cast<unsigned>(instructions);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

SingleThreaded::SingleThreaded() : threads_before_(omp_get_max_threads()) {
  omp_set_num_threads(1);
}
SingleThreaded::~SingleThreaded() { omp_set_num_threads(threads_before_); }

// ---- Executor ----------------------------------------------------------------------------------

Executor::Executor(const Network& network, const Computation& computation, Precision precision,
                   int batch)
    : network_(network),
      computation_(computation),
      precision_(precision),
      type_(precision == Precision::Bfloat16 ? Type::bf16 : Type::f32),
      winograd_(prefers_winograd(network, precision)),
      batch_(batch),
      cpu_(dnnl::engine::kind::cpu, 0),
      stream_(cpu_) {
  const SingleThreaded guard;
  choose_layouts();
  steps_.resize(computation_.steps.size());
  for (std::size_t i = 0; i < steps_.size(); ++i) compile(i);
  compile_reorders();
}

void Executor::choose_layouts() {
  const memory::format_tag images = winograd_ ? kBlocks : kChannelsLast;
  layouts_.resize(network_.shapes.size());
  layouts_[0] = memory::desc(dims_of(0), type_, images);
  std::vector<bool> plain(network_.shapes.size(), false);  // what Dense makes is not in blocks
  for (const ComputationStep& step : computation_.steps) {
    const NodeKind& kind = network_.nodes[index_of(step.node)].kind;
    const bool dense = std::holds_alternative<DenseNode>(kind);
    const bool conv = std::holds_alternative<ConvNode>(kind);
    const bool flat = dense || (!conv && plain[index_of(step.input)]);
    plain[index_of(step.output)] = flat;
    layouts_[index_of(step.output)] =
        memory::desc(dims_of(step.output), type_, flat ? kChannelsLast : images);
  }
}

memory::dims Executor::dims_of(ValueId value) const {
  const ValueShape& shape = network_.shapes[index_of(value)];
  return {batch_, shape.channels, shape.height, shape.width};
}

memory::desc Executor::layout_of(ValueId value) const { return layouts_[index_of(value)]; }

ActivationShape Executor::activation_shape(ValueId value) const {
  const ValueShape& shape = network_.shapes[index_of(value)];
  const std::size_t channels = index_of(shape.channels);
  const std::size_t pixels = index_of(shape.height) * index_of(shape.width);
  const bool in_blocks = layout_of(value) == memory::desc(dims_of(value), type_, kBlocks);
  if (!in_blocks) return {1, pixels, channels};
  return {(channels + kBlockLanes - 1) / kBlockLanes, pixels, kBlockLanes};
}

dnnl::primitive_attr Executor::attributes(const ComputationStep& step) const {
  dnnl::post_ops operations;
  const bool add = std::holds_alternative<AddNode>(network_.nodes[index_of(step.node)].kind);
  if (step.summand != kNone && !add) operations.append_sum(1.0f);
  if (step.relu) operations.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(operations);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

void Executor::compile(std::size_t index) {
  const ComputationStep& step = computation_.steps[index];
  Compiled& compiled = steps_[index];
  const NodeKind& kind = network_.nodes[index_of(step.node)].kind;
  if (const auto* conv = std::get_if<ConvNode>(&kind)) return compile_conv(compiled, step, *conv);
  if (const auto* dense = std::get_if<DenseNode>(&kind)) {
    return compile_dense(compiled, step, *dense);
  }
  if (const auto* norm = std::get_if<BatchNormNode>(&kind)) {
    return compile_batch_norm(compiled, step, *norm);
  }
  if (std::holds_alternative<ReluNode>(kind)) return compile_relu(compiled, step);
  if (std::holds_alternative<AddNode>(kind)) return compile_add(compiled, step);
  return compile_average(compiled, step);
}

void Executor::compile_conv(Compiled& compiled, const ComputationStep& step, const ConvNode& conv) {
  if (winograd_ && WinogradConv::fits(conv)) {
    compiled.winograd.emplace(conv, network_.shapes[index_of(step.input)], precision_);
    compiled.staged =
        memory({{conv.out_channels, conv.in_channels, 3, 3}, Type::f32, Tag::oihw}, cpu_);
    compiled.bias = memory({{conv.out_channels}, Type::f32, Tag::x}, cpu_);
    return;
  }
  const memory::dim groups = conv.groups, outs = conv.out_channels / groups,
                    ins = conv.in_channels / groups;
  const bool grouped = groups > 1;
  const memory::dims shape = grouped ? memory::dims{groups, outs, ins, conv.kernel_h, conv.kernel_w}
                                     : memory::dims{outs, ins, conv.kernel_h, conv.kernel_w};
  const memory::desc bias({conv.out_channels}, Type::f32, Tag::x);
  const dnnl::convolution_forward::desc description(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
      layout_of(step.input), memory::desc(shape, type_, Tag::any), bias, layout_of(step.output),
      {conv.stride_h, conv.stride_w}, {conv.pads[0], conv.pads[1]}, {conv.pads[2], conv.pads[3]});
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

void Executor::compile_dense(Compiled& compiled, const ComputationStep& step,
                             const DenseNode& dense) {
  const ValueShape& in = network_.shapes[index_of(step.input)];
  const memory::dims shape{dense.out_features, in.channels, in.height, in.width};
  const memory::desc bias({dense.out_features}, Type::f32, Tag::x);
  const memory::desc output({batch_, dense.out_features}, type_, Tag::nc);
  const dnnl::inner_product_forward::desc description(
      dnnl::prop_kind::forward_inference, layout_of(step.input),
      memory::desc(shape, type_, Tag::any), bias, output);
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

void Executor::compile_batch_norm(Compiled& compiled, const ComputationStep& step,
                                  const BatchNormNode& norm) {
  const dnnl::batch_normalization_forward::desc description(
      dnnl::prop_kind::forward_inference, layout_of(step.input), norm.epsilon,
      dnnl::normalization_flags::use_global_stats | dnnl::normalization_flags::use_scale |
          dnnl::normalization_flags::use_shift);
  const dnnl::batch_normalization_forward::primitive_desc chosen(description, attributes(step),
                                                                 cpu_);
  compiled.primitive = dnnl::batch_normalization_forward(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  const auto vector_of = [&](std::span<const float> numbers) {
    memory held({{static_cast<memory::dim>(numbers.size())}, Type::f32, Tag::x}, cpu_);
    std::copy(numbers.begin(), numbers.end(), static_cast<float*>(held.get_data_handle()));
    return held;
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

void Executor::compile_relu(Compiled& compiled, const ComputationStep& step) {
  const dnnl::eltwise_forward::desc description(dnnl::prop_kind::forward_inference,
                                                dnnl::algorithm::eltwise_relu,
                                                layout_of(step.input), 0.0f, 0.0f);
  const dnnl::eltwise_forward::primitive_desc chosen(description, attributes(step), cpu_);
  compiled.primitive = dnnl::eltwise_forward(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  compiled.operands = {{DNNL_ARG_SRC, chosen.src_desc(), step.input, {}},
                       {DNNL_ARG_DST, chosen.dst_desc(), step.output, {}}};
}

void Executor::compile_add(Compiled& compiled, const ComputationStep& step) {
  const dnnl::binary::desc description(dnnl::algorithm::binary_add, layout_of(step.input),
                                       layout_of(step.summand), layout_of(step.output));
  const dnnl::binary::primitive_desc chosen(description, attributes(step), cpu_);
  compiled.primitive = dnnl::binary(chosen);
  compiled.scratchpad = chosen.scratchpad_desc();
  compiled.operands = {{DNNL_ARG_SRC_0, chosen.src0_desc(), step.input, {}},
                       {DNNL_ARG_SRC_1, chosen.src1_desc(), step.summand, {}},
                       {DNNL_ARG_DST, chosen.dst_desc(), step.output, {}}};
}

void Executor::compile_average(Compiled& compiled, const ComputationStep& step) {
  const ValueShape& in = network_.shapes[index_of(step.input)];
  const memory::dims window{in.height, in.width};
  const dnnl::pooling_forward::desc description(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::pooling_avg_exclude_padding,
      layout_of(step.input), layout_of(step.output), window, window, {0, 0}, {0, 0});
  const dnnl::pooling_forward::primitive_desc chosen(description, attributes(step), cpu_);
  compiled.primitive = dnnl::pooling_forward(chosen);
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

void Executor::set_weights(std::size_t step, std::span<const float> weights,
                           std::span<const float> scale, std::span<const float> shift) {
  Compiled& compiled = steps_[step];
  const std::size_t rows = scale.size();
  const std::size_t columns = weights.size() / rows;
  const std::size_t inputs = compiled.staged.get_desc().get_size() / sizeof(float) / rows;
  auto* const first = static_cast<float*>(compiled.staged.get_data_handle());
  auto* const bias = static_cast<float*>(compiled.bias.get_data_handle());
  float* staged = first;
  for (std::size_t row = 0; row < rows; ++row) {
    const float* from = weights.data() + row * columns;
    const float factor = scale[row];
    for (std::size_t i = 0; i < inputs; ++i) staged[i] = factor * from[i];
    staged += inputs;
    bias[row] = shift[row] + (columns > inputs ? factor * from[inputs] : 0.0f);
  }
  if (compiled.winograd) {
    compiled.winograd->set_weights({first, rows * inputs}, {bias, rows});
    return;
  }
  const SingleThreaded guard;
  compiled.pack.execute(stream_,
                        {{DNNL_ARG_FROM, compiled.staged}, {DNNL_ARG_TO, compiled.weights}});
  stream_.wait();
}

void Executor::set_batch_norm(std::size_t step, std::span<const float> mean,
                              std::span<const float> variance) {
  std::copy(mean.begin(), mean.end(), static_cast<float*>(steps_[step].mean.get_data_handle()));
  std::copy(variance.begin(), variance.end(),
            static_cast<float*>(steps_[step].variance.get_data_handle()));
}

// ---- Workspace ---------------------------------------------------------------------------------

Workspace::Workspace(const Executor& executor) : executor_(executor), stream_(executor.cpu_) {
  const Computation& computation = executor.computation_;
  std::vector<std::size_t> bytes(computation.buffers.size(), 0);
  for (std::size_t value = 0; value < computation.buffer_of.size(); ++value) {
    if (computation.buffer_of[value] == kNone) continue;
    std::size_t& size = bytes[index_of(computation.buffer_of[value])];
    size = std::max(size, executor.layouts_[value].get_size());
  }
  for (const std::size_t size : bytes) buffers_.emplace_back(size);
  std::size_t scratch = 0;
  for (const auto& step : executor.steps_) {
    scratch = std::max(scratch,
                       step.winograd ? step.winograd->scratch_bytes() : step.scratchpad.get_size());
  }
  scratchpad_ = AlignedBytes(scratch);
  images_ = memory(executor.images_, executor.cpu_, nullptr);
  logits_.resize(executor.logits_.get_size() / sizeof(float));

  for (std::size_t i = 0; i < executor.steps_.size(); ++i) steps_.push_back(bind(i));
  const ValueId output = executor.network_.output;
  memory input = at(executor.layout_of(0), 0);
  memory result = at(executor.layout_of(output), output);
  memory logits(executor.logits_, executor.cpu_, logits_.data());
  load_.primitive = executor.load_.get();
  load_.arguments = {{DNNL_ARG_FROM, images_.get()}, {DNNL_ARG_TO, input.get()}};
  store_.primitive = executor.store_.get();
  store_.arguments = {{DNNL_ARG_FROM, result.get()}, {DNNL_ARG_TO, logits.get()}};
  bound_.insert(bound_.end(), {input, result, logits});
}

memory Workspace::at(const memory::desc& layout, ValueId value) {
  return {layout, executor_.cpu_, data(value)};
}

Workspace::Bound Workspace::bind(std::size_t step) {
  const Executor::Compiled& compiled = executor_.steps_[step];
  Bound bound;
  if (compiled.winograd) {
    const ComputationStep& planned = executor_.computation_.steps[step];
    bound.winograd = &*compiled.winograd;
    bound.input = data(planned.input);
    bound.output = data(planned.output);
    bound.accumulate = planned.summand != kNone;
    bound.relu = planned.relu;
    return bound;
  }
  bound.primitive = compiled.primitive.get();
  const auto add = [&](int argument, memory held) {
    bound.arguments.push_back({argument, held.get()});
    bound_.push_back(std::move(held));
  };
  for (const auto& operand : compiled.operands) {
    add(operand.argument,
        operand.value == kNone ? operand.constant : at(operand.layout, operand.value));
  }
  add(DNNL_ARG_SCRATCHPAD, memory(compiled.scratchpad, executor_.cpu_, scratchpad_.data()));
  return bound;
}

void Workspace::execute(const Bound& bound) {
  if (bound.winograd != nullptr) {
    bound.winograd->run(bound.input, bound.output, executor_.batch_, bound.accumulate, bound.relu,
                        scratchpad_.data());
    return;
  }
  check(dnnl_primitive_execute(bound.primitive, stream_.get(),
                               static_cast<int>(bound.arguments.size()), bound.arguments.data()),
        "could not execute a primitive");
}

void Workspace::load(const float* pixels) {
  // oneDNN takes a pointer to non-const; a source is only read.
  check(dnnl_memory_set_data_handle(images_.get(), const_cast<float*>(pixels)),  // NOLINT
        "could not set the images");
  execute(load_);
}

void Workspace::run_step(std::size_t step) { execute(steps_[step]); }

std::span<const float> Workspace::logits() {
  execute(store_);
  return logits_;
}

std::byte* Workspace::data(ValueId value) {
  return buffers_[index_of(executor_.computation_.buffer_of[index_of(value)])].data();
}

std::span<const float> Workspace::run(const float* pixels) {
  load(pixels);
  for (const Bound& step : steps_) execute(step);
  return logits();
}

}  // namespace pcmlab

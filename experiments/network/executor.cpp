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

/// Channels last: oneDNN's fastest kernels on AVX-512 and AMX, without padding channels. With
/// WinogradConv blocks of sixteen channels of a pixel, missing ones 0; but what oneDNN's first
/// convolution reads, planes.
void Executor::choose_layouts() {
  const std::vector<bool> planes = values_in_planes();
  for (std::size_t value = 0; value < network_.shapes.size(); ++value) {
    const Tag layout = !winograd_ || computation_.vectors[value] ? Tag::nhwc
                       : planes[value]                           ? Tag::nchw
                                                                 : kBlocks;
    layouts_.emplace_back(dims_of(static_cast<ValueId>(value)), type_, layout);
  }
}

/// Images of few channels on their way to a convolution of oneDNN.
std::vector<bool> Executor::values_in_planes() const {
  constexpr int kFewChannels = 3;
  std::vector<bool> possible, planes(network_.shapes.size(), false);
  for (const ValueShape& shape : network_.shapes) {
    possible.push_back(shape.channels <= kFewChannels);
  }
  const auto kind_of = [&](const ComputationStep& step) -> const NodeKind& {
    return network_.nodes[index_of(step.node)].kind;
  };
  const auto conv_of = [&](const ComputationStep& step) {
    return std::get_if<ConvNode>(&kind_of(step));
  };
  // Its primitive wants one layout for input and output.
  const auto keeps_layout = [&](const ComputationStep& step) {
    return conv_of(step) == nullptr && step.summand == kNone &&
           !std::holds_alternative<DenseNode>(kind_of(step)) &&
           !std::holds_alternative<ReshapeNode>(kind_of(step));
  };
  const auto& steps = computation_.steps;
  for (const ComputationStep& step : steps) {
    const ConvNode* conv = conv_of(step);
    if (conv != nullptr && WinogradConv::fits(*conv)) possible[index_of(step.input)] = false;
  }
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const bool wanted =
        conv_of(*step) != nullptr || (keeps_layout(*step) && planes[index_of(step->output)]);
    if (wanted && possible[index_of(step->input)]) planes[index_of(step->input)] = true;
  }
  for (const ComputationStep& step : steps) {
    if (keeps_layout(step)) planes[index_of(step.output)] = planes[index_of(step.input)];
  }
  return planes;
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
  const auto is = [&](Tag tag) {
    return layout_of(value) == memory::desc(dims_of(value), type_, tag);
  };
  if (is(Tag::nChw16c)) return {(channels + kBlockLanes - 1) / kBlockLanes, pixels, kBlockLanes};
  if (is(Tag::nchw) && !is(Tag::nhwc)) return {channels, pixels, 1};
  return {1, pixels, channels};
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
    bound.relu = compiled.winograd_relu;
    if (compiled.after) {
      memory held = at(executor_.layout_of(planned.output), planned.output);
      bound.after = {compiled.after.get(),
                     {{DNNL_ARG_SRC, held.get()}, {DNNL_ARG_DST, held.get()}}};
      bound_.push_back(std::move(held));
    }
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
  const auto run = [&](const Call& call) {
    check(dnnl_primitive_execute(call.primitive, stream_.get(),
                                 static_cast<int>(call.arguments.size()), call.arguments.data()),
          "could not execute a primitive");
  };
  if (bound.winograd == nullptr) return run(bound);
  bound.winograd->run(bound.input, bound.output, executor_.batch_, bound.accumulate, bound.relu,
                      scratchpad_.data());
  if (bound.after.primitive != nullptr) run(bound.after);
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

// SPDX-License-Identifier: Apache-2.0
/// \file
/// A computation turned into oneDNN primitives for one batch size. Internal to inference.cpp: the
/// only headers that know oneDNN are this one and those it is included from.
///
/// Thread rule: an Executor is read by several threads at once while passes run; its weights may be
/// changed only while none runs. A Workspace belongs to one thread. Primitives are built for a
/// single thread: parallelism is over batches, which needs no barrier between layers.
#pragma once

#include <dnnl.hpp>
#include <optional>
#include <span>
#include <vector>

#include "experiments/network/activations.h"
#include "experiments/network/computation.h"
#include "experiments/network/inference.h"
#include "experiments/network/network.h"
#include "experiments/network/winograd.h"

namespace pcmlab {

/// Whether oneDNN may use these instructions: the CPU has them and ONEDNN_MAX_CPU_ISA allows them.
bool cpu_has(dnnl::cpu_isa instructions);

/// While it lives, OpenMP regions started by this thread have one thread: oneDNN then computes on
/// the calling thread and sizes its primitives for that.
class SingleThreaded {
 public:
  SingleThreaded();
  ~SingleThreaded();
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int threads_before_;
};

class Workspace;

class Executor {
 public:
  /// \param network  must outlive the executor. Throws dnnl::error where oneDNN has no kernel.
  Executor(const Network& network, const Computation& computation, Precision precision, int batch);

  /// Puts scale * weights and the bias of each output row into an analog step's kernel format.
  /// \param weights  rows x columns of the analog layer, a bias as last column.
  /// \param scale,shift  per row; output = scale * (weights * input + bias) + shift.
  void set_weights(std::size_t step, std::span<const float> weights, std::span<const float> scale,
                   std::span<const float> shift);
  /// Statistics of a batch norm that is a step of its own.
  void set_batch_norm(std::size_t step, std::span<const float> mean,
                      std::span<const float> variance);

  const Computation& computation() const { return computation_; }
  int batch() const { return batch_; }
  ActivationShape activation_shape(ValueId value) const;

 private:
  friend class Workspace;

  struct Operand {
    int argument;  ///< DNNL_ARG_*
    dnnl::memory::desc layout;
    ValueId value = kNone;  ///< in the workspace; kNone = `constant`
    dnnl::memory constant;
  };
  struct Compiled {
    std::optional<WinogradConv> winograd;  ///< instead of the primitive
    bool winograd_relu = false;
    dnnl::primitive after;  ///< an activation that WinogradConv does not know, in place; or empty
    dnnl::primitive primitive;
    dnnl::memory::desc scratchpad;
    std::vector<Operand> operands;
    // Analog steps: user format (f32) to kernel format.
    dnnl::memory staged, weights, bias;
    dnnl::primitive pack;
    // Batch norm steps.
    dnnl::memory mean, variance;
  };

  // executor_kernels.cpp
  void compile(std::size_t index);
  void build(Compiled& compiled, const ComputationStep& step, const ConvNode& conv);
  void build(Compiled& compiled, const ComputationStep& step, const DenseNode& dense);
  void build(Compiled& compiled, const ComputationStep& step, const BatchNormNode& norm);
  void build(Compiled& compiled, const ComputationStep& step, const ScaleNode& scale);
  void build(Compiled& compiled, const ComputationStep& step, const ReluNode& relu);
  void build(Compiled& compiled, const ComputationStep& step, const ActivationNode& activation);
  void build(Compiled& compiled, const ComputationStep& step, const AddNode& add);
  void build(Compiled& compiled, const ComputationStep& step, const MultiplyNode& multiply);
  void build(Compiled& compiled, const ComputationStep& step, const GlobalAverageNode& average);
  void build(Compiled& compiled, const ComputationStep& step, const PoolNode& pool);
  void build(Compiled& compiled, const ComputationStep& step, const ConcatNode& concat);
  void build(Compiled& compiled, const ComputationStep& step, const PadNode& pad);
  void build(Compiled& compiled, const ComputationStep& step, const ReshapeNode& reshape);
  void build(Compiled& compiled, const ComputationStep& step, const SoftmaxNode& softmax);
  void build_binary(Compiled& compiled, const ComputationStep& step, dnnl::algorithm operation);
  dnnl::eltwise_forward::primitive_desc elementwise(const NodeKind& activation,
                                                    const dnnl::memory::desc& layout) const;
  dnnl::memory constant(const dnnl::memory::dims& dims, std::span<const float> numbers,
                        dnnl::memory::format_tag order) const;
  void compile_reorders();
  void choose_layouts();
  std::vector<bool> values_in_planes() const;
  void keep_weights(Compiled& compiled, const dnnl::memory::desc& user,
                    const dnnl::memory::desc& packed, int rows);
  dnnl::primitive_attr attributes(const ComputationStep& step) const;
  dnnl::memory::desc layout_of(ValueId value) const;
  dnnl::memory::dims dims_of(ValueId value) const;

  const Network& network_;
  Computation computation_;
  Precision precision_;
  dnnl::memory::data_type type_;
  bool winograd_;  ///< 3x3 convolutions run in WinogradConv
  int batch_;
  dnnl::engine cpu_;
  dnnl::stream stream_;  ///< for weights only
  std::vector<Compiled> steps_;
  std::vector<dnnl::memory::desc> layouts_;  ///< by ValueId
  dnnl::memory::desc images_;                ///< f32 [batch][channels][height][width]
  dnnl::memory::desc logits_;                ///< f32 [batch][classes]
  dnnl::primitive load_, store_;             ///< between these and the first and last value
};

/// Memory and bound arguments of one thread.
class Workspace {
 public:
  explicit Workspace(const Executor& executor);

  /// The whole computation. \param pixels  a full batch.  \return logits, valid until the next run.
  std::span<const float> run(const float* pixels);

  // The same in pieces, for looking at values between steps.
  void load(const float* pixels);
  void run_step(std::size_t step);
  std::span<const float> logits();  ///< of the last value, valid until the next call
  std::byte* data(ValueId value);   ///< a whole batch of a stored value

 private:
  struct Call {
    const_dnnl_primitive_t primitive = nullptr;
    std::vector<dnnl_exec_arg_t> arguments;
  };
  /// A primitive or, if `winograd` is set, that and what follows it.
  struct Bound : Call {
    const WinogradConv* winograd = nullptr;
    Call after;
    const std::byte* input = nullptr;
    std::byte* output = nullptr;
    bool accumulate = false, relu = false;
  };
  dnnl::memory at(const dnnl::memory::desc& layout, ValueId value);
  Bound bind(std::size_t step);
  void execute(const Bound& bound);

  const Executor& executor_;
  dnnl::stream stream_;
  std::vector<AlignedBytes> buffers_;
  std::vector<dnnl::memory> bound_;  ///< keeps every memory object alive that Bound refers to
  AlignedBytes scratchpad_;
  dnnl::memory images_;
  std::vector<float> logits_;
  std::vector<Bound> steps_;
  Bound load_, store_;
};

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
// Weights are leaves in the precision of the pass; their gradients go to the caller's float32
// values (straight through whatever noise the caller has put on them).
#include "experiments/network/training/torch_gradients.h"

#include <ATen/Parallel.h>
#include <ATen/core/Reduction.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/batch_norm_update_stats.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <thread>

#include "experiments/network/training/trainable.h"

namespace pcmlab::training {
namespace {

using at::Tensor;

constexpr double kStatisticsMomentum = 0.1;

Tensor wrap(float* numbers, at::IntArrayRef sizes, at::IntArrayRef strides) {
  return at::from_blob(numbers, sizes, strides, at::kFloat);
}
Tensor wrap(float* numbers, std::size_t count) {
  return at::from_blob(numbers, {static_cast<std::int64_t>(count)}, at::kFloat);
}

/// Views of one layer's weights and bias in a vector of values.
struct LayerViews {
  Tensor weights, bias;
};

LayerViews views_of(const Node& node, const Trainable::Layer& layer, std::span<float> values) {
  float* const first = weights_in(values, layer).data();
  const std::int64_t columns = layer.columns;
  const std::int64_t inputs = columns - (layer.biased ? 1 : 0);
  LayerViews views;
  if (const auto* conv = std::get_if<ConvNode>(&node.kind)) {
    const std::int64_t h = conv->kernel_h;
    const std::int64_t w = conv->kernel_w;
    views.weights = wrap(first, {layer.rows, inputs / (h * w), h, w}, {columns, h * w, w, 1});
  } else {
    views.weights = wrap(first, {layer.rows, inputs}, {columns, 1});
  }
  if (layer.biased) views.bias = wrap(first + inputs, {layer.rows}, {columns});
  return views;
}

class TorchGradients final : public GradientEngine {
 public:
  TorchGradients(const Network& network, Precision precision)
      : network_(network),
        trainable_(network),
        dtype_(precision == Precision::Bfloat16 ? at::kBFloat16 : at::kFloat),
        layer_of_(network.nodes.size(), -1),
        norm_of_(network.nodes.size(), -1),
        overwrites_(network.nodes.size(), false) {
    network_.file = {};
    for (std::size_t i = 0; i < trainable_.layers().size(); ++i) {
      layer_of_[static_cast<std::size_t>(trainable_.layers()[i].node)] = static_cast<int>(i);
    }
    for (std::size_t i = 0; i < trainable_.norms().size(); ++i) {
      norm_of_[static_cast<std::size_t>(trainable_.norms()[i].node)] = static_cast<int>(i);
    }
    find_overwriters();
  }

  static Result<void> check(const Network& network) {
    for (const Node& node : network.nodes) {
      bool known = std::visit(
          [](const auto& kind) {
            return requires(const TorchGradients& t, Pass& pass) { t.compute(kind, 0, pass); };
          },
          node.kind);
      if (const auto* pool = std::get_if<PoolNode>(&node.kind)) {
        // libtorch pads both sides alike.
        known = pool->pads[0] == pool->pads[2] && pool->pads[1] == pool->pads[3];
      }
      if (known) continue;
      return fail(
          ErrorCode::BadNetwork,
          fmt::format("network {}: node {} cannot be trained", network.name, node.name),
          "what can be trained: Conv, BatchNormalization, Relu, Add, Gemm, global average, and "
          "pools with equal pads on both sides");
    }
    return {};
  }

  Result<Step> step(const Batch& batch, double label_smoothing, Statistics normalised_with,
                    std::span<const float> values, std::span<float> statistics,
                    std::span<float> gradients) override {
    return guarded<Step>([&] {
      Pass pass{true, normalised_with, dtype_, nullptr, {}, {}, {}};
      bring(values, statistics, pass);
      const Tensor logits = forward(batch, pass);
      const Tensor labels = at::from_blob(const_cast<std::int64_t*>(batch.labels.data()),
                                          {static_cast<std::int64_t>(batch.count)}, at::kLong);
      const Tensor loss =
          at::cross_entropy_loss(logits, labels, {}, at::Reduction::Mean, -100, label_smoothing);
      loss.backward();
      collect(pass, gradients);
      const Tensor correct = logits.detach().argmax(1).eq(labels).sum();
      return Step{loss.item().toDouble(), correct.item().toLong()};
    });
  }

  Result<std::vector<float>> logits(const Batch& batch, std::span<const float> values,
                                    std::span<const float> statistics) override {
    return guarded<std::vector<float>>([&] {
      const Tensor out = infer(batch, values, statistics, nullptr).contiguous();
      const auto* first = out.data_ptr<float>();
      return std::vector<float>(first, first + out.numel());
    });
  }

  Result<std::vector<float>> measure_statistics(const Batch& batch, std::span<const float> values,
                                                std::span<const float> statistics) override {
    return guarded<std::vector<float>>([&] {
      std::vector<float> measured(statistics.size());
      infer(batch, values, statistics, measured.data());
      return measured;
    });
  }

 private:
  struct NormLeaves {
    Tensor gamma, beta, mean, variance;
  };
  /// What one pass works on.
  struct Pass {
    bool training = false;
    Statistics normalised_with = Statistics::OfBatch;
    at::ScalarType dtype = at::kFloat;
    float* measured = nullptr;  ///< where to put the statistics of what batch norms get, or null
    std::vector<LayerViews> layers;
    std::vector<NormLeaves> norms;
    std::vector<Tensor> values;  ///< by ValueId
  };

  template <class T, class Function>
  static Result<T> guarded(Function function) {
    try {
      return function();
    } catch (const c10::Error& error) {
      return fail(ErrorCode::Internal, fmt::format("libtorch: {}", error.what_without_backtrace()),
                  "this is a bug in pcmlab, or libtorch is damaged");
    }
  }

  void find_overwriters() {
    std::vector<int> readers(network_.shapes.size(), 0);
    std::vector<bool> needed(network_.shapes.size(), false);
    needed[0] = true;
    for (const Node& node : network_.nodes) {
      for (const ValueId input : node.inputs) ++readers[static_cast<std::size_t>(input)];
      const bool relu = std::holds_alternative<ReluNode>(node.kind);
      if (relu) needed[static_cast<std::size_t>(node.output)] = true;
    }
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
      const auto value = static_cast<std::size_t>(network_.nodes[i].inputs[0]);
      overwrites_[i] = readers[value] == 1 && !needed[value];
    }
  }

  void bring(std::span<const float> values, std::span<float> statistics, Pass& pass) const {
    // from_blob() takes no const; nothing writes to these.
    const std::span<float> numbers(const_cast<float*>(values.data()), values.size());
    const auto leaf = [&](const Tensor& view) {
      if (!view.defined()) return Tensor();
      Tensor made = view.to(pass.dtype);
      if (made.dim() == 4) made = made.contiguous(at::MemoryFormat::ChannelsLast);
      if (made.is_alias_of(view)) made = made.clone();
      return made.set_requires_grad(pass.training);
    };
    for (const Trainable::Layer& layer : trainable_.layers()) {
      const Node& node = network_.nodes[static_cast<std::size_t>(layer.node)];
      const LayerViews views = views_of(node, layer, numbers);
      pass.layers.push_back({leaf(views.weights), leaf(views.bias)});
    }
    for (const Trainable::Norm& norm : trainable_.norms()) {
      const std::size_t n = norm.channels;
      float* const gamma = numbers.data() + norm.first_value;
      float* const mean = statistics.data() + norm.first_statistic;
      NormLeaves leaves{wrap(gamma, n), wrap(gamma + n, n), wrap(mean, n), wrap(mean + n, n)};
      leaves.gamma.set_requires_grad(pass.training);
      leaves.beta.set_requires_grad(pass.training);
      pass.norms.push_back(std::move(leaves));
    }
  }

  /// \return logits, computed in float32
  Tensor infer(const Batch& batch, std::span<const float> values, std::span<const float> statistics,
               float* measured) const {
    const c10::AutoGradMode no_gradients(false);
    Pass pass{false, Statistics::Fixed, at::kFloat, measured, {}, {}, {}};
    std::vector<float> numbers(statistics.begin(), statistics.end());
    bring(values, numbers, pass);
    return forward(batch, pass);
  }

  /// \return logits in float32
  Tensor forward(const Batch& batch, Pass& pass) const {
    const ValueShape& in = network_.shapes.front();
    const std::int64_t c = in.channels;
    const std::int64_t h = in.height;
    const std::int64_t w = in.width;
    pass.values.resize(network_.shapes.size());
    pass.values[0] =
        wrap(const_cast<float*>(batch.pixels.data()),
             {static_cast<std::int64_t>(batch.count), c, h, w}, {h * w * c, 1, w * c, c})
            .to(pass.dtype);
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
      const Node& node = network_.nodes[i];
      pass.values[static_cast<std::size_t>(node.output)] =
          std::visit([&](const auto& kind) { return compute_if_known(kind, i, pass); }, node.kind);
    }
    return pass.values[static_cast<std::size_t>(network_.output)].flatten(1).to(at::kFloat);
  }

  Tensor input(std::size_t node, std::size_t i, const Pass& pass) const {
    return pass.values[static_cast<std::size_t>(network_.nodes[node].inputs[i])];
  }
  template <class Kind>
  Tensor compute_if_known(const Kind& kind, std::size_t node, Pass& pass) const {
    if constexpr (requires { compute(kind, node, pass); }) return compute(kind, node, pass);
    return {};  // check() has refused it
  }

  Tensor compute(const ConvNode& conv, std::size_t node, Pass& pass) const {
    Tensor in = input(node, 0, pass);
    std::array<std::int64_t, 2> padding{conv.pads[0], conv.pads[1]};
    if (conv.pads[0] != conv.pads[2] || conv.pads[1] != conv.pads[3]) {
      in = at::constant_pad_nd(in, {conv.pads[1], conv.pads[3], conv.pads[0], conv.pads[2]});
      padding = {0, 0};
    }
    const LayerViews& leaves = pass.layers[static_cast<std::size_t>(layer_of_[node])];
    const std::array<std::int64_t, 2> stride{conv.stride_h, conv.stride_w};
    const std::array<std::int64_t, 2> dilation{conv.dilation_h, conv.dilation_w};
    const std::array<std::int64_t, 2> none{0, 0};
    return at::convolution(in, leaves.weights, leaves.bias, stride, padding, dilation, false, none,
                           conv.groups);
  }

  Tensor compute(const BatchNormNode& norm, std::size_t node, Pass& pass) const {
    const auto index = static_cast<std::size_t>(norm_of_[node]);
    const NormLeaves& leaves = pass.norms[index];
    const Tensor in = input(node, 0, pass);
    if (pass.measured != nullptr) {
      const Trainable::Norm& where = trainable_.norms()[index];
      const Tensor mean = wrap(pass.measured + where.first_statistic, where.channels);
      const Tensor variance =
          wrap(pass.measured + where.first_statistic + where.channels, where.channels);
      at::batch_norm_update_stats(in, mean, variance, 1);
    }
    const bool of_batch = pass.normalised_with == Statistics::OfBatch;
    return at::batch_norm(in, leaves.gamma, leaves.beta, leaves.mean, leaves.variance, of_batch,
                          kStatisticsMomentum, norm.epsilon, false);
  }

  Tensor compute(const ReluNode&, std::size_t node, Pass& pass) const {
    Tensor in = input(node, 0, pass);
    return overwrites_[node] ? in.relu_() : in.relu();
  }

  Tensor compute(const AddNode&, std::size_t node, Pass& pass) const {
    Tensor a = input(node, 0, pass);
    const Tensor b = input(node, 1, pass);
    return overwrites_[node] ? a.add_(b) : a.add(b);
  }

  Tensor compute(const PoolNode& pool, std::size_t node, Pass& pass) const {
    const Tensor in = input(node, 0, pass);
    const std::array<std::int64_t, 2> kernel{pool.kernel_h, pool.kernel_w};
    const std::array<std::int64_t, 2> stride{pool.stride_h, pool.stride_w};
    const std::array<std::int64_t, 2> padding{pool.pads[0], pool.pads[1]};
    const std::array<std::int64_t, 2> dilation{pool.dilation_h, pool.dilation_w};
    if (pool.kind == PoolNode::Kind::Max) {
      return at::max_pool2d(in, kernel, stride, padding, dilation, pool.ceil);
    }
    return at::avg_pool2d(in, kernel, stride, padding, pool.ceil, pool.count_pads);
  }

  Tensor compute(const GlobalAverageNode&, std::size_t node, Pass& pass) const {
    return input(node, 0, pass).mean({2, 3}, true);
  }

  Tensor compute(const DenseNode&, std::size_t node, Pass& pass) const {
    const LayerViews& leaves = pass.layers[static_cast<std::size_t>(layer_of_[node])];
    const Tensor out = at::linear(input(node, 0, pass).flatten(1), leaves.weights, leaves.bias);
    return out.reshape({out.size(0), out.size(1), 1, 1});
  }

  void collect(const Pass& pass, std::span<float> gradients) const {
    const auto copy = [](const Tensor& leaf, const Tensor& to) {
      if (!to.defined()) return;
      if (leaf.grad().defined()) {
        to.copy_(leaf.grad());
      } else {
        to.zero_();
      }
    };
    const c10::AutoGradMode no_gradients(false);
    for (std::size_t i = 0; i < pass.layers.size(); ++i) {
      const Trainable::Layer& layer = trainable_.layers()[i];
      const Node& node = network_.nodes[static_cast<std::size_t>(layer.node)];
      const LayerViews to = views_of(node, layer, gradients);
      copy(pass.layers[i].weights, to.weights);
      copy(pass.layers[i].bias, to.bias);
    }
    for (std::size_t i = 0; i < pass.norms.size(); ++i) {
      const Trainable::Norm& norm = trainable_.norms()[i];
      float* const first = gradients.data() + norm.first_value;
      copy(pass.norms[i].gamma, wrap(first, norm.channels));
      copy(pass.norms[i].beta, wrap(first + norm.channels, norm.channels));
    }
  }

  Network network_;  ///< its nodes; the numbers come with each call
  Trainable trainable_;
  at::ScalarType dtype_;
  std::vector<int> layer_of_;  ///< by node: index into Trainable::layers(), or -1
  std::vector<int> norm_of_;
  /// By node: whether it may overwrite its first input, because nobody else reads it and whoever
  /// made it does not need it on the way back.
  std::vector<bool> overwrites_;
};

/// Activations are allocated and freed again in every pass; from the kernel each time they would
/// be zeroed page by page.
void keep_memory() {
  constexpr int kMost = 2'000'000'000;
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, kMost);
  constexpr int kGrowth = 256 << 20;
  mallopt(M_TOP_PAD, kGrowth);
}

}  // namespace

Result<std::unique_ptr<GradientEngine>> torch_gradients(const Network& network, Precision precision,
                                                        int threads) {
  PCM_TRY(TorchGradients::check(network));
  keep_memory();
  at::set_num_threads(threads > 0 ? threads
                                  : static_cast<int>(std::thread::hardware_concurrency()));
  return std::make_unique<TorchGradients>(network, precision);
}

}  // namespace pcmlab::training

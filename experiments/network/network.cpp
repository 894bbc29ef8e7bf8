// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <type_traits>

namespace pcmlab {
namespace {

std::string text_of(const ValueShape& shape) {
  return fmt::format("{}x{}x{}", shape.channels, shape.height, shape.width);
}

tl::unexpected<Error> mismatch(const Node& node, const std::string& what) {
  return fail(ErrorCode::BadNetwork, fmt::format("node {}: {}", node.name, what));
}

std::int64_t elements(const ValueShape& shape) {
  return std::int64_t{shape.channels} * shape.height * shape.width;
}

/// Positions of a window along one axis; below 1 if it does not fit.
std::int64_t positions(std::int64_t size, int pad_before, int pad_after, int kernel, int dilation,
                       int stride, bool ceil = false) {
  const std::int64_t window = std::int64_t{dilation} * (kernel - 1) + 1;
  const std::int64_t room = size + pad_before + pad_after - window;
  if (room < 0) return 0;
  std::int64_t count = (ceil ? room + stride - 1 : room) / stride + 1;
  // A window that begins behind the image is none (as in PyTorch).
  if (ceil && (count - 1) * stride >= size + pad_before) --count;
  return count;
}

template <class Window>
Result<ValueShape> shape_after_window(const Node& node, const Window& window, int channels,
                                      const ValueShape& in, bool ceil) {
  const std::int64_t height = positions(in.height, window.pads[0], window.pads[2], window.kernel_h,
                                        window.dilation_h, window.stride_h, ceil);
  const std::int64_t width = positions(in.width, window.pads[1], window.pads[3], window.kernel_w,
                                       window.dilation_w, window.stride_w, ceil);
  if (height < 1 || width < 1) {
    return mismatch(node, fmt::format("its {}x{} kernel is larger than its padded input {}",
                                      window.kernel_h, window.kernel_w, text_of(in)));
  }
  return ValueShape{channels, static_cast<int>(height), static_cast<int>(width)};
}

Result<ValueShape> shape_after(const Node& node, const ConvNode& conv,
                               std::span<const ValueShape> in) {
  if (in[0].channels != conv.in_channels) {
    return mismatch(node, fmt::format("its weights are for {} input channels, its input is {}",
                                      conv.in_channels, text_of(in[0])));
  }
  return shape_after_window(node, conv, conv.out_channels, in[0], false);
}

Result<ValueShape> shape_after(const Node& node, const PoolNode& pool,
                               std::span<const ValueShape> in) {
  return shape_after_window(node, pool, in[0].channels, in[0], pool.ceil);
}

Result<ValueShape> shape_after(const Node& node, const BatchNormNode& norm,
                               std::span<const ValueShape> in) {
  if (norm.gamma.size() != static_cast<std::size_t>(in[0].channels)) {
    return mismatch(node, fmt::format("it has statistics of {} channels, its input is {}",
                                      norm.gamma.size(), text_of(in[0])));
  }
  return in[0];
}

Result<ValueShape> shape_after(const Node& node, const ScaleNode& scale,
                               std::span<const ValueShape> in) {
  if (scale.scale.size() != static_cast<std::size_t>(in[0].channels)) {
    return mismatch(node, fmt::format("it has constants of {} channels, its input is {}",
                                      scale.scale.size(), text_of(in[0])));
  }
  return in[0];
}

Result<ValueShape> shape_after(const Node& node, const DenseNode& dense,
                               std::span<const ValueShape> in) {
  if (elements(in[0]) != dense.in_features) {
    return mismatch(node, fmt::format("its weights are for {} inputs, its input is {}",
                                      dense.in_features, text_of(in[0])));
  }
  return ValueShape{dense.out_features, 1, 1};
}

Result<ValueShape> shape_after(const Node& node, const AddNode& /*add*/,
                               std::span<const ValueShape> in) {
  if (in[0] == in[1]) return in[0];
  return mismatch(node, fmt::format("cannot add shapes {} and {}", text_of(in[0]), text_of(in[1])));
}

Result<ValueShape> shape_after(const Node& node, const MultiplyNode& /*multiply*/,
                               std::span<const ValueShape> in) {
  const ValueShape &a = in[0], &b = in[1];
  const bool pixels = b.height == a.height && b.width == a.width;
  if (pixels && (b.channels == a.channels || b.channels == 1)) return a;
  if (b.channels == a.channels && b.height == 1 && b.width == 1) return a;
  return mismatch(node, fmt::format("cannot multiply shapes {} and {}", text_of(a), text_of(b)));
}

Result<ValueShape> shape_after(const Node& node, const ConcatNode& /*concat*/,
                               std::span<const ValueShape> in) {
  std::int64_t channels = 0;
  for (const ValueShape& shape : in) {
    channels += shape.channels;
    if (shape.height != in[0].height || shape.width != in[0].width || channels > (1 << 28)) {
      return mismatch(node, fmt::format("cannot join the channels of shapes {} and {}",
                                        text_of(in[0]), text_of(shape)));
    }
  }
  return ValueShape{static_cast<int>(channels), in[0].height, in[0].width};
}

Result<ValueShape> shape_after(const Node& node, const ReshapeNode& reshape,
                               std::span<const ValueShape> in) {
  const ValueShape to{reshape.channels, reshape.height, reshape.width};
  if (elements(in[0]) == elements(to)) return to;
  return mismatch(node, fmt::format("cannot reshape {} to {}", text_of(in[0]), text_of(to)));
}

Result<ValueShape> shape_after(const Node& /*node*/, const PadNode& pad,
                               std::span<const ValueShape> in) {
  return ValueShape{in[0].channels, in[0].height + pad.pads[0] + pad.pads[2],
                    in[0].width + pad.pads[1] + pad.pads[3]};
}

Result<ValueShape> shape_after(const Node& /*node*/, const GlobalAverageNode& /*average*/,
                               std::span<const ValueShape> in) {
  return ValueShape{in[0].channels, 1, 1};
}

/// ReLU, other activations, softmax.
template <class Kind>
Result<ValueShape> shape_after(const Node& /*node*/, const Kind& /*kind*/,
                               std::span<const ValueShape> in) {
  return in[0];
}

bool has_weights(const Node& node) {
  return std::holds_alternative<ConvNode>(node.kind) ||
         std::holds_alternative<DenseNode>(node.kind);
}

void append(WeightSet& set, const Node& node, std::size_t index, std::int64_t rows,
            std::span<const float> weights, std::span<const float> bias) {
  const auto inputs = static_cast<std::int64_t>(weights.size()) / rows;
  set.layers.push_back({.name = node.name,
                        .node = static_cast<int>(index),
                        .rows = rows,
                        .columns = inputs + (bias.empty() ? 0 : 1),
                        .first_weight = static_cast<std::int64_t>(set.values.size())});
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto from = weights.begin() + row * inputs;
    set.values.insert(set.values.end(), from, from + inputs);
    if (!bias.empty()) set.values.push_back(bias[static_cast<std::size_t>(row)]);
  }
}

WeightSet weights_where(const Network& network, bool digital) {
  WeightSet set;
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const Node& node = network.nodes[i];
    if (node.digital != digital) continue;
    if (const auto* conv = std::get_if<ConvNode>(&node.kind)) {
      append(set, node, i, conv->out_channels, conv->weights, conv->bias);
    } else if (const auto* dense = std::get_if<DenseNode>(&node.kind)) {
      append(set, node, i, dense->out_features, dense->weights, dense->bias);
    }
  }
  return set;
}

}  // namespace

Result<ValueShape> output_shape(const Node& node, std::span<const ValueShape> inputs) {
  return std::visit([&](const auto& kind) { return shape_after(node, kind, inputs); }, node.kind);
}

Result<void> choose_digital_layers(Network& network, std::span<const std::string> names) {
  std::vector<Node*> layers;
  std::vector<std::string> known;
  for (Node& node : network.nodes) {
    node.digital = false;
    if (!has_weights(node)) continue;
    layers.push_back(&node);
    known.push_back(node.module.empty() ? node.name : node.module);
  }
  const std::string advice =
      fmt::format("Its layers are {}; the first and the last are also \"first\" and \"last\".",
                  fmt::join(known, ", "));
  for (const std::string& name : names) {
    std::vector<Node*> called;
    std::copy_if(layers.begin(), layers.end(), std::back_inserter(called), [&](const Node* layer) {
      return layer->name == name || (layer->module == name && !name.empty());
    });
    if (called.empty() && !layers.empty() && (name == "first" || name == "last")) {
      called.push_back(name == "first" ? layers.front() : layers.back());
    }
    if (called.size() != 1) {
      return fail(
          ErrorCode::BadNetwork,
          fmt::format("network {} has {} called \"{}\"", network.name,
                      called.empty() ? "no layer" : fmt::format("{} layers", called.size()), name),
          advice);
    }
    called.front()->digital = true;
  }
  const auto stays = [](const Node* layer) { return layer->digital; };
  if (std::all_of(layers.begin(), layers.end(), stays)) {
    return fail(ErrorCode::BadNetwork,
                fmt::format("network {} has no layer for the chip: {}", network.name,
                            layers.empty() ? "none has weights" : "all are digital"),
                layers.empty() ? "" : "Leave at least one layer analog.");
  }
  return {};
}

WeightSet weights_of(const Network& network) { return weights_where(network, false); }

WeightSet digital_weights_of(const Network& network) { return weights_where(network, true); }

}  // namespace pcmlab

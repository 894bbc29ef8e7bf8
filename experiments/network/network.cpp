// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/network.h"

#include <fmt/format.h>

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

Result<ValueShape> shape_after(const Node& node, const ConvNode& conv, const ValueShape& in) {
  if (in.channels != conv.in_channels) {
    return mismatch(node, fmt::format("its weights are for {} input channels, its input is {}",
                                      conv.in_channels, text_of(in)));
  }
  const int tall = in.height + conv.pads[0] + conv.pads[2] - conv.kernel_h;
  const int wide = in.width + conv.pads[1] + conv.pads[3] - conv.kernel_w;
  if (tall < 0 || wide < 0) {
    return mismatch(node, fmt::format("its {}x{} kernel is larger than its padded input {}",
                                      conv.kernel_h, conv.kernel_w, text_of(in)));
  }
  return ValueShape{conv.out_channels, tall / conv.stride_h + 1, wide / conv.stride_w + 1};
}

Result<ValueShape> shape_after(const Node& node, const BatchNormNode& norm, const ValueShape& in) {
  if (norm.gamma.size() != static_cast<std::size_t>(in.channels)) {
    return mismatch(node, fmt::format("it has statistics of {} channels, its input is {}",
                                      norm.gamma.size(), text_of(in)));
  }
  return in;
}

Result<ValueShape> shape_after(const Node& node, const DenseNode& dense, const ValueShape& in) {
  if (elements(in) != dense.in_features) {
    return mismatch(node, fmt::format("its weights are for {} inputs, its input is {}",
                                      dense.in_features, text_of(in)));
  }
  return ValueShape{dense.out_features, 1, 1};
}

}  // namespace

Result<ValueShape> output_shape(const Node& node, std::span<const ValueShape> inputs) {
  const ValueShape& in = inputs[0];
  return std::visit(
      [&](const auto& kind) -> Result<ValueShape> {
        using Kind = std::decay_t<decltype(kind)>;
        if constexpr (std::is_same_v<Kind, AddNode>) {
          if (inputs[0] != inputs[1]) {
            return mismatch(node, fmt::format("cannot add shapes {} and {}", text_of(inputs[0]),
                                              text_of(inputs[1])));
          }
          return in;
        } else if constexpr (std::is_same_v<Kind, ReluNode>) {
          return in;
        } else if constexpr (std::is_same_v<Kind, GlobalAverageNode>) {
          return ValueShape{in.channels, 1, 1};
        } else {
          return shape_after(node, kind, in);
        }
      },
      node.kind);
}

WeightSet weights_of(const Network& network) {
  WeightSet set;
  const auto append = [&](int index, std::int64_t rows, std::span<const float> weights,
                          std::span<const float> bias) {
    const auto inputs = static_cast<std::int64_t>(weights.size()) / rows;
    set.layers.push_back({.name = network.nodes[static_cast<std::size_t>(index)].name,
                          .node = index,
                          .rows = rows,
                          .columns = inputs + (bias.empty() ? 0 : 1),
                          .first_weight = static_cast<std::int64_t>(set.values.size())});
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto from = weights.begin() + row * inputs;
      set.values.insert(set.values.end(), from, from + inputs);
      if (!bias.empty()) set.values.push_back(bias[static_cast<std::size_t>(row)]);
    }
  };
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const NodeKind& kind = network.nodes[i].kind;
    if (const auto* conv = std::get_if<ConvNode>(&kind)) {
      append(static_cast<int>(i), conv->out_channels, conv->weights, conv->bias);
    } else if (const auto* dense = std::get_if<DenseNode>(&kind)) {
      append(static_cast<int>(i), dense->out_features, dense->weights, dense->bias);
    }
  }
  return set;
}

}  // namespace pcmlab

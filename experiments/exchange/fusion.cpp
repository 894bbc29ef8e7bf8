// SPDX-License-Identifier: Apache-2.0
#include "experiments/exchange/fusion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pcmlab {
namespace {

constexpr float kZeroClip = 1e-10f;  ///< aihwkit's: the largest weight of a row at least

/// A layer without its biases.
struct Matrix {
  const AnalogLayer* layer;
  std::string name;  ///< of the PyTorch module if it is known, else of the node
  std::size_t rows, columns, stride;
  bool convolution;

  std::size_t weight(std::size_t row, std::size_t column) const {
    return static_cast<std::size_t>(layer->first_weight) + row * stride + column;
  }
};

std::vector<Matrix> matrices_of(const Network& network, const WeightSet& weights) {
  std::vector<Matrix> matrices;
  for (const AnalogLayer& layer : weights.layers) {
    const Node& node = network.nodes[static_cast<std::size_t>(layer.node)];
    const NodeKind& kind = node.kind;
    const auto* conv = std::get_if<ConvNode>(&kind);
    const bool bias =
        conv != nullptr ? !conv->bias.empty() : !std::get<DenseNode>(kind).bias.empty();
    const auto stride = static_cast<std::size_t>(layer.columns);
    matrices.push_back({&layer, node.module.empty() ? node.name : node.module,
                        static_cast<std::size_t>(layer.rows), stride - (bias ? 1 : 0), stride,
                        conv != nullptr});
  }
  return matrices;
}

struct Range {
  std::size_t begin, end;
};

/// As few parts as are allowed, the first ones one longer where they cannot be equal.
std::vector<Range> parts_of(std::size_t size, std::size_t most) {
  const std::size_t count = most == 0 || most >= size ? 1 : (size + most - 1) / most;
  std::vector<Range> parts;
  for (std::size_t part = 0, begin = 0; part < count; ++part) {
    const std::size_t end = begin + size / count + (part < size % count ? 1 : 0);
    parts.push_back({begin, end});
    begin = end;
  }
  return parts;
}

/// g_max / max|W| of a row in a tile, in aihwkit's float32.
float scale_of(const Matrix& matrix, std::size_t row, Range columns, const WeightSet& weights,
               Conductance g_max) {
  float largest = 0;
  for (std::size_t column = columns.begin; column < columns.end; ++column) {
    largest = std::max(largest, std::abs(weights.values[matrix.weight(row, column)]));
  }
  return static_cast<float>(g_max.uS()) / std::max(largest, kZeroClip);
}

/// Every weight's index and scale in the order of the file: the tiles of the first inputs, then
/// those of the next; in a tile [output][input].
template <class Visit>
void visit_weights(const Matrix& matrix, const WeightSet& weights, const FusionConverter& converter,
                   Visit visit) {
  for (const Range columns : parts_of(matrix.columns, converter.most_inputs)) {
    for (const Range rows : parts_of(matrix.rows, converter.most_outputs)) {
      for (std::size_t row = rows.begin; row < rows.end; ++row) {
        const float scale = scale_of(matrix, row, columns, weights, converter.g_max);
        for (std::size_t column = columns.begin; column < columns.end; ++column) {
          visit(matrix.weight(row, column), scale);
        }
      }
    }
  }
}

}  // namespace

std::vector<FusionLayer> fusion_layers(const Network& network, const FusionConverter& converter,
                                       std::span<const float> magnitudes) {
  const WeightSet weights = weights_of(network);
  std::vector<FusionLayer> layers;
  for (const Matrix& matrix : matrices_of(network, weights)) {
    FusionLayer layer;
    layer.id = std::to_string(matrix.layer->node + 1);
    layer.class_name = matrix.convolution ? "AnalogConv2d" : "AnalogLinear";
    layer.name = matrix.name;
    layer.height = static_cast<std::int64_t>(matrix.rows);
    layer.width = static_cast<std::int64_t>(matrix.columns);
    layer.g_uS.reserve(matrix.rows * matrix.columns);
    const auto g_max = static_cast<float>(converter.g_max.uS());
    visit_weights(matrix, weights, converter, [&](std::size_t w, float scale) {
      layer.g_uS.push_back(magnitudes.empty() ? std::min(std::abs(weights.values[w] * scale), g_max)
                                              : magnitudes[w] * scale);
    });
    layers.push_back(std::move(layer));
  }
  return layers;
}

Result<void> take_header(std::vector<FusionLayer>& layers, const std::vector<FusionLayer>& other,
                         const std::string& source) {
  const auto bad = [&](const std::string& what) {
    return fail(ErrorCode::BadFile, fmt::format("{}: {}", source, what),
                "give the file that fusion_export() wrote for the same network");
  };
  if (layers.size() != other.size()) {
    return bad(fmt::format("{} layers, but the network has {}", other.size(), layers.size()));
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].height != other[i].height || layers[i].width != other[i].width) {
      return bad(
          fmt::format("layer {} (\"{}\") has {} x {} weights, but \"{}\" of the network has "
                      "{} x {}",
                      i + 1, other[i].name, other[i].height, other[i].width, layers[i].name,
                      layers[i].height, layers[i].width));
    }
    layers[i].id = other[i].id;
    layers[i].class_name = other[i].class_name;
    layers[i].name = other[i].name;
  }
  return {};
}

Result<std::vector<float>> fusion_weights(const Network& network,
                                          const std::vector<FusionLayer>& layers,
                                          const FusionConverter& converter,
                                          const std::string& source) {
  const WeightSet own_weights = weights_of(network);
  WeightSet weights = own_weights;
  std::vector<FusionLayer> own = fusion_layers(network, converter);
  PCM_TRY(take_header(own, layers, source));  // the same sizes
  const std::vector<Matrix> matrices = matrices_of(network, own_weights);
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    auto g_uS = layers[i].g_uS.begin();
    visit_weights(matrices[i], own_weights, converter, [&](std::size_t w, float scale) {
      float& weight = weights.values[w];
      weight = weight == 0 ? 0 : std::copysign(1.0f, weight) * *g_uS / scale;
      ++g_uS;
    });
  }
  return weights.values;
}

}  // namespace pcmlab

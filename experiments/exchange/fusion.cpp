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

/// g_max / max|W| of a row, in aihwkit's float32.
float scale_of(const Matrix& matrix, std::size_t row, const WeightSet& weights, Conductance g_max) {
  float largest = 0;
  for (std::size_t column = 0; column < matrix.columns; ++column) {
    largest = std::max(largest, std::abs(weights.values[matrix.weight(row, column)]));
  }
  return static_cast<float>(g_max.uS()) / std::max(largest, kZeroClip);
}

}  // namespace

std::vector<FusionLayer> fusion_layers(const Network& network, Conductance g_max,
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
    for (std::size_t row = 0; row < matrix.rows; ++row) {
      const float scale = scale_of(matrix, row, weights, g_max);
      for (std::size_t column = 0; column < matrix.columns; ++column) {
        const std::size_t w = matrix.weight(row, column);
        layer.g_uS.push_back(magnitudes.empty() ? std::min(std::abs(weights.values[w] * scale),
                                                           static_cast<float>(g_max.uS()))
                                                : magnitudes[w] * scale);
      }
    }
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
                                          const std::vector<FusionLayer>& layers, Conductance g_max,
                                          const std::string& source) {
  WeightSet weights = weights_of(network);
  std::vector<FusionLayer> own = fusion_layers(network, g_max);
  PCM_TRY(take_header(own, layers, source));  // the same sizes
  const std::vector<Matrix> matrices = matrices_of(network, weights);
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    const Matrix& matrix = matrices[i];
    for (std::size_t row = 0; row < matrix.rows; ++row) {
      const float scale = scale_of(matrix, row, weights, g_max);
      for (std::size_t column = 0; column < matrix.columns; ++column) {
        float& weight = weights.values[matrix.weight(row, column)];
        const float g_uS = layers[i].g_uS[row * matrix.columns + column];
        weight = weight == 0 ? 0 : std::copysign(1.0f, weight) * g_uS / scale;
      }
    }
  }
  return weights.values;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "tests/experiments/network/reference_network.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <type_traits>

#include "tests/experiments/network/given_numbers.h"
#include "tests/experiments/network/onnx_file.h"

namespace pcmlab::test {
namespace {

constexpr std::size_t index_of(int i) { return static_cast<std::size_t>(i); }

struct Image {
  ValueShape shape;
  std::vector<double> numbers;

  double at(int channel, int row, int column) const {
    if (row < 0 || column < 0 || row >= shape.height || column >= shape.width) return 0.0;
    return numbers[index_of((channel * shape.height + row) * shape.width + column)];
  }
};

void apply(const ConvNode& conv, const Image& in, Image& out) {
  const int ins = conv.in_channels / conv.groups, outs = conv.out_channels / conv.groups;
  std::size_t next = 0;
  for (int o = 0; o < conv.out_channels; ++o) {
    for (int y = 0; y < out.shape.height; ++y) {
      for (int x = 0; x < out.shape.width; ++x) {
        double sum = conv.bias.empty() ? 0.0 : static_cast<double>(conv.bias[index_of(o)]);
        for (int i = 0; i < ins; ++i) {
          for (int r = 0; r < conv.kernel_h; ++r) {
            for (int c = 0; c < conv.kernel_w; ++c) {
              const int w = ((o * ins + i) * conv.kernel_h + r) * conv.kernel_w + c;
              sum += static_cast<double>(conv.weights[index_of(w)]) *
                     in.at(o / outs * ins + i, y * conv.stride_h - conv.pads[0] + r,
                           x * conv.stride_w - conv.pads[1] + c);
            }
          }
        }
        out.numbers[next++] = sum;
      }
    }
  }
}

void apply(const BatchNormNode& norm, const Image& in, Image& out) {
  const std::size_t plane = in.numbers.size() / norm.gamma.size();
  for (std::size_t i = 0; i < in.numbers.size(); ++i) {
    const std::size_t c = i / plane;
    out.numbers[i] = static_cast<double>(norm.gamma[c]) *
                         (in.numbers[i] - static_cast<double>(norm.mean[c])) /
                         std::sqrt(static_cast<double>(norm.variance[c] + norm.epsilon)) +
                     static_cast<double>(norm.beta[c]);
  }
}

void apply(const DenseNode& dense, const Image& in, Image& out) {
  for (std::size_t o = 0; o < out.numbers.size(); ++o) {
    double sum = dense.bias.empty() ? 0.0 : static_cast<double>(dense.bias[o]);
    for (std::size_t i = 0; i < in.numbers.size(); ++i) {
      sum += static_cast<double>(dense.weights[o * in.numbers.size() + i]) * in.numbers[i];
    }
    out.numbers[o] = sum;
  }
}

void apply(const ReluNode& /*relu*/, const Image& in, Image& out) {
  std::transform(in.numbers.begin(), in.numbers.end(), out.numbers.begin(),
                 [](double v) { return std::max(v, 0.0); });
}

void apply(const GlobalAverageNode& /*average*/, const Image& in, Image& out) {
  const auto plane = static_cast<std::ptrdiff_t>(in.numbers.size() / out.numbers.size());
  for (std::size_t c = 0; c < out.numbers.size(); ++c) {
    const auto begin = in.numbers.begin() + static_cast<std::ptrdiff_t>(c) * plane;
    out.numbers[c] = std::accumulate(begin, begin + plane, 0.0) / static_cast<double>(plane);
  }
}

}  // namespace

std::vector<double> reference_logits(const Network& network, std::span<const float> image) {
  std::vector<Image> values;
  for (const ValueShape& shape : network.shapes) {
    values.push_back({shape, std::vector<double>(index_of(shape.channels) * index_of(shape.height) *
                                                 index_of(shape.width))});
  }
  std::copy(image.begin(), image.end(), values[0].numbers.begin());
  for (const Node& node : network.nodes) {
    const Image& in = values[index_of(node.inputs[0])];
    Image& out = values[index_of(node.output)];
    std::visit(
        [&](const auto& kind) {
          if constexpr (std::is_same_v<std::decay_t<decltype(kind)>, AddNode>) {
            const Image& other = values[index_of(node.inputs[1])];
            for (std::size_t i = 0; i < out.numbers.size(); ++i) {
              out.numbers[i] = in.numbers[i] + other.numbers[i];
            }
          } else {
            apply(kind, in, out);
          }
        },
        node.kind);
  }
  return values[index_of(network.output)].numbers;
}

void replace_weights(Network& network, std::span<const float> values) {
  const float* next = values.data();
  const auto fill = [&](std::vector<float>& weights, std::vector<float>& bias, int rows) {
    const std::size_t inputs = weights.size() / index_of(rows);
    for (std::size_t row = 0; row < index_of(rows); ++row) {
      std::copy_n(next, inputs, weights.data() + row * inputs);
      next += inputs;
      if (!bias.empty()) bias[row] = *next++;
    }
  };
  for (Node& node : network.nodes) {
    if (auto* conv = std::get_if<ConvNode>(&node.kind)) {
      fill(conv->weights, conv->bias, conv->out_channels);
    } else if (auto* dense = std::get_if<DenseNode>(&node.kind)) {
      fill(dense->weights, dense->bias, dense->out_features);
    }
  }
}

Dataset random_images(const Network& network, std::size_t count, unsigned seed) {
  const ValueShape& shape = network.shapes[0];
  std::mt19937 random(seed);
  Dataset images;
  images.name = "random";
  images.channels = shape.channels;
  images.height = shape.height;
  images.width = shape.width;
  images.classes = 10;
  images.source = std::make_shared<GivenNumbers>(
      random_numbers(random, count * images.image_size(), 1.0f), images.image_size());
  for (std::size_t i = 0; i < count; ++i) {
    images.labels.push_back(static_cast<std::uint16_t>(random() % 10));
  }
  return images;
}

}  // namespace pcmlab::test

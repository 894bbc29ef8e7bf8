// SPDX-License-Identifier: Apache-2.0
#include "tests/experiments/network/reference_network.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
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
              sum +=
                  static_cast<double>(conv.weights[index_of(w)]) *
                  in.at(o / outs * ins + i, y * conv.stride_h - conv.pads[0] + r * conv.dilation_h,
                        x * conv.stride_w - conv.pads[1] + c * conv.dilation_w);
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

void apply(const ActivationNode& activation, const Image& in, Image& out) {
  using Function = ActivationNode::Function;
  const double alpha = static_cast<double>(activation.alpha);
  const double beta = static_cast<double>(activation.beta);
  const auto value = [&](double x) {
    switch (activation.function) {
      case Function::LeakyRelu:
        return x < 0 ? alpha * x : x;
      case Function::Elu:
        return x < 0 ? alpha * std::expm1(x) : x;
      case Function::Clip:
        return std::min(std::max(x, alpha), beta);
      case Function::Linear:
        return alpha * x + beta;
      case Function::Sigmoid:
        return 1 / (1 + std::exp(-x));
      case Function::Tanh:
        return std::tanh(x);
      case Function::HardSwish:
        return x * std::min(std::max(x + 3, 0.0), 6.0) / 6;
    }
    return x;
  };
  std::transform(in.numbers.begin(), in.numbers.end(), out.numbers.begin(), value);
}

void apply(const ScaleNode& scale, const Image& in, Image& out) {
  const std::size_t plane = in.numbers.size() / scale.scale.size();
  for (std::size_t i = 0; i < in.numbers.size(); ++i) {
    out.numbers[i] = static_cast<double>(scale.scale[i / plane]) * in.numbers[i] +
                     static_cast<double>(scale.shift[i / plane]);
  }
}

void apply(const PoolNode& pool, const Image& in, Image& out) {
  std::size_t next = 0;
  for (int c = 0; c < out.shape.channels; ++c) {
    for (int y = 0; y < out.shape.height; ++y) {
      for (int x = 0; x < out.shape.width; ++x) {
        double sum = 0, largest = -std::numeric_limits<double>::infinity();
        int inside = 0;
        for (int r = 0; r < pool.kernel_h; ++r) {
          for (int k = 0; k < pool.kernel_w; ++k) {
            const int row = y * pool.stride_h - pool.pads[0] + r * pool.dilation_h;
            const int column = x * pool.stride_w - pool.pads[1] + k * pool.dilation_w;
            if (row < 0 || column < 0 || row >= in.shape.height || column >= in.shape.width) {
              continue;
            }
            ++inside;
            sum += in.at(c, row, column);
            largest = std::max(largest, in.at(c, row, column));
          }
        }
        const int divisor = pool.count_pads ? pool.kernel_h * pool.kernel_w : inside;
        out.numbers[next++] = pool.kind == PoolNode::Kind::Max ? largest : sum / divisor;
      }
    }
  }
}

void apply(const PadNode& pad, const Image& in, Image& out) {
  std::size_t next = 0;
  for (int c = 0; c < out.shape.channels; ++c) {
    for (int y = 0; y < out.shape.height; ++y) {
      for (int x = 0; x < out.shape.width; ++x) {
        out.numbers[next++] = in.at(c, y - pad.pads[0], x - pad.pads[1]);
      }
    }
  }
}

void apply(const ReshapeNode& /*reshape*/, const Image& in, Image& out) {
  out.numbers = in.numbers;
}

void apply(const SoftmaxNode& softmax, const Image& in, Image& out) {
  const std::size_t plane = index_of(in.shape.height) * index_of(in.shape.width);
  for (std::size_t pixel = 0; pixel < plane; ++pixel) {
    double sum = 0;
    for (std::size_t i = pixel; i < in.numbers.size(); i += plane) sum += std::exp(in.numbers[i]);
    for (std::size_t i = pixel; i < in.numbers.size(); i += plane) {
      const double logarithm = in.numbers[i] - std::log(sum);
      out.numbers[i] = softmax.logarithm ? logarithm : std::exp(logarithm);
    }
  }
}

using Images = std::vector<const Image*>;

void apply(const AddNode& /*add*/, const Images& in, Image& out) {
  std::transform(in[0]->numbers.begin(), in[0]->numbers.end(), in[1]->numbers.begin(),
                 out.numbers.begin(), std::plus<>());
}

void apply(const MultiplyNode& /*multiply*/, const Images& in, Image& out) {
  const ValueShape& shape = in[1]->shape;
  std::size_t next = 0;
  for (int c = 0; c < out.shape.channels; ++c) {
    for (int y = 0; y < out.shape.height; ++y) {
      for (int x = 0; x < out.shape.width; ++x) {
        out.numbers[next] =
            in[0]->numbers[next] * in[1]->at(shape.channels == 1 ? 0 : c, shape.height == 1 ? 0 : y,
                                             shape.width == 1 ? 0 : x);
        ++next;
      }
    }
  }
}

void apply(const ConcatNode& /*concat*/, const Images& in, Image& out) {
  out.numbers.clear();
  for (const Image* image : in) {
    out.numbers.insert(out.numbers.end(), image->numbers.begin(), image->numbers.end());
  }
}

template <class Kind>
void apply(const Kind& kind, const Images& in, Image& out) {
  apply(kind, *in[0], out);
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
    Images in;
    for (const ValueId input : node.inputs) in.push_back(&values[index_of(input)]);
    Image& out = values[index_of(node.output)];
    std::visit([&](const auto& kind) { apply(kind, in, out); }, node.kind);
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
    if (node.digital) continue;
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

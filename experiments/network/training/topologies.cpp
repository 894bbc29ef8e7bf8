// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/topologies.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <optional>

#include "experiments/network/training/random.h"

namespace pcmlab::training {
namespace {

/// Appends nodes; each function returns the value that its node makes.
class Builder {
 public:
  Builder(const std::string& name, const ValueShape& input, std::uint64_t seed)
      : random_(seed, Purpose::Weights, 0) {
    network_.name = name;
    network_.shapes.push_back(input);
  }

  ValueId conv(const std::string& name, ValueId input, int out, int kernel, int stride,
               int padding) {
    ConvNode node;
    node.out_channels = out;
    node.in_channels = shape(input).channels;
    node.kernel_h = node.kernel_w = kernel;
    node.stride_h = node.stride_w = stride;
    node.pads = {padding, padding, padding, padding};
    const auto size = [](int n) { return static_cast<std::size_t>(n); };
    node.weights.resize(size(out) * size(node.in_channels) * size(kernel) * size(kernel));
    const float deviation = std::sqrt(2.0f / static_cast<float>(out * kernel * kernel));
    for (float& weight : node.weights) weight = deviation * random_.normal();
    return append(name, std::move(node), {input});
  }
  ValueId norm(const std::string& name, ValueId input) {
    const auto channels = static_cast<std::size_t>(shape(input).channels);
    BatchNormNode node;
    node.gamma.assign(channels, 1);
    node.beta.assign(channels, 0);
    node.mean.assign(channels, 0);
    node.variance.assign(channels, 1);
    return append(name, std::move(node), {input});
  }
  ValueId relu(const std::string& name, ValueId input) { return append(name, ReluNode{}, {input}); }
  ValueId add(const std::string& name, ValueId a, ValueId b) {
    return append(name, AddNode{}, {a, b});
  }
  /// 2 x 2, the largest.
  ValueId pool(const std::string& name, ValueId input) {
    PoolNode node;
    node.kernel_h = node.kernel_w = node.stride_h = node.stride_w = 2;
    return append(name, node, {input});
  }
  ValueId average(const std::string& name, ValueId input) {
    return append(name, GlobalAverageNode{}, {input});
  }
  ValueId dense(const std::string& name, ValueId input, int out) {
    const ValueShape& from = shape(input);
    DenseNode node;
    node.out_features = out;
    node.in_features = from.channels * from.height * from.width;
    node.bias.resize(static_cast<std::size_t>(out));
    node.weights.resize(node.bias.size() * static_cast<std::size_t>(node.in_features));
    const double limit = 1 / std::sqrt(static_cast<double>(node.in_features));
    const auto draw = [&] { return static_cast<float>(limit * (2 * random_.uniform() - 1)); };
    for (float& weight : node.weights) weight = draw();
    for (float& bias : node.bias) bias = draw();
    return append(name, std::move(node), {input});
  }

  const ValueShape& shape(ValueId value) const {
    return network_.shapes[static_cast<std::size_t>(value)];
  }

  Result<Network> finish(ValueId output) {
    if (error_) return tl::unexpected<Error>(*error_);
    network_.output = output;
    return std::move(network_);
  }

 private:
  ValueId append(const std::string& name, NodeKind kind, std::vector<ValueId> inputs) {
    Node node{name, std::move(kind), std::move(inputs),
              static_cast<ValueId>(network_.shapes.size())};
    std::vector<ValueShape> shapes;
    for (const ValueId input : node.inputs) shapes.push_back(shape(input));
    const Result<ValueShape> made = output_shape(node, shapes);
    if (!made && !error_) error_ = made.error().during("network " + network_.name);
    network_.shapes.push_back(made.value_or(ValueShape{1, 1, 1}));
    network_.nodes.push_back(std::move(node));
    return network_.nodes.back().output;
  }

  Network network_;
  Random random_;
  std::optional<Error> error_;
};

Result<Network> resnet32(Builder& build, const TopologySettings& settings) {
  constexpr std::array<int, 3> kChannels{16, 28, 56};
  constexpr int kBlocks = 5;
  ValueId x = build.conv("conv1", 0, kChannels[0], 3, 1, 1);
  x = build.relu("relu1", build.norm("norm1", x));
  for (std::size_t stage = 0; stage < kChannels.size(); ++stage) {
    for (int block = 1; block <= kBlocks; ++block) {
      const auto name = [&](const char* part) {
        return fmt::format("stage{}.block{}.{}", stage + 1, block, part);
      };
      const int channels = kChannels[stage];
      const bool widens = stage > 0 && block == 1;
      const int stride = widens ? 2 : 1;
      ValueId y = build.norm(name("norm1"), build.conv(name("conv1"), x, channels, 3, stride, 1));
      y = build.conv(name("conv2"), build.relu(name("relu1"), y), channels, 3, 1, 1);
      y = build.norm(name("norm2"), y);
      if (widens) {
        x = build.conv(name("shortcut"), x, channels, 1, stride, 0);
        x = build.norm(name("shortcut_norm"), x);
      }
      x = build.relu(name("relu2"), build.add(name("add"), y, x));
    }
  }
  return build.finish(build.dense("dense", build.average("average", x), settings.classes));
}

Result<Network> lenet(Builder& build, const TopologySettings& settings) {
  // 28 x 28 images are padded, as LeCun's were.
  const int padding = build.shape(0).height < 32 ? 2 : 0;
  ValueId x = build.relu("relu1", build.conv("conv1", 0, 6, 5, 1, padding));
  x = build.relu("relu2", build.conv("conv2", build.pool("pool1", x), 16, 5, 1, 0));
  x = build.relu("relu3", build.dense("dense1", build.pool("pool2", x), 120));
  x = build.relu("relu4", build.dense("dense2", x, 84));
  return build.finish(build.dense("dense3", x, settings.classes));
}

Result<Network> mlp(Builder& build, const TopologySettings& settings) {
  const ValueId hidden = build.relu("relu1", build.dense("dense1", 0, settings.hidden));
  return build.finish(build.dense("dense2", hidden, settings.classes));
}

struct Topology {
  const char* name;
  Result<Network> (*make)(Builder&, const TopologySettings&);
};
constexpr std::array<Topology, 3> kTopologies{
    {{"resnet32", resnet32}, {"lenet", lenet}, {"mlp", mlp}}};

}  // namespace

std::vector<std::string> topologies() {
  std::vector<std::string> names;
  for (const Topology& topology : kTopologies) names.emplace_back(topology.name);
  return names;
}

Result<Network> make_network(const std::string& topology, const TopologySettings& settings,
                             std::uint64_t seed) {
  for (const Topology& known : kTopologies) {
    if (topology != known.name) continue;
    Builder builder(topology, settings.input, seed);
    return known.make(builder, settings);
  }
  return fail(ErrorCode::NotFound, fmt::format("there is no topology \"{}\"", topology),
              fmt::format("there are: {}", fmt::join(topologies(), ", ")));
}

}  // namespace pcmlab::training

// SPDX-License-Identifier: Apache-2.0
// The network inside the program against what is known of it: its file, its layers, its logits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "experiments/network/inference.h"
#include "experiments/network/network.h"
#include "experiments/network/sha256.h"

namespace pcmlab {
namespace {

constexpr const char* kName = "resnet32-fashion-mnist";

TEST(BuiltinNetwork, IsTheFileThatWasTrained) {
  const Network network = load_builtin_network(kName).value();
  constexpr const char* kSha256 =
      "2de90263ee1124a66ca6e252973a8038e76b98cf9a9b020b82c54da9c4f76999";
  EXPECT_EQ(network.sha256, kSha256);
  EXPECT_EQ(sha256_hex(network.file), kSha256);
  EXPECT_EQ(network.name, kName);
}

TEST(BuiltinNetwork, IsListedAndAnotherNameIsRefusedWithTheList) {
  EXPECT_THAT(builtin_networks(), testing::Contains(kName));
  const auto missing = load_builtin_network("resnet50");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
  EXPECT_THAT(missing.error().advice, testing::HasSubstr(kName));
}

TEST(BuiltinNetwork, HasTheOperatorsOfItsExport) {
  const Network network = load_builtin_network(kName).value();
  std::map<std::size_t, int> count;
  for (const Node& node : network.nodes) ++count[node.kind.index()];
  EXPECT_EQ(count[NodeKind(ConvNode{}).index()], 33);
  EXPECT_EQ(count[NodeKind(BatchNormNode{}).index()], 33);
  EXPECT_EQ(count[NodeKind(ReluNode{}).index()], 31);
  EXPECT_EQ(count[NodeKind(AddNode{}).index()], 15);
  EXPECT_EQ(count[NodeKind(GlobalAverageNode{}).index()], 1);
  EXPECT_EQ(count[NodeKind(DenseNode{}).index()], 1);
}

// Section 3 of the scientific reference: Joshi et al. 2020 give the total.
TEST(BuiltinNetwork, HasTheWeightsOfThePaper) {
  const WeightSet set = weights_of(load_builtin_network(kName).value());
  std::map<std::array<std::int64_t, 2>, int> layers;
  std::int64_t next = 0;
  for (const AnalogLayer& layer : set.layers) {
    ++layers[{layer.rows, layer.columns}];
    EXPECT_EQ(layer.first_weight, next);
    next += layer.rows * layer.columns;
  }
  const std::map<std::array<std::int64_t, 2>, int> expected{
      {{16, 3 * 9}, 1},  {{16, 16 * 9}, 10}, {{28, 16 * 9}, 1},
      {{28, 28 * 9}, 9}, {{56, 28 * 9}, 1},  {{56, 56 * 9}, 9},
      {{28, 16}, 1},     {{56, 28}, 1},      {{10, 56 + 1}, 1}};
  EXPECT_EQ(layers, expected);
  EXPECT_EQ(set.layers.size(), 34u);
  EXPECT_EQ(next, 361722);
  EXPECT_EQ(set.values.size(), 361722u);
}

// Computed by Debian's PyTorch 1.13 from the same file.
constexpr std::array<float, 20> kPyTorchLogits{
    -0.53138f, -0.85951f, -3.05603f, -2.76239f, -2.47359f, -0.19343f, -2.93762f,
    1.95970f,  -2.90456f, 10.16755f, 1.12903f,  -4.15519f, 9.88257f,  1.33414f,
    -0.16790f, -4.25465f, 1.04025f,  -5.91167f, -2.81402f, -5.22201f};

TEST(BuiltinNetwork, GivesPyTorchsLogits) {
  const Network network = load_builtin_network(kName).value();
  const Dataset images = load_fashion_mnist(fashion_mnist_folder(), Split::Test, 2).value();
  auto engine = InferenceEngine::create(network, Precision::Float32).value();
  const auto logits = engine.logits(images, 0, 2).value();
  EXPECT_THAT(logits, testing::Pointwise(testing::FloatNear(1e-3f), kPyTorchLogits));
}

TEST(BuiltinNetwork, GivesTheSameLogitsToBfloat16sPrecision) {
  if (fastest_precision() != Precision::Bfloat16) return;
  const Network network = load_builtin_network(kName).value();
  const Dataset images = load_fashion_mnist(fashion_mnist_folder(), Split::Test, 2).value();
  auto engine = InferenceEngine::create(network, Precision::Bfloat16).value();
  const auto logits = engine.logits(images, 0, 2).value();
  EXPECT_THAT(logits, testing::Pointwise(testing::FloatNear(0.3f), kPyTorchLogits));
}

}  // namespace
}  // namespace pcmlab

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
      "54db4b54c8c86a73072e6d619f0f239968530c23fe8af938d1105870e094223b";
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

// Computed by PyTorch 1.13.1 from the same file.
constexpr std::array<float, 20> kPyTorchLogits{
    -0.53457f, -1.90321f, -3.11936f, -2.59027f, -2.4588f,  0.25516f, -2.66441f,
    3.01667f,  -2.56531f, 9.34663f,  1.03564f,  -3.54521f, 9.18341f, 0.51267f,
    0.89816f,  -3.52397f, 0.68797f,  -5.19857f, -3.62133f, -5.06684f};

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

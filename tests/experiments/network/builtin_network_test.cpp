// SPDX-License-Identifier: Apache-2.0
// The network inside the program against what is known of it: its file, its layers, its logits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "experiments/network/augmentation.h"
#include "experiments/network/inference.h"
#include "experiments/network/network.h"
#include "experiments/network/sha256.h"

namespace pcmlab {
namespace {

constexpr const char* kName = "resnet32-fashion-mnist";

TEST(BuiltinNetwork, IsTheFileThatWasTrained) {
  const std::map<std::string, std::string> trained{
      {"resnet32-fashion-mnist",
       "0009f515543679159c23d166d733818e9dc74f3777fb6a9cb651c49e894ac0dc"},
      {"resnet32-cifar-10", "8a07ee8948ec12916b28aa024cc22d1f7253e67b9186fadd4d14bead4c25aae0"}};
  EXPECT_EQ(builtin_networks().size(), trained.size());
  for (const auto& [name, sha256] : trained) {
    const Network network = load_builtin_network(name).value();
    EXPECT_EQ(network.sha256, sha256);
    EXPECT_EQ(sha256_hex(network.file), sha256);
    EXPECT_EQ(network.name, name);
  }
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

// An image of the numbers (31 channel + 7 row + 3 column) mod 256; logits by Debian's PyTorch 1.13.
TEST(BuiltinNetwork, TheOneForCifarGivesPyTorchsLogitsAndNamesTheCropOfItsTraining) {
  const Network network = load_builtin_network("resnet32-cifar-10").value();
  EXPECT_EQ(network.metadata.at(kCropPixelsKey), "4");
  EXPECT_EQ(weights_of(network).values.size(), 361722u);
  Dataset image;
  image.channels = 3;
  image.height = image.width = 32;
  image.classes = 10;
  image.labels = {0};
  image.normalisation = {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}};
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < 3 * 32 * 32; ++i) {
    bytes.push_back(static_cast<std::uint8_t>(31 * (i / 1024) + 7 * (i / 32 % 32) + 3 * (i % 32)));
  }
  image.source = images_in_memory(std::move(bytes), 3 * 32 * 32);
  auto engine = InferenceEngine::create(network, Precision::Float32).value();
  EXPECT_THAT(engine.logits(image, 0, 1).value(),
              testing::Pointwise(testing::FloatNear(1e-3f),
                                 {5.00749f, 2.40158f, -1.05949f, -2.34140f, -5.04343f, -4.82115f,
                                  -0.74054f, -4.25723f, 4.44603f, 3.18178f}));
}

// Computed by Debian's PyTorch 1.13 from the same file.
constexpr std::array<float, 20> kPyTorchLogits{
    0.94594f,  -2.78482f, -3.15721f, -3.37365f, -1.40731f, -1.82114f, -4.11932f,
    2.35472f,  -4.32210f, 13.45157f, 1.63897f,  -5.39473f, 12.04855f, 1.32481f,
    -0.92661f, -5.23566f, 3.16116f,  -6.29709f, -3.36456f, -6.01813f};

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

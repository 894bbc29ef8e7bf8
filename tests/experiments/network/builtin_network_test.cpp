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
       "e2c84227459983e6d0e197fcd3965da08a5507a9b1851ca001f58d8816c83e60"},
      {"resnet32-cifar-10", "68fd296e150cf90b952ec03fb5ac2f6df0f44565b1101a45b1acfa0e35090d32"}};
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
                                 {5.54591f, 0.30855f, 1.47105f, -0.87774f, -4.25586f, -3.09308f,
                                  0.25576f, -3.73584f, 1.61514f, -0.21491f}));
}

// Computed by Debian's PyTorch 1.13 from the same file.
constexpr std::array<float, 20> kPyTorchLogits{
    0.49600f,  -2.29668f, -2.79314f, -2.51557f, -1.51014f, -2.14641f, -3.42252f,
    1.91293f,  -2.35052f, 10.61831f, 0.70805f,  -4.65047f, 10.47330f, 1.58125f,
    -1.09889f, -4.39254f, 2.12978f,  -5.91349f, -2.58217f, -4.90709f};

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

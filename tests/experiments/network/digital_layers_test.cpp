// SPDX-License-Identifier: Apache-2.0
// Which layers are on the chip and which stay in software.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/network/inference.h"
#include "tests/experiments/network/onnx_file.h"
#include "tests/experiments/network/reference_network.h"

namespace pcmlab {
namespace {

using test::OnnxFile;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// Three layers with weights, called "/Conv_1", "/Conv_7" and "fc" of the module "head.fc".
Network three_layers() {
  OnnxFile file({3, 6, 6});
  const std::string a = file.relu(file.batch_norm(file.conv("images", {.out = 5, .in = 3}), 5));
  const std::string b = file.relu(file.conv(a, {.out = 4, .in = 5, .bias = true}));
  const std::string output = file.dense(file.average(b), 4, 10);
  file.last_node().set_name("fc");
  const std::string weights = file.last_node().input(1);
  file.last_node().set_input(1, "head.fc.weight");
  for (auto& tensor : *file.model.mutable_graph()->mutable_initializer()) {
    if (tensor.name() == weights) tensor.set_name("head.fc.weight");
  }
  return file.network(output).value();
}

std::vector<std::string> layers_of(const WeightSet& weights) {
  std::vector<std::string> names;
  for (const AnalogLayer& layer : weights.layers) names.push_back(layer.name);
  return names;
}

Result<void> choose(Network& network, const std::vector<std::string>& names) {
  return choose_digital_layers(network, names);
}

TEST(DigitalLayers, AreNotAmongTheWeightsForTheChip) {
  Network network = three_layers();
  const std::vector<std::string> all = layers_of(weights_of(network));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_TRUE(digital_weights_of(network).layers.empty());
  ASSERT_TRUE(choose(network, {"first", "last"}));
  EXPECT_THAT(layers_of(weights_of(network)), ElementsAre(all[1]));
  EXPECT_THAT(layers_of(digital_weights_of(network)), ElementsAre(all[0], all[2]));
  EXPECT_EQ(weights_of(network).values.size(), 4u * (5 * 9 + 1));
  EXPECT_EQ(weights_of(network).layers[0].first_weight, 0);
  // By the node's name and by the module's; what was chosen before is forgotten.
  ASSERT_TRUE(choose(network, {all[0]}));
  EXPECT_THAT(layers_of(digital_weights_of(network)), ElementsAre(all[0]));
  ASSERT_TRUE(choose(network, {"head.fc"}));
  EXPECT_THAT(layers_of(digital_weights_of(network)), ElementsAre("fc"));
  ASSERT_TRUE(choose(network, {}));
  EXPECT_EQ(layers_of(weights_of(network)), all);
}

TEST(DigitalLayers, ThatDoNotExistAreRefusedWithTheNamesOfThoseThatDo) {
  Network network = three_layers();
  const std::string first = network.nodes[0].name;
  const Error error = choose(network, {"first", "conv9"}).error();
  EXPECT_EQ(error.code, ErrorCode::BadNetwork);
  EXPECT_THAT(error.message, HasSubstr("\"conv9\""));
  EXPECT_THAT(error.advice, AllOf(HasSubstr(first), HasSubstr("head.fc"), HasSubstr("\"last\"")));
}

TEST(DigitalLayers, OfOneNameAreRefused) {
  Network network = three_layers();
  network.nodes[0].name = "fc";
  EXPECT_THAT(choose(network, {"fc"}).error().message, HasSubstr("2 layers called \"fc\""));
}

TEST(DigitalLayers, MustNotBeAll) {
  Network network = three_layers();
  const std::string middle = weights_of(network).layers[1].name;
  EXPECT_THAT(choose(network, {"first", middle, "last"}).error().message,
              HasSubstr("all are digital"));
  OnnxFile file;
  Network none = file.network(file.relu("images")).value();
  EXPECT_THAT(choose(none, {}).error().message, HasSubstr("none has weights"));
}

TEST(DigitalLayers, KeepTheNetworksWeightsWhateverIsSet) {
  Network network = three_layers();
  ASSERT_TRUE(choose(network, {"first", "last"}));
  const Dataset images = test::random_images(network, 3);
  auto engine = InferenceEngine::create(network, Precision::Float32).value();
  std::vector<float> weights = weights_of(network).values;
  for (float& weight : weights) weight *= -0.3f;
  engine.set_weights(weights);
  engine.set_output_divisors(std::vector<float>{0.5f});
  const auto logits = engine.logits(images, 0, 3).value();
  // The network with the middle layer changed alone.
  for (float& weight : weights) weight /= 0.5f;
  Network expected = network;
  test::replace_weights(expected, weights);
  const auto pixels = images.read(0, 3).value();
  const std::size_t size = images.image_size();
  for (std::size_t i = 0; i < 3; ++i) {
    const auto wanted = test::reference_logits(expected, std::span(pixels).subspan(i * size, size));
    for (std::size_t c = 0; c < 10; ++c) {
      EXPECT_NEAR(static_cast<double>(logits[i * 10 + c]), wanted[c], 1e-5);
    }
  }
  EXPECT_THROW(engine.set_output_divisors(std::vector<float>(3, 1.0f)), std::invalid_argument);
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/onnx_writer.h"

#include <gtest/gtest.h>

#include "experiments/network/inference.h"
#include "tests/experiments/network/onnx_file.h"
#include "tests/experiments/network/reference_network.h"

namespace pcmlab::test {
namespace {

/// What is left of a network after it was written and read.
Network through_onnx(const Network& network) {
  const auto bytes = to_onnx(network);
  EXPECT_TRUE(bytes) << bytes.error().message;
  auto read = parse_network(bytes.value_or(std::vector<std::byte>()), network.name);
  EXPECT_TRUE(read) << read.error().message;
  return read.value_or(Network{});
}

std::vector<float> logits_of(const Network& network, const Dataset& images) {
  auto engine = InferenceEngine::create(network, Precision::Float32);
  EXPECT_TRUE(engine) << engine.error().message;
  return engine->logits(images, 0, images.count()).value();
}

void expect_same(const Network& before) {
  const Network after = through_onnx(before);
  EXPECT_EQ(after.shapes, before.shapes);
  EXPECT_EQ(weights_of(after).values, weights_of(before).values);
  ASSERT_EQ(after.nodes.size(), before.nodes.size());
  for (std::size_t i = 0; i < after.nodes.size(); ++i) {
    EXPECT_EQ(after.nodes[i].kind.index(), before.nodes[i].kind.index());
    EXPECT_EQ(after.nodes[i].inputs, before.nodes[i].inputs);
  }
  const Dataset images = random_images(before, 3);
  EXPECT_EQ(logits_of(after, images), logits_of(before, images));
}

TEST(OnnxWriter, GivesTheBuiltInNetworkBackBitForBit) {
  expect_same(load_builtin_network("resnet32-fashion-mnist").value());
}

TEST(OnnxWriter, WritesEveryKindOfNodeWithItsAttributes) {
  OnnxFile file({4, 9, 7});
  ConvShape shape;
  shape.out = 6;
  shape.in = 4;
  shape.kernel_h = 3;
  shape.kernel_w = 2;
  shape.stride_h = 2;
  shape.pads = {1, 0, 2, 1};
  shape.groups = 2;
  shape.bias = true;
  const std::string conv = file.batch_norm(file.conv("images", shape), 6);
  const std::string sum = file.add(file.relu(conv), conv);
  expect_same(file.network(file.dense(file.average(sum), 6, 5)).value());
}

TEST(OnnxWriter, FlattensAnImageForADenseLayerAndForNobodyElse) {
  OnnxFile file({2, 4, 4});
  const std::string flat = file.node("Flatten", {"images"});
  expect_same(file.network(file.dense(flat, 32, 3, false)).value());
}

TEST(OnnxWriter, KeepsNameAndMetadata) {
  OnnxFile file({2, 4, 4});
  Network network = file.network(file.dense(file.average("images"), 2, 3)).value();
  network.metadata["trained with"] = "eta = 0.038";
  const Network after = through_onnx(network);
  EXPECT_EQ(after.metadata, network.metadata);
}

TEST(OnnxWriter, NamesStayUniqueWhenAFileIsWrittenAgainAndAgain) {
  OnnxFile file({2, 4, 4});
  Network network = file.network(file.dense(file.average("images"), 2, 3)).value();
  for (Node& node : network.nodes) node.name = "twice";
  const Network once = through_onnx(network);
  EXPECT_EQ(once.nodes.front().name, "twice");
  EXPECT_NE(once.nodes.front().name, once.nodes.back().name);
  EXPECT_EQ(through_onnx(once).nodes.back().name, once.nodes.back().name);
}

TEST(OnnxWriter, WritesPools) {
  OnnxFile file({3, 9, 9});
  Network network = file.network(file.dense(file.average(file.relu("images")), 3, 4)).value();
  PoolNode pool;
  pool.kernel_h = 3;
  pool.kernel_w = 2;
  pool.stride_h = 2;
  pool.pads = {1, 0, 1, 1};
  for (const auto kind : {PoolNode::Kind::Max, PoolNode::Kind::Average}) {
    pool.kind = kind;
    pool.count_pads = kind == PoolNode::Kind::Average;
    network.nodes[0].kind = pool;
    network.shapes[1] = output_shape(network.nodes[0], network.shapes).value();
    expect_same(network);
  }
}

TEST(OnnxWriter, NamesANodeThatItCannotWrite) {
  OnnxFile file({3, 9, 9});
  Network network = file.network(file.dense(file.average(file.relu("images")), 3, 4)).value();
  network.nodes[0].name = "odd";
  network.nodes[0].kind = SoftmaxNode{};
  const auto bytes = to_onnx(network);
  ASSERT_FALSE(bytes);
  EXPECT_NE(bytes.error().message.find("odd"), std::string::npos);
}

TEST(OnnxWriter, RefusesANetworkWithoutNodes) {
  const auto bytes = to_onnx(Network{});
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, ErrorCode::BadNetwork);
}

}  // namespace
}  // namespace pcmlab::test

// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/computation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/experiments/network/onnx_file.h"

namespace pcmlab {
namespace {

using test::OnnxFile;

constexpr std::size_t index_of(int i) { return static_cast<std::size_t>(i); }

/// Computes who holds which buffer and fails if a step reads a value that was overwritten.
void expect_sound(const Network& network, const Computation& computation) {
  std::map<int, ValueId> holds{{computation.buffer_of[0], 0}};
  const auto expect_held = [&](const ComputationStep& step, ValueId value) {
    EXPECT_EQ(holds[computation.buffer_of[index_of(value)]], value)
        << "value " << value << " is gone before " << network.nodes[index_of(step.node)].name;
  };
  for (const ComputationStep& step : computation.steps) {
    expect_held(step, step.input);
    if (step.summand != kNone) expect_held(step, step.summand);
    const int target = computation.buffer_of[index_of(step.output)];
    EXPECT_NE(target, computation.buffer_of[index_of(step.input)]);
    holds[target] = step.output;
    const ValueShape& shape = network.shapes[index_of(step.output)];
    EXPECT_GE(computation.buffers[index_of(target)],
              index_of(shape.channels) * index_of(shape.height) * index_of(shape.width));
  }
  EXPECT_EQ(holds[computation.buffer_of[index_of(network.output)]], network.output);
}

std::string block(OnnxFile& file, const std::string& x, int channels) {
  const std::string a =
      file.relu(file.batch_norm(file.conv(x, {.out = channels, .in = channels}), channels));
  const std::string b = file.batch_norm(file.conv(a, {.out = channels, .in = channels}), channels);
  return file.relu(file.add(b, x));
}

TEST(Computation, MakesAResidualBlockTwoSteps) {
  OnnxFile file({4, 8, 8});
  const std::string x = file.relu(file.conv("images", {.out = 4, .in = 4}));
  const Network network = file.network(block(file, x, 4)).value();
  const Computation computation = computation_of(network, Fusion::Full);
  ASSERT_EQ(computation.steps.size(), 3u);
  EXPECT_NE(computation.steps[1].batch_norm, kNone);
  EXPECT_NE(computation.steps[1].activation, kNone);
  EXPECT_EQ(computation.steps[1].summand, kNone);
  EXPECT_NE(computation.steps[2].batch_norm, kNone);
  EXPECT_NE(computation.steps[2].activation, kNone);
  EXPECT_EQ(computation.steps[2].summand, computation.steps[0].output);
  EXPECT_EQ(computation.steps[2].output, network.output);
  expect_sound(network, computation);
}

TEST(Computation, MakesTheBuiltinNetworkOneStepALayer) {
  const Network network = load_builtin_network("resnet32-fashion-mnist").value();
  const Computation computation = computation_of(network, Fusion::Full);
  EXPECT_EQ(computation.steps.size(), 33u + 1u + 1u);
  EXPECT_LE(computation.buffers.size(), 3u);
  expect_sound(network, computation);
}

TEST(Computation, KeepsEveryNodeAStepWithoutFusion) {
  const Network network = load_builtin_network("resnet32-fashion-mnist").value();
  const Computation computation = computation_of(network, Fusion::None);
  EXPECT_EQ(computation.steps.size(), network.nodes.size());
  EXPECT_LE(computation.buffers.size(), 4u);
  expect_sound(network, computation);
}

TEST(Computation, DoesNotMergeWhatSomebodyElseReads) {
  OnnxFile file({4, 8, 8});
  const std::string conv = file.conv("images", {.out = 4, .in = 4});
  const std::string norm = file.batch_norm(conv, 4);
  const std::string sum = file.add(file.relu(norm), conv);
  const Network network = file.network(file.relu(sum)).value();
  const Computation computation = computation_of(network, Fusion::Full);
  ASSERT_EQ(computation.steps.size(), 4u);  // conv, batch norm, ReLU, add with ReLU
  EXPECT_EQ(computation.steps[0].batch_norm, kNone);
  EXPECT_NE(computation.steps[3].activation, kNone);
  expect_sound(network, computation);
}

TEST(Computation, DoesNotAccumulateIntoWhatIsReadLater) {
  OnnxFile file({4, 8, 8});
  const std::string x = file.relu(file.conv("images", {.out = 4, .in = 4}));
  const std::string y = file.add(file.conv(x, {.out = 4, .in = 4}), x);  // reads x twice
  const std::string z = file.add(file.conv(y, {.out = 4, .in = 4}), x);  // x is read again
  const std::string last = file.add(file.conv(z, {.out = 4, .in = 4}), "images");
  const Network network = file.network(last).value();
  const Computation computation = computation_of(network, Fusion::Full);
  for (const ComputationStep& step : computation.steps) {
    if (std::holds_alternative<AddNode>(network.nodes[index_of(step.node)].kind)) continue;
    EXPECT_TRUE(step.summand == kNone || step.summand != step.input);
    EXPECT_NE(step.summand, 0);
  }
  expect_sound(network, computation);
}

TEST(Computation, SurvivesAValueThatNobodyReads) {
  OnnxFile file({4, 8, 8});
  const std::string conv = file.conv("images", {.out = 4, .in = 4});
  file.relu(file.conv(conv, {.out = 9, .in = 4}));
  const Network network = file.network(file.relu(conv)).value();
  expect_sound(network, computation_of(network, Fusion::Full));
  expect_sound(network, computation_of(network, Fusion::None));
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/experiments/network/onnx_file.h"

namespace pcmlab {
namespace {

using test::OnnxFile;

constexpr std::size_t index_of(int i) { return static_cast<std::size_t>(i); }

/// Computes who holds which buffer and fails if a step reads a value that was overwritten.
void expect_sound(const Network& network, const Plan& plan) {
  std::map<int, ValueId> holds{{plan.buffer_of[0], 0}};
  const auto expect_held = [&](const Step& step, ValueId value) {
    EXPECT_EQ(holds[plan.buffer_of[index_of(value)]], value)
        << "value " << value << " is gone before " << network.nodes[index_of(step.node)].name;
  };
  for (const Step& step : plan.steps) {
    expect_held(step, step.input);
    if (step.summand != kNone) expect_held(step, step.summand);
    const int target = plan.buffer_of[index_of(step.output)];
    EXPECT_NE(target, plan.buffer_of[index_of(step.input)]);
    holds[target] = step.output;
    const ValueShape& shape = network.shapes[index_of(step.output)];
    EXPECT_GE(plan.buffers[index_of(target)],
              index_of(shape.channels) * index_of(shape.height) * index_of(shape.width));
  }
  EXPECT_EQ(holds[plan.buffer_of[index_of(network.output)]], network.output);
}

std::string block(OnnxFile& file, const std::string& x, int channels) {
  const std::string a =
      file.relu(file.batch_norm(file.conv(x, {.out = channels, .in = channels}), channels));
  const std::string b = file.batch_norm(file.conv(a, {.out = channels, .in = channels}), channels);
  return file.relu(file.add(b, x));
}

TEST(Plan, MakesAResidualBlockTwoSteps) {
  OnnxFile file({4, 8, 8});
  const std::string x = file.relu(file.conv("images", {.out = 4, .in = 4}));
  const Network network = file.network(block(file, x, 4)).value();
  const Plan plan = plan_of(network, Fusion::Full);
  ASSERT_EQ(plan.steps.size(), 3u);
  EXPECT_NE(plan.steps[1].batch_norm, kNone);
  EXPECT_TRUE(plan.steps[1].relu);
  EXPECT_EQ(plan.steps[1].summand, kNone);
  EXPECT_NE(plan.steps[2].batch_norm, kNone);
  EXPECT_TRUE(plan.steps[2].relu);
  EXPECT_EQ(plan.steps[2].summand, plan.steps[0].output);
  EXPECT_EQ(plan.steps[2].output, network.output);
  expect_sound(network, plan);
}

TEST(Plan, MakesTheBuiltinNetworkOneStepALayer) {
  const Network network = load_builtin_network("resnet32-fashion-mnist").value();
  const Plan plan = plan_of(network, Fusion::Full);
  EXPECT_EQ(plan.steps.size(), 33u + 1u + 1u);
  EXPECT_LE(plan.buffers.size(), 3u);
  expect_sound(network, plan);
}

TEST(Plan, KeepsEveryNodeAStepWithoutFusion) {
  const Network network = load_builtin_network("resnet32-fashion-mnist").value();
  const Plan plan = plan_of(network, Fusion::None);
  EXPECT_EQ(plan.steps.size(), network.nodes.size());
  EXPECT_LE(plan.buffers.size(), 4u);
  expect_sound(network, plan);
}

TEST(Plan, DoesNotMergeWhatSomebodyElseReads) {
  OnnxFile file({4, 8, 8});
  const std::string conv = file.conv("images", {.out = 4, .in = 4});
  const std::string norm = file.batch_norm(conv, 4);
  const std::string sum = file.add(file.relu(norm), conv);
  const Network network = file.network(file.relu(sum)).value();
  const Plan plan = plan_of(network, Fusion::Full);
  ASSERT_EQ(plan.steps.size(), 4u);  // conv, batch norm, ReLU, add with ReLU
  EXPECT_EQ(plan.steps[0].batch_norm, kNone);
  EXPECT_TRUE(plan.steps[3].relu);
  expect_sound(network, plan);
}

TEST(Plan, DoesNotAccumulateIntoWhatIsReadLater) {
  OnnxFile file({4, 8, 8});
  const std::string x = file.relu(file.conv("images", {.out = 4, .in = 4}));
  const std::string y = file.add(file.conv(x, {.out = 4, .in = 4}), x);  // reads x twice
  const std::string z = file.add(file.conv(y, {.out = 4, .in = 4}), x);  // x is read again
  const std::string last = file.add(file.conv(z, {.out = 4, .in = 4}), "images");
  const Network network = file.network(last).value();
  const Plan plan = plan_of(network, Fusion::Full);
  for (const Step& step : plan.steps) {
    if (std::holds_alternative<AddNode>(network.nodes[index_of(step.node)].kind)) continue;
    EXPECT_TRUE(step.summand == kNone || step.summand != step.input);
    EXPECT_NE(step.summand, 0);
  }
  expect_sound(network, plan);
}

TEST(Plan, SurvivesAValueThatNobodyReads) {
  OnnxFile file({4, 8, 8});
  const std::string conv = file.conv("images", {.out = 4, .in = 4});
  file.relu(file.conv(conv, {.out = 9, .in = 4}));
  const Network network = file.network(file.relu(conv)).value();
  expect_sound(network, plan_of(network, Fusion::Full));
  expect_sound(network, plan_of(network, Fusion::None));
}

}  // namespace
}  // namespace pcmlab

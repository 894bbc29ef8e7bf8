// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/conductance_mapping.h"

#include <gtest/gtest.h>

namespace pcmlab {
namespace {

WeightSet two_layers() {
  WeightSet weights;
  weights.layers = {{"first", 0, 1, 3, 0}, {"second", 1, 2, 1, 3}};
  weights.values = {0.5f, -2.0f, 0.0f, 0.1f, -0.05f};
  return weights;
}

TEST(ConductanceMapping, PutsTheLargestWeightOfEachLayerAtGMax) {
  const WeightSet weights = two_layers();
  const ConductanceMapping mapping(weights, Conductance::from_uS(25));
  const std::vector<float> targets = mapping.targets_uS(weights);
  const std::vector<float> expected{6.25f, 0, 0, 25, 0, 0, 25, 0, 0, 12.5f};
  ASSERT_EQ(targets.size(), expected.size());
  for (std::size_t d = 0; d < targets.size(); ++d) EXPECT_FLOAT_EQ(targets[d], expected[d]) << d;
}

TEST(ConductanceMapping, GivesTheWeightsBackFromTheTargets) {
  const WeightSet weights = two_layers();
  const ConductanceMapping mapping(weights, Conductance::from_uS(25));
  const std::vector<float> back = mapping.weights(mapping.targets_uS(weights));
  for (std::size_t w = 0; w < back.size(); ++w) EXPECT_FLOAT_EQ(back[w], weights.values[w]) << w;
}

TEST(ConductanceMapping, SubtractsTheResetDeviceOfAPair) {
  const WeightSet weights = two_layers();
  const ConductanceMapping mapping(weights, Conductance::from_uS(25));
  std::vector<float> g_uS = mapping.targets_uS(weights);
  g_uS[1] = 1.25f;  // the minus device of the first weight
  EXPECT_FLOAT_EQ(mapping.weights(g_uS)[0], (6.25f - 1.25f) * 2.0f / 25.0f);
}

TEST(ConductanceMapping, ResetsEveryDeviceOfALayerOfZeros) {
  WeightSet weights;
  weights.layers = {{"zeros", 0, 1, 2, 0}};
  weights.values = {0.0f, 0.0f};
  const ConductanceMapping mapping(weights, Conductance::from_uS(25));
  EXPECT_EQ(mapping.targets_uS(weights), (std::vector<float>(4, 0.0f)));
  EXPECT_EQ(mapping.weights(std::vector<float>{1, 0, 0, 1}), (std::vector<float>{0.0f, -0.0f}));
}

TEST(ConductanceMapping, SumsBothDevicesOfAPairByLayer) {
  const ConductanceMapping mapping(two_layers(), Conductance::from_uS(25));
  const std::vector<float> g_uS{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(mapping.layer_sums_uS(g_uS), (std::vector<double>{21, 34}));
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/conductance_mapping.h"

#include <gtest/gtest.h>

#include <cmath>

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

/// 2 x 3: rows of different size, one of zeros.
WeightSet rows_of_different_size() {
  WeightSet weights;
  weights.layers = {{"rows", 0, 3, 3, 0}};
  weights.values = {0.5f, -2.0f, 1.0f, 0.01f, -0.005f, 0.0f, 0.0f, 0.0f, 0.0f};
  return weights;
}

TEST(ConductanceMapping, PutsTheLargestWeightOfEachRowAtGMaxIfAsked) {
  const WeightSet weights = rows_of_different_size();
  const ConductanceMapping mapping(weights, {Conductance::from_uS(25), Scaling::Row});
  const std::vector<float> targets = mapping.targets_uS(weights);
  const std::vector<float> expected{6.25f, 0, 0, 25, 12.5f, 0, 25, 0, 0,
                                    12.5f, 0, 0, 0,  0,     0, 0,  0, 0};
  ASSERT_EQ(targets.size(), expected.size());
  for (std::size_t d = 0; d < targets.size(); ++d) EXPECT_FLOAT_EQ(targets[d], expected[d]) << d;
  ASSERT_EQ(mapping.layers().size(), 1u);
  EXPECT_EQ(mapping.layers()[0].row_max_abs_weights, (std::vector<float>{2.0f, 0.01f, 0.0f}));
  EXPECT_EQ(mapping.layers()[0].max_abs_weight, 2.0);
}

TEST(ConductanceMapping, GivesTheWeightsBackFromWhatIsStoredOfRows) {
  const WeightSet weights = rows_of_different_size();
  const ConductanceMapping mapping(weights, {Conductance::from_uS(25), Scaling::Row});
  const ConductanceMapping stored(mapping.layers());
  const std::vector<float> back = stored.weights(mapping.targets_uS(weights));
  for (std::size_t w = 0; w < back.size(); ++w) EXPECT_FLOAT_EQ(back[w], weights.values[w]) << w;
}

TEST(ConductanceMapping, ClipsWeightsAtSoManyStandardDeviations) {
  WeightSet weights;
  weights.layers = {{"outlier", 0, 2, 8, 0}};
  weights.values.assign(16, 1.0f);
  for (std::size_t w = 0; w < 16; w += 2) weights.values[w] = -1.0f;
  weights.values[3] = 10.0f;
  // Mean 9 / 16, so that the variance is 115 / 16 - (9 / 16)^2.
  const double sigma = std::sqrt(115.0 / 16 - 81.0 / 256);
  for (const Scaling scaling : {Scaling::Layer, Scaling::Row}) {
    const ConductanceMapping mapping(weights, {Conductance::from_uS(25), scaling, 2});
    const std::vector<float> targets = mapping.targets_uS(weights);
    EXPECT_NEAR(mapping.layers()[0].max_abs_weight, 2 * sigma, 1e-6);
    EXPECT_FLOAT_EQ(targets[2 * 3], 25);
    EXPECT_NEAR(static_cast<double>(targets[2 * 5]), 25 / (2 * sigma), 1e-4);
    EXPECT_NEAR(static_cast<double>(mapping.weights(targets)[3]), 2 * sigma, 1e-5);
    // The second row has no outlier: a scale of its own.
    EXPECT_FLOAT_EQ(targets[2 * 9], scaling == Scaling::Row ? 25.0f : targets[2 * 5]);
  }
  const ConductanceMapping all(weights, {Conductance::from_uS(25), Scaling::Layer, 0});
  EXPECT_EQ(all.layers()[0].max_abs_weight, 10);
}

TEST(ConductanceMapping, DoesNotClipALayerWhoseWeightsAreAllTheSame) {
  WeightSet weights;
  weights.layers = {{"constant", 0, 1, 4, 0}};
  weights.values.assign(4, 0.5f);
  const ConductanceMapping mapping(weights, {Conductance::from_uS(25), Scaling::Layer, 1});
  EXPECT_EQ(mapping.layers()[0].max_abs_weight, 0.5);
}

TEST(ConductanceMapping, TakesWeightsTooSmallForAFloatForZero) {
  WeightSet weights;
  weights.layers = {{"tiny", 0, 1, 2, 0}};
  weights.values = {1e-40f, -1e-42f};
  for (const Scaling scaling : {Scaling::Layer, Scaling::Row}) {
    const ConductanceMapping mapping(weights, {Conductance::from_uS(25), scaling});
    EXPECT_EQ(mapping.targets_uS(weights), (std::vector<float>(4, 0.0f)));
  }
}

}  // namespace
}  // namespace pcmlab

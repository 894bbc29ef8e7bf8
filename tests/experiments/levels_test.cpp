// SPDX-License-Identifier: Apache-2.0
// Levels, and reading them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "experiments/engine/engine.h"
#include "experiments/retention/run_summary.h"
#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

using ::testing::HasSubstr;

Plan plan_of(const std::string& steps) {
  return parse_plan(steps, "test.toml", plan_schema({})).value();
}

constexpr const char* kLevels =
    "[[step]]\nexperiment = \"levels\"\nlevels_uS = [0, 5, 20]\ndevices_per_level = 100\n"
    "[[step]]\nexperiment = \"retention\"\npoints = 3\n";

TEST(Levels, AreProgrammedAllOverTheArrayAndRead) {
  TestBench bench;
  const RunInputs inputs = small_inputs();
  db::RunStore store = db::RunStore::open(":memory:").value();
  RecordingObserver observer;
  const auto predictions = predict(plan_of(kLevels), inputs, bench.board->information());
  ASSERT_TRUE(predictions) << predictions.error().message;
  const RunResult result = run_plan(plan_of(kLevels), inputs, *bench.board, store, observer,
                                    {"1.0", "abc", "the test's mock"}, {});
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto programming = store.programmings(result.run).value().front();
  EXPECT_EQ(programming.nonzero_targets, 200);
  EXPECT_GE(programming.converged, 195);
  const db::Placement placement = store.placement(programming.id).value();
  std::map<float, std::set<unsigned>> word_lines;
  for (std::size_t d = 0; d < placement.targets_uS.size(); ++d) {
    word_lines[placement.targets_uS[d]].insert(placement.addresses[d].word_line.index);
  }
  ASSERT_EQ(word_lines.size(), 3u);
  for (const auto& [level, lines] : word_lines) {
    EXPECT_EQ(lines.size(), 32u) << level << " uS is on every word line";
  }
  const auto sweeps = store.sweeps(result.run).value();
  ASSERT_EQ(sweeps.size(), 3u);
  EXPECT_EQ(store.sweep_code_sums(sweeps[0].id)->size(), 300u);
  EXPECT_EQ((*predictions)[1].bytes, 3 * 300 * 2) << "of what is read, not of the network";
  const auto summary = summarise_run(store, result.run);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->sweeps.size(), 3u);
  EXPECT_FALSE(summary->classes.empty());
}

TEST(Levels, SayWhenTheyDoNotFit) {
  const TestBench bench;
  const auto error_of = [&](const std::string& keys) {
    const auto prediction = predict(plan_of("[[step]]\nexperiment = \"levels\"\n" + keys),
                                    small_inputs(), bench.board->information());
    EXPECT_FALSE(prediction) << keys;
    return prediction ? std::string() : prediction.error().message;
  };
  EXPECT_THAT(error_of("devices_per_level = 500\n"), HasSubstr("are 5000 devices; there are 4096"));
  EXPECT_THAT(error_of("levels_uS = []\n"), HasSubstr("levels_uS is empty"));
}

TEST(Levels, AreNoWeightsToCountAccuracyWith) {
  const TestBench bench;
  const auto prediction =
      predict(plan_of(std::string(kLevels) + "[[step]]\nexperiment = \"accuracy\"\n"),
              small_inputs(), bench.board->information());
  ASSERT_FALSE(prediction);
  EXPECT_THAT(prediction.error().message, HasSubstr("no complete sweep of the network's weights"));
}

}  // namespace
}  // namespace pcmlab

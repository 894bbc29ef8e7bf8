// SPDX-License-Identifier: Apache-2.0
// Screening a chip, and programming around what it found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "experiments/engine/engine.h"
#include "experiments/retention/run_summary.h"
#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kScreen = "[[step]]\nexperiment = \"screen\"\n";
constexpr const char* kProgram = "[[step]]\nexperiment = \"program\"\n";
constexpr const char* kEvaluate =
    "[[step]]\nexperiment = \"retention\"\npoints = 2\n"
    "[[step]]\nexperiment = \"accuracy\"\nprecision = \"float32\"\n";

DeviceAddress at(std::uint16_t word_line, std::uint16_t bit_line) {
  return {WordLine{word_line}, BitLine{bit_line}};
}

/// A small chip with a stuck device in the first pair, in the third, and far behind the network.
struct Session {
  static mock::ChipFaults faults() {
    mock::ChipFaults faults;
    faults.stuck_low = {at(0, 0), at(31, 100)};
    faults.stuck_high = {at(0, 5)};
    return faults;
  }
  RunResult run(const std::string& steps) {
    const Plan plan =
        parse_plan("[run]\nsample = \"chip 7\"\n" + steps, "test.toml", plan_schema({})).value();
    return run_plan(plan, inputs, *bench.board, store, observer, {"1.0", "abc", "the test's mock"},
                    {});
  }
  std::vector<DeviceAddress> places(const RunResult& result) {
    return store.placement(store.programmings(result.run).value().back().id).value().addresses;
  }

  TestBench bench{TestBench::good_devices(), {}, {32, 128}, faults()};
  RunInputs inputs = small_inputs();
  db::RunStore store = db::RunStore::open(":memory:").value();
  RecordingObserver observer;
};

TEST(Screen, FindsTheDevicesThatDoNotAnswerPulses) {
  Session session;
  const RunResult result = session.run(kScreen);
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  EXPECT_THAT(session.store.known_bad(result.run, db::KnownTo::Run).value(),
              ElementsAre(at(0, 0), at(0, 5), at(31, 100)));
  const auto programming = session.store.programmings(result.run).value().front();
  EXPECT_EQ(programming.nonzero_targets, 32 * 128);
  EXPECT_GE(programming.converged, 32 * 128 - 6);
  EXPECT_EQ(session.store.placement(programming.id).value().first_weight, std::nullopt);
}

TEST(Screen, IsWhatProgrammingGoesAround) {
  Session session;
  const RunResult result = session.run(std::string(kScreen) + kProgram + kEvaluate);
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto places = session.places(result);
  ASSERT_EQ(places.size(), 340u);
  // The pairs of (0, 0) and (0, 5) are left out, with both devices.
  EXPECT_EQ(places[0], at(0, 2));
  EXPECT_EQ(places[1], at(0, 3));
  EXPECT_EQ(places[2], at(0, 6));
  const auto summary = summarise_run(session.store, result.run);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->programming->nonzero_targets, 170);
  EXPECT_EQ(summary->stuck_low + summary->stuck_high, 0);
  ASSERT_EQ(summary->sweeps.size(), 2u);
  EXPECT_GT(percent_of(summary->sweeps[0].accuracies.at("none")), 85);
}

TEST(Screen, OfAnEarlierRunCountsWhenThePlanSaysSo) {
  Session session;
  ASSERT_TRUE(session.run(kScreen).outcome);
  const RunResult own = session.run(kProgram);
  ASSERT_TRUE(own.outcome) << own.outcome.error().message;
  EXPECT_EQ(session.places(own)[0], at(0, 0));
  const RunResult chip = session.run(std::string(kProgram) + "known_bad = \"chip\"\n");
  ASSERT_TRUE(chip.outcome) << chip.outcome.error().message;
  EXPECT_EQ(session.places(chip)[0], at(0, 2));
  const RunResult none = session.run(std::string(kScreen) + kProgram + "known_bad = \"none\"\n");
  ASSERT_TRUE(none.outcome) << none.outcome.error().message;
  EXPECT_EQ(session.places(none)[0], at(0, 0));
}

TEST(Screen, HoldsNoWeightsToEvaluate) {
  Session session;
  const RunResult result = session.run(std::string(kScreen) + kEvaluate);
  ASSERT_FALSE(result.outcome);
  EXPECT_EQ(result.outcome.error().code, ErrorCode::BadPlan);
  EXPECT_THAT(result.outcome.error().message, HasSubstr("no complete sweep of the network's"));
  const Plan plan =
      parse_plan(std::string(kScreen) + kEvaluate, "test.toml", plan_schema({})).value();
  const auto prediction = predict(plan, session.inputs, session.bench.board->information());
  ASSERT_FALSE(prediction);
  EXPECT_THAT(prediction.error().message, HasSubstr("step 3 (accuracy)"));
}

TEST(Screen, PulsesEveryDeviceOfTheArrayOnlyAFewTimes) {
  Session session;
  const RunResult result = session.run(kScreen);
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto programming = session.store.programmings(result.run).value().front();
  const auto pulses = session.store.programming_result(programming.id).value().pulses;
  EXPECT_GE(*std::min_element(pulses.begin(), pulses.end()), 7);
  EXPECT_LT(programming.pulses, 14 * 32 * 128);
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
// Networks larger than the array: programmed and read in several fillings, evaluated together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "experiments/engine/engine.h"
#include "experiments/exchange/measured_run.h"
#include "experiments/retention/programmed_network.h"
#include "experiments/retention/run_summary.h"
#include "tests/experiments/network/temporary_folder.h"
#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::Lt;

constexpr const char* kInFillings = R"(
[[step]]
experiment = "program"
[[step]]
experiment = "retention"
points = 6
[[step]]
experiment = "accuracy"
precision = "float32"
)";

/// A network of 170 weights on an array with room for 128.
struct SmallArray {
  explicit SmallArray(const mock::ChipFaults& faults = {})
      : bench(TestBench::good_devices(), {}, {4, 64}, faults) {}

  static Plan plan() { return parse_plan(kInFillings, "test.toml", plan_schema({})).value(); }
  RunResult run(std::stop_token stop = {}) {
    return run_plan(plan(), inputs, *bench.board, store, observer, {"1.0", "abc", "mock"},
                    {std::move(stop)});
  }

  TestBench bench;
  RunInputs inputs = small_inputs();
  db::RunStore store = db::RunStore::open(":memory:").value();
  RecordingObserver observer;
};

TEST(Fillings, HoldAllWeightsOneAfterAnother) {
  SmallArray session;
  const RunResult result = session.run();
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto network = programmed_network(session.store, result.run);
  ASSERT_TRUE(network) << network.error().message;
  ASSERT_EQ(network->fillings.size(), 2u);
  const auto first = session.store.placement(network->fillings[0].id).value();
  const auto second = session.store.placement(network->fillings[1].id).value();
  EXPECT_EQ(first.first_weight, 0);
  EXPECT_EQ(first.addresses.size(), 256u);
  EXPECT_EQ(second.first_weight, 128);
  EXPECT_EQ(second.addresses.size(), 84u);
  EXPECT_EQ(second.addresses[0], first.addresses[0]) << "the array is filled anew";
  ASSERT_EQ(network->readings.size(), 6u);
  const auto g_uS = conductances_uS(session.store, network->readings[0]).value();
  const auto wanted_uS = targets_uS(session.store, *network).value();
  ASSERT_EQ(g_uS.size(), 340u);
  ASSERT_EQ(wanted_uS.size(), 340u);
  double error_uS = 0;
  for (std::size_t d = 0; d < g_uS.size(); ++d) {
    error_uS += std::abs(static_cast<double>(g_uS[d] - wanted_uS[d]));
  }
  EXPECT_LT(error_uS / 340, 1);
}

TEST(Fillings, AreReadAtTheSameTimesAfterTheirOwnProgramming) {
  SmallArray session;
  const RunResult result = session.run();
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto network = programmed_network(session.store, result.run).value();
  for (const NetworkReading& reading : network.readings) {
    ASSERT_EQ(reading.sweeps.size(), 2u);
    for (std::size_t filling = 0; filling < 2; ++filling) {
      EXPECT_EQ(reading.sweeps[filling].programming, network.fillings[filling].id);
      EXPECT_EQ(reading.sweeps[filling].scheduled_s, reading.sweeps[0].scheduled_s);
      EXPECT_NEAR(reading.sweeps[filling].after_s, reading.sweeps[0].scheduled_s, 0.1);
    }
  }
  EXPECT_GT(network.fillings[1].end_tick_ns - network.fillings[0].end_tick_ns,
            std::int64_t{86'400'000'000'000});
}

TEST(Fillings, AreEvaluatedTogether) {
  SmallArray session;
  const RunResult result = session.run();
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  EXPECT_THAT(session.observer.steps, ElementsAre("program", "retention", "accuracy"));
  const auto steps = session.store.steps(result.run).value();
  ASSERT_EQ(steps.size(), 3u);
  for (const db::StepRow& step : steps) EXPECT_EQ(step.state, db::RunState::Complete);
  const auto summary = summarise_run(session.store, result.run);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->fillings, 2);
  EXPECT_EQ(summary->programming->nonzero_targets, 170);
  EXPECT_GE(summary->programming->converged, 165);
  ASSERT_EQ(summary->points.size(), 6u);
  std::vector<double> percents;
  for (const TimePoint& point : summary->points) {
    percents.push_back(point.accuracies.at("gdc").mean_percent);
  }
  EXPECT_THAT(percents, Each(Ge(80)));
  std::int64_t devices = 0;
  for (const ConductanceClass& c : summary->classes) devices += c.devices;
  EXPECT_THAT(devices, AllOf(Ge(75), Lt(100))) << "every second one";
}

TEST(Fillings, AreExportedTogether) {
  SmallArray session;
  const RunResult result = session.run();
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto measured = find_measured_run(session.store, result.run, std::nullopt);
  ASSERT_TRUE(measured) << measured.error().message;
  EXPECT_EQ(measured->numbers, (std::vector{1, 2, 3, 4, 5, 6}));
  const test::TemporaryFolder folder;
  OutputFile file = OutputFile::create(folder.path() / "devices.csv", false).value();
  ASSERT_TRUE(write_device_csv(session.store, *measured, file));
  ASSERT_TRUE(file.finish());
  std::ifstream csv(folder.path() / "devices.csv");
  std::vector<std::string> lines;
  for (std::string line; std::getline(csv, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 341u);
  // Layer, weight, row, column, polarity, word line, bit line: 17 weights a row.
  EXPECT_THAT(lines[1], testing::ContainsRegex("^[^,]+,0,0,0,1,0,0,"));
  EXPECT_THAT(lines[256], testing::ContainsRegex("^[^,]+,127,7,8,-1,3,63,"));
  EXPECT_THAT(lines[257], testing::ContainsRegex("^[^,]+,128,7,9,1,0,0,"));
  EXPECT_THAT(lines[340], testing::ContainsRegex("^[^,]+,169,9,16,-1,"));
}

TEST(Fillings, StoppedInTheSecondKeepTheFirst) {
  SmallArray session;
  std::stop_source stop;
  int sweeps = 0;
  session.observer.on_progress = [&](const db::ProgressRow& progress) {
    if (progress.activity.starts_with("sweep") && ++sweeps == 8) stop.request_stop();
  };
  const RunResult result = session.run(stop.get_token());
  ASSERT_FALSE(result.outcome);
  EXPECT_EQ(result.outcome.error().code, ErrorCode::Stopped);
  EXPECT_THAT(result.outcome.error().message, HasSubstr("step 2 (retention)"));
  const auto steps = session.store.steps(result.run).value();
  ASSERT_EQ(steps.size(), 3u) << "the third counts what is read";
  EXPECT_EQ(steps[0].state, db::RunState::Complete);
  EXPECT_EQ(steps[1].state, db::RunState::Stopped);
  EXPECT_EQ(steps[2].state, db::RunState::Stopped);
  const auto network = programmed_network(session.store, result.run).value();
  EXPECT_EQ(network.fillings.size(), 2u);
  EXPECT_EQ(network.readings.size(), 2u) << "those that both fillings have";
  EXPECT_TRUE(summarise_run(session.store, result.run));
}

TEST(Fillings, GoAroundDevicesThatAnEarlierOneFoundStuck) {
  mock::ChipFaults faults;
  for (std::uint16_t bit_line = 0; bit_line < 64; bit_line += 2) {
    faults.stuck_low.push_back({WordLine{0}, BitLine{bit_line}});
    faults.stuck_low.push_back({WordLine{0}, BitLine{static_cast<std::uint16_t>(bit_line + 1)}});
  }
  SmallArray session(faults);
  const RunResult result = session.run();
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto network = programmed_network(session.store, result.run).value();
  ASSERT_EQ(network.fillings.size(), 2u);
  const auto places = session.store.placement(network.fillings[1].id).value().addresses;
  const auto on_the_bad_line =
      std::count_if(places.begin(), places.end(),
                    [](const DeviceAddress& place) { return place.word_line.index == 0; });
  EXPECT_LT(on_the_bad_line, 16) << "only pairs whose stuck devices went unnoticed, low targets";
}

TEST(Fillings, TakeTheirTimesEach) {
  SmallArray session;
  const auto several =
      predict(SmallArray::plan(), session.inputs, session.bench.board->information());
  ASSERT_TRUE(several) << several.error().message;
  const TestBench roomy;
  const auto one = predict(SmallArray::plan(), session.inputs, roomy.board->information());
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_NEAR((*several)[1].waiting_s / (*one)[1].waiting_s, 2, 0.01);
  EXPECT_EQ((*several)[1].bytes, (*one)[1].bytes);
}

}  // namespace
}  // namespace pcmlab

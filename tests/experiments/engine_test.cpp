// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/retention/run_summary.h"
#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kPlan = R"(
# a day on a small chip
[run]
name = "small"
[[step]]
experiment = "program"
[[step]]
experiment = "retention"
points = 6
[[step]]
experiment = "accuracy"
precision = "float32"
)";

Plan plan_of(const std::string& text) {
  return parse_plan(text, "test.toml", plan_schema({})).value();
}

struct Session {
  RunResult run(const std::string& text, std::stop_token stop = {}) {
    return run_plan(plan_of(text), inputs, *bench.board, store, observer,
                    {"1.0", "abc", "the test's mock"}, {std::move(stop)});
  }

  TestBench bench;
  RunInputs inputs = small_inputs();
  db::RunStore store = db::RunStore::open(":memory:").value();
  RecordingObserver observer;
};

TEST(Engine, RunsAPlanFromWeightsToAccuracies) {
  Session session;
  const RunResult result = session.run(kPlan);
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  EXPECT_THAT(session.observer.steps, ElementsAre("program", "retention", "accuracy"));

  const auto summary = summarise_run(session.store, result.run);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->run.state, db::RunState::Complete);
  EXPECT_EQ(summary->run.weights, 170);
  EXPECT_EQ(summary->run.devices, 340);
  EXPECT_EQ(summary->run.plan_text, kPlan);
  EXPECT_EQ(summary->software_percent, 100.0);
  ASSERT_EQ(summary->sweeps.size(), 6u);
  EXPECT_EQ(summary->sweeps.front().sweep.scheduled_s, 25);
  EXPECT_EQ(summary->sweeps.back().sweep.scheduled_s, 86400);
  double before = 1.0001;
  for (const SweepFigures& figures : summary->sweeps) {
    EXPECT_LT(figures.sum_ratio, before) << "conductance only falls";
    before = figures.sum_ratio;
    ASSERT_EQ(figures.accuracies.count("none"), 1u);
    EXPECT_GT(percent_of(figures.accuracies.at("gdc")), 80);
    EXPECT_EQ(figures.sweep.temperature_K, 300);
  }
  EXPECT_GE(summary->programming->converged, 165);
}

TEST(Engine, ComputesAccuraciesWithAScaleARowFromTheDatabaseAlone) {
  Session session;
  // One output's weights are so small that a scale for all would leave it at no conductance.
  auto& dense = std::get<DenseNode>(session.inputs.network.nodes[0].kind);
  for (std::size_t i = 0; i < 16; ++i) dense.weights[i] *= 1e-3f;
  dense.bias[0] *= 1e-3f;
  session.inputs.weights = weights_of(session.inputs.network);
  const std::string plan =
      std::string(kPlan).replace(std::string(kPlan).find("[[step]]\nexperiment = \"retention\""), 0,
                                 "scaling = \"row\"\nclip_sigma = 2.5\n");
  const RunResult result = session.run(plan);
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto programmings = session.store.programmings(result.run).value();
  const auto layers = session.store.layers(programmings.at(0).step).value();
  ASSERT_EQ(layers.size(), 1u);
  ASSERT_EQ(layers[0].row_max_abs_weights.size(), 10u);
  EXPECT_LT(layers[0].row_max_abs_weights[0], 0.01f);
  const auto placement = session.store.placement(programmings[0].id).value();
  float largest_uS = 0;
  for (std::size_t d = 0; d < std::size_t{2} * 17; ++d) {
    largest_uS = std::max(largest_uS, placement.targets_uS[d]);
  }
  EXPECT_FLOAT_EQ(largest_uS, 25);
  const auto summary = summarise_run(session.store, result.run).value();
  EXPECT_GT(percent_of(summary.sweeps.front().accuracies.at("gdc")), 60);
}

TEST(Engine, SweepsBeginWhenTheyAreDue) {
  Session session;
  const RunResult result = session.run(kPlan);
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const std::vector<db::SweepRow> sweeps = session.store.sweeps(result.run).value();
  for (const db::SweepRow& sweep : sweeps) {
    EXPECT_GE(sweep.after_s, sweep.scheduled_s);
    EXPECT_LT(sweep.after_s, sweep.scheduled_s + 0.1);
    EXPECT_LT(sweep.slip_s, 0.1);
  }
}

TEST(Engine, AStoppedRunKeepsItsSweepsAndSaysSo) {
  Session session;
  std::stop_source stop;
  session.observer.on_progress = [&](const db::ProgressRow& progress) {
    if (progress.activity.starts_with("sweep 3")) stop.request_stop();
  };
  const RunResult result = session.run(kPlan, stop.get_token());
  ASSERT_FALSE(result.outcome);
  EXPECT_EQ(result.outcome.error().code, ErrorCode::Stopped);
  EXPECT_EQ(session.store.run(result.run)->state, db::RunState::Stopped);
  EXPECT_EQ(session.store.sweeps(result.run)->size(), 3u);
  const auto summary = summarise_run(session.store, result.run);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->sweeps.size(), 3u);
}

/// The plan with more lines behind one of its own.
std::string plan_with(const std::string& behind, const std::string& more) {
  std::string text = kPlan;
  return text.insert(text.find(behind) + behind.size(), "\n" + more);
}

TEST(Engine, CountsEachSweepBeforeTheNextOneIsRead) {
  Session session;
  std::vector<std::size_t> read_at_accuracy;  // after software and three conditions a sweep
  session.observer.on_progress = [&](const db::ProgressRow& progress) {
    if (progress.activity != "accuracy" || progress.done % 3 != 1) return;
    read_at_accuracy.push_back(session.store.sweeps(1)->size());
  };
  const RunResult result = session.run(kPlan);
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  EXPECT_THAT(read_at_accuracy, ElementsAre(1u, 2u, 3u, 4u, 5u, 6u));

  Session behind;
  const RunResult later = behind.run(plan_with("precision = \"float32\"", "while_reading = false"));
  ASSERT_TRUE(later.outcome) << later.outcome.error().message;
  const auto a = session.store.accuracies(result.run).value();
  const auto b = behind.store.accuracies(later.run).value();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].correct, b[i].correct);
    EXPECT_EQ(a[i].after_s, b[i].after_s);
  }
}

TEST(Engine, ReadsNoMoreOnceTheAccuracyIsBelowTheWanted) {
  Session session;
  const std::string plan =
      plan_with("precision = \"float32\"", "stop_below = 1.0\nstop_condition = \"none\"");
  const RunResult result = session.run(plan);
  ASSERT_FALSE(result.outcome);
  EXPECT_EQ(result.outcome.error().code, ErrorCode::Stopped);
  EXPECT_THAT(result.outcome.error().message, HasSubstr("is below stop_below = 100 %"));
  EXPECT_EQ(session.store.run(result.run)->state, db::RunState::Stopped);
  const auto steps = session.store.steps(result.run).value();
  for (const db::StepRow& step : steps) {
    EXPECT_EQ(step.state,
              step.experiment == "program" ? db::RunState::Complete : db::RunState::Stopped)
        << step.experiment;
  }
  const auto sweeps = session.store.sweeps(result.run).value();
  EXPECT_LT(sweeps.size(), 6u);
  EXPECT_TRUE(sweeps.back().complete);
  // Asked to go on, it finds the same.
  const RunResult again =
      resume_plan(result.run, plan_of(plan), session.inputs, *session.bench.board, session.store,
                  session.observer, {"1.0", "abc", "the test's mock"}, {});
  ASSERT_FALSE(again.outcome);
  EXPECT_EQ(again.outcome.error().code, ErrorCode::Stopped);
}

TEST(Engine, PredictsHowLongProgrammingWaits) {
  Session session;
  const std::string plan =
      "[[step]]\nexperiment = \"program\"\nmax_iterations = 6\ntolerance_uS = 0.01\n";
  const auto predictions =
      predict(plan_of(plan), session.inputs, session.bench.board->information());
  ASSERT_TRUE(predictions) << predictions.error().message;
  const Prediction& predicted = predictions->front();
  EXPECT_DOUBLE_EQ(predicted.waiting_s, 6 * 0.5);
  const RunResult result = session.run(plan);
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto programming = session.store.programmings(result.run).value().at(0);
  EXPECT_NEAR(static_cast<double>(programming.end_tick_ns) * 1e-9,
              predicted.waiting_s + predicted.chip_busy_s, 0.2 * predicted.waiting_s);
}

TEST(Engine, GoesOnWithTheDefaultsThatAStepBeganWith) {
  Session session;
  std::stop_source stop;
  session.observer.on_progress = [&](const db::ProgressRow& progress) {
    if (progress.activity != "accuracy") stop.request_stop();
  };
  const Plan begun =
      plan_of(plan_with("experiment = \"program\"", "tolerance_uS = 4.0\nmax_iterations = 3"));
  const RunResult stopped =
      run_plan(begun, session.inputs, *session.bench.board, session.store, session.observer,
               {"1.0", "abc", "the test's mock"}, {stop.get_token(), {}});
  ASSERT_FALSE(stopped.outcome);
  session.observer.on_progress = {};
  Plan plan = plan_of(plan_with("experiment = \"program\"", "tolerance_uS = 4.0"));
  EXPECT_THAT(keep_defaults(stopped.run, plan, session.store).value(),
              ElementsAre("step 1 (program) goes on as it began, with max_iterations = 3"));
  const RunResult result =
      resume_plan(stopped.run, plan, session.inputs, *session.bench.board, session.store,
                  session.observer, {"1.0", "abc", "the test's mock"}, {});
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  EXPECT_LE(session.store.programmings(result.run).value().at(0).iterations, 3);
}

TEST(Engine, StopsBehindAProgrammingOfTooLowAYield) {
  Session session;
  const RunResult result =
      session.run(plan_with("experiment = \"program\"",
                            "stop_below_yield = 1.0\nmax_iterations = 2\ntolerance_uS = 0.1"));
  ASSERT_FALSE(result.outcome);
  EXPECT_EQ(result.outcome.error().code, ErrorCode::Stopped);
  EXPECT_THAT(result.outcome.error().message, HasSubstr("is below stop_below_yield = 100 %"));
  EXPECT_TRUE(session.store.sweeps(result.run)->empty());
  const auto programmings = session.store.programmings(result.run).value();
  ASSERT_EQ(programmings.size(), 1u);
  EXPECT_TRUE(programmings[0].complete);
}

TEST(Engine, RefusesAConditionOnAnAccuracyThatIsNotCounted) {
  Session session;
  const auto prediction = predict(
      plan_of(plan_with("precision = \"float32\"", "stop_below = 0.9\nconditions = [\"none\"]")),
      session.inputs, session.bench.board->information());
  ASSERT_FALSE(prediction);
  EXPECT_THAT(prediction.error().message, HasSubstr("stop_condition = \"gdc\""));
}

TEST(Engine, WaitsAsLongAsThePlanSays) {
  Session session;
  const RunResult result = session.run(
      "[[step]]\nexperiment = \"program\"\n"
      "[[step]]\nexperiment = \"wait\"\nfor_s = 5000\n"
      "[[step]]\nexperiment = \"retention\"\ntimes_s = [1]\n");
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  EXPECT_NEAR(session.store.sweeps(result.run)->front().after_s, 5000, 20);
  EXPECT_FALSE(session.observer.rows.empty());
}

TEST(Engine, WaitsForATimeOfTheDay) {
  Session session;
  const RunResult result = session.run(
      "[[step]]\nexperiment = \"program\"\n"
      "[[step]]\nexperiment = \"wait\"\nuntil = \"2000-01-01 12:00\"\n"
      "[[step]]\nexperiment = \"retention\"\ntimes_s = [1]\n");
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  EXPECT_LT(session.store.sweeps(result.run)->front().after_s, 20) << "it has come long ago";
  for (const char* wrong : {"", "until = \"22:00\"\nfor_s = 3", "until = \"late\""}) {
    const auto prediction =
        predict(plan_of(std::string("[[step]]\nexperiment = \"wait\"\n") + wrong), session.inputs,
                session.bench.board->information());
    ASSERT_FALSE(prediction) << wrong;
    EXPECT_EQ(prediction.error().code, ErrorCode::BadPlan);
  }
}

TEST(Engine, ALostBoardFailsTheRunAndKeepsWhatWasMeasured) {
  Session session;
  session.observer.on_progress = [&](const db::ProgressRow& progress) {
    if (progress.activity.starts_with("sweep 2")) session.bench.cable->unplug();
  };
  const RunResult result = session.run(kPlan);
  ASSERT_FALSE(result.outcome);
  EXPECT_EQ(result.outcome.error().code, ErrorCode::Disconnected);
  EXPECT_THAT(result.outcome.error().message, HasSubstr("step 2 (retention)"));
  const auto run = session.store.run(result.run);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->state, db::RunState::Failed);
  EXPECT_THAT(run->error, HasSubstr("cable"));
  EXPECT_TRUE(session.store.sweep_code_sums(session.store.sweeps(result.run)->front().id));
}

TEST(Engine, SaysWhichStepIsMissing) {
  Session session;
  const RunResult early = session.run("[[step]]\nexperiment = \"retention\"\n");
  ASSERT_FALSE(early.outcome);
  EXPECT_THAT(early.outcome.error().advice, HasSubstr("experiment = \"program\""));
  const RunResult unread =
      session.run("[[step]]\nexperiment = \"program\"\n[[step]]\nexperiment = \"accuracy\"\n");
  ASSERT_FALSE(unread.outcome);
  EXPECT_THAT(unread.outcome.error().advice, HasSubstr("experiment = \"retention\""));
}

TEST(Engine, FindsAMissingStepBeforeTheRun) {
  Session session;
  const auto prediction =
      predict(plan_of("[[step]]\nexperiment = \"program\"\n[[step]]\nexperiment = \"accuracy\"\n"),
              session.inputs, session.bench.board->information());
  ASSERT_FALSE(prediction);
  EXPECT_EQ(prediction.error().code, ErrorCode::BadPlan);
  EXPECT_THAT(prediction.error().message, HasSubstr("step 2 (accuracy)"));
}

TEST(Engine, FindsPulsesThatTheBoardDoesNotAllowBeforeTheRun) {
  Session session;
  const auto error_of = [&](const std::string& settings) {
    const auto prediction = predict(plan_of("[[step]]\nexperiment = \"program\"\n" + settings),
                                    session.inputs, session.bench.board->information());
    EXPECT_FALSE(prediction) << settings;
    return prediction ? std::string() : prediction.error().message;
  };
  EXPECT_THAT(error_of("max_amplitude_uA = 600\n"), HasSubstr("600 uA"));
  EXPECT_THAT(error_of("staircase_uA = [160, 550]\n"), HasSubstr("550 uA"));
  EXPECT_THAT(error_of("pulse_width_ns = 20000\n"), HasSubstr("20000 ns"));
  EXPECT_THAT(error_of("min_amplitude_uA = 401\n"), HasSubstr("min_amplitude_uA"));
}

TEST(Engine, NamesAMissingNetworkFile) {
  const auto inputs = load_inputs(
      plan_of("[network]\nfile = \"/nowhere/net.onnx\"\n[[step]]\nexperiment = \"program\"\n"));
  ASSERT_FALSE(inputs);
  EXPECT_EQ(inputs.error().code, ErrorCode::NotFound);
  EXPECT_THAT(inputs.error().message, HasSubstr("/nowhere/net.onnx"));
}

TEST(Engine, PredictsMoreTimeAndBytesForMoreSweeps) {
  Session session;
  const auto few =
      predict(plan_of(kPlan), session.inputs, session.bench.board->information()).value();
  std::string text = kPlan;
  text.replace(text.find("points = 6"), 10, "points = 60");
  const auto many =
      predict(plan_of(text), session.inputs, session.bench.board->information()).value();
  ASSERT_EQ(few.size(), 3u);
  EXPECT_EQ(many[1].bytes - few[1].bytes, 54 * 340 * 2);
  EXPECT_NEAR(many[1].chip_busy_s / few[1].chip_busy_s, 10, 0.01);
  EXPECT_GT(few[0].pulses, 340);
}

TEST(Engine, TwoRunsOfOnePlanOnTwoChipsOfOneSeedAgree) {
  Session first, second;
  const RunResult a = first.run(kPlan), b = second.run(kPlan);
  ASSERT_TRUE(a.outcome && b.outcome);
  const auto sweeps_a = first.store.sweeps(a.run).value(),
             sweeps_b = second.store.sweeps(b.run).value();
  for (std::size_t s = 0; s < sweeps_a.size(); ++s) {
    EXPECT_EQ(first.store.sweep_code_sums(sweeps_a[s].id).value(),
              second.store.sweep_code_sums(sweeps_b[s].id).value());
  }
}

}  // namespace
}  // namespace pcmlab

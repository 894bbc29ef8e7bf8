// SPDX-License-Identifier: Apache-2.0
// Compensations of drift, from a plan to what is stored of them, on a small network with batch
// norm.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <random>

#include "experiments/engine/engine.h"
#include "experiments/network/augmentation.h"
#include "experiments/network/image_choice.h"
#include "experiments/network/inference.h"
#include "experiments/retention/global_drift_compensation.h"
#include "experiments/retention/run_summary.h"
#include "tests/experiments/network/given_numbers.h"
#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kIn = 16, kHidden = 24, kOut = 10;

Dataset numbers_like_images(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> pixels(count * kIn);
  for (float& pixel : pixels) pixel = normal(random);
  Dataset images;
  images.name = "random images";
  images.description = "random images, seed " + std::to_string(seed);
  images.channels = kIn;
  images.height = images.width = 1;
  images.classes = kOut;
  images.labels.assign(count, 0);
  images.source = std::make_shared<test::GivenNumbers>(std::move(pixels), kIn);
  return images;
}

/// dense - batch norm - ReLU - dense. Its batch norm has the statistics of 2,000 images, and the
/// labels are what it says.
RunInputs inputs_with_batch_norm() {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  DenseNode hidden, classes;
  hidden.in_features = kIn;
  hidden.out_features = classes.in_features = kHidden;
  classes.out_features = kOut;
  for (int i = 0; i < kIn * kHidden; ++i) hidden.weights.push_back(normal(random));
  for (int i = 0; i < kHidden * kOut; ++i) classes.weights.push_back(normal(random));
  for (int i = 0; i < kOut; ++i) classes.bias.push_back(0.1f * normal(random));
  BatchNormNode norm;
  norm.gamma.assign(kHidden, 1.0f);
  norm.beta.assign(kHidden, 0.5f);
  norm.mean.assign(kHidden, 0.0f);
  norm.variance.assign(kHidden, 1.0f);
  RunInputs inputs;
  Network& network = inputs.network;
  network.name = "two dense layers";
  network.sha256 = std::string(64, 'b');
  network.file = {std::byte{1}};
  network.nodes = {{"hidden", hidden, {0}, 1},
                   {"norm", norm, {1}, 2},
                   {"relu", ReluNode{}, {2}, 3},
                   {"classes", classes, {3}, 4}};
  network.shapes = {{kIn, 1, 1}, {kHidden, 1, 1}, {kHidden, 1, 1}, {kHidden, 1, 1}, {kOut, 1, 1}};
  network.output = 4;
  auto untrained = InferenceEngine::create(network, Precision::Float32).value();
  const auto trained = untrained.measure_batch_norms(numbers_like_images(2000, 6), 0, 2000).value();
  auto& node = std::get<BatchNormNode>(network.nodes[1].kind);
  node.mean = trained[0].mean;
  node.variance = trained[0].variance;

  inputs.images = numbers_like_images(400, 7);
  auto engine = InferenceEngine::create(network, Precision::Float32).value();
  const auto logits = engine.logits(inputs.images, 0, 400).value();
  for (std::size_t i = 0; i < 400; ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i * kOut);
    inputs.images.labels[i] = static_cast<std::uint16_t>(std::max_element(row, row + kOut) - row);
  }
  inputs.weights = weights_of(network);
  const Dataset training = numbers_like_images(1000, 8);
  inputs.calibration.resize(3);
  inputs.calibration[2].indices = choose_images(300, 1000, 1);
  inputs.calibration[2].images = subset_of(training, inputs.calibration[2].indices);
  return inputs;
}

std::string plan_text(const std::string& retention, const std::string& accuracy) {
  return "[[step]]\nexperiment = \"program\"\n[[step]]\nexperiment = \"retention\"\n" + retention +
         "[[step]]\nexperiment = \"accuracy\"\ncalibration_batches = 3\ncalibration_images = "
         "100\n" +
         accuracy;
}

struct Session {
  RunResult run(const std::string& text) {
    return run_plan(parse_plan(text, "test.toml", plan_schema({})).value(), inputs, *bench.board,
                    store, observer, {"1.0", "abc", "the test's mock"}, {});
  }
  db::RowId last_step(db::RowId of_run) { return store.steps(of_run).value().back().id; }

  TestBench bench;
  RunInputs inputs = inputs_with_batch_norm();
  db::RunStore store = db::RunStore::open(":memory:").value();
  RecordingObserver observer;
};

constexpr const char* kAYear = "times_s = [25, 86400, 31557600]\n";

TEST(Compensation, CountsUnderAllConditionsAndKeepsWhatTheyRestOn) {
  Session session;
  const RunResult result = session.run(plan_text(kAYear, ""));
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const RunSummary summary = summarise_run(session.store, result.run).value();
  EXPECT_EQ(summary.software_percent, 100.0);
  EXPECT_THAT(summary.conditions, ElementsAre("none", "gdc", "gdc+offset", "adabs", "adabs+gdc"));
  ASSERT_EQ(summary.points.size(), 3u);
  const auto percent = [&](std::size_t point, const char* condition) {
    return summary.points[point].accuracies.at(condition).mean_percent;
  };
  EXPECT_GT(percent(0, "none"), 85);
  EXPECT_GT(percent(2, "gdc"), 60);
  EXPECT_GT(percent(2, "gdc+offset"), 60);
  const auto counts = [&](const char* condition) {
    const db::RowId id = summary.sweeps[2].accuracies.at(condition).id;
    return session.store.confusion(id).value()->counts;
  };
  EXPECT_NE(counts("gdc+offset"), counts("gdc"));
  EXPECT_GT(percent(2, "adabs"), 60);
  EXPECT_NE(percent(2, "adabs"), percent(2, "none"));
  EXPECT_EQ(percent(2, "adabs"), percent(2, "adabs+gdc")) << "a factor on all logits";

  const db::RowId step = session.last_step(result.run);
  const auto calibration = session.store.calibration(step).value();
  ASSERT_TRUE(calibration);
  EXPECT_EQ(calibration->indices, session.inputs.calibration[2].indices);
  EXPECT_EQ(calibration->images, "random images, seed 8");
  EXPECT_NEAR(std::pow(calibration->momentum, 3), 0.016, 1e-9);

  const auto reference = session.store.gdc_reference(step).value();
  ASSERT_EQ(reference.size(), 2u);
  EXPECT_EQ(reference[0].kind, "first-sweep");
  EXPECT_EQ(reference[0].sweep, summary.sweeps[0].sweep.id);
  EXPECT_EQ(reference[0].devices, 2 * kIn * kHidden);
  EXPECT_NEAR(reference[0].sum_uS + reference[1].sum_uS, summary.sweeps[0].sweep.sum_uS, 0.5);
  const auto events = session.store.events(result.run).value();
  ASSERT_FALSE(events.empty());
  EXPECT_THAT(events[0].text, HasSubstr("GDC reference: the first sweep"));

  for (const auto& [condition, row] : summary.sweeps[2].accuracies) {
    const auto confusion = session.store.confusion(row.id).value();
    ASSERT_TRUE(confusion) << condition;
    EXPECT_EQ(std::accumulate(confusion->counts.begin(), confusion->counts.end(), 0u), 400u);
    std::int64_t correct = 0;
    for (std::size_t c = 0; c < kOut; ++c) correct += confusion->counts[c * kOut + c];
    EXPECT_EQ(correct, row.correct);
  }
}

TEST(Compensation, KeepsHowFarEveryLayerIsOff) {
  Session session;
  const RunResult result = session.run(plan_text(kAYear, ""));
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto states = session.store.layer_states(session.last_step(result.run)).value();
  ASSERT_EQ(states.size(), 6u);
  const db::LayerStateRow &fresh = states[0], &old = states[4], &last = states[5];
  EXPECT_EQ(fresh.gdc_factor, 1);
  EXPECT_EQ(fresh.weight_error_of_max, fresh.gdc_weight_error_of_max);
  EXPECT_LT(fresh.weight_error_of_max, 0.08);
  EXPECT_GT(fresh.weight_error_of_rms, fresh.weight_error_of_max);
  EXPECT_LT(old.gdc_factor, 0.8);
  EXPECT_GT(old.weight_error_of_rms, fresh.weight_error_of_rms);
  EXPECT_LT(old.gdc_weight_error_of_rms, old.weight_error_of_rms);
  ASSERT_TRUE(old.activation_variance_ratio);
  EXPECT_NEAR(*old.activation_variance_ratio, old.gdc_factor * old.gdc_factor, 0.1);
  EXPECT_FALSE(last.activation_mean_shift) << "no batch norm behind the last layer";
}

TEST(Compensation, ReadsATimePointRepeatedlyAndShowsTheSpread) {
  Session session;
  const RunResult result =
      session.run(plan_text("times_s = [25, 1000]\nrepeats = 3\n", "conditions = [\"gdc\"]\n"));
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto sweeps = session.store.sweeps(result.run).value();
  ASSERT_EQ(sweeps.size(), 6u);
  EXPECT_EQ(sweeps[4].repeat, 1);
  EXPECT_EQ(sweeps[4].scheduled_s, 1000);
  EXPECT_EQ(sweeps[4].slip_s, 0);
  EXPECT_GT(sweeps[4].after_s, sweeps[3].after_s);
  EXPECT_NE(session.store.sweep_code_sums(sweeps[3].id).value(),
            session.store.sweep_code_sums(sweeps[4].id).value());
  const RunSummary summary = summarise_run(session.store, result.run).value();
  ASSERT_EQ(summary.points.size(), 2u);
  const PointAccuracy& accuracy = summary.points[1].accuracies.at("gdc");
  EXPECT_EQ(accuracy.reads, 3);
  ASSERT_TRUE(accuracy.deviation_percent);
  double mean = 0;
  for (std::size_t i = 3; i < 6; ++i)
    mean += percent_of(summary.sweeps[i].accuracies.at("gdc")) / 3;
  EXPECT_NEAR(accuracy.mean_percent, mean, 1e-9);
}

TEST(Compensation, OnAFewBitLinesIsNearlyThatOnAll) {
  Session session;
  const RunResult result = session.run(plan_text(
      kAYear, "conditions = [\"gdc\"]\ngdc_every_pair = 5\ngdc_reference = \"targets\"\n"));
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const db::RowId step = session.last_step(result.run);
  const auto reference = session.store.gdc_reference(step).value();
  EXPECT_EQ(reference[0].kind, "targets");
  EXPECT_EQ(reference[0].every_pair, 5);
  EXPECT_FALSE(reference[0].sweep);
  EXPECT_NEAR(static_cast<double>(reference[0].devices), 2.0 * kIn * kHidden / 5, 10);
  const RunSummary summary = summarise_run(session.store, result.run).value();
  EXPECT_EQ(summary.gdc_reference, "targets, one of 5 pairs of bit lines");
  EXPECT_GT(summary.points[2].accuracies.at("gdc").mean_percent, 60);
}

TEST(Compensation, GoesOnWithoutAdaBSForANetworkWithoutBatchNorm) {
  Session session;
  session.inputs = small_inputs();
  const RunResult result = session.run(plan_text("times_s = [25]\n", ""));
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const RunSummary summary = summarise_run(session.store, result.run).value();
  EXPECT_THAT(summary.conditions, ElementsAre("none", "gdc", "gdc+offset"));
}

TEST(Compensation, WithConvertersIsCountedApart) {
  Session session;
  const std::string twice =
      plan_text("times_s = [25]\n", "conditions = [\"gdc\"]\ninput_bits = 8\noutput_bits = 4\n") +
      "[[step]]\nexperiment = \"accuracy\"\nconditions = [\"gdc\"]\n";
  const RunResult result = session.run(twice);
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const RunSummary summary = summarise_run(session.store, result.run).value();
  EXPECT_THAT(summary.conditions, testing::UnorderedElementsAre("gdc", "gdc, 8 bit in, 4 bit out"));
  const auto& accuracies = summary.sweeps[0].accuracies;
  EXPECT_EQ(accuracies.at("gdc, 8 bit in, 4 bit out").precision, "float32");
  EXPECT_GT(percent_of(accuracies.at("gdc, 8 bit in, 4 bit out")), 50);
  EXPECT_LE(percent_of(accuracies.at("gdc, 8 bit in, 4 bit out")),
            percent_of(accuracies.at("gdc")) + 2);
}

TEST(Compensation, DoesNotDependOnTheOtherConditions) {
  const auto confusions = [](const std::string& conditions) {
    Session session;
    const RunResult result =
        session.run(plan_text("times_s = [86400]\n", "conditions = " + conditions + "\n"));
    EXPECT_TRUE(result.outcome) << result.outcome.error().message;
    std::map<std::string, std::vector<std::uint32_t>> all;
    const auto rows = session.store.accuracies(result.run).value();
    for (const db::AccuracyRow& row : rows) {
      all[row.compensation] = session.store.confusion(row.id).value()->counts;
    }
    return all;
  };
  const auto with = confusions("[\"gdc\", \"gdc+offset\", \"none\", \"adabs\"]");
  for (const auto& [condition, counts] : confusions("[\"none\", \"adabs\"]")) {
    EXPECT_EQ(with.at(condition), counts) << condition;
  }
}

TEST(Compensation, LeavesOffsetsOutBehindOutputConverters) {
  const auto conditions = [](const std::string& bits) {
    Session session;
    const RunResult result = session.run(
        plan_text("times_s = [25]\n", "conditions = [\"gdc\", \"gdc+offset\"]\n" + bits));
    EXPECT_TRUE(result.outcome) << result.outcome.error().message;
    return summarise_run(session.store, result.run).value().conditions;
  };
  EXPECT_THAT(conditions("input_bits = 8\n"), ElementsAre("gdc, 8 bit in", "gdc+offset, 8 bit in"));
  EXPECT_THAT(conditions("output_bits = 8\n"), ElementsAre("gdc, 8 bit out"));
}

TEST(Compensation, FindsSettingsThatCannotBeBeforeTheRun) {
  Session session;
  const auto error_of = [&](const std::string& accuracy) {
    const auto plan = parse_plan(plan_text(kAYear, accuracy), "test.toml", plan_schema({}));
    if (!plan) return plan.error().message + " / " + plan.error().advice;
    const auto prediction = predict(*plan, session.inputs, session.bench.board->information());
    EXPECT_FALSE(prediction) << accuracy;
    return prediction ? std::string() : prediction.error().message;
  };
  EXPECT_THAT(error_of("conditions = [\"gdc\", \"adbas\"]\n"),
              HasSubstr("did you mean \"adabs\"?"));
  EXPECT_THAT(error_of("conditions = \"gdc\"\n"), HasSubstr("must be a list of texts"));
  EXPECT_THAT(error_of("conditions = [1]\n"), HasSubstr("must be a list of texts"));
  EXPECT_THAT(error_of("conditions = []\n"), HasSubstr("conditions is empty"));
  EXPECT_THAT(error_of("input_bits = 1\n"), HasSubstr("1 bit"));
  EXPECT_THAT(error_of("output_bits = 8\nconditions = [\"gdc+offset\"]\n"),
              HasSubstr("nothing to count"));
  EXPECT_THAT(error_of("output_bits = 8\nstop_below = 0.5\nstop_condition = \"gdc+offset\"\n"),
              HasSubstr("not one of the step's conditions"));
  EXPECT_THAT(error_of("output_bits = 8\nprecision = \"bfloat16\"\n"), HasSubstr("bfloat16"));
}

TEST(ImageChoice, TakesDifferentImagesTheSameForASeed) {
  const auto some = choose_images(300, 1000, 1);
  EXPECT_EQ(some, choose_images(300, 1000, 1));
  EXPECT_NE(some, choose_images(300, 1000, 2));
  auto sorted = some;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
  EXPECT_LT(sorted.back(), 1000u);
  EXPECT_EQ(choose_images(10, 10, 3).size(), 10u);
  EXPECT_TRUE(choose_images(0, 10, 3).empty());
}

TEST(ImageChoice, GivesTheImagesThemselves) {
  const Dataset images = numbers_like_images(20, 9);
  const std::vector<std::uint32_t> indices{7, 0, 19};
  const Dataset some = subset_of(images, indices);
  ASSERT_EQ(some.count(), 3u);
  const auto pixels = some.read(1, 2).value();
  const auto first = images.read(0, 1).value(), last = images.read(19, 1).value();
  EXPECT_TRUE(std::equal(first.begin(), first.end(), pixels.begin()));
  EXPECT_TRUE(std::equal(last.begin(), last.end(), pixels.begin() + kIn));
}

TEST(Offsets, MakeTheMeanOfEachOutputsWeightsAsWanted) {
  // Layer 0 has two outputs of three inputs, layer 1 one of two.
  const std::vector<db::LayerRow> layers{{0, "a", 2, 3, 0, 1, 25}, {1, "b", 1, 2, 6, 1, 25}};
  const std::vector<float> wanted{1, 2, 3, -1, 0, 1, 4, -2};
  const std::vector<float> measured{1, 1, 1, 0.5f, 0.25f, 0.25f, 2, -2};
  const std::vector<float> factors{0.5f, 0.25f};
  EXPECT_THAT(without_offsets(measured, wanted, layers, factors),
              testing::Pointwise(testing::FloatNear(1e-6f), {1.0f, 1.0f, 1.0f, 1 / 6.0f, -1 / 12.0f,
                                                             -1 / 12.0f, 2.25f, -1.75f}));
}

TEST(Conditions, HaveNamesAndPlaces) {
  EXPECT_EQ(condition_name("none"), "as read");
  EXPECT_EQ(condition_name("gdc+offset"), "GDC + offset");
  EXPECT_EQ(condition_name("adabs+gdc, 8 bit in"), "AdaBS + GDC, 8 bit in");
  EXPECT_EQ(condition_name("something new"), "something new");
  EXPECT_LT(place_of_condition("gdc, 8 bit in"), place_of_condition("gdc+offset"));
}

TEST(GdcDevices, SumTheirLayerAllOrOnSomeBitLines) {
  // Layer 0 has devices 0 .. 3 on bit lines 0 .. 3, layer 1 devices 4 and 5 on bit lines 4 and 5.
  const std::vector<db::LayerRow> layers{{0, "a", 1, 2, 0, 1, 25}, {1, "b", 1, 1, 2, 1, 25}};
  std::vector<DeviceAddress> addresses;
  for (std::uint16_t i = 0; i < 6; ++i) addresses.push_back({WordLine{3}, BitLine{i}});
  const std::vector<float> g_uS{1, 2, 4, 8, 16, 32};
  EXPECT_THAT(GdcDevices(layers, addresses, 1).sums_uS(g_uS), ElementsAre(15, 48));
  // Pairs 0, 2, ...: bit lines 0, 1 and 4, 5.
  EXPECT_THAT(GdcDevices(layers, addresses, 2).sums_uS(g_uS), ElementsAre(3, 48));
  EXPECT_THAT(GdcDevices(layers, addresses, 2).counts(), ElementsAre(2, 2));
  // Pairs 0, 3, ...: none of layer 1, which gives all it has.
  EXPECT_THAT(GdcDevices(layers, addresses, 3).sums_uS(g_uS), ElementsAre(3, 48));
}

TEST(WeightError, IsRelativeToTheLargestAndToTheRms) {
  const std::vector<float> wanted{3, -4}, measured{1.5f, -2};
  const WeightError error = weight_error(measured, wanted, 1);
  EXPECT_DOUBLE_EQ(error.of_max, std::sqrt((2.25 + 4) / 2) / 4);
  EXPECT_DOUBLE_EQ(error.of_rms, 0.5);
  EXPECT_DOUBLE_EQ(weight_error(measured, wanted, 0.5).of_rms, 0);
  EXPECT_EQ(weight_error(std::vector<float>{1}, std::vector<float>{0}, 1).of_max, 0);
}

/// Crop of the calibration images that a plan with this line asks for.
std::optional<int> crop_of(const std::string& line, const Network& network) {
  const Plan plan = parse_plan(plan_text("", line), "test.toml", plan_schema({})).value();
  const auto wish = find_experiment("accuracy")->calibration(plan.steps.back().values, network);
  if (!wish.augmentation) return std::nullopt;
  EXPECT_TRUE(wish.augmentation->flip);
  return wish.augmentation->crop_pixels;
}

TEST(Compensation, CalibrationImagesAreShiftedAsTheNetworkWasTrained) {
  Network network = inputs_with_batch_norm().network;
  EXPECT_EQ(crop_of("", network), std::nullopt);
  EXPECT_EQ(crop_of("calibration_crop_pixels = 3\n", network), 3);
  network.metadata[kCropPixelsKey] = "4";
  EXPECT_EQ(crop_of("", network), 4);
  EXPECT_EQ(crop_of("calibration_crop_pixels = 0\n", network), std::nullopt);
  EXPECT_EQ(crop_of("calibration_crop_pixels = 3\n", network), 3);
  for (const char* unreadable : {"", "four", "4 pixels", "-1"}) {
    network.metadata[kCropPixelsKey] = unreadable;
    EXPECT_EQ(crop_of("", network), std::nullopt) << unreadable;
  }
}

}  // namespace
}  // namespace pcmlab

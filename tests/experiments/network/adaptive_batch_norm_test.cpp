// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/adaptive_batch_norm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "tests/experiments/network/given_numbers.h"
#include "tests/experiments/network/onnx_file.h"
#include "tests/experiments/network/reference_network.h"

namespace pcmlab {
namespace {

using test::OnnxFile;
using test::random_images;

Result<void> go_on() { return {}; }

/// One number in, times `weight`, batch norm, two classes: +x and -x.
Network by_hand(float weight) {
  DenseNode scale, classes;
  scale.in_features = scale.out_features = 1;
  scale.weights = {weight};
  classes.in_features = 1;
  classes.out_features = 2;
  classes.weights = {1, -1};
  BatchNormNode norm;
  norm.gamma = {1};
  norm.beta = {0};
  norm.mean = {1};
  norm.variance = {4};
  norm.epsilon = 0;
  Network network;
  network.name = "by hand";
  network.nodes = {{"scale", scale, {0}, 1}, {"norm", norm, {1}, 2}, {"classes", classes, {2}, 3}};
  network.shapes = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {2, 1, 1}};
  network.output = 3;
  return network;
}

Dataset numbers(std::vector<float> values) {
  Dataset images;
  images.name = "numbers";
  images.channels = images.height = images.width = 1;
  images.classes = 2;
  images.labels.assign(values.size(), 0);
  images.source = std::make_shared<test::GivenNumbers>(std::move(values), 1);
  return images;
}

TEST(AdaptiveBatchNorm, OfOneWeightByHand) {
  // Times 2: the first mini-batch has 2 and 6, mean 4, variance 4; the second 10 and 10.
  auto engine = InferenceEngine::create(by_hand(2), Precision::Float32).value();
  const Dataset images = numbers({1, 3, 5, 5, 100});
  const auto mean = adapt_batch_norms(engine, images, {2, 2, 0.5}, go_on).value();
  // Mean 1 -> (1 + 4) / 2 -> (2.5 + 10) / 2; variance 4 -> (4 + 4) / 2 -> (4 + 0) / 2.
  const auto adapted = engine.batch_norms();
  ASSERT_EQ(adapted.size(), 1u);
  EXPECT_FLOAT_EQ(adapted[0].mean[0], 6.25f);
  EXPECT_FLOAT_EQ(adapted[0].variance[0], 2.0f);
  EXPECT_FLOAT_EQ(mean[0].mean[0], 7.0f);
  EXPECT_FLOAT_EQ(mean[0].variance[0], 2.0f);
  const auto logits = engine.logits(images, 0, 1).value();
  EXPECT_NEAR(logits[0], (2 - 6.25) / std::sqrt(2.0), 1e-6);
}

TEST(AdaptiveBatchNorm, LeavesAsMuchOfTheOldStatisticsAsThePaper) {
  const AdaptiveBatchNorm paper;
  EXPECT_EQ(paper.batches * paper.batch_images, 2600);
  EXPECT_NEAR(std::pow(paper.used_momentum(), 13), 0.016, 1e-12);
  EXPECT_EQ((AdaptiveBatchNorm{13, 200, 0.9}.used_momentum()), 0.9);
}

TEST(AdaptiveBatchNorm, UndoesADriftOfLayersThatHaveABatchNormBehindThem) {
  OnnxFile file({3, 10, 10});
  const std::string a = file.relu(file.batch_norm(file.conv("images", {.out = 18, .in = 3}), 18));
  const std::string b = file.batch_norm(file.conv(a, {.out = 18, .in = 18}), 18);
  const Network network =
      file.network(file.dense(file.average(file.relu(file.add(b, a))), 18, 10)).value();
  const Dataset images = random_images(network, 60);
  for (const Precision precision : {Precision::Float32, fastest_precision()}) {
    auto engine = InferenceEngine::create(network, precision, 4).value();
    const AdaptiveBatchNorm settings{3, 20, 1e-9};  // nothing of the old statistics is left
    ASSERT_TRUE(adapt_batch_norms(engine, images, settings, go_on));
    const auto before = engine.logits(images, 0, 10).value();
    WeightSet weights = weights_of(network);
    for (std::size_t l = 0; l + 1 < weights.layers.size(); ++l) {
      const AnalogLayer& layer = weights.layers[l];
      for (std::int64_t w = 0; w < layer.rows * layer.columns; ++w) {
        weights.values[static_cast<std::size_t>(layer.first_weight + w)] *= 0.7f;
      }
    }
    engine.set_weights(weights.values);
    double drifted_error = 0, error = 0;
    const auto drifted = engine.logits(images, 0, 10).value();
    ASSERT_TRUE(adapt_batch_norms(engine, images, settings, go_on));
    const auto after = engine.logits(images, 0, 10).value();
    for (std::size_t i = 0; i < before.size(); ++i) {
      drifted_error += std::abs(static_cast<double>(drifted[i] - before[i]));
      error += std::abs(static_cast<double>(after[i] - before[i]));
    }
    EXPECT_LT(error, (precision == Precision::Float32 ? 1e-3 : 0.05) * drifted_error);
  }
}

TEST(AdaptiveBatchNorm, StopsBetweenMiniBatchesAndLeavesTheStatistics) {
  auto engine = InferenceEngine::create(by_hand(2), Precision::Float32).value();
  int asked = 0;
  const auto stopped = adapt_batch_norms(engine, numbers({1, 3, 5, 5}), {2, 2, 0.5}, [&] {
    return ++asked < 2 ? Result<void>() : fail(ErrorCode::Stopped, "stopped");
  });
  EXPECT_EQ(stopped.error().code, ErrorCode::Stopped);
  EXPECT_EQ(engine.batch_norms()[0].mean[0], 1.0f);
}

TEST(AdaptiveBatchNorm, NeedsAsManyImagesAsItsMiniBatches) {
  auto engine = InferenceEngine::create(by_hand(2), Precision::Float32).value();
  EXPECT_FALSE(adapt_batch_norms(engine, numbers({1, 3, 5}), {2, 2, 0.5}, go_on).has_value());
}

TEST(NormsBehind, AreThoseThatAloneReadALayer) {
  OnnxFile file({3, 10, 10});
  const std::string first = file.conv("images", {.out = 6, .in = 3});
  const std::string a = file.relu(file.batch_norm(first, 6));
  const std::string both = file.conv(a, {.out = 6, .in = 6});  // read by a norm and an addition
  const std::string sum = file.add(file.batch_norm(both, 6), both);
  const std::string c = file.batch_norm(file.conv(sum, {.out = 6, .in = 6}), 6);
  const Network network = file.network(file.dense(file.average(c), 6, 10)).value();
  EXPECT_THAT(norms_behind(network), testing::ElementsAre(0, -1, 2, -1));
  const WeightSet weights = weights_of(network);
  EXPECT_TRUE(makes_the_logits(network, weights.layers[3]));
  EXPECT_FALSE(makes_the_logits(network, weights.layers[1]));
}

TEST(ActivationShift, IsMeasuredInTrainedDeviations) {
  const BatchNormStatistics trained{{1, 2, 3}, {4, 1, 0}}, now{{3, 2, 9}, {8, 0.5f, 1}};
  const ActivationShift shift = activation_shift(now, trained);
  EXPECT_DOUBLE_EQ(shift.mean, std::sqrt(0.5));  // one channel by one deviation, one by none
  EXPECT_DOUBLE_EQ(shift.variance_ratio, (2 + 0.5) / 2);
}

TEST(Converters, RoundWhatGoesIntoAndComesOutOfALayer) {
  auto engine = InferenceEngine::create(by_hand(2), Precision::Float32).value();
  // Inputs in steps of 1 up to 7; outputs in steps of 3 up to 21; the last layer's wide enough.
  Converters converters{4, 4, {{7, 21, true}, {7, 7, true}}};
  ASSERT_TRUE(engine.set_converters(converters));
  // 2.6 -> 3 -> 6; (6 - 1) / 2 = 2.5 -> 2, logits 2 and -2. 8 -> 7 -> 14 -> 15; 7 -> 7 and -7.
  EXPECT_THAT(engine.logits(numbers({2.6f, 8}), 0, 2).value(), testing::ElementsAre(2, -2, 7, -7));
  converters.output_bits = 0;
  ASSERT_TRUE(engine.set_converters(converters));
  EXPECT_THAT(engine.logits(numbers({2.6f, 8}), 0, 2).value(), testing::ElementsAre(2, -2, 6, -6));
  converters.input_bits = 0;
  ASSERT_TRUE(engine.set_converters(converters));
  EXPECT_FLOAT_EQ(engine.logits(numbers({2.6f}), 0, 1).value()[0], 2.1f);
}

TEST(Converters, OfTheOutputComeBeforeTheDivisor) {
  auto engine = InferenceEngine::create(by_hand(1), Precision::Float32).value();
  ASSERT_TRUE(engine.set_converters({0, 4, {{7, 7, true}, {700, 700, true}}}));
  engine.set_output_divisors(std::vector<float>{0.5f, 100.0f});
  // 1.4 -> 1 (ADC), / 0.5 = 2 (GDC), (2 - 1) / 2 = 0.5; ADC in steps of 100: 0.
  EXPECT_THAT(engine.logits(numbers({1.4f, 7}), 0, 2).value(), testing::ElementsAre(0, 0, 0, 0));
  ASSERT_TRUE(engine.set_converters({0, 4, {{7, 7, true}, {3.5f, 3.5f, true}}}));
  EXPECT_THAT(engine.logits(numbers({1.4f}), 0, 1).value(), testing::ElementsAre(0.005f, -0.005f));
}

TEST(Converters, AreInFrontOfTheBatchNormsThatAreMeasured) {
  auto engine = InferenceEngine::create(by_hand(1), Precision::Float32).value();
  ASSERT_TRUE(engine.set_converters({0, 4, {{7, 7, true}, {7, 7, true}}}));
  const auto measured = engine.measure_batch_norms(numbers({1.4f, 2.6f}), 0, 2).value();
  EXPECT_FLOAT_EQ(measured[0].mean[0], 2);
  EXPECT_FLOAT_EQ(measured[0].variance[0], 1);
}

TEST(Converters, GetTheirRangesFromImages) {
  auto engine = InferenceEngine::create(by_hand(-2), Precision::Float32, 2).value();
  const auto ranges = engine.measure_converter_ranges(numbers({1, 3, 5}), 0, 3, 1).value();
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].input, 5);
  EXPECT_FALSE(ranges[0].input_signed);
  EXPECT_EQ(ranges[0].output, 10);
  EXPECT_EQ(ranges[1].input, 5.5f);  // (-10 - 1) / 2
  EXPECT_TRUE(ranges[1].input_signed);
}

/// A block whose input is read by two layers and an addition: converters leave it as it was.
TEST(Converters, LeaveValuesAloneThatOthersReadToo) {
  OnnxFile file({4, 8, 8});
  const std::string x = file.relu(file.batch_norm(file.conv("images", {.out = 6, .in = 4}), 6));
  const std::string y = file.batch_norm(file.conv(x, {.out = 6, .in = 6}), 6);
  const Network network = file.network(file.dense(file.average(file.add(y, x)), 6, 10)).value();
  const Dataset images = random_images(network, 7);
  auto engine = InferenceEngine::create(network, Precision::Float32, 3).value();
  const auto before = engine.logits(images, 0, 7).value();
  const auto ranges = engine.measure_converter_ranges(images, 0, 7, 1).value();
  double last = 1;
  for (const int bits : {4, 8, 14}) {
    ASSERT_TRUE(engine.set_converters({bits, bits, ranges}));
    const auto logits = engine.logits(images, 0, 7).value();
    double error = 0, size = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      error += std::abs(static_cast<double>(logits[i] - before[i]));
      size += std::abs(static_cast<double>(before[i]));
    }
    EXPECT_GT(error, 0);
    EXPECT_LT(error, last * size) << bits << " bits";
    last = error / size / 8;  // each bit more halves it; some slack
  }
}

TEST(Converters, NeedFloat32AndOneRangeALayer) {
  auto engine = InferenceEngine::create(by_hand(1), Precision::Float32).value();
  EXPECT_THROW(static_cast<void>(engine.set_converters({8, 8, {}})), std::invalid_argument);
  if (fastest_precision() == Precision::Bfloat16) {
    auto narrow = InferenceEngine::create(by_hand(1), Precision::Bfloat16).value();
    EXPECT_EQ(narrow.set_converters({8, 0, {{1, 1, true}, {1, 1, true}}}).error().code,
              ErrorCode::Unsupported);
    EXPECT_EQ(narrow.measure_converter_ranges(numbers({1}), 0, 1, 1).error().code,
              ErrorCode::Unsupported);
  }
}

TEST(Confusion, CountsWhatEachImageWasTakenFor) {
  auto engine = InferenceEngine::create(by_hand(1), Precision::Float32).value();
  Dataset images = numbers({3, 3, -3, 5, std::nanf("")});
  images.labels = {0, 1, 1, 0, 0};
  const Confusion confusion = engine.classify(images).value();
  EXPECT_THAT(confusion.counts, testing::ElementsAre(2, 0, 1, 1));
  EXPECT_EQ(confusion.correct(), 3);
  EXPECT_EQ(engine.count_correct(images).value(), 3);
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
// The engine against networks computed node by node in double precision.
#include "experiments/network/inference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "tests/experiments/network/onnx_file.h"
#include "tests/experiments/network/reference_network.h"

namespace pcmlab {
namespace {

using test::ConvShape;
using test::Dims;
using test::OnnxFile;
using test::random_images;
using test::reference_logits;

std::vector<Precision> precisions() {
  if (fastest_precision() == Precision::Float32) return {Precision::Float32};
  return {Precision::Float32, Precision::Bfloat16};
}

/// Root mean square of the engine's error over that of the logits.
double relative_error(const Network& network, InferenceEngine& engine, const Dataset& images) {
  const auto logits = engine.logits(images, 0, images.count()).value();
  double error = 0, power = 0;
  std::size_t next = 0;
  for (std::size_t i = 0; i < images.count(); ++i) {
    for (const double expected : reference_logits(network, images.read(i, 1).value())) {
      const double difference = static_cast<double>(logits.at(next++)) - expected;
      error += difference * difference;
      power += expected * expected;
    }
  }
  EXPECT_EQ(next, logits.size());
  EXPECT_GT(power, 0.0);
  return std::sqrt(error / power);
}

/// Runs at every precision, in batches of 4 so that the last of 6 images are a partial batch.
void expect_right(const Network& network, double bfloat16_error = 0.03) {
  const Dataset images = random_images(network, 6);
  for (const Precision precision : precisions()) {
    auto engine = InferenceEngine::create(network, precision, 4);
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    EXPECT_LT(relative_error(network, *engine, images),
              precision == Precision::Float32 ? 3e-6 : bfloat16_error)
        << to_string(precision);
  }
}

struct ConvCase {
  const char* name;
  Dims input;
  ConvShape shape;
};

class InferenceConvolution : public testing::TestWithParam<ConvCase> {};

TEST_P(InferenceConvolution, IsThatOfTheDefinition) {
  OnnxFile file(GetParam().input);
  const Network network = file.network(file.conv("images", GetParam().shape)).value();
  expect_right(network);
}

TEST_P(InferenceConvolution, IsRightWithBatchNormSumAndRelu) {
  // The convolution as one branch of an addition, so that it writes into what it adds to.
  OnnxFile file(GetParam().input);
  const ConvShape& shape = GetParam().shape;
  const std::string other = file.conv("images", shape);
  const std::string norm = file.batch_norm(file.conv("images", shape), shape.out);
  const Network network = file.network(file.relu(file.add(norm, other))).value();
  expect_right(network);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, InferenceConvolution,
    testing::Values(
        ConvCase{"Plain3x3", {16, 8, 8}, {.out = 16, .in = 16}},
        ConvCase{"FewChannels", {3, 32, 32}, {.out = 5, .in = 3}},
        ConvCase{"OddChannels", {17, 9, 13}, {.out = 33, .in = 17}},
        ConvCase{"ThreeBlocks", {40, 6, 6}, {.out = 41, .in = 40, .bias = true}},
        ConvCase{"NoPadding", {4, 7, 11}, {.out = 6, .in = 4, .pads = {0, 0, 0, 0}}},
        ConvCase{"UnevenPadding", {4, 7, 6}, {.out = 6, .in = 4, .pads = {2, 0, 1, 3}}},
        ConvCase{"SmallerThanATile", {4, 3, 2}, {.out = 6, .in = 4}},
        ConvCase{"OnePixel", {4, 1, 1}, {.out = 6, .in = 4}},
        ConvCase{"Stride2", {16, 9, 8}, {.out = 28, .in = 16, .stride_h = 2, .stride_w = 2}},
        ConvCase{"Stride2x1", {6, 9, 8}, {.out = 7, .in = 6, .stride_h = 2, .pads = {0, 1, 1, 0}}},
        ConvCase{"Pointwise",
                 {16, 8, 8},
                 {.out = 28, .in = 16, .kernel_h = 1, .kernel_w = 1, .pads = Dims(4, 0)}},
        ConvCase{"PointwiseStride2",
                 {28, 8, 8},
                 {.out = 56,
                  .in = 28,
                  .kernel_h = 1,
                  .kernel_w = 1,
                  .stride_h = 2,
                  .stride_w = 2,
                  .pads = Dims(4, 0)}},
        ConvCase{"Kernel5x2",
                 {3, 12, 10},
                 {.out = 8, .in = 3, .kernel_h = 5, .kernel_w = 2, .pads = {2, 1, 2, 0}}},
        ConvCase{"Groups", {8, 7, 7}, {.out = 12, .in = 8, .groups = 4, .bias = true}},
        ConvCase{"Depthwise", {10, 9, 9}, {.out = 10, .in = 10, .groups = 10}}),
    [](const testing::TestParamInfo<ConvCase>& tested) { return tested.param.name; });

TEST(Inference, RunsResidualNetworksWithShortcuts) {
  OnnxFile file({3, 16, 16});
  std::string x = file.relu(file.batch_norm(file.conv("images", {.out = 16, .in = 3}), 16));
  const std::string a = file.relu(
      file.batch_norm(file.conv(x, {.out = 28, .in = 16, .stride_h = 2, .stride_w = 2}), 28));
  const std::string b = file.batch_norm(file.conv(a, {.out = 28, .in = 28}), 28);
  const std::string shortcut = file.batch_norm(file.conv(x, {.out = 28,
                                                             .in = 16,
                                                             .kernel_h = 1,
                                                             .kernel_w = 1,
                                                             .stride_h = 2,
                                                             .stride_w = 2,
                                                             .pads = Dims(4, 0)}),
                                               28);
  const std::string y = file.relu(file.add(b, shortcut));
  const std::string c = file.batch_norm(file.conv(y, {.out = 28, .in = 28}), 28);
  const std::string z = file.relu(file.add(y, c));
  expect_right(file.network(file.dense(file.average(z), 28, 10)).value());
}

TEST(Inference, RunsAnAdditionOfThreeBranches) {
  OnnxFile file({6, 8, 8});
  const std::string a = file.conv("images", {.out = 6, .in = 6});
  const std::string b = file.conv("images", {.out = 6, .in = 6});
  const std::string c = file.relu(file.conv(b, {.out = 6, .in = 6}));
  const std::string sum = file.add(file.add(a, b), c);
  expect_right(file.network(file.dense(file.average(sum), 6, 10)).value());
}

TEST(Inference, RunsWhatCannotBeMerged) {
  OnnxFile file({6, 8, 8});
  const std::string before = file.relu(file.batch_norm("images", 6));  // nothing to merge into
  const std::string conv = file.conv(before, {.out = 6, .in = 6});
  const std::string twice = file.add(conv, conv);
  const std::string after = file.batch_norm(file.add(twice, before), 6);  // batch norm after add
  const std::string rest = file.relu(file.relu(file.batch_norm(after, 6)));
  expect_right(file.network(file.dense(file.average(rest), 6, 10)).value());
}

TEST(Inference, RunsLayersThatReadAnImageAsAVector) {
  OnnxFile file({3, 4, 5});
  const std::string conv = file.conv("images", {.out = 7, .in = 3});
  expect_right(file.network(file.dense(file.node("Flatten", {conv}), 7 * 4 * 5, 10)).value());
}

TEST(Inference, RunsFullyConnectedNetworks) {
  OnnxFile file({30});
  const std::string hidden = file.relu(file.batch_norm(file.dense("images", 30, 20), 20));
  const std::string sum = file.add(hidden, file.dense(hidden, 20, 20, false));
  const Network network = file.network(file.dense(sum, 20, 10)).value();
  expect_right(network);
  // The same numbers given as an image.
  Dataset images = random_images(network, 3);
  images.channels = 1;
  images.height = 5;
  images.width = 6;
  auto engine = InferenceEngine::create(network, Precision::Float32).value();
  EXPECT_LT(relative_error(network, engine, images), 3e-6);
}

TEST(Inference, AddsAVectorOfAMeanToOneOfALayer) {
  OnnxFile file({6, 8, 8});
  const std::string mean = file.average(file.conv("images", {.out = 6, .in = 6}));
  const std::string sum = file.add(file.relu(file.dense(mean, 6, 6)), mean);
  expect_right(file.network(file.relu(sum)).value(), 0.1);  // the mean of noise is small
}

/// conv - batch norm - ReLU - conv with bias - mean - dense, every place a weight can have.
Network small_network() {
  OnnxFile file({3, 12, 12});
  const std::string a = file.relu(file.batch_norm(file.conv("images", {.out = 20, .in = 3}), 20));
  const std::string b =
      file.relu(file.conv(a, {.out = 9, .in = 20, .stride_h = 2, .stride_w = 2, .bias = true}));
  return file.network(file.dense(file.average(b), 9, 10)).value();
}

TEST(Inference, GivesTheSameLogitsAfterWeightsHaveComeAndGone) {
  const Network network = small_network();
  const Dataset images = random_images(network, 5);
  const WeightSet weights = weights_of(network);
  for (const Precision precision : precisions()) {
    auto engine = InferenceEngine::create(network, precision, 2).value();
    const auto before = engine.logits(images, 0, 5).value();
    engine.set_weights(std::vector<float>(weights.values.size(), 0.0f));
    EXPECT_THAT(engine.logits(images, 0, 5).value(), testing::Each(0.0f));
    engine.set_weights(weights.values);
    EXPECT_EQ(engine.logits(images, 0, 5).value(), before);
  }
}

TEST(Inference, RunsWithTheWeightsItWasGiven) {
  Network network = small_network();
  const Dataset images = random_images(network, 5);
  auto engine = InferenceEngine::create(network, Precision::Float32).value();
  std::mt19937 random(9);
  const auto other = test::random_numbers(random, weights_of(network).values.size(), 0.3f);
  engine.set_weights(other);
  test::replace_weights(network, other);
  EXPECT_EQ(weights_of(network).values, other);
  EXPECT_LT(relative_error(network, engine, images), 3e-6);
}

TEST(Inference, DividesTheOutputOfALayerWithItsBias) {
  Network network = small_network();
  const Dataset images = random_images(network, 5);
  WeightSet weights = weights_of(network);
  const std::vector<float> divisors{0.7f, 0.55f, 1.3f};
  ASSERT_EQ(weights.layers.size(), divisors.size());
  auto engine = InferenceEngine::create(network, Precision::Float32).value();
  const auto before = engine.logits(images, 0, 5).value();
  engine.set_output_divisors(divisors);
  for (std::size_t l = 0; l < divisors.size(); ++l) {
    const AnalogLayer& layer = weights.layers[l];
    for (std::int64_t i = 0; i < layer.rows * layer.columns; ++i) {
      weights.values[static_cast<std::size_t>(layer.first_weight + i)] /= divisors[l];
    }
  }
  test::replace_weights(network, weights.values);
  EXPECT_LT(relative_error(network, engine, images), 3e-6);
  engine.set_output_divisors(std::vector<float>(3, 1.0f));
  EXPECT_EQ(engine.logits(images, 0, 5).value(), before);
}

TEST(Inference, UndoesAUniformDriftByDividing) {
  const Network network = small_network();
  const Dataset images = random_images(network, 5);
  std::vector<float> drifted = weights_of(network).values;
  for (float& weight : drifted) weight *= 0.5f;  // a power of two: exact in both precisions
  for (const Precision precision : precisions()) {
    auto engine = InferenceEngine::create(network, precision).value();
    const auto before = engine.logits(images, 0, 5).value();
    engine.set_weights(drifted);
    EXPECT_NE(engine.logits(images, 0, 5).value(), before);
    engine.set_output_divisors(std::vector<float>(3, 0.5f));
    EXPECT_EQ(engine.logits(images, 0, 5).value(), before);
  }
}

TEST(Inference, DoesNotDependOnTheBatchAnImageIsIn) {
  const Network network = small_network();
  const Dataset images = random_images(network, 23);
  for (const Precision precision : precisions()) {
    // Kernels may add up the images of a batch in different orders.
    const double tolerance = precision == Precision::Float32 ? 1e-5 : 0.02;
    auto engine = InferenceEngine::create(network, precision, 8).value();
    const auto all = engine.logits(images, 0, 23).value();
    for (std::size_t first = 0; first < 23; first += 5) {
      const std::size_t count = std::min<std::size_t>(7, 23 - first);
      const auto part = engine.logits(images, first, count).value();
      ASSERT_EQ(part.size(), count * 10);
      for (std::size_t i = 0; i < part.size(); ++i) {
        EXPECT_NEAR(part[i], all[first * 10 + i], tolerance);
      }
    }
  }
}

TEST(Inference, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Network network = small_network();
  const Dataset images = random_images(network, 50);
  const int usual = omp_get_max_threads();
  for (const Precision precision : precisions()) {
    std::vector<std::vector<float>> logits;
    for (const int threads : {1, 2, 5}) {
      omp_set_num_threads(threads);
      logits.push_back(
          InferenceEngine::create(network, precision, 4).value().logits(images, 0, 50).value());
      EXPECT_EQ(omp_get_max_threads(), threads);  // the engine leaves the caller's setting alone
    }
    EXPECT_EQ(logits[1], logits[0]);
    EXPECT_EQ(logits[2], logits[0]);
  }
  omp_set_num_threads(usual);
}

TEST(Inference, CountsImagesWhoseLabelIsTheFirstOfTheLargestLogits) {
  const Network network = small_network();
  Dataset images = random_images(network, 40);
  auto engine = InferenceEngine::create(network, Precision::Float32, 8).value();
  const auto logits = engine.logits(images, 0, 40).value();
  for (std::size_t i = 0; i < 40; ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i) * 10;
    images.labels[i] = static_cast<std::uint16_t>(std::max_element(row, row + 10) - row);
  }
  EXPECT_EQ(engine.count_correct(images).value(), 40);
  images.labels[7] = static_cast<std::uint16_t>((images.labels[7] + 1) % 10);
  EXPECT_EQ(engine.count_correct(images).value(), 39);
  // All logits equal: the first class is the answer.
  engine.set_weights(std::vector<float>(weights_of(network).values.size(), 0.0f));
  EXPECT_EQ(engine.count_correct(images).value(),
            std::count(images.labels.begin(), images.labels.end(), 0));
}

TEST(Inference, CountsNoImageThatGivesNaN) {
  const Network network = small_network();
  const Dataset images = random_images(network, 6);
  std::vector<float> weights = weights_of(network).values;
  weights.back() = std::numeric_limits<float>::quiet_NaN();  // a bias of the last layer
  auto engine = InferenceEngine::create(network, Precision::Float32).value();
  engine.set_weights(weights);
  EXPECT_EQ(engine.count_correct(images).value(), 0);
}

TEST(Inference, RefusesImagesOfAnotherShapeAndNamesBoth) {
  const Network network = small_network();
  auto engine = InferenceEngine::create(network, Precision::Float32).value();
  Dataset images = random_images(network, 2);
  images.height = 6;
  images.width = 24;
  for (const auto& error :
       {engine.logits(images, 0, 1).error(), engine.count_correct(images).error()}) {
    EXPECT_EQ(error.code, ErrorCode::BadNetwork);
    EXPECT_THAT(error.message,
                testing::AllOf(testing::HasSubstr("3x12x12"), testing::HasSubstr("3x6x24")));
  }
}

TEST(Inference, RefusesToCountWithAnotherNumberOfClasses) {
  const Network network = small_network();
  Dataset images = random_images(network, 2);
  images.classes = 100;
  auto engine = InferenceEngine::create(network, Precision::Float32).value();
  const Error error = engine.count_correct(images).error();
  EXPECT_EQ(error.code, ErrorCode::BadNetwork);
  EXPECT_THAT(error.message,
              testing::AllOf(testing::HasSubstr("10 classes"), testing::HasSubstr("100")));
}

TEST(Inference, RefusesAnotherNumberOfWeightsAsABug) {
  auto engine = InferenceEngine::create(small_network(), Precision::Float32).value();
  EXPECT_THROW(engine.set_weights(std::vector<float>(5)), std::invalid_argument);
  EXPECT_THROW(engine.set_output_divisors(std::vector<float>(2)), std::invalid_argument);
  EXPECT_THROW(engine.set_batch_norms({}), std::invalid_argument);
  const Dataset images = random_images(small_network(), 2);
  EXPECT_EQ(engine.logits(images, 1, 2).error().code, ErrorCode::Internal);
}

TEST(Inference, OffersBfloat16OnlyWhereTheCpuHasIt) {
  const auto engine = InferenceEngine::create(small_network(), Precision::Bfloat16);
  EXPECT_EQ(engine.has_value(), fastest_precision() == Precision::Bfloat16);
  if (!engine) {
    EXPECT_EQ(engine.error().code, ErrorCode::Unsupported);
  }
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
// Measuring and exchanging the statistics of batch norms, on which AdaBS rests.
#include <gtest/gtest.h>

#include <cmath>

#include "experiments/network/inference.h"
#include "tests/experiments/network/onnx_file.h"
#include "tests/experiments/network/reference_network.h"

namespace pcmlab {
namespace {

using test::OnnxFile;
using test::random_images;
using test::reference_logits;

/// Two merged batch norms and one on its own behind an addition.
struct ThreeNorms {
  ThreeNorms() {
    OnnxFile file({3, 10, 10});
    const std::string a = file.relu(file.batch_norm(file.conv("images", {.out = 18, .in = 3}), 18));
    const std::string b = file.batch_norm(file.conv(a, {.out = 18, .in = 18}), 18);
    const std::string c = file.relu(file.batch_norm(file.add(b, a), 18));
    network = file.network(file.dense(file.average(c), 18, 10)).value();
  }
  Network network;
};

std::vector<BatchNormNode*> norms_of(Network& network) {
  std::vector<BatchNormNode*> norms;
  for (Node& node : network.nodes) {
    if (auto* norm = std::get_if<BatchNormNode>(&node.kind)) norms.push_back(norm);
  }
  return norms;
}

/// Mean and variance of a value over images, with the network as it is.
BatchNormStatistics statistics_of(Network network, ValueId value, const Dataset& images,
                                  std::size_t first, std::size_t count) {
  network.output = value;
  const ValueShape& shape = network.shapes[static_cast<std::size_t>(value)];
  const auto channels = static_cast<std::size_t>(shape.channels);
  const auto plane = static_cast<std::size_t>(shape.height) * static_cast<std::size_t>(shape.width);
  std::vector<double> sum(channels), squares(channels);
  for (std::size_t i = first; i < first + count; ++i) {
    const auto numbers = reference_logits(network, images.read(i, 1).value());
    for (std::size_t j = 0; j < numbers.size(); ++j) {
      sum[j / plane] += numbers[j];
      squares[j / plane] += numbers[j] * numbers[j];
    }
  }
  BatchNormStatistics result;
  const double n = static_cast<double>(count * plane);
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = sum[c] / n;
    result.mean.push_back(static_cast<float>(mean));
    result.variance.push_back(static_cast<float>(squares[c] / n - mean * mean));
  }
  return result;
}

TEST(BatchNorms, BeginWithTheStatisticsOfTheFile) {
  ThreeNorms three;
  const auto engine = InferenceEngine::create(three.network, Precision::Float32).value();
  const auto statistics = engine.batch_norms();
  const auto norms = norms_of(three.network);
  ASSERT_EQ(statistics.size(), norms.size());
  for (std::size_t i = 0; i < norms.size(); ++i) {
    EXPECT_EQ(statistics[i].mean, norms[i]->mean);
    EXPECT_EQ(statistics[i].variance, norms[i]->variance);
  }
}

TEST(BatchNorms, CanBeExchangedWhetherMergedOrNot) {
  ThreeNorms three;
  const Dataset images = random_images(three.network, 3);
  auto engine = InferenceEngine::create(three.network, Precision::Float32).value();
  const auto before = engine.logits(images, 0, 3).value();
  const auto original = engine.batch_norms();
  auto changed = original;
  for (BatchNormStatistics& norm : changed) {
    for (float& mean : norm.mean) mean += 0.4f;
    for (float& variance : norm.variance) variance *= 1.7f;
  }
  engine.set_batch_norms(changed);
  const auto norms = norms_of(three.network);
  for (std::size_t i = 0; i < norms.size(); ++i) {
    norms[i]->mean = changed[i].mean;
    norms[i]->variance = changed[i].variance;
  }
  const auto logits = engine.logits(images, 0, 3).value();
  for (std::size_t i = 0; i < 3; ++i) {
    const auto expected = reference_logits(three.network, images.read(i, 1).value());
    for (std::size_t c = 0; c < 10; ++c) {
      EXPECT_NEAR(static_cast<double>(logits[i * 10 + c]), expected[c], 1e-4);
    }
  }
  engine.set_batch_norms(original);
  EXPECT_EQ(engine.logits(images, 0, 3).value(), before);
}

TEST(BatchNorms, AreMeasuredOverAMiniBatchAsInTraining) {
  ThreeNorms three;
  const Dataset images = random_images(three.network, 20);
  // Each norm is measured behind norms that use the mini-batch's statistics already.
  Network expected = three.network;
  std::vector<BatchNormStatistics> wanted;
  for (std::size_t i = 0; i < expected.nodes.size(); ++i) {
    auto* norm = std::get_if<BatchNormNode>(&expected.nodes[i].kind);
    if (norm == nullptr) continue;
    wanted.push_back(statistics_of(expected, expected.nodes[i].inputs[0], images, 3, 14));
    norm->mean = wanted.back().mean;
    norm->variance = wanted.back().variance;
  }
  for (const Precision precision : {Precision::Float32, fastest_precision()}) {
    auto engine = InferenceEngine::create(three.network, precision, 4).value();
    const auto before = engine.batch_norms();
    const auto measured = engine.measure_batch_norms(images, 3, 14).value();
    const double tolerance = precision == Precision::Float32 ? 1e-4 : 0.02;
    ASSERT_EQ(measured.size(), wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      for (std::size_t c = 0; c < wanted[i].mean.size(); ++c) {
        EXPECT_NEAR(measured[i].mean[c], wanted[i].mean[c], tolerance);
        EXPECT_NEAR(measured[i].variance[c], wanted[i].variance[c],
                    tolerance * static_cast<double>(1.0f + wanted[i].variance[c]));
      }
    }
    EXPECT_EQ(engine.batch_norms()[0].mean, before[0].mean);
    EXPECT_EQ(engine.measure_batch_norms(images, 3, 14).value()[2].mean, measured[2].mean);
  }
}

TEST(BatchNorms, AreMeasuredOnTheWeightsAndDivisorsOfNow) {
  ThreeNorms three;
  const Dataset images = random_images(three.network, 9);
  auto engine = InferenceEngine::create(three.network, Precision::Float32, 4).value();
  const auto before = engine.measure_batch_norms(images, 0, 9).value();
  std::vector<float> drifted = weights_of(three.network).values;
  for (float& weight : drifted) weight *= 0.5f;
  engine.set_weights(drifted);
  const auto halved = engine.measure_batch_norms(images, 0, 9).value();
  for (std::size_t c = 0; c < before[0].mean.size(); ++c) {
    EXPECT_NEAR(halved[0].mean[c], before[0].mean[c] * 0.5f, 1e-6);
    EXPECT_NEAR(halved[0].variance[c] / before[0].variance[c], 0.25f, 1e-5);
  }
  engine.set_output_divisors(std::vector<float>(3, 0.5f));
  const auto compensated = engine.measure_batch_norms(images, 0, 9).value();
  EXPECT_EQ(compensated[0].mean, before[0].mean);
  EXPECT_EQ(compensated[1].variance, before[1].variance);
}

TEST(BatchNorms, OfTheImagesThemselvesAreMeasuredToo) {
  OnnxFile file({3, 10, 10});
  const std::string first = file.batch_norm("images", 3);  // in front of a convolution
  const std::string a = file.relu(file.batch_norm(file.conv(first, {.out = 18, .in = 3}), 18));
  const std::string b = file.relu(file.conv(a, {.out = 18, .in = 18}));
  const Network network = file.network(file.dense(file.average(b), 18, 10)).value();
  const Dataset images = random_images(network, 9);
  auto engine = InferenceEngine::create(network, Precision::Float32, 4).value();
  const auto measured = engine.measure_batch_norms(images, 0, 9).value();
  Network expected = network;
  for (std::size_t i = 0, norm = 0; i < expected.nodes.size(); ++i) {
    auto* node = std::get_if<BatchNormNode>(&expected.nodes[i].kind);
    if (node == nullptr) continue;
    const BatchNormStatistics wanted =
        statistics_of(expected, expected.nodes[i].inputs[0], images, 0, 9);
    node->mean = wanted.mean;
    node->variance = wanted.variance;
    for (std::size_t c = 0; c < wanted.mean.size(); ++c) {
      EXPECT_NEAR(measured[norm].mean[c], wanted.mean[c], 1e-4);
      EXPECT_NEAR(measured[norm].variance[c], wanted.variance[c], 1e-4);
    }
    ++norm;
  }
}

TEST(BatchNorms, CannotBeMeasuredOnNoImages) {
  ThreeNorms three;
  auto engine = InferenceEngine::create(three.network, Precision::Float32).value();
  EXPECT_FALSE(engine.measure_batch_norms(random_images(three.network, 2), 0, 0).has_value());
}

}  // namespace
}  // namespace pcmlab

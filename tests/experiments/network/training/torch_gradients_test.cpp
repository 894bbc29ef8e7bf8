// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/torch_gradients.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "experiments/network/training/topologies.h"
#include "experiments/network/training/training.h"
#include "tests/experiments/network/onnx_file.h"
#include "tests/experiments/network/reference_network.h"
#include "tests/experiments/network/temporary_folder.h"

namespace pcmlab::training {
namespace {

using pcmlab::test::ConvShape;
using pcmlab::test::OnnxFile;
using pcmlab::test::random_images;
using pcmlab::test::TemporaryFolder;

constexpr auto kOfBatch = GradientEngine::Statistics::OfBatch;
constexpr auto kFixed = GradientEngine::Statistics::Fixed;

/// A shortcut, uneven padding, stride, groups, biases: everything that a node can be.
Network network_of_everything() {
  OnnxFile file({4, 7, 6});
  ConvShape first;
  first.out = 6;
  first.in = 4;
  first.groups = 2;
  first.bias = true;
  const std::string x = file.relu(file.batch_norm(file.conv("images", first), 6));
  ConvShape second;
  second.out = second.in = 6;
  second.stride_h = 2;
  second.pads = {1, 0, 2, 1};
  const std::string y = file.batch_norm(file.conv(x, second), 6);
  ConvShape shortcut = second;
  const std::string z = file.conv(x, shortcut);
  const std::string sum = file.relu(file.add(file.relu(y), z));
  return file.network(file.dense(file.relu(file.dense(file.average(sum), 6, 8)), 8, 5)).value();
}

Batch batch_of(const Dataset& set) {
  std::vector<std::uint32_t> all(set.count());
  std::iota(all.begin(), all.end(), 0U);
  Batch batch;
  Random unused(0, Purpose::Augmentation, 0);
  EXPECT_TRUE(TrainingImages(set, {}).fill(all, unused, batch));
  return batch;
}

struct Example {
  explicit Example(Network made, Precision precision = Precision::Float32)
      : network(std::move(made)),
        trainable(network),
        set(random_images(network, 12)),
        values(trainable.values(network)),
        statistics(trainable.statistics(network)),
        gradients(values.size()),
        engine(torch_gradients(network, precision, 1).value()) {
    const ValueShape& out = network.shapes[static_cast<std::size_t>(network.output)];
    for (auto& label : set.labels) label = static_cast<std::uint16_t>(label % out.channels);
    set.classes = out.channels;
    batch = batch_of(set);
  }

  double loss(double smoothing, GradientEngine::Statistics normalised_with) {
    std::vector<float> moved = statistics;
    std::vector<float> unused(values.size());
    return engine->step(batch, smoothing, normalised_with, values, moved, unused).value().loss;
  }

  Network network;
  Trainable trainable;
  Dataset set;
  Batch batch;
  std::vector<float> values, statistics, gradients;
  std::unique_ptr<GradientEngine> engine;
};

class TorchGradientsWith : public testing::TestWithParam<GradientEngine::Statistics> {};

TEST_P(TorchGradientsWith, GradientsAreTheSlopesOfTheLoss) {
  Example e(network_of_everything());
  constexpr double kSmoothing = 0.1;
  std::vector<float> moved = e.statistics;
  ASSERT_TRUE(e.engine->step(e.batch, kSmoothing, GetParam(), e.values, moved, e.gradients));
  constexpr float kDistance = 2e-3f;
  double worst = 0;
  double largest = 0;
  for (std::size_t i = 0; i < e.values.size(); i += 3) {
    const float value = e.values[i];
    e.values[i] = value + kDistance;
    const double above = e.loss(kSmoothing, GetParam());
    e.values[i] = value - kDistance;
    const double below = e.loss(kSmoothing, GetParam());
    e.values[i] = value;
    const double slope = (above - below) / (2.0 * kDistance);
    worst = std::max(worst, std::abs(slope - e.gradients[i]));
    largest = std::max(largest, std::abs(slope));
  }
  EXPECT_GT(largest, 0.05);
  EXPECT_LT(worst, 0.02 * largest);
}

TEST_P(TorchGradientsWith, EveryValueGetsAGradient) {
  Example e(network_of_everything());
  std::fill(e.gradients.begin(), e.gradients.end(), std::nanf(""));
  ASSERT_TRUE(e.engine->step(e.batch, 0, GetParam(), e.values, e.statistics, e.gradients));
  EXPECT_TRUE(std::all_of(e.gradients.begin(), e.gradients.end(),
                          [](float g) { return std::isfinite(g); }));
}

INSTANTIATE_TEST_SUITE_P(Statistics, TorchGradientsWith, testing::Values(kOfBatch, kFixed),
                         [](const auto& of) { return of.param == kFixed ? "fixed" : "of_batch"; });

TEST(TorchGradients, LogitsAreThoseOfTheInferenceEngine) {
  Example e(network_of_everything());
  const auto torch = e.engine->logits(e.batch, e.values, e.statistics).value();
  auto engine = InferenceEngine::create(e.network, Precision::Float32);
  ASSERT_TRUE(engine);
  const auto ours = engine->logits(e.set, 0, e.set.count()).value();
  ASSERT_EQ(torch.size(), ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(torch[i], ours[i], 1e-4);
}

TEST(TorchGradients, PoolsAndDenseLayersAreThoseOfTheInferenceEngine) {
  Example e(make_network("lenet", {.input = {1, 28, 28}, .classes = 5}, 1).value());
  const auto torch = e.engine->logits(e.batch, e.values, e.statistics).value();
  auto engine = InferenceEngine::create(e.network, Precision::Float32);
  ASSERT_TRUE(engine);
  const auto ours = engine->logits(e.set, 0, e.set.count()).value();
  ASSERT_EQ(torch.size(), ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(torch[i], ours[i], 1e-4);
}

TEST(TorchGradients, ANodeThatCannotBeTrainedIsNamed) {
  Network network = network_of_everything();
  network.nodes[2].name = "the odd one";
  network.nodes[2].kind = SoftmaxNode{};
  const auto engine = torch_gradients(network, Precision::Float32, 1);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, ErrorCode::BadNetwork);
  EXPECT_NE(engine.error().message.find("the odd one"), std::string::npos);
}

TEST(TorchGradients, StatisticsMoveATenthOfTheWayToTheBatch) {
  Example e(network_of_everything());
  const std::vector<float> before = e.statistics;
  ASSERT_TRUE(e.engine->step(e.batch, 0, kOfBatch, e.values, e.statistics, e.gradients));
  auto engine = InferenceEngine::create(e.network, Precision::Float32);
  ASSERT_TRUE(engine);
  const auto measured = engine->measure_batch_norms(e.set, 0, e.set.count()).value();
  // The first batch norm sees 12 images of 7 x 6 pixels.
  const double corrected = 504.0 / 503.0;
  for (std::size_t c = 0; c < 6; ++c) {
    EXPECT_NEAR(e.statistics[c], 0.9 * before[c] + 0.1 * measured[0].mean[c], 1e-5);
    EXPECT_NEAR(e.statistics[6 + c],
                0.9 * before[6 + c] + 0.1 * corrected * measured[0].variance[c], 1e-4);
  }
}

TEST(TorchGradients, FixedStatisticsStayAndAreThoseOfInference) {
  Example e(network_of_everything());
  const std::vector<float> before = e.statistics;
  const double loss =
      e.engine->step(e.batch, 0, kFixed, e.values, e.statistics, e.gradients).value().loss;
  EXPECT_EQ(e.statistics, before);
  const auto logits = e.engine->logits(e.batch, e.values, e.statistics).value();
  double expected = 0;
  for (std::size_t n = 0; n < e.batch.count; ++n) {
    const std::span<const float> of_image = std::span(logits).subspan(n * 5, 5);
    double sum = 0;
    for (const float logit : of_image) sum += std::exp(logit);
    expected += std::log(sum) - of_image[static_cast<std::size_t>(e.batch.labels[n])];
  }
  EXPECT_NEAR(loss, expected / static_cast<double>(e.batch.count), 1e-4);
}

TEST(TorchGradients, ExchangedForMeasuredStatisticsTheNetworkComputesWhatItDid) {
  Example e(network_of_everything());
  const auto before = e.engine->logits(e.batch, e.values, e.statistics).value();
  const auto measured = e.engine->measure_statistics(e.batch, e.values, e.statistics).value();
  ASSERT_EQ(measured.size(), e.statistics.size());
  const std::vector<float> values_before = e.values;
  e.trainable.exchange_statistics(e.values, e.statistics, measured);
  EXPECT_EQ(e.statistics, measured);
  EXPECT_NE(e.values, values_before);
  const auto after = e.engine->logits(e.batch, e.values, e.statistics).value();
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(after[i], before[i], 1e-4);
  // Now normalising with the batch is what the statistics say, but for n - 1.
  EXPECT_NEAR(e.loss(0, kOfBatch), e.loss(0, kFixed), 0.01);
  e.trainable.store(e.values, e.statistics, e.network);
  auto engine = InferenceEngine::create(e.network, Precision::Float32);
  ASSERT_TRUE(engine);
  const auto of_inference = engine->measure_batch_norms(e.set, 0, e.set.count()).value();
  for (std::size_t i = 0; i < of_inference.size(); ++i) {
    const Trainable::Norm& norm = e.trainable.norms()[i];
    for (std::size_t c = 0; c < norm.channels; ++c) {
      EXPECT_NEAR(measured[norm.first_statistic + c], of_inference[i].mean[c], 0.02);
    }
  }
}

TEST(TorchGradients, CountsWhatIsRight) {
  Example e(network_of_everything());
  std::vector<float> moved = e.statistics;
  const auto first = e.engine->step(e.batch, 0, kOfBatch, e.values, moved, e.gradients).value();
  EXPECT_GE(first.correct, 0);
  EXPECT_LE(first.correct, 12);
  // A bias that outweighs everything makes every answer that class.
  const std::size_t biases = e.trainable.analog_count();
  e.values[biases - 1] = 1000;  // bias of the last class
  const auto forced = e.engine->step(e.batch, 0, kOfBatch, e.values, moved, e.gradients).value();
  EXPECT_EQ(forced.correct, std::count(e.set.labels.begin(), e.set.labels.end(), 4));
}

TEST(TorchGradients, Bfloat16IsCloseToFloat32) {
  const Network network = make_network("resnet32", {.input = {3, 8, 8}, .classes = 10}, 1).value();
  Example exact(network);
  Example rounded(network, Precision::Bfloat16);
  std::vector<float> moved = exact.statistics;
  const auto a =
      exact.engine->step(exact.batch, 0, kOfBatch, exact.values, moved, exact.gradients).value();
  const auto b =
      rounded.engine->step(rounded.batch, 0, kOfBatch, rounded.values, moved, rounded.gradients)
          .value();
  EXPECT_NEAR(a.loss, b.loss, 0.05 * a.loss);
  // Directions agree: the cosine between both gradients.
  double dot = 0;
  double aa = 0;
  double bb = 0;
  for (std::size_t i = 0; i < exact.gradients.size(); ++i) {
    dot += static_cast<double>(exact.gradients[i]) * rounded.gradients[i];
    aa += static_cast<double>(exact.gradients[i]) * exact.gradients[i];
    bb += static_cast<double>(rounded.gradients[i]) * rounded.gradients[i];
  }
  EXPECT_GT(dot / std::sqrt(aa * bb), 0.8);
}

/// A small network on a few small images, two epochs of three steps.
struct TinyTraining {
  explicit TinyTraining(std::filesystem::path where) : folder(std::move(where)) {
    settings.epochs = 2;
    settings.batch = 8;
    settings.fixed_statistics_from_epoch = 2;
    settings.clip_deviations = 2;
    state.network = network_of_everything();
    state.momentum.assign(Trainable(state.network).value_count(), 0.0f);
    set = random_images(state.network, 24);
    set.classes = 5;
    for (auto& label : set.labels) label = static_cast<std::uint16_t>(label % 5);
  }

  Result<void> run(const std::stop_token& stop = {}, int stop_after = 0) {
    const auto engine = torch_gradients(state.network, fastest_precision(), 2).value();
    const TrainingImages images(set, {.crop_pixels = 1, .flip = true});
    const TrainingInputs inputs{settings, {.eta = 0.038, .model = {}}, images, set, *engine,
                                folder};
    TrainingObserver observer;
    observer.step_done = [&](const TrainingProgress&) {
      if (++steps == stop_after) source.request_stop();
    };
    return train(inputs, state, observer, stop);
  }

  std::filesystem::path folder;
  TrainingSettings settings;
  Checkpoint state;
  Dataset set;
  std::stop_source source;
  int steps = 0;
};

TEST(TorchTraining, ResumedItEndsWithTheBitsOfAnUninterruptedOne) {
  const TemporaryFolder whole_folder;
  TinyTraining whole(whole_folder.path());
  ASSERT_TRUE(whole.run());
  ASSERT_EQ(whole.steps, 6);
  const Trainable trainable(whole.state.network);
  for (const int stop_after : {2, 3, 4}) {
    const TemporaryFolder folder;
    TinyTraining first(folder.path());
    const auto stopped = first.run(first.source.get_token(), stop_after);
    ASSERT_FALSE(stopped);
    ASSERT_EQ(stopped.error().code, ErrorCode::Stopped);
    TinyTraining second(folder.path());
    second.state = newest_checkpoint(folder.path()).value().checkpoint;
    ASSERT_TRUE(second.run());
    EXPECT_EQ(second.steps, 6 - stop_after);
    EXPECT_EQ(trainable.values(second.state.network), trainable.values(whole.state.network));
    EXPECT_EQ(trainable.statistics(second.state.network),
              trainable.statistics(whole.state.network));
    EXPECT_EQ(second.state.momentum, whole.state.momentum);
  }
}

}  // namespace
}  // namespace pcmlab::training

// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "tests/driver/file_size_limit.h"
#include "tests/experiments/network/temporary_folder.h"
#include "tests/experiments/network/training/linear_engine.h"

namespace pcmlab::training {
namespace {

using pcmlab::test::TemporaryFolder;
using test::SmallTraining;
using ::testing::HasSubstr;

std::vector<float> values_of(const Checkpoint& state) {
  return Trainable(state.network).values(state.network);
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class Training : public ::testing::Test {
 protected:
  Training() : training_(folder_.path()) {}

  Checkpoint uninterrupted() {
    Checkpoint state = training_.fresh();
    EXPECT_TRUE(training_.run(state));
    return state;
  }

  TemporaryFolder folder_;
  SmallTraining training_;
};

TEST_F(Training, LearnsAndWritesItsLog) {
  const Checkpoint state = uninterrupted();
  ASSERT_EQ(state.history.size(), 4U);
  EXPECT_LT(state.history.back().loss, state.history.front().loss);
  EXPECT_GT(state.history.back().test_accuracy, 0.8);
  const auto lines = lines_of(folder_.path() / "log.jsonl");
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[3], epoch_as_json(state.history[3]));
}

TEST_F(Training, TheSameSeedGivesTheSameBits) {
  const auto first = values_of(uninterrupted());
  EXPECT_EQ(values_of(uninterrupted()), first);
  training_.settings.seed = 2;
  EXPECT_NE(values_of(uninterrupted()), first);
}

TEST_F(Training, ResumedAfterAnyStepItEndsWithTheSameBits) {
  const auto expected = values_of(uninterrupted());
  const std::int64_t all = training_.engine.steps;
  ASSERT_EQ(all, 4 * 7);
  for (std::int64_t stop_after = 1; stop_after < all; ++stop_after) {
    const TemporaryFolder folder;
    SmallTraining first(folder.path());
    std::stop_source stop;
    first.observer.step_done = [&](const TrainingProgress&) {
      if (first.engine.steps == stop_after) stop.request_stop();
    };
    Checkpoint state = first.fresh();
    const auto stopped = first.run(state, stop.get_token());
    if (stopped) continue;  // the last step of the last epoch ends it anyway
    ASSERT_EQ(stopped.error().code, ErrorCode::Stopped);

    SmallTraining second(folder.path());
    Checkpoint loaded = newest_checkpoint(folder.path()).value().checkpoint;
    ASSERT_TRUE(second.run(loaded));
    ASSERT_EQ(first.engine.steps + second.engine.steps, all);
    ASSERT_EQ(values_of(loaded), expected) << "stopped after step " << stop_after;
    ASSERT_EQ(loaded.history.size(), 4U);
  }
}

TEST_F(Training, AResumedEpochHasTheLossAndAccuracyOfAWholeOne) {
  const Checkpoint whole = uninterrupted();
  const TemporaryFolder folder;
  SmallTraining first(folder.path());
  std::stop_source stop;
  first.observer.step_done = [&](const TrainingProgress&) { stop.request_stop(); };
  Checkpoint state = first.fresh();
  ASSERT_FALSE(first.run(state, stop.get_token()));
  SmallTraining second(folder.path());
  Checkpoint loaded = newest_checkpoint(folder.path()).value().checkpoint;
  ASSERT_TRUE(second.run(loaded));
  EXPECT_EQ(loaded.history[0].loss, whole.history[0].loss);
  EXPECT_EQ(loaded.history[0].train_accuracy, whole.history[0].train_accuracy);
}

TEST_F(Training, FromItsEpochOnStatisticsAreFixedAndMeasuredAnewAfterEach) {
  training_.settings.fixed_statistics_from_epoch = 3;
  uninterrupted();
  EXPECT_EQ(training_.engine.steps, 4 * 7);
  EXPECT_EQ(training_.engine.fixed_steps, 2 * 7);
  EXPECT_EQ(training_.engine.measurements, 2 * 6);  // whole batches of an epoch, 20 at most
}

TEST_F(Training, WithoutAnEpochStatisticsAreThoseOfTheBatch) {
  uninterrupted();
  EXPECT_EQ(training_.engine.fixed_steps, 0);
  EXPECT_EQ(training_.engine.measurements, 0);
}

TEST_F(Training, NoiseAndClippingBeginWithTheirEpoch) {
  SmallTraining& with = training_;
  SmallTraining without(folder_.path());
  without.noise.eta = 0;
  without.settings.clip_deviations = 0;
  const auto weights_after = [](SmallTraining& training, std::int64_t epoch) {
    std::vector<float> weights;
    Checkpoint state = training.fresh();
    training.observer.epoch_done = [&](const EpochResult& result) {
      if (result.epoch == epoch) weights = values_of(state);
    };
    EXPECT_TRUE(training.run(state));
    return weights;
  };
  EXPECT_EQ(weights_after(with, 1), weights_after(without, 1));
  EXPECT_NE(weights_after(with, 2), weights_after(without, 2));
}

TEST_F(Training, ClippedWeightsLieWithinTheirLimit) {
  training_.settings.clip_deviations = 1;
  const auto values = values_of(uninterrupted());
  float largest = 0;
  double squares = 0;
  for (const float value : values) {
    largest = std::max(largest, std::abs(value));
    squares += static_cast<double>(value) * value;
  }
  // Clipping narrows the distribution, so that the limit is a little above its deviation.
  EXPECT_LT(largest, 1.6 * std::sqrt(squares / static_cast<double>(values.size())));
}

TEST_F(Training, ALossThatIsNotANumberEndsItAndKeepsTheLastGoodCheckpoint) {
  training_.engine.diverges_at = 7 + 3;  // in the second epoch
  Checkpoint state = training_.fresh();
  const auto result = training_.run(state);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::BadNetwork);
  EXPECT_THAT(result.error().message, HasSubstr("diverged in epoch 2, step 4"));
  EXPECT_THAT(result.error().advice, HasSubstr("learning rate"));
  const FoundCheckpoint found = newest_checkpoint(folder_.path()).value();
  EXPECT_EQ(found.checkpoint.epoch, 1);
  EXPECT_TRUE(found.damaged.empty());
}

TEST_F(Training, WeightsThatOverflowEndItToo) {
  training_.settings.learning_rate = 1e38;
  training_.noise.eta = 0;
  training_.settings.clip_deviations = 0;
  Checkpoint state = training_.fresh();
  const auto result = training_.run(state);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("diverged"));
}

TEST_F(Training, AFullDiskEndsItAndKeepsTheLastGoodCheckpoint) {
  Checkpoint state = training_.fresh();
  std::unique_ptr<::pcmlab::testing::FileSizeLimit> limit;
  training_.observer.epoch_done = [&](const EpochResult& epoch) {
    if (epoch.epoch == 2) limit = std::make_unique<::pcmlab::testing::FileSizeLimit>(300);
  };
  const auto result = training_.run(state);
  limit.reset();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::DiskFull);
  const FoundCheckpoint found = newest_checkpoint(folder_.path()).value();
  EXPECT_EQ(found.checkpoint.epoch, 2);
  EXPECT_TRUE(found.damaged.empty());

  SmallTraining again(folder_.path());
  Checkpoint loaded = found.checkpoint;
  ASSERT_TRUE(again.run(loaded));
  const TemporaryFolder elsewhere;
  SmallTraining whole(elsewhere.path());
  Checkpoint expected = whole.fresh();
  ASSERT_TRUE(whole.run(expected));
  EXPECT_EQ(values_of(loaded), values_of(expected));
}

TEST_F(Training, TellsLossSpeedAndWhatIsLeft) {
  std::vector<TrainingProgress> told;
  training_.observer.step_done = [&](const TrainingProgress& p) { told.push_back(p); };
  uninterrupted();
  ASSERT_EQ(told.size(), 28U);
  EXPECT_EQ(told[8].epoch, 2);
  EXPECT_EQ(told[8].step, 2);
  EXPECT_EQ(told[8].steps, 7);
  EXPECT_GT(told[8].images_per_s, 0);
  EXPECT_GT(told[8].remaining_s, 0);
  EXPECT_EQ(told.back().remaining_s, 0);
}

TEST_F(Training, ImagesThatDoNotFitTheNetworkAreRefused) {
  Checkpoint state = training_.fresh();
  training_.test.height = 8;
  const auto result = training_.run(state);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::BadNetwork);
  EXPECT_THAT(result.error().message, HasSubstr("takes images of 3x4x4"));
  training_.test.height = 4;
  training_.test.classes = 10;
  EXPECT_THAT(training_.run(state).error().message, HasSubstr("4 outputs"));
}

TEST_F(Training, ASettingIsReadBackFromItsText) {
  ParameterValues values(training_parameters());
  values.set("learning_rate", 0.012345678901234567);
  values.set("folder", std::string("/a \"quoted\" \\ folder"));
  values.set("flip", false);
  const auto read = settings_from_toml(settings_as_toml(values), "test");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->all(), values.all());
}

}  // namespace
}  // namespace pcmlab::training

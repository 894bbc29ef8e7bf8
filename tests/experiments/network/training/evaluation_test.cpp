// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/driver/file_size_limit.h"
#include "tests/experiments/network/temporary_folder.h"
#include "tests/experiments/network/training/linear_engine.h"

namespace pcmlab::training {
namespace {

using pcmlab::test::TemporaryFolder;
using ::testing::HasSubstr;

class Evaluation : public ::testing::Test {
 protected:
  Evaluation() : training_(folder_.path()), state_(training_.fresh()) {
    EXPECT_TRUE(training_.run(state_));
    settings_.precision = Precision::Float32;
  }

  TemporaryFolder folder_;
  test::SmallTraining training_;
  Checkpoint state_;
  EvaluationSettings settings_;
};

TEST_F(Evaluation, MoreNoiseCostsMoreAccuracy) {
  settings_.etas = {0.01, 3};
  const auto results =
      evaluate_noise(state_.network, training_.test, settings_, {}, std::stop_token{}).value();
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0].noise, "none");
  EXPECT_EQ(results[0].draws.size(), 1U);
  EXPECT_EQ(results[1].noise, "eta 0.01");
  EXPECT_EQ(results[2].draws.size(), 5U);
  EXPECT_NEAR(results[1].mean(), results[0].mean(), 0.02);
  EXPECT_LT(results[2].mean(), results[0].mean() - 0.1);
  EXPECT_GT(results[2].deviation(), 0);
  EXPECT_EQ(results[0].deviation(), 0);
}

TEST_F(Evaluation, TheSeedDecidesTheDraws) {
  settings_.etas = {1};
  const auto draws = [&] {
    return evaluate_noise(state_.network, training_.test, settings_, {}, std::stop_token{})
        .value()[1]
        .draws;
  };
  const auto first = draws();
  EXPECT_EQ(draws(), first);
  settings_.seed = 2;
  EXPECT_NE(draws(), first);
}

TEST_F(Evaluation, ANoiseModelIsOneMoreRow) {
  settings_.model =
      parse_noise_model("[model]\nname = \"bad chip\"\n[programming]\nsigma_polynomial_uS = [20]\n",
                        "test")
          .value();
  std::vector<std::string> told;
  const auto results =
      evaluate_noise(
          state_.network, training_.test, settings_,
          [&](const NoisyAccuracy& r) { told.push_back(r.noise); }, std::stop_token{})
          .value();
  EXPECT_EQ(told, (std::vector<std::string>{"none", "bad chip"}));
  EXPECT_LT(results[1].mean(), results[0].mean());
}

TEST_F(Evaluation, SaysWhatANetworkWasTrainedWith) {
  ParameterValues values(training_parameters());
  values.set("noise", 0.038);
  state_.network.metadata[kSettingsKey] = settings_as_toml(values);
  const auto results =
      evaluate_noise(state_.network, training_.test, settings_, {}, std::stop_token{}).value();
  EXPECT_EQ(results[0].trained_with, 0.038);
}

TEST_F(Evaluation, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  const auto results =
      evaluate_noise(state_.network, training_.test, settings_, {}, stop.get_token());
  ASSERT_FALSE(results);
  EXPECT_EQ(results.error().code, ErrorCode::Stopped);
}

TEST_F(Evaluation, AWrittenNetworkComputesWhatWasTrained) {
  const auto file = folder_.path() / "network.onnx";
  const Verification verified =
      write_verified(state_.network, file, training_.engine, training_.test).value();
  EXPECT_EQ(verified.compared, 200U);
  EXPECT_LT(verified.float32_difference, 1e-5 * verified.largest_logit);
  EXPECT_GT(verified.float32_accuracy, 0.8);
  const Network read = load_network(file).value();
  EXPECT_EQ(weights_of(read).values, weights_of(state_.network).values);
}

TEST_F(Evaluation, AnEngineThatComputesSomethingElseIsNoticed) {
  struct Wrong : test::LinearEngine {
    Result<std::vector<float>> logits(const Batch& batch, std::span<const float> values,
                                      std::span<const float> statistics) override {
      auto logits = LinearEngine::logits(batch, values, statistics);
      for (float& logit : *logits) logit *= 1.1f;
      return logits;
    }
  } wrong;
  const auto file = folder_.path() / "network.onnx";
  const auto verified = write_verified(state_.network, file, wrong, training_.test);
  ASSERT_FALSE(verified);
  EXPECT_THAT(verified.error().message, HasSubstr("does not compute what was trained"));
}

TEST_F(Evaluation, AFullDiskLeavesAnOlderNetworkAsItWas) {
  const auto file = folder_.path() / "network.onnx";
  std::ofstream(file) << "older";
  const ::pcmlab::testing::FileSizeLimit limit(100);
  const auto verified = write_verified(state_.network, file, training_.engine, training_.test);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, ErrorCode::DiskFull);
  EXPECT_EQ(std::filesystem::file_size(file), 5U);
}

}  // namespace
}  // namespace pcmlab::training

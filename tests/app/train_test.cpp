// SPDX-License-Identifier: Apache-2.0
// pcmlab-train as a person uses it, on the first images of Fashion-MNIST. What it is made of is
// tested in tests/experiments/network/training.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/app/command_line.h"

namespace pcmlab::app {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::size_t lines_in(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::vector<std::filesystem::path> checkpoints_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::is_directory(folder)) return files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".pcmtrain") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class Train : public ::testing::Test {
 protected:
  std::string out() const { return (folder_ / "training").string(); }

  /// A small MLP on 512 images, with more options.
  std::vector<std::string> small(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"--out",         out(), "--network",    "mlp",
                                       "--hidden",      "16",  "--test-limit", "200",
                                       "--train-limit", "512", "--threads",    "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  TemporaryFolder folder_;
};

TEST_F(Train, WritesANetworkItsLogAndItsAccuracyUnderNoise) {
  const std::string csv = (folder_ / "noise.csv").string();
  const CommandResult result =
      pcmlab(small({"--epochs", "3", "--noise", "0.038", "--json", "--clip-deviations", "2",
                    "--evaluate-noise", "0.02,0.06", "--draws", "3", "--csv", csv}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("epoch 3/3  loss"));
  const json report = json::parse(result.out);
  EXPECT_EQ(report["epochs"].size(), 3U);
  EXPECT_LT(report["verification"]["float32_difference"], 1e-3);
  ASSERT_EQ(report["evaluation"].size(), 3U);
  EXPECT_EQ(report["evaluation"][2]["eta"], 0.06);
  EXPECT_EQ(report["evaluation"][2]["draws"].size(), 3U);
  EXPECT_EQ(report["evaluation"][2]["trained_with_eta"], 0.038);
  EXPECT_EQ(lines_in(text_of(csv)), 4U);
  EXPECT_EQ(lines_in(text_of(folder_ / "training/log.jsonl")), 3U);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "training/network.onnx"));
}

TEST_F(Train, ComparesNetworksInOneTable) {
  ASSERT_EQ(pcmlab(small({"--epochs", "1"})).exit_code, 0);
  const CommandResult result =
      pcmlab({"--evaluate", out() + "/network.onnx", "resnet32-fashion-mnist", "--evaluate-noise",
              "0.05", "--draws", "2", "--test-limit", "64"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(lines_in(result.out), 5U);
  EXPECT_THAT(result.out, HasSubstr("trained with eta"));
  EXPECT_THAT(result.out, HasSubstr("resnet32-fashion-mnist"));
}

TEST_F(Train, GoesOnFromAStoppedTrainingAndEndsWithTheSameFile) {
  const std::vector<std::string> epochs{"--epochs", "150", "--quiet"};
  const CommandResult stopped = pcmlab(small(epochs), [this](int process) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (checkpoints_in(out()).empty() && std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
    }
    kill(process, SIGINT);
  });
  ASSERT_EQ(stopped.exit_code, 6) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("training stopped in epoch"));
  EXPECT_THAT(stopped.err, HasSubstr("--out " + out() + " --resume"));
  const CommandResult resumed = pcmlab({"--out", out(), "--resume", "--quiet"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  const std::string network = text_of(folder_ / "training/network.onnx");
  EXPECT_EQ(lines_in(text_of(folder_ / "training/log.jsonl")), 150U);

  std::filesystem::remove_all(out());
  ASSERT_EQ(pcmlab(small(epochs)).exit_code, 0);
  EXPECT_EQ(text_of(folder_ / "training/network.onnx"), network);
}

TEST_F(Train, NamesATruncatedCheckpointAndUsesTheOneBeforeIt) {
  ASSERT_EQ(pcmlab(small({"--epochs", "3"})).exit_code, 0);
  const std::string network = text_of(folder_ / "training/network.onnx");
  const std::filesystem::path newest = checkpoints_in(out()).back();
  std::filesystem::resize_file(newest, 1000);
  const CommandResult resumed = pcmlab({"--out", out(), "--resume"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr(newest.string() + ": cut short"));
  EXPECT_THAT(resumed.err, HasSubstr("going on from " + checkpoints_in(out()).front().string()));
  EXPECT_EQ(text_of(folder_ / "training/network.onnx"), network);
}

TEST_F(Train, RefusesAForeignFileAsCheckpoint) {
  std::filesystem::create_directory(out());
  std::ofstream(folder_ / "training/checkpoint-000000001.pcmtrain") << "something else";
  const CommandResult result = pcmlab({"--out", out(), "--resume"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("not a checkpoint of pcmlab-train"));
}

TEST_F(Train, SaysThatTheDiskIsFullAndLeavesNoHalfFile) {
  constexpr std::size_t kLimit = 20'000;
  const CommandResult result = pcmlab(small({"--epochs", "2"}), {}, kLimit);
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(result.err, HasSubstr("make room on the disk"));
  for (const auto& entry : std::filesystem::directory_iterator(out())) {
    EXPECT_EQ(entry.path().filename(), "lock");
  }
}

TEST_F(Train, SaysThatATrainingDiverged) {
  const CommandResult result =
      pcmlab(small({"--epochs", "5", "--learning-rate", "1000", "--warm-up-epochs", "0"}));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("diverged in epoch"));
  EXPECT_THAT(result.err, HasSubstr("lower learning rate"));
}

TEST_F(Train, GoesOnFromTheWeightsOfAnotherNetwork) {
  ASSERT_EQ(pcmlab(small({"--epochs", "2"})).exit_code, 0);
  const CommandResult result = pcmlab(
      {"--out", (folder_ / "fine").string(), "--from", out() + "/network.onnx", "--epochs", "1",
       "--learning-rate", "0", "--train-limit", "128", "--test-limit", "200", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json before = json::parse(pcmlab({"--evaluate", out() + "/network.onnx", "--test-limit",
                                          "200", "--precision", "float32", "--json"})
                                      .out);
  EXPECT_EQ(json::parse(result.out)["verification"]["float32_accuracy"],
            before["evaluation"][0]["accuracy"]);
}

TEST_F(Train, TakesAMeasuredNoiseModelForTrainingAndForEvaluation) {
  const std::string model = folder_.file("chip.toml",
                                         "[model]\nname = \"my chip\"\n"
                                         "[programming]\nsigma_polynomial_uS = [0.3, 0.05]\n");
  const CommandResult result = pcmlab(small(
      {"--epochs", "1", "--noise-model", model, "--evaluate-noise-model", model, "--draws", "2"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("my chip"));
}

TEST_F(Train, NamesTheMistakeInANoiseModel) {
  const std::string model = folder_.file("chip.toml", "[programming]\nsigma = [0.3]\n");
  const CommandResult result = pcmlab(small({"--noise-model", model}));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("sigma"));
  EXPECT_THAT(result.err, HasSubstr("chip.toml"));
}

TEST_F(Train, RefusesCommandLinesThatMakeNoSense) {
  EXPECT_EQ(pcmlab({}).exit_code, 2);
  EXPECT_EQ(pcmlab({"--out", out(), "--evaluate", "x.onnx"}).exit_code, 2);
  EXPECT_EQ(pcmlab({"--out", out(), "--epochs", "0"}).exit_code, 2);
  EXPECT_EQ(pcmlab({"--out", out(), "--images", "imagenet"}).exit_code, 2);
  const CommandResult resume = pcmlab({"--out", out(), "--resume", "--learning-rate", "1"});
  EXPECT_EQ(resume.exit_code, 2);
  EXPECT_THAT(resume.err, HasSubstr("--learning-rate belongs to the training"));
}

TEST_F(Train, RefusesToStartOverAnotherTraining) {
  ASSERT_EQ(pcmlab(small({"--epochs", "1"})).exit_code, 0);
  const CommandResult again = pcmlab(small({"--epochs", "1"}));
  EXPECT_EQ(again.exit_code, 5);
  EXPECT_THAT(again.err, HasSubstr("--resume"));
}

TEST_F(Train, SaysWhatIsMissing) {
  EXPECT_EQ(pcmlab({"--out", out(), "--resume"}).exit_code, 3);
  EXPECT_EQ(pcmlab({"--evaluate", "/no/such.onnx"}).exit_code, 3);
  const CommandResult images = pcmlab(small({"--images", "cifar-10"}));
  EXPECT_EQ(images.exit_code, 3);
  EXPECT_THAT(images.err, HasSubstr("folder"));
  EXPECT_THAT(images.err, Not(HasSubstr("bug")));
}

}  // namespace
}  // namespace pcmlab::app

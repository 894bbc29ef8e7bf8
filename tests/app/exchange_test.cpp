// SPDX-License-Identifier: Apache-2.0
// What `pcmlab export` writes and `pcmlab import-fusion` reads, through the program itself.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/exit_code.h"
#include "experiments/network/training/noise_model.h"
#include "tests/app/command_line.h"
#include "tests/app/small_run.h"
#include "tests/experiments/network/onnx_file.h"

namespace pcmlab::app {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Exchange : public ::testing::Test {
 protected:
  Exchange() {
    test::OnnxFile network({3, 32, 32}, 7);
    const std::string features =
        network.relu(network.conv("images", {.out = 32, .in = 3, .stride_h = 4, .stride_w = 4}));
    const auto bytes = network.bytes(network.dense(network.average(features), 32, 10));
    std::ofstream(folder / "small.onnx", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    plan = folder.file("plan.toml",
                       "[mock]\nword_lines = 64\nbit_lines = 64\nthreads = 1\n"
                       "[network]\nfile = \"" +
                           path("small.onnx") +
                           "\"\n[images]\nlimit = 200\n"
                           "[[step]]\nexperiment = \"program\"\n"
                           "[[step]]\nexperiment = \"retention\"\npoints = 3\n");
  }
  std::string path(const std::string& name) const { return (folder / name).string(); }
  CommandResult run() const { return pcmlab({"run", plan, "--quiet", "--database", path("x.db")}); }
  CommandResult exported(const std::string& name, std::vector<std::string> arguments,
                         std::size_t limit = 0) const {
    arguments.insert(arguments.begin(), {"export", "--database", path("x.db"), "-o", path(name)});
    return pcmlab(std::move(arguments), {}, limit);
  }
  /// What tests/app/read_hdf5.py says of a file, held against the database.
  std::string read_hdf5(const std::string& name) const {
    const std::string command =
        fmt::format("/usr/bin/python3 {} {} {} {} > {} 2>&1", PCMLAB_READ_HDF5, path(name),
                    path("x.db"), PCMLAB_SQLITE, path("said"));
    EXPECT_EQ(std::system(command.c_str()), 0) << text_of("said");
    return text_of("said");
  }
  std::string text_of(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name), std::ios::binary).rdbuf();
    return text.str();
  }
  std::size_t parts() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "")) {
      count += entry.path().string().find(".part-") != std::string::npos ? 1 : 0;
    }
    return count;
  }

  TemporaryFolder folder;
  std::string plan;
};

TEST_F(Exchange, NumpyReadsWhatWasExportedAndFindsItConsistent) {
  ASSERT_EQ(run().exit_code, kDone);
  ASSERT_EQ(exported("all.npz", {"1"}).exit_code, kDone);
  ASSERT_EQ(exported("all.csv", {"1", "--format", "csv"}).exit_code, kDone);
  ASSERT_EQ(exported("targets.csv", {"1", "--format", "fusion"}).exit_code, kDone);
  const CommandResult fusion =
      exported("measured.csv", {"1", "--format", "fusion", "--sweep", "2"});
  ASSERT_EQ(fusion.exit_code, kDone) << fusion.err;
  EXPECT_THAT(fusion.out, HasSubstr("measured.csv"));
  const std::string command = fmt::format("/usr/bin/python3 {} {} {} {} {} 2 > {} 2>&1",
                                          PCMLAB_READ_EXPORT, path("all.npz"), path("all.csv"),
                                          path("targets.csv"), path("measured.csv"), path("said"));
  EXPECT_EQ(std::system(command.c_str()), 0) << text_of("said");
  EXPECT_EQ(text_of("said"), "2388 devices, 2 layers, 3 sweeps\n");
  EXPECT_EQ(parts(), 0u);
}

TEST_F(Exchange, OfRunMakesANoiseModelOfWhatWasExported) {
  ASSERT_EQ(run().exit_code, kDone);
  ASSERT_EQ(exported("all.npz", {"1"}).exit_code, kDone);
  const auto of_run = [this](const std::string& arguments) {
    return std::system(fmt::format("{} {} > {} 2> {}", PCMLAB_NOISE_MODEL_OF_RUN, arguments,
                                   path("model.toml"), path("said"))
                           .c_str());
  };
  ASSERT_EQ(of_run(path("all.npz") + " 'small chip'"), 0) << text_of("said");
  const auto text = training::read_noise_model(path("model.toml"));
  ASSERT_TRUE(text);
  const auto model = training::parse_noise_model(*text, "model.toml");
  ASSERT_TRUE(model) << model.error().message;
  const training::NoiseModel::Constants& constants = model->constants();
  EXPECT_EQ(constants.name, "small chip");
  EXPECT_EQ(constants.g_max_uS, 25);
  EXPECT_EQ(constants.t0_s, 40);
  EXPECT_NEAR(constants.last_age_s, 86400, 10);
  // As published, but for 1,194 devices and what drifts between verify and first sweep.
  EXPECT_NEAR(constants.sigma_uS(12), 0.95, 0.25);
  EXPECT_NEAR(constants.drift(12), 0.047, 0.01);
  EXPECT_GT(constants.drift_sd(2), constants.drift_sd(20));

  EXPECT_NE(of_run(path("nothing.npz") + " x"), 0);
  EXPECT_THAT(text_of("said"), HasSubstr("nothing.npz"));
  EXPECT_NE(of_run(path("all.npz") + " x 1e6"), 0);
  EXPECT_THAT(text_of("said"), HasSubstr("an age before the last"));
}

#ifndef PCMLAB_SANITIZED  // Python cannot load an extension with a sanitizer
TEST_F(Exchange, H5pyReadsFromHdf5WhatTheDatabaseHas) {
  ASSERT_EQ(pcmlab({"run", small_plan(folder), "--quiet", "--database", path("x.db")}).exit_code,
            kDone);
  ASSERT_EQ(exported("all.h5", {"1", "--format", "hdf5"}).exit_code, kDone);
  EXPECT_EQ(read_hdf5("all.h5"), "2388 devices, 1 fillings, 8 sweeps, 25 accuracies, drift\n");
  ASSERT_EQ(exported("two.h5", {"1", "--format", "hdf5", "--sweep", "2"}).exit_code, kDone);
  EXPECT_EQ(read_hdf5("two.h5"), "2388 devices, 1 fillings, 1 sweeps, 4 accuracies, drift\n");
  EXPECT_EQ(parts(), 0u);
}

TEST_F(Exchange, Hdf5HasTheFillingsOfASmallArrayOneAfterAnother) {
  ASSERT_EQ(
      pcmlab({"run", plan, "--quiet", "--database", path("x.db"), "--set", "mock.word_lines=16"})
          .exit_code,
      kDone);
  ASSERT_EQ(exported("all.h5", {"1", "--format", "hdf5"}).exit_code, kDone);
  EXPECT_EQ(read_hdf5("all.h5"), "2388 devices, 3 fillings, 3 sweeps, 0 accuracies, no drift\n");
}
#endif

TEST_F(Exchange, OneSweepCanBeExportedAlone) {
  ASSERT_EQ(run().exit_code, kDone);
  ASSERT_EQ(exported("two.csv", {"1", "--format", "csv", "--sweep", "2"}).exit_code, kDone);
  const std::string text = text_of("two.csv");
  EXPECT_THAT(text.substr(0, text.find('\n')),
              AllOf(HasSubstr("word_line,bit_line"), HasSubstr("pulses,sweep_2_uS")));
  const CommandResult none = exported("x.csv", {"1", "--format", "csv", "--sweep", "4"});
  EXPECT_EQ(none.exit_code, kBadInput);
  EXPECT_THAT(none.err, AllOf(HasSubstr("no sweep 4"), HasSubstr("1 to 3")));
}

TEST_F(Exchange, ANetworkAloneHasFusionTargets) {
  ASSERT_EQ(run().exit_code, kDone);
  ASSERT_EQ(exported("run.csv", {"1", "--format", "fusion"}).exit_code, kDone);
  ASSERT_EQ(
      exported("network.csv", {"--network", path("small.onnx"), "--format", "fusion"}).exit_code,
      kDone);
  EXPECT_EQ(text_of("network.csv"), text_of("run.csv"));
  EXPECT_THAT(text_of("network.csv"),
              HasSubstr("AnalogConv2d,AnalogLinear\n864,320\n32,10\n27,32\n"));
  EXPECT_EQ(exported("x.npz", {"--network", path("small.onnx")}).exit_code, kUsage);
  EXPECT_EQ(exported("x.npz", {}).exit_code, kUsage);
}

TEST_F(Exchange, AHeaderOfAihwkitIsTakenOver) {
  const std::vector<std::string> fusion{"--network", path("small.onnx"), "--format", "fusion"};
  ASSERT_EQ(exported("own.csv", fusion).exit_code, kDone);
  std::string text = text_of("own.csv");
  const std::size_t names = text.find("27,32\n") + 6;
  text.replace(names, text.find('\r', names) - names, "features.0,classifier");
  text.replace(0, text.find('\n'), "2,7");
  folder.file("theirs.csv", text);
  auto arguments = fusion;
  arguments.insert(arguments.end(), {"--header-of", path("theirs.csv")});
  ASSERT_EQ(exported("new.csv", arguments).exit_code, kDone);
  EXPECT_EQ(text_of("new.csv"), text);
}

TEST_F(Exchange, TheNetworksOwnTargetsGiveItsOwnAccuracy) {
  ASSERT_EQ(
      exported("targets.csv", {"--network", path("small.onnx"), "--format", "fusion"}).exit_code,
      kDone);
  const CommandResult read = pcmlab({"import-fusion", path("targets.csv"), plan, "--json"});
  ASSERT_EQ(read.exit_code, kDone) << read.err;
  const auto json = nlohmann::json::parse(read.out);
  EXPECT_EQ(json["images"], 200);
  EXPECT_EQ(json["weights"], 1194);
  EXPECT_EQ(json["correct"], json["software_correct"]);
  EXPECT_LT(json["relative_weight_error"].get<double>(), 1e-6);
  const CommandResult said = pcmlab({"import-fusion", path("targets.csv"), plan});
  EXPECT_THAT(said.out, AllOf(HasSubstr("1,194 off by 0.000 %"), HasSubstr("200 images")));
}

TEST_F(Exchange, TilesAreReadAsTheyWereWritten) {
  const std::vector<std::string> tiles{"--tile-inputs", "10", "--tile-outputs", "7"};
  std::vector<std::string> arguments{"--network", path("small.onnx"), "--format", "fusion"};
  arguments.insert(arguments.end(), tiles.begin(), tiles.end());
  ASSERT_EQ(exported("tiles.csv", arguments).exit_code, kDone);
  const auto weight_error = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"import-fusion", path("tiles.csv"), plan, "--json"});
    const CommandResult read = pcmlab(options);
    EXPECT_EQ(read.exit_code, kDone) << read.err;
    return nlohmann::json::parse(read.out)["relative_weight_error"].get<double>();
  };
  EXPECT_LT(weight_error(tiles), 1e-6);
  EXPECT_GT(weight_error({}), 0.1);
}

TEST_F(Exchange, MeasuredConductancesComeBackAsWeightsThatAreOffByTheirNoise) {
  ASSERT_EQ(run().exit_code, kDone);
  ASSERT_EQ(exported("m.csv", {"1", "--format", "fusion", "--sweep", "1"}).exit_code, kDone);
  const CommandResult read = pcmlab({"import-fusion", path("m.csv"), plan, "--json"});
  ASSERT_EQ(read.exit_code, kDone) << read.err;
  const auto error = nlohmann::json::parse(read.out)["relative_weight_error"].get<double>();
  EXPECT_GT(error, 1e-3);
  EXPECT_LT(error, 0.3);
}

TEST_F(Exchange, AFileThatIsNoFusionCsvOrOfAnotherNetworkIsBadInput) {
  const std::string bad = folder.file("bad.csv", "1\nA\n2\n1\n2\na\n1,2\n");
  const CommandResult other = pcmlab({"import-fusion", bad, plan});
  EXPECT_EQ(other.exit_code, kBadInput);
  EXPECT_THAT(other.err, AllOf(HasSubstr("bad.csv"), HasSubstr("1 layers")));
  const CommandResult missing = pcmlab({"import-fusion", path("none.csv"), plan});
  EXPECT_EQ(missing.exit_code, kBadInput);
  EXPECT_THAT(missing.err, HasSubstr("none.csv"));
}

TEST_F(Exchange, AFileIsNeverReplacedUnlessForced) {
  ASSERT_EQ(run().exit_code, kDone);
  folder.file("out.npz", "precious");
  const CommandResult refused = exported("out.npz", {"1"});
  EXPECT_EQ(refused.exit_code, kStore);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("out.npz"), HasSubstr("--force")));
  EXPECT_EQ(text_of("out.npz"), "precious");
  EXPECT_EQ(exported("out.npz", {"1", "--force"}).exit_code, kDone);
  EXPECT_EQ(text_of("out.npz").substr(0, 2), "PK");
}

TEST_F(Exchange, AFullDiskLeavesNoPartOfAFile) {
  ASSERT_EQ(run().exit_code, kDone);
  constexpr std::size_t kSharedMemoryOfSqlite = 32768;
  for (const std::string format : {"npz", "csv", "hdf5"}) {
    const CommandResult full =
        exported("out." + format, {"1", "--format", format}, kSharedMemoryOfSqlite + 1000);
    EXPECT_EQ(full.exit_code, kStore) << full.err;
    EXPECT_THAT(full.err, AllOf(HasSubstr("out." + format), HasSubstr("make room")));
    EXPECT_FALSE(std::filesystem::exists(path("out." + format)));
  }
  const CommandResult full =
      exported("out.fusion", {"--network", path("small.onnx"), "--format", "fusion"}, 1000);
  EXPECT_EQ(full.exit_code, kStore);
  EXPECT_THAT(full.err, AllOf(HasSubstr("out.fusion"), HasSubstr("make room")));
  EXPECT_FALSE(std::filesystem::exists(path("out.fusion")));
  EXPECT_EQ(parts(), 0u);
}

TEST_F(Exchange, ARunThatProgrammedNothingHasNothingToExport) {
  ASSERT_EQ(run().exit_code, kDone);
  const CommandResult none = exported("x.npz", {"7"});
  EXPECT_EQ(none.exit_code, kBadInput);
  EXPECT_THAT(none.err, HasSubstr("7"));
  EXPECT_FALSE(std::filesystem::exists(path("x.npz")));
}

}  // namespace
}  // namespace pcmlab::app

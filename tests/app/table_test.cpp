// SPDX-License-Identifier: Apache-2.0
// `pcmlab table`, and what `pcmlab show` tells in detail, on a small network and images of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "app/exit_code.h"
#include "tests/app/command_line.h"
#include "tests/experiments/network/onnx_file.h"

namespace pcmlab::app {
namespace {

using testing::HasSubstr;

void write_idx(const std::filesystem::path& file, std::uint8_t axes,
               const std::vector<std::uint32_t>& extents, const std::string& bytes) {
  std::ofstream out(file, std::ios::binary);
  out << '\0' << '\0' << '\x08' << static_cast<char>(axes);
  for (const std::uint32_t extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) out << static_cast<char>(extent >> shift & 0xffU);
  }
  out << bytes;
}

/// Random images in Fashion-MNIST's format.
void write_images(const TemporaryFolder& folder, const std::string& stem, std::uint32_t count) {
  std::mt19937 random(count);
  std::string pixels, labels;
  for (std::uint32_t i = 0; i < count * 28 * 28; ++i) pixels += static_cast<char>(random() % 256);
  for (std::uint32_t i = 0; i < count; ++i) labels += static_cast<char>(random() % 10);
  write_idx(folder / (stem + "-images-idx3-ubyte"), 3, {count, 28, 28}, pixels);
  write_idx(folder / (stem + "-labels-idx1-ubyte"), 1, {count}, labels);
}

/// Options that make the built-in plan small: conv - batch norm - ReLU - mean - dense.
std::vector<std::string> small_plan(const TemporaryFolder& folder) {
  test::OnnxFile file({3, 32, 32});
  const std::string a = file.relu(
      file.batch_norm(file.conv("images", {.out = 4, .in = 3, .stride_h = 4, .stride_w = 4}), 4));
  const auto onnx = file.bytes(file.dense(file.average(a), 4, 10));
  std::ofstream(folder / "net.onnx", std::ios::binary)
      .write(reinterpret_cast<const char*>(onnx.data()), static_cast<std::streamsize>(onnx.size()));
  write_images(folder, "train", 60);
  write_images(folder, "t10k", 50);
  return {"--set", "network.file=" + (folder / "net.onnx").string(),
          "--set", "images.folder=" + (folder / "").string(),
          "--set", "mock.word_lines=8",
          "--set", "mock.bit_lines=128",
          "--set", "step.4.calibration_batches=2",
          "--set", "step.4.calibration_images=20"};
}

CommandResult run_with(std::vector<std::string> command, const std::vector<std::string>& options) {
  command.insert(command.end(), options.begin(), options.end());
  return pcmlab(std::move(command));
}

TEST(Table, RunsSeveralChipsAndShowsThePapersFiguresBesideTheirs) {
  const TemporaryFolder folder;
  const std::string database = (folder / "x.db").string();
  const auto options = small_plan(folder);
  const CommandResult table =
      run_with({"table", "--seeds", "3", "--json", "--quiet", "--database", database}, options);
  ASSERT_EQ(table.exit_code, kDone) << table.err;
  const auto json = nlohmann::json::parse(table.out);
  EXPECT_EQ(json.at("runs").size(), 3u);
  EXPECT_THAT(json.at("runs").at(2).at("board").get<std::string>(), HasSubstr("seed 3"));
  ASSERT_EQ(json.at("rows").size(), 11u);
  for (const auto& row : json.at("rows")) {
    ASSERT_EQ(row.at("points").size(), 3u) << row.at("name");
    double mean = 0;
    for (const auto& points : row.at("points")) mean += points.get<double>() / 3;
    EXPECT_NEAR(row.at("mean").get<double>(), mean, 1e-9);
    EXPECT_TRUE(row.at("deviation").is_number());
  }
  EXPECT_EQ(json.at("rows").at(4).at("paper"), 1.3);

  const CommandResult text = run_with({"table", "--seeds", "1", "--database", database}, options);
  EXPECT_EQ(text.exit_code, kDone) << text.err;
  EXPECT_THAT(text.out, HasSubstr("1 day, AdaBS"));
  EXPECT_THAT(text.out, HasSubstr("at most 0.4"));
  EXPECT_THAT(text.out, HasSubstr("software 93.87 %"));
}

TEST(Table, RefusesWhatItCannotDo) {
  const TemporaryFolder folder;
  const std::string database = (folder / "x.db").string();
  const CommandResult board =
      pcmlab({"table", "--set", "board.kind=usb", "--database", database, "--quiet"});
  EXPECT_EQ(board.exit_code, kBadInput);
  EXPECT_THAT(board.err, HasSubstr("--seeds 1"));
  EXPECT_EQ(pcmlab({"table", "--seeds", "0"}).exit_code, kUsage);
  auto options = small_plan(folder);
  options.back() = "step.4.calibration_images=31";
  const CommandResult many = run_with({"table", "--database", database}, options);
  EXPECT_EQ(many.exit_code, kBadInput);
  EXPECT_THAT(many.err, HasSubstr("step 4 (accuracy) calibrates on 62 training images"));
  EXPECT_THAT(many.err, HasSubstr("train has 60"));
  EXPECT_FALSE(std::filesystem::exists(database));
}

TEST(Show, TellsOfClassesAndLayersWhenAsked) {
  const TemporaryFolder folder;
  const std::string database = (folder / "x.db").string();
  ASSERT_EQ(
      run_with({"table", "--seeds", "1", "--quiet", "--database", database}, small_plan(folder))
          .exit_code,
      kDone);
  const CommandResult brief = pcmlab({"show", "1", "--database", database});
  EXPECT_THAT(brief.out, HasSubstr("AdaBS + GDC"));
  EXPECT_THAT(brief.out, testing::Not(HasSubstr("taken for")));
  const CommandResult text =
      pcmlab({"show", "1", "--confusion", "--layers", "--database", database});
  ASSERT_EQ(text.exit_code, kDone) << text.err;
  EXPECT_THAT(text.out, HasSubstr("what they were taken for, 1 y, AdaBS"));
  EXPECT_THAT(text.out, HasSubstr("GDC factor"));
  const CommandResult shown =
      pcmlab({"show", "1", "--confusion", "--layers", "--json", "--database", database});
  const auto json = nlohmann::json::parse(shown.out);
  EXPECT_EQ(json.at("confusion").size(), 20u);  // four sweeps, five conditions
  int images = 0;
  for (const auto& count : json.at("confusion").at(0).at("counts")) images += count.get<int>();
  EXPECT_EQ(images, 50);
  ASSERT_EQ(json.at("layers").size(), 8u);  // four sweeps, two layers
  EXPECT_TRUE(json.at("layers").at(0).at("activation_mean_shift").is_number());
  EXPECT_TRUE(json.at("layers").at(1).at("activation_mean_shift").is_null());
}

}  // namespace
}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
// The mock chip against the published figures, through the program itself, with fixed seeds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/exit_code.h"
#include "tests/app/command_line.h"

namespace pcmlab::app {
namespace {

using testing::HasSubstr;

/// Every figure inside its tolerance, and the tolerance no wider than promised.
void expect_accepted(const CommandResult& result, std::size_t figures) {
  ASSERT_TRUE(result.exit_code == kDone || result.exit_code == kCheckFailed) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  for (const auto& figure : json.at("figures")) {
    const double ours = figure.at("ours"), low = figure.at("low"), high = figure.at("high");
    EXPECT_TRUE(ours >= low && ours <= high)
        << figure.at("group") << ", " << figure.at("what") << ": " << ours << " outside " << low
        << " .. " << high;
    EXPECT_EQ(figure.at("passed"), ours >= low && ours <= high);
  }
  EXPECT_EQ(json.at("figures").size(), figures);
  EXPECT_EQ(json.at("failed"), 0);
  EXPECT_EQ(result.exit_code, kDone);
}

nlohmann::json figure(const nlohmann::json& json, const std::string& what) {
  for (const auto& figure : json.at("figures")) {
    if (figure.at("what") == what) return figure;
  }
  ADD_FAILURE() << "no figure " << what;
  return {};
}

TEST(Acceptance, ThePapersChipIsAsPublished) {
  const TemporaryFolder folder;
  const CommandResult result =
      pcmlab({"acceptance", "--json", "--plots", (folder / "figures").string()});
  expect_accepted(result, 51);
  EXPECT_GT(std::filesystem::file_size(folder / "figures/acceptance-joshi-2020.png"), 50'000u);

  // The promises themselves, so that nobody widens a tolerance unseen.
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json.at("devices_per_level"), 10000);
  EXPECT_EQ(figure(json, "highest sigma").at("high"), 1.2);
  EXPECT_NEAR(figure(json, "median sigma").at("low").get<double>(), 0.84, 1e-9);
  EXPECT_NEAR(figure(json, "median sigma").at("high").get<double>(), 1.04, 1e-9);
  const auto low_level = figure(json, "sigma at 0.5 µS");
  EXPECT_NEAR(low_level.at("low").get<double>(), 0.85 * 0.3239, 1e-3);
  EXPECT_NEAR(low_level.at("high").get<double>(), 1.15 * 0.3239, 1e-3);
  EXPECT_NEAR(figure(json, "beta of 1/f^beta").at("low").get<double>(), 1.11, 1e-9);
  EXPECT_EQ(figure(json, "weights").at("ours"), 361722);
  EXPECT_EQ(figure(json, "devices").at("ours"), 723444);
  const auto converged = figure(json, "converged within 55 iterations");
  EXPECT_NEAR(converged.at("low").get<double>(), 99.1, 1e-9);
}

TEST(Acceptance, AnotherChipOfTheKindIsAsPublishedToo) {
  expect_accepted(pcmlab({"acceptance", "--json", "--seed", "20260101"}), 51);
}

TEST(Acceptance, TheHermesChipsAreAsPublished) {
  expect_accepted(pcmlab({"acceptance", "--json", "--chip", "hermes"}), 27);
  expect_accepted(pcmlab({"acceptance", "--json", "--chip", "hermes-single"}), 27);
}

/// A chip that is not as published is found out.
TEST(Acceptance, AChipOfTwiceTheNoiseFails) {
  const TemporaryFolder folder;
  const std::string file =
      folder.file("noisy.toml", "[parameters]\nnoise_amplitude = 0.0176\nnoise_max = 0.4\n");
  const CommandResult result =
      pcmlab({"acceptance", "--chip", file, "--against", "joshi-2020", "--devices", "2000"});
  EXPECT_EQ(result.exit_code, kCheckFailed);
  EXPECT_THAT(result.out, HasSubstr("FAIL  sigma at 12.5 µS"));
  EXPECT_THAT(result.out, HasSubstr("Mock chip noisy, seed 1"));
}

/// Tables made from measurements of one mock drive another that behaves the same.
TEST(Acceptance, AChipFileOfMeasuredTablesBehavesLikeTheChipItWasMeasuredOn) {
  const TemporaryFolder folder;
  const std::string file = folder.file("measured.toml", R"(
[chip]
name = "measured"
[drift]
conductance_uS  = [0.25, 0.5, 1, 1.75, 2.5, 3.5, 5, 10, 20, 40]
exponent        = [0.0958, 0.0850, 0.0743, 0.0656, 0.0601, 0.0549, 0.0493, 0.049, 0.049, 0.049]
exponent_spread = [0.045, 0.0430, 0.0343, 0.0273, 0.0229, 0.0187, 0.0142, 0.008, 0.008, 0.008]
[noise]
conductance_uS = [0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8, 11, 16, 22, 32]
relative_noise = [0.1756, 0.1411, 0.1119, 0.0899, 0.0713, 0.0573, 0.0454, 0.0365, 0.0290, 0.0233, 0.0185, 0.0150, 0.0118, 0.0096, 0.0075]
[set_step]
conductance_uS   = [0.1, 5, 10, 20, 40]
change_uS        = [0.872, 0.460, 0.040, -0.8, -2.48]
change_spread_uS = [0.269, 0.715, 1.170, 2.08, 3.9]
)");
  expect_accepted(pcmlab({"acceptance", "--json", "--chip", file, "--against", "joshi-2020"}), 51);
}

}  // namespace
}  // namespace pcmlab::app

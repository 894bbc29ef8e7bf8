// SPDX-License-Identifier: Apache-2.0
// Pulses and reads by hand, with the program itself.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/exit_code.h"
#include "tests/app/command_line.h"

namespace pcmlab::app {
namespace {

using testing::HasSubstr;

class ManualStep : public testing::Test {
 protected:
  CommandResult run(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"run", plan, "--database", file, "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return pcmlab(std::move(arguments));
  }
  nlohmann::json rows(const std::string& sql) {
    const CommandResult asked =
        pcmlab({"query", sql, "--database", file, "--format", "json", "--quiet"});
    EXPECT_EQ(asked.exit_code, kDone) << asked.err;
    return nlohmann::json::parse(asked.out);
  }
  std::vector<double> conductances_uS(int run) {
    std::vector<double> all;
    for (const auto& row :
         rows(fmt::format("SELECT g_uS FROM reading WHERE run_id = {} ORDER BY device", run))) {
      all.push_back(row.at("g_uS"));
    }
    return all;
  }

  TemporaryFolder folder;
  std::string file = (folder / "lab.db").string();
  std::string plan =
      folder.file("plan.toml",
                  "[mock]\nword_lines = 64\nbit_lines = 64\n[images]\nlimit = 10\n"
                  "[[step]]\nexperiment = \"manual\"\ndevices = [\"3,5\", \"4, 6\"]\n"
                  "pulses = 3\namplitude_uA = 300\n");
};

TEST_F(ManualStep, PulsesTheDevicesThatAreNamedAndKeepsEveryPulseAndRead) {
  const CommandResult done = run();
  ASSERT_EQ(done.exit_code, kDone) << done.err;
  const auto pulses = rows(
      "SELECT word_line, bit_line, iteration, amplitude_uA, width_ns, given, verified_uS "
      "FROM pulse ORDER BY iteration, device");
  ASSERT_EQ(pulses.size(), 6U);
  EXPECT_EQ(pulses[0].at("word_line"), 3);
  EXPECT_EQ(pulses[1].at("bit_line"), 6);
  EXPECT_EQ(pulses[5].at("iteration"), 3);
  for (const auto& pulse : pulses) {
    EXPECT_EQ(pulse.at("amplitude_uA"), 300);
    EXPECT_EQ(pulse.at("width_ns"), 400);
    EXPECT_EQ(pulse.at("given"), 1);
    EXPECT_GT(pulse.at("verified_uS"), 1.0);
  }
  EXPECT_EQ(conductances_uS(1).size(), 2U);
  EXPECT_EQ(pcmlab({"verify", "--database", file}).exit_code, kDone);
}

TEST_F(ManualStep, GoesOnOnTheChipOfAnotherRunAndCountsAsItsWear) {
  ASSERT_EQ(run().exit_code, kDone);
  ASSERT_EQ(run({"--after", "1", "--set", "step.manual.pulses=0"}).exit_code, kDone);
  ASSERT_EQ(run({"--after", "2", "--set", "step.manual.amplitude_uA=450"}).exit_code, kDone);
  ASSERT_EQ(run({"--after", "3", "--set", "step.manual.pulses=0"}).exit_code, kDone);
  for (const std::size_t device : {0U, 1U}) {
    EXPECT_NEAR(conductances_uS(2)[device], conductances_uS(1)[device], 4);
    EXPECT_LT(conductances_uS(3)[device], 0.7 * conductances_uS(2)[device]);
    EXPECT_NEAR(conductances_uS(4)[device], conductances_uS(3)[device], 4);
  }
  const auto wear = rows("SELECT pulses, programmings FROM device_wear");
  ASSERT_EQ(wear.size(), 2U);
  EXPECT_EQ(wear[0].at("pulses"), 6);
  EXPECT_EQ(wear[0].at("programmings"), 2) << "reads are none";
}

TEST_F(ManualStep, IsHeldToTheLimitsOfTheBoardAndThePlan) {
  const CommandResult strong = run({"--set", "step.manual.amplitude_uA=640"});
  EXPECT_EQ(strong.exit_code, kBadInput);
  EXPECT_THAT(strong.err, HasSubstr("the board allows at most 500 uA"));
  ASSERT_EQ(run().exit_code, kDone);
  const CommandResult worn = run({"--after", "1", "--set", "limits.pulses_per_device=5"});
  EXPECT_EQ(worn.exit_code, kBadInput);
  EXPECT_THAT(worn.err, HasSubstr("pulses_per_device"));
}

TEST_F(ManualStep, SaysWhichDeviceIsNone) {
  const auto said = [&](const std::string& devices) {
    const CommandResult refused = run({"--set", "step.manual.devices=" + devices});
    EXPECT_EQ(refused.exit_code, kBadInput);
    return refused.err;
  };
  EXPECT_THAT(said("[]"), HasSubstr("devices is empty"));
  EXPECT_THAT(said("[\"3\"]"), HasSubstr("\"3\" is no device"));
  EXPECT_THAT(said("[\"3,64\"]"), HasSubstr("outside the array of 64 x 64 lines"));
  EXPECT_THAT(said("[\"3,5\", \"3, 5\"]"), HasSubstr("named twice"));
}

TEST_F(ManualStep, DoesNotGoOnAfterARunOfAnotherBoard) {
  ASSERT_EQ(run().exit_code, kDone);
  const CommandResult other = run({"--after", "1", "--set", "mock.serial=OTHER"});
  EXPECT_EQ(other.exit_code, kBadInput);
  EXPECT_THAT(other.err, HasSubstr("was on board MOCK0001"));
}

TEST_F(ManualStep, DoesNotGoOnAfterARunOfAnotherChip) {
  ASSERT_EQ(run().exit_code, kDone);
  const CommandResult other = run({"--after", "1", "--set", "run.sample=B7"});
  EXPECT_EQ(other.exit_code, kBadInput);
  EXPECT_THAT(other.err, HasSubstr("was on chip \"\", the plan is for \"B7\""));
}

}  // namespace
}  // namespace pcmlab::app

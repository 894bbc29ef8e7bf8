// SPDX-License-Identifier: Apache-2.0
// What is looked at before a run: plans of several runs, time, disk, wear, and dry runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "app/exit_code.h"
#include "tests/app/command_line.h"
#include "tests/app/small_run.h"

namespace pcmlab::app {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class BeforeARun : public ::testing::Test {
 protected:
  CommandResult call(const std::string& command, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {command, plan, "--database", database};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return pcmlab(std::move(arguments));
  }
  nlohmann::json checked() const {
    const CommandResult check = call("check", {"--json"});
    EXPECT_EQ(check.exit_code, kDone) << check.err;
    return nlohmann::json::parse(check.out);
  }

  TemporaryFolder folder;
  std::string database = (folder / "results.db").string();
  std::string plan = small_plan(folder);
};

TEST_F(BeforeARun, EveryPlanThatComesWithTheProgramIsGood) {
  for (const auto& file : std::filesystem::directory_iterator(PCMLAB_PLANS)) {
    const CommandResult check =
        pcmlab({"check", file.path().string(), "--database", database, "--set", "images.limit=1"});
    EXPECT_EQ(check.exit_code, kDone) << file.path() << check.err;
  }
}

TEST_F(BeforeARun, CheckSaysWhenWhatHappens) {
  const auto timeline = checked().at("timeline");
  ASSERT_EQ(timeline.size(), 3 + 8 + 1) << "steps, sweeps, end";
  EXPECT_EQ(timeline.at(0).at("what"), "step 1: program");
  const double read_s = timeline.at(1).at("after_s");
  EXPECT_EQ(timeline.at(1).at("what"), "step 2: retention");
  EXPECT_EQ(timeline.at(2).at("after_s"), read_s + 25);
  EXPECT_EQ(timeline.at(9).at("what"), "sweep 8 of 8");
  EXPECT_EQ(timeline.at(9).at("after_s"), read_s + 86400);
  EXPECT_EQ(timeline.back().at("what"), "end");
  EXPECT_THAT(call("check").out, ContainsRegex("1 d +sweep 8 of 8"));
}

TEST_F(BeforeARun, WearIsCountedOverTheRunsOfAChipAndRefusedBeyondItsLimit) {
  EXPECT_EQ(checked().at("pulses_of_a_device_so_far"), 0);
  const std::int64_t once = checked().at("total").at("pulses_of_a_device_at_most");
  const std::vector<std::string> limit = {"--set",
                                          "limits.pulses_per_device=" + std::to_string(once)};
  ASSERT_EQ(call("run", limit).exit_code, kDone) << "a new chip has all of it left";
  const auto worn = checked();
  EXPECT_GT(worn.at("pulses_of_a_device_so_far"), 7);
  EXPECT_GT(worn.at("energy_of_a_device_so_far_uJ"), 0);
  for (const char* const command : {"check", "run"}) {
    const CommandResult again = call(command, limit);
    EXPECT_EQ(again.exit_code, kBadInput);
    EXPECT_THAT(again.err, HasSubstr("pulses_per_device under [limits] allows"));
  }
  EXPECT_EQ(call("check", {"--set", "run.sample=another chip", limit[0], limit[1]}).exit_code,
            kDone);
}

TEST_F(BeforeARun, NoPulseGoesBeyondTheEnergyOfADevice) {
  const CommandResult run = call("run", {"--set", "limits.energy_per_device_uJ=1e-5"});
  EXPECT_EQ(run.exit_code, kBoard);
  EXPECT_THAT(run.err, ContainsRegex("word line [0-9]+, bit line [0-9]+ would come to .* A\\^2 s"));
}

TEST_F(BeforeARun, ADryRunPrintsEveryRequestAndLeavesNothing) {
  const CommandResult dry = call("run", {"--dry-run", "--quiet"});
  ASSERT_EQ(dry.exit_code, kDone) << dry.err;
  EXPECT_FALSE(std::filesystem::exists(database));
  std::istringstream lines(dry.out);
  int requests = 0, reads = 0, pulses = 0;
  std::string last;
  for (std::string line; std::getline(lines, line); last = line) {
    if (line.front() == '#') continue;
    ++requests;
    EXPECT_EQ(std::stoi(line), requests);
    reads += line.find("  Read,") != std::string::npos ? 1 : 0;
    pulses += line.find("  Program,") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(reads, 8);
  EXPECT_GT(pulses, 8);
  EXPECT_THAT(dry.out, ContainsRegex("Program, [0-9]+ devices, batch [0-9]+: [0-9]+ pulses of "
                                     "[0-9.]+ uA to [0-9.]+ uA for 400 ns"));
  EXPECT_THAT(last, HasSubstr(std::to_string(requests) + " requests"));
}

TEST_F(BeforeARun, APlanWithLoopsIsSeveralRunsInTheQueue) {
  std::ostringstream text;
  text << "[[loop]]\nkey = \"step.program.tolerance_uS\"\nvalues = [0.25, 0.5]\n"
       << std::ifstream(plan).rdbuf();
  plan = folder.file("loops.toml", text.str());
  const auto json = checked();
  ASSERT_EQ(json.at("runs").size(), 2u);
  EXPECT_EQ(json.at("runs").at(1).at("name"), "tolerance_uS = 0.5");
  const auto pulses = [](const nlohmann::json& of) {
    return of.at("total").at("pulses").get<std::int64_t>();
  };
  EXPECT_EQ(pulses(json), pulses(json.at("runs").at(0)) + pulses(json.at("runs").at(1)));
  EXPECT_GT(pulses(json.at("runs").at(0)), pulses(json.at("runs").at(1)))
      << "a tighter tolerance takes more";
  const CommandResult run = call("run");
  EXPECT_EQ(run.exit_code, kBadInput);
  EXPECT_THAT(run.err, HasSubstr("stands for 2 runs"));
  EXPECT_THAT(run.err, HasSubstr("pcmlab queue add"));
  ASSERT_EQ(pcmlab({"queue", "add", plan, "--database", database}).exit_code, kDone);
  ASSERT_EQ(pcmlab({"queue", "run", "--database", database, "--quiet"}).exit_code, kDone);
  const CommandResult names = pcmlab(
      {"query", "SELECT name FROM run ORDER BY id", "--format", "csv", "--database", database});
  EXPECT_EQ(names.out, "name\ntolerance_uS = 0.25\ntolerance_uS = 0.5\n");
}

TEST_F(BeforeARun, AConditionEndsTheRunWithItsReason) {
  const CommandResult run = call("run", {"--set", "step.program.stop_below_yield=1", "--set",
                                         "step.program.max_iterations=2"});
  EXPECT_EQ(run.exit_code, kStopped);
  EXPECT_THAT(run.err, HasSubstr("the plan wants no more"));
  EXPECT_THAT(pcmlab({"show", "1", "--database", database}).out, StartsWith("Run 1: stopped"));
}

}  // namespace
}  // namespace pcmlab::app

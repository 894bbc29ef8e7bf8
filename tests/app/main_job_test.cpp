// SPDX-License-Identifier: Apache-2.0
// The main job at full size through the program itself, on fewer images and time points.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/exit_code.h"
#include "db/run_store.h"
#include "tests/app/command_line.h"

namespace pcmlab::app {
namespace {

using testing::HasSubstr;

std::string plan_of(int points, int images) {
  return "[run]\nname = \"small\"\n[images]\nlimit = " + std::to_string(images) +
         "\n[[step]]\nexperiment = \"program\"\n[[step]]\nexperiment = \"retention\"\npoints = " +
         std::to_string(points) + "\n[[step]]\nexperiment = \"accuracy\"\n";
}

TEST(MainJob, ProgramsTheWholeNetworkAndKeepsItsAccuracy) {
  const TemporaryFolder folder;
  const std::string database = (folder / "results.db").string();
  const std::string plan = folder.file("plan.toml", plan_of(6, 500));
  const CommandResult run = pcmlab(
      {"run", plan, "--database", database, "--json", "--plots", (folder / "plots").string()});
  ASSERT_EQ(run.exit_code, kDone) << run.err;
  const auto json = nlohmann::json::parse(run.out);
  EXPECT_EQ(json.at("state"), "complete");
  EXPECT_EQ(json.at("weights"), 361722);
  EXPECT_EQ(json.at("devices"), 723444);
  const auto& programming = json.at("programming");
  EXPECT_GE(programming.at("converged").get<double>(),
            0.99 * programming.at("nonzero_targets").get<double>());
  EXPECT_LT(json.at("sigma_uS").get<double>(), 1.2);
  EXPECT_NEAR(json.at("drift_exponent").get<double>(), 0.05, 0.005);
  ASSERT_EQ(json.at("sweeps").size(), 6u);
  const auto& first = json.at("sweeps").front();
  const auto& last = json.at("sweeps").back();
  const double software = json.at("software_percent").get<double>();
  EXPECT_GT(software, 90);
  const auto percent = [](const nlohmann::json& sweep, const char* condition) {
    return sweep.at("accuracy_percent").at(condition).get<double>();
  };
  EXPECT_GT(percent(first, "none"), software - 3);
  EXPECT_LT(percent(last, "none"), 30);
  EXPECT_GT(percent(last, "gdc"), software - 5);
  EXPECT_GT(percent(last, "adabs"), software - 3);
  EXPECT_EQ(percent(last, "adabs+gdc"), percent(last, "adabs"));
  EXPECT_GT(std::filesystem::file_size(folder / "plots/run-1.png"), 20'000u);

  const CommandResult runs = pcmlab({"runs", "--database", database});
  EXPECT_THAT(runs.out, HasSubstr("complete"));
  EXPECT_THAT(pcmlab({"show", "1", "--database", database}).out, HasSubstr("361,722 weights"));
  EXPECT_EQ(nlohmann::json::parse(pcmlab({"show", "1", "--database", database, "--json"}).out),
            json);
  const CommandResult absent = pcmlab({"show", "7", "--database", database});
  EXPECT_EQ(absent.exit_code, kBadInput);
  const std::string svg = (folder / "p.svg").string();
  EXPECT_EQ(pcmlab({"plot", "1", "--database", database, "-o", svg}).exit_code, kDone);
  EXPECT_TRUE(std::filesystem::exists(svg));
}

/// Waits until the process is over or the database holds what `reached` asks for; looks, does not
/// sleep for a fixed time.
template <class Condition>
void wait_for(int process, const std::string& database, Condition reached) {
  while (!is_over(process)) {
    if (auto store = db::RunStore::open_read_only(database); store && reached(*store)) return;
    std::this_thread::yield();
  }
}

TEST(MainJob, ASignalStopsItAndKeepsTheSweeps) {
  const TemporaryFolder folder;
  const std::string database = (folder / "results.db").string();
  const std::string plan = folder.file("plan.toml", plan_of(400, 100));
  const CommandResult run = pcmlab({"run", plan, "--database", database}, [&](int process) {
    wait_for(process, database, [](db::RunStore& store) {
      const auto sweeps = store.sweeps(1);
      return sweeps && sweeps->size() >= 3;
    });
    kill(process, SIGINT);
  });
  EXPECT_EQ(run.exit_code, kStopped) << run.err;
  EXPECT_THAT(run.err, HasSubstr("stopping"));
  auto store = db::RunStore::open_read_only(database);
  ASSERT_TRUE(store);
  EXPECT_EQ(store->run(1)->state, db::RunState::Stopped);
  const auto sweeps = store->sweeps(1);
  ASSERT_TRUE(sweeps);
  EXPECT_LT(sweeps->size(), 400u);
  EXPECT_TRUE(store->sweep_code_sums(sweeps->front().id));
}

TEST(MainJob, AKilledRunIsShownAsInterrupted) {
  const TemporaryFolder folder;
  const std::string database = (folder / "results.db").string();
  const std::string plan = folder.file("plan.toml", plan_of(400, 100));
  const CommandResult run = pcmlab({"run", plan, "--database", database}, [&](int process) {
    wait_for(process, database, [](db::RunStore& store) {
      const auto sweeps = store.sweeps(1);
      return sweeps && sweeps->size() >= 2;
    });
    kill(process, SIGKILL);
  });
  EXPECT_EQ(run.exit_code, -1);
  const CommandResult shown = pcmlab({"show", "1", "--database", database});
  EXPECT_EQ(shown.exit_code, kDone) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("interrupted"));
}

TEST(MainJob, AFullDiskHoldsItUpLoudlyAndKeepsWhatWasCommitted) {
  const TemporaryFolder folder;
  const std::string database = (folder / "results.db").string();
  const std::string plan = folder.file("plan.toml", plan_of(400, 100));
  constexpr std::size_t kLimit = 90'000'000;  // enough for the programming and some sweeps
  const CommandResult run = pcmlab(
      {"run", plan, "--database", database, "--set", "step.accuracy.while_reading=false"},
      [](int process) {
        wait_until_said(process, "; the run waits, nothing is lost");
        kill(process, SIGINT);
      },
      kLimit);
  EXPECT_EQ(run.exit_code, kStopped) << run.err;
  EXPECT_THAT(run.err, HasSubstr("pcmlab resume 1"));
  const CommandResult shown = pcmlab({"show", "1", "--database", database, "--json"});
  ASSERT_EQ(shown.exit_code, kDone) << shown.err;
  const auto json = nlohmann::json::parse(shown.out);
  EXPECT_NE(json.at("state"), "complete");
  EXPECT_TRUE(json.at("programming").at("complete"));
}

}  // namespace
}  // namespace pcmlab::app

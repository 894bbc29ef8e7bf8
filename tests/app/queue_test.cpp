// SPDX-License-Identifier: Apache-2.0
// Plans that wait for their turn, with the program itself.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "app/exit_code.h"
#include "db/run_store.h"
#include "tests/app/command_line.h"
#include "tests/app/small_run.h"

namespace pcmlab::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// Lets some time pass without sleeping.
void spin(std::uint64_t rounds) {
  std::atomic<std::uint64_t> left = rounds;
  while (left-- > 0) {
  }
}

class QueueCommand : public testing::Test {
 protected:
  CommandResult call(std::vector<std::string> arguments,
                     const std::function<void(int)>& started = {}) {
    arguments.insert(arguments.begin(), "queue");
    arguments.insert(arguments.end(), {"--database", file.string()});
    return pcmlab(std::move(arguments), started);
  }
  void add(const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{
        "add", small_plan(folder, fmt::format("name = \"{}\"\n", name)), "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult added = call(std::move(arguments));
    ASSERT_EQ(added.exit_code, kDone) << added.err;
  }
  /// "name state run" of all entries, in the order of work.
  std::vector<std::string> queue() {
    std::vector<std::string> entries;
    for (const auto& entry : nlohmann::json::parse(call({"list", "--all", "--json"}).out)) {
      entries.push_back(fmt::format("{} {} {}", entry["name"].get<std::string>(),
                                    entry["state"].get<std::string>(), entry["run"].dump()));
    }
    return entries;
  }
  db::RunStore reading() { return db::RunStore::open_read_only(file).value(); }
  /// Waits until so many runs have begun.
  void await_runs(std::size_t count) {
    while (reading().runs().value().size() < count) {
    }
  }
  /// Kills the queue's process at a random moment.
  std::function<void(int)> killer(std::mt19937_64& random) {
    const auto commits = random() % 80;
    const auto moment = random() % 400'000;
    return [this, commits, moment](int process) {
      auto database = db::Database::open(file, db::OpenMode::ReadOnly).value();
      const auto is_over = [process] {
        siginfo_t info{};
        return waitid(P_PID, static_cast<id_t>(process), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
               info.si_pid == process;
      };
      std::int64_t version = -1;
      for (std::uint64_t seen = 0; seen < commits && !is_over();) {
        const auto now = database.query_integer("PRAGMA data_version");
        if (now && *now != version) {
          version = *now;
          ++seen;
        }
      }
      spin(moment);
      ::kill(process, SIGKILL);
    };
  }

  TemporaryFolder folder;
  std::filesystem::path file = folder / "a.db";
};

TEST_F(QueueCommand, RunsPlansOneAfterAnotherInTheirOrder) {
  for (const char* const name : {"a", "b", "c"}) add(name);
  EXPECT_EQ(call({"move", "3", "first"}).exit_code, kDone);
  EXPECT_EQ(call({"move", "2", "before", "1"}).exit_code, kDone);
  EXPECT_EQ(call({"remove", "2"}).exit_code, kDone);
  add("d", {"--not-before", "2020-02-29 12:00"});
  EXPECT_THAT(queue(), ElementsAre("c waiting null", "a waiting null", "d waiting null"));
  EXPECT_THAT(call({"list"}).out, HasSubstr("2020-02-29 12:00"));
  const CommandResult result = call({"run"});
  EXPECT_EQ(result.exit_code, kDone) << result.err;
  EXPECT_THAT(result.err, HasSubstr("entry 3 of the queue (c) is done"));
  EXPECT_THAT(queue(), ElementsAre("c done 1", "a done 2", "d done 3"));
  EXPECT_EQ(reading().run(2).value().name, "a");
  EXPECT_EQ(call({"run"}).exit_code, kDone) << "nothing waits any more";
  EXPECT_THAT(reading().runs().value(), SizeIs(3));
}

TEST_F(QueueCommand, RefusesWhatIsWrongAtOnce) {
  const std::string plan = small_plan(folder);
  const CommandResult one_of_two =
      call({"add", plan, folder.file("bad.toml", "[[step]]\nexperiment = \"bake\"\n")});
  EXPECT_EQ(one_of_two.exit_code, kBadInput);
  EXPECT_THAT(one_of_two.err, HasSubstr("there is no experiment \"bake\""));
  EXPECT_EQ(call({"add", plan, "--set", "network.file=none.onnx"}).exit_code, kBadInput);
  for (const char* const time :
       {"tomorrow", "2026-02-31 10:00", "2026-01-01 10:00 or so", "2999-01-01 00:00"}) {
    const CommandResult result = call({"add", plan, "--not-before", time});
    EXPECT_EQ(result.exit_code, kBadInput);
    EXPECT_THAT(result.err, HasSubstr("is not a time"));
  }
  EXPECT_FALSE(std::filesystem::exists(file)) << "nothing of two plans is added if one is wrong";
  add("a");
  EXPECT_EQ(call({"move", "1", "before"}).exit_code, kBadInput);
  EXPECT_EQ(call({"move", "1", "sideways"}).exit_code, kUsage);
  EXPECT_EQ(call({"remove", "7"}).exit_code, kBadInput);
}

TEST_F(QueueCommand, TakesABoardThatIsNotThereYet) {
  add("a", {"--set", "board.kind=usb", "--set", "board.serial=no-such-board"});
  const CommandResult result = call({"run"});
  EXPECT_EQ(result.exit_code, kBoard);
  EXPECT_THAT(queue(), ElementsAre("a waiting null"))
      << "it is nothing that the plan is to blame for";
}

TEST_F(QueueCommand, GoesOnWithTheNextAfterAFailure) {
  add("a");
  const std::string before = (folder / "small.onnx").string();
  std::filesystem::copy(before, folder / "other.onnx");
  add("b", {"--set", "network.file=" + (folder / "other.onnx").string()});
  add("c", {"--set", "network.file=" + before});
  std::filesystem::remove(folder / "other.onnx");
  const CommandResult result = call({"run"});
  EXPECT_EQ(result.exit_code, kBadInput) << "as the first that failed";
  EXPECT_THAT(result.err, HasSubstr("entry 2 of the queue (b): "));
  EXPECT_THAT(result.err, HasSubstr("going on with the next"));
  EXPECT_THAT(queue(), ElementsAre("a done 1", "b failed null", "c done 2"));
  EXPECT_THAT(call({"list"}).out, HasSubstr("other.onnx"));
}

TEST_F(QueueCommand, FindsTheFilesOfAPlanFromWhereItWasAdded) {
  const std::filesystem::path here = std::filesystem::current_path();
  small_plan(folder);
  std::filesystem::current_path(folder / ".");
  const CommandResult added = pcmlab(
      {"queue", "add", "plan.toml", "--set", "network.file=small.onnx", "--database", "a.db"});
  std::filesystem::current_path(here);
  EXPECT_EQ(added.exit_code, kDone) << added.err;
  const CommandResult result = call({"run"});
  EXPECT_EQ(result.exit_code, kDone) << result.err;
}

TEST_F(QueueCommand, GoesOnWithARunThatASignalStopped) {
  add("a");
  add("b");
  for (const int signal : {SIGTERM, SIGINT}) {
    const CommandResult stopped = call({"run"}, [&](int process) {
      await_runs(signal == SIGTERM ? 1 : 2);
      ::kill(process, signal);
    });
    EXPECT_EQ(stopped.exit_code, kStopped) << stopped.err;
    EXPECT_THAT(stopped.err, HasSubstr("to go on: pcmlab queue run"));
  }
  const CommandResult result = call({"run"});
  EXPECT_EQ(result.exit_code, kDone) << result.err;
  EXPECT_THAT(result.err, HasSubstr("goes on with run"));
  EXPECT_THAT(queue(), ElementsAre("a done 1", "b done 2"));
}

TEST_F(QueueCommand, GoesOnWithTheNextAfterARunThatSomebodyStopped) {
  add("a", {"--set", "step.2.points=150"});
  add("b", {"--set", "mock.serial=ANOTHER"});
  const CommandResult result = call({"run"}, [&](int) {
    await_runs(1);
    const CommandResult stop = pcmlab({"stop", "1", "--by", "Ada", "--database", file.string()});
    EXPECT_EQ(stop.exit_code, kDone) << stop.err;
  });
  EXPECT_EQ(result.exit_code, kDone) << result.err;
  EXPECT_THAT(queue(), ElementsAre("a stopped 1", "b done 2"));
  EXPECT_EQ(pcmlab({"resume", "1", "--database", file.string(), "--quiet"}).exit_code, kDone);
  EXPECT_THAT(queue(), ElementsAre("b done 2", "a done 1"));
}

TEST_F(QueueCommand, WaitsForMoreAndEndsWhenItIsAskedTo) {
  add("a");
  add("z", {"--not-before", "2200-01-01 00:00"});
  const CommandResult result = call({"run", "--wait"}, [&](int process) {
    while (queue() != std::vector<std::string>{"a done 1", "z waiting null"}) {
    }
    add("b");
    while (queue() != std::vector<std::string>{"a done 1", "b done 2", "z waiting null"}) {
    }
    ::kill(process, SIGTERM);
  });
  EXPECT_EQ(result.exit_code, kStopped) << result.err;
}

TEST_F(QueueCommand, RefusesASecondProcessForTheSameQueue) {
  add("a", {"--set", "step.2.points=150"});
  const CommandResult result = call({"run"}, [&](int) {
    await_runs(1);
    const CommandResult second = call({"run"});
    EXPECT_EQ(second.exit_code, kStore);
    EXPECT_THAT(second.err, HasSubstr("is at run 1"));
  });
  EXPECT_EQ(result.exit_code, kDone) << result.err;
  EXPECT_THAT(queue(), ElementsAre("a done 1"));
}

TEST_F(QueueCommand, RunsEveryPlanOnceHoweverOftenItsProcessIsKilled) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int kEntries = 2;
#else
  constexpr int kEntries = 6;
#endif
  for (int i = 0; i < kEntries; ++i) add(std::to_string(i));
  std::mt19937_64 random(11);
  int kills = 0;
  for (CommandResult ended; ended.exit_code != kDone; ++kills) {
    ended = call({"run", "--quiet"}, killer(random));
    ASSERT_THAT(ended.exit_code, testing::AnyOf(-1, int{kDone})) << ended.err;
  }
  EXPECT_GT(kills, kEntries);
  std::vector<std::string> done;
  for (int i = 0; i < kEntries; ++i) done.push_back(fmt::format("{} done {}", i, i + 1));
  EXPECT_EQ(queue(), done);
  EXPECT_THAT(reading().runs().value(), SizeIs(kEntries));
}

TEST_F(QueueCommand, GivesUpARunWhoseProcessesDieBeforeTheyDoAnything) {
  add("a");
  add("b");
  call({"run"}, [&](int process) {
    await_runs(1);
    ::kill(process, SIGKILL);
  });
  {
    auto store = db::RunStore::open(file).value();
    auto& database = store.database();
    ASSERT_TRUE(database.execute("DELETE FROM run_progress"));
    for (int death = 1; death < 5; ++death) {
      ASSERT_TRUE(database.execute(
          "INSERT INTO run_session (run_id, program_version, git_revision, host, host_boot_id, pid,"
          " pid_start_ticks, began_utc, ended_utc, state) SELECT run_id, program_version,"
          " git_revision, host, host_boot_id, pid, pid_start_ticks, began_utc, began_utc,"
          " 'interrupted' FROM run_session LIMIT 1"));
    }
  }
  const CommandResult result = call({"run"});
  EXPECT_EQ(result.exit_code, kBoard);
  EXPECT_THAT(result.err, HasSubstr("5 processes died at run 1"));
  EXPECT_THAT(queue(), ElementsAre("a failed 1", "b done 2"));
}

}  // namespace
}  // namespace pcmlab::app

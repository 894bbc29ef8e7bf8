// SPDX-License-Identifier: Apache-2.0
// Runs that are killed, stopped, aborted and paused from other processes, with the program itself:
// they go on, and end with the results of a run that nobody disturbed.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "app/exit_code.h"
#include "db/run_store.h"
#include "tests/app/command_line.h"
#include "tests/app/small_run.h"
#include "tests/db/run_results.h"

namespace pcmlab::app {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

/// How often runs are interrupted in all; the environment variable sets another number.
int wanted(const char* variable, int usually) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  usually /= 10;
#endif
  const char* const set = std::getenv(variable);
  return set == nullptr ? usually : std::atoi(set);
}

/// Lets some time pass without sleeping.
void spin(std::uint64_t rounds) {
  std::atomic<std::uint64_t> left = rounds;
  while (left-- > 0) {
  }
}

class Resume : public testing::Test {
 protected:
  Resume() { plan = small_plan(folder); }

  CommandResult call(std::vector<std::string> arguments, const std::string& file,
                     const std::function<void(int)>& started = {},
                     std::size_t file_limit_bytes = 0) {
    arguments.insert(arguments.end(), {"--database", (folder / file).string(), "--quiet"});
    return pcmlab(std::move(arguments), started, file_limit_bytes);
  }
  CommandResult run(const std::string& file, const std::function<void(int)>& started = {},
                    const std::vector<std::string>& more = {}, std::size_t file_limit_bytes = 0) {
    std::vector<std::string> arguments{"run", plan};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return call(std::move(arguments), file, started, file_limit_bytes);
  }

  db::RunStore reading(const std::string& file) {
    return db::RunStore::open_read_only(folder / file).value();
  }
  /// Waits for the run's row, without which there is nothing to ask.
  void begun(const std::string& file, int process) {
    for (bool over = false; !over;) {
      over = is_over(process);
      auto store = db::RunStore::open_read_only(folder / file);
      if (!store) continue;
      const auto runs = store->runs();
      if (runs && !runs->empty()) return;
    }
    ADD_FAILURE() << "the process ended before its run had begun";
  }
  void expect_same(const std::string& file, const std::string& undisturbed) {
    const auto is = db::results_of(folder / file);
    for (const auto& [table, rows] : db::results_of(folder / undisturbed)) {
      EXPECT_EQ(is.at(table), rows) << table;
    }
  }
  std::map<std::string, int> interrupt(int wanted,
                                       const std::function<int(std::mt19937_64&)>& next);

  TemporaryFolder folder;
  std::string plan;
};

/// The steps of small_plan, in which every one of its interruptions must find some.
constexpr std::array<const char*, 3> kSteps{"program", "retention", "accuracy"};

/// When a signal is sent: some commits and a moment after a step of that name has begun, or after
/// the process has, if it is empty.
struct Aim {
  std::string step;
  std::uint64_t commits = 0;
  std::uint64_t moment = 0;

  /// Every second one goes for a step, by turns: without aim nearly all hit the longest.
  static Aim number(int n, std::mt19937_64& random) {
    Aim aim;
    if (n % 2 == 1) aim.step = kSteps.at(static_cast<std::size_t>(n / 2) % kSteps.size());
    aim.commits = aim.step.empty() ? random() % 120 : 1 + random() % 6;
    aim.moment = random() % 400'000;
    return aim;
  }
};

/// Sends the process a signal at that time, unless it ends before.
std::function<void(int)> sender(int signal, const std::filesystem::path& file, Aim aim) {
  return [=, aim = std::move(aim)](int process) {
    auto database = db::Database::open(file, db::OpenMode::ReadOnly);
    while (!database && !is_over(process))
      database = db::Database::open(file, db::OpenMode::ReadOnly);
    const std::string begun =
        fmt::format("SELECT count(*) FROM step WHERE experiment = '{}'", aim.step);
    bool counts = aim.step.empty();
    std::int64_t version = -1;
    for (std::uint64_t seen = 0; seen < aim.commits && database && !is_over(process);) {
      const auto now = database->query_integer("PRAGMA data_version");
      if (!now || *now == version) continue;
      version = *now;
      counts = counts || database->query_integer(begun).value_or(0) > 0;
      if (counts) ++seen;
    }
    spin(aim.moment);
    ::kill(process, signal);
  };
}

/// Runs and goes on, with so many interruptions in all, each of a kind that `next` draws, and
/// compares every run with one that was not interrupted. \return how often at which step.
std::map<std::string, int> Resume::interrupt(int wanted,
                                             const std::function<int(std::mt19937_64&)>& next) {
  EXPECT_EQ(run("a.db").exit_code, kDone);
  std::mt19937_64 random(7);
  std::map<std::string, int> interrupted_at;
  int times = 0, runs = 0, sent = 0;
  for (; times < wanted; ++runs) {
    const std::string file = fmt::format("b{}.db", runs);
    const auto interrupter = [&] {
      return sender(next(random), folder / file, Aim::number(sent++, random));
    };
    CommandResult ended = run(file, interrupter());
    while (ended.exit_code != kDone) {
      // Before a process listens to signals they end it.
      EXPECT_TRUE(ended.exit_code == -1 || ended.exit_code == kStopped) << ended.err;
      ++times;
      const auto store = db::RunStore::open(folder / file);
      const bool begun = store && !reading(file).runs().value().empty();
      if (!begun) {
        ++interrupted_at["before the run"];
        ended = run(file, interrupter());
        continue;
      }
      const auto steps = reading(file).steps(1).value();
      ++interrupted_at[steps.empty() ? "before the first step" : steps.back().experiment];
      ended = call({"resume"}, file, interrupter());
      if (ended.exit_code == kBadInput) {
        EXPECT_THAT(ended.err, HasSubstr("was stopped, failed or interrupted"));
        EXPECT_EQ(reading(file).run(1).value().state, db::RunState::Complete);
        break;
      }
      if (HasFailure()) return interrupted_at;
    }
    expect_same(file, "a.db");
    EXPECT_EQ(reading(file).run(1).value().state, db::RunState::Complete);
    std::filesystem::remove(folder / file);
  }
  std::string where;
  for (const auto& [step, count] : interrupted_at) where += fmt::format("{} {}; ", step, count);
  RecordProperty("interrupted_at", where);
  fmt::print("{} interruptions of {} runs: {}\n", times, runs, where);
  return interrupted_at;
}

TEST_F(Resume, EndsWithTheSameResultsHoweverOftenARunIsKilled) {
  auto killed_at = interrupt(wanted("PCMLAB_KILLS", 200), [](auto&) { return SIGKILL; });
  for (const char* const step : kSteps) EXPECT_GT(killed_at[step], 0) << step;
}

TEST_F(Resume, EndsWithTheSameResultsHoweverOftenARunGetsSignals) {
  interrupt(wanted("PCMLAB_SIGNALS", 12),
            [](auto& random) { return random() % 2 == 0 ? SIGINT : SIGTERM; });
}

TEST_F(Resume, NotesWhoWorkedAtTheRunAndTheTimeBetween) {
  const CommandResult killed = run("a.db", [&](int process) {
    begun("a.db", process);
    ::kill(process, SIGKILL);
  });
  ASSERT_EQ(killed.exit_code, -1);
  EXPECT_EQ(reading("a.db").run(1).value().state, db::RunState::Interrupted);
  ASSERT_EQ(call({"resume", "1"}, "a.db").exit_code, kDone);
  auto store = reading("a.db");
  const auto sessions = store.sessions(1).value();
  ASSERT_THAT(sessions, SizeIs(2));
  EXPECT_EQ(sessions[0].state, db::RunState::Interrupted);
  EXPECT_EQ(sessions[1].state, db::RunState::Complete);
  const auto gaps = store.gaps(1).value();
  ASSERT_THAT(gaps, SizeIs(1));
  EXPECT_EQ(gaps[0].cause, db::GapCause::Process);
  EXPECT_LE(gaps[0].begin_utc, gaps[0].end_utc);
  const CommandResult status = pcmlab({"status", "1", "--database", (folder / "a.db").string()});
  EXPECT_THAT(status.out, HasSubstr("the run had no process: it was interrupted"));
  const CommandResult shown = call({"show", "1"}, "a.db");
  EXPECT_THAT(shown.out, HasSubstr("processes    2 one after another; the last since"));
  EXPECT_THAT(shown.out, HasSubstr(": the run had no process: it was interrupted"));
  const std::string report = (folder / "report.html").string();
  ASSERT_EQ(call({"report", "1", "-o", report}, "a.db").exit_code, kDone);
  std::ostringstream html;
  html << std::ifstream(report).rdbuf();
  EXPECT_THAT(html.str(), HasSubstr("the run had no process: it was interrupted"));
}

TEST_F(Resume, NeedsNoNetworkFile) {
  ASSERT_EQ(run("a.db").exit_code, kDone);
  const CommandResult killed = run("b.db", [&](int process) {
    begun("b.db", process);
    ::kill(process, SIGKILL);
  });
  ASSERT_EQ(killed.exit_code, -1);
  ASSERT_TRUE(std::filesystem::remove(folder / "small.onnx"));
  ASSERT_EQ(call({"resume", "1"}, "b.db").exit_code, kDone);
  expect_same("b.db", "a.db");
}

// As if another version with another default had begun the run.
TEST_F(Resume, CalibratesOnTheImagesOfTheDefaultsThatTheStepBeganWith) {
  test::OnnxFile network({3, 32, 32}, 7);
  const std::string features = network.relu(network.batch_norm(
      network.conv("images", {.out = 32, .in = 3, .stride_h = 4, .stride_w = 4}), 32));
  const auto bytes = network.bytes(network.dense(network.average(features), 32, 10));
  std::ofstream(folder / "norm.onnx", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  const std::string seed = "calibration_seed = 7\n";
  plan = folder.file("norm.toml",
                     "[mock]\nword_lines = 64\nbit_lines = 64\nthreads = 1\n[network]\nfile = \"" +
                         (folder / "norm.onnx").string() +
                         "\"\n[images]\nlimit = 200\n"
                         "[[step]]\nexperiment = \"program\"\n"
                         "[[step]]\nexperiment = \"retention\"\npoints = 30\n"
                         "[[step]]\nexperiment = \"accuracy\"\nconditions = [\"adabs\"]\n"
                         "calibration_batches = 1\ncalibration_images = 3\n" +
                         seed);
  ASSERT_EQ(run("a.db").exit_code, kDone);
  ASSERT_EQ(run("b.db", sender(SIGKILL, folder / "b.db", {"accuracy", 1, 0})).exit_code, -1);
  {
    auto database = db::Database::open(folder / "b.db", db::OpenMode::ReadWriteCreate).value();
    ASSERT_TRUE(
        database.execute("UPDATE run SET plan_text = replace(plan_text, '" + seed + "', '')"));
    ASSERT_THAT(reading("b.db").run(1).value().plan_text, testing::Not(HasSubstr(seed)));
  }
  const CommandResult resumed = pcmlab({"resume", "--database", (folder / "b.db").string()});
  ASSERT_EQ(resumed.exit_code, kDone) << resumed.err;
  EXPECT_THAT(resumed.err,
              HasSubstr("step 3 (accuracy) goes on as it began, with calibration_seed = 7"));
  expect_same("b.db", "a.db");
}

TEST_F(Resume, OfARunThatIsCompleteIsRefused) {
  ASSERT_EQ(run("a.db").exit_code, kDone);
  const CommandResult again = call({"resume", "1"}, "a.db");
  EXPECT_EQ(again.exit_code, kBadInput);
  EXPECT_THAT(again.err, HasSubstr("is complete: there is nothing to go on with"));
  EXPECT_EQ(call({"resume"}, "a.db").exit_code, kBadInput);
}

TEST_F(Resume, IsRefusedOnceAnotherRunHasProgrammedTheChip) {
  ASSERT_EQ(run("a.db",
                [&](int process) {
                  begun("a.db", process);
                  while (!is_over(process) && reading("a.db").programmings(1).value().empty()) {
                  }
                  ::kill(process, SIGKILL);
                })
                .exit_code,
            -1);
  ASSERT_EQ(run("a.db").exit_code, kDone);
  const CommandResult result = call({"resume", "1"}, "a.db");
  EXPECT_EQ(result.exit_code, kBadInput);
  EXPECT_THAT(result.err, HasSubstr("run 2"));
  EXPECT_THAT(result.err, HasSubstr("has programmed the chip since"));
}

TEST_F(Resume, GoesOnAfterASignalThatStoppedTheRun) {
  ASSERT_EQ(run("a.db").exit_code, kDone);
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string file = fmt::format("s{}.db", signal);
    const CommandResult stopped = run(file, [&](int process) {
      begun(file, process);
      ::kill(process, signal);
    });
    ASSERT_EQ(stopped.exit_code, kStopped) << stopped.err;
    EXPECT_THAT(stopped.err, HasSubstr("stopping at the next safe place"));
    EXPECT_THAT(stopped.err, HasSubstr("to go on: pcmlab resume 1"));
    EXPECT_EQ(reading(file).run(1).value().state, db::RunState::Stopped);
    ASSERT_EQ(call({"resume"}, file).exit_code, kDone);
    expect_same(file, "a.db");
  }
}

TEST_F(Resume, IsNotNeededWhenOnlyTheTerminalIsClosed) {
  const CommandResult result = run("a.db", [&](int process) {
    begun("a.db", process);
    ::kill(process, SIGHUP);
    ::kill(process, SIGPIPE);
  });
  EXPECT_EQ(result.exit_code, kDone) << result.err;
}

// ---- control from another process --------------------------------------------------------------

/// A run that lasts until somebody has had time to ask something of it.
const std::vector<std::string> kLong{"--set", "step.2.points=150", "--set",
                                     "step.3.conditions=[\"none\"]"};

TEST_F(Resume, APausedRunWaitsAndGoesOnWhenItIsAskedTo) {
  ASSERT_EQ(run("a.db", {}, kLong).exit_code, kDone);
  const CommandResult result = run(
      "b.db",
      [&](int process) {
        begun("b.db", process);
        const CommandResult paused = call({"pause", "--by", "Ada"}, "b.db");
        EXPECT_EQ(paused.exit_code, kDone) << paused.err;
        auto store = reading("b.db");
        while (!is_over(process)) {
          const auto progress = store.progress(1).value();
          if (progress && progress->activity == "paused by Ada") break;
        }
        const CommandResult status = pcmlab({"status", "--database", (folder / "b.db").string()});
        EXPECT_THAT(status.out, HasSubstr("paused by Ada"));
        EXPECT_EQ(call({"continue"}, "b.db").exit_code, kDone);
      },
      kLong);
  ASSERT_EQ(result.exit_code, kDone) << result.err;
  const auto gaps = reading("b.db").gaps(1).value();
  ASSERT_THAT(gaps, SizeIs(1));
  EXPECT_EQ(gaps[0].cause, db::GapCause::Pause);
  EXPECT_EQ(gaps[0].text, "paused by Ada");
  expect_same("b.db", "a.db");
}

TEST_F(Resume, ARunThatSomebodyStoppedOrAbortedSaysWhoAndCanGoOn) {
  ASSERT_EQ(run("a.db", {}, kLong).exit_code, kDone);
  for (const std::string command : {"stop", "abort"}) {
    const std::string file = command + ".db";
    const CommandResult result = run(
        file,
        [&](int process) {
          begun(file, process);
          EXPECT_EQ(call({command, "--by", "Ada"}, file).exit_code, kDone);
        },
        kLong);
    EXPECT_EQ(result.exit_code, kStopped);
    EXPECT_THAT(result.err, HasSubstr(command == "stop" ? "stopped by Ada" : "aborted by Ada"));
    ASSERT_EQ(call({"resume"}, file).exit_code, kDone);
    expect_same(file, "a.db");
  }
}

TEST_F(Resume, APausedRunCanBeStopped) {
  const CommandResult result = run(
      "a.db",
      [&](int process) {
        begun("a.db", process);
        EXPECT_EQ(call({"pause"}, "a.db").exit_code, kDone);
        ::kill(process, SIGINT);
      },
      kLong);
  EXPECT_EQ(result.exit_code, kStopped) << result.err;
}

TEST_F(Resume, ASecondRunnerIsRefusedWithThePidOfTheFirst) {
  ASSERT_EQ(run("a.db", {}, kLong).exit_code, kDone);
  const CommandResult result = run(
      "b.db",
      [&](int process) {
        begun("b.db", process);
        EXPECT_EQ(call({"pause"}, "b.db").exit_code, kDone);
        const std::string who = fmt::format("process {} is at run 1", process);
        for (int attempt = 0; attempt < 10; ++attempt) {
          for (const CommandResult& second : {run("b.db"), call({"resume", "1"}, "b.db")}) {
            EXPECT_EQ(second.exit_code, kStore);
            EXPECT_THAT(second.err, HasSubstr(who));
          }
        }
        EXPECT_EQ(call({"continue"}, "b.db").exit_code, kDone);
      },
      kLong);
  ASSERT_EQ(result.exit_code, kDone) << result.err;
  EXPECT_THAT(reading("b.db").runs().value(), SizeIs(1));
  EXPECT_THAT(reading("b.db").sessions(1).value(), SizeIs(1));
  expect_same("b.db", "a.db");
}

// ---- a full disk -------------------------------------------------------------------------------

void lift_file_limit(int process) {
  rlimit limit{};
  ASSERT_EQ(prlimit(process, RLIMIT_FSIZE, nullptr, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(prlimit(process, RLIMIT_FSIZE, &limit, nullptr), 0);
}

/// Room for the run's row and a part of its programming.
constexpr std::size_t kSmallFile = 2'500'000;

TEST_F(Resume, IsNotNeededWhenADiskIsFullForAWhile) {
  ASSERT_EQ(run("a.db").exit_code, kDone);
  const CommandResult result = run(
      "b.db",
      [](int process) {
        wait_until_said(process, "; the run waits");
        lift_file_limit(process);
      },
      {}, kSmallFile);
  ASSERT_EQ(result.exit_code, kDone) << result.err;
  const auto gaps = reading("b.db").gaps(1).value();
  ASSERT_THAT(gaps, SizeIs(1));
  EXPECT_EQ(gaps[0].cause, db::GapCause::Pause);
  EXPECT_THAT(gaps[0].text, HasSubstr("paused by itself: "));
  expect_same("b.db", "a.db");
}

TEST_F(Resume, GoesOnWithARunThatWasStoppedWhileItsDiskWasFull) {
  ASSERT_EQ(run("a.db").exit_code, kDone);
  const CommandResult stopped = run(
      "b.db",
      [](int process) {
        wait_until_said(process, "; the run waits");
        ::kill(process, SIGINT);
      },
      {}, kSmallFile);
  ASSERT_EQ(stopped.exit_code, kStopped) << stopped.err;
  EXPECT_EQ(reading("b.db").run(1).value().state, db::RunState::Interrupted);
  ASSERT_EQ(call({"resume"}, "b.db").exit_code, kDone);
  expect_same("b.db", "a.db");
}

TEST_F(Resume, NobodyCanBeAskedWhenNoRunIsAtWork) {
  ASSERT_EQ(run("a.db").exit_code, kDone);
  const CommandResult none = call({"pause"}, "a.db");
  EXPECT_EQ(none.exit_code, kBadInput);
  EXPECT_THAT(none.err, HasSubstr("no run is at work"));
  const CommandResult over = call({"stop", "1"}, "a.db");
  EXPECT_EQ(over.exit_code, kBadInput);
  EXPECT_THAT(over.err, HasSubstr("is complete: no process is at it"));
}

}  // namespace
}  // namespace pcmlab::app

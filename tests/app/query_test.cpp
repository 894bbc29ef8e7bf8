// SPDX-License-Identifier: Apache-2.0
// `pcmlab query` as a person types it, on the database of a real run.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "app/exit_code.h"
#include "db/database.h"
#include "db/query/questions.h"
#include "tests/app/command_line.h"
#include "tests/app/small_run.h"

namespace pcmlab::app {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// More than any patience: every pair of readings.
constexpr const char* kEndless = "SELECT count(*) FROM reading AS a, reading AS b, reading AS c";

/// Whether a process waits for SIGTERM instead of being ended by it: of all signals it blocks that
/// one, but not SIGQUIT. (While a process starts, the C library and the sanitizers block every
/// signal for a moment.) \pre it is pcmlab.
bool takes_signals(int process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("SigBlk:", 0) != 0) continue;
    constexpr int kHexadecimal = 16;
    const auto blocked = std::stoull(line.substr(line.find('\t') + 1), nullptr, kHexadecimal);
    const auto blocks = [blocked](int signal) { return (blocked >> (signal - 1) & 1) != 0; };
    return blocks(SIGTERM) && !blocks(SIGQUIT);
  }
  return false;
}

class Query : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder = std::make_unique<TemporaryFolder>();
    const std::string plan = small_plan(*folder);
    ran = pcmlab({"run", plan, "--quiet", "--database", path("x.db")}).exit_code;
  }
  static void TearDownTestSuite() { folder.reset(); }
  void SetUp() override { ASSERT_EQ(ran, kDone); }

  static std::string path(const std::string& name) { return (*folder / name).string(); }
  static CommandResult query(std::vector<std::string> arguments,
                             const std::function<void(int)>& started = {}) {
    arguments.insert(arguments.begin(), {"query", "--database", path("x.db")});
    return pcmlab(std::move(arguments), started);
  }
  static std::string text_of(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(path(name), std::ios::binary).rdbuf();
    return text.str();
  }

  static std::unique_ptr<TemporaryFolder> folder;
  static int ran;
};

std::unique_ptr<TemporaryFolder> Query::folder;
int Query::ran = -1;

TEST_F(Query, EveryQuestionIsAnswered) {
  for (const db::Question& question : db::questions()) {
    const CommandResult result = query({std::string(question.name)});
    EXPECT_EQ(result.exit_code, kDone) << question.name << result.err;
    EXPECT_THAT(result.err, ContainsRegex("^[0-9,]+ rows?\n$")) << question.name;
  }
  const CommandResult list = query({"--list"});
  EXPECT_EQ(list.exit_code, kDone);
  for (const db::Question& question : db::questions()) {
    EXPECT_THAT(list.out, HasSubstr(fmt::format("\n{} ", question.name)));
  }
}

TEST_F(Query, ADevicesHistoryHasARowForEachSweep) {
  const auto answer = nlohmann::json::parse(
      query({"device", "--param", "device=5", "--param", "run=1", "--format", "json"}).out);
  ASSERT_EQ(answer.size(), 8U);
  for (const auto& row : answer) EXPECT_EQ(row["weight"], 2);
  EXPECT_GT(answer[7]["age_s"], answer[0]["age_s"]);
}

TEST_F(Query, ATableHasItsHeaderAtTheTopOfEachPageAndNowhereElse) {
  const auto headers = [](int rows) {
    const std::string text =
        query({fmt::format("WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM "
                           "number) SELECT n AS heading FROM number LIMIT {}",
                           rows)})
            .out;
    std::size_t count = 0;
    for (std::size_t at = text.find("heading"); at != std::string::npos;
         at = text.find("heading", at + 1)) {
      ++count;
    }
    return count;
  };
  EXPECT_EQ(headers(0), 1U);
  EXPECT_EQ(headers(499), 1U);
  EXPECT_EQ(headers(500), 1U);
  EXPECT_EQ(headers(501), 2U);
  EXPECT_EQ(headers(1000), 2U);
}

TEST_F(Query, CsvAndJsonAndNpzSayTheSame) {
  const std::string sql =
      "SELECT device, g_uS, verdict, iff, 'a \"b\", c' AS text FROM (SELECT *, nullif(device, 1) "
      "AS "
      "iff FROM reading JOIN programmed_device USING (programming_id, device)) WHERE sweep_id = 2 "
      "AND device < 3 ORDER BY device";
  const auto json = nlohmann::json::parse(query({sql, "--format", "json"}).out);
  ASSERT_EQ(json.size(), 3U);
  EXPECT_TRUE(json[1]["iff"].is_null());
  std::istringstream csv(query({sql, "--format", "csv"}).out);
  std::string line;
  std::getline(csv, line);
  EXPECT_EQ(line, "device,g_uS,verdict,iff,text");
  for (const auto& row : json) {
    std::getline(csv, line);
    const std::string device = row["device"].dump();
    EXPECT_THAT(line, StartsWith(device + ","));
    EXPECT_THAT(line, HasSubstr(fmt::format(",{},", row["verdict"].get<std::string>())));
    EXPECT_THAT(line, ::testing::EndsWith(",\"a \"\"b\"\", c\""));
    EXPECT_EQ(std::stod(line.substr(device.size() + 1)), row["g_uS"].get<double>());
  }
  const CommandResult npz = query({sql, "--format", "npz", "--out", path("x.npz"), "--force"});
  ASSERT_EQ(npz.exit_code, kDone) << npz.err;
  folder->file("x.py",
               "import numpy, sys\nd = numpy.load(sys.argv[1])\n"
               "print(list(d), [str(d[k].dtype) for k in d], d['iff'], d['text'][0])\n"
               "print(*[repr(float(g)) for g in d['g_uS']])\n");
  const std::string command =
      "/usr/bin/python3 " + path("x.py") + " " + path("x.npz") + " > " + path("said") + " 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0) << text_of("said");
  EXPECT_THAT(text_of("said"),
              AllOf(HasSubstr("['device', 'g_uS', 'verdict', 'iff', 'text'] ['int64', 'float64', "),
                    HasSubstr("[ 0. nan  2.] a \"b\", c\n")));
}

TEST_F(Query, ThePythonModuleReadsTheSameAndItsExamplesRun) {
  for (const auto& [file, sql] : std::vector<std::pair<std::string, std::string>>{
           {"readings.csv", "SELECT sweep_id, device, g_uS FROM reading"},
           {"devices.csv", "SELECT * FROM programmed_device"}}) {
    ASSERT_EQ(query({sql, "--format", "csv", "--out", path(file), "--force"}).exit_code, kDone);
  }
  const std::string command = fmt::format(
      "/usr/bin/python3 {} {} {} {} {} > {} 2>&1", PCMLAB_CHECK_PYTHON_READER, PCMLAB_PYTHON_README,
      path("x.db"), path("readings.csv"), path("devices.csv"), path("said"));
  ASSERT_EQ(std::system(command.c_str()), 0) << text_of("said");
  EXPECT_THAT(text_of("said"), ::testing::EndsWith("all as it should be\n"));
}

TEST_F(Query, NothingButReadingIsAllowed) {
  for (const auto& [sql, what] : std::vector<std::pair<std::string, std::string>>{
           {"DELETE FROM run", "change run"},
           {"INSERT INTO event SELECT * FROM event", "change event"},
           {"DROP TABLE sweep", "change sqlite_master"},
           {"ATTACH '" + path("y.db") + "' AS y", "attach another file"},
           {"PRAGMA journal_mode = delete", "run PRAGMA journal_mode"},
           {"PRAGMA user_version = 1", "run PRAGMA user_version"},
           {"SELECT load_extension('x')", "load an extension"},
           {"VACUUM INTO '" + path("z.db") + "'", "attach another file"},
           {"BEGIN IMMEDIATE", "change the database"}}) {
    const CommandResult result = query({sql});
    EXPECT_EQ(result.exit_code, kBadInput) << sql;
    EXPECT_THAT(result.err, HasSubstr("wants to " + what)) << sql;
    EXPECT_THAT(result.out, IsEmpty());
  }
  EXPECT_FALSE(std::filesystem::exists(path("y.db")));
  EXPECT_FALSE(std::filesystem::exists(path("z.db")));
  EXPECT_THAT(query({"PRAGMA table_info(sweep)"}).out, HasSubstr("scheduled_s"));
}

TEST_F(Query, WhatIsWrongIsSaid) {
  const auto refused = [](std::vector<std::string> arguments, const std::string& what) {
    const CommandResult result = query(std::move(arguments));
    EXPECT_EQ(result.exit_code, kBadInput);
    EXPECT_THAT(result.err, HasSubstr(what));
    EXPECT_THAT(result.out, IsEmpty());
  };
  refused({"acuracy"}, "there is no question \"acuracy\"");
  refused({"SELECT conductance FROM run"}, "no such column: conductance");
  refused({"SELECT 1; SELECT 2"}, "more than one statement");
  refused({"SELECT :a", "--param", "b=1"}, "no parameter :b");
  refused({"runs", "--param", "b"}, "not NAME=VALUE");
  refused({"runs", "--format", "npz"}, "goes into a file");
  EXPECT_EQ(query({}).exit_code, kUsage);
  EXPECT_EQ(pcmlab({"query", "runs", "--database", path("none.db")}).exit_code, kBadInput);
  folder->file("other.db", "this is not a database, whatever its name may say");
  EXPECT_EQ(pcmlab({"query", "runs", "--database", path("other.db")}).exit_code, kBadInput);
}

TEST_F(Query, AFileThatIsThereIsKeptUnlessForced) {
  const std::string kept = folder->file("kept.csv", "mine");
  EXPECT_EQ(query({"runs", "--format", "csv", "--out", kept}).exit_code, kStore);
  EXPECT_EQ(text_of("kept.csv"), "mine");
  EXPECT_EQ(query({"runs", "--format", "csv", "--out", kept, "--force"}).exit_code, kDone);
  EXPECT_THAT(text_of("kept.csv"), StartsWith("run_id,state,"));
}

TEST_F(Query, ALongQueryEndsWhenItsTimeIsOver) {
  const CommandResult result = query({kEndless, "--timeout-s", "0.2"});
  EXPECT_EQ(result.exit_code, kStopped);
  EXPECT_THAT(result.err, HasSubstr("stopped after 0.2 s"));
  EXPECT_THAT(query({"SELECT 7 AS seven FROM reading", "--limit", "2"}).out,
              HasSubstr("seven\n    7\n    7\n"));
}

TEST_F(Query, ASignalEndsIt) {
  const CommandResult result = query({kEndless, "--timeout-s", "0"}, [](int process) {
    while (!takes_signals(process)) std::this_thread::yield();
    kill(process, SIGTERM);
  });
  EXPECT_EQ(result.exit_code, kStopped);
  EXPECT_THAT(result.err, HasSubstr("stopping the query"));
}

TEST_F(Query, WatchingAnswersAgainWhenSomethingWasCommitted) {
  const std::string file = path("x.db");
  const std::string said = path("watched");
  const std::string command = std::string(PCMLAB_PROGRAM) + " query --database " + file +
                              " 'SELECT count(*) AS events FROM event' --watch 0.05 > " + said +
                              " & echo $! > " + path("pid");
  ASSERT_EQ(std::system(command.c_str()), 0);
  const int process = std::stoi(text_of("pid"));
  const auto answers = [] {
    const std::string text = text_of("watched");
    std::size_t count = 0;
    for (std::size_t at = text.find("events"); at != std::string::npos;
         at = text.find("events", at + 1)) {
      ++count;
    }
    return count;
  };
  // Each wait ends as soon as the answer is there, and the test's time limit ends it otherwise.
  while (answers() < 1) std::this_thread::yield();
  auto database = db::Database::open(file, db::OpenMode::ReadWriteCreate);
  ASSERT_TRUE(database);
  ASSERT_TRUE(
      database->execute("INSERT INTO event (run_id, kind, text, utc, boottime_ns) "
                        "VALUES (1, 'info', 'x', '', 0)"));
  while (answers() < 2) std::this_thread::yield();
  kill(process, SIGTERM);
}

}  // namespace
}  // namespace pcmlab::app

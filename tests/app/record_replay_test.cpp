// SPDX-License-Identifier: Apache-2.0
// A plan's run recorded to a file, and replayed from it through the program itself.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>

#include "app/exit_code.h"
#include "driver/recording.h"
#include "tests/app/command_line.h"
#include "tests/experiments/network/onnx_file.h"

namespace pcmlab::app {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// What a query gives, one line a row.
std::vector<std::string> rows(const std::string& database, const std::string& query) {
  sqlite3* connection = nullptr;
  std::vector<std::string> lines;
  const auto add = [](void* into, int columns, char** values, char** /*names*/) {
    std::string line;
    for (int i = 0; i < columns; ++i) line.append(values[i] ? values[i] : "NULL").append("|");
    static_cast<std::vector<std::string>*>(into)->push_back(line);
    return 0;
  };
  EXPECT_EQ(sqlite3_open_v2(database.c_str(), &connection, SQLITE_OPEN_READONLY, nullptr),
            SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(connection, query.c_str(), add, &lines, nullptr), SQLITE_OK)
      << sqlite3_errmsg(connection) << ": " << query;
  sqlite3_close(connection);
  return lines;
}

/// Everything in a database but when and where the host did it, and how the board is described.
std::vector<std::string> measured(const std::string& database) {
  std::vector<std::string> all;
  for (const std::string& table :
       rows(database,
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE "
            "'sqlite_%' AND name <> 'run_progress' ORDER BY name")) {
    const std::string name = table.substr(0, table.size() - 1);
    std::string columns;
    for (const std::string& column :
         rows(database,
              "SELECT CASE type WHEN 'BLOB' THEN 'hex(' || name || ')' ELSE name END FROM "
              "pragma_table_info('" +
                  name +
                  "') WHERE name NOT LIKE '%utc' AND name NOT LIKE "
                  "'%boottime_ns' AND name NOT IN ('uuid', 'plan_text', 'pid', 'pid_start_ticks', "
                  "'board_description', 'wall_s', 'eta_s')")) {
      columns += (columns.empty() ? "" : ", ") + column.substr(0, column.size() - 1);
    }
    for (const std::string& row : rows(database, fmt::format("SELECT {} FROM {}", columns, name))) {
      all.push_back(fmt::format("{}: {}", name, row));
    }
  }
  return all;
}

class RecordAndReplay : public ::testing::Test {
 protected:
  RecordAndReplay() {
    test::OnnxFile network({3, 32, 32}, 7);
    const std::string features =
        network.relu(network.conv("images", {.out = 4, .in = 3, .stride_h = 4, .stride_w = 4}));
    const auto bytes = network.bytes(network.dense(network.average(features), 4, 10));
    std::ofstream(folder / "small.onnx", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }

  std::string path(const std::string& name) const { return (folder / name).string(); }
  std::string plan(const std::string& board, const std::string& tolerance_uS = "0.5",
                   const std::string& faults = "") const {
    return folder.file("plan.toml", "[board]\n" + board +
                                        "\n[mock]\nword_lines = 16\nbit_lines = 32\nthreads = 1\n"
                                        "[faults]\n" +
                                        faults + "\n[network]\nfile = \"" + path("small.onnx") +
                                        "\"\n[images]\nlimit = 20\n"
                                        "[[step]]\nexperiment = \"program\"\ntolerance_uS = " +
                                        tolerance_uS +
                                        "\n[[step]]\nexperiment = \"retention\"\npoints = 3\n"
                                        "[[step]]\nexperiment = \"accuracy\"\n");
  }
  std::string recording_plan() const { return plan("record = \"" + path("board.rec") + "\""); }
  std::string replaying_plan(const std::string& tolerance_uS = "0.5") const {
    return plan("kind = \"replay\"\nrecording = \"" + path("board.rec") + "\"", tolerance_uS);
  }
  CommandResult run(const std::string& plan, const std::string& database) const {
    return pcmlab({"run", plan, "--quiet", "--database", path(database)});
  }

  TemporaryFolder folder;
};

TEST_F(RecordAndReplay, AReplayIntoAFreshDatabaseStoresTheSame) {
  const CommandResult recorded = run(recording_plan(), "recorded.db");
  ASSERT_EQ(recorded.exit_code, kDone) << recorded.err;
  EXPECT_THAT(recorded.out, HasSubstr("; recorded to " + path("board.rec")));
  const auto recording = load_recording(path("board.rec"));
  ASSERT_TRUE(recording);
  EXPECT_FALSE(recording->cut_off);
  ASSERT_EQ(recording->header.size(), 3U);
  EXPECT_THAT(recording->header[0], AllOf(HasSubstr("MOCK0001"), Not(HasSubstr("recorded to"))));
  EXPECT_THAT(recording->header[1], HasSubstr("pcmlab 0."));
  EXPECT_THAT(recording->header[2], ::testing::MatchesRegex("20..-..-..T..:..:..Z"));

  const CommandResult replayed = run(replaying_plan(), "replayed.db");
  ASSERT_EQ(replayed.exit_code, kDone) << replayed.err;
  EXPECT_THAT(replayed.out, HasSubstr("replay of " + path("board.rec") + ": mock board MOCK0001"));
  const std::vector<std::string> before = measured(path("recorded.db"));
  EXPECT_GT(before.size(), 50U);
  EXPECT_EQ(measured(path("replayed.db")), before);

  // Without a recording the same plan gives the same: recording changes nothing.
  ASSERT_EQ(run(plan(""), "plain.db").exit_code, kDone);
  EXPECT_EQ(measured(path("plain.db")), before);
}

TEST_F(RecordAndReplay, AFaultOfTheLineIsReplayedWithTheRest) {
  // One lost reply: to a read, which is repeated, or to a batch of pulses, which is settled by the
  // board's records.
  for (int spared = 10; spared < 14; ++spared) {
    const std::string number = std::to_string(spared);
    const std::string recorded_db = "recorded" + number + ".db";
    const std::string replayed_db = "replayed" + number + ".db";
    std::filesystem::remove(folder / "board.rec");
    const CommandResult recorded =
        run(plan("record = \"" + path("board.rec") + "\"", "0.5",
                 "lost_replies = 1\nmost_line_faults = 1\nspared_frames = " + number),
            recorded_db);
    const CommandResult replayed = run(replaying_plan(), replayed_db);
    EXPECT_EQ(replayed.exit_code, recorded.exit_code);
    EXPECT_EQ(replayed.err, recorded.err);
    EXPECT_EQ(measured(path(replayed_db)), measured(path(recorded_db)));
    EXPECT_EQ(recorded.exit_code, kDone) << recorded.err;
  }
}

TEST_F(RecordAndReplay, AnotherToleranceIsABoardErrorThatNamesTheRequest) {
  ASSERT_EQ(run(recording_plan(), "recorded.db").exit_code, kDone);
  const CommandResult replayed = run(replaying_plan("2"), "replayed.db");
  EXPECT_EQ(replayed.exit_code, kBoard);
  EXPECT_THAT(
      replayed.err,
      AllOf(HasSubstr("replay of " + path("board.rec") + " differs at request "),
            HasSubstr("Program"), HasSubstr(", recorded "), HasSubstr("replay with the plan")));
}

TEST_F(RecordAndReplay, ADatabaseThatHasSeenTheBoardIsNamedAsTheReason) {
  ASSERT_EQ(run(recording_plan(), "recorded.db").exit_code, kDone);
  const CommandResult replayed = run(replaying_plan(), "recorded.db");
  EXPECT_EQ(replayed.exit_code, kBoard);
  EXPECT_THAT(replayed.err, AllOf(HasSubstr("batch number "), HasSubstr(", recorded 1;"),
                                  HasSubstr("replay into one that has not seen this board")));
}

TEST_F(RecordAndReplay, CheckMakesNoFileAndNeverIsOneOverwritten) {
  const CommandResult check = pcmlab({"check", recording_plan()});
  EXPECT_EQ(check.exit_code, kDone) << check.err;
  EXPECT_THAT(check.out, HasSubstr("; recorded to " + path("board.rec")));
  EXPECT_FALSE(std::filesystem::exists(folder / "board.rec"));
  ASSERT_EQ(run(recording_plan(), "a.db").exit_code, kDone);
  const auto size = std::filesystem::file_size(folder / "board.rec");
  for (const char* command : {"check", "run"}) {
    const CommandResult again = pcmlab({command, recording_plan(), "--database", path("b.db")});
    EXPECT_EQ(again.exit_code, kStore);
    EXPECT_THAT(again.err, HasSubstr("board.rec exists and is never overwritten"));
  }
  EXPECT_EQ(std::filesystem::file_size(folder / "board.rec"), size);
  EXPECT_FALSE(std::filesystem::exists(folder / "b.db"));
  const CommandResult replay = pcmlab({"check", replaying_plan()});
  EXPECT_EQ(replay.exit_code, kDone) << replay.err;
  EXPECT_THAT(replay.out, HasSubstr("replay of "));
}

TEST_F(RecordAndReplay, AMendedPlanMayUseTheNameOfItsRecordingAgain) {
  const std::string broken = folder.file(
      "broken.toml", "[board]\nrecord = \"" + path("board.rec") +
                         "\"\n[network]\nfile = \"absent\"\n[[step]]\nexperiment = \"program\"\n");
  EXPECT_EQ(run(broken, "a.db").exit_code, kBadInput);
  EXPECT_FALSE(std::filesystem::exists(folder / "board.rec"));
}

TEST_F(RecordAndReplay, ABoardThatContradictsItselfIsABadPlan) {
  const auto expect_bad = [this](const std::string& board, const std::string& message) {
    const CommandResult check = pcmlab({"check", plan(board)});
    EXPECT_EQ(check.exit_code, kBadInput);
    EXPECT_THAT(check.err, HasSubstr(message));
  };
  expect_bad("kind = \"replay\"", "needs a recording");
  expect_bad("recording = \"x.rec\"", "has recording = \"x.rec\", but kind = \"mock\"");
  expect_bad("kind = \"replay\"\nrecording = \"" + path("absent") + "\"", "cannot open");
  expect_bad("kind = \"replay\"\nrecording = \"" + path("small.onnx") + "\"", "is no recording");
  expect_bad("kind = \"gpib\"", "\"gpib\" is not one of");
  EXPECT_EQ(pcmlab({"check", plan("record = \"" + path("no/such.rec") + "\"")}).exit_code, kStore);
}

TEST_F(RecordAndReplay, ABoardThatIsNotOnTheUsbIsABoardError) {
  const CommandResult check = pcmlab({"check", plan("kind = \"usb\"\nserial = \"NOSUCH1\"")});
  EXPECT_EQ(check.exit_code, kBoard);
  EXPECT_THAT(check.err, AllOf(HasSubstr("opening usb board NOSUCH1"), HasSubstr("what to do")));
}

TEST_F(RecordAndReplay, WhenTheRecordingsDiskIsFullTheRunFailsAndTheRestCanBeReplayed) {
  const std::string plan = recording_plan();
  const CommandResult full = pcmlab({"run", plan, "--database", ":memory:"}, {}, 6'000);
  EXPECT_EQ(full.exit_code, kStore);
  EXPECT_THAT(full.err, HasSubstr("recording the conversation with the board to"));
  const CommandResult replayed = run(replaying_plan(), "replayed.db");
  EXPECT_EQ(replayed.exit_code, kBoard);
  EXPECT_THAT(replayed.err, AllOf(HasSubstr("the recording ends here"), HasSubstr("cut off")));
}

}  // namespace
}  // namespace pcmlab::app

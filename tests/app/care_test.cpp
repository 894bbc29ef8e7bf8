// SPDX-License-Identifier: Apache-2.0
// Looking after a database with the program itself: notes, tags, deletion, verify, backup, merge,
// vacuum and compare, on runs that a mock board made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/exit_code.h"
#include "db/run_store.h"
#include "tests/app/command_line.h"
#include "tests/experiments/network/onnx_file.h"

namespace pcmlab::app {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Care : public testing::Test {
 protected:
  Care() {
    test::OnnxFile network({3, 32, 32}, 7);
    const std::string features =
        network.relu(network.conv("images", {.out = 4, .in = 3, .stride_h = 4, .stride_w = 4}));
    const auto bytes = network.bytes(network.dense(network.average(features), 4, 10));
    std::ofstream(folder / "small.onnx", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    plan = folder.file("plan.toml",
                       "[run]\nname = \"small\"\nsample = \"chip 7\"\n"
                       "[mock]\nword_lines = 16\nbit_lines = 64\n"
                       "[network]\nfile = \"" +
                           (folder / "small.onnx").string() +
                           "\"\n"
                           "[images]\nset = \"fashion-mnist\"\nlimit = 20\n"
                           "[[step]]\nexperiment = \"program\"\n"
                           "[[step]]\nexperiment = \"retention\"\npoints = 6\n"
                           "[[step]]\nexperiment = \"accuracy\"\n"
                           "conditions = [\"none\", \"gdc\"]\n");
  }

  void run(const std::string& database, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"run", plan, "--database", database, "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = pcmlab(arguments);
    ASSERT_EQ(result.exit_code, kDone) << result.err;
  }

  CommandResult call(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--database", a});
    return pcmlab(std::move(arguments));
  }

  nlohmann::json json(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const CommandResult result = call(std::move(arguments));
    EXPECT_EQ(result.exit_code, kDone) << result.err;
    return nlohmann::json::parse(result.out);
  }

  static void execute(const std::string& database, const std::string& sql) {
    auto opened = db::Database::open(database, db::OpenMode::ReadWriteCreate).value();
    ASSERT_TRUE(opened.execute(sql)) << sql;
  }

  static std::int64_t count(const std::string& database, const std::string& sql) {
    return db::Database::open(database, db::OpenMode::ReadOnly).value().query_integer(sql).value();
  }

  TemporaryFolder folder;
  std::string plan;
  std::string a = (folder / "a.db").string();
  std::string b = (folder / "b.db").string();
};

TEST_F(Care, NotesAndTagsAreShownAndFound) {
  run(a);
  run(a);
  EXPECT_EQ(call({"note", "1", "tip", "was", "dirty", "--by", "ada"}).exit_code, kDone);
  EXPECT_THAT(call({"tag", "1", "paper", "good"}).out, HasSubstr("good paper"));
  EXPECT_THAT(call({"show", "1"}).out,
              AllOf(HasSubstr("tip was dirty (ada, "), HasSubstr("good paper"),
                    HasSubstr("Drift of all devices, 6 sweeps")));
  EXPECT_EQ(json({"runs", "--tag", "paper"}).size(), 1U);
  EXPECT_EQ(json({"runs", "--tag", "paper", "--tag", "bad"}).size(), 0U);
  EXPECT_EQ(call({"tag", "1", "paper", "--remove"}).exit_code, kDone);
  EXPECT_EQ(json({"runs", "--tag", "paper"}).size(), 0U);
  EXPECT_EQ(call({"tag", "1", "paper", "--remove"}).exit_code, kBadInput);
  EXPECT_EQ(call({"tag", "1", "two words"}).exit_code, kBadInput);
  EXPECT_EQ(call({"note", "9", "x"}).exit_code, kBadInput);
  EXPECT_EQ(pcmlab({"note", "1", "x", "--database", b}).exit_code, kBadInput);
  EXPECT_FALSE(std::filesystem::exists(b));
}

TEST_F(Care, ADeletedRunCanBeBroughtBackUntilTheDatabaseIsVacuumed) {
  run(a);
  run(a);
  const auto pulses = count(a, "SELECT pulses FROM chip_wear");
  ASSERT_GT(pulses, 0);
  EXPECT_EQ(call({"delete", "1"}).exit_code, kDone);
  EXPECT_EQ(json({"runs"}).size(), 1U);
  EXPECT_EQ(json({"runs", "--all"}).size(), 2U);
  EXPECT_EQ(count(a, "SELECT count(*) FROM accuracy_over_time WHERE run_id = 1"), 0);
  EXPECT_EQ(call({"delete", "1"}).exit_code, kBadInput);
  EXPECT_EQ(call({"delete", "1", "--undo"}).exit_code, kDone);
  EXPECT_EQ(json({"runs"}).size(), 2U);

  EXPECT_EQ(call({"delete", "1"}).exit_code, kDone);
  const auto vacuumed = json({"vacuum"});
  EXPECT_EQ(vacuumed.at("runs"), 1);
  EXPECT_LT(vacuumed.at("bytes_after"), vacuumed.at("bytes_before"));
  EXPECT_EQ(json({"runs", "--all"}).size(), 1U);
  EXPECT_EQ(call({"verify"}).exit_code, kDone);
  // What its chip bears stays known, and its board's batch numbers are not given again.
  EXPECT_EQ(count(a, "SELECT pulses FROM chip_wear"), pulses);
  EXPECT_EQ(count(a, "SELECT runs FROM chip_wear"), 2);
  run(a);
  EXPECT_EQ(json({"runs"}).at(0).at("run"), 3);
  EXPECT_GT(count(a, "SELECT pulses FROM chip_wear"), pulses);
}

TEST_F(Care, VerifyNamesWhatIsDamagedAndWhatIsNot) {
  run(a);
  run(a);
  const CommandResult good = call({"verify"});
  EXPECT_EQ(good.exit_code, kDone) << good.out;
  EXPECT_THAT(good.out, HasSubstr("good: "));
  execute(
      a,
      "DROP TRIGGER sweep_block_is_final; DROP TRIGGER complete_sweep_is_final;"
      "UPDATE sweep_block SET code_sums_u16 = zeroblob(length(code_sums_u16)) WHERE sweep_id = 8;"
      "DELETE FROM sweep_block WHERE sweep_id = 9");
  const CommandResult bad = call({"verify"});
  EXPECT_EQ(bad.exit_code, kCheckFailed);
  EXPECT_THAT(bad.out, HasSubstr("BAD  run 2, sweep 8, devices 0 to "));
  EXPECT_THAT(bad.out, HasSubstr("its checksum is wrong"));
  EXPECT_THAT(bad.out, HasSubstr("run 2, sweep 9: it has 0 devices of "));
  EXPECT_THAT(bad.out, Not(HasSubstr("BAD  run 1")));
  const CommandResult as_json = call({"verify", "--json"});
  EXPECT_EQ(as_json.exit_code, kCheckFailed);
  const auto verified = nlohmann::json::parse(as_json.out);
  EXPECT_EQ(verified.at("runs").at(0).at("findings"), 0);
  EXPECT_GE(verified.at("runs").at(1).at("findings"), 2);
}

TEST_F(Care, ABackupIsWholeAndReplacesNothing) {
  run(a);
  EXPECT_EQ(call({"backup", b}).exit_code, kDone);
  EXPECT_EQ(pcmlab({"verify", b}).exit_code, kDone);
  EXPECT_EQ(count(b, "SELECT count(*) FROM sweep_block"),
            count(a, "SELECT count(*) FROM sweep_block"));
  const CommandResult again = call({"backup", b});
  EXPECT_EQ(again.exit_code, kBadInput);
  EXPECT_THAT(again.err, HasSubstr("there is a file of that name"));
}

TEST_F(Care, MergesTheRunsOfAnotherDatabaseOnce) {
  run(a);
  run(b);
  run(b, {"--set", "mock.serial=OTHER"});
  ASSERT_EQ(pcmlab({"tag", "2", "there", "--database", b}).exit_code, kDone);
  const auto merged = json({"merge", b});
  ASSERT_EQ(merged.at("added").size(), 2U);
  EXPECT_EQ(merged.at("added").at(0).at("run"), 2);
  EXPECT_EQ(merged.at("added").at(1).at("was"), 2);
  EXPECT_EQ(call({"verify"}).exit_code, kDone) << call({"verify"}).out;
  EXPECT_EQ(count(a, "SELECT count(*) FROM board"), 2);
  EXPECT_EQ(count(a, "SELECT count(*) FROM network"), 1);
  EXPECT_EQ(json({"runs", "--tag", "there"}).at(0).at("run"), 3);
  // What a run shows is the same here and there.
  auto here = json({"show", "3", "--layers", "--confusion"});
  auto there = nlohmann::json::parse(
      pcmlab({"show", "2", "--layers", "--confusion", "--json", "--database", b}).out);
  for (auto* shown : {&here, &there}) {
    shown->erase("run");
    for (auto& fit : shown->at("drift")) fit.erase("programming");
  }
  EXPECT_EQ(here, there);
  const auto again = json({"merge", b});
  EXPECT_EQ(again.at("added").size(), 0U);
  EXPECT_EQ(again.at("present"), 2);
  EXPECT_EQ(call({"merge", a}).exit_code, kBadInput);
}

TEST_F(Care, ComparesRunsByWhatDiffersAndWhatTheyFound) {
  run(a);
  run(a, {"--set", "mock.seed=2", "--set", "step.1.tolerance_uS=0.5"});
  const CommandResult compared = call({"compare", "1", "2"});
  EXPECT_EQ(compared.exit_code, kDone) << compared.err;
  EXPECT_THAT(compared.out, AllOf(HasSubstr("mock.seed"), HasSubstr("step 1 program.tolerance_uS"),
                                  HasSubstr("converged"), HasSubstr("25 s, GDC"),
                                  HasSubstr("drift exponent, 22.5 to 25 µS")));
  EXPECT_THAT(compared.out, Not(HasSubstr("gain_uA_per_uS")));
  EXPECT_EQ(json({"compare", "1", "2"}).at("settings").at("mock.seed"), (nlohmann::json{"1", "2"}));
  EXPECT_EQ(call({"compare", "1"}).exit_code, kUsage);
}

}  // namespace
}  // namespace pcmlab::app

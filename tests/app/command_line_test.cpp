// SPDX-License-Identifier: Apache-2.0
#include "tests/app/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "app/exit_code.h"
#include "db/run_store.h"

namespace pcmlab::app {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(CommandLine, TellsItsVersionAndHelp) {
  const CommandResult version = pcmlab({"--version"});
  EXPECT_EQ(version.exit_code, kDone);
  EXPECT_THAT(version.out, StartsWith("pcmlab 0."));
  for (const char* command : {"run", "check", "describe", "runs", "show", "plot", "devices",
                              "selftest", "chips", "acceptance"}) {
    const CommandResult help = pcmlab({command, "--help"});
    EXPECT_EQ(help.exit_code, kDone) << command;
    EXPECT_FALSE(help.out.empty()) << command;
  }
}

TEST(CommandLine, AWrongCommandLineEndsWithItsOwnCode) {
  EXPECT_EQ(pcmlab({}).exit_code, kUsage);
  EXPECT_EQ(pcmlab({"rum", "x"}).exit_code, kUsage);
  EXPECT_EQ(pcmlab({"show"}).exit_code, kUsage);
  EXPECT_EQ(pcmlab({"show", "one"}).exit_code, kUsage);
  EXPECT_EQ(pcmlab({"run", "x.toml", "--no-such-option"}).exit_code, kUsage);
}

TEST(CommandLine, DescribesEveryExperiment) {
  const CommandResult all = pcmlab({"describe"});
  EXPECT_EQ(all.exit_code, kDone);
  for (const char* name :
       {"\"program\"", "\"retention\"", "\"accuracy\"", "[mock]", "[faults]", "[images]"}) {
    EXPECT_THAT(all.out, HasSubstr(name));
  }
  const CommandResult one = pcmlab({"describe", "program", "--json"});
  EXPECT_EQ(one.exit_code, kDone);
  const auto json = nlohmann::json::parse(one.out);
  EXPECT_EQ(json.at(0).at("name"), "program");
  EXPECT_EQ(json.at(0).at("parameters").at(0).at("unit"), "uS");
  const CommandResult wrong = pcmlab({"describe", "progam"});
  EXPECT_EQ(wrong.exit_code, kBadInput);
  EXPECT_THAT(wrong.err, HasSubstr("\"program\""));
}

TEST(CommandLine, SetsKeysOfAPlanAsIfThePlanSaidSo) {
  const std::string plan = PCMLAB_PLANS "/main-job.toml";
  const CommandResult check =
      pcmlab({"check", plan, "--json", "--set", "images.limit=5", "--set", "mock.serial=B7"});
  ASSERT_EQ(check.exit_code, kDone) << check.err;
  EXPECT_EQ(nlohmann::json::parse(check.out).at("images"), 5);
  const CommandResult text = pcmlab({"check", plan, "--set", "mock.serial=B7"});
  EXPECT_THAT(text.out, HasSubstr("mock board B7"));
  const CommandResult unknown = pcmlab({"check", plan, "--set", "mock.sed=5"});
  EXPECT_EQ(unknown.exit_code, kBadInput);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean \"seed\"?"));
  const CommandResult malformed = pcmlab({"check", plan, "--set", "seed=5"});
  EXPECT_EQ(malformed.exit_code, kBadInput);
  EXPECT_THAT(malformed.err, HasSubstr("SECTION.KEY=VALUE"));
}

TEST(CommandLine, ChecksAPlanAndPredictsWhatItTakes) {
  const CommandResult check = pcmlab({"check", PCMLAB_PLANS "/main-job.toml", "--json"});
  ASSERT_EQ(check.exit_code, kDone) << check.err;
  const auto json = nlohmann::json::parse(check.out);
  EXPECT_EQ(json.at("weights"), 361722);
  EXPECT_EQ(json.at("devices"), 723444);
  EXPECT_EQ(json.at("steps").size(), 4u);
  EXPECT_GT(json.at("total").at("pulses").get<double>(), 5e6);
}

/// The description of everything is a plan of defaults, though its steps are in alphabetical order.
TEST(CommandLine, FindsStepsInAnOrderThatCannotBe) {
  const TemporaryFolder folder;
  const std::string plan = folder.file("all.toml", pcmlab({"describe"}).out);
  const CommandResult check = pcmlab({"check", plan});
  EXPECT_EQ(check.exit_code, kBadInput);
  EXPECT_THAT(check.err, HasSubstr("step 1 (accuracy)"));
}

TEST(CommandLine, ADamagedPlanIsBadInputAndChangesNothing) {
  const TemporaryFolder folder;
  const std::string database = (folder / "x.db").string();
  const std::string plan =
      folder.file("p.toml", "[[step]]\nexperiment = \"program\"\ntolerence_uS = 0.25\n");
  const CommandResult run = pcmlab({"run", plan, "--database", database});
  EXPECT_EQ(run.exit_code, kBadInput);
  EXPECT_THAT(run.err, HasSubstr("tolerence_uS"));
  EXPECT_THAT(run.err, HasSubstr("tolerance_uS"));
  EXPECT_FALSE(std::filesystem::exists(database));
  EXPECT_EQ(pcmlab({"check", plan}).exit_code, kBadInput);
}

TEST(CommandLine, FaultsOfAPlanAreCheckedAndNamed) {
  const TemporaryFolder folder;
  const auto check = [&folder](const std::string& faults) {
    return pcmlab({"check", folder.file("p.toml", "[faults]\n" + faults +
                                                      "\n[[step]]\nexperiment = \"program\"\n")});
  };
  const CommandResult good = check("lost_replies = 0.001");
  EXPECT_EQ(good.exit_code, kDone) << good.err;
  EXPECT_THAT(good.out, HasSubstr("planned faults: seed = 1, lost_replies = 0.001"));
  const CommandResult misspelt = check("lost_replys = 0.001");
  EXPECT_EQ(misspelt.exit_code, kBadInput);
  EXPECT_THAT(misspelt.err, HasSubstr("\"lost_replies\""));
  const CommandResult outside = check("dead_word_lines = [512]");
  EXPECT_EQ(outside.exit_code, kBadInput);
  EXPECT_THAT(outside.err, HasSubstr("0 to 511"));
}

TEST(CommandLine, ARunGoesOnAfterDisconnectsAndSaysSo) {
  const TemporaryFolder folder;
  const std::string plan = folder.file(
      "p.toml",
      "[faults]\ndisconnect_after_requests = 50\ndisconnect_times = 5\ndisconnect_share = 0.3\n"
      "[[step]]\nexperiment = \"program\"\nmax_iterations = 3\n");
  const CommandResult run = pcmlab({"run", plan, "--database", (folder / "x.db").string()});
  EXPECT_EQ(run.exit_code, kDone) << run.err;
  EXPECT_THAT(run.err + run.out, HasSubstr("board MOCK0001 is connected again"));
  EXPECT_THAT(run.err + run.out, HasSubstr("by the board's records"));
  auto store = db::RunStore::open(folder / "x.db");
  ASSERT_TRUE(store);
  const auto events = store->events(1);
  ASSERT_TRUE(events);
  EXPECT_EQ(std::count_if(events->begin(), events->end(),
                          [](const db::EventRow& event) { return event.kind == "fault"; }),
            5);
}

TEST(CommandLine, ABoardThatStaysAwayEndsARunAsABoardError) {
  const TemporaryFolder folder;
  const std::string database = (folder / "x.db").string();
  const std::string plan =
      folder.file("p.toml",
                  "[board]\nwait_for_board_s = 0\n[faults]\nlost_replies = 1\nspared_frames = 20\n"
                  "[[step]]\nexperiment = \"program\"\n");
  const CommandResult run = pcmlab({"run", plan, "--database", database, "--quiet"});
  EXPECT_EQ(run.exit_code, kBoard);
  EXPECT_THAT(run.err, HasSubstr("sent and not acknowledged: batch "));
  const CommandResult shown = pcmlab({"show", "1", "--database", database});
  EXPECT_THAT(shown.out, HasSubstr("failed"));
  EXPECT_THAT(shown.out, HasSubstr("lost_replies = 1"));
}

TEST(CommandLine, AMissingFolderOfImagesNamesWhatToDo) {
  const TemporaryFolder folder;
  const std::string plan =
      folder.file("p.toml",
                  "[images]\nset = \"cifar-10\"\nfolder = \"/nowhere\"\n[[step]]\nexperiment = "
                  "\"program\"\n");
  const CommandResult check = pcmlab({"check", plan});
  EXPECT_EQ(check.exit_code, kBadInput);
  EXPECT_THAT(check.err, HasSubstr("/nowhere"));
  EXPECT_THAT(check.err, HasSubstr("what to do"));
}

TEST(CommandLine, AnArrayThatIsTooSmallIsFilledSeveralTimes) {
  const TemporaryFolder folder;
  const std::string plan =
      folder.file("p.toml", "[mock]\nword_lines = 256\n[[step]]\nexperiment = \"program\"\n");
  const CommandResult check = pcmlab({"check", plan});
  EXPECT_EQ(check.exit_code, kDone) << check.err;
  EXPECT_THAT(check.out, HasSubstr("in 2 fillings of the array, one after another"));
  const std::string database = (folder / "x.db").string();
  const CommandResult run = pcmlab({"run", plan, "--database", database});
  EXPECT_EQ(run.exit_code, kDone) << run.err;
  EXPECT_THAT(run.err, HasSubstr("filling 2 of the array, from weight 262144 of 361722 on"));
  EXPECT_THAT(run.out, HasSubstr("in 2 fillings of the array"));
}

TEST(CommandLine, ADatabaseThatCannotBeIsAStoreError) {
  const TemporaryFolder folder;
  const CommandResult missing = pcmlab({"runs", "--database", (folder / "no.db").string()});
  EXPECT_EQ(missing.exit_code, kBadInput);
  EXPECT_FALSE(std::filesystem::exists(folder / "no.db"));
  const std::string text = folder.file("text.db", std::string(5000, 'x'));
  EXPECT_EQ(pcmlab({"runs", "--database", text}).exit_code, kBadInput);
}

TEST(CommandLine, SelftestPassesOnTheMockBoard) {
  const CommandResult test = pcmlab({"selftest"});
  EXPECT_EQ(test.exit_code, kDone) << test.out;
  EXPECT_THAT(test.out, Not(HasSubstr("FAIL")));
  EXPECT_THAT(test.out, HasSubstr("0 failed"));
  EXPECT_THAT(test.err, HasSubstr("bit lines 0 to 31 of word line 511 get at most"));
  const auto json = nlohmann::json::parse(pcmlab({"selftest", "--json", "--quiet"}).out);
  EXPECT_EQ(json.at("serial"), "MOCK0001");
  EXPECT_EQ(json.at("failed"), 0);
  EXPECT_GE(json.at("checks").size(), 80u);
  const auto devices = nlohmann::json::parse(pcmlab({"devices", "--json"}).out);
  EXPECT_EQ(devices.at(0).at("serial"), "MOCK0001");
  EXPECT_NEAR(devices.at(0).at("temperature_K"), 300, 10);
  EXPECT_NEAR(devices.at(0).at("gain_uS_per_code"), 0.2, 0.02);
  EXPECT_GT(devices.at(0).at("queue_depth"), 1);
  EXPECT_GT(devices.at(0).at("busy_s"), 0) << "reading the references takes time";
}

TEST(CommandLine, DevicesListsTheMockThatIsAskedFor) {
  const auto json = nlohmann::json::parse(
      pcmlab({"devices", "--json", "--set", "mock.serial=OTHER", "--set", "mock.word_lines=8"})
          .out);
  EXPECT_EQ(json.at(0).at("serial"), "OTHER");
  EXPECT_EQ(json.at(0).at("word_lines"), 8);
  const auto broken =
      nlohmann::json::parse(pcmlab({"devices", "--json", "--set", "faults.lost_replies=1"}).out);
  EXPECT_EQ(broken.at(0).at("serial"), "MOCK0001");
  EXPECT_NE(broken.at(0).at("problem"), "");
  const CommandResult none = pcmlab({"devices", "--set", "mock.chip=no-such-chip"});
  EXPECT_EQ(none.exit_code, kBadInput);
  EXPECT_THAT(none.err, HasSubstr("no-such-chip"));
}

TEST(CommandLine, SelftestTestsTheBoardOfThePlanAndEndsWith7WhenACheckFailed) {
  const TemporaryFolder folder;
  const std::string plan = folder.file("plan.toml",
                                       "[mock]\nserial = \"ANOTHER\"\nword_lines = 8\n"
                                       "[faults]\nreference_error = 0.3\n"
                                       "[[step]]\nexperiment = \"program\"\n");
  const CommandResult test =
      pcmlab({"selftest", "--plan", plan, "--set", "faults.seed=3", "--devices", "5"});
  EXPECT_EQ(test.exit_code, kCheckFailed);
  EXPECT_THAT(test.out, HasSubstr("serial ANOTHER"));
  EXPECT_THAT(test.out, HasSubstr("bit lines 0 to 4 of word line 7 got"));
  EXPECT_THAT(test.out, HasSubstr("FAIL  line"));
  EXPECT_THAT(test.out, HasSubstr("expected  a gain within 20 %"));
  EXPECT_THAT(test.out, HasSubstr("request   type 0xb (ReadReferences), sequence"));
  EXPECT_THAT(test.out, HasSubstr("1 failed"));
}

TEST(CommandLine, SelftestListsItsChecksAndSendsNoPulsesWhenTold) {
  const auto list = nlohmann::json::parse(pcmlab({"selftest", "--list", "--json"}).out);
  EXPECT_GE(list.size(), 80u);
  EXPECT_EQ(list.at(0).at("check"), "opening.before_hello");
  const CommandResult quiet = pcmlab({"selftest", "--no-pulses", "--quiet"});
  EXPECT_EQ(quiet.exit_code, kDone);
  EXPECT_THAT(quiet.out, HasSubstr("no device got a pulse"));
  EXPECT_EQ(quiet.err, "");
}

TEST(CommandLine, SelftestRefusesANameThatNoCheckHas) {
  const CommandResult test = pcmlab({"selftest", "--only", "frmaes"});
  EXPECT_EQ(test.exit_code, kUsage);
  EXPECT_THAT(test.err, HasSubstr("no check has \"frmaes\" in its name"));
  EXPECT_EQ(test.out, "");
}

TEST(CommandLine, SelftestRefusesARecording) {
  const CommandResult test =
      pcmlab({"selftest", "--set", "board.kind=replay", "--set", "board.recording=x.rec"});
  EXPECT_EQ(test.exit_code, kBadInput);
  EXPECT_THAT(test.err, HasSubstr("a recording cannot be tested"));
}

}  // namespace
}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
// Who is told what becomes of a run: with a web server, and programs called sendmail and
// notify-send, that keep what they get.
#include "app/teller.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "app/child.h"
#include "app/exit_code.h"
#include "app/faults.h"
#include "app/http.h"
#include "app/mock.h"
#include "db/run_store.h"
#include "experiments/engine/engine.h"
#include "tests/app/command_line.h"
#include "tests/app/http_server.h"
#include "tests/app/small_run.h"

namespace pcmlab::app {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

std::string text_of_file(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

/// Has a home and a PATH of its own, in which programs keep what they are given.
class Tell : public testing::Test {
 protected:
  Tell() {
    std::filesystem::create_directories(folder / "bin");
    setenv("HOME", (folder / "").c_str(), 1);
    for (const char* const name : {"XDG_CONFIG_HOME", "XDG_STATE_HOME"}) unsetenv(name);
    setenv("PATH", fmt::format("{}:/usr/bin:/bin", (folder / "bin").string()).c_str(), 1);
    setenv("TOLD", (folder / "").c_str(), 1);
    program("sendmail", "echo \"$@\" > \"$TOLD/mail-arguments\"; cat > \"$TOLD/mail\"");
    program("notify-send", "for a in \"$@\"; do echo \"$a\"; done > \"$TOLD/desktop\"");
  }

  void program(const std::string& name, const std::string& script) {
    const std::string path = folder.file("bin/" + name, "#!/bin/sh\n" + script + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  std::string told(const std::string& name) { return text_of_file(folder / name); }
  void own_file(const std::string& text) {
    std::filesystem::create_directories(folder / ".config/pcmlab");
    folder.file(".config/pcmlab/tell.toml", text);
  }
  CommandResult call(std::vector<std::string> arguments,
                     const std::function<void(int)>& started = {}) {
    arguments.insert(arguments.end(), {"--database", file.string(), "--quiet"});
    return pcmlab(std::move(arguments), started);
  }
  /// Events of run 1 about telling.
  std::vector<std::string> problems() {
    std::vector<std::string> problems;
    auto store = db::RunStore::open_read_only(file).value();
    const auto events = store.events(1).value();
    for (const auto& event : events) {
      if (event.text.starts_with("telling")) problems.push_back(event.text);
    }
    return problems;
  }

  TemporaryFolder folder;
  std::filesystem::path file = folder / "a.db";
};

TellSettings all_events() {
  TellSettings settings = tell_settings(ParameterValues(tell_section().parameters)).value();
  settings.limit = milliseconds(20000);
  return settings;
}

// ---- programs ----------------------------------------------------------------------------------

TEST_F(Tell, AProgramGetsItsInputAndEnvironmentAndSaysWhatWentWrong) {
  ChildJob job{{"sh", "-c", "cat > \"$TOLD/x\"; echo \"$A\" >> \"$TOLD/x\""}, {"A=b c"}, "in\n"};
  EXPECT_TRUE(run_child(job));
  EXPECT_EQ(told("x"), "in\nb c\n");
  const auto failed = run_child({{"sh", "-c", "echo one; echo two >&2; exit 3"}});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "sh ended with exit code 3: two");
  const auto missing = run_child({{"no-such-program"}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
}

TEST_F(Tell, AProgramThatHangsIsEndedWithAllThatItHasStarted) {
  ChildJob job{{"sh", "-c",
                "trap '' TERM; sh -c 'echo $$ > \"$TOLD/child\"; while :; do sleep 9; done' & "
                "while :; do sleep 9; done"}};
  std::filesystem::path child = folder / "child";
  job.limit = milliseconds(1500);
  const auto result = run_child(job);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Timeout);
  EXPECT_THAT(result.error().message, HasSubstr("was not done after 1.5 s and was ended"));
  const int pid = std::atoi(told("child").c_str());
  ASSERT_GT(pid, 0);
  // Whoever inherits it has it dead, at once or soon.
  const auto is_at_work = [pid] {
    const std::string stat = text_of_file(fmt::format("/proc/{}/stat", pid));
    const auto name_end = stat.rfind(')');
    return name_end != std::string::npos && stat.substr(name_end + 2, 1) != "Z";
  };
  while (is_at_work()) {
  }
}

TEST_F(Tell, AProgramIsNotWaitedForWhenSomebodyStops) {
  std::stop_source stop;
  stop.request_stop();
  const auto result = run_child({{"sh", "-c", "while :; do sleep 9; done"}}, stop.get_token());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Stopped);
}

TEST_F(Tell, AProgramThatNeverStopsPrintingIsEnded) {
  ChildJob job{{"sh", "-c", "while :; do echo yes; done"}};
  job.limit = milliseconds(200);
  EXPECT_EQ(run_child(job).error().code, ErrorCode::Timeout);
}

// ---- web addresses -----------------------------------------------------------------------------

TEST(TellAddress, HasAHostThatMayBeSaid) {
  EXPECT_EQ(host_of_url("https://hooks.example.org/T0/secret?x"), "hooks.example.org");
  EXPECT_EQ(host_of_url("http://ada:secret@localhost:8080"), "localhost:8080");
  EXPECT_EQ(host_of_url("ftp://x"), "");
  EXPECT_EQ(host_of_url("localhost"), "");
}

TEST(TellAddress, IsAskedAgainWhereThatMayHelp) {
  HttpServer server({503, 429, 200});
  EXPECT_TRUE(http_patiently({server.url("/x"), "{}"}));
  EXPECT_THAT(server.await(3), SizeIs(3));
}

TEST(TellAddress, IsNotAskedAgainWhenItIsTheWrongOne) {
  HttpServer server({404});
  const auto result = http_patiently({server.url("/secret"), "{}"});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("answered with HTTP status 404"));
  EXPECT_THAT(result.error().message, Not(HasSubstr("secret")));
  EXPECT_THAT(server.await(1), SizeIs(1));
}

TEST(TellAddress, ThatNeverAnswersIsLeft) {
  HttpServer server({0});
  const auto result = http({server.url("/"), "{}", milliseconds(200)});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Timeout);
}

TEST_F(Tell, KeepsWebAddressesOutOfThePlan) {
  const std::string plan = small_plan(folder);
  const std::string address = "https://hooks.example.org/T0/secret";
  const std::string changed = folder.file("told.toml", text_of_file(plan) + "[tell]\nwebhook = \"" +
                                                           address + "\" # " + address + "\n");
  const PlanSchema of_all = plan_schema({mock_section(), faults_section(), tell_section()});
  const auto kept = load_plan_to_store(changed, of_all, {});
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_THAT(kept->text, Not(HasSubstr("secret")));
  const std::string setting = kept->section("tell").text("webhook");
  EXPECT_THAT(setting, StartsWith("file:" + (folder / ".local/state/pcmlab/addresses/").string()));
  EXPECT_THAT(setting, HasSubstr("hooks.example.org"));
  const std::string place = setting.substr(5);
  EXPECT_EQ(text_of_file(place), address + "\n");
  EXPECT_EQ(std::filesystem::status(place).permissions(), std::filesystem::perms{0600});
  const std::string escaped = folder.file(
      "escaped.toml",
      text_of_file(plan) + "[tell]\nwebhook = \"https://hooks.example.org/T0/\\u0073ecret\"\n");
  const auto refused = load_plan_to_store(escaped, of_all, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("escaped characters"));
}

TEST_F(Tell, TakesFromAPersonsOwnFileWhatThePlanDoesNotSay) {
  own_file("[tell]\nmail_to = \"ada\"\ndesktop = true\nstall_s = 20\n");
  ParameterValues plan(tell_section().parameters);
  plan.set("desktop", false);
  const TellSettings settings = tell_settings(plan).value();
  EXPECT_EQ(settings.mail_to, "ada");
  EXPECT_FALSE(settings.desktop);
  EXPECT_EQ(settings.stall, milliseconds(20000));
  own_file("[tell]\nmail = \"ada\"\n");
  const auto wrong = tell_settings(plan);
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("tell.toml"));
  own_file("[tell]\nwebhook = \"localhost\"\n");
  EXPECT_THAT(tell_settings(plan).error().message, HasSubstr("is no web address"));
}

// ---- messages ----------------------------------------------------------------------------------

TEST_F(Tell, TellsInAllWays) {
  HttpServer server;
  TellSettings settings = all_events();
  settings.desktop = true;
  // Those that are meant for the tests are not the message's.
  settings.command =
      "env | grep ^PCMLAB_ | grep -Ev '^PCMLAB_(KILLS|SIGNALS|JOBS)=' | sort > \"$TOLD/command\"";
  settings.webhook = server.url("/hook");
  settings.mail_to = "ada@example.org";
  const TellFacts facts{7, "größe", "/lab/a.db", "/lab/run-7.html"};
  const auto deliveries =
      deliver(settings, facts, {TellEvent::Failed, "no <board>, 5 µS", int{kBoard}});
  ASSERT_THAT(deliveries, SizeIs(4));
  for (const Delivery& delivery : deliveries) EXPECT_TRUE(delivery.result) << delivery.by;
  EXPECT_EQ(told("desktop"),
            "--app-name=pcmlab\n--urgency=critical\n--\nrun 7 (größe) failed\nno &lt;board&gt;, 5 "
            "µS\n");
  EXPECT_EQ(told("command"),
            "PCMLAB_DATABASE=/lab/a.db\nPCMLAB_EVENT=failed\nPCMLAB_EXIT_CODE=4\n"
            "PCMLAB_MESSAGE=no <board>, 5 µS\nPCMLAB_NAME=größe\nPCMLAB_REPORT=/lab/run-7.html\n"
            "PCMLAB_RUN=7\nPCMLAB_STATE=failed\n");
  EXPECT_EQ(told("mail-arguments"), "-t -i\n");
  const std::string mail = told("mail");
  EXPECT_THAT(mail, StartsWith("To: ada@example.org\nSubject: =?utf-8?q?run=207=20=28gr=C3=B6"));
  EXPECT_THAT(mail, HasSubstr("\n\nno <board>, 5 µS\n\ndatabase  /lab/a.db\n"));
  const auto request = server.await(1).front();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/hook");
  const auto json = nlohmann::json::parse(request.body);
  EXPECT_EQ(json.at("text"), "run 7 (größe) failed: no <board>, 5 µS");
  EXPECT_EQ(json.at("event"), "failed");
  EXPECT_EQ(json.at("run"), 7);
  EXPECT_EQ(json.at("exit_code"), 4);
}

TEST_F(Tell, NotesWhatWentWrongAndTellsInTheOtherWays) {
  TellSettings settings = all_events();
  settings.desktop = true;
  settings.command = "exit 9";
  settings.mail_to = "ada";
  std::filesystem::remove(folder / "bin/notify-send");
  setenv("PATH", (folder / "bin").c_str(), 1);
  Teller teller(settings, {});
  teller.begin(1, "a");
  program("sendmail", "/bin/cat > \"$TOLD/mail\"");
  teller.finish({TellEvent::Finished, "", 0}, "");
  EXPECT_THAT(teller.take_problems(),
              ElementsAre(HasSubstr("telling by desktop: cannot start notify-send"),
                          HasSubstr("telling by command: /bin/sh ended with exit code 9")));
  EXPECT_THAT(teller.take_problems(), IsEmpty());
  EXPECT_THAT(told("mail"), HasSubstr("Subject: run 1 (a) is complete\n"));
}

TEST_F(Tell, OnlyTellsWhatIsWanted) {
  HttpServer server;
  TellSettings settings = all_events();
  settings.webhook = server.url("/");
  settings.on = {"finished"};
  Teller teller(settings, {});
  teller.begin(1, "a");
  teller.tell({TellEvent::Paused, "by Ada"});
  teller.finish({TellEvent::Finished, "", 0}, "");
  const auto requests = server.await(1);
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_THAT(requests[0].body, HasSubstr("finished"));
}

TEST_F(Tell, OfARunThatStallsAndGoesOn) {
  HttpServer server;
  TellSettings settings = all_events();
  settings.webhook = server.url("/");
  settings.stall = milliseconds(30);
  Teller teller(settings, {});
  teller.begin(1, "a");
  EXPECT_THAT(server.await(1)[0].body, HasSubstr("run 1 (a) makes no progress"));
  teller.made_progress();
  EXPECT_THAT(server.await(2)[1].body, HasSubstr("run 1 (a) goes on"));
  EXPECT_THAT(teller.take_problems(), ElementsAre(HasSubstr("nothing was measured or computed")));
}

TEST_F(Tell, OfABoardThatStaysAway) {
  HttpServer server;
  TellSettings settings = all_events();
  settings.webhook = server.url("/");
  settings.board_lost = std::chrono::hours(1);
  {
    Teller teller(settings, {});
    teller.begin(1, "a");
    teller.lost_board("unplugged");
    teller.found_board();
    teller.finish({TellEvent::Finished, "", 0}, "");
    EXPECT_THAT(server.await(1)[0].body, HasSubstr("is complete")) << "nothing before it";
  }
  settings.board_lost = milliseconds(0);
  settings.stall = milliseconds(1);
  settings.on = {"board-lost", "board-back"};
  Teller teller(settings, {});
  teller.begin(1, "a");
  teller.lost_board("unplugged");
  EXPECT_THAT(server.await(2)[1].body, HasSubstr("has lost its board: unplugged"));
  teller.made_progress();
  EXPECT_THAT(server.await(3)[2].body, HasSubstr("has its board again"));
}

TEST_F(Tell, NeverWaitsForAWayThatHangs) {
  TellSettings settings = all_events();
  settings.command = "echo $$ >> \"$TOLD/started\"; while :; do sleep 9; done";
  settings.limit = milliseconds(300);
  Teller teller(settings, {});
  teller.begin(1, "a");
  for (int i = 0; i < 200; ++i) teller.tell({TellEvent::Paused, "by Ada"});
  teller.finish({TellEvent::Finished, "", 0}, "");
  const auto problems = teller.take_problems();
  EXPECT_THAT(problems, testing::Contains(HasSubstr("messages were not sent: too many waited")));
  EXPECT_THAT(problems, testing::Contains(HasSubstr("was not done after 0.3 s and was ended")));
  EXPECT_THAT(problems, testing::Contains(HasSubstr("messages were not sent in time")));
}

TEST_F(Tell, BeatsTheHeartWhileTheRunMakesProgress) {
  HttpServer server({200, 500, 500, 200});
  TellSettings settings = all_events();
  settings.on = {};
  settings.heartbeat = milliseconds(5);
  settings.heartbeat_url = server.url("/beat");
  settings.heartbeat_file = folder / "heart";
  Teller teller(settings, {});
  teller.begin(1, "a");
  const auto requests = server.await(5);
  EXPECT_EQ(requests[0].method, "GET");
  EXPECT_EQ(requests[0].path, "/beat");
  EXPECT_TRUE(std::filesystem::exists(folder / "heart"));
  teller.finish({TellEvent::Finished, "", 0}, "");
  EXPECT_THAT(teller.take_problems(), ElementsAre(HasSubstr("HTTP status 500")))
      << "said once, until it is well again";
}

TEST_F(Tell, TheHeartOfARunThatIsStuckStops) {
  HttpServer beats, told;
  TellSettings settings = all_events();
  settings.stall = milliseconds(1);
  settings.heartbeat = milliseconds(1);
  settings.heartbeat_url = beats.url("/");
  settings.webhook = told.url("/");
  Teller teller(settings, {});
  teller.begin(1, "a");
  told.await(1);
  const std::size_t before = beats.await(0).size();
  teller.tell({TellEvent::Paused, ""});
  told.await(2);
  EXPECT_LE(beats.await(0).size(), before + 1);
}

// ---- with the program --------------------------------------------------------------------------

TEST_F(Tell, TheTestMessageSaysWhatWorks) {
  const CommandResult nobody = call({"tell", "--test"});
  EXPECT_EQ(nobody.exit_code, kBadInput);
  EXPECT_THAT(nobody.err, HasSubstr("nobody is told anything"));
  own_file("[tell]\nmail_to = \"ada\"\ncommand = \"exit 1\"\n");
  const CommandResult some = call({"tell", "--test"});
  EXPECT_EQ(some.exit_code, kCheckFailed);
  EXPECT_THAT(some.out, HasSubstr("mail             works"));
  EXPECT_THAT(some.out, HasSubstr("command          /bin/sh ended with exit code 1"));
  EXPECT_THAT(told("mail"), HasSubstr("Subject: pcmlab: a test message"));
  const CommandResult plan =
      call({"tell", "--test", small_plan(folder), "--set", "tell.command=exit 0", "--json"});
  EXPECT_EQ(plan.exit_code, kDone) << plan.out;
  EXPECT_EQ(call({"tell"}).exit_code, kUsage);
}

TEST_F(Tell, OfARunToItsEnd) {
  HttpServer server;
  const CommandResult result = call({"run", small_plan(folder, "name = \"night\"\n"), "--set",
                                     "tell.webhook=" + server.url("/secret"), "--set",
                                     "tell.report=" + (folder / "reports/").string(), "--set",
                                     "tell.heartbeat_file=" + (folder / "heart").string()});
  ASSERT_EQ(result.exit_code, kDone) << result.err;
  const auto requests = server.await(1);
  ASSERT_THAT(requests, SizeIs(1));
  const auto json = nlohmann::json::parse(requests[0].body);
  EXPECT_THAT(json.at("text").get<std::string>(), StartsWith("run 1 (night) is complete"));
  EXPECT_EQ(json.at("report"), (folder / "reports/run-1.html").string());
  EXPECT_THAT(told("reports/run-1.html"), HasSubstr("night"));
  EXPECT_TRUE(std::filesystem::exists(folder / "heart"));
  EXPECT_THAT(problems(), IsEmpty());
  EXPECT_THAT(text_of_file(file), Not(HasSubstr("secret"))) << "web addresses may be secrets";
}

TEST_F(Tell, OfAPauseAndAStop) {
  HttpServer server;
  const CommandResult result =
      call({"run", small_plan(folder), "--set", "tell.webhook=" + server.url("/"), "--set",
            "step.2.points=150"},
           [&](int) {
             while (call({"pause", "--by", "Ada"}).exit_code != kDone) {
             }
             EXPECT_THAT(server.await(1)[0].body, HasSubstr("is paused: by Ada"));
             EXPECT_EQ(call({"continue"}).exit_code, kDone);
             EXPECT_THAT(server.await(2)[1].body, HasSubstr("goes on"));
             EXPECT_EQ(call({"stop"}).exit_code, kDone);
           });
  EXPECT_EQ(result.exit_code, kStopped) << result.err;
  const auto json = nlohmann::json::parse(server.await(3)[2].body);
  EXPECT_EQ(json.at("event"), "stopped");
  EXPECT_EQ(json.at("exit_code"), kStopped);
}

TEST_F(Tell, ARunIsNotHarmedByWaysThatHangOrAreNotThere) {
  HttpServer silent({0, 0, 0, 0, 0, 0});
  const CommandResult result =
      call({"run", small_plan(folder), "--set", "tell.webhook=" + silent.url("/"), "--set",
            "tell.command=while :; do sleep 9; done", "--set", "tell.timeout_s=0.2", "--set",
            "tell.report=/proc/none/r.html"});
  EXPECT_EQ(result.exit_code, kDone) << result.err;
  EXPECT_THAT(problems(), testing::Contains(HasSubstr("telling by command: /bin/sh was not done")));
  EXPECT_THAT(problems(), testing::Contains(HasSubstr("telling by report: ")));
}

TEST_F(Tell, OfAQueuedRunThatCannotBegin) {
  const std::string plan = small_plan(folder);
  ASSERT_EQ(call({"queue", "add", plan, "--set", "tell.mail_to=ada"}).exit_code, kDone);
  std::filesystem::remove(folder / "small.onnx");
  EXPECT_EQ(call({"queue", "run"}).exit_code, kBadInput);
  EXPECT_THAT(told("mail"), HasSubstr("Subject: a run (plan) failed"));
}

}  // namespace
}  // namespace pcmlab::app

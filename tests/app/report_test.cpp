// SPDX-License-Identifier: Apache-2.0
// `pcmlab report`, the page that is mailed in the morning.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <sstream>
#include <stack>
#include <utility>

#include "app/exit_code.h"
#include "db/database.h"
#include "tests/app/command_line.h"
#include "tests/app/small_run.h"

namespace pcmlab::app {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Report : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder / name).string(); }
  CommandResult report(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"report", "--database", path("x.db")});
    return pcmlab(std::move(arguments));
  }
  std::string text_of(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name), std::ios::binary).rdbuf();
    return text.str();
  }
  int run(const std::string& section) const {
    return pcmlab({"run", small_plan(folder, section), "--quiet", "--database", path("x.db")})
        .exit_code;
  }

  TemporaryFolder folder;
};

/// The first element that is closed by another's end, or never; empty: there is none.
std::string badly_nested(const std::string& html) {
  static const std::regex tag(R"(<(/?)([a-zA-Z][a-zA-Z0-9]*)[^>]*?(/?)>)");
  std::stack<std::string> open;
  for (std::sregex_iterator it(html.begin(), html.end(), tag), end; it != end; ++it) {
    std::string name = (*it)[2];
    if (name == "meta" || (*it)[3] == "/") continue;
    if ((*it)[1] != "/") {
      open.push(std::move(name));
    } else if (open.empty() || open.top() != name) {
      return name;
    } else {
      open.pop();
    }
  }
  return open.empty() ? "" : open.top();
}

TEST_F(Report, IsOneFileWithAllThatTheRunFound) {
  ASSERT_EQ(run("name = \"night <1> & \\\"2\\\"\"\noperator = \"Zoë\"\n"), kDone);
  ASSERT_EQ(pcmlab({"note", "1", "look <here>", "--database", path("x.db")}).exit_code, kDone);
  const CommandResult result = report({"1", "-o", path("night.html")});
  ASSERT_EQ(result.exit_code, kDone) << result.err;
  EXPECT_EQ(result.out, path("night.html") + "\n");
  const std::string html = text_of("night.html");
  EXPECT_EQ(badly_nested(html), "");
  EXPECT_THAT(
      html,
      AllOf(HasSubstr("<title>Run 1: night &lt;1&gt; &amp; &quot;2&quot;</title>"),
            HasSubstr("look &lt;here&gt;"), HasSubstr("<svg"), HasSubstr(">software accuracy<"),
            HasSubstr(">GDC at 1 d<"), HasSubstr("Accuracy with the measured conductances"),
            HasSubstr("How the devices ended"), HasSubstr("<td>converged</td>"),
            HasSubstr("<h2>Sweeps</h2>"), HasSubstr("experiment = &quot;program&quot;")));
  // Nothing of it lies elsewhere: no address but those that name SVG's own words.
  EXPECT_FALSE(std::regex_search(html, std::regex(R"((src|href)="(?!#))")));
  EXPECT_THAT(html, Not(HasSubstr("@import")));
}

TEST_F(Report, TellsOfAnInterruptedRunAndOfItsFaults) {
  ASSERT_EQ(run(""), kDone);
  {
    auto database = db::Database::open(path("x.db"), db::OpenMode::ReadWriteCreate);
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->execute(
        "UPDATE run SET state = 'failed', error = 'the cable & the board'; INSERT INTO event "
        "(run_id, kind, text, utc, boottime_ns) VALUES (1, 'fault', 'the board was gone for 7 s', "
        "'2026-11-26T03:00:00.000Z', 0)"));
  }
  ASSERT_EQ(report({"1", "-o", path("x.html")}).exit_code, kDone);
  EXPECT_THAT(
      text_of("x.html"),
      AllOf(HasSubstr("<b class=\"bad\">failed</b>"), HasSubstr("the cable &amp; the board"),
            HasSubstr("the board was gone for 7 s"), HasSubstr("2026-11-26 03:00 UTC")));
}

TEST_F(Report, KeepsAFileThatIsThereAndNamesARunThatIsNot) {
  ASSERT_EQ(run(""), kDone);
  const std::string kept = folder.file("kept.html", "mine");
  EXPECT_EQ(report({"1", "-o", kept}).exit_code, kStore);
  EXPECT_EQ(text_of("kept.html"), "mine");
  EXPECT_EQ(report({"1", "-o", kept, "--force", "--quiet"}).exit_code, kDone);
  EXPECT_THAT(text_of("kept.html"), ::testing::StartsWith("<!DOCTYPE html>"));
  const CommandResult missing = report({"9", "-o", path("none.html")});
  EXPECT_EQ(missing.exit_code, kBadInput);
  EXPECT_THAT(missing.err, HasSubstr("9"));
  EXPECT_FALSE(std::filesystem::exists(path("none.html")));
}

}  // namespace
}  // namespace pcmlab::app

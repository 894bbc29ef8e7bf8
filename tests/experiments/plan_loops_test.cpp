// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/plan_loops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "experiments/engine/engine.h"

namespace pcmlab {
namespace {

using ::testing::HasSubstr;

constexpr const char* kLooped = R"(# one chip, several settings
[run]
name = "sweep"
[[loop]]                  # outer
key = "step.program.tolerance_uS"
values = [
  0.1,                    # tight
  0.25
]
[[loop]]
keys = ["network.file", "images.set"]
values = [["a.onnx", "mnist"], ["b.onnx", "fashion-mnist"], ["c.onnx", "mnist"]]
[images]
limit = 10
[[step]]
experiment = "program"
)";

std::vector<PlanRound> rounds_of(const std::string& text) {
  auto rounds = plan_rounds(text, "a.toml");
  EXPECT_TRUE(rounds) << rounds.error().message;
  return rounds ? *rounds : std::vector<PlanRound>();
}

std::string error_of(const std::string& loop) {
  const auto rounds = plan_rounds(loop, "a.toml");
  EXPECT_FALSE(rounds) << loop;
  return rounds ? std::string() : rounds.error().message;
}

TEST(PlanLoops, GiveEachKeyOneValueAfterAnotherTheLastLoopInnermost) {
  const auto rounds = rounds_of(kLooped);
  ASSERT_EQ(rounds.size(), 6u);
  EXPECT_EQ(rounds[0].name, "tolerance_uS = 0.1, file = a.onnx, set = mnist");
  EXPECT_EQ(rounds[4].name, "tolerance_uS = 0.25, file = b.onnx, set = fashion-mnist");
  for (const PlanRound& round : rounds) {
    const auto plan = parse_plan(round.text, "a.toml", plan_schema({}));
    ASSERT_TRUE(plan) << plan.error().message << round.text;
    EXPECT_EQ(plan->section("run").text("name"), "sweep: " + round.name);
  }
  const Plan last = parse_plan(rounds[5].text, "a.toml", plan_schema({})).value();
  EXPECT_EQ(last.steps[0].values.real("tolerance_uS"), 0.25);
  EXPECT_EQ(last.section("network").text("file"), "c.onnx");
  EXPECT_EQ(last.section("images").text("set"), "mnist");
  EXPECT_EQ(last.section("images").integer("limit"), 10);
}

TEST(PlanLoops, KeepTheLoopAsACommentOfEveryRun) {
  const std::string text = rounds_of(kLooped).front().text;
  EXPECT_THAT(text, HasSubstr("# one chip, several settings\n"));
  EXPECT_THAT(text, HasSubstr("# [[loop]]                  # outer\n"));
  EXPECT_THAT(text, HasSubstr("#   0.1,                    # tight\n#   0.25\n# ]\n"));
}

TEST(PlanLoops, LeaveAPlanWithoutLoopsAsItIs) {
  const std::string plain = "[run]\nname = \"one\"";
  const auto rounds = rounds_of(plain);
  ASSERT_EQ(rounds.size(), 1u);
  EXPECT_EQ(rounds[0].text, plain);
  EXPECT_EQ(rounds[0].name, "");
}

TEST(PlanLoops, NameARunThatHasNoName) {
  const auto rounds = rounds_of("[[loop]]\nkey = \"mock.seed\"\nvalues = [1, 2]\n");
  ASSERT_EQ(rounds.size(), 2u);
  EXPECT_THAT(rounds[1].text, HasSubstr("name = \"seed = 2\""));
  const auto named = rounds_of("[[loop]]\nkey = \"run.name\"\nvalues = [\"x\", \"y\"]\n");
  EXPECT_THAT(named.at(1).text, HasSubstr("name = \"y\""));
}

TEST(PlanLoops, NameKeysThatEndInTheSameWhole) {
  const auto rounds = rounds_of(
      "[[loop]]\nkeys = [\"mock.seed\", \"run.seed\"]\nvalues = [[1, 2]]\n"
      "[[loop]]\nkey = \"step.1.times_s\"\nvalues = [[1, 2.5], [1e20]]\n"
      "[[step]]\nexperiment = \"retention\"\n");
  ASSERT_EQ(rounds.size(), 2u);
  EXPECT_EQ(rounds[0].name, "mock.seed = 1, run.seed = 2, times_s = [1, 2.5]");
  EXPECT_THAT(rounds[1].text, HasSubstr("times_s = [1e+20]"));
}

TEST(PlanLoops, SayWhatIsWrongWithALoop) {
  EXPECT_THAT(error_of("loop = 3"), HasSubstr("a.toml:1, [[loop]]: loop is not a list of tables"));
  EXPECT_THAT(error_of("[[loop]]\nvalues = [1]"), HasSubstr("either key or keys"));
  EXPECT_THAT(error_of("[[loop]]\nkey = \"mock.seed\""), HasSubstr("no values"));
  EXPECT_THAT(error_of("[[loop]]\nkey = \"mock.seed\"\nvalues = []"), HasSubstr("no values"));
  EXPECT_THAT(error_of("[[loop]]\nkey = \"mock.seed\"\nvalues = [1]\nfrom = 2"),
              HasSubstr("a.toml:4, [[loop]]: there is no key \"from\""));
  EXPECT_THAT(error_of("[[loop]]\nkeys = [\"a.b\", \"c.d\"]\nvalues = [[1, 2], [3]]"),
              HasSubstr("must be a list of 2"));
  EXPECT_THAT(error_of("[[loop]]\nkey = \"seed\"\nvalues = [1]"), HasSubstr("SECTION.KEY=VALUE"));
  EXPECT_THAT(error_of("[[loop"), HasSubstr("not valid TOML"));
  std::string many = "[[loop]]\nkey = \"mock.seed\"\nvalues = [0";
  for (int i = 1; i < 101; ++i) many += ", " + std::to_string(i);
  many += "]\n";
  EXPECT_THAT(error_of(many + many), HasSubstr("more than 10000 runs"));
}

}  // namespace
}  // namespace pcmlab

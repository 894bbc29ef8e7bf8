// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/plan_edit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pcmlab {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPlan = R"(# a plan
[run]
name = "Übung µ"   # ü before and after

[mock]
seed = 1  # which chip
[images]
folder = "/data/µ"; 
)";

constexpr const char* kGoodPlan = R"(# a plan
[run]
name = "Übung µ"   # ü before and after

[mock]
seed = 1  # which chip
serial = 'A'

[[step]]
experiment = "program"
staircase_uA = [
  160, 140,  # first
  120 ]      # last
[[step]]
experiment = "retention")";

std::string changed(const std::string& assignment) {
  return with_plan_key(kGoodPlan, "a.toml", assignment).value();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(PlanEdit, ReplacesAValueAndKeepsItsComment) {
  EXPECT_EQ(changed("mock.seed=77"), replaced(kGoodPlan, "seed = 1 ", "seed = 77 "));
  EXPECT_EQ(changed("mock.serial=\"B\""), replaced(kGoodPlan, "'A'", "\"B\""));
  EXPECT_EQ(changed("run.name=short"), replaced(kGoodPlan, "\"Übung µ\"", "\"short\""));
}

TEST(PlanEdit, ReplacesAListOverSeveralLines) {
  EXPECT_EQ(changed("step.1.staircase_uA=[100, 80]"),
            replaced(kGoodPlan, "[\n  160, 140,  # first\n  120 ]", "[100, 80]"));
}

TEST(PlanEdit, TakesAKeyOutWithItsLinesAndNothingElse) {
  const auto without = [](const std::string& name) {
    return without_plan_key(kGoodPlan, "a.toml", name).value();
  };
  EXPECT_EQ(without("mock.seed"), replaced(kGoodPlan, "seed = 1  # which chip\n", ""));
  EXPECT_EQ(without("run.name"),
            replaced(kGoodPlan, "name = \"Übung µ\"   # ü before and after\n", ""));
  EXPECT_EQ(
      without("step.1.staircase_uA"),
      replaced(kGoodPlan, "staircase_uA = [\n  160, 140,  # first\n  120 ]      # last\n", ""));
  EXPECT_EQ(without("step.2.points"), kGoodPlan);
  EXPECT_EQ(without("step.3.points"), kGoodPlan);
  EXPECT_EQ(without("images.folder"), kGoodPlan);
  EXPECT_EQ(without_plan_key("[run]\nname = \"a\"", "a.toml", "run.name").value(), "[run]\n");
}

TEST(PlanEdit, LeavesAKeyThatSharesItsLine) {
  const auto refused =
      without_plan_key("run = {name = \"a\", sample = \"b\"}", "a.toml", "run.name");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "a.toml: run.name shares its line with others");
  EXPECT_FALSE(without_plan_key("[run", "a.toml", "run.name"));
  EXPECT_FALSE(without_plan_key("", "a.toml", "name"));
}

TEST(PlanEdit, AddsAKeyUnderItsSectionOrStep) {
  EXPECT_EQ(changed("mock.threads=2"), replaced(kGoodPlan, "[mock]\n", "[mock]\nthreads = 2\n"));
  EXPECT_EQ(changed("step.2.points=3"),
            replaced(kGoodPlan, "[[step]]\nexperiment = \"retention\"",
                     "[[step]]\npoints = 3\nexperiment = \"retention\""));
}

TEST(PlanEdit, AddsASectionThatIsNotThere) {
  EXPECT_EQ(changed("faults.lost_replies=0.01"),
            std::string(kGoodPlan) + "\n\n[faults]\nlost_replies = 0.01\n");
}

TEST(PlanEdit, WhatIsNoTomlIsAText) {
  EXPECT_THAT(changed("run.operator=R. \"Q\" \\ S"),
              HasSubstr("operator = \"R. \\\"Q\\\" \\\\ S\""));
  EXPECT_THAT(changed("run.operator="), HasSubstr("operator = \"\""));
  EXPECT_THAT(changed("run.operator=1\n[mock]"), HasSubstr("operator = \""));
}

TEST(PlanEdit, AValueIsOneValueAndNoMore) {
  EXPECT_THAT(changed("run.operator=1 # one"), HasSubstr("operator = \"1 # one\""));
  EXPECT_THAT(changed("run.operator=a\nb\t"), HasSubstr("operator = \"a\\u000Ab\\u0009\""));
  EXPECT_THAT(changed("run.operator=[1,"), HasSubstr("operator = \"[1,\""));
}

TEST(PlanEdit, RefusesToAddWhereTheKeyWouldNotArrive) {
  for (const char* plan : {"mock = { seed = 1 }\n", "mock.seed = 1\n"}) {
    EXPECT_TRUE(with_plan_key(plan, "a.toml", "mock.seed=2")) << plan;
    const auto added = with_plan_key(plan, "a.toml", "mock.threads=2");
    ASSERT_FALSE(added) << plan;
    EXPECT_EQ(added.error().code, ErrorCode::BadPlan);
    EXPECT_THAT(added.error().message, HasSubstr("--set mock.threads=2"));
  }
}

TEST(PlanEdit, RefusesWhatIsNoAssignment) {
  for (const char* wrong : {"", "=", "seed=1", "mock.seed", ".seed=1", "mock.=1", "step.seed=1",
                            "step.0.points=1", "step.2x.points=1", "mo ck.seed=1", "a.b.c=1"}) {
    const auto result = with_plan_key(kGoodPlan, "a.toml", wrong);
    ASSERT_FALSE(result) << wrong;
    EXPECT_EQ(result.error().code, ErrorCode::BadPlan);
    EXPECT_THAT(result.error().message, HasSubstr("SECTION.KEY=VALUE"));
  }
  const auto step = with_plan_key(kGoodPlan, "a.toml", "step.3.points=1");
  ASSERT_FALSE(step);
  EXPECT_THAT(step.error().message, HasSubstr("has 2 steps"));
}

TEST(PlanEdit, NamesAStepByItsExperiment) {
  const std::string steps =
      "[[step]]\nexperiment = \"program\"\n"
      "[[step]]\nexperiment = \"retention\"\npoints = 3\n"
      "[[step]]\nexperiment = \"program\"\n";
  const auto changed = with_plan_key(steps, "a.toml", "step.retention.points=9");
  ASSERT_TRUE(changed) << changed.error().message;
  EXPECT_THAT(*changed, HasSubstr("points = 9"));
  const auto twice = with_plan_key(steps, "a.toml", "step.program.tolerance_uS=1");
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message, HasSubstr("more than one step"));
  const auto none = with_plan_key(steps, "a.toml", "step.accuracy.precision=auto");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("no step with experiment = \"accuracy\""));
}

TEST(PlanEdit, RefusesATextThatIsNotToml) {
  const auto result = with_plan_key(kPlan, "a.toml", "mock.seed=1");
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("a.toml:8: not valid TOML"));
}

}  // namespace
}  // namespace pcmlab

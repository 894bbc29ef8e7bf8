// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "experiments/engine/engine.h"

namespace pcmlab {
namespace {

using testing::HasSubstr;

Result<Plan> parse(const std::string& text) { return parse_plan(text, "x.toml", plan_schema({})); }

Error error_of(const std::string& text) {
  const Result<Plan> plan = parse(text);
  EXPECT_FALSE(plan) << text;
  return plan ? Error{} : plan.error();
}

TEST(Plan, KeepsItsTextWithComments) {
  const std::string text = "# overnight\n[[step]]\nexperiment = \"retention\"  # a day\n";
  const Result<Plan> plan = parse(text);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->text, text);
  ASSERT_EQ(plan->steps.size(), 1u);
  EXPECT_EQ(plan->steps[0].experiment, "retention");
  EXPECT_EQ(plan->steps[0].values.real("last_s"), 86400);
}

TEST(Plan, TakesAnIntegerWhereARealIsMeant) {
  const Result<Plan> plan = parse("[[step]]\nexperiment = \"program\"\ntolerance_uS = 1\n");
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->steps[0].values.real("tolerance_uS"), 1.0);
}

TEST(Plan, NamesTheNearestKeyForAMisspeltOne) {
  const Error error = error_of("[[step]]\nexperiment = \"program\"\ntolerence_uS = 0.2\n");
  EXPECT_EQ(error.code, ErrorCode::BadPlan);
  EXPECT_THAT(error.message, HasSubstr("x.toml:3"));
  EXPECT_THAT(error.message, HasSubstr("tolerence_uS"));
  EXPECT_THAT(error.advice, HasSubstr("\"tolerance_uS\""));
}

TEST(Plan, NamesTheKeyWithTheRightUnit) {
  const Error error = error_of("[[step]]\nexperiment = \"program\"\npulse_width_us = 0.4\n");
  EXPECT_THAT(error.advice, HasSubstr("\"pulse_width_ns\""));
}

TEST(Plan, RefusesAValueOutsideItsRangeAndNamesTheRange) {
  const Error error = error_of("[[step]]\nexperiment = \"program\"\nmax_amplitude_uA = 4000\n");
  EXPECT_EQ(error.code, ErrorCode::BadPlan);
  EXPECT_THAT(error.message, HasSubstr("max_amplitude_uA = 4000 is outside 0 .. 650 uA"));
}

TEST(Plan, RefusesNotANumber) {
  EXPECT_THAT(error_of("[[step]]\nexperiment = \"program\"\ntolerance_uS = nan\n").message,
              HasSubstr("outside"));
}

TEST(Plan, RefusesAValueOutsideItsRangeInsideAList) {
  EXPECT_THAT(error_of("[[step]]\nexperiment = \"program\"\nstaircase_uA = [100, 999]\n").message,
              HasSubstr("staircase_uA = 999"));
}

TEST(Plan, RefusesAValueOfAnotherType) {
  EXPECT_THAT(error_of("[[step]]\nexperiment = \"program\"\ntolerance_uS = \"0.25\"\n").message,
              HasSubstr("must be a real"));
  EXPECT_THAT(error_of("[[step]]\nexperiment = \"program\"\nmax_iterations = 5.5\n").message,
              HasSubstr("must be an integer"));
  for (const char* wrong : {"\"fc\"", "[1, 2]"}) {
    EXPECT_THAT(error_of("[network]\ndigital_layers = " + std::string(wrong) +
                         "\n[[step]]\nexperiment = \"program\"\n")
                    .message,
                HasSubstr("must be a list of texts"));
  }
}

TEST(Plan, TakesAListOfTexts) {
  const Result<Plan> plan = parse(
      "[network]\ndigital_layers = [\"conv1\", \"fc\"]\n[[step]]\nexperiment = \"program\"\n");
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->section("network").texts("digital_layers"),
            (std::vector<std::string>{"conv1", "fc"}));
}

TEST(Plan, NamesTheNearestExperimentAndSectionAndChoice) {
  EXPECT_THAT(error_of("[[step]]\nexperiment = \"retension\"\n").advice, HasSubstr("retention"));
  EXPECT_THAT(error_of("[imags]\n[[step]]\nexperiment = \"program\"\n").advice,
              HasSubstr("images"));
  EXPECT_THAT(
      error_of("[images]\nset = \"fashion_mnist\"\n[[step]]\nexperiment = \"program\"\n").advice,
      HasSubstr("fashion-mnist"));
}

TEST(Plan, RefusesAPlanWithoutSteps) {
  EXPECT_THAT(error_of("[run]\nname = \"x\"\n").message, HasSubstr("no [[step]]"));
  EXPECT_THAT(error_of("").message, HasSubstr("no [[step]]"));
  EXPECT_THAT(error_of("[step]\nexperiment = \"program\"\n").message, HasSubstr("not a list"));
  EXPECT_THAT(error_of("[[step]]\n").message, HasSubstr("no experiment"));
}

TEST(Plan, NamesTheLineOfASyntaxError) {
  const Error error = error_of("[run]\nname = \n");
  EXPECT_EQ(error.code, ErrorCode::BadPlan);
  EXPECT_THAT(error.message, HasSubstr("x.toml:2"));
}

TEST(Plan, SurvivesBytesThatAreNoText) {
  EXPECT_EQ(error_of(std::string("\xff\xfe\x00\x01", 4)).code, ErrorCode::BadPlan);
}

TEST(Plan, SaysWhichFileIsMissing) {
  const Result<Plan> plan = load_plan("/nowhere/p.toml", plan_schema({}));
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::NotFound);
  EXPECT_THAT(plan.error().message, HasSubstr("/nowhere/p.toml"));
}

/// What `pcmlab describe` prints is itself a plan, and says nothing but the defaults.
TEST(Plan, EveryDescriptionIsAValidPlanOfDefaults) {
  const PlanSchema schema = plan_schema({});
  std::string text;
  for (const ParameterTable& section : schema.sections) text += describe_as_toml(section, false);
  for (const ParameterTable& experiment : schema.experiments) {
    text += describe_as_toml(experiment, true);
  }
  const Result<Plan> plan = parse(text);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->steps.size(), schema.experiments.size());
  for (std::size_t i = 0; i < plan->steps.size(); ++i) {
    EXPECT_EQ(plan->steps[i].values.all(), ParameterValues(schema.experiments[i].parameters).all());
  }
}

TEST(PlanSchema, EveryParameterHasHelpAndAUnitInItsName) {
  for (const ExperimentInfo* info : experiments()) {
    for (const Parameter& parameter : info->table.parameters) {
      EXPECT_FALSE(parameter.help.empty()) << parameter.name;
      const bool plain = parameter.unit.empty() || parameter.unit == "samples" ||
                         parameter.unit == "images" || parameter.unit == "devices" ||
                         parameter.unit == "verifies";
      std::string ending = "_" + parameter.unit;
      if (const auto slash = ending.find('/'); slash != std::string::npos) {
        ending.replace(slash, 1, "_per_");
      }
      EXPECT_TRUE(plain || parameter.name.ends_with(ending)) << parameter.name;
    }
  }
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/exit_code.h"
#include "tests/app/command_line.h"

namespace pcmlab::app {
namespace {

using testing::HasSubstr;

TEST(ChipFile, ListsTheBuiltInChips) {
  const CommandResult list = pcmlab({"chips"});
  EXPECT_EQ(list.exit_code, kDone);
  EXPECT_THAT(list.out, HasSubstr("joshi-2020"));
  EXPECT_THAT(list.out, HasSubstr("256 x 256"));
  const auto json = nlohmann::json::parse(pcmlab({"chips", "--json"}).out);
  EXPECT_EQ(json.at(1).at("name"), "hermes");
  EXPECT_EQ(json.at(1).at("g_max_uS"), 20.7);
}

TEST(ChipFile, WhatIsWrittenReadsBackTheSame) {
  const TemporaryFolder folder;
  for (const char* name : {"joshi-2020", "hermes", "hermes-single"}) {
    const CommandResult written = pcmlab({"chips", name});
    ASSERT_EQ(written.exit_code, kDone);
    const std::string file = folder.file("chip.toml", written.out);
    EXPECT_EQ(pcmlab({"chips", file}).out, written.out) << name;
  }
}

TEST(ChipFile, AFileStartsFromThePresetItNames) {
  const TemporaryFolder folder;
  const std::string file =
      folder.file("mine.toml", "[chip]\npreset = \"hermes\"\n[parameters]\nadc_step_uS = 0.125\n");
  const CommandResult chip = pcmlab({"chips", file});
  ASSERT_EQ(chip.exit_code, kDone) << chip.err;
  EXPECT_THAT(chip.out, HasSubstr("name = \"mine\""));
  EXPECT_THAT(chip.out, HasSubstr("word_lines = 256"));
  EXPECT_THAT(chip.out, HasSubstr("adc_step_uS = 0.125"));
  EXPECT_THAT(chip.out, HasSubstr("noise_read_time_s = 5.12e-07"));
  EXPECT_THAT(chip.out, HasSubstr("[drift]"));
}

TEST(ChipFile, BadFilesSayWhereAndWhat) {
  const TemporaryFolder folder;
  const auto error_of = [&](const std::string& text) {
    const CommandResult result = pcmlab({"chips", folder.file("bad.toml", text)});
    EXPECT_EQ(result.exit_code, kBadInput) << text;
    return result.err;
  };
  EXPECT_THAT(error_of("[chip\n"), HasSubstr("bad.toml:1: not valid TOML"));
  EXPECT_THAT(error_of("[chips]\n"), HasSubstr("did you mean \"chip\"?"));
  EXPECT_THAT(error_of("[parameters]\nmelt_ful_uA = 3\n"),
              HasSubstr("did you mean \"melt_full_uA\"?"));
  EXPECT_THAT(error_of("[parameters]\nadc_step_uS = -1\n"), HasSubstr("is outside 0.001 .. 10 uS"));
  EXPECT_THAT(error_of("[chip]\npreset = \"jupiter\"\n"), HasSubstr("joshi-2020, hermes"));
  EXPECT_THAT(error_of("[noise]\nconductance_uS = [1, 2]\nrelative_noise = [0.1]\n"),
              HasSubstr("table noise: has 2 points and 1 means"));
  EXPECT_THAT(error_of("[drift]\nconductance_uS = [2, 1]\nexponent = [0.1, 0.1]\n"
                       "exponent_spread = [0, 0]\n"),
              HasSubstr("table drift: point 2 does not lie above the one before"));
  const CommandResult absent = pcmlab({"chips", "no-such-chip"});
  EXPECT_EQ(absent.exit_code, kBadInput);
  EXPECT_THAT(absent.err, HasSubstr("built in are: joshi-2020, hermes, hermes-single"));
}

}  // namespace
}  // namespace pcmlab::app

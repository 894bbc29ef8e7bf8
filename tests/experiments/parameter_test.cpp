// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/parameter.h"

#include <gtest/gtest.h>

namespace pcmlab {
namespace {

TEST(NearestName, FindsAMisspeltName) {
  const std::vector<std::string> known{"tolerance_uS", "max_iterations", "pulse_width_ns"};
  EXPECT_EQ(nearest_name("tolerence_uS", known), "tolerance_uS");
  EXPECT_EQ(nearest_name("max_iteration", known), "max_iterations");
  EXPECT_EQ(nearest_name("pulse_width_us", known), "pulse_width_ns");
}

TEST(NearestName, SaysNothingWhenNothingIsNear) {
  const std::vector<std::string> known{"tolerance_uS"};
  EXPECT_EQ(nearest_name("zz", known), "");
}

TEST(ParameterValues, BeginWithTheDefaults) {
  const std::vector<Parameter> table{real("a_s", "s", 1.5, 0, 9, ""),
                                     integer("n", "", 7, 0, 9, ""),
                                     boolean("b", true, ""),
                                     text("t", "x", ""),
                                     reals("l_uA", "uA", {1, 2}, 0, 9, ""),
                                     texts("w", {"y", "z"}, "")};
  const ParameterValues values(table);
  EXPECT_EQ(values.real("a_s"), 1.5);
  EXPECT_EQ(values.integer("n"), 7);
  EXPECT_TRUE(values.boolean("b"));
  EXPECT_EQ(values.text("t"), "x");
  EXPECT_EQ(values.reals("l_uA"), (std::vector<double>{1, 2}));
  EXPECT_EQ(values.to_json(),
            R"({"a_s":1.5,"b":true,"l_uA":[1.0,2.0],"n":7,"t":"x","w":["y","z"]})");
  EXPECT_EQ(values.texts("w"), (std::vector<std::string>{"y", "z"}));
  EXPECT_EQ(to_toml(values.all().at("w")), R"(["y", "z"])");
}

TEST(ParameterValues, KeepTheDefaultsOfAnEarlierTime) {
  const std::vector<Parameter> table{real("a_s", "s", 1.5, 0, 9, ""), real("b_s", "s", 2, 0, 9, ""),
                                     integer("n", "", 7, 0, 9, ""),   boolean("new", true, ""),
                                     text("was_a_number", "x", ""),   texts("w", {"y", "z"}, "")};
  ParameterValues values(table);
  values.set("b_s", 3.0);
  EXPECT_EQ(values.keep_defaults_of(
                R"({"a_s":10.0,"b_s":4.0,"n":8,"gone":1,"was_a_number":5,"w":["y"]})"),
            (std::vector<std::string>{"a_s = 10", "n = 8", R"(w = ["y"])"}));
  EXPECT_EQ(values.real("a_s"), 10);
  EXPECT_EQ(values.real("b_s"), 3) << "somebody said so";
  EXPECT_EQ(values.integer("n"), 8);
  EXPECT_TRUE(values.boolean("new"));
  EXPECT_EQ(values.text("was_a_number"), "x");
  EXPECT_TRUE(ParameterValues(table).keep_defaults_of("no JSON").empty());
}

TEST(Parameter, DescribesItsRangeWithItsUnit) {
  EXPECT_EQ(range_text(real("a_s", "s", 1, 0, 9, "")), "0 .. 9 s");
  EXPECT_EQ(range_text(text("t", "x", "", {"x", "y"})), "x | y");
  EXPECT_EQ(range_text(boolean("b", true, "")), "");
}

}  // namespace
}  // namespace pcmlab

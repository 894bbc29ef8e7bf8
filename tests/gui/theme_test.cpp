// SPDX-License-Identifier: Apache-2.0
#include "app/gui/theme.h"

#include <gtest/gtest.h>

#include "app/gui/format.h"

namespace pcmlab::gui {
namespace {

class Themes : public testing::TestWithParam<const Theme*> {};

TEST_P(Themes, HaveTextsWithAContrastOfFourAndAHalf) {
  const Theme& colours = *GetParam();
  for (const QColor& ground : {colours.window, colours.rail, colours.surface, colours.hover}) {
    EXPECT_GE(contrast(colours.text, ground), 4.5) << ground.name().toStdString();
  }
  for (const QColor& ground : {colours.window, colours.surface}) {
    EXPECT_GE(contrast(colours.soft_text, ground), 4.5) << ground.name().toStdString();
    for (const QColor& state :
         {colours.running, colours.complete, colours.stopped, colours.failed}) {
      EXPECT_GE(contrast(state, ground), 4.5) << state.name().toStdString();
    }
  }
  EXPECT_GE(contrast(colours.on_accent, colours.accent), 4.5);
  EXPECT_GE(contrast(colours.error_text, colours.error_bar), 4.5);
}

TEST_P(Themes, HaveCurvesThatStandOutFromTheirGround) {
  for (const QColor& curve : GetParam()->series) {
    EXPECT_GE(contrast(curve, GetParam()->surface), 3) << curve.name().toStdString();
  }
}

INSTANTIATE_TEST_SUITE_P(LightAndDark, Themes, testing::Values(&light_theme(), &dark_theme()));

TEST(Contrast, IsThatOfTheWebGuidelines) {
  EXPECT_NEAR(contrast(Qt::white, Qt::black), 21, 1e-9);
  EXPECT_NEAR(contrast(QColor("#767676"), Qt::white), 4.54, 0.01);
  EXPECT_DOUBLE_EQ(contrast(Qt::red, Qt::red), 1);
}

TEST(Texts, AreInUnitsThatPeopleUse) {
  EXPECT_EQ(duration_text(25).toStdString(), "25\u00a0s");
  EXPECT_EQ(duration_text(5400).toStdString(), "1.5\u00a0h");
  EXPECT_EQ(duration_text(86400).toStdString(), "1\u00a0d");
  EXPECT_EQ(duration_text(0.25).toStdString(), "250\u00a0ms");
  EXPECT_EQ(quantity_text(1.23e-4, "V").toStdString(), "123\u00a0µV");
  EXPECT_EQ(quantity_text(-2.5e3, "Ω").toStdString(), "−2.5\u00a0kΩ");
  EXPECT_EQ(count_text(723444).toStdString(), "723\u202f444");
  EXPECT_EQ(count_text(-1000).toStdString(), "−1\u202f000");
  EXPECT_EQ(count_text(12).toStdString(), "12");
}

}  // namespace
}  // namespace pcmlab::gui

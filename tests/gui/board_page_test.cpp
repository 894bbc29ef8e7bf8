// SPDX-License-Identifier: Apache-2.0
#include "app/gui/board_page.h"

#include <QLabel>
#include <QListWidget>
#include <QPushButton>
#include <QTableWidget>

#include "app/gui/error_bar.h"
#include "app/gui/theme.h"
#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

class BoardPageTest : public Desktop {
 protected:
  void open_page() {
    make_run("one");
    window().set_runner(PCMLAB_PROGRAM);
    open_window();
    page<BoardPage>("Board");
  }
};

TEST_F(BoardPageTest, TellsWhatABoardSaysOfItself) {
  open_page();
  auto& boards = widget<QListWidget>("Boards");
  ASSERT_GE(boards.count(), 1);
  EXPECT_TRUE(boards.item(0)->text().startsWith("mock  MOCK0001"));
  const QString facts = widget<QLabel>("BoardFacts").text();
  EXPECT_TRUE(facts.contains("512 × 2048 lines")) << facts.toStdString();
  EXPECT_TRUE(facts.contains("mock 1.0"));
  for (const char* name :
       {"Temperature", "Calibration", "Queue", "Busy", "Up", "Pulses", "Limits"}) {
    EXPECT_TRUE(facts.contains(QString(">%1<").arg(name))) << name;
  }
  EXPECT_TRUE(facts.contains("µS a code")) << facts.toStdString();
  EXPECT_GT(widget<QTableWidget>("Findings").rowCount(), 3) << "what pcmlab doctor says";
}

TEST_F(BoardPageTest, HoldsTheBoardAgainstTheSpecification) {
  open_page();
  widget<QPushButton>("SelfTest").click();
  EXPECT_FALSE(widget<QPushButton>("SelfTest").isEnabled());
  settle();
  auto& checks = widget<QTableWidget>("Checks");
  EXPECT_GT(checks.rowCount(), 50);
  EXPECT_TRUE(widget<QLabel>("SelfTestResult").text().contains("passed, 0 failed"));
  EXPECT_EQ(checks.item(0, 1)->text(), "pass");
  EXPECT_FALSE(checks.item(0, 2)->text().isEmpty());
}

TEST_F(BoardPageTest, ShowsWhatItWasToldInTheColoursOfTheTheme) {
  open_page();
  widget<QPushButton>("SelfTest").click();
  settle();
  for (const bool dark : {true, false}) {
    window().set_theme(dark);
    const Theme& colours = dark ? dark_theme() : light_theme();
    EXPECT_TRUE(widget<QLabel>("BoardFacts").text().contains(colours.soft_text.name()));
    EXPECT_TRUE(widget<QLabel>("SelfTestResult").styleSheet().contains(colours.complete.name()));
    EXPECT_EQ(widget<QTableWidget>("Checks").item(0, 1)->foreground().color(), colours.complete);
    EXPECT_GT(widget<QTableWidget>("Findings").rowCount(), 3);
  }
}

TEST_F(BoardPageTest, EndsATestWhenAskedTo) {
  open_page();
  widget<QPushButton>("SelfTest").click();
  widget<QPushButton>("EndSelfTest").click();
  settle();
  EXPECT_EQ(widget<QLabel>("SelfTestResult").text(), "ended");
  EXPECT_EQ(window().error_bar().message(), "");
  EXPECT_TRUE(widget<QPushButton>("SelfTest").isEnabled());
}

}  // namespace
}  // namespace pcmlab::gui

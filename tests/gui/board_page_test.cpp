// SPDX-License-Identifier: Apache-2.0
#include "app/gui/board_page.h"

#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPushButton>
#include <QTableWidget>
#include <QTest>
#include <algorithm>

#include "app/gui/error_bar.h"
#include "app/gui/mock_form.h"
#include "app/gui/new_run_page.h"
#include "app/gui/plan_form.h"
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
  MockForm& mock() { return *ours<MockForm>(*window().page()).front(); }
  void enter(const std::string& section, const std::string& key, const QString& value) {
    auto* line = qobject_cast<QLineEdit*>(mock().form(section).field(key));
    ASSERT_NE(line, nullptr) << key;
    line->setFocus();
    line->selectAll();
    QTest::keyClicks(line, value);
    QTest::keyClick(line, Qt::Key_Return);
    settle();
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

TEST_F(BoardPageTest, AsksAndTestsTheMockBoardThatIsChosen) {
  open_page();
  EXPECT_FALSE(widget<QPushButton>("MockDefaults").isEnabled());
  enter("mock", "serial", "B7");
  enter("mock", "word_lines", "8");
  const auto name = [this] { return widget<QListWidget>("Boards").item(0)->text(); };
  EXPECT_EQ(name(), "mock  B7");
  EXPECT_TRUE(widget<QLabel>("BoardFacts").text().contains("8 × 2048 lines"));
  enter("faults", "reference_error", "0.3");
  EXPECT_EQ(name(), "mock  B7  – cannot be used") << "it cannot be calibrated";
  widget<QPushButton>("SelfTest").click();
  settle();
  EXPECT_TRUE(widget<QLabel>("SelfTestResult").text().contains(", 1 failed"))
      << widget<QLabel>("SelfTestResult").text().toStdString();
  widget<QPushButton>("MockDefaults").click();
  settle();
  EXPECT_EQ(name(), "mock  MOCK0001");
}

TEST_F(BoardPageTest, SaysAtTheKeyWhatIsWrongWithTheMockBoardAndKeepsTheOneBefore) {
  open_page();
  enter("mock", "seed", "-1");
  const auto errors = mock().form("mock").findChildren<QLabel*>("FieldError");
  EXPECT_TRUE(std::any_of(errors.begin(), errors.end(),
                          [](QLabel* each) { return each->text().contains("seed"); }));
  EXPECT_TRUE(mock().assignments().empty());
  enter("mock", "chip", "no-such-chip");
  EXPECT_TRUE(widget<QLabel>("BoardFacts").text().contains("no-such-chip"));
}

TEST_F(BoardPageTest, WritesItsMockBoardIntoThePlanOfANewRun) {
  open_page();
  enter("mock", "seed", "77");
  enter("mock", "chip", "hermes");
  widget<QPushButton>("RunOnMock").click();
  const auto* page = dynamic_cast<NewRunPage*>(window().page());
  ASSERT_NE(page, nullptr);
  EXPECT_NE(page->plan_text().find("seed = 77\n"), std::string::npos) << page->plan_text();
  EXPECT_NE(page->plan_text().find("chip = \"hermes\"\n"), std::string::npos);
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

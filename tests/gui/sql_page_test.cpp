// SPDX-License-Identifier: Apache-2.0
#include "app/gui/sql_page.h"

#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QTableView>
#include <QTest>

#include "app/gui/error_bar.h"
#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

class SqlPageTest : public Desktop {
 protected:
  void open_page() {
    make_run("one");
    open_window();
    page<SqlPage>("SQL");
  }
  void ask(const char* sql) {
    auto& text = widget<QPlainTextEdit>("SqlText");
    text.setPlainText(sql);
    QTest::keyClick(&text, Qt::Key_Return, Qt::ControlModifier);
    settle();
  }
  QAbstractItemModel& rows() { return *widget<QTableView>("SqlRows").model(); }
  QString cell(int row, int column) { return rows().index(row, column).data().toString(); }
};

TEST_F(SqlPageTest, ShowsTheRowsOfAQueryWithARowADevice) {
  open_page();
  ask("SELECT verdict, count(*) AS devices FROM programmed_device GROUP BY verdict ORDER BY 2 "
      "DESC");
  ASSERT_GE(rows().rowCount(), 2);
  EXPECT_EQ(rows().headerData(1, Qt::Horizontal).toString(), "devices");
  EXPECT_EQ(cell(0, 0).toStdString(), "reset");
  EXPECT_EQ(cell(0, 1).toInt(), 1194) << "half of the devices are of the other polarity";
  EXPECT_TRUE(widget<QLabel>("SqlStatus").text().contains("rows in"));
}

TEST_F(SqlPageTest, AsksANamedQuestionOfTheRunThatIsShown) {
  open_page();
  auto& questions = widget<QListWidget>("Plain");
  for (int i = 0; i < questions.count(); ++i) {
    if (questions.item(i)->text() != "accuracy") continue;
    QTest::mouseClick(questions.viewport(), Qt::LeftButton, {},
                      questions.visualItemRect(questions.item(i)).center());
  }
  settle();
  EXPECT_EQ(widget<QLineEdit>("Parameterrun").text(), "1");
  EXPECT_GT(rows().rowCount(), 8);
  const PlotContent& plot = plot_of(*window().page(), "Plot");
  EXPECT_EQ(plot.series.size(), 3) << "a curve for each compensation";
  EXPECT_EQ(plot.x.scale, Scale::Time);
  EXPECT_NE(plot.source.find("SELECT"), std::string::npos);
}

TEST_F(SqlPageTest, DrawsAnyTwoColumns) {
  open_page();
  ask("SELECT target_uS, error_uS, verdict FROM programmed_device WHERE verdict = 'converged'");
  auto& y = widget<QComboBox>("PlotY");
  y.setCurrentIndex(y.findText("error_uS"));
  Q_EMIT y.activated(y.currentIndex());
  const PlotContent& plot = plot_of(*window().page(), "Plot");
  EXPECT_EQ(plot.y.unit, "µS");
  EXPECT_GT(plot.series.at(0).x.size(), 1000);
  EXPECT_EQ(plot.series.at(0).mark, Mark::Points);
}

TEST_F(SqlPageTest, SaysWhatIsWrongWithTheSqlAndRefusesToWrite) {
  open_page();
  ask("SELECT g_uS FROM nowhere");
  EXPECT_TRUE(window().error_bar().message().contains("nowhere"));
  ask("DELETE FROM run_note");
  EXPECT_TRUE(window().error_bar().message().contains("run_note"));
  EXPECT_EQ(rows().rowCount(), 0);
}

TEST_F(SqlPageTest, StopsAQueryThatWouldTakeForever) {
  open_page();
  auto& text = widget<QPlainTextEdit>("SqlText");
  text.setPlainText(
      "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");
  QTest::keyClick(&text, Qt::Key_Return, Qt::ControlModifier);
  for (QPushButton* button : window().page()->findChildren<QPushButton*>()) {
    if (button->text() == "Stop") button->click();
  }
  settle();
  EXPECT_EQ(widget<QLabel>("SqlStatus").text().toStdString(), "stopped");
}

TEST_F(SqlPageTest, RemembersWhatWasAsked) {
  open_page();
  ask("SELECT 42 AS answer");
  EXPECT_EQ(cell(0, 0), "42");
  auto& questions = widget<QListWidget>("Plain");
  EXPECT_EQ(questions.item(questions.count() - 1)->text().toStdString(), "SELECT 42 AS answer");
}

TEST(QueryRows, BecomeCsvWithTheirQuestion) {
  QueryRows rows{.sql = "SELECT :a\nAS b",
                 .values = {{"a", "x"}},
                 .database = "lab.db",
                 .columns = {"b", "c"},
                 .rows = {}};
  rows.rows = {{std::string("one, \"two\""), 2.5}, {db::Null{}, std::int64_t{-3}}};
  EXPECT_EQ(to_csv(rows),
            "# lab.db\n# SELECT :a\n# AS b\n# :a = x\nb,c\n\"one, \"\"two\"\"\",2.5\n,-3\n");
}

TEST(SqlParameters, AreFoundOutsideOfTexts) {
  EXPECT_EQ(parameters_of("SELECT ':no' WHERE a = :run AND b = :run OR c = :dev_1"),
            (std::vector<std::string>{"run", "dev_1"}));
}

}  // namespace
}  // namespace pcmlab::gui

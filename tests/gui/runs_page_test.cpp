// SPDX-License-Identifier: Apache-2.0
#include "app/gui/runs_page.h"

#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QTableView>
#include <QTest>

#include "app/gui/error_bar.h"
#include "db/run_store.h"
#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

class RunsPageTest : public Desktop {
 protected:
  /// Three runs without a chip, in this process.
  void make_runs() {
    store_.emplace(std::move(db::RunStore::open(database()).value()));
    add("alpha", "chip 1", db::RunState::Complete);
    add("beta", "chip 2", db::RunState::Failed);
    add("gamma", "chip 2", db::RunState::Complete);
  }
  db::RowId add(const std::string& name, const std::string& sample,
                std::optional<db::RunState> end) {
    db::RunStart start;
    start.name = name;
    start.sample = sample;
    start.plan_text = "# " + name + "\n";
    const db::RowId run = store_->begin_run(start).value();
    if (end) {
      EXPECT_TRUE(store_->finish_run(run, *end, *end == db::RunState::Failed ? "no board" : ""));
    }
    return run;
  }
  QTableView& table() { return widget<QTableView>("RunsTable"); }
  QString cell(int row, int column) {
    return table().model()->index(row, column).data().toString();
  }

  std::optional<db::RunStore> store_;
};

TEST_F(RunsPageTest, ShowsTheNewestRunFirstAndItsDetails) {
  make_run("small one");
  open_window();
  page<RunsPage>("Runs");
  ASSERT_EQ(table().model()->rowCount(), 1);
  EXPECT_EQ(cell(0, RunsModel::Name), "small one");
  EXPECT_EQ(cell(0, RunsModel::State), "complete");
  QString all;
  for (const QLabel* label : window().findChildren<QLabel*>()) all += label->text();
  EXPECT_TRUE(all.contains("1\u202f194")) << "weights";
  EXPECT_TRUE(all.contains("Converged"));
  EXPECT_TRUE(all.contains("retention"));
}

TEST_F(RunsPageTest, HasUnderEveryTitleWhatItSays) {
  make_runs();
  open_window();
  page<RunsPage>("Runs");
  const auto under = [&](const char* title) {
    const QAbstractItemModel& model = *table().model();
    for (int column = 0; column < model.columnCount(); ++column) {
      if (model.headerData(column, Qt::Horizontal).toString() == title) {
        return cell(1, column).toStdString();
      }
    }
    return std::string("no such title");
  };
  EXPECT_EQ(under("Run"), "2");
  EXPECT_EQ(under("State"), "failed");
  EXPECT_EQ(under("Name"), "beta");
  EXPECT_EQ(under("Chip"), "chip 2");
  EXPECT_EQ(under("Network"), "");
  EXPECT_EQ(under("Notes"), "");
  EXPECT_NE(under("Took").find('s'), std::string::npos);
}

TEST_F(RunsPageTest, FindsRunsByWordsAndByPlace) {
  make_runs();
  ASSERT_TRUE(store_->add_tags(1, std::vector<std::string>{"paper"}, "me"));
  open_window();
  page<RunsPage>("Runs");
  auto& search = widget<QLineEdit>("RunsSearch");
  const auto found = [&](const char* words) {
    search.setText(words);
    QStringList names;
    for (int row = 0; row < table().model()->rowCount(); ++row) names << cell(row, RunsModel::Name);
    return names.join(' ').toStdString();
  };
  EXPECT_EQ(found(""), "gamma beta alpha");
  EXPECT_EQ(found("chip:2"), "gamma beta");
  EXPECT_EQ(found("chip:2 state:fail"), "beta");
  EXPECT_EQ(found("tag:paper"), "alpha");
  EXPECT_EQ(found("PAPER"), "alpha");
  EXPECT_EQ(found("tag:beta"), "");
  search.clear();
  table().sortByColumn(RunsModel::Name, Qt::AscendingOrder);
  EXPECT_EQ(cell(0, RunsModel::Name), "alpha");
}

TEST_F(RunsPageTest, ShowsTheRunOfTheRowThatIsClickedOnAllPages) {
  make_runs();
  open_window();
  page<RunsPage>("Runs");
  EXPECT_EQ(window().lab().run, 3);
  const QRect beta = table().visualRect(table().model()->index(1, RunsModel::Name));
  QTest::mouseClick(table().viewport(), Qt::LeftButton, {}, beta.center());
  EXPECT_EQ(window().lab().run, 2);
  settle();
  QString all;
  for (const QLabel* label : window().findChildren<QLabel*>()) all += label->text();
  EXPECT_TRUE(all.contains("no board")) << "why it failed";
}

TEST_F(RunsPageTest, KeepsNotesAndTags) {
  make_runs();
  open_window();
  page<RunsPage>("Runs");
  auto& tags = widget<QLineEdit>("RunTags");
  QTest::keyClicks(&tags, "paper warm");
  QTest::keyClick(&tags, Qt::Key_Return);
  ASSERT_TRUE(wait_until([&] { return store_->run(3)->tags.size() == 2; }));
  settle();
  tags.selectAll();
  QTest::keyClicks(&tags, "warm");
  QTest::keyClick(&tags, Qt::Key_Return);
  ASSERT_TRUE(wait_until([&] { return store_->run(3)->tags == std::vector<std::string>{"warm"}; }));

  widget<QPlainTextEdit>("NewNote").setPlainText("the probe was lifted at 3 o'clock");
  widget<QPushButton>("AddNote").click();
  ASSERT_TRUE(wait_until([&] { return store_->notes(3)->size() == 1; }));
  EXPECT_EQ(store_->notes(3)->front().text, "the probe was lifted at 3 o'clock");
  EXPECT_TRUE(widget<QPlainTextEdit>("NewNote").toPlainText().isEmpty());
}

TEST_F(RunsPageTest, SaysWhyATagWasNotKept) {
  make_runs();
  open_window();
  page<RunsPage>("Runs");
  auto& tags = widget<QLineEdit>("RunTags");
  QTest::keyClicks(&tags, "a,b");
  QTest::keyClick(&tags, Qt::Key_Return);
  ASSERT_TRUE(wait_until([&] { return !window().error_bar().message().isEmpty(); }));
  EXPECT_TRUE(window().error_bar().message().contains("a,b"));
  EXPECT_TRUE(store_->run(3)->tags.empty());
}

TEST_F(RunsPageTest, AsksTheRunnerToStop) {
  make_runs();
  const db::RowId run = add("live", "chip 3", std::nullopt);
  ASSERT_TRUE(store_->set_progress(run, {"programming, iteration 3", 43, 100, 90}));
  open_window();
  page<RunsPage>("Runs");
  EXPECT_EQ(cell(0, RunsModel::State), "running, 43 %");
  for (QPushButton* button : window().page()->findChildren<QPushButton*>()) {
    if (button->text() != "Stop") continue;
    EXPECT_TRUE(button->isVisible());
    button->click();
  }
  ASSERT_TRUE(wait_until([&] {
    return store_->database().query_integer("SELECT count(*) FROM run_command").value() == 1;
  }));
  auto asked = store_->database().prepare("SELECT run_id, command, taken_utc FROM run_command");
  ASSERT_TRUE(asked->step().value());
  EXPECT_EQ(asked->integer(0), run);
  EXPECT_EQ(asked->text(1), "stop");
  EXPECT_TRUE(asked->is_null(2));
  EXPECT_TRUE(wait_until([&] {
    QString all;
    for (const QLabel* label : window().page()->findChildren<QLabel*>()) all += label->text();
    return all.contains("asked to stop by") && all.contains("not seen by the runner yet");
  }));
}

}  // namespace
}  // namespace pcmlab::gui

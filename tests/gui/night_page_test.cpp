// SPDX-License-Identifier: Apache-2.0
#include "app/gui/night_page.h"

#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QTableWidget>
#include <QTest>
#include <csignal>
#include <fstream>
#include <iterator>

#include "app/gui/error_bar.h"
#include "app/gui/new_run_page.h"
#include "tests/app/small_run.h"
#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

class NightPageTest : public Desktop {
 protected:
  ~NightPageTest() override {
    // A test that failed leaves nobody behind.
    if (const auto process = queue_process(database())) {
      ::kill(static_cast<pid_t>(process->pid), SIGKILL);
    }
  }
  void open_page() {
    make_run("first");
    window().set_runner(PCMLAB_PROGRAM);
    open_window();
    page<NightPage>("Night");
  }
  void add(const std::string& name, const std::string& more = {}) {
    const std::string plan = app::small_plan(folder_, "name = \"" + name + "\"\n" + more);
    const app::CommandResult added =
        app::pcmlab({"queue", "add", plan, "--database", database().string()});
    ASSERT_EQ(added.exit_code, 0) << added.err;
  }
  QTableWidget& table() { return widget<QTableWidget>("Queue"); }
  QString cell(int row, const QString& title) {
    for (int column = 0; column < table().columnCount(); ++column) {
      if (table().horizontalHeaderItem(column)->text() != title) continue;
      const QTableWidgetItem* item = table().item(row, column);
      return item == nullptr ? QString() : item->text();
    }
    throw std::runtime_error("no column " + title.toStdString());
  }
  QStringList names() {
    QStringList all;
    for (int row = 0; row < table().rowCount(); ++row) all << cell(row, "Name");
    return all;
  }
  bool shows(const QStringList& wanted) {
    return wait_until([&] { return names() == wanted; });
  }
  void choose(int row) {
    table().selectRow(row);
    table().setFocus();
  }
  void click(const char* button) { widget<QPushButton>(button).click(); }
  /// Other pages have buttons of these names as well.
  QPushButton& here(const char* button) {
    return *window().page()->findChild<QPushButton*>(button);
  }
  /// What the log of the run says, newest first.
  QString log() {
    auto& shown = widget<QTableWidget>("NightLog");
    QString all;
    for (int row = 0; row < shown.rowCount(); ++row) {
      all += shown.item(row, 1)->text() + ": " + shown.item(row, 2)->text() + "\n";
    }
    return all;
  }
};

TEST_F(NightPageTest, ShowsWhatWaitsAndWhatItTakes) {
  open_page();
  EXPECT_TRUE(widget<QLabel>("QueueSaid").text().startsWith("The queue is empty"));
  add("one");
  add("two");
  ASSERT_TRUE(shows({"one", "two"}));
  settle();
  EXPECT_EQ(cell(0, "#"), "1");
  EXPECT_EQ(cell(0, "State"), "waiting");
  EXPECT_EQ(cell(0, "Steps"), "program, retention, accuracy");
  EXPECT_EQ(cell(0, "Board"), "mock MOCK0001");
  EXPECT_EQ(cell(0, "Begins"), "at the start");
  EXPECT_TRUE(cell(0, "Takes").endsWith("s")) << cell(0, "Takes").toStdString();
  EXPECT_TRUE(cell(1, "Begins").endsWith(" later")) << cell(1, "Begins").toStdString();
  EXPECT_EQ(widget<QLabel>("QueueWorker").text(), "nobody works it off");
}

TEST_F(NightPageTest, ChangesTheOrderByButtonsAndKeys) {
  open_page();
  for (const char* name : {"one", "two", "three"}) add(name);
  ASSERT_TRUE(shows({"one", "two", "three"}));
  choose(2);
  click("QueueUp");
  ASSERT_TRUE(shows({"one", "three", "two"}));
  EXPECT_EQ(table().currentRow(), 1) << "what moves stays chosen";
  QTest::keyClick(&table(), Qt::Key_Up, Qt::AltModifier);
  ASSERT_TRUE(shows({"three", "one", "two"}));
  EXPECT_FALSE(widget<QPushButton>("QueueUp").isEnabled());
  QTest::keyClick(&table(), Qt::Key_Down, Qt::AltModifier);
  ASSERT_TRUE(shows({"one", "three", "two"}));
}

TEST_F(NightPageTest, PutsBackWhatWasTakenOutWhereItWas) {
  open_page();
  for (const char* name : {"one", "two", "three"}) add(name);
  ASSERT_TRUE(shows({"one", "two", "three"}));
  choose(1);
  QTest::keyClick(&table(), Qt::Key_Delete);
  ASSERT_TRUE(shows({"one", "three"}));
  settle();
  EXPECT_EQ(widget<QLabel>("QueueSaid").text(), "Taken out: two");
  click("QueuePutBack");
  ASSERT_TRUE(shows({"one", "two", "three"}));
  settle();
  EXPECT_FALSE(widget<QPushButton>("QueuePutBack").isVisible());
}

TEST_F(NightPageTest, AddsPlansThatMayBeginLater) {
  open_page();
  widget<QLineEdit>("NotBefore").setText("2031-05-04 02:00");
  dynamic_cast<NightPage&>(*window().page())
      .add_to_queue({QString::fromStdString((folder_ / "plan.toml").string())}, folder_ / "");
  ASSERT_TRUE(shows({"first"}));
  settle();
  EXPECT_TRUE(cell(0, "Begins").contains("4 May 02:00")) << cell(0, "Begins").toStdString();
  EXPECT_EQ(widget<QLineEdit>("NotBefore").text(), "") << "the next is for any time";
}

TEST_F(NightPageTest, SaysWhatIsWrongWithAPlanInTheBarAtTheTop) {
  open_page();
  const auto plan = folder_.file("bad.toml", "[run]\nnam = \"x\"\n");
  dynamic_cast<NightPage&>(*window().page())
      .add_to_queue({QString::fromStdString(plan)}, folder_ / "");
  ASSERT_TRUE(wait_until([&] { return !window().error_bar().message().isEmpty(); }));
  EXPECT_TRUE(window().error_bar().message().contains("nam"));
  EXPECT_TRUE(names().isEmpty());
}

TEST_F(NightPageTest, TakesTheRunsOfAPlanWithLoopsFromThePageForANewRun) {
  open_page();
  auto& editor = page<NewRunPage>("New run");
  editor.set_plan(
      "[run]\nname = \"sweep\"\n[[loop]]\nkey = \"mock.seed\"\nvalues = [1, 2]\n"
      "[[step]]\nexperiment = \"program\"\n",
      folder_ / "");
  click("IntoTheQueue");
  page<NightPage>("Night");
  ASSERT_TRUE(wait_until([&] { return table().rowCount() == 2; }));
  EXPECT_TRUE(cell(1, "Name").startsWith("sweep")) << cell(1, "Name").toStdString();
}

TEST_F(NightPageTest, WorksOffTheQueueInAProcessOfItsOwnAndFollowsItsRuns) {
  open_page();
  add("one");
  add("two");
  ASSERT_TRUE(shows({"one", "two"}));
  click("StartQueue");
  ASSERT_TRUE(wait_until([&] { return widget<QPushButton>("EndQueue").isVisible(); }));
  ASSERT_TRUE(wait_until([&] { return cell(1, "State") == "done"; }));
  EXPECT_EQ(cell(0, "State"), "done");
  EXPECT_EQ(cell(1, "Run"), "3");
  EXPECT_TRUE(wait_until([&] { return window().lab().run == 3; })) << "the run that began last";
  EXPECT_TRUE(wait_until([&] { return log().contains("ended: complete"); })) << log().toStdString();
  EXPECT_TRUE(log().contains("step: step 2, retention, began"));
  EXPECT_LT(log().indexOf("ended: complete"), log().indexOf("began the run")) << "newest first";

  // It waits for more, and ends when it is asked to.
  const auto process = queue_process(database());
  ASSERT_TRUE(process);
  EXPECT_FALSE(process->is_service);
  click("EndQueue");
  ASSERT_TRUE(wait_until([&] { return widget<QPushButton>("StartQueue").isVisible(); }));
  EXPECT_EQ(window().error_bar().message(), "");
}

TEST_F(NightPageTest, GoesOnWithARunThatWasInterruptedAndShowsItsReads) {
  open_page();
  // So many reads that it is still at them when it is killed.
  const std::string plan = app::small_plan(folder_, "name = \"long\"\n");
  std::string words;
  {
    std::ifstream in(plan);
    words.assign(std::istreambuf_iterator<char>(in), {});
  }
  words.replace(words.find("points = 8"), 10, "points = 4000");
  folder_.file("plan.toml", words);
  ASSERT_EQ(app::pcmlab({"queue", "add", plan, "--database", database().string()}).exit_code, 0);
  ASSERT_TRUE(shows({"long"}));
  click("StartQueue");
  auto& reads = widget<QTableWidget>("ComingReads");
  ASSERT_TRUE(wait_until([&] {
    const FollowedRun* run = window().lab().followed_run();
    return run != nullptr && run->row.name == "long" && reads.rowCount() > 0 &&
           reads.rowCount() < 4000;
  }));
  EXPECT_TRUE(widget<QLabel>("NightNextRead").text().startsWith("Next read at "))
      << widget<QLabel>("NightNextRead").text().toStdString();
  const auto process = queue_process(database());
  ASSERT_TRUE(process);
  ::kill(static_cast<pid_t>(process->pid), SIGKILL);
  ASSERT_TRUE(wait_until([&] { return cell(0, "State") == "to go on"; }));
  ASSERT_TRUE(wait_until([&] { return widget<QPushButton>("StartQueue").isVisible(); }));
  ASSERT_TRUE(wait_until([&] { return here("RunResume").isVisible(); }));
  EXPECT_GT(reads.rowCount(), 0) << "what it will read when it goes on";
  here("RunResume").click();
  ASSERT_TRUE(wait_until([&] { return log().contains("went on with the run"); }));
  EXPECT_TRUE(log().contains("gap: "));
  here("RunStop").click();
  ASSERT_TRUE(wait_until([&] { return cell(0, "State") == "stopped"; }));
  EXPECT_TRUE(wait_until([&] { return log().contains("asked: stop"); })) << log().toStdString();
}

}  // namespace
}  // namespace pcmlab::gui

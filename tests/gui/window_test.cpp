// SPDX-License-Identifier: Apache-2.0
#include <QAccessible>
#include <QApplication>
#include <QDropEvent>
#include <QMimeData>
#include <QProcess>
#include <QSettings>
#include <QTableView>
#include <QTest>
#include <QUrl>

#include "app/gui/error_bar.h"
#include "app/gui/main_window.h"
#include "app/gui/theme.h"
#include "tests/app/small_run.h"
#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

class WindowTest : public Desktop {};

TEST_F(WindowTest, SaysWhatToDoWhileNothingIsOpen) {
  EXPECT_EQ(window().page(), nullptr);
  QString all;
  for (const QWidget* shown : window().findChildren<QWidget*>()) {
    if (shown->isVisible()) all += shown->property("text").toString();
  }
  EXPECT_TRUE(all.contains("Open a results database"));
  EXPECT_TRUE(all.contains("pcmlab.db"));
}

TEST_F(WindowTest, SaysWhatIsWrongWithAFileAndGoesOn) {
  window().open(folder_.file("notes.txt", "not a database at all, but long enough to be read"));
  ASSERT_TRUE(wait_until([&] { return !window().error_bar().message().isEmpty(); }));
  EXPECT_TRUE(window().error_bar().message().contains("notes.txt"));
  EXPECT_TRUE(window().error_bar().message().contains("What to do"));
  EXPECT_EQ(QApplication::activeModalWidget(), nullptr);

  make_run("later");
  open_window();
  EXPECT_TRUE(window().error_bar().message().isEmpty());
  EXPECT_EQ(window().lab().snapshot->runs.size(), 1);
}

TEST_F(WindowTest, OpensAFileThatIsDroppedAndRemembersIt) {
  make_run("dropped");
  QMimeData file;
  file.setUrls({QUrl::fromLocalFile(QString::fromStdString(database().string()))});
  QDragEnterEvent enter({10, 10}, Qt::CopyAction, &file, Qt::LeftButton, Qt::NoModifier);
  QApplication::sendEvent(&window(), &enter);
  EXPECT_TRUE(enter.isAccepted());
  QDropEvent drop({10, 10}, Qt::CopyAction, &file, Qt::LeftButton, Qt::NoModifier);
  QApplication::sendEvent(&window(), &drop);
  ASSERT_TRUE(wait_until([&] { return window().lab().snapshot != nullptr; }));
  EXPECT_EQ(window().lab().followed_run()->row.name, "dropped");
  EXPECT_EQ(QSettings().value("recent").toStringList(),
            QStringList{QString::fromStdString(database().string())});
}

TEST_F(WindowTest, ComesBackWithTheThemeAndThePageThatWereLeft) {
  make_run("one");
  open_window();
  QTest::keyClick(&window(), Qt::Key_D, Qt::ControlModifier);
  EXPECT_EQ(theme().kind, ThemeKind::Dark);
  window().show_page(1);
  window().resize(1100, 700);
  window().close();
  window_ = std::make_unique<MainWindow>();
  window_->show();
  open_window();
  EXPECT_EQ(theme().kind, ThemeKind::Dark);
  EXPECT_EQ(window().page(), window().pages()[1]);
  EXPECT_EQ(window().width(), 1100);
}

TEST_F(WindowTest, NamesEveryControl) {
  make_run("one");
  open_window();
  for (std::size_t i = 0; i < window().pages().size(); ++i) {
    window().show_page(static_cast<int>(i));
    settle();
    for (QWidget* control : window().findChildren<QWidget*>()) {
      if (!control->isVisible() || (control->focusPolicy() & Qt::TabFocus) == 0) continue;
      if (control->inherits("QTabBar") || control->inherits("QScrollArea")) continue;
      const QAccessibleInterface* told = QAccessible::queryAccessibleInterface(control);
      ASSERT_NE(told, nullptr);
      EXPECT_FALSE(told->text(QAccessible::Name).isEmpty())
          << control->metaObject()->className() << " " << control->objectName().toStdString()
          << " on " << window().pages()[i]->title().toStdString();
    }
  }
}

TEST_F(WindowTest, FollowsARunOfAnotherProcessToItsEnd) {
  make_run("first");
  open_window();
  QProcess runner;
  runner.start(PCMLAB_PROGRAM, {"run", QString::fromStdString((folder_ / "plan.toml").string()),
                                "--database", QString::fromStdString(database().string())});
  EXPECT_TRUE(wait_until([&] {
    const FollowedRun* run = window().lab().snapshot->find(2);
    return run != nullptr && run->row.state == db::RunState::Complete;
  }));
  EXPECT_EQ(widget<QTableView>("RunsTable").model()->rowCount(), 2);
  EXPECT_TRUE(wait_until([&] { return runner.state() == QProcess::NotRunning; }));
  EXPECT_EQ(runner.exitCode(), 0);
}

TEST_F(WindowTest, DiesWithoutHarmToARun) {
  make_run("first");
  QProcess runner;
  runner.start(PCMLAB_PROGRAM, {"run", QString::fromStdString((folder_ / "plan.toml").string()),
                                "--database", QString::fromStdString(database().string())});
  int killed = 0;
  while (runner.state() != QProcess::NotRunning && killed < 50) {
    QProcess gui;
    gui.start(PCMLAB_GUI_PROGRAM, {QString::fromStdString(database().string())});
    ASSERT_TRUE(wait_until([&] { return gui.state() == QProcess::Running; }));
    wait_until(
        [&, looks = 0]() mutable { return ++looks > 8 || runner.state() == QProcess::NotRunning; });
    gui.kill();
    ASSERT_TRUE(wait_until([&] { return gui.state() == QProcess::NotRunning; }));
    ++killed;
  }
  ASSERT_TRUE(wait_until([&] { return runner.state() == QProcess::NotRunning; }));
  EXPECT_EQ(runner.exitCode(), 0) << runner.readAllStandardError().toStdString();
  EXPECT_GT(killed, 0);
  EXPECT_EQ(app::pcmlab({"verify", "--database", database().string()}).exit_code, 0);
}

TEST_F(WindowTest, TakesPicturesOfEveryPage) {
  make_run("one");
  QProcess gui;
  const QString folder = QString::fromStdString((folder_ / "pictures").string());
  gui.start(PCMLAB_GUI_PROGRAM,
            {"--screenshots", folder, QString::fromStdString(database().string())});
  ASSERT_TRUE(wait_until([&] { return gui.state() == QProcess::NotRunning; }));
  EXPECT_EQ(gui.exitCode(), 0) << gui.readAllStandardError().toStdString();
  for (const Page* page : window().pages()) {
    EXPECT_LE(page->minimumSizeHint().width(), 900) << page->title().toStdString();
  }
  for (const Page* page : window().pages()) {
    for (const char* kind :
         {"1280x800-light", "1280x800-dark", "1920x1080-light", "1920x1080-dark"}) {
      const QString file =
          folder + "/" + page->title().toLower().replace(' ', '-') + "-" + kind + ".png";
      const QImage picture(file);
      EXPECT_EQ(picture.width(), QString(kind).section('x', 0, 0).toInt()) << file.toStdString();
    }
  }
}

}  // namespace
}  // namespace pcmlab::gui

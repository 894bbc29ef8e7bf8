// SPDX-License-Identifier: Apache-2.0
#include "tests/gui/desktop.h"

#include <QApplication>
#include <QElapsedTimer>
#include <QSettings>
#include <QTimer>

#include "app/gui/plot_view.h"
#include "tests/app/small_run.h"

namespace pcmlab::gui {

bool wait_until(const std::function<bool()>& so) {
  constexpr int kLongest_ms = 60'000;
  // Wakes the event loop, so that what no event tells of is seen as well.
  QTimer heartbeat;
  heartbeat.start(20);
  QElapsedTimer timer;
  timer.start();
  while (!so()) {
    if (timer.hasExpired(kLongest_ms)) return false;
    QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents | QEventLoop::AllEvents);
    QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
  }
  return true;
}

const PlotContent& plot_of(const Page& page, const QString& name) {
  for (const PlotView* view : ours<PlotView>(page)) {
    if (view->accessibleName() == name) return view->content();
  }
  throw std::runtime_error("no plot " + name.toStdString());
}

Desktop::Desktop() {
  QSettings::setDefaultFormat(QSettings::IniFormat);
  QSettings::setPath(QSettings::IniFormat, QSettings::UserScope,
                     QString::fromStdString((folder_ / "settings").string()));
  window_ = std::make_unique<MainWindow>();
  window_->resize(1280, 800);
  window_->show();
}

Desktop::~Desktop() = default;

void Desktop::make_run(const std::string& name) {
  const std::string plan = app::small_plan(folder_, "name = \"" + name + "\"\n");
  const app::CommandResult run =
      app::pcmlab({"run", plan, "--database", database().string(), "--quiet"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
}

void Desktop::open_window() {
  window_->open(database());
  ASSERT_TRUE(wait_until([&] { return window_->lab().snapshot != nullptr; }));
  settle();
}

void Desktop::settle() {
  ASSERT_TRUE(
      wait_until([&] { return window_->page() == nullptr || window_->page()->is_settled(); }));
}

Page& Desktop::show_page(const QString& title) {
  const auto& pages = window_->pages();
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (pages[i]->title() != title) continue;
    window_->show_page(static_cast<int>(i));
    settle();
    return *pages[i];
  }
  throw std::runtime_error("no page " + title.toStdString());
}

}  // namespace pcmlab::gui

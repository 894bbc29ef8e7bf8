// SPDX-License-Identifier: Apache-2.0
#include "app/gui/screenshots.h"

#include <QCoreApplication>
#include <QDir>
#include <QElapsedTimer>
#include <QPixmap>

#include "app/gui/error_bar.h"
#include "app/gui/main_window.h"

namespace pcmlab::gui {
namespace {

constexpr int kLongestWait_ms = 60'000;

/// Lets the window work until it has what it shows.
Result<void> settle(MainWindow& window, const std::function<bool()>& done) {
  QElapsedTimer timer;
  timer.start();
  while (!done()) {
    if (timer.hasExpired(kLongestWait_ms)) {
      return fail(ErrorCode::Timeout,
                  "taking pictures of " + window.lab().database.string() +
                      ": a page did not get its data in a minute: " +
                      window.error_bar().message().toStdString(),
                  "open the database with pcmlab-gui, or check it with `pcmlab verify`");
    }
    QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents | QEventLoop::AllEvents, 20);
    QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
  }
  QCoreApplication::processEvents();
  return {};
}

}  // namespace

Result<void> take_screenshots(MainWindow& window, const std::filesystem::path& folder) {
  const QString where = QString::fromStdString(folder.string());
  QDir().mkpath(where);
  PCM_TRY(settle(window, [&] { return window.lab().snapshot != nullptr; }));
  for (const bool dark : {false, true}) {
    window.set_theme(dark);
    for (const QSize size : {QSize(1280, 800), QSize(1920, 1080)}) {
      window.resize(size);
      for (int i = 0; i < static_cast<int>(window.pages().size()); ++i) {
        window.show_page(i);
        PCM_TRY(settle(window, [&] { return window.page()->is_settled(); }));
        window.page()->show_example();
        PCM_TRY(settle(window, [&] { return window.page()->is_settled(); }));
        const QString file = QString("%1/%2-%3x%4-%5.png")
                                 .arg(where, window.page()->title().toLower().replace(' ', '-'))
                                 .arg(size.width())
                                 .arg(size.height())
                                 .arg(dark ? "dark" : "light");
        if (!window.grab().save(file)) {
          return fail(ErrorCode::Io, "writing the picture " + file.toStdString(),
                      "is the folder writable, and is there room?");
        }
      }
    }
  }
  return {};
}

}  // namespace pcmlab::gui

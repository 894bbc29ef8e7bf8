// SPDX-License-Identifier: Apache-2.0
/// \file
/// `pcmlab-gui`, the desktop program.
#include <QApplication>
#include <QCommandLineParser>
#include <QElapsedTimer>
#include <QSettings>
#include <QTemporaryDir>
#include <QTimer>
#include <cstdio>

#include "app/build_info.h"
#include "app/exit_code.h"
#include "app/gui/main_window.h"
#include "app/gui/screenshots.h"

namespace pcmlab::gui {
namespace {

int run(int argc, char** argv) {
  QElapsedTimer since_start;
  since_start.start();
  QApplication::setAttribute(Qt::AA_EnableHighDpiScaling);
  QApplication::setAttribute(Qt::AA_UseHighDpiPixmaps);
  QApplication application(argc, argv);
  QApplication::setOrganizationName("pcmlab");
  QApplication::setApplicationName("pcmlab");
  QApplication::setApplicationVersion(app::kVersion);

  QCommandLineParser parser;
  parser.setApplicationDescription("Follows and shows what pcmlab measures.");
  parser.addHelpOption();
  parser.addVersionOption();
  parser.addPositionalArgument("DATABASE|PLAN", "results database, or a plan (TOML) for a new run",
                               "[DATABASE|PLAN]...");
  const QCommandLineOption screenshots("screenshots", "writes a picture of every page and ends",
                                       "FOLDER");
  const QCommandLineOption timing("time-to-window", "says when the window was there, and ends");
  parser.addOption(screenshots);
  parser.addOption(timing);
  parser.process(application);

  // Pictures are of a window that nobody has arranged, with letters of the usual size.
  const QTemporaryDir fresh;
  if (parser.isSet(screenshots)) {
    QSettings::setDefaultFormat(QSettings::IniFormat);
    QSettings::setPath(QSettings::IniFormat, QSettings::UserScope, fresh.path());
    QFont font = QApplication::font();
    font.setPointSizeF(10);
    QApplication::setFont(font);
  }
  MainWindow window;
  std::filesystem::path file, plan;
  for (const QString& argument : parser.positionalArguments()) {
    (argument.endsWith(".toml", Qt::CaseInsensitive) ? plan : file) = argument.toStdString();
  }
  if (file.empty()) {
    const QStringList recent = QSettings().value("recent").toStringList();
    std::error_code ignored;
    for (const QString& known : recent + QStringList{QString::fromStdString(default_database())}) {
      if (file.empty() && std::filesystem::exists(known.toStdString(), ignored)) {
        file = known.toStdString();
      }
    }
  }
  if (!file.empty()) window.open(file);
  if (!plan.empty()) window.open_plan(plan, default_database());
  window.show();
  if (parser.isSet(screenshots)) {
    const auto taken = take_screenshots(window, parser.value(screenshots).toStdString());
    if (taken) return app::kDone;
    std::fprintf(stderr, "pcmlab-gui: %s\n  what to do: %s\n", taken.error().message.c_str(),
                 taken.error().advice.c_str());
    return app::kStore;
  }
  if (parser.isSet(timing)) {
    QTimer::singleShot(0, &window, [&] {
      window.repaint();
      std::printf("window after %lld ms\n", static_cast<long long>(since_start.elapsed()));
      QApplication::quit();
    });
  }
  return QApplication::exec();
}

}  // namespace
}  // namespace pcmlab::gui

int main(int argc, char** argv) { return pcmlab::gui::run(argc, argv); }

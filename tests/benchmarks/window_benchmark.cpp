// SPDX-License-Identifier: Apache-2.0
// What the desktop program makes a person wait for, on a database of one's own, such as one that
// tests/benchmarks/make_nights has made:
//
//     window_benchmark DATABASE [--benchmark_filter=...]
//
// Without a screen (QT_QPA_PLATFORM=offscreen) unless told otherwise. A page's time is from its
// being chosen in a new window until it shows its data; `frames` zooms and drags the map of the
// array, and its time is the 95th percentile. `peak_MB` is resident memory so far. `follows` runs
// the main job with two sweeps twice, alone and with the page for programming shown meanwhile:
// `slower` is the ratio of the two, which on a machine of two cores that the mock chip keeps busy
// has most of the window's own time in it; `gui_core` is the window's share of a core.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <QApplication>
#include <QMouseEvent>
#include <QProcess>
#include <QSettings>
#include <QTemporaryDir>
#include <QWheelEvent>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/gui/array_view.h"
#include "app/gui/main_window.h"

namespace pcmlab::gui {
namespace {

using Clock = std::chrono::steady_clock;
constexpr QSize kWindow(1920, 1080);
constexpr int kRounds = 5;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// \return false: it was not so in two minutes.
bool wait_until(const std::function<bool()>& so) {
  constexpr double kLongest_s = 120;
  const auto begin = Clock::now();
  while (!so()) {
    if (seconds_since(begin) > kLongest_s) return false;
    QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents | QEventLoop::AllEvents, 1);
    QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
  }
  return true;
}

/// A new window with the database open and its first page filled.
std::unique_ptr<MainWindow> open_window(const std::filesystem::path& file) {
  auto window = std::make_unique<MainWindow>();
  window->resize(kWindow);
  window->open(file);
  window->show();
  const bool there = wait_until([&] {
    return window->lab().snapshot != nullptr && window->page() != nullptr &&
           window->page()->is_settled();
  });
  if (!there) return nullptr;
  window->repaint();
  return window;
}

void report_memory(benchmark::State& state) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  state.counters["peak_MB"] = static_cast<double>(usage.ru_maxrss) / 1000;
}

void opens(benchmark::State& state, const std::filesystem::path& file) {
  for (auto _ : state) {
    const auto begin = Clock::now();
    const auto window = open_window(file);
    if (!window) state.SkipWithError("no window");
    state.SetIterationTime(seconds_since(begin));
  }
  report_memory(state);
}

void shows(benchmark::State& state, const std::filesystem::path& file, int page) {
  for (auto _ : state) {
    const auto window = open_window(file);
    if (!window) {
      state.SkipWithError("no window");
      break;
    }
    const auto begin = Clock::now();
    window->show_page(page);
    if (!wait_until([&] { return window->page()->is_settled(); })) state.SkipWithError("no data");
    window->repaint();
    state.SetIterationTime(seconds_since(begin));
  }
  report_memory(state);
}

ArrayView* array_of(const QWidget& page) {
  for (QWidget* each : page.findChildren<QWidget*>()) {
    if (auto* view = dynamic_cast<ArrayView*>(each)) return view;
  }
  return nullptr;
}

/// One of a person's movements on the map: zooming in, dragging, zooming out.
void move(ArrayView& view, int frame) {
  constexpr int kFramesOfOne = 20;
  const QPointF middle = view.rect().center();
  const int of_one = frame % kFramesOfOne;
  const int kind = frame / kFramesOfOne % 3;
  if (kind != 1) {
    const QPoint turn(0, kind == 0 ? 30 : -30);
    QWheelEvent wheel(middle, view.mapToGlobal(middle.toPoint()), {}, turn, Qt::NoButton,
                      Qt::NoModifier, Qt::NoScrollPhase, false);
    QCoreApplication::sendEvent(&view, &wheel);
    return;
  }
  const QPointF place = middle + QPointF(7.0 * of_one, 3.0 * of_one);
  const auto type = of_one == 0                  ? QEvent::MouseButtonPress
                    : of_one == kFramesOfOne - 1 ? QEvent::MouseButtonRelease
                                                 : QEvent::MouseMove;
  QMouseEvent mouse(type, place, Qt::LeftButton, Qt::LeftButton, Qt::NoModifier);
  QCoreApplication::sendEvent(&view, &mouse);
}

void frames(benchmark::State& state, const std::filesystem::path& file, int page) {
  constexpr int kFrames = 300;
  const auto window = open_window(file);
  for (auto _ : state) {
    if (window) window->show_page(page);
    ArrayView* const view = window ? array_of(*window->page()) : nullptr;
    if (view == nullptr || !wait_until([&] { return window->page()->is_settled(); })) {
      state.SkipWithError("no array");
      break;
    }
    std::vector<double> times_s;
    for (int frame = 0; frame < kFrames; ++frame) {
      const auto begin = Clock::now();
      move(*view, frame);
      view->repaint();
      times_s.push_back(seconds_since(begin));
      QCoreApplication::processEvents();
    }
    std::ranges::sort(times_s);
    state.counters["median_ms"] = 1000 * times_s[times_s.size() / 2];
    state.SetIterationTime(times_s[times_s.size() * 95 / 100]);
  }
  report_memory(state);
}

double cpu_s_of_this_process() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// How long the job takes, while `window`, if there is one, follows it.
double seconds_of_job(const std::filesystem::path& file, MainWindow* window) {
  QProcess run;
  run.setStandardErrorFile(QProcess::nullDevice());
  run.setStandardOutputFile(QProcess::nullDevice());
  const auto begin = Clock::now();
  run.start(PCMLAB_PROGRAM,
            {"--database", QString::fromStdString(file.string()), "--quiet", "run", PCMLAB_MAIN_JOB,
             "--set", "images.limit=200", "--set", "step.retention.points=2", "--set",
             "step.accuracy.while_reading=false"});
  if (window != nullptr) {
    wait_until([&] { return std::filesystem::exists(file); });
    window->open(file);
    for (int page = 0; page < static_cast<int>(window->pages().size()); ++page) {
      const bool wanted = window->pages()[static_cast<std::size_t>(page)]->title() == "Programming";
      if (wanted) window->show_page(page);
    }
  }
  while (run.state() != QProcess::NotRunning) {
    QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents | QEventLoop::AllEvents);
    QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
  }
  return seconds_since(begin);
}

void follows(benchmark::State& state) {
  const QTemporaryDir folder;
  const std::filesystem::path files = folder.path().toStdString();
  for (auto _ : state) {
    const double alone_s = seconds_of_job(files / "alone.db", nullptr);
    MainWindow window;
    window.resize(kWindow);
    window.show();
    const double cpu_s = cpu_s_of_this_process();
    const double followed_s = seconds_of_job(files / "followed.db", &window);
    state.counters["gui_core"] = (cpu_s_of_this_process() - cpu_s) / followed_s;
    state.counters["alone_s"] = alone_s;
    state.counters["slower"] = followed_s / alone_s;
    state.SetIterationTime(followed_s);
  }
  report_memory(state);
}

void add(const std::string& name, const std::function<void(benchmark::State&)>& what, int rounds) {
  benchmark::RegisterBenchmark(name.c_str(), what)
      ->Iterations(rounds)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

int run(int argc, char** argv) {
  if (std::getenv("QT_QPA_PLATFORM") == nullptr) qputenv("QT_QPA_PLATFORM", "offscreen");
  benchmark::Initialize(&argc, argv);
  // Qt's plugin without a screen complains of what it cannot do.
  qInstallMessageHandler([](QtMsgType, const QMessageLogContext&, const QString&) {});
  QApplication application(argc, argv);
  QApplication::setOrganizationName("pcmlab");
  QApplication::setApplicationName("pcmlab");
  const std::filesystem::path file = argc == 2 ? argv[1] : "";
  if (!std::filesystem::is_regular_file(file)) {
    std::fprintf(stderr, "window_benchmark: needs a results database: window_benchmark DATABASE\n");
    return 2;
  }
  const QTemporaryDir settings;  // a window that nobody has arranged
  QSettings::setDefaultFormat(QSettings::IniFormat);
  QSettings::setPath(QSettings::IniFormat, QSettings::UserScope, settings.path());

  add(
      "opens", [&](benchmark::State& state) { opens(state, file); }, kRounds);
  const auto window = std::make_unique<MainWindow>();
  for (int page = 0; page < static_cast<int>(window->pages().size()); ++page) {
    const Page& shown = *window->pages()[static_cast<std::size_t>(page)];
    if (!shown.needs_database()) continue;
    const std::string title = shown.title().toStdString();
    add(
        "shows/" + title, [&file, page](benchmark::State& state) { shows(state, file, page); },
        kRounds);
    if (array_of(shown) == nullptr) continue;
    add(
        "frames/" + title, [&file, page](benchmark::State& state) { frames(state, file, page); },
        1);
  }
  add("follows", follows, 1);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace pcmlab::gui

int main(int argc, char** argv) { return pcmlab::gui::run(argc, argv); }

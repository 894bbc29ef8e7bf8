// SPDX-License-Identifier: Apache-2.0
#include "app/gui/programming_page.h"

#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QProcess>
#include <QPushButton>
#include <QTableWidget>
#include <QTest>
#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <variant>

#include "app/gui/error_bar.h"
#include "db/query/results_query.h"
#include "db/run_store.h"
#include "tests/app/small_run.h"
#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

class ProgrammingPageTest : public Desktop {
 protected:
  QString all_words() {
    QString all = window().error_bar().message() + '\n';
    for (const QLabel* label : window().page()->findChildren<QLabel*>()) {
      if (!label->isHidden()) all += label->text() + '\n';
    }
    return all;
  }
  /// Other pages have buttons of the same names.
  QPushButton& button(const char* name) { return *window().page()->findChild<QPushButton*>(name); }
  db::RunStore store() { return std::move(db::RunStore::open(database()).value()); }
  /// A run with so many sweeps that it goes on until somebody ends it.
  void start_slow_run(QProcess& runner) {
    std::ifstream in(app::small_plan(folder_, "name = \"slow\"\n"));
    std::ostringstream words;
    words << in.rdbuf();
    std::string plan = words.str();
    const auto put = [&](const std::string& before, const std::string& after) {
      plan.replace(plan.find(before), before.size(), after);
    };
    put("points = 8\n", "points = 100000\n");
    runner.start(PCMLAB_PROGRAM, {"run", QString::fromStdString(folder_.file("slow.toml", plan)),
                                  "--database", QString::fromStdString(database().string())});
  }
};

TEST_F(ProgrammingPageTest, TellsHowTheDevicesConverged) {
  make_run("one");
  open_window();
  page<ProgrammingPage>("Programming");
  auto reading = store();
  const auto programming = reading.programmings(1)->front();
  const QString words = all_words();
  EXPECT_TRUE(words.contains(QString::number(100.0 * static_cast<double>(programming.converged) /
                                                 static_cast<double>(programming.nonzero_targets),
                                             'f', 2) +
                             " %"))
      << words.toStdString();
  // The devices of an iteration, as the database's own table of pulses has them.
  const PlotContent& convergence = plot_of(*window().page(), "Convergence");
  const Series& all = convergence.series.back();
  ASSERT_EQ(all.name, "all");
  ASSERT_GT(all.x.size(), 3);
  for (std::size_t i = 0; i < all.x.size(); ++i) {
    auto pulsed = reading.database().prepare(
        "SELECT sum(device_count) FROM pulse_batch WHERE kind = 'program' AND iteration = ?");
    ASSERT_TRUE(pulsed->bind(static_cast<std::int64_t>(all.x[i])).step().value());
    EXPECT_NEAR(all.y[i],
                100.0 * static_cast<double>(pulsed->integer(0)) /
                    static_cast<double>(programming.nonzero_targets),
                1e-9)
        << all.x[i];
  }
}

TEST_F(ProgrammingPageTest, DrawsTheAmplitudesOfTheDevicesThatAreChosen) {
  make_run("one");
  open_window();
  page<ProgrammingPage>("Programming");
  auto& list = widget<QTableWidget>("WorstDevices");
  ASSERT_GT(list.rowCount(), 2) << "the slowest, where all have converged";
  EXPECT_EQ(plot_of(*window().page(), "Amplitudes").series.size(),
            static_cast<std::size_t>(std::min(7, list.rowCount())));
  list.selectRow(1);
  settle();
  const auto device_of = [&](int row) { return list.item(row, 0)->text().remove(QChar(0x202F)); };
  const QString device = device_of(1), other = device_of(2);
  {
    const PlotContent& plot = plot_of(*window().page(), "Amplitudes");
    ASSERT_EQ(plot.series.size(), 1U);
    EXPECT_EQ(plot.series[0].name, device.toStdString());
    ASSERT_GT(plot.series[0].x.size(), 1U);
    EXPECT_EQ(plot.series[0].x.front(), 1) << "from the first pulse of the loop";
  }
  widget<QLineEdit>("TracedDevices").setText(device + ", " + other);
  QTest::keyClick(&widget<QLineEdit>("TracedDevices"), Qt::Key_Return);
  settle();
  const PlotContent& plot = plot_of(*window().page(), "Amplitudes");
  ASSERT_EQ(plot.series.size(), 2U);
  auto query = db::ResultsQuery::open(database(), {});
  ASSERT_TRUE(
      query->prepare("SELECT amplitude_uA FROM pulse WHERE device = :device"
                     " AND kind = 'program' ORDER BY iteration",
                     {{"device", other.toStdString()}}));
  for (const double amplitude_uA : plot.series[1].y) {
    ASSERT_TRUE(query->step().value());
    EXPECT_EQ(std::get<double>(query->value(0)), amplitude_uA);
  }
  EXPECT_FALSE(query->step().value());
}

TEST_F(ProgrammingPageTest, CallsThoseConvergedThatTheRunCallsConverged) {
  make_run("one");
  auto reading = store();
  const auto data = read_programming(reading, 1, std::nullopt, nullptr, {});
  ASSERT_TRUE(data);
  const auto result = reading.programming_result(data->shown->id).value();
  std::size_t compared = 0;
  for (std::size_t d = 0; d < result.verdicts.size(); ++d) {
    if (result.verdicts[d] == db::Verdict::Reset) continue;
    const bool near = std::abs(data->state->error_uS[d]) <= data->tolerance_uS * 1.02;
    EXPECT_EQ(near, result.verdicts[d] == db::Verdict::Converged)
        << d << ": " << data->state->error_uS[d];
    ++compared;
  }
  EXPECT_GT(compared, 1000);
}

TEST_F(ProgrammingPageTest, GoesOnReadingWhereItWas) {
  make_run("one");
  auto reading = store();
  const auto first = read_programming(reading, 1, std::nullopt, nullptr, {});
  ASSERT_TRUE(first);
  const std::int64_t pulses = first->state->pulses;
  const auto again = read_programming(reading, 1, std::nullopt, first->state, {});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->state, first->state);
  EXPECT_EQ(again->state->pulses, pulses) << "nothing is counted twice";
}

TEST_F(ProgrammingPageTest, FollowsARunThatIsPausedGoesOnAndStops) {
  QProcess runner;
  start_slow_run(runner);
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(database()); }));
  open_window();
  ASSERT_TRUE(wait_until([&] { return window().lab().followed_run() != nullptr; }));
  page<ProgrammingPage>("Programming");
  ASSERT_TRUE(wait_until([&] { return all_words().contains(" of 100000"); }))
      << all_words().toStdString();
  EXPECT_TRUE(all_words().contains("heartbeat"));
  EXPECT_TRUE(button("RunResume").isHidden());

  button("RunPause").click();
  ASSERT_TRUE(wait_until([&] { return all_words().contains("paused by"); }))
      << all_words().toStdString();
  EXPECT_TRUE(wait_until([&] { return all_words().contains("asked to pause by"); }));
  EXPECT_TRUE(wait_until([&] { return all_words().contains("seen by the runner"); }));
  EXPECT_TRUE(wait_until([&] { return button("RunContinue").isEnabled(); }));
  EXPECT_FALSE(button("RunPause").isEnabled());

  button("RunContinue").click();
  ASSERT_TRUE(wait_until([&] { return all_words().contains(" of 100000"); }));
  button("RunStop").click();
  ASSERT_TRUE(wait_until([&] { return runner.state() == QProcess::NotRunning; }));
  EXPECT_EQ(runner.exitCode(), 6);
  ASSERT_TRUE(wait_until(
      [&] { return window().lab().followed_run()->row.state == db::RunState::Stopped; }));
  EXPECT_TRUE(wait_until([&] { return !button("RunResume").isHidden(); }));
  EXPECT_TRUE(button("RunPause").isHidden());
  EXPECT_EQ(window().error_bar().message(), "");
  auto reading = store();
  EXPECT_EQ(reading.gaps(1)->size(), 1) << "the pause";
}

TEST_F(ProgrammingPageTest, SaysWhatARunThatIsOverWasAsked) {
  {
    auto writing = store();
    db::RunStart start;
    start.name = "hasty";
    const db::RowId run = writing.begin_run(start).value();
    ASSERT_TRUE(writing.request(run, db::RunCommand::Pause, "anna"));
    ASSERT_TRUE(writing.finish_run(run, db::RunState::Failed, "no board"));
  }
  open_window();
  page<ProgrammingPage>("Programming");
  const QString words = all_words();
  EXPECT_TRUE(words.contains("asked to pause by anna, never seen: the run was over"))
      << words.toStdString();
  EXPECT_TRUE(words.contains("has not begun to program"));
}

}  // namespace
}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
#include "app/gui/compare_page.h"

#include <QComboBox>
#include <QListWidget>

#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

class ComparePageTest : public Desktop {
 protected:
  void mark(int row, bool on) {
    widget<QListWidget>("CompareRuns").item(row)->setCheckState(on ? Qt::Checked : Qt::Unchecked);
    settle();
  }
  const PlotContent& plot(const char* name) { return plot_of(*window().page(), name); }
};

TEST_F(ComparePageTest, DrawsTheRunsThatAreMarkedInOnePlot) {
  make_run("one");
  make_run("two");
  open_window();
  page<ComparePage>("Compare");
  ASSERT_EQ(plot("Accuracy").series.size(), 1) << "the run that is shown";
  mark(1, true);
  const PlotContent& accuracy = plot("Accuracy");
  ASSERT_EQ(accuracy.series.size(), 2);
  EXPECT_EQ(accuracy.series[0].name, "run 1 · one");
  EXPECT_EQ(accuracy.series[1].name, "run 2 · two");
  EXPECT_NE(accuracy.series[0].colour, accuracy.series[1].colour);
  EXPECT_EQ(accuracy.levels.size(), 1) << "one network";
  for (const FollowedRun& run : window().lab().snapshot->runs) {
    EXPECT_NE(accuracy.source.find(run.row.uuid), std::string::npos);
  }
  const PlotContent& conductance = plot("Conductance");
  ASSERT_EQ(conductance.series.size(), 2);
  EXPECT_EQ(conductance.series[0].x.size(), 8);
  EXPECT_DOUBLE_EQ(conductance.series[0].y.front(), 100);
  mark(1, false);
  EXPECT_EQ(plot("Accuracy").series.size(), 1);
}

TEST_F(ComparePageTest, ComparesWhatIsChosen) {
  make_run("one");
  open_window();
  page<ComparePage>("Compare");
  auto& condition = widget<QComboBox>("CompareCondition");
  ASSERT_GE(condition.count(), 2);
  condition.setCurrentIndex(0);
  Q_EMIT condition.activated(0);
  EXPECT_EQ(plot("Accuracy").title, "Accuracy, as read");
  auto& level = widget<QComboBox>("CompareLevel");
  level.setCurrentIndex(3);
  Q_EMIT level.activated(3);
  EXPECT_EQ(plot("Conductance").title, "Median conductance, target 7.5–12.5 µS");
  const Series& median = plot("Conductance").series.at(0);
  EXPECT_GT(median.y.front(), 6);
  EXPECT_LT(median.low.front(), median.y.front());
}

}  // namespace
}  // namespace pcmlab::gui

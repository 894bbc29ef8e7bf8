// SPDX-License-Identifier: Apache-2.0
#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <algorithm>

#include "app/gui/accuracy_page.h"
#include "app/gui/retention_page.h"
#include "experiments/retention/run_summary.h"
#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

class ResultPagesTest : public Desktop {
 protected:
  const PlotContent& plot(const char* name) { return plot_of(*window().page(), name); }
  RunSummary summary() {
    auto store = db::RunStore::open_read_only(database());
    return summarise_run(*store, *window().lab().run).value();
  }
};

const Series& series_named(const PlotContent& content, const std::string& name, Mark mark) {
  for (const Series& series : content.series) {
    if (series.name == name && series.mark == mark) return series;
  }
  throw std::runtime_error("no series " + name);
}

TEST_F(ResultPagesTest, DrawTheSameDriftAsTheCommandLineTells) {
  make_run("one");
  open_window();
  page<RetentionPage>("Retention");
  const RunSummary told = summary();
  const PlotContent& drift = plot("Conductance");
  int compared = 0;
  for (const ConductanceClass& level : told.classes) {
    if (level.devices < 5) continue;
    const DriftLevel named{level.low_uS, level.high_uS, 0};
    const Series& median = series_named(drift, named.name(), Mark::LinePoints);
    ASSERT_EQ(median.x.size(), 8);
    for (std::size_t i = 0; i < median.y.size(); ++i) {
      EXPECT_NEAR(median.x[i], told.points[i].after_s, 1e-6 * median.x[i]);
      EXPECT_NEAR(median.y[i], level.median_uS[i], 0.06);
      ++compared;
    }
  }
  EXPECT_GT(compared, 16);
  EXPECT_NEAR(plot("Conductance left").series[0].y.back(), 100 * told.points.back().sum_ratio,
              1e-6);
}

TEST_F(ResultPagesTest, ShowTheDistributionOfTheSweepThatIsChosen) {
  make_run("one");
  open_window();
  page<RetentionPage>("Retention");
  auto& sweep = widget<QComboBox>("RetentionSweep");
  ASSERT_EQ(sweep.count(), 8);
  EXPECT_EQ(sweep.currentIndex(), 7) << "the newest";
  const double at_the_end = plot("Distribution").series[0].x[30];
  sweep.setCurrentIndex(0);
  Q_EMIT sweep.activated(0);
  EXPECT_GT(plot("Distribution").series[0].x[30], at_the_end) << "conductances drift down";
  EXPECT_NEAR(plot("Distribution").series[0].y[30], 50, 1e-9);
}

TEST_F(ResultPagesTest, DrawTheFittedExponents) {
  make_run("one");
  open_window();
  page<RetentionPage>("Retention");
  const PlotContent& exponents = plot("Drift exponent");
  EXPECT_GT(exponents.series[0].x.size(), 200);
  EXPECT_GT(exponents.series[1].x.size(), 2);
}

TEST_F(ResultPagesTest, DrawTheAccuraciesThatWereCounted) {
  make_run("one");
  open_window();
  page<AccuracyPage>("Accuracy");
  const RunSummary told = summary();
  const PlotContent& accuracy = plot("Accuracy");
  ASSERT_EQ(accuracy.levels.size(), 1);
  EXPECT_DOUBLE_EQ(accuracy.levels[0].y, *told.software_percent);
  const Series& read = series_named(accuracy, "as read", Mark::LinePoints);
  ASSERT_EQ(read.y.size(), told.points.size());
  for (std::size_t i = 0; i < read.y.size(); ++i) {
    EXPECT_NEAR(read.y[i], told.points[i].accuracies.at("none").mean_percent, 1e-9);
    EXPECT_LE(read.low[i], read.y[i]);
  }
  EXPECT_NE(accuracy.note.find("sweep 8 of 8"), std::string::npos) << accuracy.note;
  EXPECT_NE(accuracy.source.find(told.run.uuid), std::string::npos);
  EXPECT_EQ(plot("Weight error by layer").series[0].x.size(), 2) << "two analog layers";
  EXPECT_GT(widget<QComboBox>("ConfusionPass").count(), 8);
}

TEST_F(ResultPagesTest, ShowTheCompensatedAccuraciesFromNear) {
  make_run("one");
  open_window();
  page<AccuracyPage>("Accuracy");
  const auto whole = *plot("Accuracy").y.range;
  widget<QCheckBox>("CloseUp").click();
  const auto near = *plot("Accuracy").y.range;
  EXPECT_GT(near.first, whole.first);
  const Series& gdc = series_named(plot("Accuracy"), "GDC", Mark::LinePoints);
  EXPECT_LT(near.first, *std::min_element(gdc.y.begin(), gdc.y.end()));
}

TEST_F(ResultPagesTest, SayWhyThereIsNothingToDraw) {
  {
    auto store = db::RunStore::open(database());
    db::RunStart start;
    start.name = "nothing yet";
    ASSERT_TRUE(store->begin_run(start));
  }
  open_window();
  page<RetentionPage>("Retention");
  page<AccuracyPage>("Accuracy");
  QString said;
  for (const QLabel* label : window().findChildren<QLabel*>()) said += label->text();
  EXPECT_TRUE(said.contains("has not read its devices yet"));
  EXPECT_TRUE(said.contains("No accuracy was counted"));
}

}  // namespace
}  // namespace pcmlab::gui

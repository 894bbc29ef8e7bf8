// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <qwt_plot.h>
#include <qwt_scale_div.h>

#include <QApplication>
#include <QFile>
#include <QImage>
#include <QLabel>
#include <QMouseEvent>
#include <QTest>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>

#include "app/gui/colour_map.h"
#include "app/gui/plot_scales.h"
#include "app/gui/plot_view.h"
#include "tests/app/command_line.h"

namespace pcmlab::gui {
namespace {

PlotContent decay() {
  PlotContent content{.title = "Decay",
                      .x = {.title = "time", .unit = "", .scale = Scale::Time},
                      .y = {.title = "conductance", .unit = "µS", .scale = Scale::Log},
                      .series = {},
                      .stretches = {{100, 200, "gap"}},
                      .levels = {{9, "target"}},
                      .source = "run 7 (uuid-of-seven)"};
  Series curve{.name = "median", .mark = Mark::LinePoints, .x = {}, .y = {}};
  for (int i = 0; i < 6; ++i) {
    curve.x.push_back(25 * std::pow(5, i));
    curve.y.push_back(10 * std::pow(curve.x.back() / 25, -0.05));
    curve.low.push_back(curve.y.back() * 0.9);
    curve.high.push_back(curve.y.back() * 1.1);
  }
  content.series.push_back(curve);
  return content;
}

class PlotViewTest : public testing::Test {
 protected:
  PlotViewTest() {
    view_.resize(600, 400);
    view_.show();
    view_.set(decay());
  }
  double low_x() { return view_.plot().axisScaleDiv(QwtPlot::xBottom).lowerBound(); }
  QWidget* canvas() { return view_.plot().canvas(); }
  QPoint pixel_of(double x, double y) {
    return {static_cast<int>(view_.plot().transform(QwtPlot::xBottom, x)),
            static_cast<int>(view_.plot().transform(QwtPlot::yLeft, y))};
  }

  PlotView view_{"Decay"};
};

TEST_F(PlotViewTest, ShowsEverythingUntilItIsZoomed) {
  EXPECT_FALSE(view_.is_zoomed());
  EXPECT_LT(low_x(), 25);
  EXPECT_GT(view_.plot().axisScaleDiv(QwtPlot::xBottom).upperBound(), 25 * std::pow(5, 5));
}

TEST_F(PlotViewTest, ZoomsIntoADraggedRectangleAndBack) {
  const double before = low_x();
  QTest::mousePress(canvas(), Qt::LeftButton, {}, {100, 60});
  // QTest's own mouseMove() needs a real pointer.
  for (const QPointF& position : {QPointF(180, 120), QPointF(300, 200)}) {
    QMouseEvent move(QEvent::MouseMove, position, Qt::NoButton, Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(canvas(), &move);
  }
  QTest::mouseRelease(canvas(), Qt::LeftButton, {}, {300, 200});
  ASSERT_TRUE(view_.is_zoomed());
  const double zoomed = low_x();
  EXPECT_GT(zoomed, before);
  QTest::mouseClick(canvas(), Qt::RightButton, {}, {50, 50});
  EXPECT_FALSE(view_.is_zoomed());
  EXPECT_NEAR(low_x(), before, 1e-9 * before);
  QTest::keyClick(&view_, Qt::Key_Z, Qt::ControlModifier | Qt::ShiftModifier);
  EXPECT_NEAR(low_x(), zoomed, 1e-9 * zoomed);
  QTest::keyClick(&view_, Qt::Key_Home);
  EXPECT_FALSE(view_.is_zoomed());
}

TEST_F(PlotViewTest, ZoomsAroundThePointerWithTheWheel) {
  const QPoint pointer = pixel_of(625, 8.5);
  QWheelEvent wheel(pointer, canvas()->mapToGlobal(pointer), {}, {0, 120}, Qt::NoButton, {},
                    Qt::NoScrollPhase, false);
  QApplication::sendEvent(canvas(), &wheel);
  EXPECT_TRUE(view_.is_zoomed());
  EXPECT_NEAR(pixel_of(625, 8.5).x(), pointer.x(), 6) << "what is under the pointer stays there";
}

TEST_F(PlotViewTest, KeepsAZoomWhenNewPointsCome) {
  view_.show_all();
  const QPoint pointer = pixel_of(625, 8.5);
  QWheelEvent wheel(pointer, canvas()->mapToGlobal(pointer), {}, {0, 240}, Qt::NoButton, {},
                    Qt::NoScrollPhase, false);
  QApplication::sendEvent(canvas(), &wheel);
  const double zoomed = low_x();
  PlotContent more = decay();
  more.series[0].x.push_back(1e6);
  more.series[0].y.push_back(5);
  more.series[0].low.push_back(4);
  more.series[0].high.push_back(6);
  view_.set(more);
  EXPECT_DOUBLE_EQ(low_x(), zoomed);
  more.title = "Another plot";
  view_.set(more);
  EXPECT_FALSE(view_.is_zoomed());
}

TEST_F(PlotViewTest, TellsTheNearestPointOrThePlace) {
  const PlotContent content = decay();
  const QString near = view_.read_at(pixel_of(content.series[0].x[2], content.series[0].y[2]));
  EXPECT_EQ(near.toStdString(), "median · 10.4\u00a0min · 8.513\u00a0µS");
  EXPECT_FALSE(view_.read_at({3, 3}).contains("median"));
}

TEST_F(PlotViewTest, ExportsPicturesAndDataWithTheirSource) {
  const app::TemporaryFolder folder;
  for (const char* kind : {"png", "svg", "pdf", "csv"}) {
    const auto file = folder / (std::string("plot.") + kind);
    ASSERT_TRUE(view_.export_to(file)) << kind;
    EXPECT_GT(std::filesystem::file_size(file), 100) << kind;
  }
  const QImage picture(QString::fromStdString((folder / "plot.png").string()));
  EXPECT_EQ(picture.size(), QSize(1600, 1000));
  EXPECT_EQ(picture.text("Source").toStdString(), "run 7 (uuid-of-seven)");
  QFile svg(QString::fromStdString((folder / "plot.svg").string()));
  ASSERT_TRUE(svg.open(QIODevice::ReadOnly));
  EXPECT_TRUE(svg.readAll().contains("uuid-of-seven"));
  QFile csv(QString::fromStdString((folder / "plot.csv").string()));
  ASSERT_TRUE(csv.open(QIODevice::ReadOnly));
  const QString rows = csv.readAll();
  EXPECT_TRUE(
      rows.startsWith("# Decay\n# run 7 (uuid-of-seven)\n# gap: time from 100 to "
                      "200\nseries,time,conductance (µS),low,high\n"));
  EXPECT_EQ(rows.count("median,"), 6);
}

TEST_F(PlotViewTest, SaysWhatItCannotExport) {
  const app::TemporaryFolder folder;
  const auto unknown = view_.export_to(folder / "plot.bmp");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::Unsupported);
  for (const char* kind : {"png", "svg", "pdf", "csv"}) {
    const auto nowhere = view_.export_to(folder / "none" / (std::string("plot.") + kind));
    ASSERT_FALSE(nowhere) << kind;
    EXPECT_EQ(nowhere.error().code, ErrorCode::Io);
  }
}

TEST_F(PlotViewTest, ThinsOutAMillionPointsAndSaysSo) {
  PlotContent content{.title = "Many",
                      .x = {.title = "x", .unit = ""},
                      .y = {.title = "y", .unit = ""},
                      .series = {}};
  Series points{.name = "points", .mark = Mark::Points, .x = {}, .y = {}};
  for (int i = 0; i < 1'000'000; ++i) {
    points.x.push_back(i);
    points.y.push_back(i % 1000);
  }
  content.series.push_back(std::move(points));
  view_.set(std::move(content));
  bool said = false;
  for (const QLabel* label : view_.findChildren<QLabel*>()) {
    said = said || label->text().contains("every 50th point drawn");
  }
  EXPECT_TRUE(said);
}

TEST(Probit, IsTheQuantileOfTheNormalDistribution) {
  EXPECT_NEAR(probit(50), 0, 1e-12);
  EXPECT_NEAR(probit(97.7249868), 2, 1e-7);
  EXPECT_NEAR(probit(0.134989803), -3, 1e-7);
  for (const double percent : {0.01, 1.0, 30.0, 99.9}) {
    EXPECT_NEAR(percent_of_probit(probit(percent)), percent, 1e-9);
  }
}

TEST(ColourMaps, RiseEvenlyInLightness) {
  const ColourMap& map = sequential_map();
  const double step = (lightness(map.back()) - lightness(map.front())) / 255;
  EXPECT_GT(step, 0.002);
  for (std::size_t i = 1; i < map.size(); ++i) {
    EXPECT_NEAR(lightness(map[i]) - lightness(map[i - 1]), step, 0.004) << i;
  }
}

/// As somebody without green cones sees it (Viénot, Brettel and Mollon, 1999).
QRgb without_green_cones(QRgb colour) {
  const auto linear = [](int c) { return std::pow(c / 255.0, 2.2); };
  const auto encoded = [](double c) {
    return static_cast<int>(std::lround(255 * std::pow(std::clamp(c, 0.0, 1.0), 1 / 2.2)));
  };
  const double r = linear(qRed(colour)), g = linear(qGreen(colour)), b = linear(qBlue(colour));
  const double yellow = 0.29275 * r + 0.70725 * g;
  return qRgb(encoded(yellow), encoded(yellow), encoded(-0.02234 * r + 0.02234 * g + b));
}

TEST(ColourMaps, KeepTheirOrderForTheColourBlind) {
  for (std::size_t i = 8; i < 256; ++i) {
    EXPECT_GT(lightness(without_green_cones(sequential_map()[i])),
              lightness(without_green_cones(sequential_map()[i - 8])))
        << i;
  }
  for (std::size_t i = 0; i + 8 < 128; ++i) {
    EXPECT_LT(lightness(diverging_map()[i]), lightness(diverging_map()[i + 8])) << i;
    EXPECT_LT(lightness(diverging_map()[255 - i]), lightness(diverging_map()[247 - i])) << i;
  }
}

}  // namespace
}  // namespace pcmlab::gui

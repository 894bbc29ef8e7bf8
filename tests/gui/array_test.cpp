// SPDX-License-Identifier: Apache-2.0
#include <QApplication>
#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QLabel>
#include <QMouseEvent>
#include <QPushButton>
#include <QTest>
#include <QWheelEvent>
#include <cmath>
#include <limits>
#include <variant>

#include "app/gui/array_page.h"
#include "app/gui/array_region.h"
#include "app/gui/array_view.h"
#include "app/gui/error_bar.h"
#include "db/query/results_query.h"
#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

constexpr QRgb kGround = 0xff010203;

ArrayMap map_of(std::uint16_t word_lines, std::uint16_t bit_lines, ArrayQuantity quantity) {
  ArrayMap map;
  map.quantity = quantity;
  map.shape = {word_lines, bit_lines};
  map.values.assign(map.shape.device_count(), std::numeric_limits<float>::quiet_NaN());
  map.devices.assign(map.shape.device_count(), -1);
  return map;
}

TEST(ArrayPicture, ShowsEveryDeviceWhereItIs) {
  ArrayMap map = map_of(2, 3, ArrayQuantity::Conductance);
  map.values = {0, 1, 2, 3, 4, std::numeric_limits<float>::quiet_NaN()};
  set_levels(map);
  const QImage picture = draw_array(map, {0, 0, 3, 2}, {30, 20}, kGround);
  EXPECT_EQ(picture.pixel(5, 5), array_colour(map.quantity, 1));
  EXPECT_EQ(picture.pixel(15, 15), array_colour(map.quantity, 255));
  EXPECT_EQ(picture.pixel(25, 15), kGround);
  const QImage corner = draw_array(map, {1, 1, 1, 1}, {10, 10}, kGround);
  EXPECT_EQ(corner.pixel(0, 0), array_colour(map.quantity, 255));
  EXPECT_EQ(corner.pixel(9, 9), array_colour(map.quantity, 255));
}

TEST(ArrayPicture, ShowsASingleStuckDeviceAmongAThousandOfAPixel) {
  ArrayMap map = map_of(512, 2048, ArrayQuantity::Verdict);
  map.values.assign(map.values.size(), 1.0F);
  map.values[300 * 2048 + 1000] = 4;
  set_levels(map);
  const QImage picture = draw_array(map, {0, 0, 2048, 512}, {64, 16}, kGround);
  EXPECT_EQ(picture.pixel(1000 / 32, 300 / 32), array_colour(map.quantity, 201));
  EXPECT_EQ(picture.pixel(0, 0), array_colour(map.quantity, 51));
}

TEST(ArrayPicture, AveragesTheDevicesOfAPixel) {
  ArrayMap map = map_of(1, 4, ArrayQuantity::Target);
  map.values = {0, 10, 0, 10};
  set_levels(map);
  EXPECT_EQ(draw_array(map, {0, 0, 4, 1}, {1, 1}, kGround).pixel(0, 0),
            array_colour(map.quantity, 128));
}

TEST(ArrayPicture, HasTheNeutralColourWhereThereIsNoError) {
  ArrayMap map = map_of(1, 3, ArrayQuantity::Error);
  map.values = {-3, 0, 1};
  set_levels(map);
  EXPECT_DOUBLE_EQ(map.low, -map.high);
  EXPECT_EQ(map.levels[1], 128);
}

TEST(ArrayPicture, DrawsLinesBetweenLayersAlone) {
  ArrayMap map = map_of(2, 4, ArrayQuantity::Target);
  map.layers = {0, 0, 1, 1, 0, -1, 1, 1};
  const QRgb line = 0xffffffff;
  const QImage edges = draw_layer_edges(map, {0, 0, 4, 2}, {40, 20}, line);
  EXPECT_EQ(edges.pixel(20, 5), line);
  EXPECT_EQ(edges.pixel(20, 15), line) << "behind a place that holds nothing";
  for (const QPoint& inside : {QPoint(10, 5), QPoint(30, 5), QPoint(5, 10), QPoint(30, 10)}) {
    EXPECT_EQ(qAlpha(edges.pixel(inside)), 0) << inside.x() << " " << inside.y();
  }
}

TEST(ArrayRegion, CountsTheDevicesInside) {
  ArrayMap map = map_of(4, 4, ArrayQuantity::Iterations);
  for (std::size_t i = 0; i < 16; ++i) {
    map.values[i] = static_cast<float>(i % 4);
    map.devices[i] = static_cast<std::int32_t>(15 - i);
  }
  const QRect region(1, 1, 2, 2);
  EXPECT_EQ(devices_in(map, region), (std::vector<std::uint32_t>{5, 6, 9, 10}));
  EXPECT_EQ(devices_in(map, {3, 3, 10, 10}), (std::vector<std::uint32_t>{0})) << "on the array";
  const PlotContent counts = region_histogram(map, region, "run 1");
  ASSERT_EQ(counts.series[0].x, (std::vector<double>{1, 2}))
      << "whole numbers have bins of their own";
  EXPECT_EQ(counts.series[0].y, (std::vector<double>{2, 2}));
  EXPECT_EQ(counts.source, "run 1, word lines 1–2, bit lines 1–2");
}

TEST(ArrayRegion, HasTheMeansOfTheLinesInView) {
  ArrayMap map = map_of(2, 4, ArrayQuantity::Target);
  map.values = {1, 2, 3, 4, 3, 4, 5, std::numeric_limits<float>::quiet_NaN()};
  const LineMeans all = line_means(map, {0, 0, 4, 2}, {4, 2});
  EXPECT_EQ(all.bit_lines, (std::vector<double>{2, 3, 4, 4}));
  EXPECT_EQ(all.word_lines, (std::vector<double>{2.5, 4}));
  const LineMeans right = line_means(map, {2, 0, 2, 2}, {4, 2});
  EXPECT_EQ(right.bit_lines, (std::vector<double>{4, 4, 4, 4})) << "two pixels a line";
  EXPECT_EQ(right.word_lines, (std::vector<double>{3.5, 5}));
}

class ArrayPageTest : public Desktop {
 protected:
  void open_page() {
    make_run("one");
    open_window();
    page<ArrayPage>("Array");
  }
  ArrayView& view() { return *ours<ArrayView>(*window().page()).at(0); }
  QString pointed() { return widget<QLabel>("ArrayPointed").text(); }
  const PlotContent& plot(const char* name) { return plot_of(*window().page(), name); }
  /// A pixel of the view above a device with a target.
  QPoint pixel_of_a_device() {
    const auto* page = dynamic_cast<ArrayPage*>(window().page());
    for (int y = 20; y < view().height(); y += 3) {
      for (int x = 100; x < view().width(); x += 3) {
        const auto place = view().place_at(QPointF(x, y));
        if (place && page->map()->devices[*place] >= 0 && page->map()->values[*place] > 5) {
          return {x, y};
        }
      }
    }
    throw std::runtime_error("no device with a target on the screen");
  }
};

TEST_F(ArrayPageTest, TellsTheDeviceUnderThePointer) {
  open_page();
  EXPECT_TRUE(pointed().contains("2\u202f388 devices on 64 × 64 lines")) << pointed().toStdString();
  const QPoint pixel = pixel_of_a_device();
  QMouseEvent move(QEvent::MouseMove, pixel, Qt::NoButton, Qt::NoButton, Qt::NoModifier);
  QApplication::sendEvent(&view(), &move);
  EXPECT_TRUE(pointed().contains("word line"));
  EXPECT_TRUE(pointed().contains("µS"));
}

TEST_F(ArrayPageTest, ShowsEveryQuantity) {
  open_page();
  auto& quantity = widget<QComboBox>("ArrayQuantity");
  for (int i = 0; i < quantity.count(); ++i) {
    quantity.setCurrentIndex(i);
    Q_EMIT quantity.activated(i);
    settle();
    const auto& map = dynamic_cast<ArrayPage*>(window().page())->map();
    ASSERT_NE(map, nullptr) << quantity.itemText(i).toStdString();
    EXPECT_EQ(name_of(map->quantity), quantity.itemText(i).toStdString());
    EXPECT_GT(
        std::count_if(map->levels.begin(), map->levels.end(), [](int level) { return level > 0; }),
        900)
        << quantity.itemText(i).toStdString();
  }
  EXPECT_TRUE(window().error_bar().message().isEmpty());
}

TEST_F(ArrayPageTest, ShowsTheHistoryOfTheDeviceThatIsClicked) {
  open_page();
  QTest::mouseClick(&view(), Qt::LeftButton, {}, pixel_of_a_device());
  settle();
  EXPECT_EQ(plot("Reads").series[0].x.size(), 8) << "sweeps";
  const Series& verified = plot("Programming").series[0];
  ASSERT_GT(verified.y.size(), 2);
  // The target is for 400 s later: until then a fifth is lost to drift.
  EXPECT_NEAR(verified.y.back() / plot("Programming").levels[0].y, 1.2, 0.05);
  EXPECT_NE(plot("Reads").source.find(", device "), std::string::npos);
}

TEST_F(ArrayPageTest, ZoomsAroundThePointerMovesAndComesBack) {
  open_page();
  const QPoint pixel(400, 100);
  const auto place = view().place_at(pixel);
  QWheelEvent wheel(pixel, view().mapToGlobal(pixel), {}, {0, 240}, Qt::NoButton, {},
                    Qt::NoScrollPhase, false);
  QApplication::sendEvent(&view(), &wheel);
  EXPECT_LT(view().view().width(), 50);
  EXPECT_EQ(view().place_at(pixel), place);
  const QRectF before = view().view();
  QTest::mousePress(&view(), Qt::LeftButton, {}, pixel);
  QMouseEvent drag(QEvent::MouseMove, pixel - QPoint(60, 0), Qt::NoButton, Qt::LeftButton, {});
  QApplication::sendEvent(&view(), &drag);
  QTest::mouseRelease(&view(), Qt::LeftButton, {}, pixel - QPoint(60, 0));
  EXPECT_GT(view().view().left(), before.left());
  EXPECT_TRUE(plot("Reads").series.empty()) << "a drag is no click";
  QTest::keyClick(&view(), Qt::Key_Home);
  EXPECT_EQ(view().view(), QRectF(0, 0, 64, 64));
}

TEST_F(ArrayPageTest, ShowsTheHistogramAndTheDriftOfARegion) {
  open_page();
  QTest::mousePress(&view(), Qt::LeftButton, Qt::ShiftModifier, {150, 40});
  QMouseEvent drag(QEvent::MouseMove, QPointF(500, 120), Qt::NoButton, Qt::LeftButton,
                   Qt::ShiftModifier);
  QApplication::sendEvent(&view(), &drag);
  QTest::mouseRelease(&view(), Qt::LeftButton, Qt::ShiftModifier, {500, 120});
  settle();
  ASSERT_TRUE(view().region());
  EXPECT_EQ(view().view(), QRectF(0, 0, 64, 64)) << "it was not moved";
  const auto& map = *dynamic_cast<ArrayPage*>(window().page())->map();
  const auto devices = devices_in(map, *view().region());
  ASSERT_GT(devices.size(), 50);
  const Series& drift = plot("Reads").series.back();
  EXPECT_EQ(drift.x.size(), 8);
  double counted = 0;
  for (const double count : plot("Programming").series[0].y) counted += count;
  EXPECT_LE(counted, static_cast<double>(devices.size()));
  EXPECT_GT(counted, 0.3 * static_cast<double>(devices.size())) << "RESET devices are not verified";

  // What is copied asks for the same devices.
  widget<QPushButton>("CopySql").click();
  auto query = db::ResultsQuery::open(database(), {}).value();
  const QString sql = QApplication::clipboard()->text();
  ASSERT_TRUE(query.prepare("SELECT count(DISTINCT device) FROM (" + sql.toStdString() + ")", {}));
  ASSERT_TRUE(query.step().value());
  EXPECT_EQ(std::get<std::int64_t>(query.value(0)), static_cast<std::int64_t>(devices.size()));
}

TEST_F(ArrayPageTest, ShowsLayersAndMeans) {
  open_page();
  const auto& map = *dynamic_cast<ArrayPage*>(window().page())->map();
  EXPECT_EQ(map.layer_names.size(), 2);
  EXPECT_EQ(std::count(map.layers.begin(), map.layers.end(), 0), 2 * 32 * 27)
      << "3 x 3 kernels on three channels, two devices each";
  const QImage plain = view().grab().toImage();
  widget<QCheckBox>("ArrayLayers").click();
  const QImage layers = view().grab().toImage();
  EXPECT_NE(plain, layers);
  widget<QCheckBox>("ArrayMeans").click();
  EXPECT_NE(layers, view().grab().toImage());
  view().setFocus();
  QTest::keyClick(&view(), Qt::Key_R);
  EXPECT_EQ(view().region(), QRect(0, 0, 64, 64));
}

TEST_F(ArrayPageTest, ReadsAndPulsesADeviceByHandAsARunOfItsOwn) {
  window().set_runner(PCMLAB_PROGRAM);
  open_page();
  const auto& shown = dynamic_cast<const ArrayPage&>(*window().page());
  EXPECT_FALSE(widget<QPushButton>("HandRead").isEnabled()) << "no device is chosen";
  std::size_t place = 0;
  while (shown.map()->devices[place] < 0 || !(shown.map()->values[place] > 10)) ++place;
  view().choose(place);
  settle();
  const double read_uS = shown.map()->values[place];
  const auto by_hand = [&](const char* button, db::RowId run) {
    widget<QPushButton>(button).click();
    EXPECT_FALSE(widget<QPushButton>(button).isEnabled()) << "one after the other";
    ASSERT_TRUE(wait_until([&] {
      return widget<QLabel>("Message").text().contains(QString("(run %1)").arg(run)) ||
             !window().error_bar().message().isEmpty();
    }));
    EXPECT_EQ(window().error_bar().message(), "");
    settle();
    EXPECT_TRUE(widget<QPushButton>(button).isEnabled());
  };
  by_hand("HandRead", 2);
  const PlotContent* reads = &plot_of(*window().page(), "Reads");
  ASSERT_EQ(reads->series.back().name, "by hand");
  ASSERT_EQ(reads->series.back().y.size(), 1U);
  ASSERT_EQ(reads->series.front().name, "read");
  const double left_uS = reads->series.front().y.back();
  EXPECT_NEAR(reads->series.back().y[0], left_uS, 0.5 * left_uS) << "the chip as the run left it";
  widget<QDoubleSpinBox>("HandAmplitude").setValue(450);
  by_hand("HandPulse", 3);
  reads = &plot_of(*window().page(), "Reads");
  ASSERT_EQ(reads->series.back().y.size(), 2U);
  EXPECT_LT(reads->series.back().y[1], 0.5 * read_uS) << "that was a RESET";
  EXPECT_EQ(window().lab().run, 1) << "the page stays where it was";

  // It is wear of the chip like any other pulse.
  auto query = db::ResultsQuery::open(database(), {});
  ASSERT_TRUE(
      query->prepare("SELECT amplitude_uA, width_ns, given FROM pulse WHERE run_id = 3", {}));
  ASSERT_TRUE(query->step().value());
  EXPECT_EQ(std::get<double>(query->value(0)), 450);
  EXPECT_EQ(std::get<std::int64_t>(query->value(1)), 400);
  EXPECT_EQ(std::get<std::int64_t>(query->value(2)), 1);

  widget<QDoubleSpinBox>("HandAmplitude").setValue(640);
  widget<QPushButton>("HandPulse").click();
  ASSERT_TRUE(wait_until([&] { return !window().error_bar().message().isEmpty(); }));
  EXPECT_TRUE(window().error_bar().message().contains("the board allows at most"))
      << window().error_bar().message().toStdString();
}

TEST_F(ArrayPageTest, LeavesTheBoardToARunThatIsAtWork) {
  window().set_runner(PCMLAB_PROGRAM);
  open_page();
  view().choose(0);
  settle();
  auto store = db::RunStore::open(database());
  db::RunStart other;
  other.name = "other";
  ASSERT_TRUE(store->begin_run(other));
  ASSERT_TRUE(wait_until([&] { return window().lab().snapshot->runs.size() == 2; }));
  widget<QPushButton>("HandRead").click();
  EXPECT_TRUE(window().error_bar().message().contains("run 2 (other) is at work"))
      << window().error_bar().message().toStdString();
}

}  // namespace
}  // namespace pcmlab::gui

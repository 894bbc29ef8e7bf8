// SPDX-License-Identifier: Apache-2.0
#include "app/gui/icons.h"

#include <QPainter>
#include <QPainterPath>
#include <QPixmap>

namespace pcmlab::gui {
namespace {

/// In a square of 20 x 20.
QPainterPath outline(Glyph glyph) {
  QPainterPath path;
  const auto line = [&](std::initializer_list<QPointF> points) {
    bool first = true;
    for (const QPointF& point : points) {
      first ? path.moveTo(point) : path.lineTo(point);
      first = false;
    }
  };
  switch (glyph) {
    case Glyph::Runs:
      for (const double y : {4.5, 10.0, 15.5}) {
        path.addEllipse(QPointF(3.5, y), 1, 1);
        line({{8, y}, {17.5, y}});
      }
      break;
    case Glyph::Programming:
      // Pulses that home in on a level.
      line({{1.5, 16.5},
            {4, 16.5},
            {4, 4},
            {6.5, 4},
            {6.5, 16.5},
            {9, 16.5},
            {9, 8},
            {11.5, 8},
            {11.5, 16.5},
            {14, 16.5},
            {14, 11},
            {16.5, 11},
            {16.5, 16.5},
            {18.5, 16.5}});
      break;
    case Glyph::Retention:
      line({{2.5, 2.5}, {2.5, 17.5}, {17.5, 17.5}});
      path.moveTo(5.5, 4.5);
      path.cubicTo(7, 10, 11, 12.5, 17, 13.5);
      break;
    case Glyph::Accuracy:
      path.addEllipse(QPointF(10, 10), 7.5, 7.5);
      path.addEllipse(QPointF(10, 10), 3.2, 3.2);
      line({{10, 0.8}, {10, 4}});
      line({{10, 16}, {10, 19.2}});
      line({{0.8, 10}, {4, 10}});
      line({{16, 10}, {19.2, 10}});
      break;
    case Glyph::Array:
      path.addRect(2.5, 2.5, 15, 15);
      for (const double at : {7.5, 12.5}) {
        line({{at, 2.5}, {at, 17.5}});
        line({{2.5, at}, {17.5, at}});
      }
      break;
    case Glyph::Night:
      // A waning moon.
      path.moveTo(12.5, 2.8);
      path.arcTo(2.5, 2.5, 15, 15, 70, 260);
      path.cubicTo(11.5, 14.5, 7.5, 8.5, 12.5, 2.8);
      break;
    case Glyph::Compare:
      line({{2.5, 2.5}, {2.5, 17.5}, {17.5, 17.5}});
      path.moveTo(5.5, 5);
      path.cubicTo(9, 7, 13, 8, 17, 8.3);
      path.moveTo(5.5, 8);
      path.cubicTo(8, 12.5, 12, 14, 17, 14.5);
      break;
    case Glyph::Board:
      path.addRoundedRect(4.5, 4.5, 11, 11, 1.5, 1.5);
      for (const double at : {7.2, 10.0, 12.8}) {
        line({{at, 1.5}, {at, 4.5}});
        line({{at, 15.5}, {at, 18.5}});
        line({{1.5, at}, {4.5, at}});
        line({{15.5, at}, {18.5, at}});
      }
      break;
    case Glyph::Sql:
      path.addEllipse(QPointF(10, 4.8), 6.5, 2.6);
      path.moveTo(3.5, 4.8);
      path.lineTo(3.5, 15.2);
      path.arcTo(3.5, 12.6, 13, 5.2, 180, 180);
      path.lineTo(16.5, 4.8);
      path.moveTo(3.5, 10);
      path.arcTo(3.5, 7.4, 13, 5.2, 180, 180);
      break;
    case Glyph::NewRun:
      path.addEllipse(QPointF(10, 10), 7.8, 7.8);
      line({{8, 6.4}, {13.6, 10}, {8, 13.6}, {8, 6.4}});
      break;
    case Glyph::Keys:
      path.addRoundedRect(1.5, 4.5, 17, 11, 2, 2);
      for (const double x : {5.0, 8.3, 11.6, 15.0}) line({{x, 8}, {x + 0.2, 8}});
      line({{6, 12.2}, {14, 12.2}});
      break;
    case Glyph::Undo:
      line({{7, 4}, {3, 8}, {7, 12}});
      path.moveTo(3, 8);
      path.lineTo(11.5, 8);
      path.arcTo(7.5, 8, 9, 8, 90, -180);
      path.lineTo(8, 16);
      break;
    case Glyph::Redo:
      line({{13, 4}, {17, 8}, {13, 12}});
      path.moveTo(17, 8);
      path.lineTo(8.5, 8);
      path.arcTo(3.5, 8, 9, 8, 90, 180);
      path.lineTo(12, 16);
      break;
    case Glyph::Fit:
      line({{3, 7}, {3, 3}, {7, 3}});
      line({{13, 3}, {17, 3}, {17, 7}});
      line({{17, 13}, {17, 17}, {13, 17}});
      line({{7, 17}, {3, 17}, {3, 13}});
      break;
    case Glyph::Export:
      line({{10, 3}, {10, 12.5}});
      line({{6.2, 9}, {10, 12.8}, {13.8, 9}});
      line({{3, 13}, {3, 17}, {17, 17}, {17, 13}});
      break;
    case Glyph::Logo:
      break;
  }
  return path;
}

QPixmap drawn(Glyph glyph, const QColor& colour) {
  constexpr int kSize = 20;
  constexpr qreal kRatio = 2;
  QPixmap pixmap(QSize(kSize, kSize) * kRatio);
  pixmap.setDevicePixelRatio(kRatio);
  pixmap.fill(Qt::transparent);
  QPainter painter(&pixmap);
  painter.setRenderHint(QPainter::Antialiasing);
  painter.setPen(QPen(colour, 1.6, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin));
  painter.drawPath(outline(glyph));
  return pixmap;
}

}  // namespace

QIcon icon(Glyph glyph, const QColor& colour, const QColor& on) {
  QIcon out(drawn(glyph, colour));
  out.addPixmap(drawn(glyph, on), QIcon::Normal, QIcon::On);
  QColor faint = colour;
  faint.setAlphaF(0.4);
  out.addPixmap(drawn(glyph, faint), QIcon::Disabled);
  return out;
}

QIcon program_icon() {
  constexpr int kSize = 128;
  QPixmap pixmap(kSize, kSize);
  pixmap.fill(Qt::transparent);
  QPainter painter(&pixmap);
  painter.setRenderHint(QPainter::Antialiasing);
  painter.setPen(Qt::NoPen);
  painter.setBrush(QColor("#0b3d63"));
  painter.drawRoundedRect(0, 0, kSize, kSize, 26, 26);
  // An array whose conductances fade.
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 4; ++column) {
      QColor colour("#f2c14e");
      colour.setAlphaF(0.25 + 0.75 * ((row * 5 + column * 3) % 7) / 6.0);
      painter.setBrush(colour);
      painter.drawRoundedRect(20 + 23 * column, 20 + 23 * row, 19, 19, 4, 4);
    }
  }
  return QIcon(pixmap);
}

}  // namespace pcmlab::gui

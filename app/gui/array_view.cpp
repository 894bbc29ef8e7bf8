// SPDX-License-Identifier: Apache-2.0
#include "app/gui/array_view.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QWheelEvent>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "app/gui/array_region.h"
#include "app/gui/format.h"
#include "app/gui/theme.h"

namespace pcmlab::gui {
namespace {

constexpr double kLeft = 58, kRight = 84, kTop = 6, kBottom = 40;
constexpr double kMeans = 44;       ///< of the strip for means of lines
constexpr double kFewestLines = 8;  ///< at the closest zoom

/// Round distances between ticks, about `wanted` of them.
int tick_distance(double extent, int wanted) {
  for (int decade = 1;; decade *= 10) {
    for (const int digit : {1, 2, 5}) {
      if (extent / (decade * digit) <= wanted) return decade * digit;
    }
  }
}

}  // namespace

ArrayView::ArrayView(QWidget* parent) : QWidget(parent) {
  setAccessibleName("Array of devices");
  setFocusPolicy(Qt::StrongFocus);
  setMouseTracking(true);
  setCursor(Qt::CrossCursor);
  setMinimumSize(320, 180);
}

void ArrayView::set(std::shared_ptr<const ArrayMap> map, QString why_nothing) {
  const bool same = map_ && map && map_->shape.word_lines == map->shape.word_lines &&
                    map_->shape.bit_lines == map->shape.bit_lines;
  map_ = std::move(map);
  why_nothing_ = std::move(why_nothing);
  if (!same) {
    region_.reset();
    chosen_.reset();
    show_all();
  }
  update();
}

void ArrayView::on_pointed(std::function<void(std::optional<std::size_t>)> tell) {
  pointed_at_ = std::move(tell);
}
void ArrayView::on_chosen(std::function<void(std::size_t)> tell) { choose_ = std::move(tell); }

void ArrayView::on_region(std::function<void(const QRect&)> tell) {
  choose_region_ = std::move(tell);
}

void ArrayView::choose_region(const QRect& region) {
  if (!map_) return;
  region_ = region.intersected(QRect(0, 0, map_->shape.bit_lines, map_->shape.word_lines));
  if (region_->isEmpty()) region_.reset();
  if (region_ && choose_region_) choose_region_(*region_);
  update();
}

void ArrayView::show_layers(bool on) {
  layers_ = on;
  update();
}

void ArrayView::show_means(bool on) {
  means_ = on;
  update();
}

QRectF ArrayView::on_screen(const QRectF& devices) const {
  const QRectF area = canvas();
  const double x = area.width() / view_.width(), y = area.height() / view_.height();
  return {area.left() + (devices.left() - view_.left()) * x,
          area.top() + (devices.top() - view_.top()) * y, devices.width() * x,
          devices.height() * y};
}

void ArrayView::choose(std::size_t place) {
  chosen_ = place;
  if (choose_) choose_(place);
  update();
}

void ArrayView::show_all() {
  view_ = map_ ? QRectF(0, 0, map_->shape.bit_lines, map_->shape.word_lines) : QRectF();
  update();
}

QRectF ArrayView::canvas() const {
  const double strip = means_ ? kMeans : 0;
  return {kLeft, kTop + strip, std::max(1.0, width() - kLeft - kRight - strip),
          std::max(1.0, height() - kTop - kBottom - strip)};
}

std::optional<std::size_t> ArrayView::place_at(const QPointF& position) const {
  const QRectF area = canvas();
  if (!map_ || !area.contains(position)) return std::nullopt;
  const double x = view_.left() + (position.x() - area.left()) / area.width() * view_.width();
  const double y = view_.top() + (position.y() - area.top()) / area.height() * view_.height();
  if (x < 0 || y < 0 || x >= map_->shape.bit_lines || y >= map_->shape.word_lines)
    return std::nullopt;
  return static_cast<std::size_t>(y) * map_->shape.bit_lines + static_cast<std::size_t>(x);
}

void ArrayView::keep_inside() {
  const double width = map_->shape.bit_lines, height = map_->shape.word_lines;
  view_.setWidth(std::clamp(view_.width(), std::min(kFewestLines, width), width));
  view_.setHeight(std::clamp(view_.height(), std::min(kFewestLines, height), height));
  view_.moveLeft(std::clamp(view_.left(), 0.0, width - view_.width()));
  view_.moveTop(std::clamp(view_.top(), 0.0, height - view_.height()));
  update();
}

void ArrayView::zoom(const QPointF& around, double factor) {
  if (!map_) return;
  const QRectF area = canvas();
  const double share_x = std::clamp((around.x() - area.left()) / area.width(), 0.0, 1.0);
  const double share_y = std::clamp((around.y() - area.top()) / area.height(), 0.0, 1.0);
  const QPointF fixed(view_.left() + share_x * view_.width(),
                      view_.top() + share_y * view_.height());
  const double width =
      std::clamp(view_.width() * factor, std::min<double>(kFewestLines, map_->shape.bit_lines),
                 static_cast<double>(map_->shape.bit_lines));
  const double height =
      std::clamp(view_.height() * factor, std::min<double>(kFewestLines, map_->shape.word_lines),
                 static_cast<double>(map_->shape.word_lines));
  view_ = QRectF(fixed.x() - share_x * width, fixed.y() - share_y * height, width, height);
  keep_inside();
}

void ArrayView::move(double bit_lines, double word_lines) {
  if (!map_) return;
  view_.translate(bit_lines, word_lines);
  keep_inside();
}

void ArrayView::wheelEvent(QWheelEvent* event) {
  zoom(event->position(), std::pow(0.8, event->angleDelta().y() / 120.0));
  event->accept();
}

void ArrayView::mousePressEvent(QMouseEvent* event) {
  if (event->button() == Qt::RightButton) return zoom(event->localPos(), 2);
  if (event->modifiers().testFlag(Qt::ShiftModifier) && place_at(event->localPos())) {
    region_from_ = event->localPos();
    return;
  }
  pressed_ = event->localPos();
  pressed_view_ = view_;
  dragged_ = false;
}

void ArrayView::mouseMoveEvent(QMouseEvent* event) {
  constexpr double kDragFrom = 4;  // pixels
  if (region_from_ && map_) {
    const QRectF area = canvas();
    const auto device = [&](const QPointF& at) {
      const double x = std::clamp((at.x() - area.left()) / area.width(), 0.0, 1.0);
      const double y = std::clamp((at.y() - area.top()) / area.height(), 0.0, 1.0);
      return QPoint(static_cast<int>(view_.left() + x * view_.width()),
                    static_cast<int>(view_.top() + y * view_.height()));
    };
    region_ = QRect(device(*region_from_), device(event->localPos())).normalized();
    update();
  }
  if (pressed_ && map_) {
    const QPointF moved = event->localPos() - *pressed_;
    dragged_ = dragged_ || moved.manhattanLength() > kDragFrom;
    if (dragged_) {
      const QRectF area = canvas();
      view_ = pressed_view_.translated(-moved.x() / area.width() * view_.width(),
                                       -moved.y() / area.height() * view_.height());
      keep_inside();
    }
  }
  if (pointed_at_) pointed_at_(place_at(event->localPos()));
}

void ArrayView::mouseReleaseEvent(QMouseEvent* event) {
  if (region_from_) {
    region_from_.reset();
    if (region_) choose_region(*region_);
    return;
  }
  if (pressed_ && !dragged_) {
    if (const auto place = place_at(event->localPos())) choose(*place);
  }
  pressed_.reset();
}

void ArrayView::leaveEvent(QEvent*) {
  if (pointed_at_) pointed_at_(std::nullopt);
}

void ArrayView::keyPressEvent(QKeyEvent* event) {
  constexpr double kStep = 0.1;
  switch (event->key()) {
    case Qt::Key_Home:
      return show_all();
    case Qt::Key_R:
      return choose_region(view_.toAlignedRect());
    case Qt::Key_Plus:
    case Qt::Key_Equal:
      return zoom(canvas().center(), 0.8);
    case Qt::Key_Minus:
      return zoom(canvas().center(), 1.25);
    case Qt::Key_Left:
      return move(-kStep * view_.width(), 0);
    case Qt::Key_Right:
      return move(kStep * view_.width(), 0);
    case Qt::Key_Up:
      return move(0, -kStep * view_.height());
    case Qt::Key_Down:
      return move(0, kStep * view_.height());
    default:
      QWidget::keyPressEvent(event);
  }
}

void ArrayView::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  if (!map_) {
    painter.setPen(theme().soft_text);
    painter.drawText(rect(), Qt::AlignCenter | Qt::TextWordWrap, why_nothing_);
    return;
  }
  const QRect area = canvas().toRect();
  painter.drawImage(area.topLeft(), draw_array(*map_, view_, area.size(), theme().window.rgb()));
  if (layers_) {
    painter.drawImage(area.topLeft(),
                      draw_layer_edges(*map_, view_, area.size(), qRgba(255, 255, 255, 230)));
  }
  painter.setPen(theme().line);
  painter.drawRect(area);
  if (means_) paint_means(painter);
  if (region_) paint_region(painter);
  paint_axes(painter);
  paint_legend(painter);
  if (!chosen_) return;
  const auto bit_line = static_cast<double>(*chosen_ % map_->shape.bit_lines);
  const std::size_t row = *chosen_ / map_->shape.bit_lines;
  const auto word_line = static_cast<double>(row);
  const double cell_x = area.width() / view_.width(), cell_y = area.height() / view_.height();
  const QRectF cell(area.left() + (bit_line - view_.left()) * cell_x,
                    area.top() + (word_line - view_.top()) * cell_y, cell_x, cell_y);
  painter.setClipRect(area);
  const QRectF mark = QRectF(cell.center() - QPointF(7, 7), QSizeF(14, 14)).united(cell);
  painter.setPen(QPen(Qt::white, 3));
  painter.drawRect(mark);
  painter.setPen(QPen(Qt::black, 1));
  painter.drawRect(mark);
}

void ArrayView::paint_region(QPainter& painter) const {
  painter.save();
  painter.setClipRect(canvas());
  const QRectF frame = on_screen(QRectF(*region_));
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(Qt::black, 3));
  painter.drawRect(frame);
  painter.setPen(QPen(Qt::white, 1.4, Qt::DashLine));
  painter.drawRect(frame);
  painter.restore();
}

/// Of bit lines above the array, of word lines at its right; each between its own least and most.
void ArrayView::paint_means(QPainter& painter) const {
  const QRectF area = canvas();
  const LineMeans means = line_means(*map_, view_, area.toRect().size());
  const auto draw = [&](const std::vector<double>& values, bool across) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const double value : values) {
      if (std::isnan(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    if (!(low <= high)) return;
    const double extent = std::max(high - low, 1e-9);
    QPolygonF line;
    const auto flush = [&] {
      if (line.size() > 1) painter.drawPolyline(line);
      line.clear();
    };
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) {
        flush();
        continue;
      }
      const double share = (values[i] - low) / extent * (kMeans - 14);
      const auto at = static_cast<double>(i);
      line << (across ? QPointF(area.left() + at, area.top() - 4 - share)
                      : QPointF(area.right() + 4 + share, area.top() + at));
    }
    flush();
    painter.save();
    painter.setPen(theme().soft_text);
    const QString range = number_text(low, 3) + " – " + number_text(high, 3);
    if (across) {
      painter.drawText(QRectF(area.right() + 6, area.top() - kMeans, kRight + kMeans, 16),
                       Qt::AlignLeft | Qt::AlignVCenter, range);
    } else {
      painter.drawText(QRectF(area.right() - 40, area.bottom() + 20, kMeans + 90, 18),
                       Qt::AlignLeft | Qt::AlignVCenter, range);
    }
    painter.restore();
  };
  painter.save();
  painter.setRenderHint(QPainter::Antialiasing);
  painter.setPen(QPen(theme().accent, 1.2));
  draw(means.bit_lines, true);
  draw(means.word_lines, false);
  painter.restore();
}

void ArrayView::paint_axes(QPainter& painter) const {
  const QRectF area = canvas();
  painter.setPen(theme().soft_text);
  const int across = tick_distance(view_.width(), std::max(2, static_cast<int>(area.width() / 90)));
  for (int line = static_cast<int>(std::ceil(view_.left() / across)) * across; line < view_.right();
       line += across) {
    const double x = area.left() + (line + 0.5 - view_.left()) / view_.width() * area.width();
    painter.drawLine(QPointF(x, area.bottom() + 1), QPointF(x, area.bottom() + 4));
    painter.drawText(QRectF(x - 40, area.bottom() + 5, 80, 15), Qt::AlignCenter,
                     QString::number(line));
  }
  const int down = tick_distance(view_.height(), std::max(2, static_cast<int>(area.height() / 50)));
  for (int line = static_cast<int>(std::ceil(view_.top() / down)) * down; line < view_.bottom();
       line += down) {
    const double y = area.top() + (line + 0.5 - view_.top()) / view_.height() * area.height();
    painter.drawLine(QPointF(area.left() - 4, y), QPointF(area.left() - 1, y));
    painter.drawText(QRectF(16, y - 8, kLeft - 22, 16), Qt::AlignRight | Qt::AlignVCenter,
                     QString::number(line));
  }
  painter.drawText(QRectF(area.left(), area.bottom() + 20, area.width(), 18), Qt::AlignCenter,
                   "bit line");
  painter.save();
  painter.translate(9, area.center().y());
  painter.rotate(-90);
  painter.drawText(QRectF(-60, -9, 120, 18), Qt::AlignCenter, "word line");
  painter.restore();
}

void ArrayView::paint_legend(QPainter& painter) const {
  // Behind the means of the word lines.
  const QRectF area = canvas().adjusted(0, 0, means_ ? kMeans : 0, 0);
  painter.setPen(theme().soft_text);
  if (map_->quantity == ArrayQuantity::Verdict) {
    static constexpr std::array<const char*, 5> kNames{"reset", "converged", "gave up", "stuck low",
                                                       "stuck high"};
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      const double y = area.top() + 22 * static_cast<double>(i);
      painter.fillRect(QRectF(area.right() + 10, y, 11, 11),
                       QColor(array_colour(map_->quantity, static_cast<int>(1 + 50 * i))));
      painter.drawText(QRectF(area.right() + 25, y - 3, kRight, 17),
                       Qt::AlignLeft | Qt::AlignVCenter, kNames.at(i));
    }
    return;
  }
  const QRectF bar(area.right() + 12, area.top() + 20, 12, std::min(220.0, area.height() - 40));
  for (int i = 0; i < static_cast<int>(bar.height()); ++i) {
    const double share = 1 - i / bar.height();
    painter.fillRect(QRectF(bar.left(), bar.top() + i, bar.width(), 1),
                     QColor(array_colour(map_->quantity, 1 + static_cast<int>(254 * share))));
  }
  painter.drawText(QRectF(bar.left() - 4, area.top() - 2, kRight, 18),
                   Qt::AlignLeft | Qt::AlignVCenter, QString::fromUtf8(unit_of(map_->quantity)));
  constexpr int kSteps = 4;
  for (int i = 0; i <= kSteps; ++i) {
    const double value = map_->low + (map_->high - map_->low) * i / kSteps;
    const double y = bar.bottom() - bar.height() * i / kSteps;
    painter.drawText(QRectF(bar.right() + 5, y - 8, kRight, 16), Qt::AlignLeft | Qt::AlignVCenter,
                     number_text(value, 3));
  }
}

}  // namespace pcmlab::gui

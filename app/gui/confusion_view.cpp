// SPDX-License-Identifier: Apache-2.0
#include "app/gui/confusion_view.h"

#include <QHelpEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "app/gui/colour_map.h"
#include "app/gui/format.h"
#include "app/gui/theme.h"

namespace pcmlab::gui {
namespace {

constexpr int kLeft = 46;    ///< room for the axis of the classes
constexpr int kBottom = 40;  ///< and of what they were taken for
constexpr int kMostNumbers = 20;

}  // namespace

ConfusionView::ConfusionView(QWidget* parent) : QWidget(parent) {
  setAccessibleName("Confusion matrix");
  setMinimumSize(220, 200);
}

void ConfusionView::set(db::ConfusionMatrix matrix) {
  matrix_ = std::move(matrix);
  update();
}

QRectF ConfusionView::cell(int label, int taken_for) const {
  const double side = std::min(width() - kLeft - 8, height() - kBottom - 4) /
                      static_cast<double>(std::max(1, matrix_.classes));
  const double left = kLeft + std::max(0.0, (width() - kLeft - 8 - side * matrix_.classes) / 2);
  return {left + side * taken_for, 4 + side * label, side, side};
}

void ConfusionView::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setPen(theme().soft_text);
  if (matrix_.classes == 0) {
    painter.drawText(rect(), Qt::AlignCenter, "No confusion matrix was kept.");
    return;
  }
  QFont font = this->font();
  const double side = cell(0, 0).width();
  font.setPixelSize(std::clamp(static_cast<int>(side * 0.34), 8, 14));
  painter.setFont(font);
  const auto classes = static_cast<std::size_t>(matrix_.classes);
  for (int label = 0; label < matrix_.classes; ++label) {
    const auto* row = matrix_.counts.data() + static_cast<std::size_t>(label) * classes;
    const double all = std::max(1.0, std::accumulate(row, row + classes, 0.0));
    for (int other = 0; other < matrix_.classes; ++other) {
      const double share = row[other] / all;
      // A root, so that the few mistakes are seen.
      const double strength = std::sqrt(share);
      const QColor ground = theme().surface;
      const QColor mark = label == other ? theme().series[2] : theme().series[1];
      const auto mixed = [&](double a, double b) { return a + (b - a) * strength * 0.9; };
      const QColor fill =
          QColor::fromRgbF(mixed(ground.redF(), mark.redF()), mixed(ground.greenF(), mark.greenF()),
                           mixed(ground.blueF(), mark.blueF()));
      const QRectF place = cell(label, other);
      painter.fillRect(place.adjusted(0.5, 0.5, -0.5, -0.5), fill);
      if (row[other] == 0 || matrix_.classes > kMostNumbers) continue;
      const QColor black("#101418"), white("#ffffff");
      painter.setPen(contrast(black, fill) > contrast(white, fill) ? black : white);
      painter.drawText(place, Qt::AlignCenter, QString::number(row[other]));
    }
    if (matrix_.classes > kMostNumbers && label % 10 != 0) continue;
    painter.setPen(theme().soft_text);
    const QRectF left = cell(label, 0), below = cell(matrix_.classes - 1, label);
    painter.drawText(QRectF(left.left() - 30, left.top(), 24, left.height()),
                     Qt::AlignRight | Qt::AlignVCenter, QString::number(label));
    painter.drawText(QRectF(below.left(), below.bottom() + 2, below.width(), 16), Qt::AlignCenter,
                     QString::number(label));
  }
  painter.setPen(theme().soft_text);
  const double extent = side * matrix_.classes;
  painter.drawText(QRectF(cell(0, 0).left(), extent + 22, extent, 18), Qt::AlignCenter,
                   "taken for");
  painter.translate(cell(0, 0).left() - 36, 4 + extent / 2);
  painter.rotate(-90);
  painter.drawText(QRectF(-60, -9, 120, 18), Qt::AlignCenter, "class");
}

bool ConfusionView::event(QEvent* event) {
  if (event->type() == QEvent::ToolTip && matrix_.classes > 0) {
    const auto* help = static_cast<QHelpEvent*>(event);
    const double side = cell(0, 0).width();
    const int label = static_cast<int>(std::floor((help->pos().y() - 4) / side));
    const int other = static_cast<int>(std::floor((help->pos().x() - cell(0, 0).left()) / side));
    if (label >= 0 && other >= 0 && label < matrix_.classes && other < matrix_.classes) {
      const auto classes = static_cast<std::size_t>(matrix_.classes);
      const auto* row = matrix_.counts.data() + static_cast<std::size_t>(label) * classes;
      const double all = std::max(1.0, std::accumulate(row, row + classes, 0.0));
      QToolTip::showText(help->globalPos(),
                         QString("%1 images of class %2 taken for %3: %4 % of the class")
                             .arg(count_text(row[other]))
                             .arg(label)
                             .arg(other)
                             .arg(number_text(100 * row[other] / all, 3)),
                         this);
      return true;
    }
    QToolTip::hideText();
  }
  return QWidget::event(event);
}

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
/// \file
/// The array on the screen: wheel and +, - zoom, drag and arrows move, Home shows all, a click
/// chooses a device, Shift and drag a region; R is the region that is in view. GUI thread.
#pragma once

#include <QPointF>
#include <QRectF>
#include <QWidget>
#include <functional>
#include <memory>
#include <optional>

#include "app/gui/array_map.h"

namespace pcmlab::gui {

class ArrayView : public QWidget {
 public:
  explicit ArrayView(QWidget* parent = nullptr);

  /// The view stays where it is if the array has the same shape. null: nothing to show.
  void set(std::shared_ptr<const ArrayMap> map, QString why_nothing = {});
  /// A place, or none beside the array.
  void on_pointed(std::function<void(std::optional<std::size_t> place)> tell);
  void on_chosen(std::function<void(std::size_t place)> tell);
  /// In devices: x are bit lines, y word lines.
  void on_region(std::function<void(const QRect& region)> tell);
  void choose(std::size_t place);
  void choose_region(const QRect& region);
  const std::optional<QRect>& region() const { return region_; }
  void show_layers(bool on);
  /// Of lines: their means at the edges.
  void show_means(bool on);
  void show_all();
  /// In devices: x are bit lines, y word lines.
  const QRectF& view() const { return view_; }
  std::optional<std::size_t> place_at(const QPointF& position) const;
  QSize sizeHint() const override { return {800, 400}; }

 protected:
  void paintEvent(QPaintEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  QRectF canvas() const;  ///< of the widget, without the axes
  void zoom(const QPointF& around, double factor);
  void move(double bit_lines, double word_lines);
  void keep_inside();
  void paint_axes(QPainter& painter) const;
  void paint_legend(QPainter& painter) const;
  void paint_means(QPainter& painter) const;
  void paint_region(QPainter& painter) const;
  QRectF on_screen(const QRectF& devices) const;

  std::shared_ptr<const ArrayMap> map_;
  QString why_nothing_;
  QRectF view_;
  std::optional<std::size_t> chosen_;
  std::optional<QPointF> pressed_;
  bool dragged_ = false;
  QRectF pressed_view_;
  std::function<void(std::optional<std::size_t>)> pointed_at_;
  std::function<void(std::size_t)> choose_;
  std::function<void(const QRect&)> choose_region_;
  std::optional<QRect> region_;
  std::optional<QPointF> region_from_;  ///< where the pointer was pressed
  bool layers_ = false, means_ = false;
};

}  // namespace pcmlab::gui

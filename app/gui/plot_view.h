// SPDX-License-Identifier: Apache-2.0
/// \file
/// The plot of all pages: drawn by Qwt, zoomed with a history, read at the pointer, exported. GUI
/// thread.
#pragma once

#include <QFrame>
#include <filesystem>
#include <functional>
#include <memory>

#include "app/gui/plot_content.h"
#include "app/gui/theme.h"
#include "protocol/error.h"

class QLabel;
class QToolButton;
class QwtPlot;
class QwtPlotPanner;

namespace pcmlab::gui {

class PlotZoomer;

/// Drag: zoom in. Wheel: zoom around the pointer. Right click: the zoom before. Middle button:
/// move. A zoom stays when content of the same title comes.
class PlotView : public QFrame {
 public:
  explicit PlotView(QString name, QWidget* parent = nullptr);
  ~PlotView() override;

  void set(PlotContent content);
  /// In place of a plot: why there is none.
  void set_empty(const QString& why);
  const PlotContent& content() const { return content_; }
  void retheme();
  /// Where the pointer would say "AdaBS · 55 min · 94.06 %"; position in the canvas.
  QString read_at(const QPoint& position) const;

  // The history of zooms, as the buttons and keys have it.
  void undo_zoom();
  void redo_zoom();
  void show_all();
  bool is_zoomed() const;
  void set_log(bool of_x, bool log);

  /// By the extension: png, svg, pdf, csv. Pictures are light, whatever the window is.
  /// Errors: Unsupported (extension), Io.
  Result<void> export_to(const std::filesystem::path& file);
  void on_error(std::function<void(const Error&)> tell) { tell_ = std::move(tell); }

  QwtPlot& plot() { return *plot_; }

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  QWidget* make_head();
  void draw();
  void elide_note();
  void style(const Theme& colours, bool for_file);
  void scale_axes();
  void scale_axis(int axis, const Axis& of);
  void show_buttons();
  void ask_export();
  void zoom_at(const QPointF& position, double factor);

  QString name_;
  PlotContent content_;
  bool changed_[2] = {false, false};  ///< linear and logarithmic are exchanged
  std::function<void(const Error&)> tell_;

  QLabel* title_ = nullptr;
  QLabel* note_ = nullptr;  ///< its tool tip has all of it
  QLabel* empty_ = nullptr;
  QwtPlot* plot_ = nullptr;
  PlotZoomer* zoomer_ = nullptr;
  QwtPlotPanner* panner_ = nullptr;
  QToolButton* undo_ = nullptr;
  QToolButton* redo_ = nullptr;
  QToolButton* all_ = nullptr;
  QToolButton* export_ = nullptr;
  QToolButton* log_x_ = nullptr;
  QToolButton* log_y_ = nullptr;
};

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
#include "app/gui/plot_view.h"

#include <qwt_interval_symbol.h>
#include <qwt_legend.h>
#include <qwt_legend_label.h>
#include <qwt_plot.h>
#include <qwt_plot_canvas.h>
#include <qwt_plot_curve.h>
#include <qwt_plot_grid.h>
#include <qwt_plot_intervalcurve.h>
#include <qwt_plot_layout.h>
#include <qwt_plot_marker.h>
#include <qwt_plot_panner.h>
#include <qwt_plot_renderer.h>
#include <qwt_plot_zoneitem.h>
#include <qwt_plot_zoomer.h>
#include <qwt_scale_engine.h>
#include <qwt_scale_map.h>
#include <qwt_scale_widget.h>
#include <qwt_symbol.h>
#include <qwt_text.h>

#include <QFileDialog>
#include <QHBoxLayout>
#include <QImage>
#include <QKeyEvent>
#include <QLabel>
#include <QPainter>
#include <QSaveFile>
#include <QToolButton>
#include <QVBoxLayout>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>

#include "app/gui/colour_map.h"
#include "app/gui/format.h"
#include "app/gui/icons.h"
#include "app/gui/plot_scales.h"

namespace pcmlab::gui {
namespace {

/// Of one series; more are thinned out, and the plot says so.
constexpr std::size_t kMostPoints = 20'000;

/// So that its legend is one line at most widths.
bool has_many_names(const PlotContent& content) {
  constexpr std::ptrdiff_t kMany = 6;
  return std::count_if(content.series.begin(), content.series.end(),
                       [](const Series& series) { return !series.faint; }) >= kMany;
}

QColor colour_of_series(const Series& series, const Theme& colours) {
  if (series.shade) {
    // The ends of the map that would vanish in the ground are left out.
    const double share =
        colours.kind == ThemeKind::Light ? 0.05 + 0.7 * *series.shade : 0.35 + 0.65 * *series.shade;
    return QColor(colour_of(sequential_map(), share));
  }
  return colours.series.at(static_cast<std::size_t>(series.colour) % colours.series.size());
}

QString axis_title(const Axis& axis) {
  return axis.unit.empty() ? text(axis.title) : text(axis.title) + "  (" + text(axis.unit) + ")";
}

QString axis_value(const Axis& axis, double value) {
  if (axis.scale == Scale::Time) return duration_text(value);
  const QString number = number_text(value);
  return axis.unit.empty() ? number : number + QChar(0xA0) + text(axis.unit);
}

bool fits_log(const PlotContent& content, bool of_x) {
  return std::all_of(content.series.begin(), content.series.end(), [&](const Series& series) {
    const auto& values = of_x ? series.x : series.y;
    return std::all_of(values.begin(), values.end(), [](double value) { return !(value <= 0); });
  });
}

QToolButton* tool(const char* name, const QString& keys) {
  auto* button = new QToolButton;
  button->setAccessibleName(name);
  button->setToolTip(keys.isEmpty() ? QString(name) : QString("%1 (%2)").arg(name, keys));
  button->setIconSize(QSize(16, 16));
  button->setFocusPolicy(Qt::TabFocus);
  return button;
}

}  // namespace

/// Zooms, and says at the pointer what is there.
class PlotZoomer : public QwtPlotZoomer {
 public:
  PlotZoomer(QWidget* canvas, const PlotView& view) : QwtPlotZoomer(canvas, false), view_(view) {
    setMousePattern(MouseSelect2, Qt::RightButton, Qt::ControlModifier);  // all
    setMousePattern(MouseSelect3, Qt::RightButton);                       // the one before
    setMousePattern(MouseSelect6, Qt::RightButton, Qt::ShiftModifier);    // the one after
    setTrackerMode(AlwaysOn);
    setMaxStackDepth(50);
    // Keys are the view's.
    for (int key = 0; key < KeyPatternCount; ++key) {
      setKeyPattern(static_cast<KeyPatternCode>(key), Qt::Key_unknown);
    }
  }

 protected:
  QwtText trackerText(const QPoint& position) const override {
    QwtText out(view_.read_at(position));
    out.setBackgroundBrush(theme().surface);
    out.setBorderPen(theme().line);
    out.setBorderRadius(4);
    out.setColor(theme().text);
    return out;
  }

 private:
  const PlotView& view_;
};

PlotView::PlotView(QString name, QWidget* parent) : QFrame(parent), name_(std::move(name)) {
  setObjectName("Card");
  setAccessibleName(name_);
  setFocusPolicy(Qt::ClickFocus);
  plot_ = new QwtPlot;
  plot_->setAccessibleName(name_);
  plot_->setFocusPolicy(Qt::NoFocus);
  auto* canvas = new QwtPlotCanvas;
  canvas->setFrameStyle(QFrame::NoFrame);
  canvas->setAutoFillBackground(false);
  plot_->setCanvas(canvas);
  canvas->installEventFilter(this);
  plot_->plotLayout()->setAlignCanvasToScales(true);
  plot_->setMinimumSize(180, 130);
  auto* legend = new QwtLegend;
  legend->setDefaultItemMode(QwtLegendData::Checkable);
  legend->contentsWidget()->layout()->setSpacing(0);
  plot_->insertLegend(legend, QwtPlot::TopLegend);
  connect(legend, &QwtLegend::checked, this, [this](const QVariant& item, bool on) {
    QwtPlotItem* hidden = plot_->infoToItem(item);
    for (QwtPlotItem* each : plot_->itemList()) {
      if (each->title().text() == hidden->title().text()) each->setVisible(!on);
    }
    plot_->replot();
  });
  zoomer_ = new PlotZoomer(canvas, *this);
  connect(zoomer_, &QwtPlotZoomer::zoomed, this, [this] { show_buttons(); });
  panner_ = new QwtPlotPanner(canvas);
  panner_->setMouseButton(Qt::MiddleButton);
  connect(panner_, &QwtPlotPanner::panned, this, [this] {
    const QwtInterval x = plot_->axisInterval(QwtPlot::xBottom);
    const QwtInterval y = plot_->axisInterval(QwtPlot::yLeft);
    zoomer_->zoom(QRectF(x.minValue(), y.minValue(), x.width(), y.width()));
  });
  canvas->setFocusPolicy(Qt::NoFocus);  // which the zoomer had changed
  empty_ = new QLabel;
  empty_->setAlignment(Qt::AlignCenter);
  empty_->setWordWrap(true);
  empty_->setObjectName("Soft");
  empty_->hide();
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(12, 8, 8, 8);
  layout->setSpacing(2);
  layout->addWidget(make_head());
  layout->addWidget(plot_, 1);
  layout->addWidget(empty_, 1);
  set_empty("Nothing read yet");
}

PlotView::~PlotView() { plot_->detachItems(QwtPlotItem::Rtti_PlotItem, true); }

QWidget* PlotView::make_head() {
  title_ = new QLabel(name_);
  title_->setObjectName("Heading");
  note_ = new QLabel;
  note_->setObjectName("Soft");
  note_->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  note_->installEventFilter(this);
  log_x_ = tool("Logarithmic x axis", "X");
  log_x_->setText("log x");
  log_y_ = tool("Logarithmic y axis", "Y");
  log_y_->setText("log y");
  for (QToolButton* button : {log_x_, log_y_}) {
    button->setCheckable(true);
    const bool of_x = button == log_x_;
    connect(button, &QToolButton::clicked, this, [this, of_x](bool on) { set_log(of_x, on); });
  }
  undo_ = tool("The zoom before", "Ctrl+Z");
  redo_ = tool("The zoom after", "Ctrl+Shift+Z");
  all_ = tool("Everything", "Home");
  export_ = tool("Export as PNG, SVG, PDF or CSV", "Ctrl+E");
  connect(undo_, &QToolButton::clicked, this, [this] { undo_zoom(); });
  connect(redo_, &QToolButton::clicked, this, [this] { redo_zoom(); });
  connect(all_, &QToolButton::clicked, this, [this] { show_all(); });
  connect(export_, &QToolButton::clicked, this, [this] { ask_export(); });
  auto* head = new QWidget;
  auto* layout = new QHBoxLayout(head);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(1);
  layout->addWidget(title_);
  layout->addSpacing(10);
  layout->addWidget(note_, 1);
  for (QToolButton* button : {log_x_, log_y_, undo_, redo_, all_, export_})
    layout->addWidget(button);
  return head;
}

void PlotView::set_empty(const QString& why) {
  content_ = {};
  title_->setText(name_);
  note_->clear();
  note_->setToolTip({});
  plot_->hide();
  empty_->setText(why);
  empty_->show();
  for (QToolButton* button : {log_x_, log_y_, undo_, redo_, all_, export_}) button->hide();
}

void PlotView::set(PlotContent content) {
  const bool another = content.title != content_.title || content.x.title != content_.x.title ||
                       content.y.title != content_.y.title;
  content_ = std::move(content);
  if (another) changed_[0] = changed_[1] = false;
  title_->setText(text(content_.title));
  empty_->hide();
  plot_->show();
  draw();
  if (another || !is_zoomed()) {
    scale_axes();
  } else {
    plot_->replot();
  }
  export_->show();
  show_buttons();
}

void PlotView::draw() {
  plot_->detachItems(QwtPlotItem::Rtti_PlotItem, true);
  auto* grid = new QwtPlotGrid;
  grid->setItemAttribute(QwtPlotItem::Legend, false);
  grid->attach(plot_);
  for (auto stretch = content_.stretches.begin(); stretch != content_.stretches.end(); ++stretch) {
    auto* zone = new QwtPlotZoneItem;
    zone->setTitle(text(stretch->name));
    zone->setOrientation(Qt::Vertical);
    zone->setInterval(stretch->from, stretch->to);
    // One entry in the legend for all of a name.
    const bool named =
        std::none_of(content_.stretches.begin(), stretch,
                     [&](const Stretch& before) { return before.name == stretch->name; });
    zone->setItemAttribute(QwtPlotItem::Legend, named);
    zone->attach(plot_);
  }
  for (const Level& level : content_.levels) {
    auto* marker = new QwtPlotMarker;
    marker->setLineStyle(QwtPlotMarker::HLine);
    marker->setYValue(level.y);
    marker->setLabelAlignment(Qt::AlignRight | Qt::AlignTop);
    marker->attach(plot_);
  }
  for (const Moment& moment : content_.moments) {
    auto* marker = new QwtPlotMarker;
    marker->setLineStyle(QwtPlotMarker::VLine);
    marker->setXValue(moment.x);
    marker->setLabelAlignment(Qt::AlignLeft | Qt::AlignTop);
    marker->attach(plot_);
  }
  std::size_t left_out = 0;
  for (const Series& series : content_.series) {
    const std::size_t every = (series.x.size() + kMostPoints - 1) / kMostPoints;
    const std::size_t step = std::max<std::size_t>(every, 1);
    left_out = std::max(left_out, step);
    if (!series.low.empty()) {
      auto* interval = new QwtPlotIntervalCurve(text(series.name));
      QVector<QwtIntervalSample> samples;
      for (std::size_t i = 0; i < series.x.size(); i += step) {
        samples.append({series.x[i], series.low[i], series.high[i]});
      }
      interval->setSamples(samples);
      interval->setItemAttribute(QwtPlotItem::Legend, false);
      interval->setStyle(series.mark == Mark::Band ? QwtPlotIntervalCurve::Tube
                                                   : QwtPlotIntervalCurve::NoCurve);
      if (series.mark != Mark::Band) {
        auto* bar = new QwtIntervalSymbol(QwtIntervalSymbol::Bar);
        bar->setWidth(7);
        interval->setSymbol(bar);
      }
      interval->attach(plot_);
      if (series.mark == Mark::Band) continue;
    }
    auto* curve = new QwtPlotCurve(text(series.name));
    QVector<QPointF> samples;
    for (std::size_t i = 0; i < series.x.size(); i += step) {
      if (std::isfinite(series.x[i]) && std::isfinite(series.y[i])) {
        samples.append({series.x[i], series.y[i]});
      }
    }
    curve->setSamples(samples);
    curve->setStyle(series.mark == Mark::Points ? QwtPlotCurve::NoCurve : QwtPlotCurve::Lines);
    curve->setRenderHint(QwtPlotItem::RenderAntialiased, series.mark != Mark::Points);
    curve->setItemAttribute(QwtPlotItem::Legend, !series.faint);
    curve->setLegendAttribute(series.mark == Mark::Points ? QwtPlotCurve::LegendShowSymbol
                                                          : QwtPlotCurve::LegendShowLine);
    curve->setLegendIconSize(QSize(has_many_names(content_) ? 10 : 16, 10));
    curve->attach(plot_);
  }
  QString note = text(content_.note);
  if (left_out > 1) note += QString("  ·  every %1th point drawn").arg(left_out);
  note_->setToolTip(note);
  elide_note();
  style(theme(), false);
}

void PlotView::elide_note() {
  note_->setText(note_->fontMetrics().elidedText(note_->toolTip(), Qt::ElideRight, note_->width()));
}

void PlotView::style(const Theme& colours, bool for_file) {
  QPalette palette;
  palette.setColor(QPalette::Window, colours.surface);
  palette.setColor(QPalette::WindowText, colours.soft_text);
  palette.setColor(QPalette::Text, colours.soft_text);
  plot_->setPalette(palette);
  plot_->setCanvasBackground(colours.surface);
  QFont font = this->font();
  font.setPointSizeF(font.pointSizeF() * 0.9);
  for (const int axis : {QwtPlot::xBottom, QwtPlot::yLeft}) {
    plot_->axisWidget(axis)->setPalette(palette);
    plot_->setAxisFont(axis, font);
    QwtText title(axis_title(axis == QwtPlot::xBottom ? content_.x : content_.y));
    title.setFont(font);
    title.setColor(colours.soft_text);
    plot_->setAxisTitle(axis, title);
  }
  QwtText head(for_file ? text(content_.title) : QString());
  head.setColor(colours.text);
  plot_->setTitle(head);
  QwtText foot(for_file ? text(content_.source).replace('\n', "   ") : QString());
  foot.setColor(colours.soft_text);
  QFont small = font;
  small.setPointSizeF(font.pointSizeF() * 0.8);
  foot.setFont(small);
  plot_->setFooter(foot);

  auto series = content_.series.begin();
  auto level = content_.levels.begin();
  auto moment = content_.moments.begin();
  for (QwtPlotItem* item : plot_->itemList()) {
    if (item->rtti() == QwtPlotItem::Rtti_PlotGrid) {
      static_cast<QwtPlotGrid*>(item)->setMajorPen(colours.line, 0.8);
    } else if (item->rtti() == QwtPlotItem::Rtti_PlotZone) {
      QColor shade = colours.stopped;
      shade.setAlphaF(0.18);
      static_cast<QwtPlotZoneItem*>(item)->setBrush(shade);
      shade.setAlphaF(0.5);
      static_cast<QwtPlotZoneItem*>(item)->setPen(QPen(shade, 1));
    } else if (item->rtti() == QwtPlotItem::Rtti_PlotMarker &&
               static_cast<QwtPlotMarker*>(item)->lineStyle() == QwtPlotMarker::VLine) {
      auto* marker = static_cast<QwtPlotMarker*>(item);
      marker->setLinePen(colours.soft_text, 1, Qt::DotLine);
      // The first says what they all are.
      if (moment == content_.moments.begin()) {
        QwtText label(text(moment->name));
        label.setColor(colours.soft_text);
        label.setFont(font);
        marker->setLabel(label);
      }
      ++moment;
    } else if (item->rtti() == QwtPlotItem::Rtti_PlotMarker && level != content_.levels.end()) {
      auto* marker = static_cast<QwtPlotMarker*>(item);
      marker->setLinePen(colours.text, 1.2, Qt::DashLine);
      QwtText label(text(level->name));
      label.setColor(colours.text);
      label.setFont(font);
      QColor behind = colours.surface;
      behind.setAlphaF(0.8);
      label.setBackgroundBrush(behind);
      marker->setLabel(label);
      ++level;
    }
  }
  // Items keep the order in which they were attached among those of one kind; a series is an
  // interval, a curve, or one after the other.
  const auto intervals = plot_->itemList(QwtPlotItem::Rtti_PlotIntervalCurve);
  const auto curves = plot_->itemList(QwtPlotItem::Rtti_PlotCurve);
  int interval = 0, curve = 0;
  for (; series != content_.series.end(); ++series) {
    QColor colour = colour_of_series(*series, colours);
    if (!series->low.empty()) {
      auto* item = static_cast<QwtPlotIntervalCurve*>(intervals[interval++]);
      QColor fill = colour;
      fill.setAlphaF(0.16);
      item->setBrush(fill);
      item->setPen(QPen(Qt::NoPen));
      if (item->symbol() != nullptr) {
        const_cast<QwtIntervalSymbol*>(item->symbol())->setPen(QPen(colour, 1.2));
      }
      if (series->mark == Mark::Band) continue;
    }
    auto* item = static_cast<QwtPlotCurve*>(curves[curve++]);
    if (series->faint) colour.setAlphaF(0.35);
    item->setPen(colour, series->faint ? 0.8 : 2.0);
    if (series->mark == Mark::LinePoints) {
      item->setSymbol(
          new QwtSymbol(QwtSymbol::Ellipse, colour, QPen(colours.surface, 1), QSize(7, 7)));
    } else if (series->mark == Mark::Points) {
      item->setSymbol(new QwtSymbol(QwtSymbol::Rect, colour, Qt::NoPen, QSize(2, 2)));
    }
  }
  plot_->updateLegend();
  const bool is_tight = has_many_names(content_);
  for (QwtLegendLabel* label : plot_->findChildren<QwtLegendLabel*>()) {
    QwtText name = label->text();
    name.setColor(colours.text);
    name.setFont(font);
    if (is_tight) {
      label->setMargin(1);
      label->setSpacing(3);
    }
    label->setText(name);
    label->setFocusPolicy(Qt::NoFocus);
  }
  plot_->replot();
}

void PlotView::scale_axis(int axis, const Axis& of) {
  Scale scale = of.scale;
  if (changed_[axis == QwtPlot::xBottom ? 0 : 1]) {
    scale = scale == Scale::Linear ? Scale::Log : Scale::Linear;
  }
  set_scale(*plot_, axis, scale);
  if (of.range) {
    plot_->setAxisScale(axis, of.range->first, of.range->second);
  } else {
    plot_->axisScaleEngine(axis)->setAttribute(QwtScaleEngine::Floating,
                                               scale == Scale::Log || scale == Scale::Time);
    plot_->axisScaleEngine(axis)->setMargins(
        scale == Scale::Time || scale == Scale::Log ? 0.08 : 0,
        scale == Scale::Time || scale == Scale::Log ? 0.08 : 0);
    plot_->setAxisAutoScale(axis);
  }
}

void PlotView::scale_axes() {
  scale_axis(QwtPlot::xBottom, content_.x);
  scale_axis(QwtPlot::yLeft, content_.y);
  plot_->updateAxes();
  zoomer_->setZoomBase(true);
  plot_->replot();
}

void PlotView::show_buttons() {
  const auto can_log = [&](const Axis& axis, bool of_x) {
    const bool plain = axis.scale == Scale::Linear && axis.unit != "%";
    return (plain || axis.scale == Scale::Log) && fits_log(content_, of_x);
  };
  log_x_->setVisible(can_log(content_.x, true));
  log_y_->setVisible(can_log(content_.y, false));
  log_x_->setChecked((content_.x.scale == Scale::Log) != changed_[0]);
  log_y_->setChecked((content_.y.scale == Scale::Log) != changed_[1]);
  const auto depth = static_cast<uint>(zoomer_->zoomStack().size());
  undo_->setVisible(depth > 1);
  redo_->setVisible(depth > 1);
  all_->setVisible(depth > 1);
  undo_->setEnabled(zoomer_->zoomRectIndex() > 0);
  all_->setEnabled(zoomer_->zoomRectIndex() > 0);
  redo_->setEnabled(zoomer_->zoomRectIndex() + 1 < depth);
  undo_->setIcon(icon(Glyph::Undo, theme().text, theme().text));
  redo_->setIcon(icon(Glyph::Redo, theme().text, theme().text));
  all_->setIcon(icon(Glyph::Fit, theme().text, theme().text));
  export_->setIcon(icon(Glyph::Export, theme().text, theme().text));
}

void PlotView::retheme() {
  if (!plot_->isHidden()) {
    style(theme(), false);
    show_buttons();
  }
}

void PlotView::undo_zoom() { zoomer_->zoom(-1); }
void PlotView::redo_zoom() { zoomer_->zoom(1); }
void PlotView::show_all() { zoomer_->zoom(0); }
bool PlotView::is_zoomed() const { return zoomer_->zoomRectIndex() > 0; }

void PlotView::set_log(bool of_x, bool log) {
  const Axis& axis = of_x ? content_.x : content_.y;
  changed_[of_x ? 0 : 1] = (axis.scale == Scale::Log) != log;
  scale_axes();
  show_buttons();
}

QString PlotView::read_at(const QPoint& position) const {
  constexpr double kReach = 24;  // pixels
  const QwtScaleMap x = plot_->canvasMap(QwtPlot::xBottom);
  const QwtScaleMap y = plot_->canvasMap(QwtPlot::yLeft);
  const Series* nearest = nullptr;
  std::size_t place = 0;
  double least = kReach * kReach;
  for (const Series& series : content_.series) {
    if (series.mark == Mark::Band) continue;
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      const double dx = x.transform(series.x[i]) - position.x();
      const double dy = y.transform(series.y[i]) - position.y();
      if (dx * dx + dy * dy < least) {
        least = dx * dx + dy * dy;
        nearest = &series;
        place = i;
      }
    }
  }
  if (nearest == nullptr) {
    QString told = axis_value(content_.x, x.invTransform(position.x())) + " · " +
                   axis_value(content_.y, y.invTransform(position.y()));
    constexpr double kMargin = 4;  // pixels
    for (const Stretch& stretch : content_.stretches) {
      if (position.x() >= x.transform(stretch.from) - kMargin &&
          position.x() <= x.transform(stretch.to) + kMargin) {
        told += " · " + text(stretch.name);
      }
    }
    for (const Moment& moment : content_.moments) {
      if (std::abs(x.transform(moment.x) - position.x()) <= kMargin) {
        told = text(moment.name) + " · " + axis_value(content_.x, moment.x);
      }
    }
    return told;
  }
  return text(nearest->name) + " · " + axis_value(content_.x, nearest->x[place]) + " · " +
         axis_value(content_.y, nearest->y[place]);
}

void PlotView::zoom_at(const QPointF& position, double factor) {
  const auto around = [&](int axis, double pixel) {
    const QwtScaleMap map = plot_->canvasMap(axis);
    const double a = map.invTransform(pixel + (map.p1() - pixel) * factor);
    const double b = map.invTransform(pixel + (map.p2() - pixel) * factor);
    return std::pair(std::min(a, b), std::max(a, b));
  };
  const auto x = around(QwtPlot::xBottom, position.x());
  const auto y = around(QwtPlot::yLeft, position.y());
  zoomer_->zoom(QRectF(x.first, y.first, x.second - x.first, y.second - y.first));
}

bool PlotView::eventFilter(QObject* watched, QEvent* event) {
  if (watched == note_) {
    if (event->type() == QEvent::Resize) elide_note();
    return QFrame::eventFilter(watched, event);
  }
  if (event->type() == QEvent::Wheel && !plot_->isHidden()) {
    const auto* wheel = static_cast<QWheelEvent*>(event);
    if (wheel->angleDelta().y() != 0) {
      zoom_at(wheel->position(), std::pow(0.85, wheel->angleDelta().y() / 120.0));
    }
    return true;
  }
  if (event->type() == QEvent::MouseButtonPress) setFocus();
  return QFrame::eventFilter(watched, event);
}

void PlotView::keyPressEvent(QKeyEvent* event) {
  if (plot_->isHidden()) return QFrame::keyPressEvent(event);
  const bool control = event->modifiers().testFlag(Qt::ControlModifier);
  const bool shift = event->modifiers().testFlag(Qt::ShiftModifier);
  if (control && event->key() == Qt::Key_Z) {
    shift ? redo_zoom() : undo_zoom();
  } else if (event->key() == Qt::Key_Home) {
    show_all();
  } else if (control && event->key() == Qt::Key_E) {
    ask_export();
  } else if (event->key() == Qt::Key_X && !log_x_->isHidden()) {
    log_x_->click();
  } else if (event->key() == Qt::Key_Y && !log_y_->isHidden()) {
    log_y_->click();
  } else {
    QFrame::keyPressEvent(event);
  }
}

void PlotView::ask_export() {
  auto* dialog = new QFileDialog(this, "Export " + text(content_.title), {},
                                 "PNG (*.png);;SVG (*.svg);;PDF (*.pdf);;Data as CSV (*.csv)");
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->setAcceptMode(QFileDialog::AcceptSave);
  dialog->setDefaultSuffix("png");
  connect(dialog, &QFileDialog::filterSelected, dialog, [dialog](const QString& filter) {
    dialog->setDefaultSuffix(filter.section("*.", 1).chopped(1));
  });
  connect(dialog, &QFileDialog::fileSelected, this, [this](const QString& file) {
    const auto done = export_to(file.toStdString());
    if (!done && tell_) tell_(done.error());
  });
  dialog->open();
}

Result<void> PlotView::export_to(const std::filesystem::path& file) {
  const std::string kind = file.extension().string();
  const QString name = QString::fromStdString(file.string());
  const auto failed = [&](const QString& why) {
    return fail(ErrorCode::Io, "exporting the plot to " + file.string() + ": " + why.toStdString(),
                "is the folder there and writable, and is there room?");
  };
  if (kind == ".csv") {
    QSaveFile out(name);
    const std::string csv = to_csv(content_);
    if (!out.open(QIODevice::WriteOnly) ||
        out.write(csv.data(), static_cast<qint64>(csv.size())) < 0 || !out.commit()) {
      return failed(out.errorString());
    }
    return {};
  }
  if (kind != ".png" && kind != ".svg" && kind != ".pdf") {
    return fail(ErrorCode::Unsupported,
                "exporting the plot to " + file.string() + ": no picture format \"" + kind + "\"",
                "use .png, .svg, .pdf, or .csv for the data");
  }
  style(light_theme(), true);
  QwtPlotRenderer renderer;
  renderer.setDiscardFlag(QwtPlotRenderer::DiscardBackground, false);
  bool written = false;
  constexpr double kWidth_mm = 200, kHeight_mm = 125;
  constexpr int kDotsPerInch = 85;
  if (kind == ".png") {
    constexpr int kRatio = 2;
    QImage picture(1600, 1000, QImage::Format_RGB32);
    picture.setDotsPerMeterX(kRatio * 3780);
    picture.setDotsPerMeterY(kRatio * 3780);
    picture.setText("Title", text(content_.title));
    picture.setText("Source", text(content_.source));
    picture.fill(Qt::white);
    QPainter painter(&picture);
    renderer.render(plot_, &painter, QRectF(20, 20, 1560, 960));
    painter.end();
    written = picture.save(name);
  } else {
    renderer.renderDocument(plot_, name, QString::fromStdString(kind.substr(1)),
                            QSizeF(kWidth_mm, kHeight_mm), kDotsPerInch);
    std::error_code ignored;
    written = std::filesystem::file_size(file, ignored) > 0 && !ignored;
  }
  style(theme(), false);
  if (!written) return failed("it could not be written");
  return {};
}

}  // namespace pcmlab::gui

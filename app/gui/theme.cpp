// SPDX-License-Identifier: Apache-2.0
#include "app/gui/theme.h"

#include <QApplication>
#include <QFont>
#include <QPalette>
#include <QStyleFactory>
#include <cmath>

namespace pcmlab::gui {
namespace {

const Theme* current = nullptr;

// What the palette cannot say. %1 .. are colours, see style_sheet().
constexpr char kStyle[] = R"(
QToolTip { background: @surface; color: @text; border: 1px solid @line; padding: 4px; }
QSplitter::handle { background: @window; }
QFrame#Card, QTableView, QPlainTextEdit, QListWidget { background: @surface; border: 1px solid @line; border-radius: 6px; }
QFrame#TopBar { background: @window; border: none; border-bottom: 1px solid @line; }
QWidget#Rail { background: @rail; border-right: 1px solid @line; }
QToolButton#RailButton { border: none; border-radius: 6px; padding: 7px 10px; margin: 1px 6px; color: @text; text-align: left; }
QToolButton#RailButton:hover { background: @hover; }
QToolButton#RailButton:checked { background: @accent; color: @on_accent; font-weight: 600; }
QToolButton#RailButton:focus { border: 1px solid @accent; }
QFrame#ErrorBar { background: @error_bar; border: none; border-bottom: 1px solid @line; }
QFrame#ErrorBar QLabel { color: @error_text; }
QLabel#Title { font-size: 15pt; font-weight: 600; }
QLabel#Heading { font-weight: 600; }
QLabel#Soft { color: @soft; }
QLabel#FieldError { color: @failed; }
QLabel#Message { color: @complete; }
QLabel#Figure { font-size: 15pt; font-weight: 600; }
QLineEdit { background: @surface; border: 1px solid @line; border-radius: 5px; padding: 4px 7px; min-height: 18px; selection-background-color: @accent; selection-color: @on_accent; }
QLineEdit:focus, QPlainTextEdit:focus { border: 1px solid @accent; }
QComboBox { padding: 3px 6px; }
QPushButton { background: @surface; color: @text; border: 1px solid @line; border-radius: 5px; padding: 5px 13px; }
QPushButton:hover { background: @hover; }
QPushButton:focus { border: 1px solid @accent; }
QPushButton:disabled { color: @soft; }
QPushButton#Primary { background: @accent; color: @on_accent; border: 1px solid @accent; font-weight: 600; }
QPushButton#Primary:disabled { background: @line; color: @soft; border: 1px solid @line; }
QToolButton { border: 1px solid transparent; border-radius: 5px; padding: 4px 7px; color: @text; }
QToolButton:hover { background: @hover; }
QToolButton:checked { background: @hover; border: 1px solid @line; }
QToolButton:disabled { color: @soft; }
QToolButton::menu-indicator { image: none; }
QHeaderView { background: @surface; }
QHeaderView::section { background: @surface; color: @soft; border: none; border-bottom: 1px solid @line; padding: 6px 4px; }
QTableView { gridline-color: transparent; alternate-background-color: @window; selection-background-color: @accent; selection-color: @on_accent; outline: none; }
QCheckBox::indicator { width: 13px; height: 13px; border: 1px solid @soft; border-radius: 3px; background: @surface; }
QCheckBox::indicator:checked { background: @accent; border: 1px solid @accent; }
QCheckBox:focus { color: @accent; }
QListWidget::item { padding: 3px 8px; border-radius: 4px; }
QListWidget::item:hover { background: @hover; }
QListWidget::item:selected { background: @accent; color: @on_accent; }
QTableCornerButton::section { background: @surface; border: none; }
QTabWidget::pane { border: none; }
QTabBar::tab { background: transparent; color: @soft; padding: 6px 12px; border: none; border-bottom: 2px solid transparent; }
QTabBar::tab:selected { color: @text; border-bottom: 2px solid @accent; }
QProgressBar { background: @line; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }
QProgressBar::chunk { background: @accent; border-radius: 3px; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: @line; border-radius: 4px; min-height: 28px; min-width: 28px; margin: 1px; }
QScrollBar::handle:hover { background: @soft; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QMenu { background: @surface; color: @text; border: 1px solid @line; padding: 4px; }
QMenu::item { padding: 5px 22px; border-radius: 4px; }
QMenu::item:selected { background: @accent; color: @on_accent; }
QMenu::separator { height: 1px; background: @line; margin: 4px 6px; }
)";

QString style_sheet(const Theme& colours) {
  QString style = QString::fromUtf8(kStyle);
  const auto put = [&](const char* name, const QColor& colour) {
    style.replace(QLatin1String(name), colour.name());
  };
  put("@window", colours.window);
  put("@rail", colours.rail);
  put("@surface", colours.surface);
  put("@line", colours.line);
  put("@text", colours.text);
  put("@soft", colours.soft_text);
  put("@accent", colours.accent);
  put("@on_accent", colours.on_accent);
  put("@hover", colours.hover);
  put("@failed", colours.failed);
  put("@complete", colours.complete);
  put("@error_bar", colours.error_bar);
  put("@error_text", colours.error_text);
  return style;
}

QPalette palette_of(const Theme& colours) {
  QPalette palette;
  palette.setColor(QPalette::Window, colours.window);
  palette.setColor(QPalette::WindowText, colours.text);
  palette.setColor(QPalette::Base, colours.surface);
  palette.setColor(QPalette::AlternateBase, colours.window);
  palette.setColor(QPalette::Text, colours.text);
  palette.setColor(QPalette::PlaceholderText, colours.soft_text);
  palette.setColor(QPalette::Button, colours.surface);
  palette.setColor(QPalette::ButtonText, colours.text);
  palette.setColor(QPalette::ToolTipBase, colours.surface);
  palette.setColor(QPalette::ToolTipText, colours.text);
  palette.setColor(QPalette::Highlight, colours.accent);
  palette.setColor(QPalette::HighlightedText, colours.on_accent);
  palette.setColor(QPalette::Link, colours.accent);
  palette.setColor(QPalette::Mid, colours.line);
  palette.setColor(QPalette::Disabled, QPalette::Text, colours.soft_text);
  palette.setColor(QPalette::Disabled, QPalette::ButtonText, colours.soft_text);
  palette.setColor(QPalette::Disabled, QPalette::WindowText, colours.soft_text);
  return palette;
}

double luminance(const QColor& colour) {
  const auto linear = [](double c) {
    return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * linear(colour.redF()) + 0.7152 * linear(colour.greenF()) +
         0.0722 * linear(colour.blueF());
}

}  // namespace

const Theme& light_theme() {
  static const Theme kLight{
      .kind = ThemeKind::Light,
      .window = "#f5f6f8",
      .rail = "#eceff2",
      .surface = "#ffffff",
      .line = "#d6dbe1",
      .text = "#1a1f26",
      .soft_text = "#566270",
      .accent = "#0b5cad",
      .on_accent = "#ffffff",
      .hover = "#e2e7ed",
      .error_bar = "#fdecea",
      .error_text = "#8a1c12",
      .running = "#0b5cad",
      .complete = "#1a6b37",
      .stopped = "#855600",
      .failed = "#b3261e",
      .series = {"#0072b2", "#c44e00", "#00805c", "#a3478a", "#8a6a00", "#4d5660", "#3a9ad9"}};
  return kLight;
}

const Theme& dark_theme() {
  static const Theme kDark{
      .kind = ThemeKind::Dark,
      .window = "#14171b",
      .rail = "#101317",
      .surface = "#1b1f24",
      .line = "#333a43",
      .text = "#e5e9ee",
      .soft_text = "#9aa6b3",
      .accent = "#6cb2f2",
      .on_accent = "#0c1116",
      .hover = "#262c34",
      .error_bar = "#3a1d1b",
      .error_text = "#ffb4a9",
      .running = "#6cb2f2",
      .complete = "#6fcf8e",
      .stopped = "#e8b84a",
      .failed = "#ff8a80",
      .series = {"#56b4e9", "#ff9248", "#2fc8a2", "#e39ac8", "#e5cf45", "#b6bfc8", "#8fa8ff"}};
  return kDark;
}

const Theme& theme() { return current != nullptr ? *current : light_theme(); }

void apply_theme(QApplication& application, ThemeKind kind) {
  current = kind == ThemeKind::Light ? &light_theme() : &dark_theme();
  // The style sheet last: it polishes every widget with the palette that is there.
  application.setStyleSheet({});
  QApplication::setStyle(QStyleFactory::create(QStringLiteral("Fusion")));
  QApplication::setPalette(palette_of(*current));
  application.setStyleSheet(style_sheet(*current));
}

double contrast(const QColor& a, const QColor& b) {
  const double one = luminance(a) + 0.05;
  const double other = luminance(b) + 0.05;
  return one > other ? one / other : other / one;
}

}  // namespace pcmlab::gui

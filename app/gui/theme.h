// SPDX-License-Identifier: Apache-2.0
/// \file
/// The colours of the window and its plots, light and dark. Texts have a contrast of at least 4.5
/// to what they stand on, curves of 3. GUI thread.
#pragma once

#include <QColor>
#include <QString>
#include <array>

class QApplication;

namespace pcmlab::gui {

enum class ThemeKind { Light, Dark };

struct Theme {
  ThemeKind kind;
  QColor window;   ///< behind everything
  QColor rail;     ///< the list of pages
  QColor surface;  ///< plots, tables, fields
  QColor line;     ///< borders and grids
  QColor text;
  QColor soft_text;  ///< of second rank
  QColor accent;     ///< selection, links, the one button that counts
  QColor on_accent;
  QColor hover;
  QColor error_bar;  ///< behind an error
  QColor error_text;
  QColor running, complete, stopped, failed;  ///< states, as text on surface
  std::array<QColor, 7> series;               ///< curves, told apart by the colour-blind too
};

const Theme& light_theme();
const Theme& dark_theme();
/// That of the application; light before apply_theme().
const Theme& theme();
/// Palette, style and style sheet of the whole application.
void apply_theme(QApplication& application, ThemeKind kind);

/// Of WCAG 2.1: 1 .. 21.
double contrast(const QColor& a, const QColor& b);

}  // namespace pcmlab::gui

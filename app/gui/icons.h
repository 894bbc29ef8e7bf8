// SPDX-License-Identifier: Apache-2.0
/// \file
/// The program's own pictograms, drawn as lines in any colour and size. GUI thread.
#pragma once

#include <QColor>
#include <QIcon>

namespace pcmlab::gui {

enum class Glyph {
  Runs,
  Programming,
  Retention,
  Accuracy,
  Array,
  Night,
  Compare,
  Board,
  Sql,
  NewRun,
  Keys,
  Undo,
  Redo,
  Fit,
  Export,
  Logo
};

/// `on` is its colour where a button is checked.
QIcon icon(Glyph glyph, const QColor& colour, const QColor& on);
/// The program's own, for the window and the desktop.
QIcon program_icon();

}  // namespace pcmlab::gui

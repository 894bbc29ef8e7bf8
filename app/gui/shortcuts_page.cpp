// SPDX-License-Identifier: Apache-2.0
#include "app/gui/shortcuts_page.h"

#include <QAction>
#include <QLabel>
#include <QScrollArea>
#include <QVBoxLayout>
#include <array>
#include <utility>
#include <vector>

#include "app/gui/theme.h"

namespace pcmlab::gui {
namespace {

using Keys = std::vector<std::pair<const char*, const char*>>;

/// Of what takes the keyboard itself.
const std::array<std::pair<const char*, Keys>, 4> kViews{
    {{"A plot, after a click on it",
      {{"drag", "Zoom in"},
       {"wheel", "Zoom around the pointer"},
       {"right click, Ctrl+Z", "The zoom before"},
       {"Ctrl+Shift+Z", "The zoom after"},
       {"Home", "Everything"},
       {"middle button", "Move"},
       {"X, Y", "Logarithmic axis, and back"},
       {"Ctrl+E", "Export as PNG, SVG, PDF or CSV"}}},
     {"The array",
      {{"wheel, + and −", "Zoom"},
       {"drag, arrows", "Move"},
       {"Home", "Everything"},
       {"click", "History of a device"},
       {"Shift and drag", "A region: its histogram and drift"},
       {"R", "The region that is in view"}}},
     {"The queue",
      {{"Alt+Up, Alt+Down", "Moves a plan"},
       {"Del", "Takes it out"},
       {"Ctrl+Z", "Puts it back"},
       {"Enter", "Its run on all pages"}}},
     {"A new run",
      {{"Tab, arrows", "Through sections, steps and fields"},
       {"Enter", "Writes a field into the plan"},
       {"Ctrl+Z", "Undoes, in the text"},
       {"Ctrl+Return", "Starts it; asks, on the page SQL"}}}}};

QString row(const QString& keys, const QString& what) {
  return QString(
             "<tr><td style='padding:2px 28px 2px 0;'><b>%1</b></td><td style='padding:2px "
             "0;'>%2</td></tr>")
      .arg(keys.toHtmlEscaped(), what.toHtmlEscaped());
}

QString heading(const QString& name) {
  return QString("<tr><td colspan='2' style='padding:10px 0 3px 0; color:%1;'>%2</td></tr>")
      .arg(theme().soft_text.name(), name.toHtmlEscaped());
}

}  // namespace

ShortcutsPage::ShortcutsPage(Lab& lab) : Page(lab, "Shortcuts"), keys_(new QLabel) {
  auto* title = new QLabel("Keys and mouse");
  title->setObjectName("Title");
  keys_->setTextFormat(Qt::RichText);
  keys_->setAccessibleName("Keys and mouse");
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(32, 24, 32, 24);
  layout->addWidget(title);
  auto* area = new QScrollArea;
  area->setWidget(keys_);
  area->setWidgetResizable(true);
  area->setFrameShape(QFrame::NoFrame);
  area->setAccessibleName("Keys and mouse");
  keys_->setAlignment(Qt::AlignTop | Qt::AlignLeft);
  keys_->setAutoFillBackground(false);
  area->viewport()->setAutoFillBackground(false);
  layout->addWidget(area, 1);
}

void ShortcutsPage::refresh() {
  QString rows = heading("Window");
  for (const QAction* action : window()->actions()) {
    if (!action->shortcut().isEmpty()) {
      rows += row(action->shortcut().toString(QKeySequence::NativeText),
                  QString(action->text()).remove('&').remove(QChar(0x2026)));
    }
  }
  QString views;
  for (const auto& [name, keys] : kViews) {
    views += heading(QString::fromUtf8(name));
    for (const auto& [key, what] : keys) {
      views += row(QString::fromUtf8(key), QString::fromUtf8(what));
    }
  }
  // The window's beside the others, so that all are seen at once.
  keys_->setText("<table cellspacing='0'><tr><td style='padding-right:48px;'><table>" + rows +
                 "</table></td><td><table>" + views + "</table></td></tr></table>");
}

}  // namespace pcmlab::gui

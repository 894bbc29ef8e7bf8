// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the run that all pages show is doing, and the buttons that ask something of it: through the
/// database, as `pcmlab pause` does. GUI thread.
#pragma once

#include <QTimer>
#include <QWidget>
#include <functional>
#include <optional>
#include <vector>

#include "app/gui/page.h"

class QLabel;
class QProgressBar;
class QPushButton;

namespace pcmlab::gui {

/// Writes the request; the follower sees the change. \param then  what became of it, in the GUI
/// thread: the error is what RunStore::request() says, if any.
void request(Lab& lab, QObject* owner, db::RunCommand command,
             std::function<void(Result<void>)> then);

/// Who asks and notes: the same as the command line says.
std::string person();

/// Hidden while there is nothing to say or to ask.
class RunControls : public QWidget {
 public:
  explicit RunControls(Lab& lab);
  /// With the run and its progress as the window follows them.
  void refresh();
  bool is_settled() const { return writing_ == 0 && !lab_.reader.is_asked_by(this); }
  void retheme();

 private:
  void show();
  void ask(db::RunCommand command);
  QPushButton* add_button(const char* label, const char* help);

  Lab& lab_;
  std::optional<db::RowId> run_;  ///< whose requests are known
  std::optional<db::CommandRow> last_;
  QTimer ticks_;  ///< of the heartbeat's age
  int writing_ = 0;

  QLabel* activity_;
  QLabel* asked_;
  QLabel* heartbeat_;
  QProgressBar* bar_;
  QWidget* buttons_;
  QPushButton* pause_;
  QPushButton* continue_;
  QPushButton* stop_;
  QPushButton* abort_;
  QPushButton* resume_;
};

}  // namespace pcmlab::gui

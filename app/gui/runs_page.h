// SPDX-License-Identifier: Apache-2.0
/// \file
/// All runs, and everything about the one that is chosen: where it is, what it was made on, notes
/// and tags. GUI thread; what it writes, it writes in the reading thread over a connection of the
/// moment.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/gui/page.h"
#include "app/gui/runs_model.h"

class QLabel;
class QLineEdit;
class QPlainTextEdit;
class QSplitter;
class QTableView;
class QTabWidget;

namespace pcmlab::gui {

class RunControls;

/// What is read of a run beyond its row.
struct RunDetails {
  db::RunRow row;
  std::vector<db::NoteRow> notes;
  std::vector<db::StepRow> steps;
  std::vector<db::EventRow> events;
  std::vector<db::ProgrammingRow> programmings;
  std::size_t sweeps = 0;
};
Result<RunDetails> read_run_details(db::RunStore& store, db::RowId run);

class RunsPage : public Page {
 public:
  explicit RunsPage(Lab& lab);
  void refresh() override;
  void retheme() override;
  bool is_settled() const override;

 private:
  QWidget* make_list();
  QWidget* make_details();
  /// \param another  run than was shown: also what a person may be writing.
  void show_details(bool another);
  void show_progress();
  void select_chosen();
  void choose_current();
  /// Something that people do with a run; the follower sees the change.
  void write(std::function<Result<void>(db::RunStore&, db::RowId run)> what);
  void set_tags();

  RunsModel model_;
  RunsFilter filter_;
  std::optional<RunDetails> details_;

  QSplitter* splitter_ = nullptr;
  QLineEdit* search_ = nullptr;
  QTableView* table_ = nullptr;
  QLabel* found_ = nullptr;
  QWidget* panel_ = nullptr;
  QLabel* title_ = nullptr;
  QLabel* state_ = nullptr;
  RunControls* controls_ = nullptr;
  QLineEdit* tags_ = nullptr;
  QTabWidget* tabs_ = nullptr;
  QLabel* facts_ = nullptr;
  QLabel* notes_ = nullptr;
  QPlainTextEdit* new_note_ = nullptr;
  QLabel* history_ = nullptr;
  QPlainTextEdit* plan_ = nullptr;
  bool following_ = false;  ///< the selection moves, but nobody chooses
  int writing_ = 0;         ///< writes whose end is not known yet
};

}  // namespace pcmlab::gui

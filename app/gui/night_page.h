// SPDX-License-Identifier: Apache-2.0
/// \file
/// The night: the queue, what the run at work will read and when, and what happened to it. A run
/// that begins while the page is shown is chosen for all pages. GUI thread.
#pragma once

#include <QStringList>
#include <QTimer>
#include <filesystem>
#include <optional>

#include "app/gui/night_data.h"
#include "app/gui/page.h"

class QLabel;
class QSplitter;
class QTableWidget;

namespace pcmlab::gui {

class QueueView;
class RunControls;

class NightPage : public Page {
 public:
  explicit NightPage(Lab& lab);
  void refresh() override;
  void retheme() override;
  bool is_settled() const override;
  /// Plans into the queue; relative paths in them begin in that folder.
  void add_to_queue(const QStringList& plans, const std::filesystem::path& folder);

 private:
  QWidget* make_log();
  QWidget* make_reads();
  void follow_the_newest();
  void read();
  void show_night();
  void show_reads();
  void show_log();

  std::optional<Night> night_;
  std::filesystem::path followed_in_;     ///< the database that the next two are of
  std::optional<db::RowId> followed_;     ///< at work, and chosen once
  std::optional<db::RowId> newest_seen_;  ///< newer ones have begun since the last look
  QTimer ticks_;

  QSplitter* splitter_ = nullptr;
  QueueView* queue_ = nullptr;
  RunControls* controls_ = nullptr;
  QLabel* title_ = nullptr;
  QTableWidget* log_ = nullptr;
  QLabel* next_ = nullptr;
  QTableWidget* reads_ = nullptr;
};

}  // namespace pcmlab::gui

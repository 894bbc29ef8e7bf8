// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the main window knows of a page, and a page of the window. GUI thread.
#pragma once

#include <QString>
#include <QWidget>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/gui/follower.h"
#include "app/gui/reading_thread.h"
#include "app/gui/runner.h"
#include "protocol/error.h"

namespace pcmlab::gui {

/// What pages may ask of the window; lives as long as they do.
struct Lab {
  ReadingThread reader;
  std::filesystem::path database;            ///< empty: none is open
  std::shared_ptr<const Snapshot> snapshot;  ///< null until the first was read
  std::optional<db::RowId> run;              ///< that all pages show

  /// Shows the run on all pages.
  std::function<void(db::RowId)> choose_run;
  /// Says it in the bar at the top, which is in nobody's way.
  std::function<void(const Error&)> show_error;
  /// What went well, for a while.
  std::function<void(const QString&)> show_message;
  /// `pcmlab` with these arguments on this database, in a process of its own; shows its run once it
  /// is at one. \param of  the run that it goes on with
  std::function<void(const QStringList& arguments, std::optional<db::RowId> of,
                     const std::filesystem::path& folder)>
      start_runner;
  /// Plans into the queue; relative paths in them begin in that folder. Says how it went.
  std::function<void(const QStringList& plans, const std::filesystem::path& folder)> add_to_queue;
  /// Sets keys, "SECTION.KEY=VALUE", in the plan of the page for a new run, and shows that page.
  std::function<void(const std::vector<std::string>& assignments)> plan_with;
  Runner runner;

  const FollowedRun* followed_run() const {
    return snapshot && run ? snapshot->find(*run) : nullptr;
  }
};

/// A page reads and draws only while it is shown: refresh() comes when it becomes so, and then
/// whenever the database, the chosen run or what was written has changed. It must return at once;
/// what takes time is asked of Lab::reader.
class Page : public QWidget {
 public:
  Page(Lab& lab, QString title) : lab_(lab), title_(std::move(title)) {}

  const QString& title() const { return title_; }
  virtual void refresh() = 0;
  /// Colours have changed.
  virtual void retheme() {}
  /// Chooses something where a person would, so that a picture of the page is not half empty.
  virtual void show_example() {}
  /// Whether there is something to do here before a database is open.
  virtual bool needs_database() const { return true; }
  /// Whether the page shows what it has to show: for pictures and tests.
  virtual bool is_settled() const { return !lab_.reader.is_asked_by(this); }

 protected:
  Lab& lab() { return lab_; }
  const Lab& lab() const { return lab_; }

 private:
  Lab& lab_;
  QString title_;
};

}  // namespace pcmlab::gui

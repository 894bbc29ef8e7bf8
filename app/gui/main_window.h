// SPDX-License-Identifier: Apache-2.0
/// \file
/// The window: a rail of pages, what is open, the run that all pages show. GUI thread.
#pragma once

#include <QMainWindow>
#include <QTimer>
#include <memory>
#include <vector>

#include "app/gui/icons.h"
#include "app/gui/page.h"

class QAction;
class QComboBox;
class QLabel;
class QMenu;
class QStackedWidget;
class QToolButton;
class QVBoxLayout;

namespace pcmlab::gui {

class ErrorBar;
class NewRunPage;

/// Reads and keeps layout, theme and recent databases in QSettings of organisation and application
/// "pcmlab". A database is only ever read, but for notes, tags and commands to a run.
class MainWindow : public QMainWindow {
 public:
  MainWindow();
  ~MainWindow() override;

  /// Follows this database from now on. What is wrong with it is said in the bar at the top.
  void open(const std::filesystem::path& file);
  /// Shows it on the page for a new run, which needs no database yet: runs go to the one that is
  /// open, else to `database`. What is wrong with the file is said in the bar at the top.
  void open_plan(const std::filesystem::path& plan, const std::filesystem::path& database);
  void show_page(int index);
  void show_page_of(const Page& page);
  /// Tests have one of their own.
  void set_runner(const std::filesystem::path& program) { lab_.runner.set_program(program); }
  void choose_run(db::RowId run);

  const std::vector<Page*>& pages() const { return pages_; }
  Page* page() const;  ///< that is shown; null without a database
  const Lab& lab() const { return lab_; }
  ErrorBar& error_bar() { return *error_bar_; }
  void set_theme(bool dark);

 protected:
  void closeEvent(QCloseEvent* event) override;
  void dragEnterEvent(QDragEnterEvent* event) override;
  void dropEvent(QDropEvent* event) override;

 private:
  void make_actions();
  QWidget* make_rail();
  QWidget* make_top_bar();
  QWidget* make_welcome();
  void add_page(std::unique_ptr<Page> page, Glyph glyph);
  QAction* add_action(QMenu* menu, const QString& name, const QKeySequence& keys,
                      std::function<void()> what);
  void ask_for_file();
  void remember(const std::filesystem::path& file);
  void fill_recent();
  void open_any(const QString& file);
  void start_runner(const QStringList& arguments, std::optional<db::RowId> of,
                    const std::filesystem::path& folder);
  /// That a process will make, if none is open.
  void begin_database();
  void ask_of_run(db::RunCommand command);
  void take(const Result<std::shared_ptr<const Snapshot>>& snapshot);
  void fill_runs();
  void retheme();

  NewRunPage& new_run();

  Lab lab_;
  std::unique_ptr<Follower> follower_;
  std::vector<Page*> pages_;
  std::vector<QToolButton*> rail_buttons_;
  std::vector<Glyph> glyphs_;
  bool dark_ = false;
  bool following_failed_ = false;  ///< which the bar at the top says

  ErrorBar* error_bar_ = nullptr;
  QWidget* top_bar_ = nullptr;
  QVBoxLayout* rail_ = nullptr;
  QStackedWidget* stack_ = nullptr;  ///< the welcome, then the pages
  QComboBox* runs_ = nullptr;
  QLabel* database_ = nullptr;
  QLabel* live_ = nullptr;
  QLabel* message_ = nullptr;
  QTimer message_time_;
  QTimer until_there_;  ///< looks whether a run has made the database
  QMenu* view_menu_ = nullptr;
  QMenu* recent_menu_ = nullptr;
  QVBoxLayout* recent_list_ = nullptr;  ///< of the welcome
};

/// The database that the command line uses unless told otherwise.
std::filesystem::path default_database();

}  // namespace pcmlab::gui

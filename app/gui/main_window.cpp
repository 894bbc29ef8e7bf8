// SPDX-License-Identifier: Apache-2.0
#include "app/gui/main_window.h"

#include <QAction>
#include <QApplication>
#include <QButtonGroup>
#include <QCloseEvent>
#include <QComboBox>
#include <QDragEnterEvent>
#include <QFileDialog>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QLabel>
#include <QMenu>
#include <QMenuBar>
#include <QMimeData>
#include <QPushButton>
#include <QSettings>
#include <QSignalBlocker>
#include <QSplitter>
#include <QStackedWidget>
#include <QStandardPaths>
#include <QToolButton>
#include <QVBoxLayout>
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "app/gui/accuracy_page.h"
#include "app/gui/array_page.h"
#include "app/gui/board_page.h"
#include "app/gui/compare_page.h"
#include "app/gui/error_bar.h"
#include "app/gui/format.h"
#include "app/gui/new_run_page.h"
#include "app/gui/night_page.h"
#include "app/gui/programming_page.h"
#include "app/gui/retention_page.h"
#include "app/gui/run_controls.h"
#include "app/gui/runs_page.h"
#include "app/gui/shortcuts_page.h"
#include "app/gui/sql_page.h"
#include "app/gui/theme.h"

namespace pcmlab::gui {
namespace {

constexpr int kMostRecent = 8;

QString shown_path(const std::filesystem::path& file) {
  return QString::fromStdString(file.string());
}

QStringList recent_files() { return QSettings().value(QStringLiteral("recent")).toStringList(); }

}  // namespace

std::filesystem::path default_database() {
  const QString folder = QStandardPaths::writableLocation(QStandardPaths::GenericDataLocation);
  return std::filesystem::path(folder.toStdString()) / "pcmlab" / "pcmlab.db";
}

MainWindow::MainWindow() {
  setWindowTitle("pcmlab");
  setWindowIcon(program_icon());
  setAcceptDrops(true);
  dark_ = QSettings().value(QStringLiteral("dark"), false).toBool();
  lab_.choose_run = [this](db::RowId run) { choose_run(run); };
  lab_.show_error = [this](const Error& error) { error_bar_->show_error(error); };
  lab_.show_message = [this](const QString& message) {
    constexpr int kShown_ms = 15'000;
    message_->setText(message);
    message_time_.start(kShown_ms);
  };
  lab_.start_runner = [this](const QStringList& arguments, std::optional<db::RowId> of,
                             const std::filesystem::path& folder) {
    start_runner(arguments, of, folder);
  };
  lab_.plan_with = [this](const std::vector<std::string>& assignments) {
    show_page_of(new_run());
    new_run().set_keys(assignments);
  };
  message_time_.setSingleShot(true);
  connect(&message_time_, &QTimer::timeout, this, [this] { message_->clear(); });
  connect(&until_there_, &QTimer::timeout, this, [this] {
    std::error_code ignored;
    if (!std::filesystem::exists(lab_.database, ignored)) return;
    until_there_.stop();
    open(lab_.database);
  });

  stack_ = new QStackedWidget;
  error_bar_ = new ErrorBar;
  auto* right = new QVBoxLayout;
  right->setSpacing(0);
  right->addWidget(make_top_bar());
  right->addWidget(error_bar_);
  right->addWidget(stack_, 1);
  auto* centre = new QWidget;
  auto* layout = new QHBoxLayout(centre);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);
  layout->addWidget(make_rail());
  layout->addLayout(right, 1);
  setCentralWidget(centre);

  make_actions();
  stack_->addWidget(make_welcome());
  add_page(std::make_unique<RunsPage>(lab_), Glyph::Runs);
  add_page(std::make_unique<NewRunPage>(lab_), Glyph::NewRun);
  add_page(std::make_unique<ProgrammingPage>(lab_), Glyph::Programming);
  add_page(std::make_unique<RetentionPage>(lab_), Glyph::Retention);
  add_page(std::make_unique<AccuracyPage>(lab_), Glyph::Accuracy);
  add_page(std::make_unique<ArrayPage>(lab_), Glyph::Array);
  auto night = std::make_unique<NightPage>(lab_);
  lab_.add_to_queue = [this, night = night.get()](const QStringList& plans,
                                                  const std::filesystem::path& folder) {
    begin_database();
    night->add_to_queue(plans, folder);
  };
  add_page(std::move(night), Glyph::Night);
  add_page(std::make_unique<ComparePage>(lab_), Glyph::Compare);
  add_page(std::make_unique<BoardPage>(lab_), Glyph::Board);
  add_page(std::make_unique<SqlPage>(lab_), Glyph::Sql);
  add_page(std::make_unique<ShortcutsPage>(lab_), Glyph::Keys);
  fill_recent();
  set_theme(dark_);
  top_bar_->hide();
  for (std::size_t i = 0; i < pages_.size(); ++i) {
    rail_buttons_[i]->setEnabled(!pages_[i]->needs_database());
  }

  resize(1280, 800);
  const QSettings settings;
  restoreGeometry(settings.value(QStringLiteral("geometry")).toByteArray());
  for (QSplitter* splitter : findChildren<QSplitter*>()) {
    splitter->restoreState(settings.value("splitter/" + splitter->objectName()).toByteArray());
  }
}

MainWindow::~MainWindow() { follower_.reset(); }

QAction* MainWindow::add_action(QMenu* menu, const QString& name, const QKeySequence& keys,
                                std::function<void()> what) {
  QAction* action = menu->addAction(name);
  action->setShortcut(keys);
  connect(action, &QAction::triggered, this, std::move(what));
  addAction(action);
  return action;
}

void MainWindow::make_actions() {
  QMenu* file = menuBar()->addMenu("&File");
  add_action(file, "&Open database or plan…", QKeySequence::Open, [this] { ask_for_file(); });
  recent_menu_ = file->addMenu("Open &recent");
  file->addSeparator();
  add_action(file, "&Quit", QKeySequence("Ctrl+Q"), [this] { close(); });
  QMenu* run = menuBar()->addMenu("&Run");
  add_action(run, "&New run", QKeySequence::New, [this] { show_page_of(new_run()); });
  add_action(run, "Save the plan &as…", QKeySequence::Save, [this] {
    if (page() == &new_run()) new_run().ask_save();
  });
  run->addSeparator();
  add_action(run, "&Pause the run", QKeySequence("Ctrl+Shift+P"),
             [this] { ask_of_run(db::RunCommand::Pause); });
  add_action(run, "&Continue the run", QKeySequence("Ctrl+Shift+C"),
             [this] { ask_of_run(db::RunCommand::Continue); });
  add_action(run, "&Stop the run", QKeySequence("Ctrl+Shift+S"),
             [this] { ask_of_run(db::RunCommand::Stop); });
  add_action(run, "&Abort the run", QKeySequence("Ctrl+Shift+A"),
             [this] { ask_of_run(db::RunCommand::Abort); });
  add_action(run, "&Resume the run", QKeySequence("Ctrl+Shift+R"), [this] {
    if (lab_.run) start_runner({"resume", QString::number(*lab_.run)}, lab_.run, {});
  });
  view_menu_ = menuBar()->addMenu("&View");
  add_action(view_menu_, "&Light or dark", QKeySequence("Ctrl+D"), [this] { set_theme(!dark_); });
  add_action(view_menu_, "&Full screen", QKeySequence("F11"),
             [this] { isFullScreen() ? showNormal() : showFullScreen(); });
  add_action(view_menu_, "&Dismiss the error", QKeySequence("Esc"), [this] { error_bar_->hide(); });
  add_action(view_menu_, "Choose the &run", QKeySequence("Ctrl+R"), [this] {
    runs_->setFocus();
    runs_->showPopup();
  });
  view_menu_->addSeparator();
}

QWidget* MainWindow::make_rail() {
  auto* rail = new QWidget;
  rail->setObjectName("Rail");
  rail->setAttribute(Qt::WA_StyledBackground);
  rail->setFixedWidth(176);
  rail_ = new QVBoxLayout(rail);
  rail_->setContentsMargins(0, 12, 0, 12);
  rail_->setSpacing(2);
  rail_->addStretch();
  return rail;
}

QWidget* MainWindow::make_top_bar() {
  auto* bar = new QFrame;
  bar->setObjectName("TopBar");
  top_bar_ = bar;
  runs_ = new QComboBox;
  runs_->setObjectName("RunChoice");
  runs_->setAccessibleName("Run that all pages show");
  runs_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  runs_->setMinimumContentsLength(40);
  connect(runs_, qOverload<int>(&QComboBox::activated), this,
          [this](int index) { choose_run(runs_->itemData(index).toLongLong()); });
  live_ = new QLabel;
  live_->setAccessibleName("State of the run");
  message_ = new QLabel;
  message_->setObjectName("Message");
  message_->setAccessibleName("What went well");
  database_ = new QLabel;
  database_->setObjectName("Soft");
  database_->setAccessibleName("Database");
  auto* layout = new QHBoxLayout(bar);
  layout->setContentsMargins(16, 8, 16, 8);
  layout->setSpacing(12);
  layout->addWidget(runs_);
  layout->addWidget(live_);
  layout->addSpacing(12);
  layout->addWidget(message_);
  layout->addStretch();
  layout->addWidget(database_);
  return bar;
}

QWidget* MainWindow::make_welcome() {
  auto* page = new QWidget;
  auto* title = new QLabel("Open a results database");
  title->setObjectName("Title");
  auto* help =
      new QLabel("Drop one here, or choose it. `pcmlab run PLAN` writes to\n" +
                 shown_path(default_database()) +
                 "\nunless it is told otherwise; a run may be followed while it is at work.");
  help->setObjectName("Soft");
  auto* open = new QPushButton("Open database…");
  open->setObjectName("Primary");
  connect(open, &QPushButton::clicked, this, [this] { ask_for_file(); });
  recent_list_ = new QVBoxLayout;
  recent_list_->setSpacing(2);
  auto* column = new QVBoxLayout;
  column->setSpacing(12);
  column->addWidget(title);
  column->addWidget(help);
  column->addWidget(open, 0, Qt::AlignLeft);
  column->addSpacing(12);
  column->addLayout(recent_list_);
  auto* layout = new QVBoxLayout(page);
  auto* middle = new QHBoxLayout;
  middle->addStretch();
  middle->addLayout(column);
  middle->addStretch();
  layout->addStretch(2);
  layout->addLayout(middle);
  layout->addStretch(3);
  return page;
}

void MainWindow::add_page(std::unique_ptr<Page> page, Glyph glyph) {
  const int index = static_cast<int>(pages_.size());
  auto* button = new QToolButton;
  button->setObjectName("RailButton");
  button->setText("  " + page->title());
  button->setAccessibleName(page->title());
  button->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
  button->setCheckable(true);
  button->setAutoExclusive(true);
  button->setIconSize(QSize(20, 20));
  button->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  button->setFocusPolicy(Qt::TabFocus);
  constexpr int kDigits = 10;
  const QKeySequence keys = index < kDigits
                                ? QKeySequence(QString("Ctrl+%1").arg((index + 1) % kDigits))
                                : QKeySequence(QKeySequence::HelpContents);
  button->setToolTip(page->title() + " (" + keys.toString(QKeySequence::NativeText) + ")");
  connect(button, &QToolButton::clicked, this, [this, index] { show_page(index); });
  add_action(view_menu_, page->title(), keys, [this, index] { show_page(index); });
  rail_->insertWidget(index, button);
  rail_buttons_.push_back(button);
  glyphs_.push_back(glyph);
  pages_.push_back(page.get());
  stack_->addWidget(page.release());
}

NewRunPage& MainWindow::new_run() {
  for (Page* each : pages_) {
    if (auto* page = dynamic_cast<NewRunPage*>(each)) return *page;
  }
  throw std::logic_error("the window has no page for a new run");
}

void MainWindow::open_plan(const std::filesystem::path& plan,
                           const std::filesystem::path& database) {
  if (lab_.database.empty()) {
    std::error_code ignored;
    if (std::filesystem::exists(database, ignored)) {
      open(database);
    } else {
      lab_.database = database;
    }
  }
  const auto opened = new_run().open_plan(plan);
  if (!opened) return error_bar_->show_error(opened.error());
  show_page_of(new_run());
}

void MainWindow::show_page_of(const Page& page) {
  const auto found = std::find(pages_.begin(), pages_.end(), &page);
  show_page(static_cast<int>(found - pages_.begin()));
}

void MainWindow::open_any(const QString& file) {
  if (file.endsWith(".toml", Qt::CaseInsensitive)) {
    open_plan(file.toStdString(), default_database());
  } else {
    open(file.toStdString());
  }
}

void MainWindow::begin_database() {
  constexpr int kBetweenLooks_ms = 250;
  if (lab_.database.empty()) lab_.database = default_database();
  if (!lab_.snapshot) until_there_.start(kBetweenLooks_ms);
}

void MainWindow::start_runner(const QStringList& arguments, std::optional<db::RowId> of,
                              const std::filesystem::path& folder) {
  begin_database();
  const auto tell_pages = [this] {
    if (page() != nullptr) page()->refresh();
  };
  const auto began = [this, of, tell_pages](db::RowId run) {
    lab_.show_message(QString(of ? "Run %1 goes on" : "Run %1 has begun").arg(run));
    choose_run(run);
    const auto programming = std::find_if(pages_.begin(), pages_.end(), [](const Page* each) {
      return dynamic_cast<const ProgrammingPage*>(each) != nullptr;
    });
    if (page() == &new_run()) show_page(static_cast<int>(programming - pages_.begin()));
    tell_pages();
  };
  const auto failed = [this, tell_pages](const Error& error) {
    until_there_.stop();
    message_->clear();
    error_bar_->show_error(error);
    tell_pages();
  };
  const auto started =
      lab_.runner.start(arguments + QStringList{"--database", shown_path(lab_.database), "--quiet"},
                        of, folder, {began, failed});
  if (!started) return failed(started.error());
  error_bar_->hide();
  lab_.show_message("Starting…");
}

void MainWindow::ask_of_run(db::RunCommand command) {
  request(lab_, this, command, [this, command](const Result<void>& done) {
    if (!done) return error_bar_->show_error(done.error());
    lab_.show_message("Asked to " + text(db::to_string(command)));
  });
}

void MainWindow::open(const std::filesystem::path& file) {
  std::error_code ignored;
  lab_.database = std::filesystem::absolute(file, ignored);
  lab_.snapshot.reset();
  lab_.run.reset();
  lab_.reader.open(lab_.database);
  error_bar_->hide();
  database_->setText(QFileInfo(shown_path(lab_.database)).fileName());
  database_->setToolTip(shown_path(lab_.database));
  setWindowTitle(database_->text() + " – pcmlab");
  follower_ = std::make_unique<Follower>(
      lab_.database,
      [this](const Result<std::shared_ptr<const Snapshot>>& snapshot) { take(snapshot); });
}

void MainWindow::take(const Result<std::shared_ptr<const Snapshot>>& snapshot) {
  if (!snapshot) {
    following_failed_ = true;
    return error_bar_->show_error(snapshot.error());
  }
  // A database that was being made, or a share that was gone: that is over.
  if (std::exchange(following_failed_, false)) error_bar_->hide();
  const bool first = !lab_.snapshot;
  lab_.snapshot = *snapshot;
  if (!lab_.followed_run()) lab_.run.reset();
  if (!lab_.run && !lab_.snapshot->runs.empty()) lab_.run = lab_.snapshot->runs.front().row.id;
  fill_runs();
  lab_.runner.look(*lab_.snapshot);
  if (first) {
    remember(lab_.database);
    top_bar_->show();
    for (QToolButton* button : rail_buttons_) button->setEnabled(true);
    const int last = QSettings().value(QStringLiteral("page"), 0).toInt();
    if (page() == nullptr) {
      return show_page(std::clamp(last, 0, static_cast<int>(pages_.size()) - 1));
    }
  }
  if (page() != nullptr) page()->refresh();
}

Page* MainWindow::page() const {
  const int index = stack_->currentIndex() - 1;
  return index < 0 ? nullptr : pages_[static_cast<std::size_t>(index)];
}

void MainWindow::show_page(int index) {
  if (index < 0 || index >= static_cast<int>(pages_.size())) return;
  if (!lab_.snapshot && pages_[static_cast<std::size_t>(index)]->needs_database()) return;
  stack_->setCurrentIndex(index + 1);
  rail_buttons_[static_cast<std::size_t>(index)]->setChecked(true);
  QSettings().setValue(QStringLiteral("page"), index);
  page()->refresh();
}

void MainWindow::choose_run(db::RowId run) {
  if (lab_.run == run) return;
  lab_.run = run;
  fill_runs();
  if (page() != nullptr) page()->refresh();
}

void MainWindow::fill_runs() {
  const QSignalBlocker quiet(runs_);
  const auto& runs = lab_.snapshot->runs;
  if (runs_->count() != static_cast<int>(runs.size()) ||
      (!runs.empty() && runs_->itemData(0).toLongLong() != runs.front().row.id)) {
    runs_->clear();
    for (const FollowedRun& run : runs) {
      runs_->addItem(QString("Run %1 · %2").arg(run.row.id).arg(text(run.row.name)),
                     QVariant::fromValue<qlonglong>(run.row.id));
    }
  }
  if (lab_.run) runs_->setCurrentIndex(runs_->findData(QVariant::fromValue<qlonglong>(*lab_.run)));
  const FollowedRun* run = lab_.followed_run();
  live_->setText(run == nullptr ? "no runs yet" : state_text(*run));
}

void MainWindow::set_theme(bool dark) {
  dark_ = dark;
  QSettings().setValue(QStringLiteral("dark"), dark);
  apply_theme(*qApp, dark ? ThemeKind::Dark : ThemeKind::Light);
  retheme();
}

void MainWindow::retheme() {
  for (std::size_t i = 0; i < rail_buttons_.size(); ++i) {
    rail_buttons_[i]->setIcon(icon(glyphs_[i], theme().text, theme().on_accent));
  }
  for (Page* each : pages_) each->retheme();
}

void MainWindow::ask_for_file() {
  auto* dialog = new QFileDialog(
      this, "Open a results database or a plan", {},
      "Results databases and plans (*.db *.sqlite *.sqlite3 *.toml);;All files (*)");
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->setFileMode(QFileDialog::ExistingFile);
  connect(dialog, &QFileDialog::fileSelected, this,
          [this](const QString& file) { open_any(file); });
  dialog->open();
}

void MainWindow::remember(const std::filesystem::path& file) {
  QStringList files = recent_files();
  files.removeAll(shown_path(file));
  files.prepend(shown_path(file));
  while (files.size() > kMostRecent) files.removeLast();
  QSettings().setValue(QStringLiteral("recent"), files);
  fill_recent();
}

void MainWindow::fill_recent() {
  recent_menu_->clear();
  while (QLayoutItem* item = recent_list_->takeAt(0)) {
    delete item->widget();
    delete item;
  }
  const QStringList files = recent_files();
  recent_menu_->setEnabled(!files.isEmpty());
  for (const QString& file : files) {
    const auto open_it = [this, file] { open(file.toStdString()); };
    connect(recent_menu_->addAction(file), &QAction::triggered, this, open_it);
    auto* button = new QToolButton;
    button->setText(file);
    button->setAccessibleName("Open " + file);
    connect(button, &QToolButton::clicked, this, open_it);
    recent_list_->addWidget(button);
  }
}

void MainWindow::closeEvent(QCloseEvent* event) {
  QSettings settings;
  settings.setValue(QStringLiteral("geometry"), saveGeometry());
  for (const QSplitter* splitter : findChildren<QSplitter*>()) {
    settings.setValue("splitter/" + splitter->objectName(), splitter->saveState());
  }
  event->accept();
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
  const QList<QUrl> urls = event->mimeData()->urls();
  if (urls.size() == 1 && urls.front().isLocalFile()) event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event) {
  open_any(event->mimeData()->urls().front().toLocalFile());
  event->acceptProposedAction();
}

}  // namespace pcmlab::gui

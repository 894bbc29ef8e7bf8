// SPDX-License-Identifier: Apache-2.0
#include "app/gui/queue_view.h"

#include <QAction>
#include <QDateTime>
#include <QFile>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QLocale>
#include <QPushButton>
#include <QTableWidget>
#include <QTemporaryDir>
#include <QVBoxLayout>
#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/gui/format.h"
#include "app/gui/run_controls.h"
#include "app/gui/theme.h"

namespace pcmlab::gui {
namespace {

enum Column { Place, Name, State, Begins, Takes, Steps, OnBoard, Run, kColumns };
constexpr std::array<const char*, kColumns> kTitles{"#",     "Name",  "State", "Begins",
                                                    "Takes", "Steps", "Board", "Run"};
constexpr std::array<int, kColumns> kWidths{36, 230, 80, 160, 80, 250, 150, 50};

QColor colour_of(const QueueLine& line) {
  switch (line.entry.state) {
    case db::QueueState::Waiting:
      return theme().text;
    case db::QueueState::Running:
      return line.at_work ? theme().running : theme().stopped;
    case db::QueueState::Done:
      return theme().complete;
    case db::QueueState::Failed:
      return theme().failed;
    case db::QueueState::Stopped:
      return theme().stopped;
  }
  return theme().text;
}

/// "23:40", on another day "27 Nov 23:40"; to the nearest minute.
QString clock_text(const QDateTime& exact) {
  const QDateTime time = exact.addSecs(30);
  const bool today = time.date() == QDate::currentDate();
  return QLocale::c().toString(time, today ? "HH:mm" : "d MMM HH:mm");
}

/// A plan for another board is predicted as the mock would do it, whose chip is as fast.
bool is_predictable(const QueueLine& line) {
  return line.board_kind == "mock" || line.board_kind == "usb";
}

}  // namespace

QueueView::QueueView(Lab& lab) : lab_(lab), scratch_(std::make_unique<QTemporaryDir>()) {
  table_ = new QTableWidget(0, kColumns);
  table_->setObjectName("Queue");
  table_->setAccessibleName("Queue");
  QStringList titles;
  for (const char* title : kTitles) titles << title;
  table_->setHorizontalHeaderLabels(titles);
  table_->verticalHeader()->hide();
  table_->verticalHeader()->setDefaultSectionSize(28);
  table_->horizontalHeader()->setHighlightSections(false);
  table_->horizontalHeader()->setStretchLastSection(true);
  table_->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
  table_->setEditTriggers(QAbstractItemView::NoEditTriggers);
  table_->setSelectionBehavior(QAbstractItemView::SelectRows);
  table_->setSelectionMode(QAbstractItemView::SingleSelection);
  table_->setTabKeyNavigation(false);
  table_->setShowGrid(false);
  table_->setWordWrap(false);
  for (int column = 0; column < kColumns; ++column) {
    table_->setColumnWidth(column, kWidths.at(static_cast<std::size_t>(column)));
  }
  connect(table_, &QTableWidget::itemSelectionChanged, this, [this] { show_buttons(); });
  connect(table_, &QTableWidget::itemActivated, this, [this] {
    const QueueLine* line = chosen();
    if (line != nullptr && line->entry.run) lab_.choose_run(*line->entry.run);
  });
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(8);
  layout->addWidget(make_head());
  layout->addWidget(table_, 1);
  layout->addWidget(make_foot());
  add_key("Alt+Up", [this] { move(db::QueueMove::Up); });
  add_key("Alt+Down", [this] { move(db::QueueMove::Down); });
  add_key("Del", [this] { take_out(); });
  add_key("Ctrl+Z", [this] { put_back(); });
  show();
}

QueueView::~QueueView() = default;

QWidget* QueueView::make_head() {
  auto* title = new QLabel("Queue");
  title->setObjectName("Title");
  worker_ = new QLabel;
  worker_->setObjectName("QueueWorker");
  worker_->setAccessibleName("Who works off the queue");
  not_before_ = new QLineEdit;
  not_before_->setObjectName("NotBefore");
  not_before_->setPlaceholderText("not before, e.g. 22:00");
  not_before_->setToolTip("Earliest start of plans that are added: 22:00 or 2026-11-27 02:00");
  not_before_->setAccessibleName("Not before");
  not_before_->setFixedWidth(200);
  add_button_ = new QPushButton("Add plans…");
  add_button_->setObjectName("AddPlans");
  add_button_->setToolTip(
      "pcmlab queue add: plans are checked, and one with loops is several runs");
  connect(add_button_, &QPushButton::clicked, this, [this] { ask_for_plans(); });
  start_ = new QPushButton("Start the queue");
  start_->setObjectName("StartQueue");
  start_->setToolTip(
      "pcmlab queue run --wait in a process of its own: it goes on when this window is closed");
  connect(start_, &QPushButton::clicked, this, [this] { start(); });
  end_ = new QPushButton("End the queue");
  end_->setObjectName("EndQueue");
  connect(end_, &QPushButton::clicked, this, [this] { end(); });
  auto* head = new QWidget;
  auto* row = new QHBoxLayout(head);
  row->setContentsMargins(0, 0, 0, 0);
  row->addWidget(title);
  row->addSpacing(8);
  row->addWidget(worker_, 1);
  row->addWidget(not_before_);
  row->addWidget(add_button_);
  row->addSpacing(8);
  row->addWidget(start_);
  row->addWidget(end_);
  return head;
}

QWidget* QueueView::make_foot() {
  const auto button = [this](const char* label, const char* name, const char* help,
                             std::function<void()> what) {
    auto* made = new QPushButton(label);
    made->setObjectName(name);
    made->setToolTip(help);
    connect(made, &QPushButton::clicked, this, std::move(what));
    return made;
  };
  up_ = button("Up", "QueueUp", "Alt+Up", [this] { move(db::QueueMove::Up); });
  down_ = button("Down", "QueueDown", "Alt+Down", [this] { move(db::QueueMove::Down); });
  take_out_ = button("Take out", "QueueTakeOut", "Del; the run that it became stays",
                     [this] { take_out(); });
  put_back_ = button("Put back", "QueuePutBack", "Ctrl+Z", [this] { put_back(); });
  said_ = new QLabel;
  said_->setObjectName("QueueSaid");
  said_->setAccessibleName("What there is to say of the queue");
  said_->setWordWrap(true);
  said_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  auto* foot = new QWidget;
  auto* row = new QHBoxLayout(foot);
  row->setContentsMargins(0, 0, 0, 0);
  for (QPushButton* each : {up_, down_, take_out_}) row->addWidget(each);
  row->addSpacing(8);
  row->addWidget(said_, 1);
  row->addWidget(put_back_);
  return foot;
}

QAction* QueueView::add_key(const char* keys, std::function<void()> what) {
  auto* action = new QAction(this);
  action->setShortcut(QKeySequence(keys));
  action->setShortcutContext(Qt::WidgetShortcut);
  connect(action, &QAction::triggered, this, std::move(what));
  table_->addAction(action);
  return action;
}

void QueueView::set(std::vector<QueueLine> queue, std::optional<QueueProcess> process) {
  queue_ = std::move(queue);
  process_ = std::move(process);
  show();
  predict();
}

void QueueView::tick() { show_begins(); }

bool QueueView::is_settled() const {
  return writing_ == 0 && !add_.is_asking() && !check_.is_asking();
}

const QueueLine* QueueView::chosen() const {
  const int row = table_->currentRow();
  const bool is_one =
      row >= 0 && row < static_cast<int>(queue_.size()) && !table_->selectedItems().isEmpty();
  return is_one ? &queue_[static_cast<std::size_t>(row)] : nullptr;
}

const QueueView::Forecast* QueueView::forecast(const QueueLine& line) const {
  const auto found = forecasts_.find({line.entry.plan_text, line.entry.folder});
  return found == forecasts_.end() ? nullptr : &found->second;
}

void QueueView::show() {
  const auto known = [&]() -> std::optional<db::RowId> {
    const QTableWidgetItem* item = table_->item(table_->currentRow(), Place);
    if (item == nullptr || !item->isSelected()) return std::nullopt;
    return item->data(Qt::UserRole).toLongLong();
  }();
  {
    const QSignalBlocker quiet(table_);
    table_->setRowCount(static_cast<int>(queue_.size()));
    for (int row = 0; row < table_->rowCount(); ++row) {
      for (int column = 0; column < kColumns; ++column) {
        if (table_->item(row, column) == nullptr) {
          table_->setItem(row, column, new QTableWidgetItem);
        }
      }
    }
    int place = 0, row = 0;
    for (const QueueLine& line : queue_) {
      const bool over = !line.entry.ended_utc.empty();
      const auto put = [&](Column column, const QString& words, const QString& help) {
        QTableWidgetItem* item = table_->item(row, column);
        item->setText(words);
        item->setToolTip(help);
        item->setForeground(over ? theme().soft_text : theme().text);
      };
      put(Place, over ? QString() : QString::number(++place),
          QString("entry %1, added by %2 %3")
              .arg(line.entry.id)
              .arg(text(line.entry.added_by), local_time_text(line.entry.added_utc)));
      table_->item(row, Place)
          ->setData(Qt::UserRole, QVariant::fromValue<qlonglong>(line.entry.id));
      put(Name, text(line.entry.name), "from " + text(line.entry.folder));
      put(State, line.state(), text(line.entry.error));
      table_->item(row, State)->setForeground(colour_of(line));
      put(Begins, {}, {});
      put(Takes, {}, {});
      put(Steps, line.steps, text(line.entry.plan_text));
      put(OnBoard, line.board.isEmpty() ? QString("–") : line.board, line.detail);
      put(Run, line.entry.run ? QString::number(*line.entry.run) : QString(),
          line.entry.run ? "Enter: this run on all pages" : "");
      if (known == line.entry.id) table_->selectRow(row);
      ++row;
    }
    const bool stays = std::any_of(queue_.begin(), queue_.end(),
                                   [&](const QueueLine& line) { return known == line.entry.id; });
    if (!stays) table_->clearSelection();
  }
  show_begins();
  show_buttons();
}

void QueueView::show_begins() {
  const QDateTime now = QDateTime::currentDateTime();
  // Seconds from now, or from the start of the queue, until the next may begin.
  std::optional<double> free_s = 0;
  int row = -1;
  for (const QueueLine& line : queue_) {
    ++row;
    QTableWidgetItem* begins = table_->item(row, Begins);
    QTableWidgetItem* takes = table_->item(row, Takes);
    if (begins == nullptr || takes == nullptr) return;
    const Forecast* known = forecast(line);
    const std::optional<double> takes_s = known != nullptr ? known->takes_s : std::nullopt;
    if (!line.entry.ended_utc.empty()) {
      begins->setText({});
      begins->setToolTip("ended " + local_time_text(line.entry.ended_utc));
      continue;
    }
    takes->setText(takes_s ? duration_text(*takes_s) : QString("–"));
    takes->setToolTip(takes_s ? "about, as pcmlab check says" : "");
    takes->setForeground(theme().text);
    if (known != nullptr && !known->problem.isEmpty()) {
      takes->setText("cannot begin");
      takes->setForeground(theme().failed);
      takes->setToolTip(known->problem);
    }
    if (line.entry.state == db::QueueState::Running) {
      begins->setText(local_time_text(line.run_began_utc));
      if (takes_s) {
        free_s = std::max(0.0, *takes_s - seconds_since(line.run_began_utc));
      } else {
        free_s.reset();
      }
      continue;
    }
    double wait_s = 0;
    if (!line.entry.not_before_utc.empty()) {
      wait_s = std::max(0.0, -seconds_since(line.entry.not_before_utc));
    }
    const bool is_set = wait_s > free_s.value_or(0);
    const double at_s = std::max(wait_s, free_s.value_or(0));
    const QString at = clock_text(now.addMSecs(std::llround(1e3 * at_s)));
    if (!free_s) {
      begins->setText(wait_s > 0 ? "not before " + at : QString("after the one before"));
    } else if (is_set) {
      begins->setText((process_ ? QString() : QString("not before ")) + at);
    } else if (process_) {
      begins->setText(at_s > 0 ? "about " + at : QString("now"));
    } else {
      begins->setText(at_s > 0 ? duration_text(at_s) + " later" : QString("at the start"));
    }
    if (takes_s && free_s) {
      free_s = at_s + *takes_s;
    } else {
      free_s.reset();
    }
  }
}

void QueueView::show_buttons() {
  const QueueLine* line = chosen();
  const bool waits = line != nullptr && line->entry.state == db::QueueState::Waiting;
  const auto waits_at = [&](int row) {
    return row >= 0 && row < static_cast<int>(queue_.size()) &&
           queue_[static_cast<std::size_t>(row)].entry.state == db::QueueState::Waiting;
  };
  up_->setEnabled(waits && waits_at(table_->currentRow() - 1));
  down_->setEnabled(waits && waits_at(table_->currentRow() + 1));
  take_out_->setEnabled(line != nullptr && !line->at_work);
  add_button_->setEnabled(!add_.is_asking());
  start_->setVisible(!process_);
  end_->setVisible(process_.has_value());
  end_->setEnabled(process_ && !process_->is_service);
  end_->setToolTip(process_ && process_->is_service
                       ? "It is a service of systemd: systemctl --user stop pcmlab-queue"
                       : "Stops the run at work at the next safe place; what waits stays");
  worker_->setText(process_ ? QString("worked off by process %1%2")
                                  .arg(process_->pid)
                                  .arg(process_->is_service ? ", a service" : "")
                            : QString("nobody works it off"));
  worker_->setStyleSheet(
      QString("color: %1;").arg((process_ ? theme().running : theme().soft_text).name()));
  const bool at_work =
      std::any_of(queue_.begin(), queue_.end(), [](const QueueLine& each) { return each.at_work; });
  QString said;
  bool bad = true;
  if (line != nullptr && !line->entry.error.empty()) {
    said = text(line->entry.error);
  } else if (line != nullptr && forecast(*line) != nullptr && waits) {
    said = forecast(*line)->problem;
  } else if (process_ && !at_work && !process_->said.isEmpty()) {
    said = "It says: " + process_->said;
  }
  if (said.isEmpty() && taken_out_) {
    said = "Taken out: " + text(taken_out_->start.name);
    bad = false;
  }
  if (said.isEmpty() && queue_.empty()) {
    said = "The queue is empty. A plan that is added becomes one run, whatever happens.";
    bad = false;
  }
  said_->setText(said);
  said_->setStyleSheet(
      QString("color: %1;").arg((bad ? theme().failed : theme().soft_text).name()));
  put_back_->setVisible(taken_out_.has_value());
}

void QueueView::predict() {
  if (check_.is_asking() || lab_.runner.program().empty()) return;
  const auto next = std::find_if(queue_.begin(), queue_.end(), [&](const QueueLine& line) {
    return line.entry.ended_utc.empty() && is_predictable(line) && forecast(line) == nullptr;
  });
  if (next == queue_.end()) return;
  const std::string& plan = next->entry.plan_text;
  const QString file = scratch_->filePath("plan.toml");
  QFile out(file);
  if (!out.open(QIODevice::WriteOnly) ||
      out.write(plan.data(), static_cast<qint64>(plan.size())) < 0) {
    return;
  }
  out.close();
  const bool is_mock = next->board_kind == "mock";
  QStringList arguments{"check", file, "--database", text(lab_.database.string())};
  // Nobody asks a board that a run may be at.
  if (!is_mock)
    arguments << "--set"
              << "board.kind=mock";
  check_.ask(
      lab_.runner.program(), arguments,
      [this, is_mock, key = PlanKey{plan, next->entry.folder}](Result<nlohmann::json> said) {
        Forecast& made = forecasts_[key];
        if (!said) {
          made.problem = text(said.error().message);
        } else if (said->is_object() && said->contains("total")) {
          const auto& total = (*said)["total"];
          made.takes_s = is_mock
                             ? total.value("wall_s", 0.0)
                             : total.value("chip_busy_s", 0.0) + total.value("chip_waiting_s", 0.0);
        }
        show_begins();
        show_buttons();
        predict();
      },
      next->entry.folder);
}

void QueueView::ask_for_plans() {
  auto* dialog = new QFileDialog(this, "Plans for the queue", {}, "Plans (*.toml)");
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->setFileMode(QFileDialog::ExistingFiles);
  connect(dialog, &QFileDialog::filesSelected, this, [this](const QStringList& files) {
    add(files, std::filesystem::path(files.front().toStdString()).parent_path());
  });
  dialog->open();
}

void QueueView::add(const QStringList& plans, const std::filesystem::path& folder) {
  QStringList arguments{"queue", "add"};
  arguments << plans << "--by" << text(person()) << "--database" << text(lab_.database.string());
  const QString not_before = not_before_->text().trimmed();
  if (!not_before.isEmpty()) arguments << "--not-before" << not_before;
  lab_.show_message("Checking…");
  add_.ask(
      lab_.runner.program(), arguments,
      [this](Result<nlohmann::json> added) {
        show_buttons();
        if (!added) {
          lab_.show_message({});
          return lab_.show_error(added.error());
        }
        lab_.show_message(added->size() == 1
                              ? QString("One run is in the queue")
                              : QString("%1 runs are in the queue").arg(added->size()));
        not_before_->clear();
      },
      folder);
  show_buttons();
}

void QueueView::write(std::function<Result<void>(db::RunStore&)> what, std::function<void()> then) {
  ++writing_;
  auto* asker = new QObject(this);
  lab_.reader.ask<void>(
      asker,
      [what = std::move(what)](db::RunStore& reading, const std::stop_token&) -> Result<void> {
        PCM_ASSIGN(db::RunStore store, db::RunStore::open(reading.database().file()));
        return what(store);
      },
      [this, asker, then = std::move(then)](Result<void> done) {
        asker->deleteLater();
        --writing_;
        if (!done) return lab_.show_error(done.error());
        if (then) then();
      });
}

void QueueView::move(db::QueueMove where) {
  const QueueLine* line = chosen();
  if (line == nullptr || line->entry.state != db::QueueState::Waiting) return;
  write([where, entry = line->entry.id](db::RunStore& store) {
    return store.move_queue_entry(entry, where);
  });
}

void QueueView::take_out() {
  const QueueLine* line = chosen();
  if (line == nullptr || line->at_work) return;
  std::optional<TakenOut> taken_out;
  if (line->entry.state == db::QueueState::Waiting) {
    taken_out.emplace().start = line->entry;
    const auto row = static_cast<std::size_t>(table_->currentRow());
    if (row + 1 < queue_.size()) taken_out->before = queue_[row + 1].entry.id;
  }
  write([entry = line->entry.id](db::RunStore& store) { return store.remove_queue_entry(entry); },
        [this, taken_out = std::move(taken_out)] {
          taken_out_ = taken_out;
          show_buttons();
        });
}

void QueueView::put_back() {
  if (!taken_out_) return;
  const auto back = std::exchange(taken_out_, std::nullopt);
  write([back](db::RunStore& store) -> Result<void> {
    PCM_ASSIGN(auto both, store.transaction());
    PCM_ASSIGN(const db::RowId entry, store.add_queue_entry(back->start));
    // The other may have begun meanwhile.
    if (back->before) {
      const auto other = store.queue_entry(*back->before);
      if (other && other->state == db::QueueState::Waiting) {
        PCM_TRY(store.move_queue_entry(entry, db::QueueMove::Before, *back->before));
      }
    }
    return both.commit();
  });
  show_buttons();
}

void QueueView::start() {
  const auto started = lab_.runner.start_queue(
      {"queue", "run", "--wait", "--quiet", "--database", text(lab_.database.string())},
      [this](const Error& error) { lab_.show_error(error); });
  if (!started) return lab_.show_error(started.error());
  lab_.show_message("The queue is worked off");
}

void QueueView::end() {
  if (!process_ || process_->is_service) return;
  lab_.runner.forget_queue();
  if (::kill(static_cast<pid_t>(process_->pid), SIGTERM) != 0) {
    return lab_.show_error(
        {ErrorCode::Io,
         "ending process " + std::to_string(process_->pid) + ", which works off the queue",
         "is it another user's? pcmlab stop ends its run"});
  }
  lab_.show_message("The queue ends at the next safe place");
}

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
#include "app/gui/night_page.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QSplitter>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <utility>

#include "app/gui/format.h"
#include "app/gui/queue_view.h"
#include "app/gui/run_controls.h"
#include "app/gui/run_times.h"
#include "app/gui/theme.h"

namespace pcmlab::gui {
namespace {

QTableWidget* table(const QStringList& titles, const char* name) {
  auto* widget = new QTableWidget(0, titles.size());
  widget->setHorizontalHeaderLabels(titles);
  widget->setAccessibleName(name);
  widget->verticalHeader()->hide();
  widget->verticalHeader()->setDefaultSectionSize(24);
  widget->setEditTriggers(QAbstractItemView::NoEditTriggers);
  widget->setSelectionBehavior(QAbstractItemView::SelectRows);
  widget->setTabKeyNavigation(false);
  widget->setShowGrid(false);
  widget->setWordWrap(false);
  widget->horizontalHeader()->setHighlightSections(false);
  widget->horizontalHeader()->setStretchLastSection(true);
  widget->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
  return widget;
}

QTableWidgetItem* put(QTableWidget* table, int row, int column, const QString& words) {
  QTableWidgetItem* item = table->item(row, column);
  if (item == nullptr) {
    item = new QTableWidgetItem;
    table->setItem(row, column, item);
  }
  item->setText(words);
  return item;
}

QColor colour_of(const QString& kind) {
  if (kind == "fault") return theme().failed;
  if (kind == "gap" || kind == "slip" || kind == "asked") return theme().stopped;
  return theme().soft_text;
}

}  // namespace

NightPage::NightPage(Lab& lab)
    : Page(lab, "Night"), queue_(new QueueView(lab)), controls_(new RunControls(lab)) {
  auto* below = new QSplitter(Qt::Horizontal);
  below->setObjectName("NightBelowSplitter");
  below->setHandleWidth(12);
  below->setChildrenCollapsible(false);
  below->addWidget(make_log());
  below->addWidget(make_reads());
  below->setStretchFactor(0, 3);
  below->setStretchFactor(1, 1);
  below->setSizes({760, 320});
  splitter_ = new QSplitter(Qt::Vertical);
  splitter_->setObjectName("NightSplitter");
  splitter_->setHandleWidth(12);
  splitter_->setChildrenCollapsible(false);
  splitter_->addWidget(queue_);
  splitter_->addWidget(below);
  splitter_->setSizes({360, 340});
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(16, 10, 16, 16);
  layout->addWidget(splitter_);
  constexpr int kTick_ms = 1000;
  ticks_.setInterval(kTick_ms);
  connect(&ticks_, &QTimer::timeout, this, [this] {
    if (!isVisible()) return ticks_.stop();
    queue_->tick();
    show_reads();
    // Whether somebody works off the queue is not in the database.
    if (!this->lab().reader.is_asked_by(this)) read();
  });
}

QWidget* NightPage::make_log() {
  title_ = new QLabel;
  title_->setObjectName("NightRun");
  title_->setStyleSheet("font-weight: 600;");
  log_ = table({"Time", "What", "Text"}, "Log of the run");
  log_->setObjectName("NightLog");
  log_->setColumnWidth(0, 150);
  log_->setColumnWidth(1, 70);
  auto* panel = new QWidget;
  auto* layout = new QVBoxLayout(panel);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(6);
  layout->addWidget(title_);
  layout->addWidget(controls_);
  layout->addWidget(log_, 1);
  return panel;
}

QWidget* NightPage::make_reads() {
  auto* title = new QLabel("Coming reads");
  title->setObjectName("Heading");
  next_ = new QLabel;
  next_->setObjectName("NightNextRead");
  next_->setWordWrap(true);
  next_->setAccessibleName("The next read");
  reads_ = table({"After programming", "At"}, "Coming reads");
  reads_->setObjectName("ComingReads");
  reads_->setColumnWidth(0, 150);
  auto* panel = new QWidget;
  panel->setMinimumWidth(240);
  auto* layout = new QVBoxLayout(panel);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(6);
  layout->addWidget(title);
  layout->addWidget(next_);
  layout->addWidget(reads_, 1);
  return panel;
}

void NightPage::add_to_queue(const QStringList& plans, const std::filesystem::path& folder) {
  queue_->add(plans, folder);
}

void NightPage::refresh() {
  if (!lab().snapshot) return;
  follow_the_newest();
  controls_->refresh();
  if (!ticks_.isActive()) ticks_.start();
  // The answer that is due is nearly as new; the next tick asks again.
  if (lab().reader.is_asked_by(this) && night_ && night_->run && lab().run == night_->run->id) {
    return;
  }
  read();
}

/// Chooses the run at work, or one that began and ended since the last look, once.
void NightPage::follow_the_newest() {
  const auto& runs = lab().snapshot->runs;
  if (followed_in_ != lab().database) {
    followed_in_ = lab().database;
    followed_.reset();
    newest_seen_.reset();
  }
  const db::RowId seen = newest_seen_.value_or(runs.empty() ? 0 : runs.front().row.id);
  const auto next = std::find_if(runs.begin(), runs.end(), [seen](const FollowedRun& run) {
    return run.row.state == db::RunState::Running || run.row.id > seen;
  });
  newest_seen_ = runs.empty() ? seen : std::max(seen, runs.front().row.id);
  if (next == runs.end() || followed_ == next->row.id) return;
  followed_ = next->row.id;
  if (lab().run != followed_) lab().choose_run(*followed_);
}

void NightPage::read() {
  lab().reader.ask<Night>(
      this,
      [run = lab().run](db::RunStore& store, const std::stop_token&) {
        return read_night(store, run);
      },
      [this](Result<Night> night) {
        if (!night) return lab().show_error(night.error());
        night_ = std::move(*night);
        show_night();
      });
}

bool NightPage::is_settled() const {
  const std::optional<db::RowId> shown =
      night_ && night_->run ? std::optional<db::RowId>(night_->run->id) : std::nullopt;
  return night_.has_value() && shown == lab().run && queue_->is_settled() &&
         controls_->is_settled();
}

void NightPage::retheme() {
  controls_->retheme();
  queue_->retheme();
  if (night_) show_night();
}

void NightPage::show_night() {
  queue_->set(night_->queue, night_->process);
  show_reads();
  show_log();
}

void NightPage::show_reads() {
  if (!night_) return;
  const std::vector<ComingRead>& reads = night_->reads;
  const FollowedRun* run = lab().followed_run();
  const bool at_work = run != nullptr && run->row.state == db::RunState::Running;
  reads_->setRowCount(static_cast<int>(reads.size()));
  if (reads.empty()) {
    next_->setText(at_work ? "This run reads nothing any more." : "No run is at work.");
    return;
  }
  next_->setText(next_read_text(reads.front().after_s, at_work ? run->progress : std::nullopt));
  if (!at_work) next_->setText("They come when the run goes on.");
  int row = 0;
  for (const ComingRead& read : reads) {
    put(reads_, row, 0, duration_text(read.after_s));
    QString at = local_time_text(read.utc);
    const double left_s = -seconds_since(read.utc);
    if (!read.utc.empty() && left_s > 0)
      at = at.section(' ', -1) + ", in " + countdown_text(left_s);
    put(reads_, row++, 1, at.isEmpty() ? QString("–") : at)
        ->setToolTip(at.isEmpty() ? "not known by the clock: programming is not over, or the board "
                                    "has virtual time"
                                  : local_time_text(read.utc));
  }
}

void NightPage::show_log() {
  const std::optional<db::RunRow>& run = night_->run;
  title_->setText(run ? QString("Log of run %1 · %2").arg(run->id).arg(text(run->name))
                      : QString("No run yet"));
  if (night_->log_left_out > 0) {
    title_->setText(title_->text() +
                    QString(" (%1 older lines left out)").arg(night_->log_left_out));
  }
  log_->setRowCount(static_cast<int>(night_->log.size()));
  int row = 0;
  for (const LogLine& line : night_->log) {
    put(log_, row, 0, local_time_text(line.utc))->setToolTip(text(line.utc));
    put(log_, row, 1, line.kind)->setForeground(colour_of(line.kind));
    put(log_, row++, 2, line.text)->setToolTip(line.text);
  }
}

}  // namespace pcmlab::gui

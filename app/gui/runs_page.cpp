// SPDX-License-Identifier: Apache-2.0
#include "app/gui/runs_page.h"

#include <QFontDatabase>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QSplitter>
#include <QTabBar>
#include <QTabWidget>
#include <QTableView>
#include <algorithm>
#include <iterator>

#include "app/gui/format.h"
#include "app/gui/run_controls.h"
#include "app/gui/theme.h"

namespace pcmlab::gui {
namespace {

class Rows {
 public:
  void add(const QString& name, const QString& value) {
    if (value.isEmpty()) return;
    html_ += QString(
                 "<tr><td style='color:%1; padding:2px 14px 2px 0; white-space:nowrap;'>%2</td>"
                 "<td style='padding:2px 0;'>%3</td></tr>")
                 .arg(theme().soft_text.name(), name.toHtmlEscaped(), value.toHtmlEscaped());
  }
  void heading(const QString& name) {
    html_ += QString("<tr><td colspan='2' style='padding:10px 0 3px 0;'><b>%1</b></td></tr>")
                 .arg(name.toHtmlEscaped());
  }
  QString html() const { return "<table cellspacing='0'>" + html_ + "</table>"; }

 private:
  QString html_;
};

QString facts_html(const RunDetails& details) {
  const db::RunRow& row = details.row;
  Rows rows;
  if (!row.error.empty()) rows.add("Error", text(row.error));
  rows.add("Started", local_time_text(row.started_utc));
  rows.add("Ended", local_time_text(row.ended_utc));
  if (!row.ended_utc.empty()) {
    rows.add("Took", duration_text(seconds_between(row.started_utc, row.ended_utc)));
  }
  rows.add("Operator", text(row.operator_name));
  if (row.parent) rows.add("Made from", QString("run %1").arg(*row.parent));
  if (!details.programmings.empty()) {
    const db::ProgrammingRow& last = details.programmings.back();
    rows.heading("Programmed last");
    rows.add("With a target", count_text(last.nonzero_targets) + " devices");
    if (last.complete && last.nonzero_targets > 0) {
      const double percent =
          100.0 * static_cast<double>(last.converged) / static_cast<double>(last.nonzero_targets);
      rows.add("Converged", QString("%1 %").arg(percent, 0, 'f', 2));
      rows.add("Iterations", QString::number(last.iterations));
      rows.add("Pulses", count_text(last.pulses));
    }
    rows.add("Sweeps", QString::number(details.sweeps));
  }
  rows.heading("Network");
  rows.add("Name", text(row.network_name));
  if (row.weights > 0) rows.add("Weights", count_text(row.weights));
  if (row.devices > 0) rows.add("Devices", count_text(row.devices));
  rows.add("SHA-256", text(row.network_sha256).left(16));
  rows.add("Images", text(row.images).section(';', 0, 0));
  rows.heading("Board");
  rows.add("Serial", text(row.board_serial));
  rows.add("Chip", text(row.sample));
  rows.add("Firmware", text(row.board_firmware));
  rows.add("Transport", text(row.board_description));
  rows.heading("Program");
  rows.add("Version", text(row.program_version) + "  " + text(row.git_revision).left(12));
  rows.add("Seed", QString::number(row.seed));
  rows.add("Host", text(row.host) + QString("  (process %1)").arg(row.pid));
  rows.add("UUID", text(row.uuid));
  return rows.html();
}

QString notes_html(const RunDetails& details) {
  if (details.notes.empty()) {
    return QString("<span style='color:%1'>No notes yet.</span>").arg(theme().soft_text.name());
  }
  QString html;
  for (const db::NoteRow& note : details.notes) {
    html += QString("<p style='margin:0 0 10px 0;'><span style='color:%1'>%2 · %3</span><br>%4</p>")
                .arg(theme().soft_text.name(), text(note.noted_by).toHtmlEscaped(),
                     local_time_text(note.noted_utc),
                     text(note.text).toHtmlEscaped().replace('\n', "<br>"));
  }
  return html;
}

QString history_html(const RunDetails& details) {
  Rows rows;
  rows.heading("Steps");
  for (const db::StepRow& step : details.steps) {
    QString value = text(db::to_string(step.state));
    if (step.wall_s > 0) value += ", " + duration_text(step.wall_s);
    rows.add(QString("%1  %2").arg(step.ordinal + 1).arg(text(step.experiment)), value);
  }
  rows.heading("Events");
  for (const db::EventRow& event : details.events) {
    rows.add(local_time_text(event.utc), text(event.kind) + ": " + text(event.text));
  }
  if (details.events.empty()) rows.add("None", "no gap, no fault, no slip");
  return rows.html();
}

QLabel* rich_label(const char* name) {
  auto* label = new QLabel;
  label->setTextFormat(Qt::RichText);
  label->setWordWrap(true);
  label->setAlignment(Qt::AlignTop | Qt::AlignLeft);
  label->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  label->setAccessibleName(name);
  return label;
}

QScrollArea* scrolled(QWidget* widget) {
  auto* area = new QScrollArea;
  area->setWidget(widget);
  area->setWidgetResizable(true);
  area->setFrameShape(QFrame::NoFrame);
  area->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  area->viewport()->setAutoFillBackground(false);
  widget->setAutoFillBackground(false);
  return area;
}

}  // namespace

Result<RunDetails> read_run_details(db::RunStore& store, db::RowId run) {
  RunDetails details;
  PCM_ASSIGN(details.row, store.run(run));
  PCM_ASSIGN(details.notes, store.notes(run));
  PCM_ASSIGN(details.steps, store.steps(run));
  PCM_ASSIGN(details.events, store.events(run));
  PCM_ASSIGN(details.programmings, store.programmings(run));
  PCM_ASSIGN(const auto sweeps, store.sweeps(run));
  details.sweeps = sweeps.size();
  return details;
}

RunsPage::RunsPage(Lab& lab) : Page(lab, "Runs") {
  filter_.setSourceModel(&model_);
  filter_.setSortRole(Qt::UserRole);
  splitter_ = new QSplitter(Qt::Horizontal);
  splitter_->setObjectName("RunsSplitter");
  splitter_->addWidget(make_list());
  splitter_->addWidget(make_details());
  splitter_->setStretchFactor(0, 5);
  splitter_->setStretchFactor(1, 3);
  splitter_->setSizes({640, 400});
  splitter_->setHandleWidth(12);
  splitter_->setChildrenCollapsible(false);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(16, 14, 16, 16);
  layout->addWidget(splitter_);
}

QWidget* RunsPage::make_list() {
  search_ = new QLineEdit;
  search_->setObjectName("RunsSearch");
  search_->setPlaceholderText(
      "Find runs: words, or state:failed  tag:paper  chip:  network:  operator:");
  search_->setClearButtonEnabled(true);
  search_->setAccessibleName("Find runs");
  found_ = new QLabel;
  found_->setObjectName("Soft");
  connect(search_, &QLineEdit::textChanged, this, [this](const QString& words) {
    // What is left out is not what the person has left.
    following_ = true;
    filter_.set_words(words);
    following_ = false;
    select_chosen();
    found_->setText(QString("%1 of %2").arg(filter_.rowCount()).arg(model_.rowCount()));
  });

  table_ = new QTableView;
  table_->setObjectName("RunsTable");
  table_->setAccessibleName("Runs");
  table_->setModel(&filter_);
  table_->setSelectionBehavior(QAbstractItemView::SelectRows);
  table_->setSelectionMode(QAbstractItemView::SingleSelection);
  table_->setSortingEnabled(true);
  table_->sortByColumn(RunsModel::Run, Qt::DescendingOrder);
  table_->setShowGrid(false);
  table_->setTabKeyNavigation(false);
  table_->setWordWrap(false);
  table_->verticalHeader()->hide();
  table_->verticalHeader()->setDefaultSectionSize(30);
  table_->horizontalHeader()->setHighlightSections(false);
  table_->horizontalHeader()->setStretchLastSection(true);
  constexpr int kWidths[] = {52, 96, 200, 150, 100, 150, 80, 100, 70, 50};
  for (int column = 0; column < RunsModel::kColumns; ++column) {
    table_->setColumnWidth(column, kWidths[column]);
  }
  connect(table_->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
          [this] { choose_current(); });

  auto* head = new QHBoxLayout;
  head->addWidget(search_, 1);
  head->addWidget(found_);
  auto* list = new QWidget;
  auto* layout = new QVBoxLayout(list);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(10);
  layout->addLayout(head);
  layout->addWidget(table_, 1);
  return list;
}

QWidget* RunsPage::make_details() {
  auto* card = new QFrame;
  card->setObjectName("Card");
  title_ = new QLabel("No run chosen");
  title_->setObjectName("Title");
  title_->setWordWrap(true);
  state_ = new QLabel;
  state_->setWordWrap(true);

  controls_ = new RunControls(lab());

  tags_ = new QLineEdit;
  tags_->setObjectName("RunTags");
  tags_->setPlaceholderText("Tags, with blanks between; Enter keeps them");
  tags_->setAccessibleName("Tags of the run");
  connect(tags_, &QLineEdit::returnPressed, this, [this] { set_tags(); });

  facts_ = rich_label("Provenance of the run");
  notes_ = rich_label("Notes");
  history_ = rich_label("Steps and events");
  new_note_ = new QPlainTextEdit;
  new_note_->setObjectName("NewNote");
  new_note_->setPlaceholderText("A note for whoever looks at this run next");
  new_note_->setAccessibleName("New note");
  new_note_->setFixedHeight(76);
  new_note_->setTabChangesFocus(true);
  auto* add_note = new QPushButton("Add note");
  add_note->setObjectName("AddNote");
  connect(add_note, &QPushButton::clicked, this, [this] {
    const std::string note = new_note_->toPlainText().trimmed().toStdString();
    if (note.empty()) return;
    write([note](db::RunStore& store, db::RowId run) -> Result<void> {
      PCM_TRY(store.add_note(run, note, person()));
      return {};
    });
    new_note_->clear();
  });
  auto* notes = new QWidget;
  auto* notes_layout = new QVBoxLayout(notes);
  notes_layout->setContentsMargins(0, 10, 0, 0);
  notes_layout->addWidget(scrolled(notes_), 1);
  notes_layout->addWidget(new_note_);
  notes_layout->addWidget(add_note, 0, Qt::AlignRight);
  plan_ = new QPlainTextEdit;
  plan_->setReadOnly(true);
  plan_->setLineWrapMode(QPlainTextEdit::NoWrap);
  plan_->setFont(QFontDatabase::systemFont(QFontDatabase::FixedFont));
  plan_->setAccessibleName("Plan of the run");

  tabs_ = new QTabWidget;
  tabs_->setDocumentMode(true);
  tabs_->tabBar()->setDrawBase(false);
  tabs_->setAccessibleName("Details of the run");
  tabs_->addTab(scrolled(facts_), "Overview");
  tabs_->addTab(notes, "Notes");
  tabs_->addTab(scrolled(history_), "Steps");
  tabs_->addTab(plan_, "Plan");

  panel_ = new QWidget;
  auto* panel = new QVBoxLayout(panel_);
  panel->setContentsMargins(0, 0, 0, 0);
  panel->setSpacing(8);
  panel->addWidget(controls_);
  panel->addWidget(tags_);
  panel->addWidget(tabs_, 1);
  auto* layout = new QVBoxLayout(card);
  layout->setContentsMargins(18, 14, 18, 14);
  layout->setSpacing(6);
  layout->addWidget(title_);
  layout->addWidget(state_);
  layout->addWidget(panel_, 1);
  layout->addStretch();
  panel_->hide();
  card->setMinimumWidth(320);
  return card;
}

void RunsPage::refresh() {
  if (!lab().snapshot) return;
  following_ = true;
  model_.set(lab().snapshot);
  following_ = false;
  found_->setText(QString("%1 of %2").arg(filter_.rowCount()).arg(model_.rowCount()));
  select_chosen();
  show_progress();
  if (!lab().run) {
    title_->setText(model_.rowCount() == 0 ? "No runs yet" : "No run chosen");
    state_->setText(model_.rowCount() == 0 ? "The first appears here as soon as it begins." : "");
    panel_->hide();
    return;
  }
  lab().reader.ask<RunDetails>(
      this,
      [run = *lab().run](db::RunStore& store, const std::stop_token&) {
        return read_run_details(store, run);
      },
      [this](Result<RunDetails> details) {
        if (!details) return lab().show_error(details.error());
        const bool another = !details_ || details_->row.id != details->row.id;
        details_ = std::move(*details);
        show_details(another);
      });
}

bool RunsPage::is_settled() const {
  return Page::is_settled() && writing_ == 0 && controls_->is_settled() &&
         (!lab().run || (details_ && details_->row.id == *lab().run));
}

void RunsPage::retheme() {
  controls_->retheme();
  if (details_) show_details(false);
}

void RunsPage::show_details(bool another) {
  const RunDetails& details = *details_;
  panel_->show();
  title_->setText(QString("Run %1 · %2").arg(details.row.id).arg(text(details.row.name)));
  facts_->setText(facts_html(details));
  notes_->setText(notes_html(details));
  history_->setText(history_html(details));
  tabs_->setTabText(1, details.notes.empty() ? QString("Notes")
                                             : QString("Notes (%1)").arg(details.notes.size()));
  if (another) plan_->setPlainText(text(details.row.plan_text));
  if (another || !tags_->isModified()) {
    QStringList tags;
    for (const std::string& tag : details.row.tags) tags << text(tag);
    tags_->setText(tags.join(' '));
    tags_->setModified(false);
  }
  show_progress();
}

void RunsPage::show_progress() {
  const FollowedRun* run = lab().followed_run();
  if (run == nullptr) return;
  controls_->refresh();
  QString state = state_text(*run);
  if (run->row.state != db::RunState::Running && !run->row.ended_utc.empty()) {
    state += " · " + local_time_text(run->row.ended_utc);
  }
  state_->setText(state);
}

void RunsPage::select_chosen() {
  QModelIndex chosen;
  for (int row = 0; row < model_.rowCount(); ++row) {
    if (lab().run == model_.at(row).row.id) chosen = filter_.mapFromSource(model_.index(row, 0));
  }
  if (table_->currentIndex().row() == chosen.row()) return;
  following_ = true;
  if (chosen.isValid()) {
    table_->selectRow(chosen.row());
  } else {
    table_->clearSelection();
  }
  following_ = false;
}

void RunsPage::choose_current() {
  if (following_) return;
  const QModelIndex index = filter_.mapToSource(table_->currentIndex());
  if (index.isValid()) lab().choose_run(model_.at(index.row()).row.id);
}

void RunsPage::write(std::function<Result<void>(db::RunStore&, db::RowId)> what) {
  if (!lab().run) return;
  // An asker for each, so that none replaces another that still waits.
  auto* asker = new QObject(this);
  ++writing_;
  lab().reader.ask<void>(
      asker,
      [run = *lab().run, what = std::move(what)](db::RunStore& reading,
                                                 const std::stop_token&) -> Result<void> {
        PCM_ASSIGN(db::RunStore store, db::RunStore::open(reading.database().file()));
        return what(store, run);
      },
      [this, asker](Result<void> written) {
        --writing_;
        asker->deleteLater();
        if (!written) lab().show_error(written.error());
        refresh();
      });
}

void RunsPage::set_tags() {
  std::vector<std::string> wanted;
  for (const QString& tag : tags_->text().split(' ', Qt::SkipEmptyParts)) {
    wanted.push_back(tag.toStdString());
  }
  tags_->setModified(false);
  write([wanted](db::RunStore& store, db::RowId run) -> Result<void> {
    PCM_ASSIGN(const db::RunRow row, store.run(run));
    std::vector<std::string> gone;
    std::copy_if(row.tags.begin(), row.tags.end(), std::back_inserter(gone),
                 [&](const std::string& tag) {
                   return std::find(wanted.begin(), wanted.end(), tag) == wanted.end();
                 });
    PCM_ASSIGN(db::Transaction all, store.transaction());
    if (!gone.empty()) PCM_TRY(store.remove_tags(run, gone));
    if (!wanted.empty()) PCM_TRY(store.add_tags(run, wanted, person()));
    return all.commit();
  });
}

}  // namespace pcmlab::gui

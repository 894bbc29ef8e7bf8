// SPDX-License-Identifier: Apache-2.0
#include "app/gui/sql_page.h"

#include <QAction>
#include <QComboBox>
#include <QFileDialog>
#include <QFontDatabase>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSaveFile>
#include <QSettings>
#include <QSignalBlocker>
#include <QSplitter>
#include <QTabBar>
#include <QTabWidget>
#include <QTableView>
#include <QVBoxLayout>
#include <algorithm>

#include "app/gui/format.h"
#include "app/gui/plot_view.h"
#include "db/query/questions.h"

namespace pcmlab::gui {
namespace {

constexpr int kSqlRole = Qt::UserRole;
constexpr int kMostRemembered = 30;

}  // namespace

SqlPage::SqlPage(Lab& lab) : Page(lab, "SQL") {
  auto* right = new QSplitter(Qt::Vertical);
  right->setObjectName("SqlSplitter");
  right->setHandleWidth(10);
  right->setChildrenCollapsible(false);
  right->addWidget(make_editor());
  right->addWidget(make_results());
  right->setStretchFactor(1, 1);
  right->setSizes({160, 510});
  auto* all = new QSplitter(Qt::Horizontal);
  all->setObjectName("QuestionsSplitter");
  all->setHandleWidth(12);
  all->setChildrenCollapsible(false);
  all->addWidget(make_questions());
  all->addWidget(right);
  all->setStretchFactor(1, 1);
  all->setSizes({210, 860});
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(16, 14, 16, 16);
  layout->addWidget(all);
  fill_questions();
  fill_parameters();
}

QWidget* SqlPage::make_questions() {
  questions_ = new QListWidget;
  questions_->setObjectName("Plain");
  questions_->setAccessibleName("Questions that have a name, and what was asked before");
  questions_->setWordWrap(false);
  questions_->setTextElideMode(Qt::ElideRight);
  questions_->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  const auto take = [this](const QListWidgetItem* item) {
    const QString sql = item->data(kSqlRole).toString();
    if (sql.isEmpty()) return;
    sql_->setPlainText(sql);
    run();
  };
  connect(questions_, &QListWidget::itemClicked, this, take);
  connect(questions_, &QListWidget::itemActivated, this, take);
  return questions_;
}

void SqlPage::fill_questions() {
  questions_->clear();
  const auto heading = [this](const char* words) {
    auto* item = new QListWidgetItem(words, questions_);
    item->setFlags(Qt::NoItemFlags);
  };
  heading("Questions");
  for (const db::Question& question : db::questions()) {
    auto* item = new QListWidgetItem(text(question.name), questions_);
    item->setToolTip(text(question.help));
    item->setData(kSqlRole, text(question.sql));
  }
  const QStringList asked = QSettings().value("queries").toStringList();
  if (!asked.isEmpty()) heading("Asked before");
  for (const QString& sql : asked) {
    auto* item = new QListWidgetItem(sql.simplified(), questions_);
    item->setToolTip(sql);
    item->setData(kSqlRole, sql);
  }
}

QWidget* SqlPage::make_editor() {
  auto* card = new QFrame;
  card->setObjectName("Card");
  sql_ = new QPlainTextEdit;
  sql_->setObjectName("SqlText");
  sql_->setAccessibleName("SQL");
  sql_->setPlaceholderText(
      "SELECT ...  ·  tables: run, sweep, accuracy, ... and, with a row a device, reading, "
      "programmed_device, device_drift, pulse");
  sql_->setFont(QFontDatabase::systemFont(QFontDatabase::FixedFont));
  sql_->setTabChangesFocus(true);
  sql_->setFrameShape(QFrame::NoFrame);
  connect(sql_, &QPlainTextEdit::textChanged, this, [this] { fill_parameters(); });
  run_ = new QPushButton("Ask");
  run_->setObjectName("Primary");
  run_->setToolTip("Ask (Ctrl+Return)");
  stop_ = new QPushButton("Stop");
  stop_->setEnabled(false);
  connect(run_, &QPushButton::clicked, this, [this] { run(); });
  connect(stop_, &QPushButton::clicked, this, [this] { stop(); });
  auto* ask = new QAction(this);
  ask->setShortcut(QKeySequence("Ctrl+Return"));
  ask->setShortcutContext(Qt::WidgetWithChildrenShortcut);
  connect(ask, &QAction::triggered, this, [this] { run(); });
  addAction(ask);
  parameters_ = new QHBoxLayout;
  status_ = new QLabel;
  status_->setObjectName("SqlStatus");
  auto* bar = new QHBoxLayout;
  bar->addLayout(parameters_);
  bar->addWidget(status_, 1);
  bar->addWidget(stop_);
  bar->addWidget(run_);
  auto* layout = new QVBoxLayout(card);
  layout->setContentsMargins(8, 8, 8, 8);
  layout->addWidget(sql_, 1);
  layout->addLayout(bar);
  return card;
}

QWidget* SqlPage::make_results() {
  table_ = new QTableView;
  table_->setObjectName("SqlRows");
  table_->setAccessibleName("Rows");
  table_->setModel(&model_);
  table_->setShowGrid(false);
  table_->setAlternatingRowColors(true);
  table_->setTabKeyNavigation(false);
  table_->setWordWrap(false);
  table_->verticalHeader()->setDefaultSectionSize(26);
  table_->verticalHeader()->setDefaultAlignment(Qt::AlignRight | Qt::AlignVCenter);
  table_->horizontalHeader()->setHighlightSections(false);
  table_->setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);

  x_ = new QComboBox;
  y_ = new QComboBox;
  by_ = new QComboBox;
  struct Choice {
    QComboBox* box;
    const char* object;
    const char* name;
    const char* label;
  };
  auto* choices = new QHBoxLayout;
  for (const Choice& choice :
       {Choice{y_, "PlotY", "Column that is drawn", "Draw"},
        Choice{x_, "PlotX", "Column that it is drawn against", "against"},
        Choice{by_, "PlotBy", "Column with a curve for each value", "a curve for each"}}) {
    choice.box->setObjectName(choice.object);
    choice.box->setAccessibleName(choice.name);
    choice.box->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    choices->addWidget(new QLabel(choice.label));
    choices->addWidget(choice.box);
    connect(choice.box, qOverload<int>(&QComboBox::activated), this, [this] { show_plot(); });
  }
  choices->addStretch();
  plot_ = new PlotView("Plot");
  plot_->on_error([this](const Error& error) { lab().show_error(error); });
  auto* plot = new QWidget;
  auto* plot_layout = new QVBoxLayout(plot);
  plot_layout->setContentsMargins(0, 8, 0, 0);
  plot_layout->addLayout(choices);
  plot_layout->addWidget(plot_, 1);

  tabs_ = new QTabWidget;
  tabs_->setDocumentMode(true);
  tabs_->tabBar()->setDrawBase(false);
  tabs_->setAccessibleName("Answer");
  tabs_->addTab(table_, "Table");
  tabs_->addTab(plot, "Plot");
  export_ = new QPushButton("Export CSV…");
  export_->setEnabled(false);
  connect(export_, &QPushButton::clicked, this, [this] { ask_export(); });
  tabs_->setCornerWidget(export_);
  return tabs_;
}

void SqlPage::refresh() {
  if (database_ != lab().database) {
    database_ = lab().database;
    queries_.open(database_);
    model_.set(nullptr);
    export_->setEnabled(false);
    plot_->set_empty("Ask something first.");
  }
  const auto run = values_.find("run");
  if (run != values_.end() && lab().run && !run->second->isModified()) {
    run->second->setText(QString::number(*lab().run));
  }
}

bool SqlPage::is_settled() const { return !queries_.is_asked_by(this); }

void SqlPage::retheme() { plot_->retheme(); }

void SqlPage::show_example() {
  const db::Question* question = db::find_question("accuracy");
  if (question == nullptr || model_.rows() != nullptr) return;
  sql_->setPlainText(text(question->sql));
  run();
}

void SqlPage::fill_parameters() {
  const auto names = parameters_of(sql_->toPlainText().toStdString());
  const bool same = names.size() == values_.size() &&
                    std::all_of(names.begin(), names.end(),
                                [&](const std::string& name) { return values_.contains(name); });
  if (same) return;
  while (QLayoutItem* item = parameters_->takeAt(0)) {
    delete item->widget();
    delete item;
  }
  values_.clear();
  for (const std::string& name : names) {
    auto* value = new QLineEdit;
    value->setObjectName("Parameter" + text(name));
    value->setAccessibleName("Value of " + text(name));
    value->setFixedWidth(90);
    connect(value, &QLineEdit::returnPressed, this, [this] { run(); });
    values_[name] = value;
    parameters_->addWidget(new QLabel(text(name)));
    parameters_->addWidget(value);
  }
  if (!lab().database.empty()) refresh();
}

void SqlPage::run() {
  const QString sql = sql_->toPlainText().trimmed();
  if (sql.isEmpty() || database_.empty()) return;
  std::map<std::string, std::string> values;
  for (const auto& [name, field] : values_) {
    if (!field->text().isEmpty()) values[name] = field->text().toStdString();
  }
  run_->setEnabled(false);
  stop_->setEnabled(true);
  status_->setText("asking …");
  queries_.ask<QueryRows>(
      this,
      [sql = sql.toStdString(), values](db::RunStore& store, const std::stop_token& stop) {
        return run_query(store.database().file(), sql, values, stop);
      },
      [this, sql](Result<QueryRows> rows) {
        run_->setEnabled(true);
        stop_->setEnabled(false);
        if (!rows) {
          status_->setText("no answer");
          return lab().show_error(rows.error());
        }
        remember(sql);
        show_rows(std::make_shared<const QueryRows>(std::move(*rows)));
      });
}

void SqlPage::stop() {
  // A newer question asks the one at work to stop.
  queries_.ask<void>(
      this, [](db::RunStore&, const std::stop_token&) { return Result<void>(); },
      [this](const Result<void>&) {
        run_->setEnabled(true);
        stop_->setEnabled(false);
        status_->setText("stopped");
      });
}

void SqlPage::show_rows(const std::shared_ptr<const QueryRows>& rows) {
  const bool same = model_.rows() != nullptr && model_.rows()->columns == rows->columns;
  model_.set(rows);
  export_->setEnabled(true);
  status_->setText(QString("%1 rows in %2%3")
                       .arg(count_text(static_cast<std::int64_t>(rows->rows.size())),
                            duration_text(rows->took_s),
                            rows->cut ? ", more are left out: `pcmlab query` has them all" : ""));
  if (!same) {
    table_->resizeColumnsToContents();
    const QSignalBlocker quiet_x(x_), quiet_y(y_), quiet_by(by_);
    for (QComboBox* box : {x_, y_, by_}) box->clear();
    by_->addItem("nothing", -1);
    int time = -1, other = -1;
    for (std::size_t i = 0; i < rows->columns.size(); ++i) {
      const auto column = static_cast<int>(i);
      const bool words =
          !rows->rows.empty() && std::holds_alternative<std::string>(rows->rows[0][i]);
      if (words) {
        by_->addItem(text(rows->columns[i]), column);
        continue;
      }
      x_->addItem(text(rows->columns[i]), column);
      y_->addItem(text(rows->columns[i]), column);
      if (rows->columns[i].ends_with("_s") && time < 0) {
        time = x_->count() - 1;
      } else if (other < 0) {
        other = y_->count() - 1;
      }
    }
    if (time >= 0) x_->setCurrentIndex(time);
    if (other >= 0) y_->setCurrentIndex(other);
    if (by_->count() > 1) by_->setCurrentIndex(1);
  }
  show_plot();
}

void SqlPage::show_plot() {
  const QueryRows* rows = model_.rows();
  if (rows == nullptr || x_->count() == 0 || rows->rows.empty()) {
    return plot_->set_empty("There are no two columns of numbers to draw.");
  }
  std::optional<std::size_t> by;
  if (by_->currentData().toInt() >= 0) by = static_cast<std::size_t>(by_->currentData().toInt());
  plot_->set(plot_of(*rows, static_cast<std::size_t>(x_->currentData().toInt()),
                     static_cast<std::size_t>(y_->currentData().toInt()), by));
}

void SqlPage::ask_export() {
  auto* dialog = new QFileDialog(this, "Export the rows", {}, "CSV (*.csv)");
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->setAcceptMode(QFileDialog::AcceptSave);
  dialog->setDefaultSuffix("csv");
  connect(dialog, &QFileDialog::fileSelected, this, [this](const QString& file) {
    QSaveFile out(file);
    const std::string csv = to_csv(*model_.rows());
    if (out.open(QIODevice::WriteOnly) &&
        out.write(csv.data(), static_cast<qint64>(csv.size())) >= 0 && out.commit()) {
      return;
    }
    lab().show_error(
        {ErrorCode::Io,
         "exporting rows to " + file.toStdString() + ": " + out.errorString().toStdString(),
         "is the folder writable, and is there room?"});
  });
  dialog->open();
}

void SqlPage::remember(const QString& sql) {
  for (const db::Question& question : db::questions()) {
    if (sql == text(question.sql)) return;
  }
  QStringList asked = QSettings().value("queries").toStringList();
  asked.removeAll(sql);
  asked.prepend(sql);
  while (asked.size() > kMostRemembered) asked.removeLast();
  QSettings().setValue("queries", asked);
  fill_questions();
}

}  // namespace pcmlab::gui

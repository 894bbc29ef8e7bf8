// SPDX-License-Identifier: Apache-2.0
#include "app/gui/new_run_page.h"

#include <QAction>
#include <QComboBox>
#include <QCoreApplication>
#include <QDir>
#include <QFile>
#include <QFileDialog>
#include <QFontDatabase>
#include <QHBoxLayout>
#include <QLabel>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSaveFile>
#include <QScrollArea>
#include <QSettings>
#include <QSignalBlocker>
#include <QSplitter>
#include <QSyntaxHighlighter>
#include <QTemporaryDir>
#include <QTextBlock>
#include <QVBoxLayout>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/gui/format.h"
#include "app/gui/plan_form.h"
#include "app/gui/theme.h"
#include "app/plan_schema.h"
#include "experiments/engine/plan_edit.h"
#include "experiments/engine/plan_loops.h"

namespace pcmlab::gui {
namespace {

constexpr const char* kSource = "plan";
constexpr int kAfterLastKey_ms = 250;
constexpr int kBeforePrediction_ms = 900;
/// Of a plan with loops as many are checked while one types; `pcmlab check` looks at all.
constexpr std::size_t kCheckedRuns = 50;
constexpr const char* kIntoTheQueue = "put it into the queue, which takes all of its runs";

/// Comments pale, heads strong.
class PlanColours : public QSyntaxHighlighter {
 public:
  using QSyntaxHighlighter::QSyntaxHighlighter;

 protected:
  void highlightBlock(const QString& line) override {
    QTextCharFormat comment, head;
    comment.setForeground(theme().soft_text);
    head.setFontWeight(QFont::DemiBold);
    head.setForeground(theme().accent);
    if (line.trimmed().startsWith('[')) setFormat(0, line.size(), head);
    bool quoted = false;
    for (int i = 0; i < line.size(); ++i) {
      if (line[i] == '"') quoted = !quoted;
      if (line[i] != '#' || quoted) continue;
      setFormat(i, line.size() - i, comment);
      return;
    }
  }
};

std::string first_plan() {
  return "# `pcmlab describe` and the form beside this text say what every key means.\n\n"
         "[run]\nname = \"new run\"\n\n"
         "[board]\nkind = \"mock\"              # the simulated chip\n\n"
         "[[step]]\nexperiment = \"screen\"      # finds the devices that do not answer pulses\n\n"
         "[[step]]\nexperiment = \"program\"     # weights -> conductance pairs\n\n"
         "[[step]]\nexperiment = \"retention\"   # sweeps at log-spaced times\npoints = 6\n\n"
         "[[step]]\nexperiment = \"accuracy\"    # at every sweep\n";
}

/// The plans that are installed, or stand beside what was built.
QStringList installed_plans() {
  const QString beside = QCoreApplication::applicationDirPath();
  QStringList plans;
  for (const QString& place : {beside + "/../share/pcmlab/plans", QString(PCMLAB_PLANS)}) {
    const QDir folder(place);
    for (const QString& name : folder.entryList({"*.toml"}, QDir::Files)) {
      plans << folder.absoluteFilePath(name);
    }
    if (!plans.isEmpty()) break;
  }
  return plans;
}

QString part_name(const PlanPart& part, const std::vector<std::string>& steps) {
  if (part.step == 0) return text(part.section);
  const std::string experiment = part.step <= steps.size() ? steps[part.step - 1] : std::string();
  return QString("%1  %2").arg(part.step).arg(experiment.empty() ? "?" : text(experiment));
}

const ParameterTable* table_of(const PlanSchema& schema, const PlanPart& part,
                               const std::string& experiment) {
  const auto& tables = part.step == 0 ? schema.sections : schema.experiments;
  const std::string& name = part.step == 0 ? part.section : experiment;
  const auto found = std::find_if(tables.begin(), tables.end(),
                                  [&](const ParameterTable& table) { return table.name == name; });
  return found == tables.end() ? nullptr : &*found;
}

}  // namespace

NewRunPage::NewRunPage(Lab& lab)
    : Page(lab, "New run"),
      schema_(app::app_plan_schema()),
      scratch_(std::make_unique<QTemporaryDir>()) {
  auto* splitter = new QSplitter(Qt::Horizontal);
  splitter->setObjectName("NewRunSplitter");
  splitter->setHandleWidth(12);
  splitter->setChildrenCollapsible(false);
  splitter->addWidget(make_parts());
  splitter->addWidget(make_editor());
  splitter->setSizes({620, 460});
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(16, 10, 16, 16);
  layout->setSpacing(8);
  layout->addWidget(splitter, 1);
  layout->addWidget(make_foot());
  auto* begin = new QAction(this);
  begin->setShortcut(QKeySequence("Ctrl+Return"));
  begin->setShortcutContext(Qt::WidgetWithChildrenShortcut);
  connect(begin, &QAction::triggered, this, [this] { start(); });
  addAction(begin);
  soon_.setSingleShot(true);
  predict_.setSingleShot(true);
  connect(&soon_, &QTimer::timeout, this, [this] { check_text(); });
  connect(&predict_, &QTimer::timeout, this, [this] { predict(); });
  connect(&checking_, qOverload<int, QProcess::ExitStatus>(&QProcess::finished), this,
          [this](int code, QProcess::ExitStatus status) {
            if (status != QProcess::NormalExit) return;
            if (code == 0) return show_prediction(checking_.readAllStandardOutput());
            prediction_->setText(QString::fromUtf8(checking_.readAllStandardError()).trimmed());
          });
  folder_ = QSettings().value("plan/folder").toString().toStdString();
  const QString draft = QSettings().value("plan/draft").toString();
  text_->setPlainText(draft.isEmpty() ? text(first_plan()) : draft);
  check_text();
}

NewRunPage::~NewRunPage() {
  checking_.disconnect();
  checking_.kill();
  checking_.waitForFinished();
}

QWidget* NewRunPage::make_parts() {
  parts_ = new QListWidget;
  parts_->setObjectName("PlanParts");
  parts_->setAccessibleName("Sections and steps of the plan");
  parts_->setFixedWidth(150);
  connect(parts_, &QListWidget::currentItemChanged, this, [this](QListWidgetItem* item) {
    if (following_ || item == nullptr || !(item->flags() & Qt::ItemIsSelectable)) return;
    const auto step = static_cast<std::size_t>(item->data(Qt::UserRole + 1).toULongLong());
    show_part({item->data(Qt::UserRole).toString().toStdString(), step});
    // The text shows the same part.
    const auto line = line_of_part(plan_text(), part_);
    if (!line) return;
    QTextCursor cursor(text_->document()->findBlockByNumber(*line - 1));
    text_->setTextCursor(cursor);
    text_->centerCursor();
  });
  experiments_ = new QComboBox;
  experiments_->setObjectName("AddStep");
  experiments_->setAccessibleName("Add a step");
  experiments_->addItem("Add step…");
  for (const ParameterTable& table : schema_.experiments) {
    experiments_->addItem(text(table.name));
    experiments_->setItemData(experiments_->count() - 1, text(table.summary), Qt::ToolTipRole);
  }
  connect(experiments_, qOverload<int>(&QComboBox::activated), this, [this] { add_step(); });
  remove_ = new QPushButton("Remove step");
  remove_->setObjectName("RemoveStep");
  connect(remove_, &QPushButton::clicked, this, [this] { remove_step(); });
  part_title_ = new QLabel;
  part_title_->setWordWrap(true);
  part_title_->setObjectName("Soft");
  form_area_ = new QScrollArea;
  form_area_->setWidgetResizable(true);
  form_area_->setFrameShape(QFrame::NoFrame);
  form_area_->setAccessibleName("Form");
  form_area_->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  auto* card = new QFrame;
  card->setObjectName("Card");
  auto* inside = new QVBoxLayout(card);
  inside->setContentsMargins(4, 8, 4, 4);
  auto* head = new QHBoxLayout;
  head->setContentsMargins(10, 0, 6, 0);
  head->addWidget(part_title_, 1);
  head->addWidget(remove_);
  inside->addLayout(head);
  inside->addWidget(form_area_, 1);
  auto* list = new QVBoxLayout;
  list->setSpacing(8);
  list->addWidget(parts_, 1);
  list->addWidget(experiments_);
  auto* parts = new QWidget;
  auto* layout = new QHBoxLayout(parts);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(12);
  layout->addLayout(list);
  layout->addWidget(card, 1);
  return parts;
}

QWidget* NewRunPage::make_editor() {
  begin_with_ = new QComboBox;
  begin_with_->setObjectName("BeginWith");
  begin_with_->setAccessibleName("Begin with a plan");
  begin_with_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  begin_with_->setMinimumContentsLength(12);
  connect(begin_with_, qOverload<int>(&QComboBox::activated), this,
          [this](int index) { take_template(index); });
  auto* save = new QPushButton("Save as…");
  save->setToolTip("Keep the plan as a file");
  connect(save, &QPushButton::clicked, this, [this] { ask_save(); });
  text_ = new QPlainTextEdit;
  text_->setObjectName("PlanText");
  text_->setAccessibleName("Plan as text");
  text_->setFont(QFontDatabase::systemFont(QFontDatabase::FixedFont));
  text_->setLineWrapMode(QPlainTextEdit::NoWrap);
  text_->setTabChangesFocus(true);
  new PlanColours(text_->document());
  connect(text_, &QPlainTextEdit::textChanged, this, [this] { text_changed(); });
  verdict_ = new QLabel;
  verdict_->setObjectName("PlanVerdict");
  verdict_->setWordWrap(true);
  verdict_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  auto* head = new QHBoxLayout;
  head->addWidget(begin_with_, 1);
  head->addWidget(save);
  auto* editor = new QWidget;
  auto* layout = new QVBoxLayout(editor);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(8);
  layout->addLayout(head);
  layout->addWidget(text_, 1);
  layout->addWidget(verdict_);
  return editor;
}

QWidget* NewRunPage::make_foot() {
  prediction_ = new QLabel;
  prediction_->setObjectName("Prediction");
  prediction_->setWordWrap(true);
  prediction_->setTextFormat(Qt::PlainText);
  prediction_->setMinimumHeight(44);
  prediction_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  start_ = new QPushButton("Start");
  start_->setObjectName("Primary");
  start_->setAccessibleName("Start the run");
  start_->setToolTip(
      "pcmlab run in a process of its own: it goes on when this window is closed (Ctrl+Return)");
  connect(start_, &QPushButton::clicked, this, [this] { start(); });
  queue_ = new QPushButton("Into the queue");
  queue_->setObjectName("IntoTheQueue");
  queue_->setToolTip("pcmlab queue add: it waits for its turn, see the page Night");
  connect(queue_, &QPushButton::clicked, this, [this] { add_to_queue(); });
  auto* card = new QFrame;
  card->setObjectName("Card");
  auto* layout = new QHBoxLayout(card);
  layout->setContentsMargins(14, 8, 14, 8);
  layout->addWidget(prediction_, 1);
  layout->addWidget(queue_);
  layout->addWidget(start_);
  return card;
}

void NewRunPage::fill_templates() {
  const QSignalBlocker quiet(begin_with_);
  begin_with_->clear();
  begin_with_->addItem("Begin with…");
  begin_with_->addItem("a file…", "file");
  if (const FollowedRun* run = lab().followed_run()) {
    begin_with_->addItem(
        QString("the plan of run %1 · %2").arg(run->row.id).arg(text(run->row.name)), "run");
  }
  begin_with_->addItem("a new plan", "new");
  for (const QString& plan : installed_plans()) {
    begin_with_->addItem(QFileInfo(plan).completeBaseName(), plan);
  }
}

void NewRunPage::take_template(int index) {
  const QString what = begin_with_->itemData(index).toString();
  begin_with_->setCurrentIndex(0);
  if (what == "new") return set_plan(first_plan(), folder_);
  if (what == "run") {
    if (const FollowedRun* run = lab().followed_run()) set_plan(run->row.plan_text, folder_);
    return;
  }
  if (what == "file") {
    auto* dialog = new QFileDialog(this, "Open a plan", text(folder_.string()), "Plans (*.toml)");
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    connect(dialog, &QFileDialog::fileSelected, this, [this](const QString& file) {
      const auto opened = open_plan(file.toStdString());
      if (!opened) lab().show_error(opened.error());
    });
    return dialog->open();
  }
  if (what.isEmpty()) return;
  const auto opened = open_plan(what.toStdString());
  if (!opened) lab().show_error(opened.error());
}

Result<void> NewRunPage::open_plan(const std::filesystem::path& file) {
  QFile in(text(file.string()));
  if (!in.open(QIODevice::ReadOnly)) {
    return fail(ErrorCode::NotFound,
                "cannot open the plan " + file.string() + ": " + in.errorString().toStdString(),
                "check the path, and whether you may read it");
  }
  std::error_code ignored;
  set_plan(in.readAll().toStdString(), std::filesystem::absolute(file, ignored).parent_path());
  return {};
}

void NewRunPage::set_plan(const std::string& text, const std::filesystem::path& folder) {
  folder_ = folder;
  QSettings().setValue("plan/folder", QString::fromStdString(folder.string()));
  replace_text(text);
  check_text();
}

std::string NewRunPage::plan_text() const { return text_->toPlainText().toStdString(); }

void NewRunPage::refresh() {
  if (begin_with_->view() == nullptr || !begin_with_->hasFocus()) fill_templates();
  start_->setEnabled(can_start());
  if (!checked_text_.empty() || !plan_) return;
  predict_.start(kBeforePrediction_ms);
}

void NewRunPage::retheme() {
  for (QSyntaxHighlighter* colours : text_->document()->findChildren<QSyntaxHighlighter*>()) {
    colours->rehighlight();
  }
  check_text();
}

void NewRunPage::show_example() {
  for (int row = 0; row < parts_->count(); ++row) {
    if (parts_->item(row)->text().contains("program")) parts_->setCurrentRow(row);
  }
}

bool NewRunPage::is_settled() const {
  return Page::is_settled() && !soon_.isActive() && !predict_.isActive() &&
         checking_.state() == QProcess::NotRunning;
}

void NewRunPage::text_changed() {
  QSettings().setValue("plan/draft", text_->toPlainText());
  soon_.start(kAfterLastKey_ms);
}

Result<void> NewRunPage::read_plan(const std::string& text) {
  plan_.reset();
  runs_ = 0;
  PCM_ASSIGN(const std::vector<PlanRound> rounds, plan_rounds(text, kSource));
  runs_ = rounds.size();
  std::optional<Plan> first;
  for (std::size_t i = 0; i < std::min(rounds.size(), kCheckedRuns); ++i) {
    auto parsed = parse_plan(rounds[i].text, kSource, schema_);
    if (!parsed) {
      if (rounds[i].name.empty()) return tl::unexpected(parsed.error());
      return tl::unexpected(parsed.error().during("the run with " + rounds[i].name));
    }
    if (!first) first = std::move(*parsed);
  }
  plan_ = std::move(first);
  return {};
}

bool NewRunPage::can_start() const {
  return plan_.has_value() && runs_ == 1 && !lab().runner.is_starting();
}

void NewRunPage::check_text() {
  soon_.stop();
  const std::string text = plan_text();
  const auto parsed = read_plan(text);
  fill_parts();
  show_part(part_);
  show_error(parsed ? nullptr : &parsed.error());
  start_->setEnabled(can_start());
  queue_->setEnabled(plan_.has_value());
  if (!plan_) {
    predict_.stop();
    checked_text_.clear();
    prediction_->setText("The plan is mended first; then this says what it takes.");
  } else if (text != checked_text_) {
    prediction_->setText("Predicting…");
    predict_.start(kBeforePrediction_ms);
  }
}

void NewRunPage::fill_parts() {
  const std::vector<std::string> steps = steps_of(plan_text());
  following_ = true;
  parts_->clear();
  const auto add = [&](const PlanPart& part) {
    auto* item = new QListWidgetItem(part_name(part, steps), parts_);
    item->setData(Qt::UserRole, text(part.section));
    item->setData(Qt::UserRole + 1, QVariant::fromValue<qulonglong>(part.step));
    if (part == part_) parts_->setCurrentItem(item);
  };
  const auto heading = [&](const char* name) {
    auto* item = new QListWidgetItem(name, parts_);
    item->setFlags(Qt::NoItemFlags);
  };
  heading("Sections");
  for (const ParameterTable& section : schema_.sections) add({section.name, 0});
  heading("Steps");
  for (std::size_t step = 1; step <= steps.size(); ++step) add({"step", step});
  following_ = false;
}

std::optional<ParameterValues> NewRunPage::values(const PlanPart& part) const {
  if (!plan_) return std::nullopt;
  if (part.step == 0) {
    const auto section = plan_->sections.find(part.section);
    return section == plan_->sections.end() ? std::nullopt : std::optional(section->second);
  }
  if (part.step > plan_->steps.size()) return std::nullopt;
  return plan_->steps[part.step - 1].values;
}

void NewRunPage::show_part(const PlanPart& part) {
  const std::vector<std::string> steps = steps_of(plan_text());
  PlanPart shown = part;
  if (shown.step > steps.size()) shown = {"run", 0};
  const std::string experiment = shown.step > 0 ? steps[shown.step - 1] : std::string();
  const ParameterTable* table = table_of(schema_, shown, experiment);
  const bool same = form_ != nullptr && shown == part_ && experiment == part_experiment_;
  part_ = shown;
  part_experiment_ = experiment;
  remove_->setVisible(shown.step > 0);
  if (table == nullptr) {
    form_ = nullptr;
    delete form_area_->takeWidget();
    part_title_->setText("There is no experiment of this name.");
    return;
  }
  if (!same) {
    // The old form may be the one that told of the change.
    if (QWidget* old = form_area_->takeWidget()) old->deleteLater();
    form_ = new PlanForm(
        *table, [this](const std::string& key, const std::string& toml) { edit(key, toml); });
    form_area_->setWidget(form_);
    form_->setAutoFillBackground(false);
    form_area_->viewport()->setAutoFillBackground(false);
    form_->show_values(ParameterValues(table->parameters));
    part_title_->setText(text(table->summary));
  }
  if (const auto known = values(shown)) form_->show_values(*known);
  if (!same && !following_) fill_parts();
}

void NewRunPage::edit(const std::string& key, const std::string& toml) {
  std::string part = part_.section;
  if (part_.step > 0) part.append(".").append(std::to_string(part_.step));
  part.append(".").append(key);
  const auto changed = toml.empty()
                           ? without_plan_key(plan_text(), kSource, part)
                           : with_plan_key(plan_text(), kSource, part.append("=").append(toml));
  if (!changed) {
    form_->show_error(key, text(changed.error().message));
    return show_error(&changed.error());
  }
  replace_text(*changed);
  check_text();
}

void NewRunPage::set_keys(const std::vector<std::string>& assignments) {
  std::string changed = plan_text();
  for (const std::string& assignment : assignments) {
    auto next = with_plan_key(changed, kSource, assignment);
    if (!next) return lab().show_error(next.error());
    changed = std::move(*next);
  }
  replace_text(changed);
  check_text();
}

void NewRunPage::replace_text(const std::string& changed) {
  const QString before = text_->toPlainText();
  const QString after = QString::fromStdString(changed);
  int first = 0;
  const int shorter = std::min(before.size(), after.size());
  while (first < shorter && before[first] == after[first]) ++first;
  int last = 0;
  while (last < shorter - first &&
         before[before.size() - 1 - last] == after[after.size() - 1 - last]) {
    ++last;
  }
  QTextCursor cursor(text_->document());
  cursor.setPosition(first);
  cursor.setPosition(before.size() - last, QTextCursor::KeepAnchor);
  cursor.insertText(after.mid(first, after.size() - last - first));
}

void NewRunPage::show_error(const Error* error) {
  QList<QTextEdit::ExtraSelection> marks;
  if (form_ != nullptr) form_->show_error({}, {});
  if (error == nullptr) {
    verdict_->setText(runs_ == 1 ? QString("A good plan.")
                                 : QString("A good plan, of %1 runs; the form shows the first. To "
                                           "begin them, %2.")
                                       .arg(runs_)
                                       .arg(kIntoTheQueue));
    verdict_->setStyleSheet(QString("color: %1;").arg(theme().complete.name()));
    text_->setExtraSelections(marks);
    return;
  }
  QString said = text(error->message);
  if (!error->advice.empty()) said += "\nWhat to do: " + text(error->advice);
  verdict_->setText(said);
  verdict_->setStyleSheet(QString("color: %1;").arg(theme().failed.name()));
  // In the texts of single runs lines may have other numbers.
  if (const auto line = runs_ > 1 ? std::nullopt : line_of_error(*error, kSource)) {
    QTextEdit::ExtraSelection mark;
    mark.cursor = QTextCursor(text_->document()->findBlockByNumber(*line - 1));
    mark.format.setBackground(theme().error_bar);
    mark.format.setProperty(QTextFormat::FullWidthSelection, true);
    marks.append(mark);
    const auto place = place_of_line(plan_text(), *line);
    if (place && form_ != nullptr && place->part == part_) form_->show_error(place->key, said);
  }
  text_->setExtraSelections(marks);
}

void NewRunPage::add_step() {
  const QString experiment = experiments_->currentText();
  const bool chosen = experiments_->currentIndex() > 0;
  experiments_->setCurrentIndex(0);
  if (!chosen) return;
  replace_text(with_step(plan_text(), experiment.toStdString()));
  part_ = {"step", steps_of(plan_text()).size()};
  check_text();
}

void NewRunPage::remove_step() {
  if (part_.step == 0) return;
  replace_text(without_step(plan_text(), part_.step));
  check_text();
}

void NewRunPage::predict() {
  if (!plan_ || lab().runner.program().empty() || !isVisible()) return;
  // Asking a real board what it is, while a run may be at it, is for those who start one.
  if (plan_->section("board").text("kind") != "mock") {
    prediction_->setText("Time, pulses and bytes: `pcmlab check` asks the board for them.");
    checked_text_ = plan_text();
    return;
  }
  if (checking_.state() != QProcess::NotRunning) {
    checking_.kill();
    predict_.start(kBeforePrediction_ms);
    return;
  }
  const QString file = scratch_->filePath("plan.toml");
  QFile out(file);
  if (!out.open(QIODevice::WriteOnly)) return;
  checked_text_ = plan_text();
  out.write(checked_text_.data(), static_cast<qint64>(checked_text_.size()));
  out.close();
  checking_.setWorkingDirectory(text(folder_.string()));
  checking_.start(text(lab().runner.program().string()), {"check", file, "--json"});
}

void NewRunPage::show_prediction(const QByteArray& output) {
  const auto json = nlohmann::json::parse(output.toStdString(), nullptr, false);
  if (!json.is_object() || !json.contains("total")) return;
  const auto& total = json["total"];
  const QString all =
      QString("About %1 here · the chip works %2 and waits %3 · %4 pulses · %5 of database")
          .arg(duration_text(total.value("wall_s", 0.0)),
               duration_text(total.value("chip_busy_s", 0.0)),
               duration_text(total.value("chip_waiting_s", 0.0)),
               count_text(total.value("pulses", std::int64_t{0})),
               quantity_text(total.value("database_bytes", 0.0), "B"));
  if (json.contains("runs")) {
    prediction_->setText(QString("%1\n%2 runs").arg(all).arg(json["runs"].size()));
    return;
  }
  const QString on = QString("%1 weights on %2 devices, %3 images")
                         .arg(count_text(json.value("weights", std::int64_t{0})),
                              count_text(json.value("devices", std::int64_t{0})),
                              count_text(json.value("images", std::int64_t{0})));
  prediction_->setText(all + "\n" + on);
}

void NewRunPage::start() {
  check_text();
  if (!plan_) return;
  if (runs_ != 1) {
    return lab().show_error({ErrorCode::BadPlan,
                             "starting this plan: it stands for " + std::to_string(runs_) +
                                 " runs, and Start begins one",
                             kIntoTheQueue});
  }
  const auto file = keep_plan(plan_text());
  if (!file) return lab().show_error(file.error());
  lab().start_runner({"run", *file}, std::nullopt, folder_);
  refresh();
}

void NewRunPage::add_to_queue() {
  check_text();
  if (!plan_) return;
  const auto file = keep_plan(plan_text());
  if (!file) return lab().show_error(file.error());
  lab().add_to_queue({*file}, folder_);
}

void NewRunPage::ask_save() {
  auto* dialog = new QFileDialog(this, "Save the plan", text(folder_.string()), "Plans (*.toml)");
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->setAcceptMode(QFileDialog::AcceptSave);
  dialog->setDefaultSuffix("toml");
  connect(dialog, &QFileDialog::fileSelected, this, [this](const QString& file) {
    QSaveFile out(file);
    const std::string words = plan_text();
    if (!out.open(QIODevice::WriteOnly) ||
        out.write(words.data(), static_cast<qint64>(words.size())) < 0 || !out.commit()) {
      return lab().show_error(
          {ErrorCode::Io,
           "saving the plan as " + file.toStdString() + ": " + out.errorString().toStdString(),
           "choose a folder where you may write"});
    }
    folder_ = QFileInfo(file).absolutePath().toStdString();
  });
  dialog->open();
}

}  // namespace pcmlab::gui

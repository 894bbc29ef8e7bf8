// SPDX-License-Identifier: Apache-2.0
#include "app/gui/board_page.h"

#include <QCheckBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QListWidget>
#include <QProgressBar>
#include <QPushButton>
#include <QSignalBlocker>
#include <QTabBar>
#include <QTabWidget>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/gui/format.h"
#include "app/gui/mock_form.h"
#include "app/gui/theme.h"

namespace pcmlab::gui {
namespace {

constexpr int kBetweenLooks_ms = 4000;

QString string_of(const nlohmann::json& object, const char* name) {
  return object.contains(name) && object[name].is_string() ? text(object[name].get<std::string>())
                                                           : QString();
}

QString row(const QString& name, const QString& value) {
  return QString(
             "<tr><td style='color:%1; padding:2px 14px 2px 0;'>%2</td><td style='padding:2px "
             "0;'>%3</td></tr>")
      .arg(theme().soft_text.name(), name, value.toHtmlEscaped());
}

QString kelvin_text(double t_K) {
  return QString("%1 K (%2 °C)").arg(t_K, 0, 'f', 1).arg(number_text(t_K - 273.15, 3));
}

/// As options of the command line.
QStringList as_options(const std::vector<std::string>& assignments) {
  QStringList options;
  for (const std::string& assignment : assignments) options << "--set" << text(assignment);
  return options;
}

/// How the board is at this moment, and what it allows.
QString condition_rows(const nlohmann::json& board) {
  const auto number = [&](const char* name) { return board.value(name, 0.0); };
  const auto count = [&](const char* name) {
    return count_text(board.value(name, std::int64_t{0}));
  };
  const double up_s = number("up_s"), busy_s = number("busy_s");
  const QString share =
      up_s > 0 ? QString(", %1 % since boot").arg(number_text(100 * busy_s / up_s, 3)) : QString();
  QString rows = row("Temperature", kelvin_text(number("temperature_K")));
  rows += row("Calibration",
              QString("%1 µS a code, offset %2 µS, %3 bits")
                  .arg(number_text(number("gain_uS_per_code")), number_text(number("offset_uS")))
                  .arg(board.value("adc_bits", 0)));
  rows += row("Queue", count("queued_requests") + " of " + count("queue_depth") + " requests");
  rows += row("Request", "up to " + count("max_devices_per_request") + " devices");
  rows += row("Busy", duration_text(busy_s) + share);
  rows += row("Up", duration_text(up_s) + (board.value("virtual_time", false) ? ", virtual" : ""));
  rows += row("Pulses", count("pulses_executed") + " since boot");
  rows += row("Limits", QString("%1 µA, %2 ns to %3")
                            .arg(number_text(number("max_amplitude_uA")))
                            .arg(board.value("min_width_ns", 0))
                            .arg(duration_text(number("max_width_ns") * 1e-9)));
  rows += row("", "up to " + kelvin_text(number("max_temperature_K")));
  const bool has_life = board.value("max_pulses_per_device", std::int64_t{0}) > 0;
  if (has_life) rows += row("", count("max_pulses_per_device") + " pulses a device");
  return rows;
}

QTableWidget* table(const QStringList& titles, const char* name) {
  auto* widget = new QTableWidget(0, titles.size());
  widget->setHorizontalHeaderLabels(titles);
  widget->setAccessibleName(name);
  widget->verticalHeader()->hide();
  widget->setEditTriggers(QAbstractItemView::NoEditTriggers);
  widget->setSelectionBehavior(QAbstractItemView::SelectRows);
  widget->setTabKeyNavigation(false);
  widget->setShowGrid(false);
  widget->setWordWrap(true);
  widget->horizontalHeader()->setHighlightSections(false);
  widget->horizontalHeader()->setStretchLastSection(true);
  widget->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
  return widget;
}

/// Good ones quiet, others in their colour.
QTableWidgetItem* verdict_item(const QString& verdict) {
  auto* item = new QTableWidgetItem(verdict);
  const QString word = verdict.toLower();
  if (word == "pass" || word == "ok") item->setForeground(theme().complete);
  if (word == "fail" || word == "problem") item->setForeground(theme().failed);
  if (word == "warning") item->setForeground(theme().stopped);
  return item;
}

}  // namespace

BoardPage::BoardPage(Lab& lab) : Page(lab, "Board") {
  auto* layout = new QHBoxLayout(this);
  layout->setContentsMargins(16, 14, 16, 16);
  layout->setSpacing(12);
  layout->addWidget(make_boards());
  layout->addWidget(make_results(), 1);
  again_.setInterval(kBetweenLooks_ms);
  connect(&again_, &QTimer::timeout, this, [this] {
    if (!isVisible()) return again_.stop();
    // Nobody asks a board that is being tested.
    if (!test_.is_asking() && !boards_.is_asking()) ask_boards();
  });
}

QWidget* BoardPage::make_boards() {
  list_ = new QListWidget;
  list_->setObjectName("Boards");
  list_->setAccessibleName("Boards");
  list_->setFixedHeight(150);
  connect(list_, &QListWidget::currentRowChanged, this, [this] { show_board(); });
  facts_ = new QLabel("Looking for boards…");
  facts_->setObjectName("BoardFacts");
  facts_->setAccessibleName("What the board says of itself");
  facts_->setWordWrap(true);
  facts_->setAlignment(Qt::AlignTop | Qt::AlignLeft);
  facts_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  auto* card = new QFrame;
  card->setObjectName("Card");
  card->setFixedWidth(340);
  auto* title = new QLabel("Boards");
  title->setObjectName("Heading");
  auto* look = new QPushButton("Look again");
  connect(look, &QPushButton::clicked, this, [this] {
    ask_boards();
    ask_machine();
  });
  auto* head = new QHBoxLayout;
  head->addWidget(title);
  head->addStretch();
  head->addWidget(look);
  auto* inside = new QVBoxLayout(card);
  inside->setContentsMargins(14, 10, 14, 12);
  inside->addLayout(head);
  inside->addWidget(list_);
  inside->addWidget(facts_, 1);
  return card;
}

QWidget* BoardPage::make_results() {
  pulses_ = new QCheckBox("with pulses");
  pulses_->setToolTip("On 32 devices of the last word line");
  pulses_->setObjectName("WithPulses");
  start_ = new QPushButton("Self-test");
  start_->setObjectName("SelfTest");
  start_->setToolTip("Holds the board against the specification: pcmlab selftest");
  stop_ = new QPushButton("End it");
  stop_->setObjectName("EndSelfTest");
  stop_->setEnabled(false);
  connect(start_, &QPushButton::clicked, this, [this] { self_test(); });
  connect(stop_, &QPushButton::clicked, this, [this] { test_.stop(); });
  said_ = new QLabel("Not tested yet.");
  said_->setObjectName("SelfTestResult");
  said_->setWordWrap(true);
  busy_ = new QProgressBar;
  busy_->setTextVisible(false);
  busy_->setAccessibleName("Self-test at work");
  busy_->hide();
  checks_ = table({"Check", "Verdict", "Rule", "Found"}, "Checks of the self-test");
  checks_->setObjectName("Checks");
  checks_->setColumnWidth(0, 170);
  checks_->setColumnWidth(1, 76);
  checks_->setColumnWidth(2, 280);
  findings_ = table({"Check", "Verdict", "Found, and what to do"}, "This machine");
  findings_->setObjectName("Findings");
  findings_->setColumnWidth(0, 190);
  findings_->setColumnWidth(1, 110);
  auto* test = new QWidget;
  auto* test_layout = new QVBoxLayout(test);
  test_layout->setContentsMargins(0, 10, 0, 0);
  auto* controls = new QHBoxLayout;
  controls->addWidget(start_);
  controls->addWidget(stop_);
  controls->addWidget(pulses_);
  controls->addStretch();
  test_layout->addLayout(controls);
  test_layout->addWidget(busy_);
  test_layout->addWidget(said_);
  test_layout->addWidget(checks_, 1);
  tabs_ = new QTabWidget;
  tabs_->setDocumentMode(true);
  tabs_->tabBar()->setDrawBase(false);
  tabs_->setAccessibleName("Self-test and this machine");
  tabs_->addTab(test, "Self-test");
  tabs_->addTab(findings_, "This machine");
  mock_ =
      new MockForm({[this] { mock_changed(); }, [this] { lab().plan_with(mock_->assignments()); }});
  tabs_->addTab(mock_, "Mock board");
  return tabs_;
}

void BoardPage::mock_changed() {
  const std::size_t keys = mock_->assignments().size();
  tabs_->setTabText(tabs_->indexOf(mock_),
                    keys == 0 ? QString("Mock board") : QString("Mock board (%1)").arg(keys));
  ask_boards();
}

void BoardPage::refresh() {
  if (asked_) {
    again_.start();
    return;
  }
  asked_ = true;
  ask_boards();
  ask_machine();
  again_.start();
}

bool BoardPage::is_settled() const {
  return Page::is_settled() && asked_ && !boards_.is_asking() && !machine_.is_asking() &&
         !test_.is_asking();
}

void BoardPage::retheme() {
  if (!told_boards_.is_null()) show_boards();
  if (!told_machine_.is_null()) show_machine();
  if (!told_test_.is_null() && !test_.is_asking()) show_self_test();
}

void BoardPage::show_example() {
  if (checks_->rowCount() == 0 && !test_.is_asking()) self_test();
}

void BoardPage::ask_boards() {
  const QStringList arguments = QStringList{"devices"} + as_options(mock_->assignments());
  boards_.ask(lab().runner.program(), arguments, [this](Result<nlohmann::json> boards) {
    if (!boards) {
      facts_->setText(text(boards.error().message) + "\n" + text(boards.error().advice));
      return;
    }
    told_boards_ = std::move(*boards);
    show_boards();
  });
}

void BoardPage::ask_machine() {
  QStringList arguments{"doctor"};
  if (!lab().database.empty()) {
    arguments << "--database" << QString::fromStdString(lab().database.string());
  }
  machine_.ask(lab().runner.program(), arguments, [this](Result<nlohmann::json> findings) {
    if (!findings) return;
    told_machine_ = std::move(*findings);
    show_machine();
  });
}

const BoardPage::Shown* BoardPage::board() const {
  const int index = list_->currentRow();
  return index >= 0 && index < static_cast<int>(known_.size())
             ? &known_[static_cast<std::size_t>(index)]
             : nullptr;
}

void BoardPage::show_boards() {
  const QString chosen = board() == nullptr ? QString() : board()->where + board()->serial;
  known_.clear();
  for (const auto& each : told_boards_) {
    Shown shown;
    shown.kind = string_of(each, "kind");
    shown.serial = string_of(each, "serial");
    shown.where = string_of(each, "at");
    shown.problem = string_of(each, "problem");
    shown.facts = row("Serial", shown.serial) + row("Connected", shown.where) +
                  row("Firmware", string_of(each, "firmware"));
    if (each.contains("word_lines")) {
      shown.facts += row("Array", QString("%1 × %2 lines")
                                      .arg(each.value("word_lines", 0))
                                      .arg(each.value("bit_lines", 0)));
    }
    if (each.contains("temperature_K")) shown.facts += condition_rows(each);
    known_.push_back(std::move(shown));
  }
  {
    const QSignalBlocker quiet(list_);
    list_->clear();
    int place = 0;
    for (const Shown& shown : known_) {
      list_->addItem(
          QString("%1  %2%3")
              .arg(shown.kind, shown.serial, shown.problem.isEmpty() ? "" : "  – cannot be used"));
      if (shown.where + shown.serial == chosen) place = list_->count() - 1;
    }
    list_->setCurrentRow(place);
  }
  show_board();
}

void BoardPage::show_board() {
  const Shown* shown = board();
  if (shown == nullptr) return;
  QString html = "<table cellspacing='0'>" + shown->facts + "</table>";
  if (!shown->problem.isEmpty()) {
    html += QString(
                "<p style='color:%1'>%2</p><p>The tab “This machine” says what may be wrong "
                "with permissions or the cable, and how to mend it.</p>")
                .arg(theme().failed.name(), shown->problem.toHtmlEscaped());
  }
  const bool has_usb = std::any_of(known_.begin(), known_.end(),
                                   [](const Shown& each) { return each.kind == "usb"; });
  if (!has_usb) {
    html += QString(
                "<p style='color:%1'>No board on the USB. One that is plugged in appears here "
                "by itself.</p>")
                .arg(theme().soft_text.name());
  }
  facts_->setText(html);
}

void BoardPage::self_test() {
  const Shown* shown = board();
  QStringList arguments{"selftest"};
  if (!pulses_->isChecked()) arguments << "--no-pulses";
  if (shown != nullptr && shown->kind == "usb") {
    arguments << "--set"
              << "board.kind=usb"
              << "--set"
              << "board.serial=" + shown->serial;
  } else {
    arguments << as_options(mock_->assignments());
  }
  start_->setEnabled(false);
  stop_->setEnabled(true);
  busy_->setRange(0, 0);
  busy_->show();
  said_->setText("testing…");
  test_.ask(lab().runner.program(), arguments, [this](Result<nlohmann::json> report) {
    if (!report) {
      end_self_test(report.error().code == ErrorCode::Stopped ? "ended" : "not tested");
      if (report.error().code != ErrorCode::Stopped) lab().show_error(report.error());
      return;
    }
    told_test_ = std::move(*report);
    show_self_test();
  });
}

void BoardPage::end_self_test(const QString& said) {
  start_->setEnabled(true);
  stop_->setEnabled(false);
  busy_->hide();
  said_->setText(said);
}

void BoardPage::show_self_test() {
  const nlohmann::json& report = told_test_;
  const int failed = report.value("failed", 0);
  end_self_test(QString("%1 passed, %2 failed, %3 not run")
                    .arg(report.value("passed", 0))
                    .arg(failed)
                    .arg(report.value("skipped", 0)));
  said_->setStyleSheet(QString("color: %1; font-weight: 600;")
                           .arg((failed > 0 ? theme().failed : theme().complete).name()));
  checks_->setRowCount(0);
  if (!report.contains("checks")) return;
  // What failed stands first.
  std::vector<const nlohmann::json*> order;
  for (const auto& check : report["checks"]) order.push_back(&check);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return (string_of(*a, "verdict") == "fail") > (string_of(*b, "verdict") == "fail");
  });
  for (const nlohmann::json* check : order) {
    const int line = checks_->rowCount();
    checks_->insertRow(line);
    QString found = string_of(*check, "found");
    const QString expected = string_of(*check, "expected");
    if (!expected.isEmpty()) {
      found = "expected: " + expected + "\ncame: " + found +
              "\nsection: " + string_of(*check, "section");
    }
    checks_->setItem(line, 0, new QTableWidgetItem(string_of(*check, "check")));
    checks_->setItem(line, 1, verdict_item(string_of(*check, "verdict")));
    checks_->setItem(line, 2, new QTableWidgetItem(string_of(*check, "rule")));
    checks_->setItem(line, 3, new QTableWidgetItem(found));
  }
  checks_->resizeRowsToContents();
}

void BoardPage::show_machine() {
  const nlohmann::json& findings = told_machine_;
  findings_->setRowCount(0);
  int problems = 0;
  for (const auto& finding : findings) {
    const int line = findings_->rowCount();
    findings_->insertRow(line);
    const QString verdict = string_of(finding, "verdict");
    const QString mend = string_of(finding, "mend");
    if (verdict != "ok" && !mend.isEmpty()) ++problems;
    findings_->setItem(line, 0, new QTableWidgetItem(string_of(finding, "check")));
    findings_->setItem(line, 1, verdict_item(verdict));
    findings_->setItem(
        line, 2,
        new QTableWidgetItem(string_of(finding, "found") +
                             (mend.isEmpty() ? QString() : "\nWhat to do: " + mend)));
  }
  findings_->resizeRowsToContents();
  tabs_->setTabText(
      1, problems == 0 ? QString("This machine") : QString("This machine (%1)").arg(problems));
}

}  // namespace pcmlab::gui

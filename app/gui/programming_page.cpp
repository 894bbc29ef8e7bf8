// SPDX-License-Identifier: Apache-2.0
#include "app/gui/programming_page.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QRegularExpression>
#include <QSignalBlocker>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "app/gui/format.h"
#include "app/gui/plot_view.h"
#include "app/gui/run_controls.h"

namespace pcmlab::gui {
namespace {

/// Between two looks at a run at work: calm for the eye, and light on a core.
constexpr int kBetween_ms = 700;

constexpr std::array<const char*, 7> kFigures{"converged",  "at work",    "gave up", "stuck low",
                                              "stuck high", "iterations", "pulses"};
constexpr std::array<const char*, 8> kColumns{"Device",   "WL",       "BL",    "Target µS",
                                              "Verified", "Error µS", "Iter.", "Verdict"};
/// As many as there are colours.
constexpr std::size_t kMostTraced = 7;
/// Of a run at work the amplitudes are read again after this.
constexpr int kBetweenAmplitudes_ms = 3000;

}  // namespace

ProgrammingPage::ProgrammingPage(Lab& lab)
    : Page(lab, "Programming"),
      controls_(new RunControls(lab)),
      programming_(new QComboBox),
      convergence_(new PlotView("Convergence")),
      errors_(new PlotView("Error at the last verify")),
      worst_(new QTableWidget(0, static_cast<int>(kColumns.size()))),
      worst_title_(new QLabel),
      devices_(new QLineEdit),
      amplitudes_(new PlotView("Amplitudes")) {
  programming_->setObjectName("Programming");
  programming_->setAccessibleName("Programming that is shown");
  programming_->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  connect(programming_, qOverload<int>(&QComboBox::activated), this, [this](int index) {
    // Whoever looks at the newest goes on to the next.
    const bool newest = index == programming_->count() - 1;
    chosen_.reset();
    if (!newest) chosen_ = programming_->itemData(index).toLongLong();
    read();
  });
  worst_->setObjectName("WorstDevices");
  worst_->setAccessibleName("Worst devices");
  QStringList titles;
  for (const char* title : kColumns) titles << QString::fromUtf8(title);
  worst_->setHorizontalHeaderLabels(titles);
  worst_->verticalHeader()->hide();
  worst_->verticalHeader()->setDefaultSectionSize(24);
  worst_->horizontalHeader()->setStretchLastSection(true);
  worst_->horizontalHeader()->setMinimumSectionSize(30);
  constexpr std::array<int, 7> kWidths{70, 42, 48, 74, 64, 66, 42};
  for (std::size_t i = 0; i < kWidths.size(); ++i) {
    worst_->setColumnWidth(static_cast<int>(i), kWidths.at(i));
  }
  worst_->horizontalHeaderItem(1)->setToolTip("word line");
  worst_->horizontalHeaderItem(2)->setToolTip("bit line");
  worst_->horizontalHeaderItem(6)->setToolTip("iterations");
  worst_->horizontalHeaderItem(4)->setToolTip("conductance at the last verify, µS");
  worst_->horizontalHeader()->setHighlightSections(false);
  worst_->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
  worst_->setEditTriggers(QAbstractItemView::NoEditTriggers);
  worst_->setSelectionBehavior(QAbstractItemView::SelectRows);
  worst_->setTabKeyNavigation(false);
  worst_->setShowGrid(false);
  auto* plots = new QHBoxLayout;
  plots->setSpacing(12);
  plots->addWidget(convergence_, 1);
  plots->addWidget(errors_, 1);
  connect(worst_, &QTableWidget::itemSelectionChanged, this, [this] {
    devices_->clear();
    read_amplitudes();
  });
  worst_title_->setObjectName("Heading");
  devices_->setObjectName("TracedDevices");
  devices_->setAccessibleName("Devices whose amplitudes are drawn");
  devices_->setPlaceholderText("devices, e.g. 12 4711");
  devices_->setToolTip("Their amplitudes are drawn; else those of the rows that are chosen");
  devices_->setFixedWidth(190);
  connect(devices_, &QLineEdit::returnPressed, this, [this] { read_amplitudes(); });
  auto* title = new QHBoxLayout;
  title->addWidget(worst_title_, 1);
  title->addWidget(devices_);
  auto* list = new QVBoxLayout;
  list->setSpacing(6);
  list->addLayout(title);
  list->addWidget(worst_, 1);
  auto* below = new QHBoxLayout;
  below->setSpacing(12);
  below->addLayout(list, 1);
  below->addWidget(amplitudes_, 1);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(16, 10, 16, 16);
  layout->setSpacing(8);
  layout->addWidget(controls_);
  layout->addWidget(make_figures());
  layout->addLayout(plots, 5);
  layout->addLayout(below, 4);
  for (PlotView* plot : {convergence_, errors_, amplitudes_}) {
    plot->on_error([this](const Error& error) { this->lab().show_error(error); });
  }
  again_.setSingleShot(true);
  connect(&again_, &QTimer::timeout, this, [this] { refresh(); });
}

QWidget* ProgrammingPage::make_figures() {
  auto* card = new QFrame;
  card->setObjectName("Card");
  auto* row = new QHBoxLayout(card);
  row->setContentsMargins(14, 8, 14, 8);
  row->setSpacing(28);
  for (const char* name : kFigures) {
    auto* number = new QLabel("–");
    number->setObjectName("Figure");
    auto* under = new QLabel(name);
    under->setObjectName("Soft");
    auto* column = new QVBoxLayout;
    column->setSpacing(0);
    column->addWidget(number);
    column->addWidget(under);
    row->addLayout(column);
    figures_.emplace_back(number, under);
  }
  row->addStretch();
  row->addWidget(programming_);
  return card;
}

void ProgrammingPage::refresh() {
  controls_->refresh();
  const FollowedRun* run = lab().followed_run();
  if (run == nullptr) return;
  const bool same = data_ && data_->run.id == run->row.id;
  if (!same) chosen_.reset();
  if (same && data_->run.state == run->row.state && run->row.state != db::RunState::Running) return;
  if (same && lab().reader.is_asked_by(this)) return;
  if (same && since_read_.isValid() && !since_read_.hasExpired(kBetween_ms)) {
    if (!again_.isActive()) again_.start(kBetween_ms);
    return;
  }
  read();
}

void ProgrammingPage::read() {
  if (!lab().run) return;
  since_read_.start();
  lab().reader.ask<ProgrammingData>(
      this,
      [id = *lab().run, chosen = chosen_, known = data_ ? data_->state : nullptr](
          db::RunStore& store, const std::stop_token& stop) {
        return read_programming(store, id, chosen, known, stop);
      },
      [this](Result<ProgrammingData> read) {
        if (!read) {
          if (read.error().code != ErrorCode::Stopped) lab().show_error(read.error());
          return;
        }
        data_ = std::move(*read);
        show_data();
      });
}

bool ProgrammingPage::is_settled() const {
  return Page::is_settled() && controls_->is_settled() &&
         !lab().reader.is_asked_by(&amplitude_asker_) &&
         (!lab().run || (data_ && data_->run.id == *lab().run));
}

void ProgrammingPage::retheme() {
  controls_->retheme();
  convergence_->retheme();
  errors_->retheme();
  amplitudes_->retheme();
}

void ProgrammingPage::show_data() {
  {
    const QSignalBlocker quiet(programming_);
    programming_->clear();
    for (const ProgrammingChoice& choice : data_->choices) {
      programming_->addItem(
          QString("programming %1: %2").arg(choice.id).arg(text(choice.experiment)),
          QVariant::fromValue<qlonglong>(choice.id));
      if (data_->shown && choice.id == data_->shown->id) {
        programming_->setCurrentIndex(programming_->count() - 1);
      }
    }
  }
  programming_->setVisible(programming_->count() > 1);
  show_figures();
  show_worst();
  if (!data_->shown) {
    for (PlotView* plot : {convergence_, errors_, amplitudes_}) {
      plot->set_empty("This run has not begun to program the array yet.");
    }
    return;
  }
  if (data_->state->pulsed.empty()) {
    convergence_->set_empty("No iteration is verified yet.");
  } else {
    convergence_->set(data_->convergence);
  }
  errors_->set(data_->errors);
  const bool at_work = data_->run.state == db::RunState::Running;
  if (!at_work || !since_amplitudes_.isValid() ||
      since_amplitudes_.hasExpired(kBetweenAmplitudes_ms)) {
    read_amplitudes();
  }
}

std::vector<std::uint32_t> ProgrammingPage::traced_devices() const {
  std::vector<std::uint32_t> devices;
  const auto add = [&](std::uint32_t device) {
    const bool is_new = std::find(devices.begin(), devices.end(), device) == devices.end();
    if (is_new && devices.size() < kMostTraced) devices.push_back(device);
  };
  const QRegularExpression number("[0-9]+");
  for (auto found = number.globalMatch(devices_->text()); found.hasNext();) {
    add(found.next().captured().toUInt());
  }
  if (!devices.empty()) return devices;
  for (std::size_t row = 0; row < data_->worst.size(); ++row) {
    const QTableWidgetItem* item = worst_->item(static_cast<int>(row), 0);
    if (item != nullptr && item->isSelected()) add(data_->worst[row].device);
  }
  if (!devices.empty()) return devices;
  // Of each verdict some: all that are stuck have the amplitude of a limit.
  constexpr int kOfAVerdict = 3;
  std::map<std::string, int> of_verdict;
  for (const WorstDevice& device : data_->worst) {
    if (++of_verdict[device.verdict] <= kOfAVerdict) add(device.device);
  }
  for (const WorstDevice& device : data_->worst) add(device.device);
  return devices;
}

void ProgrammingPage::read_amplitudes() {
  if (!data_ || !data_->shown) return;
  const std::vector<std::uint32_t> devices = traced_devices();
  if (devices.empty()) {
    return amplitudes_->set_empty("The amplitudes of devices, once some have been verified.");
  }
  since_amplitudes_.start();
  lab().reader.ask<PlotContent>(
      &amplitude_asker_,
      [run = data_->run, programming = data_->shown->id, devices](db::RunStore& store,
                                                                  const std::stop_token& stop) {
        return gui::read_amplitudes(store.database().file(), run, programming, devices, stop);
      },
      [this](Result<PlotContent> read) {
        if (!read) {
          if (read.error().code != ErrorCode::Stopped) lab().show_error(read.error());
          return;
        }
        const bool is_there = std::any_of(read->series.begin(), read->series.end(),
                                          [](const Series& one) { return !one.x.empty(); });
        if (!is_there) {
          return amplitudes_->set_empty("These devices got no pulse of the verify loop.");
        }
        amplitudes_->set(std::move(*read));
      });
}

void ProgrammingPage::show_figures() {
  const DeviceCounts& counts = data_->counts;
  const QString share = counts.with_target > 0
                            ? QString("%1 %").arg(100.0 * static_cast<double>(counts.converged) /
                                                      static_cast<double>(counts.with_target),
                                                  0, 'f', 2)
                            : QString("–");
  const std::array<QString, kFigures.size()> values{share,
                                                    count_text(counts.at_work),
                                                    count_text(counts.gave_up),
                                                    count_text(counts.stuck_low),
                                                    count_text(counts.stuck_high),
                                                    count_text(data_->iteration),
                                                    count_text(data_->pulses)};
  const bool complete = data_->shown && data_->shown->complete;
  for (std::size_t i = 0; i < values.size(); ++i) {
    figures_[i].first->setText(data_->shown ? values.at(i) : QString("–"));
    const bool undecided = i == 1;
    const bool decided = i >= 2 && i <= 4;
    for (QLabel* label : {figures_[i].first, figures_[i].second}) {
      label->setVisible(complete ? !undecided : !decided);
    }
  }
  figures_[0].second->setText(QString("converged of %1").arg(count_text(counts.with_target)));
}

void ProgrammingPage::show_worst() {
  const QSignalBlocker quiet(worst_);
  worst_title_->setText(data_->all_converged ? "Slowest devices; all have converged"
                                             : "Worst devices that have not converged");
  worst_->setRowCount(static_cast<int>(data_->worst.size()));
  int row = 0;
  for (const WorstDevice& device : data_->worst) {
    const std::array<QString, kColumns.size()> cells{
        count_text(device.device),
        QString::number(device.address.word_line.index),
        QString::number(device.address.bit_line.index),
        number_text(static_cast<double>(device.target_uS)),
        number_text(static_cast<double>(device.verified_uS)),
        number_text(static_cast<double>(device.error_uS), 3),
        QString::number(device.iterations),
        text(device.verdict)};
    for (int column = 0; column < worst_->columnCount(); ++column) {
      worst_->setItem(row, column,
                      new QTableWidgetItem(cells.at(static_cast<std::size_t>(column))));
    }
    ++row;
  }
}

}  // namespace pcmlab::gui

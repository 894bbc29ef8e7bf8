// SPDX-License-Identifier: Apache-2.0
#include "app/gui/compare_page.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QListWidget>
#include <QSignalBlocker>
#include <QSplitter>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <utility>

#include "app/gui/format.h"
#include "app/gui/plot_view.h"
#include "app/gui/runs_model.h"
#include "app/gui/theme.h"
#include "experiments/retention/run_summary.h"

namespace pcmlab::gui {
namespace {

/// More cannot be told apart by colour.
constexpr std::size_t kMostRuns = 7;

std::string name_of(const db::RunRow& run) {
  std::string name = "run " + std::to_string(run.id);
  if (!run.name.empty()) name.append(" · ").append(run.name);
  return name;
}

std::string sources_of(const ComparedRuns& runs) {
  std::string sources;
  for (const auto& [id, run] : runs) sources.append(source_of(run->retention.run)).push_back('\n');
  return sources;
}

Axis time_axis() { return {.title = "time after programming", .unit = "", .scale = Scale::Time}; }

}  // namespace

PlotContent compared_accuracies(const ComparedRuns& runs, const std::string& condition) {
  PlotContent plot{.title = "Accuracy, " + condition_name(condition),
                   .x = time_axis(),
                   .y = {.title = "accuracy", .unit = "%"},
                   .series = {},
                   .source = sources_of(runs)};
  int colour = 0;
  std::string without;
  for (const auto& [id, run] : runs) {
    Series curve{.name = name_of(run->accuracy.run), .mark = Mark::LinePoints, .x = {}, .y = {}};
    curve.colour = colour++;
    const auto points = run->accuracy.conditions.find(condition);
    if (points == run->accuracy.conditions.end()) {
      without.append(without.empty() ? "none of run " : ", ").append(std::to_string(id));
      continue;
    }
    for (const AccuracyPoint& point : points->second) {
      curve.x.push_back(point.after_s);
      curve.y.push_back(point.mean_percent);
      curve.low.push_back(point.mean_percent - point.error_percent);
      curve.high.push_back(point.mean_percent + point.error_percent);
    }
    plot.series.push_back(std::move(curve));
    if (run->accuracy.software_percent) {
      plot.levels.push_back(
          {*run->accuracy.software_percent, "software, run " + std::to_string(id)});
    }
  }
  // Runs of one network have one line.
  const bool one = std::all_of(plot.levels.begin(), plot.levels.end(), [&](const Level& level) {
    return level.y == plot.levels.front().y;
  });
  if (one && plot.levels.size() > 1) {
    plot.levels.resize(1);
    plot.levels.front().name = "software";
  }
  plot.note = without;
  return plot;
}

PlotContent compared_conductances(const ComparedRuns& runs, std::optional<std::size_t> level) {
  PlotContent plot{.title = level ? "Median conductance, target " + level_name(*level) + " µS"
                                  : std::string("Conductance left"),
                   .x = time_axis(),
                   .y = level ? Axis{.title = "conductance", .unit = "µS"}
                              : Axis{.title = "of the first sweep", .unit = "%"},
                   .series = {},
                   .note = level ? "bars: 10–90 %" : "sum of all devices",
                   .source = sources_of(runs)};
  int colour = 0;
  for (const auto& [id, run] : runs) {
    Series curve{.name = name_of(run->retention.run), .mark = Mark::LinePoints, .x = {}, .y = {}};
    curve.colour = colour++;
    const auto sweeps = run->retention.by_time();
    for (const DriftSweep* sweep : sweeps) {
      if (level && !(sweep->median_uS[*level] > 0)) continue;
      if (!level && sweeps.front()->sum_uS <= 0) continue;
      curve.x.push_back(sweep->after_s);
      curve.y.push_back(level ? sweep->median_uS[*level]
                              : 100 * sweep->sum_uS / sweeps.front()->sum_uS);
      if (!level) continue;
      curve.low.push_back(sweep->p10_uS[*level]);
      curve.high.push_back(sweep->p90_uS[*level]);
    }
    if (!curve.x.empty()) plot.series.push_back(std::move(curve));
  }
  return plot;
}

ComparePage::ComparePage(Lab& lab)
    : Page(lab, "Compare"),
      runs_(new QListWidget),
      hint_(new QLabel),
      condition_(new QComboBox),
      level_(new QComboBox),
      accuracies_(new PlotView("Accuracy")),
      conductances_(new PlotView("Conductance")) {
  runs_->setObjectName("CompareRuns");
  runs_->setAccessibleName("Runs to compare");
  hint_->setObjectName("Soft");
  hint_->setWordWrap(true);
  condition_->setObjectName("CompareCondition");
  condition_->setAccessibleName("Compensation that is compared");
  level_->setObjectName("CompareLevel");
  level_->setAccessibleName("Conductances that are compared");
  for (QComboBox* box : {condition_, level_}) {
    box->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    connect(box, qOverload<int>(&QComboBox::activated), this, [this] { show_data(); });
  }
  level_->addItem("all devices");
  for (std::size_t level = 0; level < kLevels; ++level) {
    level_->addItem("target " + text(level_name(level)) + " µS");
  }
  connect(runs_, &QListWidget::itemChanged, this, [this](QListWidgetItem* item) {
    if (filling_) return;
    const db::RowId run = item->data(Qt::UserRole).toLongLong();
    if (item->checkState() == Qt::Checked) {
      chosen_.insert(run);
    } else {
      chosen_.erase(run);
    }
    read();
  });
  auto* list = new QWidget;
  auto* list_layout = new QVBoxLayout(list);
  list_layout->setContentsMargins(0, 0, 0, 0);
  list_layout->addWidget(hint_);
  list_layout->addWidget(runs_, 1);
  auto* plots = new QWidget;
  auto* plots_layout = new QVBoxLayout(plots);
  plots_layout->setContentsMargins(0, 0, 0, 0);
  plots_layout->setSpacing(8);
  auto* controls = new QHBoxLayout;
  controls->addWidget(new QLabel("Accuracy"));
  controls->addWidget(condition_);
  controls->addSpacing(16);
  controls->addWidget(new QLabel("Conductance of"));
  controls->addWidget(level_);
  controls->addStretch();
  plots_layout->addLayout(controls);
  plots_layout->addWidget(accuracies_, 1);
  plots_layout->addWidget(conductances_, 1);
  auto* splitter = new QSplitter(Qt::Horizontal);
  splitter->setObjectName("CompareSplitter");
  splitter->setHandleWidth(12);
  splitter->setChildrenCollapsible(false);
  splitter->addWidget(list);
  splitter->addWidget(plots);
  splitter->setSizes({260, 820});
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(16, 10, 16, 16);
  layout->addWidget(splitter);
  for (PlotView* plot : {accuracies_, conductances_}) {
    plot->on_error([this](const Error& error) { this->lab().show_error(error); });
  }
}

void ComparePage::refresh() {
  if (!lab().snapshot) return;
  if (chosen_.empty() && lab().run) chosen_.insert(*lab().run);
  fill_runs();
  // Of a run at work there is more by now.
  for (const db::RowId run : chosen_) {
    const FollowedRun* followed = lab().snapshot->find(run);
    if (followed == nullptr) continue;
    const auto known = known_.find(run);
    const bool old =
        known != known_.end() && (followed->row.state == db::RunState::Running ||
                                  known->second->retention.run.state != followed->row.state);
    if (old && !lab().reader.is_asked_by(this)) known_.erase(known);
  }
  read();
}

void ComparePage::fill_runs() {
  filling_ = true;
  const int row = runs_->currentRow();
  runs_->clear();
  std::erase_if(chosen_, [&](db::RowId run) { return lab().snapshot->find(run) == nullptr; });
  for (const FollowedRun& run : lab().snapshot->runs) {
    auto* item = new QListWidgetItem(text(name_of(run.row)), runs_);
    item->setData(Qt::UserRole, QVariant::fromValue<qlonglong>(run.row.id));
    item->setToolTip(state_text(run) + ", " + local_time_text(run.row.started_utc));
    item->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemIsUserCheckable);
    item->setCheckState(chosen_.contains(run.row.id) ? Qt::Checked : Qt::Unchecked);
  }
  runs_->setCurrentRow(std::max(0, row));
  filling_ = false;
}

void ComparePage::read() {
  hint_->setText(chosen_.size() > kMostRuns
                     ? QString("The first %1 of %2 are drawn: more cannot be told apart.")
                           .arg(kMostRuns)
                           .arg(chosen_.size())
                     : QString("Space or a click marks the runs to compare."));
  std::vector<db::RowId> wanted(chosen_.begin(), chosen_.end());
  if (wanted.size() > kMostRuns) wanted.resize(kMostRuns);
  std::erase_if(known_, [&](const auto& known) { return !chosen_.contains(known.first); });
  const bool all = std::all_of(wanted.begin(), wanted.end(),
                               [&](db::RowId run) { return known_.contains(run); });
  if (all) return show_data();
  if (lab().reader.is_asked_by(this) && lab().snapshot == nullptr) return;
  lab().reader.ask<ComparedRuns>(
      this,
      [wanted, known = known_](db::RunStore& store,
                               const std::stop_token& stop) -> Result<ComparedRuns> {
        ComparedRuns runs;
        for (const db::RowId id : wanted) {
          if (const auto there = known.find(id); there != known.end()) {
            runs.insert(*there);
            continue;
          }
          auto run = std::make_shared<ComparedRun>();
          PCM_ASSIGN(run->retention, read_retention(store, id, nullptr, stop));
          PCM_ASSIGN(run->accuracy, read_accuracy(store, id));
          runs[id] = std::move(run);
        }
        return runs;
      },
      [this](Result<ComparedRuns> runs) {
        if (!runs) {
          if (runs.error().code != ErrorCode::Stopped) lab().show_error(runs.error());
          return;
        }
        known_ = std::move(*runs);
        show_data();
      });
}

void ComparePage::fill_choices() {
  const QString before = condition_->currentData().toString();
  const QSignalBlocker quiet(condition_);
  condition_->clear();
  std::vector<std::string> conditions;
  for (const auto& [id, run] : known_) {
    for (const std::string& condition : run->accuracy.order) {
      if (std::find(conditions.begin(), conditions.end(), condition) == conditions.end()) {
        conditions.push_back(condition);
      }
    }
  }
  sort_conditions(conditions);
  for (const std::string& condition : conditions) {
    condition_->addItem(text(condition_name(condition)), text(condition));
  }
  const int place = condition_->findData(before);
  condition_->setCurrentIndex(place < 0 ? condition_->count() - 1 : place);
}

void ComparePage::show_data() {
  fill_choices();
  if (known_.empty()) {
    accuracies_->set_empty("No run is marked.");
    conductances_->set_empty("No run is marked.");
    return;
  }
  std::optional<std::size_t> level;
  if (level_->currentIndex() > 0) level = static_cast<std::size_t>(level_->currentIndex()) - 1;
  PlotContent conductances = compared_conductances(known_, level);
  if (conductances.series.empty()) {
    conductances_->set_empty("None of these runs has read its devices yet.");
  } else {
    conductances_->set(std::move(conductances));
  }
  if (condition_->count() == 0) {
    accuracies_->set_empty("No accuracy was counted in these runs yet.");
  } else {
    accuracies_->set(
        compared_accuracies(known_, condition_->currentData().toString().toStdString()));
  }
}

void ComparePage::show_example() {
  for (const FollowedRun& run : lab().snapshot->runs) {
    if (chosen_.size() < 3) chosen_.insert(run.row.id);
  }
  refresh();
}

bool ComparePage::is_settled() const { return Page::is_settled(); }

void ComparePage::retheme() {
  accuracies_->retheme();
  conductances_->retheme();
}

}  // namespace pcmlab::gui

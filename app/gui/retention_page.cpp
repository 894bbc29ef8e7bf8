// SPDX-License-Identifier: Apache-2.0
#include "app/gui/retention_page.h"

#include <QCheckBox>
#include <QComboBox>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QSignalBlocker>

#include "app/gui/format.h"
#include "app/gui/plot_view.h"
#include "app/gui/run_times.h"

namespace pcmlab::gui {

RetentionPage::RetentionPage(Lab& lab)
    : Page(lab, "Retention"),
      drift_(new PlotView("Conductance")),
      distribution_(new PlotView("Distribution")),
      exponents_(new PlotView("Drift exponent")),
      sum_(new PlotView("Conductance left")),
      sweep_(new QComboBox),
      devices_(new QCheckBox("single devices")),
      next_(new QLabel) {
  next_->setObjectName("NextRead");
  next_->setAccessibleName("Next read");
  next_->hide();
  sweep_->setObjectName("RetentionSweep");
  sweep_->setAccessibleName("Sweep whose distribution is shown");
  sweep_->setMinimumContentsLength(18);
  devices_->setChecked(true);
  connect(devices_, &QCheckBox::toggled, this, [this] { show_data(); });
  connect(sweep_, qOverload<int>(&QComboBox::activated), this, [this] { show_distribution(); });
  auto* controls = new QHBoxLayout;
  controls->addWidget(devices_);
  controls->addSpacing(16);
  controls->addWidget(next_);
  controls->addStretch();
  controls->addWidget(new QLabel("Distribution at"));
  controls->addWidget(sweep_);
  auto* grid = new QGridLayout;
  grid->setSpacing(12);
  grid->addWidget(drift_, 0, 0);
  grid->addWidget(distribution_, 0, 1);
  grid->addWidget(exponents_, 1, 0);
  grid->addWidget(sum_, 1, 1);
  grid->setColumnStretch(0, 1);
  grid->setColumnStretch(1, 1);
  grid->setRowStretch(0, 5);
  grid->setRowStretch(1, 4);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(16, 10, 16, 16);
  layout->setSpacing(8);
  layout->addLayout(controls);
  layout->addLayout(grid, 1);
  for (PlotView* plot : {drift_, distribution_, exponents_, sum_}) {
    plot->on_error([this](const Error& error) { this->lab().show_error(error); });
  }
  constexpr int kTick_ms = 500;
  ticks_.setInterval(kTick_ms);
  connect(&ticks_, &QTimer::timeout, this, [this] { show_next(); });
}

void RetentionPage::refresh() {
  const FollowedRun* run = lab().followed_run();
  if (run == nullptr) return;
  show_next();
  // Of a run that is over there is nothing new to read.
  const bool same = data_ && data_->run.id == run->row.id;
  if (same && data_->run.state == run->row.state && run->row.state != db::RunState::Running) return;
  // The answer that is due is nearly as new; the next change asks again.
  if (same && lab().reader.is_asked_by(this)) return;
  lab().reader.ask<RetentionData>(
      this,
      [id = run->row.id, known = data_](db::RunStore& store, const std::stop_token& stop) {
        return read_retention(store, id, known.get(), stop);
      },
      [this](Result<RetentionData> read) {
        if (!read) return lab().show_error(read.error());
        data_ = std::make_shared<const RetentionData>(std::move(*read));
        show_data();
      });
}

bool RetentionPage::is_settled() const {
  return Page::is_settled() && (!lab().run || (data_ && data_->run.id == *lab().run));
}

void RetentionPage::retheme() {
  for (PlotView* plot : {drift_, distribution_, exponents_, sum_}) plot->retheme();
}

void RetentionPage::show_next() {
  const FollowedRun* run = lab().followed_run();
  const bool known = run != nullptr && run->row.state == db::RunState::Running && data_ &&
                     data_->run.id == run->row.id && !data_->next_s.empty();
  next_->setVisible(known);
  if (!known || !isVisible()) return ticks_.stop();
  if (!ticks_.isActive()) ticks_.start();
  next_->setText(next_read_text(data_->next_s.front(), run->progress));
}

void RetentionPage::show_data() {
  if (!data_) return;
  show_next();
  const bool newest = sweep_->currentIndex() == sweep_->count() - 1;
  const QVariant chosen = sweep_->currentData();
  {
    const QSignalBlocker quiet(sweep_);
    sweep_->clear();
    for (const auto& [id, sweep] : data_->sweeps) {
      QString name = duration_text(sweep.after_s);
      if (sweep.repeat > 0) name += QString(", repeat %1").arg(sweep.repeat + 1);
      sweep_->addItem(name, QVariant::fromValue<qlonglong>(id));
    }
    const int place = newest ? -1 : sweep_->findData(chosen);
    sweep_->setCurrentIndex(place < 0 ? sweep_->count() - 1 : place);
  }
  if (data_->sweeps.empty()) {
    for (PlotView* plot : {drift_, distribution_, exponents_, sum_}) {
      plot->set_empty("This run has not read its devices yet.");
    }
    return;
  }
  drift_->set(drift_plot(*data_, devices_->isChecked()));
  sum_->set(sum_plot(*data_));
  if (data_->exponents.empty()) {
    exponents_->set_empty(
        "Drift is fitted at the end of a retention step\nwith six sweeps or more over two "
        "decades.");
  } else {
    exponents_->set(exponent_plot(*data_));
  }
  show_distribution();
}

void RetentionPage::show_distribution() {
  if (data_ && sweep_->currentIndex() >= 0) {
    distribution_->set(distribution_plot(*data_, sweep_->currentData().toLongLong()));
  }
}

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
#include "app/gui/accuracy_page.h"

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QSignalBlocker>
#include <QVBoxLayout>

#include "app/gui/confusion_view.h"
#include "app/gui/format.h"
#include "app/gui/plot_view.h"
#include "experiments/retention/run_summary.h"

namespace pcmlab::gui {

AccuracyPage::AccuracyPage(Lab& lab)
    : Page(lab, "Accuracy"),
      accuracy_(new PlotView("Accuracy")),
      layers_(new PlotView("Weight error by layer")),
      confusion_(new ConfusionView),
      pass_(new QComboBox),
      close_up_(new QCheckBox("close-up of what is compensated")) {
  close_up_->setObjectName("CloseUp");
  connect(close_up_, &QCheckBox::toggled, this, [this] {
    if (data_) show_data();
  });
  pass_->setObjectName("ConfusionPass");
  pass_->setAccessibleName("Pass whose confusion matrix is shown");
  pass_->setMinimumContentsLength(20);
  connect(pass_, qOverload<int>(&QComboBox::activated), this, [this] { show_confusion(); });
  auto* card = new QFrame;
  card->setObjectName("Card");
  auto* title = new QLabel("Confusion");
  title->setObjectName("Heading");
  auto* head = new QHBoxLayout;
  head->addWidget(title);
  head->addStretch();
  head->addWidget(pass_);
  auto* inside = new QVBoxLayout(card);
  inside->setContentsMargins(12, 8, 8, 8);
  inside->addLayout(head);
  inside->addWidget(confusion_, 1);
  auto* side = new QVBoxLayout;
  side->setSpacing(12);
  side->addWidget(card, 5);
  side->addWidget(layers_, 4);
  auto* layout = new QHBoxLayout(this);
  layout->setContentsMargins(16, 14, 16, 16);
  layout->setSpacing(12);
  auto* main = new QVBoxLayout;
  main->setSpacing(8);
  main->addWidget(accuracy_, 1);
  main->addWidget(close_up_);
  layout->addLayout(main, 5);
  layout->addLayout(side, 4);
  for (PlotView* plot : {accuracy_, layers_}) {
    plot->on_error([this](const Error& error) { this->lab().show_error(error); });
  }
}

void AccuracyPage::refresh() {
  const FollowedRun* run = lab().followed_run();
  if (run == nullptr) return;
  const bool same = data_ && data_->run.id == run->row.id;
  if (same && data_->run.state == run->row.state && run->row.state != db::RunState::Running) return;
  if (same && lab().reader.is_asked_by(this)) return;
  lab().reader.ask<AccuracyData>(
      this,
      [id = run->row.id](db::RunStore& store, const std::stop_token&) {
        return read_accuracy(store, id);
      },
      [this](Result<AccuracyData> read) {
        if (!read) return lab().show_error(read.error());
        data_ = std::move(*read);
        show_data();
      });
}

bool AccuracyPage::is_settled() const {
  return Page::is_settled() && (!lab().run || (data_ && data_->run.id == *lab().run));
}

void AccuracyPage::retheme() {
  accuracy_->retheme();
  layers_->retheme();
  confusion_->update();
}

void AccuracyPage::show_data() {
  const QVariant chosen = pass_->currentData();
  // The newest of the best compensation, unless somebody wants to see another.
  int last = -1;
  {
    const QSignalBlocker quiet(pass_);
    pass_->clear();
    for (const std::string& condition : data_->order) {
      for (const AccuracyPoint& point : data_->conditions.at(condition)) {
        if (!data_->confusions.contains(point.accuracy)) continue;
        pass_->addItem(text(condition_name(condition)) + " · " + duration_text(point.after_s),
                       QVariant::fromValue<qlonglong>(point.accuracy));
      }
      last = pass_->count() - 1;
    }
    const int place = pass_->findData(chosen);
    pass_->setCurrentIndex(place < 0 ? last : place);
  }
  pass_->setVisible(last >= 0);
  if (data_->order.empty() && !data_->software_percent) {
    accuracy_->set_empty("No accuracy was counted in this run yet.");
  } else {
    accuracy_->set(accuracy_plot(*data_, close_up_->isChecked()));
  }
  if (data_->states.empty()) {
    layers_->set_empty("Layers are compared when an accuracy is counted.");
  } else {
    layers_->set(layer_plot(*data_));
  }
  show_confusion();
}

void AccuracyPage::show_confusion() {
  const auto found = data_->confusions.find(pass_->currentData().toLongLong());
  confusion_->set(found == data_->confusions.end() ? db::ConfusionMatrix{} : found->second);
}

}  // namespace pcmlab::gui

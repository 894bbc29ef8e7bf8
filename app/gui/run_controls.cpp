// SPDX-License-Identifier: Apache-2.0
#include "app/gui/run_controls.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "app/gui/format.h"
#include "app/gui/theme.h"

namespace pcmlab::gui {
namespace {

/// A runner says something every few seconds, unless a request to the board takes longer.
constexpr double kLongSilence_s = 30;

/// "pause asked by anna, not seen by the runner yet".
QString asked_text(const db::CommandRow& command, bool running) {
  const QString what =
      "asked to " + text(db::to_string(command.command)) + " by " + text(command.requested_by);
  if (!command.taken_utc.empty()) {
    return what + ", seen by the runner " + local_time_text(command.taken_utc);
  }
  return what + (running ? ", not seen by the runner yet" : ", never seen: the run was over");
}

bool can_go_on(db::RunState state) {
  return state == db::RunState::Stopped || state == db::RunState::Failed ||
         state == db::RunState::Interrupted;
}

}  // namespace

std::string person() {
  const char* user = std::getenv("USER");
  return user != nullptr && *user != '\0' ? user : "pcmlab-gui";
}

void request(Lab& lab, QObject* owner, db::RunCommand command,
             std::function<void(Result<void>)> then) {
  if (!lab.run) return;
  // An asker for each, so that none replaces another that still waits.
  auto* asker = new QObject(owner);
  lab.reader.ask<void>(
      asker,
      [run = *lab.run, command](db::RunStore& reading, const std::stop_token&) -> Result<void> {
        PCM_ASSIGN(db::RunStore store, db::RunStore::open(reading.database().file()));
        PCM_TRY(store.request(run, command, person()));
        return {};
      },
      [asker, then = std::move(then)](Result<void> done) {
        asker->deleteLater();
        then(std::move(done));
      });
}

RunControls::RunControls(Lab& lab)
    : lab_(lab),
      activity_(new QLabel),
      asked_(new QLabel),
      heartbeat_(new QLabel),
      bar_(new QProgressBar),
      buttons_(new QWidget) {
  activity_->setObjectName("RunActivity");
  activity_->setWordWrap(true);
  asked_->setObjectName("RunAsked");
  asked_->setWordWrap(true);
  heartbeat_->setObjectName("Soft");
  bar_->setTextVisible(false);
  bar_->setAccessibleName("Progress of the run");
  pause_ = add_button("Pause", "Wait at the next safe place, with everything committed");
  continue_ = add_button("Continue", "Go on after a pause");
  stop_ = add_button("Stop", "End at the next safe place; what was measured stays");
  abort_ = add_button("Abort", "End as soon as the board has answered; what was measured stays");
  resume_ = add_button("Resume", "Go on with this run in a process of its own: pcmlab resume");
  connect(pause_, &QPushButton::clicked, this, [this] { ask(db::RunCommand::Pause); });
  connect(continue_, &QPushButton::clicked, this, [this] { ask(db::RunCommand::Continue); });
  connect(stop_, &QPushButton::clicked, this, [this] { ask(db::RunCommand::Stop); });
  connect(abort_, &QPushButton::clicked, this, [this] { ask(db::RunCommand::Abort); });
  connect(resume_, &QPushButton::clicked, this, [this] {
    if (run_) {
      lab_.start_runner({"resume", QString::number(*run_)}, run_, {});
      resume_->setEnabled(false);
    }
  });
  auto* row = new QHBoxLayout(buttons_);
  row->setContentsMargins(0, 2, 0, 2);
  for (QPushButton* button : {pause_, continue_, stop_, abort_, resume_}) row->addWidget(button);
  row->addStretch();
  auto* doing = new QHBoxLayout;
  doing->addWidget(activity_, 1);
  doing->addWidget(heartbeat_);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 2, 0, 2);
  layout->setSpacing(6);
  layout->addLayout(doing);
  layout->addWidget(bar_);
  layout->addWidget(buttons_);
  layout->addWidget(asked_);
  constexpr int kTick_ms = 1000;
  ticks_.setInterval(kTick_ms);
  connect(&ticks_, &QTimer::timeout, this, [this] { show(); });
  hide();
}

QPushButton* RunControls::add_button(const char* label, const char* help) {
  auto* button = new QPushButton(label);
  button->setObjectName(QString("Run%1").arg(label));
  button->setToolTip(help);
  return button;
}

void RunControls::refresh() {
  const FollowedRun* run = lab_.followed_run();
  if (run == nullptr) {
    hide();
    return;
  }
  if (run_ != run->row.id) {
    run_ = run->row.id;
    last_.reset();
  }
  show();
  // The answer that is due is nearly as new; the next change asks again.
  if (lab_.reader.is_asked_by(this)) return;
  lab_.reader.ask<std::vector<db::CommandRow>>(
      this,
      [id = run->row.id](db::RunStore& store, const std::stop_token&) {
        return store.commands(id);
      },
      [this, id = run->row.id](Result<std::vector<db::CommandRow>> commands) {
        if (!commands) return lab_.show_error(commands.error());
        if (run_ != id) return refresh();
        last_.reset();
        if (!commands->empty()) last_ = commands->back();
        show();
      });
}

void RunControls::retheme() { show(); }

void RunControls::show() {
  const FollowedRun* run = lab_.followed_run();
  if (run == nullptr || run_ != run->row.id) return;
  const bool running = run->row.state == db::RunState::Running;
  const bool resumable = can_go_on(run->row.state);
  setVisible(running || resumable);
  for (QPushButton* button : {pause_, continue_, stop_, abort_}) button->setVisible(running);
  resume_->setVisible(resumable);
  resume_->setEnabled(!lab_.runner.is_starting());
  bar_->setVisible(running);
  heartbeat_->setVisible(running && run->progress.has_value());
  activity_->setVisible(running);
  asked_->setVisible(last_.has_value());
  if (last_) asked_->setText(asked_text(*last_, running));
  if (!running) return ticks_.stop();
  if (!ticks_.isActive()) ticks_.start();
  if (!isVisible()) return ticks_.stop();
  if (!run->progress) {
    activity_->setText("beginning");
    bar_->setRange(0, 0);
    return;
  }
  const db::ProgressRow& progress = *run->progress;
  const double silent_s = seconds_since(progress.heartbeat_utc);
  QString activity = text(progress.activity);
  if (progress.eta_s > 0) {
    activity += " · " + duration_text(std::max(0.0, progress.eta_s - silent_s)) + " left";
  }
  activity_->setText(activity);
  const bool quiet = silent_s > kLongSilence_s;
  heartbeat_->setText(quiet ? "no sign of life for " + duration_text(std::floor(silent_s))
                            : QString("heartbeat %1 s ago").arg(static_cast<int>(silent_s)));
  heartbeat_->setStyleSheet(
      quiet ? QString("color: %1; font-weight: 600;").arg(theme().stopped.name()) : QString());
  constexpr int kSteps = 1000;
  bar_->setRange(0, kSteps);
  bar_->setValue(progress.total > 0 ? static_cast<int>(kSteps * progress.done / progress.total)
                                    : 0);
  const bool paused = activity.startsWith("paused by");
  const bool pausing = last_ && last_->command == db::RunCommand::Pause;
  pause_->setEnabled(!(paused && pausing));
  continue_->setEnabled(pausing);
}

void RunControls::ask(db::RunCommand command) {
  ++writing_;
  request(lab_, this, command, [this](Result<void> done) {
    --writing_;
    if (!done) lab_.show_error(done.error());
    refresh();
  });
}

}  // namespace pcmlab::gui

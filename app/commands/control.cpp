// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/console.h"
#include "app/stop_on_signal.h"
#include "db/run_store.h"

namespace pcmlab::app {
namespace {

using SteadyClock = std::chrono::steady_clock;

/// The run named, or the one that is at work.
Result<db::RunRow> run_at_work(db::RunStore& store, db::RowId named) {
  if (named != 0) return store.run(named);
  PCM_ASSIGN(const auto active, store.active_run());
  if (active) return *active;
  return fail(ErrorCode::NotFound, "no run is at work in " + store.database().file(),
              "see pcmlab runs");
}

// ---- status ------------------------------------------------------------------------------------

struct StatusOptions {
  db::RowId run = 0;
  bool watch = false;
};

/// What one wants to know of a run from afar.
struct RunStatus {
  db::RunRow run;
  std::vector<db::StepRow> steps;
  std::optional<db::ProgressRow> progress;
  std::vector<db::CommandRow> waiting;  ///< asked and not seen yet
  std::vector<db::GapRow> gaps;
  std::vector<db::EventRow> events;
};

Result<RunStatus> status_of(db::RunStore& store, const db::RunRow& run) {
  RunStatus status;
  status.run = run;
  PCM_ASSIGN(status.steps, store.steps(run.id));
  PCM_ASSIGN(status.progress, store.progress(run.id));
  PCM_ASSIGN(status.waiting, store.commands(run.id));
  std::erase_if(status.waiting,
                [](const db::CommandRow& command) { return !command.taken_utc.empty(); });
  PCM_ASSIGN(status.gaps, store.gaps(run.id));
  PCM_ASSIGN(status.events, store.events(run.id));
  return status;
}

std::string step_text(const RunStatus& status) {
  if (status.steps.empty()) return "before its first step";
  const db::StepRow& step = status.steps.back();
  return fmt::format("step {}, {} ({})", step.ordinal + 1, step.experiment,
                     db::to_string(step.state));
}

std::string progress_text(const db::ProgressRow& progress) {
  std::string text = progress.activity;
  if (progress.total > 0) {
    text += fmt::format(", {:.0f} %", 100.0 * static_cast<double>(progress.done) /
                                          static_cast<double>(progress.total));
  }
  if (progress.eta_s >= 1) text += fmt::format(", {} to go", duration_text(progress.eta_s));
  return text;
}

std::string status_text(const RunStatus& status) {
  constexpr std::size_t kMostEvents = 5;
  const db::RunRow& run = status.run;
  std::string text = fmt::format("run {}  {}  {}\n", run.id, run.name, db::to_string(run.state));
  const auto line = [&text](std::string_view name, const std::string& value) {
    if (!value.empty()) text += fmt::format("{:<10} {}\n", name, value);
  };
  line("board", run.board_serial);
  line("started", date_text(run.started_utc));
  if (run.state == db::RunState::Running) {
    line("process", fmt::format("{} on {}", run.pid, run.host));
  } else {
    line("ended", run.ended_utc.empty() ? "" : date_text(run.ended_utc));
    line("error", run.error);
  }
  line("step", step_text(status));
  if (status.progress) {
    line("activity", progress_text(*status.progress));
    line("heartbeat", status.progress->heartbeat_utc);
  }
  for (const db::CommandRow& command : status.waiting) {
    line("asked", fmt::format("{} by {} at {}; not seen yet", db::to_string(command.command),
                              command.requested_by, date_text(command.requested_utc)));
  }
  const std::size_t first = status.events.size() - std::min(status.events.size(), kMostEvents);
  for (std::size_t i = first; i < status.events.size(); ++i) {
    line(status.events[i].kind, date_text(status.events[i].utc) + ": " + status.events[i].text);
  }
  return text;
}

nlohmann::ordered_json status_json(const RunStatus& status) {
  using Json = nlohmann::ordered_json;
  const db::RunRow& run = status.run;
  Json json{{"run", run.id},
            {"name", run.name},
            {"state", db::to_string(run.state)},
            {"started_utc", run.started_utc},
            {"ended_utc", run.ended_utc},
            {"error", run.error},
            {"host", run.host},
            {"pid", run.pid}};
  json["step"] = status.steps.empty() ? Json(nullptr) : Json(status.steps.back().ordinal + 1);
  if (status.progress) {
    const db::ProgressRow& progress = *status.progress;
    json["progress"] = Json{{"activity", progress.activity},
                            {"done", progress.done},
                            {"total", progress.total},
                            {"eta_s", progress.eta_s},
                            {"heartbeat_utc", progress.heartbeat_utc}};
  }
  json["gaps"] = Json::array();
  for (const db::GapRow& gap : status.gaps) {
    json["gaps"].push_back({{"cause", db::to_string(gap.cause)},
                            {"begin_utc", gap.begin_utc},
                            {"end_utc", gap.end_utc},
                            {"text", gap.text}});
  }
  return json;
}

Result<void> status(const Session& session, const StatusOptions& options) {
  constexpr std::chrono::seconds kBetween{1};
  const StopOnSignal signals("");
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  PCM_ASSIGN(const db::RunRow first, run_at_work(store, options.run));
  std::mutex mutex;
  std::condition_variable_any wake;
  for (;;) {
    PCM_ASSIGN(const db::RunRow run, store.run(first.id));
    PCM_ASSIGN(const RunStatus status, status_of(store, run));
    fmt::print("{}", session.json ? status_json(status).dump() + "\n" : status_text(status));
    std::fflush(stdout);
    if (!options.watch || run.state != db::RunState::Running) return {};
    std::unique_lock lock(mutex);
    wake.wait_for(lock, signals.token(), kBetween, [] { return false; });
    if (signals.token().stop_requested()) return {};
    if (!session.json) fmt::print("\n");
  }
}

// ---- requests ----------------------------------------------------------------------------------

struct RequestOptions {
  db::RowId run = 0;
  std::string by = person();
  bool no_wait = false;
};

/// Asks, and waits until the run has seen it.
Result<void> request(const Session& session, db::RunCommand command,
                     const RequestOptions& options) {
  constexpr std::chrono::seconds kMostWait{30};
  constexpr std::chrono::milliseconds kBetween{50};
  const StopOnSignal signals("not waiting any longer; the request stays");
  PCM_ASSIGN(db::RunStore store, open_existing(session));
  PCM_ASSIGN(const db::RunRow run, run_at_work(store, options.run));
  PCM_ASSIGN(const db::RowId id, store.request(run.id, command, options.by));
  const auto deadline = SteadyClock::now() + kMostWait;
  std::mutex mutex;
  std::condition_variable_any wake;
  std::string seen;
  while (!options.no_wait && seen.empty() && !signals.token().stop_requested()) {
    PCM_ASSIGN(const auto commands, store.commands(run.id));
    for (const db::CommandRow& row : commands) {
      if (row.id == id) seen = row.taken_utc;
    }
    PCM_ASSIGN(const db::RunRow now, store.run(run.id));
    if (now.state != db::RunState::Running || SteadyClock::now() >= deadline) break;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, signals.token(), kBetween, [] { return false; });
  }
  if (session.json) {
    fmt::print("{}\n",
               nlohmann::ordered_json{
                   {"run", run.id}, {"command", db::to_string(command)}, {"taken_utc", seen}}
                   .dump());
  } else if (!session.quiet) {
    fmt::print("run {} ({}): {} {}\n", run.id, run.name, db::to_string(command),
               seen.empty() ? "asked; the run has not seen it yet (pcmlab status)"
                            : "seen by the run at " + seen);
  }
  return {};
}

void add_request(CLI::App& app, Session& session, db::RunCommand command, const char* summary) {
  auto* added = app.add_subcommand(std::string(db::to_string(command)), summary);
  auto options = std::make_shared<RequestOptions>();
  added->add_option("RUN", options->run, "its number; default: the one at work");
  added->add_option("--by", options->by, "who asks")->capture_default_str();
  added->add_flag("--no-wait", options->no_wait, "does not wait until the run has seen it");
  added->callback(
      [&session, command, options] { session.end(request(session, command, *options)); });
}

}  // namespace

void add_status(CLI::App& app, Session& session) {
  auto* command =
      app.add_subcommand("status", "Where a run is, what it waits for, what went wrong");
  auto options = std::make_shared<StatusOptions>();
  command->add_option("RUN", options->run, "its number; default: the one at work");
  command->add_flag("--watch", options->watch, "again every second, until the run is over");
  command->callback([&session, options] { session.end(status(session, *options)); });
}

void add_pause(CLI::App& app, Session& session) {
  add_request(app, session, db::RunCommand::Pause,
              "Lets a run of another process wait at the next safe place");
}

void add_continue(CLI::App& app, Session& session) {
  add_request(app, session, db::RunCommand::Continue, "Lets a run that was paused go on");
}

void add_stop(CLI::App& app, Session& session) {
  add_request(app, session, db::RunCommand::Stop,
              "Ends a run of another process at the next safe place; it can be resumed");
}

void add_abort(CLI::App& app, Session& session) {
  add_request(app, session, db::RunCommand::Abort,
              "Ends a run of another process as soon as the board has answered");
}

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/commands.h"
#include "app/rehearsal.h"
#include "app/runner.h"
#include "app/service.h"
#include "app/stop_on_signal.h"
#include "app/tell_settings.h"

namespace pcmlab::app {
namespace {

struct RunOptions {
  std::filesystem::path plan;
  std::filesystem::path plots;
  std::vector<std::string> assignments;
  std::optional<db::RowId> after;
  bool dry = false;
};

Result<void> run(const Session& session, const RunOptions& options) {
  const StopOnSignal signals;
  Service service;
  Runner runner(session, {signals.token(), signals.abort_token()}, service);
  PCM_ASSIGN(Plan plan, load_plan_to_store(options.plan, app_plan_schema(), options.assignments));
  PCM_TRY(runner.prepare(std::move(plan)));
  PCM_TRY(make_folder(session.database.parent_path(), "the database"));
  PCM_TRY(make_folder(options.plots, "plots"));
  PCM_ASSIGN(db::RunStore store, db::RunStore::open(session.database));
  service.ready();
  if (options.after) PCM_TRY(runner.begin_after(store, *options.after));
  return show_end(session, store, runner.start(store), options.plots);
}

Result<void> dry_run(const Session& session, const RunOptions& options) {
  PCM_ASSIGN(const auto plans, load_plans(options.plan, app_plan_schema(), options.assignments));
  for (const Plan& plan : plans) {
    if (plans.size() > 1) fmt::print("# run with {}\n", plan.round);
    PCM_TRY(rehearse(plan, session.quiet));
  }
  return {};
}

struct ResumeOptions {
  db::RowId run = 0;  ///< 0: the newest that can go on
  std::filesystem::path plots;
  bool take_over = false;
};

/// The one named, or the newest that is neither complete nor at work.
Result<db::RunRow> run_to_resume(db::RunStore& store, const ResumeOptions& options) {
  if (options.run != 0) return store.run(options.run);
  PCM_ASSIGN(const auto runs, store.runs());
  for (const db::RunRow& run : runs) {
    if (run.state != db::RunState::Complete && run.state != db::RunState::Running) return run;
  }
  return fail(ErrorCode::NotFound,
              "no run in " + store.database().file() + " was stopped, failed or interrupted",
              "see pcmlab runs; to start one: pcmlab run PLAN");
}

Result<void> resume(const Session& session, const ResumeOptions& options) {
  const StopOnSignal signals;
  Service service;
  Runner runner(session, {signals.token(), signals.abort_token()}, service);
  PCM_ASSIGN(db::RunStore store, open_existing(session));
  PCM_ASSIGN(const db::RunRow row, run_to_resume(store, options));
  PCM_TRY(make_folder(options.plots, "plots"));
  service.ready();
  const RunResult result = runner.resume(
      store, row.id, options.take_over ? db::Elsewhere::TakenOver : db::Elsewhere::Refused);
  return show_end(session, store, result, options.plots);
}

}  // namespace

void add_run(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("run", "Runs a plan and stores everything in the database");
  auto options = std::make_shared<RunOptions>();
  command->add_option("PLAN", options->plan, "plan file (TOML)")->required();
  add_plan_assignments(*command, options->assignments);
  command->add_option("--plots", options->plots, "also draw the run's plot into this folder");
  command->add_option("--after", options->after,
                      "on the chip as this run left it: a simulated one gets its pulses and reads "
                      "again first");
  command->add_flag("--dry-run", options->dry,
                    "goes through the plan with the mock chip instead of a board, prints every "
                    "request, keeps nothing");
  command->callback([&session, options] {
    session.end(options->dry ? dry_run(session, *options) : run(session, *options));
  });
}

void add_resume(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "resume",
      "Goes on with a run that was stopped, failed or killed, from its last committed block");
  auto options = std::make_shared<ResumeOptions>();
  command->add_option("RUN", options->run, "its number; default: the newest that can go on");
  command->add_option("--plots", options->plots, "also draw the run's plot into this folder");
  command->add_flag("--take-over", options->take_over,
                    "also if a process of another computer was at it: you know that it is over");
  command->callback([&session, options] { session.end(resume(session, *options)); });
}

}  // namespace pcmlab::app

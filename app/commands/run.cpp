// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "app/board.h"
#include "app/build_info.h"
#include "app/commands.h"
#include "app/console.h"
#include "app/stop_on_signal.h"
#include "experiments/engine/engine.h"

namespace pcmlab::app {
namespace {

struct RunOptions {
  std::filesystem::path plan;
  std::filesystem::path plots;
  std::vector<std::string> assignments;
};

/// What happens to the board during a run, on the console and in the database.
class RunJournal : public ConsoleObserver {
 public:
  RunJournal(bool quiet, db::RunStore& store) : ConsoleObserver(quiet), store_(store) {}

  void run_started(db::RowId run, const std::string& name) override {
    run_ = run;
    ConsoleObserver::run_started(run, name);
  }

  void board_event(const BoardEvent& event) {
    message("board: " + event.text);
    if (run_ == 0) return;
    const bool good =
        event.kind == BoardEvent::Kind::Reconnected || event.kind == BoardEvent::Kind::BatchSettled;
    const Result<void> added = store_.add_event(run_, good ? "info" : "fault", event.text);
    if (!added) message("not in the database: " + added.error().message);
  }

 private:
  db::RunStore& store_;
  db::RowId run_ = 0;
};

Result<void> make_folder(const std::filesystem::path& folder, const std::string& what) {
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (!error) return {};
  return fail(
      ErrorCode::Io,
      fmt::format("cannot make the folder {} for {}: {}", folder.string(), what, error.message()),
      "choose a place where you may write");
}

Result<void> run(const Session& session, const RunOptions& options) {
  const StopOnSignal signals;
  RunJournal* journal = nullptr;
  const auto tell = [&journal](const BoardEvent& event) {
    if (journal != nullptr) journal->board_event(event);
  };
  // Everything that can be wrong with the plan is found before the database or the board changes.
  PCM_ASSIGN(const Plan plan, load_plan(options.plan, app_plan_schema(), options.assignments));
  PCM_ASSIGN(auto board, open_board(plan, Purpose::Check, tell, signals.token()));
  PCM_ASSIGN(const RunInputs inputs, load_inputs(plan));
  PCM_TRY(predict(plan, inputs, board->information()));
  PCM_TRY(make_folder(session.database.parent_path(), "the database"));
  if (!options.plots.empty()) PCM_TRY(make_folder(options.plots, "plots"));
  PCM_ASSIGN(db::RunStore store, db::RunStore::open(session.database));
  // A recording begins when nothing else can be wrong any more: a plan that was mended may use its
  // name.
  if (!plan.section("board").text("record").empty()) {
    board.reset();
    PCM_ASSIGN(board, open_board(plan, Purpose::Run, tell, signals.token()));
  }

  RunResult result;
  {
    RunJournal observer(session.quiet, store);
    journal = &observer;
    const Provenance provenance{kVersion, kGitRevision, describe_board(plan)};
    result = run_plan(plan, inputs, *board, store, observer, provenance, signals.token());
    journal = nullptr;
  }
  if (result.run == 0) return result.outcome;
  // Also after a stop or a failure: what was measured is shown as far as it came.
  const Result<RunSummary> summary = summarise_run(store, result.run);
  if (!summary)
    return result.outcome ? Result<void>(tl::unexpected(summary.error())) : result.outcome;
  fmt::print("{}", session.json ? summary_json(*summary) : summary_text(*summary));
  if (!session.json && !session.quiet) fmt::print("\ndatabase  {}\n", session.database.string());
  PCM_TRY(result.outcome);
  if (!options.plots.empty()) {
    const auto file = options.plots / fmt::format("run-{}.png", result.run);
    PCM_TRY(plot_run(*summary, file));
    if (!session.json && !session.quiet) fmt::print("plot      {}\n", file.string());
  }
  return {};
}

}  // namespace

void add_run(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("run", "Runs a plan and stores everything in the database");
  auto options = std::make_shared<RunOptions>();
  command->add_option("PLAN", options->plan, "plan file (TOML)")->required();
  add_plan_assignments(*command, options->assignments);
  command->add_option("--plots", options->plots, "also draw the run's plot into this folder");
  command->callback([&session, options] { session.end(run(session, *options)); });
}

}  // namespace pcmlab::app

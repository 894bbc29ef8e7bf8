// SPDX-License-Identifier: Apache-2.0
#include "app/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "app/board.h"
#include "app/build_info.h"
#include "app/chip_life.h"
#include "app/console.h"
#include "app/preflight.h"
#include "app/report.h"
#include "experiments/engine/chip_replay.h"
#include "experiments/exchange/output_file.h"

namespace pcmlab::app {
namespace {

EarlierWork earlier_work(const db::BoardLeft& left) {
  EarlierWork earlier;
  earlier.boot_epoch = left.epoch.boot_epoch;
  earlier.offset = BoardTime(left.epoch.offset_ns);
  earlier.latest = BoardTime(left.latest_tick_ns);
  if (left.utc_ns != 0) {
    earlier.ago =
        std::chrono::nanoseconds(std::max<std::int64_t>(0, host_clocks().utc_ns - left.utc_ns));
  }
  earlier.first_unsettled = left.first_unsettled;
  earlier.end_unsettled = left.end_unsettled;
  earlier.unsettled_epoch = left.unsettled_epoch;
  return earlier;
}

Provenance provenance_of(const Plan& plan) {
  return {kVersion, kGitRevision, describe_board(plan)};
}

/// What a run was begun with. Its network is in the database, whatever became of the file.
Result<RunInputs> inputs_of(db::RunStore& store, const db::RunRow& run, const Plan& plan) {
  if (run.network_sha256.empty()) return load_inputs(plan);
  PCM_ASSIGN(const db::NetworkRow stored, store.network(run.network_sha256));
  PCM_ASSIGN(Network network, parse_network(stored.onnx, run.network_name));
  return load_inputs(plan, std::move(network));
}

/// The run and those that it goes on from, the first one first.
Result<std::vector<ReplayedRun>> runs_on_chip(db::RunStore& store, db::RowId run) {
  std::vector<ReplayedRun> runs;
  for (std::optional<db::RowId> next = run; next;) {
    PCM_ASSIGN(const db::RunRow row, store.run(*next));
    PCM_ASSIGN(Plan plan, parse_plan(row.plan_text, fmt::format("the plan of run {}", row.id),
                                     app_plan_schema()));
    runs.insert(runs.begin(), {row.id, std::move(plan)});
    next = row.parent;
  }
  return runs;
}

}  // namespace

/// What happens to the board during a run, on the console and in the database.
class Runner::Journal : public ConsoleObserver {
 public:
  Journal(bool quiet, db::RunStore& store, Teller& teller, Service& service,
          std::chrono::seconds wait_for_board)
      : ConsoleObserver(quiet),
        store_(store),
        teller_(teller),
        service_(service),
        wait_for_board_(wait_for_board) {}

  void run_started(db::RowId run, const std::string& name) override {
    run_ = run;
    title_ = name.empty() ? fmt::format("run {}", run) : fmt::format("run {} ({})", run, name);
    teller_.begin(run, name);
    service_.status(title_);
    ConsoleObserver::run_started(run, name);
  }

  void step_started(std::size_t number, std::size_t count, std::string_view experiment) override {
    is_alive();
    ConsoleObserver::step_started(number, count, experiment);
  }

  void progress(const db::ProgressRow& progress) override {
    is_alive();
    const double percent = progress.total > 0 ? 100.0 * static_cast<double>(progress.done) /
                                                    static_cast<double>(progress.total)
                                              : 0;
    service_.status(fmt::format("{}: {}{}", title_, progress.activity,
                                progress.total > 0 ? fmt::format(", {:.0f} %", percent) : ""));
    ConsoleObserver::progress(progress);
  }

  void paused(const std::string& why) override { teller_.tell({TellEvent::Paused, why}); }
  void held_up(const std::string& text) override {
    is_held_up_ = true;
    ConsoleObserver::held_up(text);
    teller_.tell({TellEvent::Paused, text});
  }
  void went_on() override {
    is_held_up_ = false;
    teller_.tell({TellEvent::Continued, ""});
  }

  void board_event(const BoardEvent& event) {
    if (event.kind == BoardEvent::Kind::TooHot) {
      held_up(event.text);
    } else {
      message("board: " + event.text);
    }
    if (run_ == 0) return;
    if (event.kind == BoardEvent::Kind::Interrupted) {
      teller_.lost_board(event.text);
      service_.is_busy_for(wait_for_board_);
    } else if (event.kind != BoardEvent::Kind::TooHot && event.kind != BoardEvent::Kind::Cooled) {
      teller_.found_board();
    }
    if (event.kind == BoardEvent::Kind::Cooled) went_on();
    if (const Result<void> noted = note(event); !noted) {
      message("not in the database: " + noted.error().message);
    }
  }

  /// What went wrong with telling, and stalls, on the console and in the database.
  void note_problems() {
    for (const std::string& problem : teller_.take_problems()) note_problem(problem);
  }
  void note_problem(const std::string& problem) {
    message(problem);
    if (run_ == 0) return;
    if (const Result<void> noted = store_.add_event(run_, "info", problem); !noted) {
      message("not in the database: " + noted.error().message);
    }
  }

 private:
  void is_alive() {
    teller_.made_progress();
    service_.is_alive();
    if (!is_held_up_) note_problems();  // perhaps it is the database that holds it up
  }

  Result<void> note(const BoardEvent& event) {
    using Kind = BoardEvent::Kind;
    const bool good = event.kind == Kind::Reconnected || event.kind == Kind::BatchSettled ||
                      event.kind == Kind::Cooled;
    PCM_TRY(store_.add_event(run_, good ? "info" : "fault", event.text));
    if (event.kind == Kind::Interrupted && gone_since_ns_ == 0) {
      gone_since_ns_ = host_clocks().utc_ns;
    }
    if (event.kind == Kind::TooHot) {
      hot_since_ns_ = host_clocks().utc_ns;
      why_hot_ = event.text;
    }
    if (event.kind == Kind::Cooled && hot_since_ns_ != 0) {
      PCM_TRY(store_.add_gap(run_, db::GapCause::Pause, std::exchange(hot_since_ns_, 0), why_hot_));
    }
    if (event.kind == Kind::MemoryLost) {
      PCM_TRY(store_.add_board_epoch(run_, {event.boot_epoch, event.time_offset.count()}));
    }
    if (event.kind == Kind::Reconnected && gone_since_ns_ != 0) {
      PCM_TRY(store_.add_gap(run_, db::GapCause::Board, std::exchange(gone_since_ns_, 0),
                             "the board was gone"));
    }
    return {};
  }

  db::RunStore& store_;
  Teller& teller_;
  Service& service_;
  std::chrono::seconds wait_for_board_;
  db::RowId run_ = 0;
  std::string title_;
  std::int64_t gone_since_ns_ = 0;  ///< 0: the board is there
  std::int64_t hot_since_ns_ = 0;   ///< 0: it gives pulses
  std::string why_hot_;
  bool is_held_up_ = false;
};

Runner::Runner(const Session& session, StopRequests requests, Service& service)
    : session_(session), requests_(std::move(requests)), service_(service) {}
Runner::~Runner() = default;

std::function<void(const BoardEvent&)> Runner::listener() {
  return [this](const BoardEvent& event) {
    if (journal_ != nullptr) journal_->board_event(event);
  };
}

Result<void> Runner::prepare(Plan plan) {
  plan_ = std::move(plan);
  PCM_ASSIGN(tell_, tell_settings(plan_->section("tell")));
  PCM_ASSIGN(board_, open_board(*plan_, Purpose::Check, listener(), requests_.stop));
  PCM_ASSIGN(inputs_, load_inputs(*plan_));
  PCM_ASSIGN(Preflight flight,
             preflight(*plan_, *inputs_, board_->information(), session_.database));
  life_ = std::move(flight.life);
  return {};
}

Result<void> Runner::begin_after(db::RunStore& store, db::RowId run) {
  PCM_ASSIGN(const db::RunRow row, store.run(run));
  if (row.board_serial != board_->information().serial) {
    return fail(ErrorCode::BadPlan,
                fmt::format("run {} was on board {}, the plan is for board {}", run,
                            row.board_serial, board_->information().serial),
                "name the board of the run in [board] or [mock]");
  }
  if (const std::string sample = plan_->section("run").text("sample"); sample != row.sample) {
    return fail(
        ErrorCode::BadPlan,
        fmt::format("run {} was on chip \"{}\", the plan is for \"{}\"", run, row.sample, sample),
        "name the chip of the run as sample in [run]");
  }
  if (row.state == db::RunState::Running) {
    return fail(
        ErrorCode::Busy,
        fmt::format("process {} is at run {}, after which this one is to begin", row.pid, run),
        fmt::format("wait for its end, or stop it first: pcmlab stop {}", run));
  }
  parent_ = run;
  if (!is_simulated(*plan_)) return {};
  PCM_ASSIGN(board_, open_board(*plan_, Purpose::Resume, listener(), requests_.stop));
  PCM_ASSIGN(const auto runs, runs_on_chip(store, run));
  constexpr std::chrono::hours kReplay{4};
  service_.is_busy_for(kReplay);
  return replay_chip(*board_, store, runs);
}

RunResult Runner::start(db::RunStore& store, std::optional<db::RowId> queue_entry) {
  // A recording begins when nothing else can be wrong any more: a plan that was mended may use its
  // name.
  if (!plan_->section("board").text("record").empty()) {
    board_.reset();
    auto board = open_board(*plan_, Purpose::Run, listener(), requests_.stop);
    if (!board) return {0, tl::unexpected(board.error())};
    board_ = std::move(*board);
  }
  if (const Result<void> limited = board_->set_life(std::move(life_)); !limited) {
    return {0, limited};
  }
  Provenance provenance = provenance_of(*plan_);
  provenance.queue_entry = queue_entry;
  provenance.parent = parent_;
  return work(store, [&](Journal& journal) {
    return run_plan(*plan_, *inputs_, *board_, store, journal, provenance, requests_);
  });
}

Result<void> Runner::prepare_to_resume(db::RunStore& store, db::RowId run,
                                       db::Elsewhere elsewhere) {
  // Before anything is done to a board that somebody may be at.
  PCM_TRY(store.check_resumable(run, elsewhere));
  PCM_ASSIGN(const db::RunRow row, store.run(run));
  PCM_ASSIGN(plan_,
             parse_plan(row.plan_text, fmt::format("the plan of run {}", run), app_plan_schema()));
  PCM_ASSIGN(tell_, tell_settings(plan_->section("tell")));
  if (plan_->section("board").text("kind") == "replay") {
    return fail(ErrorCode::BadPlan,
                fmt::format("run {} is on a replay, which cannot begin in the middle", run),
                "replay it again with pcmlab run");
  }
  PCM_ASSIGN(kept_defaults_, keep_defaults(run, *plan_, store));
  PCM_ASSIGN(inputs_, inputs_of(store, row, *plan_));
  const bool simulated = is_simulated(*plan_);
  std::optional<EarlierWork> earlier;
  if (!simulated) {
    PCM_ASSIGN(const db::BoardLeft left, store.board_left(run));
    earlier = earlier_work(left);
  }
  PCM_ASSIGN(board_, open_board(*plan_, Purpose::Resume, listener(), requests_.stop, earlier));
  constexpr std::chrono::hours kReplay{4};
  service_.is_busy_for(kReplay);
  if (simulated) {
    PCM_ASSIGN(const auto runs, runs_on_chip(store, run));
    PCM_TRY(replay_chip(*board_, store, runs));
  }
  PCM_ASSIGN(life_, chip_life(*plan_, board_->information(), session_.database));
  return board_->set_life(std::move(life_));
}

RunResult Runner::resume(db::RunStore& store, db::RowId run, db::Elsewhere elsewhere) {
  if (const Result<void> ready = prepare_to_resume(store, run, elsewhere); !ready) {
    return {0, ready};
  }
  return work(store, [&](Journal& journal) {
    for (const std::string& kept : kept_defaults_) journal.message(kept);
    return resume_plan(run, *plan_, *inputs_, *board_, store, journal, provenance_of(*plan_),
                       requests_, elsewhere);
  });
}

RunResult Runner::work(db::RunStore& store, const std::function<RunResult(Journal&)>& run) {
  TellFacts facts;
  facts.database = session_.database;
  Teller teller(*tell_, std::move(facts));
  const auto wait_for_board = std::chrono::seconds(
      std::llround(std::ceil(plan_->section("board").real("wait_for_board_s"))));
  Journal journal(session_.quiet, store, teller, service_, wait_for_board);
  SleepInhibitor awake;
  if (const Result<void> held = awake.begin("a run is at work"); !held) {
    journal.message(held.error().message);
  }
  service_.is_alive();
  const auto begin = std::chrono::steady_clock::now();
  journal_ = &journal;
  RunResult result = run(journal);
  journal_ = nullptr;
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
  if (result.run != 0) end(store, journal, teller, result, wall.count());
  return result;
}

/// The report of a run that is over. \return its path; empty: none is wanted
Result<std::filesystem::path> write_report(const std::filesystem::path& wanted, db::RunStore& store,
                                           db::RowId run) {
  if (wanted.empty()) return wanted;
  std::error_code ignored;
  std::filesystem::path file = std::filesystem::absolute(wanted, ignored);
  if (!file.has_filename() || std::filesystem::is_directory(file, ignored)) {
    PCM_TRY(make_folder(file, "the report"));
    file /= fmt::format("run-{}.html", run);
  }
  PCM_ASSIGN(const std::string html, report_html(store, store.database().file(), run));
  PCM_ASSIGN(OutputFile output, OutputFile::create(file, true));
  PCM_TRY(output.write(html));
  PCM_TRY(output.finish());
  return file;
}

void Runner::end(db::RunStore& store, Journal& journal, Teller& teller, const RunResult& result,
                 double wall_s) {
  service_.is_alive();
  Result<std::filesystem::path> report = write_report(tell_->report, store, result.run);
  if (!report) journal.note_problem("telling by report: " + report.error().message);
  service_.is_alive();
  TellMessage message{TellEvent::Finished, fmt::format("after {}", duration_text(wall_s)), kDone};
  if (!result.outcome) {
    const Error& error = result.outcome.error();
    message.event = error.code == ErrorCode::Stopped ? TellEvent::Stopped : TellEvent::Failed;
    message.text = error.message;
    message.exit_code = exit_code(error.code);
  }
  teller.finish(std::move(message), report.value_or(std::filesystem::path()), requests_.abort);
  journal.note_problems();
}

void Runner::tell_of_none(const std::string& name, const Error& error) {
  if (!tell_) return;
  TellFacts facts;
  facts.name = name;
  facts.database = session_.database;
  Teller teller(*tell_, std::move(facts));
  teller.finish({TellEvent::Failed, error.message, exit_code(error.code)}, {}, requests_.abort);
  for (const std::string& problem : teller.take_problems()) {
    print_error({ErrorCode::Io, problem, ""});
  }
}

Result<void> make_folder(const std::filesystem::path& folder, const std::string& what) {
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (!error) return {};
  return fail(
      ErrorCode::Io,
      fmt::format("cannot make the folder {} for {}: {}", folder.string(), what, error.message()),
      "choose a place where you may write");
}

/// How it ended. Also after a stop or a failure what was measured is shown as far as it came.
Result<void> show_end(const Session& session, db::RunStore& store, const RunResult& result,
                      const std::filesystem::path& plots) {
  if (result.run == 0) return result.outcome;
  const Result<RunSummary> summary = summarise_run(store, result.run);
  if (!summary)
    return result.outcome ? Result<void>(tl::unexpected(summary.error())) : result.outcome;
  // Not fmt::print(): nobody may be there to read it any more.
  std::fputs((session.json ? summary_json(*summary) : summary_text(*summary)).c_str(), stdout);
  if (!session.json && !session.quiet) {
    std::fputs(fmt::format("\ndatabase  {}\n", session.database.string()).c_str(), stdout);
  }
  PCM_TRY(result.outcome);
  if (plots.empty()) return {};
  const auto file = plots / fmt::format("run-{}.png", result.run);
  PCM_TRY(plot_run(*summary, file));
  if (!session.json && !session.quiet) fmt::print("plot      {}\n", file.string());
  return {};
}

}  // namespace pcmlab::app

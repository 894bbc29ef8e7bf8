// SPDX-License-Identifier: Apache-2.0
// Plans that wait for their turn, and the process that works them off.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "app/board.h"
#include "app/commands.h"
#include "app/console.h"
#include "app/runner.h"
#include "app/service.h"
#include "app/stop_on_signal.h"
#include "app/tell_settings.h"
#include "experiments/engine/wall_clock.h"

namespace pcmlab::app {
namespace {

std::string local_text(std::int64_t utc_ns) {
  const std::time_t time = utc_ns / 1'000'000'000;
  std::tm fields{};
  localtime_r(&time, &fields);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M %Z", &fields)};
}

std::int64_t now_utc_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void say(const Session& session, const std::string& text) {
  if (!session.quiet) std::fputs((text + "\n").c_str(), stderr);
}

std::string title(const db::QueueEntry& entry) {
  return fmt::format("entry {} of the queue ({})", entry.id, entry.name);
}

// ---- add, list, move, remove -------------------------------------------------------------------

struct AddOptions {
  std::vector<std::filesystem::path> plans;
  std::vector<std::string> assignments;
  std::string not_before;
  std::string by = person();
};

/// As `pcmlab check`, but a board that is not there now may be there then.
Result<void> check_for_later(const Session& session, const Plan& plan) {
  PCM_TRY(tell_settings(plan.section("tell")));
  PCM_ASSIGN(const RunInputs inputs, load_inputs(plan));
  const auto board = open_board(plan, Purpose::Check);
  if (board) {
    PCM_TRY(predict(plan, inputs, (*board)->information()));
    return {};
  }
  const ErrorCode code = board.error().code;
  if (code != ErrorCode::Disconnected && code != ErrorCode::Busy && code != ErrorCode::Timeout) {
    return tl::unexpected(board.error());
  }
  say(session, "whether the plan fits the board is seen later: " + board.error().message);
  return {};
}

Result<void> add(const Session& session, const AddOptions& options) {
  std::vector<db::QueueStart> starts;
  for (const std::filesystem::path& file : options.plans) {
    PCM_ASSIGN(auto plans, load_plans(file, app_plan_schema(), options.assignments));
    for (Plan& loaded : plans) {
      PCM_ASSIGN(const Plan plan,
                 without_addresses(std::move(loaded), app_plan_schema(), file.string()));
      PCM_TRY(check_for_later(session, plan));
      db::QueueStart start;
      start.name = plan.section("run").text("name");
      if (start.name.empty()) start.name = file.stem().string();
      start.plan_text = plan.text;
      start.folder = std::filesystem::current_path().string();
      start.added_by = options.by;
      if (!options.not_before.empty()) {
        PCM_ASSIGN(start.not_before_utc_ns, wall_clock_time(options.not_before, now_utc_ns()));
      }
      starts.push_back(std::move(start));
    }
  }
  PCM_TRY(make_folder(session.database.parent_path(), "the database"));
  PCM_ASSIGN(db::RunStore store, db::RunStore::open(session.database));
  PCM_ASSIGN(auto all, store.transaction());
  auto json = nlohmann::ordered_json::array();
  std::string text;
  for (const db::QueueStart& start : starts) {
    PCM_ASSIGN(const db::RowId id, store.add_queue_entry(start));
    json.push_back({{"entry", id}, {"name", start.name}});
    text += fmt::format(
        "entry {}: {}{}\n", id, start.name,
        start.not_before_utc_ns == 0 ? "" : ", not before " + local_text(start.not_before_utc_ns));
  }
  PCM_TRY(all.commit());
  if (session.json) {
    fmt::print("{}\n", json.dump());
  } else if (!session.quiet) {
    fmt::print("{}", text);
  }
  return {};
}

/// What the queue's reader wants to know of an entry's state.
Result<std::string> state_text(db::RunStore& store, const db::QueueEntry& entry) {
  if (entry.state != db::QueueState::Running || !entry.run) {
    return std::string(db::to_string(entry.state));
  }
  PCM_ASSIGN(const db::RunRow run, store.run(*entry.run));
  return run.state == db::RunState::Running ? "running" : "to go on";
}

Result<void> list(const Session& session, bool all) {
  constexpr std::size_t kMostOver = 10;
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  PCM_ASSIGN(std::vector<db::QueueEntry> entries, store.queue());
  const auto over = static_cast<std::size_t>(
      std::count_if(entries.begin(), entries.end(),
                    [](const db::QueueEntry& entry) { return !entry.ended_utc.empty(); }));
  if (!all && over > kMostOver) {
    entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(over - kMostOver));
  }
  Table table({"entry", "name", "state", "run", "not before", "added", "by"});
  auto json = nlohmann::ordered_json::array();
  std::string errors;
  for (const db::QueueEntry& entry : entries) {
    PCM_ASSIGN(const std::string state, state_text(store, entry));
    const bool has_time = entry.not_before_utc_ns != 0 && entry.ended_utc.empty();
    table.add({std::to_string(entry.id), entry.name, state,
               entry.run ? std::to_string(*entry.run) : "",
               has_time ? local_text(entry.not_before_utc_ns) : "", date_text(entry.added_utc),
               entry.added_by});
    json.push_back({{"entry", entry.id},
                    {"name", entry.name},
                    {"state", state},
                    {"run", entry.run ? nlohmann::json(*entry.run) : nlohmann::json()},
                    {"not_before_utc", entry.not_before_utc},
                    {"added_utc", entry.added_utc},
                    {"added_by", entry.added_by},
                    {"ended_utc", entry.ended_utc},
                    {"error", entry.error}});
    if (!entry.error.empty()) errors += fmt::format("entry {}: {}\n", entry.id, entry.error);
  }
  if (session.json) {
    fmt::print("{}\n", json.dump(2));
  } else if (entries.empty()) {
    fmt::print("the queue is empty; pcmlab queue add PLAN\n");
  } else {
    fmt::print("{}{}{}", table.text(), errors.empty() ? "" : "\n", errors);
  }
  return {};
}

struct MoveOptions {
  db::RowId entry = 0;
  std::string where;
  db::RowId before = 0;
};

Result<void> move(const Session& session, const MoveOptions& options) {
  using db::QueueMove;
  const QueueMove where = options.where == "first"  ? QueueMove::First
                          : options.where == "last" ? QueueMove::Last
                          : options.where == "up"   ? QueueMove::Up
                          : options.where == "down" ? QueueMove::Down
                                                    : QueueMove::Before;
  if ((where == QueueMove::Before) != (options.before != 0)) {
    return fail(ErrorCode::BadPlan, "before which entry?", "write: pcmlab queue move 5 before 3");
  }
  PCM_ASSIGN(db::RunStore store, open_existing(session));
  return store.move_queue_entry(options.entry, where, options.before);
}

Result<void> remove(const Session& session, db::RowId entry) {
  PCM_ASSIGN(db::RunStore store, open_existing(session));
  return store.remove_queue_entry(entry);
}

// ---- run ---------------------------------------------------------------------------------------

struct RunQueueOptions {
  bool wait = false;
};

/// What may be well again when one has waited, rather than wrong with the plan.
bool may_pass(ErrorCode code) {
  switch (code) {
    case ErrorCode::Timeout:
    case ErrorCode::Disconnected:
    case ErrorCode::BadFrame:
    case ErrorCode::Busy:
    case ErrorCode::Database:
    case ErrorCode::DiskFull:
      return true;
    default:
      return false;
  }
}

class QueueRunner {
 public:
  QueueRunner(const Session& session, bool wait, db::RunStore& store)
      : session_(session), wait_(wait), store_(store) {}

  Result<void> run() {
    const std::stop_callback stopping(signals_.token(), [this] { service_.stopping(); });
    service_.ready();
    while (!is_stopped()) {
      PCM_ASSIGN(const auto entry, store_.next_queue_entry(now_utc_ns()));
      if (!entry) {
        PCM_ASSIGN(const bool more, somebody_waits());
        if (!more && !wait_) return failure_;
        service_.status("waiting for plans");
        rest(std::chrono::seconds(1));
        continue;
      }
      Result<void> held_up = work(*entry);
      if (held_up) continue;
      if (is_stopped()) break;
      if (!wait_) return held_up;
      constexpr std::chrono::minutes kBetween{1};
      if (held_up.error().message != said_) print_error(held_up.error());
      said_ = held_up.error().message;
      service_.status("held up: " + said_);
      // The watchdog is fed meanwhile.
      for (auto rested = std::chrono::seconds(0); rested < kBetween && !is_stopped(); ++rested) {
        rest(std::chrono::seconds(1));
      }
    }
    return fail(ErrorCode::Stopped, "the queue was stopped; what waits stays in it",
                "to go on: pcmlab queue run");
  }

 private:
  bool is_stopped() const { return signals_.token().stop_requested(); }

  void rest(std::chrono::nanoseconds time) {
    service_.is_alive();
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, signals_.token(), time, [] { return false; });
  }

  Result<bool> somebody_waits() {
    PCM_ASSIGN(const auto entries, store_.queue());
    return std::any_of(entries.begin(), entries.end(), [](const db::QueueEntry& entry) {
      return entry.state == db::QueueState::Waiting;
    });
  }

  /// One entry to its end. Errors: what holds up the queue; the entry stays where it is.
  Result<void> work(const db::QueueEntry& entry) {
    service_.is_alive();
    Runner runner(session_, {signals_.token(), signals_.abort_token()}, service_);
    RunResult result = entry.run ? go_on(runner, entry) : begin(runner, entry);
    if (result.run != 0) result.outcome = show_end(session_, store_, result, {});
    if (result.outcome) {
      said_.clear();
      say(session_, title(entry) + " is done");
      return {};
    }
    // A run that began has said in its own row how it ended, and the entry with it; unless that
    // could not be written down.
    PCM_ASSIGN(const db::QueueEntry now, store_.queue_entry(entry.id));
    const bool is_over = !now.ended_utc.empty();
    const Error& error = result.outcome.error();
    if (!is_over && (is_stopped() || may_pass(error.code))) {
      return tl::unexpected(error.during(title(entry)));
    }
    if (!is_over) {
      PCM_TRY(store_.fail_queue_entry(entry.id, error.message));
      runner.tell_of_none(entry.name, error);
    }
    print_error(error.during(title(entry)));
    const bool was_asked_to = now.state == db::QueueState::Stopped;
    if (!was_asked_to && failure_) failure_ = tl::unexpected(error.during(title(entry)));
    say(session_, "going on with the next");
    return {};
  }

  RunResult begin(Runner& runner, const db::QueueEntry& entry) {
    const auto prepare = [&]() -> Result<void> {
      PCM_TRY(enter(entry));
      PCM_ASSIGN(Plan plan,
                 parse_plan(entry.plan_text, "the plan of " + title(entry), app_plan_schema()));
      return runner.prepare(std::move(plan));
    };
    if (const Result<void> ready = prepare(); !ready) return {0, ready};
    say(session_, title(entry) + " begins");
    return runner.start(store_, entry.id);
  }

  RunResult go_on(Runner& runner, const db::QueueEntry& entry) {
    const auto check = [&]() -> Result<void> {
      PCM_TRY(enter(entry));
      return check_lives(entry);
    };
    if (const Result<void> ready = check(); !ready) return {0, ready};
    say(session_, fmt::format("{} goes on with run {}", title(entry), *entry.run));
    return runner.resume(store_, *entry.run, db::Elsewhere::Refused);
  }

  /// Relative paths of the plan are those of who added it.
  static Result<void> enter(const db::QueueEntry& entry) {
    std::error_code error;
    if (!entry.folder.empty()) std::filesystem::current_path(entry.folder, error);
    if (!error) return {};
    return fail(ErrorCode::NotFound,
                fmt::format("cannot enter {}, from where {} was added: {}", entry.folder,
                            title(entry), error.message()),
                "bring the folder back, or add the plan again");
  }

  /// A run whose processes die before they do anything would hold up the others for ever.
  Result<void> check_lives(const db::QueueEntry& entry) {
    constexpr std::size_t kMostDeaths = 5;
    PCM_ASSIGN(const auto sessions, store_.sessions(*entry.run));
    PCM_ASSIGN(const auto progress, store_.progress(*entry.run));
    std::size_t deaths = 0;
    for (auto session = sessions.rbegin(); session != sessions.rend(); ++session) {
      const bool has_lived = progress && progress->heartbeat_utc >= session->began_utc;
      const bool was_killed =
          session->state == db::RunState::Interrupted || session->state == db::RunState::Running;
      if (has_lived || !was_killed) break;
      ++deaths;
    }
    if (deaths < kMostDeaths) return {};
    return fail(ErrorCode::Incompatible,
                fmt::format("{} processes died at run {} before they got anything done", deaths,
                            *entry.run),
                fmt::format("see what they died of (journalctl --user -u pcmlab-queue), then: "
                            "pcmlab resume {}",
                            *entry.run));
  }

  const Session& session_;
  bool wait_;
  db::RunStore& store_;
  StopOnSignal signals_;
  Service service_;
  Result<void> failure_;  ///< of the first entry that failed
  std::string said_;      ///< what holds up the queue
};

Result<void> run_queue(Session session, const RunQueueOptions& options) {
  // Entries have folders of their own.
  session.database = std::filesystem::absolute(session.database);
  PCM_TRY(make_folder(session.database.parent_path(), "the database"));
  PCM_ASSIGN(db::RunStore store, db::RunStore::open(session.database));
  return QueueRunner(session, options.wait, store).run();
}

void add_add(CLI::App& queue, Session& session) {
  auto* command = queue.add_subcommand(
      "add", "Checks plans and puts them behind those that wait; one with loops as several runs");
  auto options = std::make_shared<AddOptions>();
  command->add_option("PLAN", options->plans, "plan files (TOML)")->required();
  add_plan_assignments(*command, options->assignments);
  command->add_option(
      "--not-before", options->not_before,
      "earliest start by this machine's clock, \"22:00\" or \"2026-11-27 02:00\"; in "
      "UTC with a Z");
  command->add_option("--by", options->by, "who adds them")->capture_default_str();
  command->callback([&session, options] { session.end(add(session, *options)); });
}

void add_list(CLI::App& queue, Session& session) {
  auto* command =
      queue.add_subcommand("list", "What waits, in its order, and what became of others");
  auto all = std::make_shared<bool>(false);
  command->add_flag("--all", *all, "not only the last ten of those that are over");
  command->callback([&session, all] { session.end(list(session, *all)); });
}

void add_move(CLI::App& queue, Session& session) {
  auto* command = queue.add_subcommand("move", "Changes the order of those that wait");
  auto options = std::make_shared<MoveOptions>();
  command->add_option("ENTRY", options->entry, "its number, see `pcmlab queue list`")->required();
  command->add_option("WHERE", options->where, "first, last, up, down, or before another")
      ->required()
      ->check(CLI::IsMember({"first", "last", "up", "down", "before"}));
  command->add_option("OTHER", options->before, "with before: the other's number");
  command->callback([&session, options] { session.end(move(session, *options)); });
}

void add_remove(CLI::App& queue, Session& session) {
  auto* command =
      queue.add_subcommand("remove", "Takes an entry out; a run that it has become stays");
  auto entry = std::make_shared<db::RowId>(0);
  command->add_option("ENTRY", *entry, "its number, see `pcmlab queue list`")->required();
  command->callback([&session, entry] { session.end(remove(session, *entry)); });
}

void add_run_queue(CLI::App& queue, Session& session) {
  auto* command = queue.add_subcommand(
      "run", "Runs one after another; goes on with one that was interrupted, and after a failure");
  auto options = std::make_shared<RunQueueOptions>();
  command->add_flag("--wait", options->wait, "stays when the queue is empty");
  command->callback([&session, options] { session.end(run_queue(session, *options)); });
}

}  // namespace

void add_queue(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("queue", "Plans that wait for their turn");
  command->require_subcommand(1);
  add_add(*command, session);
  add_list(*command, session);
  add_move(*command, session);
  add_remove(*command, session);
  add_run_queue(*command, session);
}

}  // namespace pcmlab::app

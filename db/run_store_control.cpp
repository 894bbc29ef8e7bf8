// SPDX-License-Identifier: Apache-2.0
// RunStore: going on with a run in another process, and control of a run from another process.
#include <array>

#include "db/clocks.h"
#include "db/host_process.h"
#include "db/run_store.h"
#include "db/store_access.h"

namespace pcmlab::db {
namespace {

constexpr std::array kCommands{RunCommand::Pause, RunCommand::Continue, RunCommand::Stop,
                               RunCommand::Abort};
constexpr std::array kGapCauses{GapCause::Process, GapCause::Pause, GapCause::Board,
                                GapCause::Suspend, GapCause::ClockStep};

Result<void> check_may_go_on(const RunRow& run, Elsewhere elsewhere) {
  const std::string name = "run " + number(run.id) + " (" + run.name + ")";
  if (!run.deleted_utc.empty()) {
    return fail(ErrorCode::BadPlan, name + " is deleted",
                "Bring it back first: pcmlab delete --undo " + number(run.id));
  }
  if (run.state == RunState::Complete) {
    return fail(ErrorCode::BadPlan, name + " is complete: there is nothing to go on with",
                "Start another one with pcmlab run.");
  }
  const ProcessIdentity self = this_process();
  if (run.state != RunState::Running || (run.pid == self.pid && run.host == self.host)) return {};
  if (run.host != self.host) {
    if (elsewhere == Elsewhere::TakenOver) return {};
    return fail(ErrorCode::Busy,
                "process " + number(run.pid) + " on " + run.host + " is said to be at " + name +
                    "; from here nobody can tell whether it still is",
                "Resume it there; or make sure that it is over and say so.");
  }
  return fail(ErrorCode::Busy, "process " + number(run.pid) + " is at " + name,
              "Stop that one first, or let it work.");
}

/// When anything was heard of a run's last process.
Result<std::string> last_heard_utc(Database& database, RowId run) {
  PCM_ASSIGN(auto select,
             database.prepare("SELECT coalesce(ended_utc, max(began_utc, coalesce((SELECT"
                              " heartbeat_utc FROM run_progress WHERE run_id = ?1), '')))"
                              " FROM run_session WHERE run_id = ?1 ORDER BY id DESC LIMIT 1"));
  PCM_ASSIGN(const bool found, select.bind(run).step());
  return found ? select.text(0) : utc_now();
}

Result<CommandRow> command_of(const Statement& row) {
  CommandRow command;
  command.id = row.integer(0);
  PCM_ASSIGN(command.command, parse(kCommands, row.text(1)));
  command.requested_by = row.text(2);
  command.requested_utc = row.text(3);
  command.taken_utc = row.text(4);
  return command;
}

constexpr std::string_view kSelectCommand =
    "SELECT id, command, requested_by, requested_utc, taken_utc FROM run_command"
    " WHERE run_id = ? ";

/// The epoch at hand, and what was measured last.
Result<void> find_latest(Database& database, RowId run, BoardLeft& left) {
  PCM_ASSIGN(auto epoch, database.prepare("SELECT boot_epoch, offset_ns FROM board_epoch"
                                          " WHERE run_id = ? ORDER BY id DESC LIMIT 1"));
  PCM_ASSIGN(const bool known, epoch.bind(run).step());
  if (known) left.epoch = {static_cast<std::uint64_t>(epoch.integer(0)), epoch.integer(1)};
  PCM_ASSIGN(
      auto latest,
      database.prepare("SELECT last_tick_ns, utc FROM ("
                       "SELECT last_tick_ns, outcome.utc FROM pulse_batch_outcome AS outcome"
                       " JOIN pulse_batch ON pulse_batch.id = pulse_batch_id"
                       " JOIN programming ON programming.id = programming_id WHERE run_id = ?1"
                       " UNION ALL "
                       "SELECT last_tick_ns, verify.utc FROM pulse_batch_verify AS verify"
                       " JOIN pulse_batch ON pulse_batch.id = pulse_batch_id"
                       " JOIN programming ON programming.id = programming_id WHERE run_id = ?1"
                       " UNION ALL "
                       "SELECT sweep_block.last_tick_ns, utc FROM sweep_block"
                       " JOIN sweep ON sweep.id = sweep_id WHERE run_id = ?1)"
                       " ORDER BY last_tick_ns DESC LIMIT 1"));
  PCM_ASSIGN(const bool measured, latest.bind(run).step());
  if (!measured) return {};
  left.latest_tick_ns = latest.integer(0);
  left.utc_ns = utc_ns_of(latest.text(1));
  return {};
}

/// Batches behind the last one with an outcome or a read, and the epoch in which they were
/// intended.
Result<void> find_unsettled(Database& database, RowId run, BoardLeft& left) {
  PCM_ASSIGN(auto batches,
             database.prepare(
                 "SELECT min(batch), 1 + max(batch), min(intended_utc) FROM pulse_batch"
                 " WHERE programming_id = ?1 AND batch > coalesce((SELECT max(batch)"
                 " FROM pulse_batch WHERE programming_id = ?1 AND (EXISTS (SELECT 1 FROM"
                 " pulse_batch_outcome WHERE pulse_batch_id = pulse_batch.id) OR EXISTS (SELECT 1"
                 " FROM pulse_batch_verify WHERE pulse_batch_id = pulse_batch.id))), -1)"));
  PCM_ASSIGN(auto programming,
             database.prepare("SELECT max(id) FROM programming WHERE run_id = ? AND NOT complete"));
  PCM_TRY(programming.bind(run).step());
  if (programming.is_null(0)) return {};
  PCM_TRY(batches.bind(programming.integer(0)).step());
  if (batches.is_null(0)) return {};
  left.first_unsettled = static_cast<std::uint64_t>(batches.integer(0));
  left.end_unsettled = static_cast<std::uint64_t>(batches.integer(1));
  PCM_ASSIGN(auto epoch, database.prepare("SELECT boot_epoch FROM board_epoch WHERE run_id = ?"
                                          " AND since_utc <= ? ORDER BY id DESC LIMIT 1"));
  PCM_ASSIGN(const bool known, epoch.bind(run, batches.text(2)).step());
  if (known) left.unsettled_epoch = static_cast<std::uint64_t>(epoch.integer(0));
  return {};
}

}  // namespace

// ---- going on ----------------------------------------------------------------------------------

Result<void> RunStore::begin_session(RowId run, const std::string& program_version,
                                     const std::string& git_revision) {
  const ProcessIdentity self = this_process();
  PCM_ASSIGN(
      auto insert,
      database_.prepare(
          "INSERT INTO run_session (run_id, program_version, git_revision, host,"
          " host_boot_id, pid, pid_start_ticks, began_utc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
  return insert.execute(run, program_version, git_revision, self.host, self.host_boot_id, self.pid,
                        self.start_ticks, utc_now());
}

Result<void> RunStore::check_resumable(RowId run, Elsewhere elsewhere) {
  PCM_ASSIGN(const RunRow row, this->run(run));
  PCM_TRY(check_may_go_on(row, elsewhere));
  PCM_ASSIGN(const auto active, active_run());
  if (!active || active->id == run) return {};
  return fail(ErrorCode::Busy,
              "process " + number(active->pid) + " is at run " + number(active->id) + " (" +
                  active->name + ") in this database",
              "Wait until it is over, or stop it.");
}

Result<void> RunStore::resume_run(RowId run, const std::string& program_version,
                                  const std::string& git_revision, Elsewhere elsewhere) {
  return write(database_, "going on with run " + number(run), [&]() -> Result<void> {
    PCM_TRY(check_resumable(run, elsewhere));
    PCM_ASSIGN(const RunRow row, this->run(run));
    PCM_ASSIGN(const std::string heard_utc, last_heard_utc(database_, run));
    PCM_ASSIGN(auto end_session,
               database_.prepare("UPDATE run_session SET state = 'interrupted', ended_utc = ?"
                                 " WHERE run_id = ? AND state = 'running'"));
    PCM_TRY(end_session.execute(heard_utc, run));
    PCM_TRY(add_gap(run, GapCause::Process, utc_ns_of(heard_utc),
                    "the run had no process: it was " + std::string(to_string(row.state)) +
                        (row.error.empty() ? "" : " (" + row.error + ")")));
    PCM_TRY(begin_session(run, program_version, git_revision));
    const ProcessIdentity self = this_process();
    PCM_ASSIGN(auto update,
               database_.prepare("UPDATE run SET state = 'running', ended_utc = NULL, error = '',"
                                 " host = ?, host_boot_id = ?, pid = ?, pid_start_ticks = ?"
                                 " WHERE id = ?"));
    PCM_TRY(update.execute(self.host, self.host_boot_id, self.pid, self.start_ticks, run));
    PCM_ASSIGN(auto steps, database_.prepare("UPDATE step SET state = 'running', wall_s = NULL"
                                             " WHERE run_id = ? AND state <> 'complete'"));
    PCM_TRY(steps.execute(run));
    // What somebody asked of the process before is not meant for this one.
    PCM_ASSIGN(auto commands, database_.prepare("UPDATE run_command SET taken_utc = ?"
                                                " WHERE run_id = ? AND taken_utc IS NULL"));
    return commands.execute(utc_now(), run);
  });
}

Result<std::vector<SessionRow>> RunStore::sessions(RowId run) {
  return read(database_, "reading the processes of run " + number(run), [&] {
    return rows_of(
        database_,
        "SELECT id, program_version, git_revision, host, pid, began_utc, ended_utc, state"
        " FROM run_session WHERE run_id = ? ORDER BY id",
        [](const Statement& row) -> Result<SessionRow> {
          SessionRow session;
          session.id = row.integer(0);
          session.program_version = row.text(1);
          session.git_revision = row.text(2);
          session.host = row.text(3);
          session.pid = row.integer(4);
          session.began_utc = row.text(5);
          session.ended_utc = row.text(6);
          PCM_ASSIGN(session.state, parse(kRunStates, row.text(7)));
          return session;
        },
        run);
  });
}

Result<BoardLeft> RunStore::board_left(RowId run) {
  return read(database_, "looking where run " + number(run) + " left its board",
              [&]() -> Result<BoardLeft> {
                BoardLeft left;
                PCM_TRY(find_latest(database_, run, left));
                PCM_TRY(find_unsettled(database_, run, left));
                return left;
              });
}

Result<std::optional<RunRow>> RunStore::programmed_since(RowId run) {
  return read(
      database_, "looking for who used the chip of run " + number(run),
      [&]() -> Result<std::optional<RunRow>> {
        PCM_ASSIGN(
            auto select,
            database_.prepare(
                "SELECT other.id FROM programming JOIN run AS other"
                " ON other.id = programming.run_id JOIN run AS mine ON mine.id = ?1"
                " WHERE other.id <> mine.id AND other.board_id = mine.board_id"
                " AND other.sample = mine.sample AND EXISTS (SELECT 1 FROM pulse_batch"
                " WHERE programming_id = programming.id) AND begun_utc > (SELECT max(begun_utc)"
                " FROM programming WHERE run_id = ?1) ORDER BY begun_utc DESC LIMIT 1"));
        PCM_ASSIGN(const bool found, select.bind(run).step());
        if (!found) return std::nullopt;
        PCM_ASSIGN(RunRow other, this->run(select.integer(0)));
        return other;
      });
}

Result<void> RunStore::add_board_epoch(RowId run, const BoardEpoch& epoch) {
  return write(
      database_, "noting a boot of the board of run " + number(run), [&]() -> Result<void> {
        PCM_ASSIGN(auto insert, database_.prepare("INSERT INTO board_epoch (run_id, boot_epoch,"
                                                  " offset_ns, since_utc) VALUES (?, ?, ?, ?)"));
        return insert.execute(run, epoch.boot_epoch, epoch.offset_ns, utc_now());
      });
}

Result<void> RunStore::add_gap(RowId run, GapCause cause, std::int64_t begin_utc_ns,
                               const std::string& text) {
  return write(database_, "noting a gap of run " + number(run), [&]() -> Result<void> {
    const std::string begin_utc = utc_text(begin_utc_ns), end_utc = utc_now();
    PCM_ASSIGN(auto insert, database_.prepare("INSERT INTO gap (run_id, cause, begin_utc, end_utc,"
                                              " text) VALUES (?, ?, ?, ?, ?)"));
    PCM_TRY(insert.execute(run, to_string(cause), begin_utc, end_utc, text));
    return add_event(run, "gap", begin_utc + " to " + end_utc + ": " + text);
  });
}

Result<std::vector<GapRow>> RunStore::gaps(RowId run) {
  return read(database_, "reading the gaps of run " + number(run), [&] {
    return rows_of(
        database_,
        "SELECT id, cause, begin_utc, end_utc, text FROM gap WHERE run_id = ? ORDER BY id",
        [](const Statement& row) -> Result<GapRow> {
          GapRow gap;
          gap.id = row.integer(0);
          PCM_ASSIGN(gap.cause, parse(kGapCauses, row.text(1)));
          gap.begin_utc = row.text(2);
          gap.end_utc = row.text(3);
          gap.text = row.text(4);
          return gap;
        },
        run);
  });
}

// ---- control -----------------------------------------------------------------------------------

Result<RowId> RunStore::request(RowId run, RunCommand command, const std::string& by) {
  PCM_ASSIGN(const RunRow row, this->run(run));
  if (row.state != RunState::Running) {
    return fail(
        ErrorCode::BadPlan,
        "run " + number(run) + " (" + row.name + ") is " + std::string(to_string(row.state)) +
            ": no process is at it",
        row.state == RunState::Complete ? "" : "Go on with it: pcmlab resume " + number(run));
  }
  return write(database_, "asking run " + number(run) + " to " + std::string(to_string(command)),
               [&]() -> Result<RowId> {
                 PCM_ASSIGN(auto insert,
                            database_.prepare("INSERT INTO run_command (run_id, command,"
                                              " requested_by, requested_utc) VALUES (?, ?, ?, ?)"));
                 PCM_TRY(insert.execute(run, to_string(command), by, utc_now()));
                 return database_.last_insert_id();
               });
}

Result<std::vector<CommandRow>> RunStore::pending_commands(RowId run) {
  return read(database_, "looking for requests to run " + number(run), [&] {
    return rows_of(database_, std::string(kSelectCommand) + "AND taken_utc IS NULL ORDER BY id",
                   command_of, run);
  });
}

Result<std::vector<CommandRow>> RunStore::take_commands(RowId run) {
  PCM_ASSIGN(auto asked, pending_commands(run));
  if (asked.empty()) return asked;
  PCM_TRY(write(database_, "taking requests to run " + number(run), [&]() -> Result<void> {
    for (CommandRow& command : asked) {
      command.taken_utc = utc_now();
      PCM_ASSIGN(auto update, database_.prepare("UPDATE run_command SET taken_utc = ?"
                                                " WHERE id = ?"));
      PCM_TRY(update.execute(command.taken_utc, command.id));
    }
    return {};
  }));
  return asked;
}

Result<std::vector<CommandRow>> RunStore::commands(RowId run) {
  return read(database_, "reading the requests to run " + number(run), [&] {
    return rows_of(database_, std::string(kSelectCommand) + "ORDER BY id", command_of, run);
  });
}

}  // namespace pcmlab::db

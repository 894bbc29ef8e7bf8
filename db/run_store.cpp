// SPDX-License-Identifier: Apache-2.0
// RunStore: opening, runs, steps, events, progress, networks.
#include "db/run_store.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>

#include "db/blobs.h"
#include "db/clocks.h"
#include "db/host_process.h"
#include "db/schema.h"
#include "db/store_access.h"

namespace pcmlab::db {
namespace {

/// A random (version 4) UUID.
std::string make_uuid() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    const std::int64_t time = now_ns(CLOCK_REALTIME);
    std::memcpy(bytes.data(), &time, sizeof time);
  }
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) {
      text += '-';
    }
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 0xf];
  }
  return text;
}

constexpr std::string_view kSelectRun =
    "SELECT run.id, uuid, name, state, started_utc, ended_utc, error, plan_text, seed,"
    " program_version, git_revision, operator_name, sample, host, host_boot_id, pid,"
    " pid_start_ticks, serial, board_firmware, board_description, board_boot_epoch, adc_bits,"
    " network_name, network_sha256, weight_count, device_count, images, parent_run_id, "
    "deleted_utc, deleted_by,"
    " (SELECT group_concat(tag, ' ') FROM run_tag WHERE run_id = run.id)"
    " FROM run LEFT JOIN board ON board.id = run.board_id ";

Result<RunRow> run_of(const Statement& row, const ProcessIdentity& self) {
  RunRow run;
  int column = 0;
  run.id = row.integer(column++);
  run.uuid = row.text(column++);
  run.name = row.text(column++);
  PCM_ASSIGN(run.state, parse(kRunStates, row.text(column++)));
  run.started_utc = row.text(column++);
  run.ended_utc = row.text(column++);
  run.error = row.text(column++);
  run.plan_text = row.text(column++);
  run.seed = static_cast<std::uint64_t>(row.integer(column++));
  run.program_version = row.text(column++);
  run.git_revision = row.text(column++);
  run.operator_name = row.text(column++);
  run.sample = row.text(column++);
  ProcessIdentity process;
  process.host = row.text(column++);
  process.host_boot_id = row.text(column++);
  process.pid = row.integer(column++);
  process.start_ticks = row.integer(column++);
  run.host = process.host;
  run.pid = process.pid;
  run.board_serial = row.text(column++);
  run.board_firmware = row.text(column++);
  run.board_description = row.text(column++);
  run.boot_epoch = static_cast<std::uint64_t>(row.integer(column++));
  run.adc_bits = static_cast<int>(row.integer(column++));
  run.network_name = row.text(column++);
  run.network_sha256 = row.text(column++);
  run.weights = row.integer(column++);
  run.devices = row.integer(column++);
  run.images = row.text(column++);
  if (!row.is_null(column)) {
    run.parent = row.integer(column);
  }
  ++column;
  run.deleted_utc = row.text(column++);
  run.deleted_by = row.text(column++);
  std::istringstream tags(row.text(column++));
  for (std::string tag; tags >> tag;) {
    run.tags.push_back(tag);
  }
  std::sort(run.tags.begin(), run.tags.end());
  if (run.state == RunState::Running && is_gone(process, self)) {
    run.state = RunState::Interrupted;
  }
  return run;
}

Result<RunRow> find_run(Database& database, RowId id) {
  PCM_ASSIGN(auto statement, database.prepare(std::string(kSelectRun) + "WHERE run.id = ?"));
  PCM_ASSIGN(const bool found, statement.bind(id).step());
  if (found) {
    return run_of(statement, this_process());
  }
  constexpr std::size_t kMostNamed = 10;
  PCM_ASSIGN(const auto others, rows_of(database,
                                        "SELECT id, name FROM run WHERE deleted_utc IS NULL"
                                        " ORDER BY id DESC",
                                        [](const Statement& row) -> Result<std::string> {
                                          return row.text(0) + " (" + row.text(1) + ")";
                                        }));
  std::string there_are;
  for (std::size_t i = 0; i < std::min(others.size(), kMostNamed); ++i) {
    there_are += (i == 0 ? "" : ", ") + others[i];
  }
  return fail(ErrorCode::NotFound,
              "there is no run " + number(id) + " in " + database.file() +
                  (others.empty() ? ", and no other" : "; there are " + there_are) +
                  (others.size() > kMostNamed ? " and older ones" : ""),
              "Name one of the runs there are.");
}

/// The newest run whose process is at work on this machine.
Result<std::optional<RunRow>> find_active_run(Database& database) {
  const ProcessIdentity self = this_process();
  PCM_ASSIGN(
      const auto running,
      rows_of(database, std::string(kSelectRun) + "WHERE state = 'running' ORDER BY run.id DESC",
              [&](const Statement& row) { return run_of(row, self); }));
  for (const RunRow& run : running) {
    if (run.state == RunState::Running && run.host == self.host) {
      return run;
    }
  }
  return std::nullopt;
}

/// One runner at a time.
Result<void> refuse_second_runner(Database& database) {
  PCM_ASSIGN(const auto active, find_active_run(database));
  if (!active || active->pid == this_process().pid) {
    return {};
  }
  return fail(ErrorCode::Busy,
              "process " + number(active->pid) + " is at run " + number(active->id) + " (" +
                  active->name + ") in " + database.file(),
              "Wait until it is over, stop it, or name another database with --database.");
}

Result<RowId> insert_run(Database& database, const RunStart& start) {
  PCM_TRY(refuse_second_runner(database));
  std::optional<RowId> board;
  if (!start.board.serial.empty()) {
    PCM_ASSIGN(auto insert, database.prepare("INSERT INTO board (serial, first_seen_utc)"
                                             " VALUES (?, ?) ON CONFLICT (serial) DO NOTHING"));
    PCM_TRY(insert.execute(start.board.serial, utc_now()));
    PCM_ASSIGN(auto select, database.prepare("SELECT id FROM board WHERE serial = ?"));
    PCM_TRY(select.bind(start.board.serial).step());
    board = select.integer(0);
  }
  std::optional<std::string> sha256;
  if (start.network) {
    sha256 = start.network->sha256;
    PCM_ASSIGN(auto insert,
               database.prepare("INSERT INTO network (sha256, name, onnx) VALUES (?, ?, ?)"
                                " ON CONFLICT (sha256) DO NOTHING"));
    PCM_TRY(insert.execute(*sha256, start.network->name, bytes_of(start.network->onnx)));
  }
  const ProcessIdentity process = this_process();
  const wire::InformationReply& said = start.board;
  PCM_ASSIGN(
      auto insert,
      database.prepare(
          "INSERT INTO run (uuid, name, started_utc, plan_text, seed, program_version,"
          " git_revision, operator_name, sample, images, host, host_boot_id, pid, pid_start_ticks,"
          " board_id, board_description, board_firmware, board_boot_epoch, board_capabilities,"
          " word_lines, bit_lines, adc_bits, adc_step_uS, sample_time_ns, max_amplitude_uA,"
          " min_width_ns, max_width_ns, max_pulses_per_device, max_temperature_K, network_sha256,"
          " network_name, weight_count, device_count, parent_run_id) VALUES (?, ?, ?, ?, ?, ?, ?, "
          "?,"
          " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  PCM_TRY(insert.execute(
      make_uuid(), start.name, utc_now(), start.plan_text, start.seed, start.program_version,
      start.git_revision, start.operator_name, start.sample, start.images, process.host,
      process.host_boot_id, process.pid, process.start_ticks, board, start.board_description,
      said.firmware, said.boot_epoch, said.capabilities, said.shape.word_lines,
      said.shape.bit_lines, said.adc_bits, said.adc_step.uS(), said.sample_time.count(),
      said.limits.max_amplitude.uA(), said.limits.min_width.count(), said.limits.max_width.count(),
      said.limits.max_pulses_per_device, said.limits.max_temperature.K(), sha256,
      start.network ? start.network->name : "", start.network ? start.network->weights : 0,
      start.network ? start.network->devices : 0, start.parent));
  const RowId run = database.last_insert_id();
  if (board) {
    PCM_ASSIGN(auto epoch,
               database.prepare("INSERT INTO board_epoch (run_id, boot_epoch, offset_ns, since_utc)"
                                " VALUES (?, ?, 0, ?)"));
    PCM_TRY(epoch.execute(run, said.boot_epoch, utc_now()));
  }
  return run;
}

}  // namespace

RunStore::RunStore(Database database) : database_(std::move(database)) {}

Result<RunStore> RunStore::open(const std::filesystem::path& file,
                                std::chrono::milliseconds busy_timeout) {
  PCM_ASSIGN(auto database, open_up_to_date(file, busy_timeout));
  return RunStore(std::move(database));
}

Result<RunStore> RunStore::open_read_only(const std::filesystem::path& file,
                                          std::chrono::milliseconds busy_timeout) {
  PCM_ASSIGN(auto database, Database::open(file, OpenMode::ReadOnly, busy_timeout));
  PCM_TRY(check_schema(database));
  return RunStore(std::move(database));
}

Result<Transaction> RunStore::transaction() { return database_.begin(Access::Write); }

Result<void> RunStore::together(const std::string& doing,
                                const std::function<Result<void>()>& body) {
  return write(database_, doing, body);
}

void RunStore::set_patience(Patience patience) { database_.set_patience(std::move(patience)); }

Result<RowId> RunStore::begin_run(const RunStart& start) {
  return write(database_, "beginning run '" + start.name + "'", [&]() -> Result<RowId> {
    PCM_ASSIGN(const RowId run, insert_run(database_, start));
    PCM_TRY(begin_session(run, start.program_version, start.git_revision));
    if (start.queue_entry) PCM_TRY(begin_queue_entry(*start.queue_entry, run));
    return run;
  });
}

Result<void> RunStore::finish_run(RowId run, RunState state, const std::string& error) {
  return write(database_, "ending run " + number(run), [&]() -> Result<void> {
    if (state == RunState::Running) {
      return fail(ErrorCode::Internal, "'running' is no end");
    }
    PCM_ASSIGN(auto update, database_.prepare("UPDATE run SET state = ?, ended_utc = ?, error = ?"
                                              " WHERE id = ? AND state = 'running'"));
    PCM_TRY(update.execute(to_string(state), utc_now(), error, run));
    if (database_.changes() == 0) {
      PCM_ASSIGN(const auto row, find_run(database_, run));
      return fail(ErrorCode::Database, "it is already " + std::string(to_string(row.state)));
    }
    PCM_ASSIGN(auto session, database_.prepare("UPDATE run_session SET state = ?, ended_utc = ?"
                                               " WHERE run_id = ? AND state = 'running'"));
    return session.execute(to_string(state), utc_now(), run);
  });
}

Result<RowId> RunStore::begin_step(RowId run, int ordinal, const std::string& experiment,
                                   const std::string& parameters_json) {
  return write(
      database_, "beginning step " + number(std::int64_t{ordinal}) + " of run " + number(run),
      [&]() -> Result<RowId> {
        PCM_ASSIGN(auto insert,
                   database_.prepare("INSERT INTO step (run_id, ordinal, experiment,"
                                     " parameters_json, begun_utc) VALUES (?, ?, ?, ?, ?)"));
        PCM_TRY(insert.execute(run, ordinal, experiment, parameters_json, utc_now()));
        return database_.last_insert_id();
      });
}

Result<void> RunStore::finish_step(RowId step, RunState state, double wall_s) {
  return write(database_, "ending step " + number(step), [&]() -> Result<void> {
    PCM_ASSIGN(auto update, database_.prepare("UPDATE step SET state = ?, wall_s = ?"
                                              " WHERE id = ? AND state = 'running'"));
    PCM_TRY(update.execute(to_string(state), wall_s, step));
    if (database_.changes() == 0) {
      return not_found("running step", step);
    }
    return {};
  });
}

Result<void> RunStore::add_event(RowId run, const std::string& kind, const std::string& text) {
  return write(database_, "noting an event of run " + number(run), [&]() -> Result<void> {
    PCM_ASSIGN(auto insert, database_.prepare("INSERT INTO event (run_id, kind, text, utc,"
                                              " boottime_ns) VALUES (?, ?, ?, ?, ?)"));
    return insert.execute(run, kind, text, utc_now(), now_ns(CLOCK_BOOTTIME));
  });
}

Result<void> RunStore::set_progress(RowId run, const ProgressRow& progress) {
  return write(database_, "noting the progress of run " + number(run), [&]() -> Result<void> {
    PCM_ASSIGN(auto insert,
               database_.prepare("INSERT OR REPLACE INTO run_progress (run_id, activity, done,"
                                 " total, eta_s, heartbeat_utc, heartbeat_boottime_ns)"
                                 " VALUES (?, ?, ?, ?, ?, ?, ?)"));
    return insert.execute(run, progress.activity, progress.done, progress.total, progress.eta_s,
                          utc_now(), now_ns(CLOCK_BOOTTIME));
  });
}

Result<std::vector<RunRow>> RunStore::runs(Deleted deleted) {
  return read(database_, "reading the runs", [&] {
    const ProcessIdentity self = this_process();
    return rows_of(database_,
                   std::string(kSelectRun) +
                       (deleted == Deleted::Hidden ? "WHERE deleted_utc IS NULL " : "") +
                       "ORDER BY run.id DESC",
                   [&](const Statement& row) { return run_of(row, self); });
  });
}

Result<RunRow> RunStore::run(RowId run) {
  return read(database_, "reading run " + number(run), [&] { return find_run(database_, run); });
}

Result<std::optional<RunRow>> RunStore::active_run() {
  return read(database_, "looking for a run at work", [&] { return find_active_run(database_); });
}

Result<std::vector<StepRow>> RunStore::steps(RowId run) {
  return read(database_, "reading the steps of run " + number(run),
              [&]() -> Result<std::vector<StepRow>> {
                PCM_ASSIGN(const auto owner, find_run(database_, run));
                return rows_of(
                    database_,
                    "SELECT id, ordinal, experiment, parameters_json, state, wall_s, begun_utc"
                    " FROM step WHERE run_id = ? ORDER BY ordinal",
                    [&](const Statement& row) -> Result<StepRow> {
                      StepRow step;
                      step.id = row.integer(0);
                      step.ordinal = static_cast<int>(row.integer(1));
                      step.experiment = row.text(2);
                      step.parameters_json = row.text(3);
                      PCM_ASSIGN(step.state, parse(kRunStates, row.text(4)));
                      if (step.state == RunState::Running) {
                        step.state = owner.state == RunState::Interrupted ? RunState::Interrupted
                                                                          : RunState::Running;
                      }
                      step.wall_s = row.real(5);
                      step.begun_utc_ns = utc_ns_of(row.text(6));
                      return step;
                    },
                    run);
              });
}

Result<std::vector<EventRow>> RunStore::events(RowId run) {
  return read(database_, "reading the events of run " + number(run), [&] {
    return rows_of(
        database_, "SELECT id, kind, text, utc FROM event WHERE run_id = ? ORDER BY id",
        [](const Statement& row) -> Result<EventRow> {
          return EventRow{row.integer(0), row.text(1), row.text(2), row.text(3)};
        },
        run);
  });
}

Result<std::optional<ProgressRow>> RunStore::progress(RowId run) {
  return read(database_, "reading the progress of run " + number(run),
              [&]() -> Result<std::optional<ProgressRow>> {
                PCM_ASSIGN(auto select,
                           database_.prepare("SELECT activity, done, total, eta_s, heartbeat_utc"
                                             " FROM run_progress WHERE run_id = ?"));
                PCM_ASSIGN(const bool found, select.bind(run).step());
                if (!found) {
                  return std::nullopt;
                }
                return ProgressRow{select.text(0), select.integer(1), select.integer(2),
                                   select.real(3), select.text(4)};
              });
}

Result<NetworkRow> RunStore::network(const std::string& sha256) {
  return read(database_, "reading network " + sha256, [&]() -> Result<NetworkRow> {
    PCM_ASSIGN(auto select,
               database_.prepare(
                   "SELECT network.name, onnx, weight_count, device_count FROM network JOIN run"
                   " ON run.network_sha256 = network.sha256 WHERE sha256 = ?"
                   " ORDER BY run.id LIMIT 1"));
    PCM_ASSIGN(const bool found, select.bind(sha256).step());
    if (!found) {
      return fail(ErrorCode::NotFound, "there is none of this checksum");
    }
    NetworkRow network;
    network.sha256 = sha256;
    network.name = select.text(0);
    const auto onnx = select.blob(1);
    network.onnx.assign(onnx.begin(), onnx.end());
    network.weights = select.integer(2);
    network.devices = select.integer(3);
    return network;
  });
}

}  // namespace pcmlab::db

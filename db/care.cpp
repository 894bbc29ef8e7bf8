// SPDX-License-Identifier: Apache-2.0
#include "db/care.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <system_error>

#include "db/clocks.h"
#include "db/store_access.h"
#include "db/tables.h"

namespace pcmlab::db {
namespace {

tl::unexpected<Error> failed_call(const std::string& doing, const std::filesystem::path& file) {
  const int number = errno;
  return fail(number == ENOSPC ? ErrorCode::DiskFull : ErrorCode::Io,
              doing + " " + file.string() + ": " + std::generic_category().message(number),
              "Check the disk (dmesg) and the permissions of the folder.");
}

Result<void> sync_to_disk(const std::filesystem::path& file_or_folder) {
  const int descriptor = ::open(file_or_folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return failed_call("opening", file_or_folder);
  Result<void> synced;
  if (::fsync(descriptor) != 0) synced = failed_call("writing to disk", file_or_folder);
  ::close(descriptor);
  return synced;
}

Result<void> copy_all_pages(Database& from, Database& to, const Progress& progress) {
  // One state of the database, whatever is written meanwhile.
  PCM_ASSIGN(const auto snapshot, from.begin(Access::Read));
  PCM_TRY(from.query_integer("SELECT count(*) FROM sqlite_schema"));
  constexpr int kPagesAtOnce = 256;
  sqlite3_backup* const backup = sqlite3_backup_init(to.handle(), "main", from.handle(), "main");
  int result = backup != nullptr ? SQLITE_OK : sqlite3_errcode(to.handle());
  while (result == SQLITE_OK) {
    result = sqlite3_backup_step(backup, kPagesAtOnce);
    const int total = sqlite3_backup_pagecount(backup);
    if (progress) progress(total - sqlite3_backup_remaining(backup), total);
  }
  if (backup != nullptr) {
    const int finished = sqlite3_backup_finish(backup);
    result = finished != SQLITE_OK ? finished : SQLITE_OK;
  }
  if (result == SQLITE_OK) return {};
  return fail((result & 0xff) == SQLITE_FULL ? ErrorCode::DiskFull : ErrorCode::Io,
              "writing " + to.file() + ": " + sqlite3_errstr(result),
              "Make room on that disk, or name another place.");
}

Result<void> refuse_while_running(RunStore& store, const std::string& what) {
  PCM_ASSIGN(const auto active, store.active_run());
  if (!active) return {};
  return fail(ErrorCode::Busy,
              what + ": run " + number(active->id) + " is writing to " + store.database().file() +
                  ", as process " + number(active->pid),
              "Wait until it is over, or stop it.");
}

// ---- runs of another database ------------------------------------------------------------------

/// How the numbers of one run change on their way from one database into the other.
struct Renumbering {
  std::map<std::string, std::int64_t> shift;   ///< by table with numbers of its own
  std::map<std::int64_t, std::int64_t> board;  ///< there -> here
  std::map<std::int64_t, std::optional<std::int64_t>> parent;
};

Result<std::map<std::int64_t, std::int64_t>> unite_boards(Database& into, Database& other) {
  std::map<std::int64_t, std::int64_t> here;
  PCM_ASSIGN(auto boards, other.prepare("SELECT id, serial, first_seen_utc FROM board"));
  for (;;) {
    PCM_ASSIGN(const bool more, boards.step());
    if (!more) return here;
    PCM_ASSIGN(auto insert, into.prepare("INSERT INTO board (serial, first_seen_utc) VALUES (?, ?)"
                                         " ON CONFLICT (serial) DO UPDATE SET first_seen_utc ="
                                         " min(first_seen_utc, excluded.first_seen_utc)"));
    PCM_TRY(insert.execute(boards.text(1), boards.text(2)));
    PCM_ASSIGN(auto select, into.prepare("SELECT id FROM board WHERE serial = ?"));
    PCM_TRY(select.bind(boards.text(1)).step());
    here[boards.integer(0)] = select.integer(0);
  }
}

Result<void> unite_network(Database& into, Database& other, RowId run) {
  PCM_ASSIGN(auto select, other.prepare("SELECT sha256, network.name, onnx FROM network JOIN run ON"
                                        " network_sha256 = sha256 WHERE run.id = ?"));
  PCM_ASSIGN(const bool found, select.bind(run).step());
  if (!found) return {};
  PCM_ASSIGN(auto insert, into.prepare("INSERT INTO network (sha256, name, onnx) VALUES (?, ?, ?)"
                                       " ON CONFLICT (sha256) DO NOTHING"));
  return insert.execute(select.text(0), select.text(1), select.blob(2));
}

/// New numbers behind those that this database has given.
Result<std::map<std::string, std::int64_t>> shifts(Database& into, Database& other,
                                                   const std::vector<RunTable>& tables, RowId run) {
  std::map<std::string, std::int64_t> shift;
  for (const RunTable& table : tables) {
    if (!table.has_own_id) continue;
    PCM_ASSIGN(auto lowest, other.prepare("SELECT coalesce(min(id), 0) FROM " + table.name +
                                          " WHERE " + table.of_run));
    PCM_TRY(lowest.bind(run).step());
    PCM_ASSIGN(
        auto highest,
        into.prepare("SELECT max(coalesce((SELECT max(id) FROM " + table.name +
                     "), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0))"));
    PCM_TRY(highest.bind(table.name).step());
    shift[table.name] = highest.integer(0) + 1 - lowest.integer(0);
  }
  return shift;
}

/// What a number becomes that stands in `column`; none: it is not one that changes.
std::optional<std::optional<std::int64_t>> renumbered(const RunTable& table,
                                                      const std::string& column, std::int64_t old,
                                                      const Renumbering& numbers) {
  if (table.name == "run" && column == "parent_run_id") {
    const auto parent = numbers.parent.find(old);
    return parent == numbers.parent.end() ? std::nullopt : parent->second;
  }
  if (column == "id" && table.has_own_id) return old + numbers.shift.at(table.name);
  for (const ForeignKey& key : table.keys) {
    if (key.column != column) continue;
    if (key.table == "board") return numbers.board.at(old);
    // A table whose key is that of another one shifts with it.
    const auto shift = numbers.shift.find(key.table);
    if (shift != numbers.shift.end()) return old + shift->second;
    if (key.table == "placement") return old + numbers.shift.at("programming");
  }
  return std::nullopt;
}

Result<void> copy_rows(Database& into, Database& other, const RunTable& table, RowId run,
                       const Renumbering& numbers) {
  std::string names;
  std::string places;
  for (const std::string& column : table.columns) {
    names.append(names.empty() ? "" : ", ").append(column);
    places += places.empty() ? "?" : ", ?";
  }
  PCM_ASSIGN(auto select, other.prepare(std::string("SELECT ")
                                            .append(names)
                                            .append(" FROM ")
                                            .append(table.name)
                                            .append(" WHERE ")
                                            .append(table.of_run)));
  select.bind(run);
  const std::string sql = std::string("INSERT INTO ")
                              .append(table.name)
                              .append(" (")
                              .append(names)
                              .append(") VALUES (")
                              .append(places)
                              .append(")");
  for (;;) {
    PCM_ASSIGN(const bool more, select.step());
    if (!more) return {};
    PCM_ASSIGN(auto insert, into.prepare(sql));
    for (int c = 0; c < static_cast<int>(table.columns.size()); ++c) {
      const std::string& column = table.columns[static_cast<std::size_t>(c)];
      if (select.is_integer(c)) {
        if (const auto number = renumbered(table, column, select.integer(c), numbers)) {
          insert.bind_to(c, *number);
          continue;
        }
      }
      insert.copy_to(c, select, c);
    }
    PCM_TRY(insert.execute());
  }
}

Result<void> copy_purged(Database& into, Database& other,
                         const std::map<std::int64_t, std::int64_t>& board) {
  PCM_ASSIGN(auto select,
             other.prepare("SELECT uuid, name, started_utc, board_id, sample, programmings, pulses,"
                           " last_batch, purged_utc FROM purged_run"));
  for (;;) {
    PCM_ASSIGN(const bool more, select.step());
    if (!more) return {};
    std::optional<std::int64_t> board_here;
    if (!select.is_null(3)) board_here = board.at(select.integer(3));
    PCM_ASSIGN(auto insert,
               into.prepare("INSERT INTO purged_run SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9"
                            " WHERE NOT EXISTS (SELECT 1 FROM run WHERE uuid = ?1)"
                            " ON CONFLICT (uuid) DO NOTHING"));
    PCM_TRY(insert.execute(select.text(0), select.text(1), select.text(2), board_here,
                           select.text(4), select.integer(5), select.integer(6), select.integer(7),
                           select.text(8)));
  }
}

Result<std::optional<RowId>> run_of_uuid(Database& database, const std::string& uuid) {
  PCM_ASSIGN(auto select, database.prepare("SELECT id FROM run WHERE uuid = ?"));
  PCM_ASSIGN(const bool found, select.bind(uuid).step());
  return found ? std::optional(select.integer(0)) : std::nullopt;
}

/// \return the run's number here.
Result<RowId> merge_run(Database& into, Database& other, const std::vector<RunTable>& tables,
                        const RunRow& run, const std::optional<std::string>& parent_uuid) {
  return write(
      into, "adding run " + number(run.id) + " of " + other.file(), [&]() -> Result<RowId> {
        Renumbering numbers;
        PCM_ASSIGN(numbers.board, unite_boards(into, other));
        PCM_ASSIGN(numbers.shift, shifts(into, other, tables, run.id));
        if (run.parent) {
          PCM_ASSIGN(numbers.parent[*run.parent], run_of_uuid(into, parent_uuid.value_or("")));
        }
        PCM_TRY(unite_network(into, other, run.id));
        // Blocks come before the sweeps that they belong to: a complete sweep takes no more of
        // them.
        PCM_TRY(into.execute("PRAGMA defer_foreign_keys = ON"));
        for (auto table = tables.rbegin(); table != tables.rend(); ++table) {
          PCM_TRY(copy_rows(into, other, *table, run.id, numbers));
        }
        const RowId here = run.id + numbers.shift.at("run");
        PCM_ASSIGN(
            auto end,
            into.prepare("UPDATE run SET state = 'interrupted', ended_utc = coalesce((SELECT"
                         " heartbeat_utc FROM run_progress WHERE run_id = run.id), started_utc)"
                         " WHERE id = ? AND state = 'running'"));
        PCM_TRY(end.execute(here));
        PCM_ASSIGN(auto forget, into.prepare("DELETE FROM purged_run WHERE uuid = ?"));
        PCM_TRY(forget.execute(run.uuid));
        return here;
      });
}

}  // namespace

Result<void> back_up(Database& from, const std::filesystem::path& to, const Progress& progress) {
  const auto refuse = [&] {
    return fail(ErrorCode::BadFile,
                "backing up to " + to.string() + ": there is a file of that name",
                "Name another file, or move that one away.");
  };
  std::error_code ignored;
  if (std::filesystem::exists(to, ignored)) return refuse();
  const std::filesystem::path part = to.string() + ".part-" + number(std::int64_t{::getpid()});
  std::filesystem::remove(part, ignored);
  const auto copy = [&]() -> Result<void> {
    {
      PCM_ASSIGN(auto database, Database::open(part, OpenMode::ReadWriteCreate));
      PCM_TRY(database.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF"));
      PCM_TRY(copy_all_pages(from, database, progress));
    }
    PCM_TRY(sync_to_disk(part));
    // A link never replaces a file that came meanwhile.
    if (::link(part.c_str(), to.c_str()) != 0) {
      if (errno == EEXIST) return refuse();
      if (std::filesystem::exists(to, ignored)) return refuse();
      if (::rename(part.c_str(), to.c_str()) != 0) return failed_call("making", to);
    }
    const auto folder = std::filesystem::absolute(to).parent_path();
    return sync_to_disk(folder);
  };
  auto copied = copy();
  std::filesystem::remove(part, ignored);
  for (const char* const ending : {"-journal", "-wal", "-shm"}) {
    std::filesystem::remove(part.string() + ending, ignored);
  }
  return copied;
}

Result<MergedRuns> merge(RunStore& into, RunStore& other, const Progress& progress) {
  PCM_TRY(refuse_while_running(into, "adding runs"));
  PCM_ASSIGN(const auto tables, run_tables(into.database()));
  PCM_ASSIGN(const auto all, other.runs(Deleted::Shown));
  std::map<RowId, std::string> uuids;
  for (const RunRow& run : all) uuids[run.id] = run.uuid;
  MergedRuns merged;
  PCM_ASSIGN(const auto still_active, other.active_run());
  std::int64_t done = 0;
  for (auto run = all.rbegin(); run != all.rend(); ++run) {
    if (progress) progress(done++, static_cast<std::int64_t>(all.size()));
    PCM_ASSIGN(const auto here, run_of_uuid(into.database(), run->uuid));
    if (here) {
      ++merged.present;
    } else if (!run->deleted_utc.empty()) {
      ++merged.deleted;
    } else if (still_active && still_active->id == run->id) {
      ++merged.running;
    } else {
      std::optional<std::string> parent_uuid;
      if (run->parent) parent_uuid = uuids[*run->parent];
      PCM_ASSIGN(const RowId added,
                 merge_run(into.database(), other.database(), tables, *run, parent_uuid));
      merged.added.push_back({run->id, added, run->name});
    }
  }
  PCM_TRY(write(into.database(), "adding runs that are gone", [&]() -> Result<void> {
    PCM_ASSIGN(const auto boards, unite_boards(into.database(), other.database()));
    return copy_purged(into.database(), other.database(), boards);
  }));
  return merged;
}

Result<Purged> purge(RunStore& store) {
  PCM_TRY(refuse_while_running(store, "vacuuming"));
  Database& database = store.database();
  Purged purged;
  std::error_code ignored;
  const auto size = [&] {
    const auto bytes = std::filesystem::file_size(database.file(), ignored);
    return ignored ? std::int64_t{0} : static_cast<std::int64_t>(bytes);
  };
  PCM_TRY(database.execute("PRAGMA wal_checkpoint(TRUNCATE)"));
  purged.bytes_before = size();
  PCM_ASSIGN(const auto tables, run_tables(database));
  PCM_ASSIGN(const auto runs,
             rows_of(database, "SELECT id FROM run WHERE deleted_utc IS NOT NULL ORDER BY id",
                     [](const Statement& row) -> Result<RowId> { return row.integer(0); }));
  for (const RowId run : runs) {
    PCM_TRY(write(database, "taking away run " + number(run), [&]() -> Result<void> {
      PCM_ASSIGN(
          auto keep,
          database.prepare(
              "INSERT INTO purged_run SELECT uuid, name, started_utc, board_id, sample,"
              " (SELECT count(*) FROM programming WHERE run_id = run.id),"
              " (SELECT coalesce(sum(pulses_executed), 0) FROM programming"
              "  JOIN pulse_batch ON programming_id = programming.id"
              "  JOIN pulse_batch_outcome ON pulse_batch_id = pulse_batch.id"
              "  WHERE run_id = run.id),"
              " (SELECT coalesce(max(batch), 0) FROM programming"
              "  JOIN pulse_batch ON programming_id = programming.id WHERE run_id = run.id), ?2"
              " FROM run WHERE id = ?1"));
      PCM_TRY(keep.execute(run, utc_now()));
      PCM_ASSIGN(auto orphan,
                 database.prepare("UPDATE run SET parent_run_id = NULL WHERE parent_run_id = ?"));
      PCM_TRY(orphan.execute(run));
      for (auto table = tables.rbegin(); table != tables.rend(); ++table) {
        PCM_ASSIGN(auto remove, database.prepare(std::string("DELETE FROM ")
                                                     .append(table->name)
                                                     .append(" WHERE ")
                                                     .append(table->of_run)));
        PCM_TRY(remove.execute(run));
      }
      return {};
    }));
    ++purged.runs;
  }
  PCM_TRY(
      database.execute("DELETE FROM network WHERE sha256 NOT IN"
                       " (SELECT network_sha256 FROM run WHERE network_sha256 IS NOT NULL)"));
  PCM_TRY(database.execute("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)"));
  purged.bytes_after = size();
  return purged;
}

}  // namespace pcmlab::db

// SPDX-License-Identifier: Apache-2.0
// RunStore: plans that wait for their turn.
#include <algorithm>
#include <array>
#include <iterator>

#include "db/clocks.h"
#include "db/run_store.h"
#include "db/store_access.h"

namespace pcmlab::db {
namespace {

constexpr std::array kQueueStates{QueueState::Waiting, QueueState::Running, QueueState::Done,
                                  QueueState::Failed, QueueState::Stopped};

constexpr std::string_view kSelectEntry =
    "SELECT id, name, plan_text, folder, state, added_utc, added_by, not_before_utc, ended_utc,"
    " error, run_id FROM queue_entry ";

Result<QueueEntry> entry_of(const Statement& row) {
  QueueEntry entry;
  int column = 0;
  entry.id = row.integer(column++);
  entry.name = row.text(column++);
  entry.plan_text = row.text(column++);
  entry.folder = row.text(column++);
  PCM_ASSIGN(entry.state, parse(kQueueStates, row.text(column++)));
  entry.added_utc = row.text(column++);
  entry.added_by = row.text(column++);
  entry.not_before_utc = row.text(column++);
  entry.not_before_utc_ns = utc_ns_of(entry.not_before_utc);
  entry.ended_utc = row.text(column++);
  entry.error = row.text(column++);
  if (!row.is_null(column)) entry.run = row.integer(column);
  return entry;
}

Result<QueueEntry> find_entry(Database& database, RowId id) {
  PCM_ASSIGN(auto select, database.prepare(std::string(kSelectEntry) + "WHERE id = ?"));
  PCM_ASSIGN(const bool found, select.bind(id).step());
  if (found) return entry_of(select);
  return fail(ErrorCode::NotFound,
              "there is no entry " + number(id) + " in the queue of " + database.file(),
              "See pcmlab queue list.");
}

tl::unexpected<Error> not_waiting(const QueueEntry& entry) {
  return fail(ErrorCode::BadPlan,
              "entry " + number(entry.id) + " of the queue (" + entry.name + ") does not wait: it" +
                  " is " + std::string(to_string(entry.state)),
              "See pcmlab queue list.");
}

/// The entries that wait, in their order.
Result<std::vector<RowId>> waiting(Database& database) {
  return rows_of(database,
                 "SELECT id FROM queue_entry WHERE state = 'waiting' ORDER BY position, id",
                 [](const Statement& row) -> Result<RowId> { return row.integer(0); });
}

/// Where an entry belongs among the others that wait.
Result<std::vector<RowId>::difference_type> place_of(Database& database, const QueueEntry& entry,
                                                     QueueMove where, RowId before,
                                                     const std::vector<RowId>& order) {
  const auto at = std::find(order.begin(), order.end(), entry.id);
  if (at == order.end()) return not_waiting(entry);
  const auto now = at - order.begin();
  const auto last = static_cast<std::vector<RowId>::difference_type>(order.size()) - 1;
  switch (where) {
    case QueueMove::First:
      return 0;
    case QueueMove::Last:
      return last;
    case QueueMove::Up:
      return std::max<decltype(last)>(0, now - 1);
    case QueueMove::Down:
      return std::min(last, now + 1);
    case QueueMove::Before:
      break;
  }
  PCM_ASSIGN(const QueueEntry other, find_entry(database, before));
  const auto then = std::find(order.begin(), order.end(), before);
  if (then == order.end()) return not_waiting(other);
  const auto place = then - order.begin();
  return place > now ? place - 1 : place;
}

}  // namespace

Result<RowId> RunStore::add_queue_entry(const QueueStart& start) {
  return write(database_, "adding " + start.name + " to the queue", [&]() -> Result<RowId> {
    std::optional<std::string> not_before;
    if (start.not_before_utc_ns != 0) not_before = utc_text(start.not_before_utc_ns);
    PCM_ASSIGN(auto insert,
               database_.prepare("INSERT INTO queue_entry (position, name, plan_text, folder,"
                                 " added_utc, added_by, not_before_utc) VALUES ((SELECT"
                                 " coalesce(max(position), 0) + 1 FROM queue_entry), ?, ?, ?, ?, ?,"
                                 " ?)"));
    PCM_TRY(insert.execute(start.name, start.plan_text, start.folder, utc_now(), start.added_by,
                           not_before));
    return database_.last_insert_id();
  });
}

Result<std::vector<QueueEntry>> RunStore::queue() {
  return read(database_, "reading the queue", [&] {
    return rows_of(database_,
                   std::string(kSelectEntry) +
                       "ORDER BY CASE state WHEN 'waiting' THEN 2 WHEN 'running' THEN 1 ELSE 0 END,"
                       " ended_utc, iif(state = 'waiting', position, 0), id",
                   entry_of);
  });
}

Result<QueueEntry> RunStore::queue_entry(RowId entry) {
  return read(database_, "reading the queue", [&] { return find_entry(database_, entry); });
}

Result<std::optional<QueueEntry>> RunStore::next_queue_entry(std::int64_t utc_ns) {
  return read(database_, "looking into the queue", [&]() -> Result<std::optional<QueueEntry>> {
    PCM_ASSIGN(auto select,
               database_.prepare(std::string(kSelectEntry) +
                                 "WHERE state = 'running' OR (state = 'waiting' AND"
                                 " coalesce(not_before_utc, '') <= ?) ORDER BY state <> 'running',"
                                 " position, id LIMIT 1"));
    PCM_ASSIGN(const bool found, select.bind(utc_text(utc_ns)).step());
    if (!found) return std::nullopt;
    PCM_ASSIGN(QueueEntry entry, entry_of(select));
    return entry;
  });
}

Result<void> RunStore::move_queue_entry(RowId entry, QueueMove where, RowId before) {
  return write(database_, "moving entry " + number(entry) + " of the queue", [&]() -> Result<void> {
    PCM_ASSIGN(const QueueEntry row, find_entry(database_, entry));
    PCM_ASSIGN(std::vector<RowId> order, waiting(database_));
    PCM_ASSIGN(const auto place, place_of(database_, row, where, before, order));
    std::erase(order, entry);
    order.insert(order.begin() + place, entry);
    PCM_ASSIGN(auto update, database_.prepare("UPDATE queue_entry SET position = ? WHERE id = ?"));
    std::int64_t position = 0;
    for (const RowId id : order) PCM_TRY(update.execute(++position, id));
    return {};
  });
}

Result<void> RunStore::remove_queue_entry(RowId entry) {
  return write(database_, "taking entry " + number(entry) + " out of the queue",
               [&]() -> Result<void> {
                 PCM_ASSIGN(const QueueEntry row, find_entry(database_, entry));
                 if (row.state == QueueState::Running && row.run) {
                   PCM_ASSIGN(const RunRow run, this->run(*row.run));
                   if (run.state == RunState::Running) {
                     return fail(ErrorCode::Busy,
                                 "process " + number(run.pid) + " is at run " + number(run.id) +
                                     " (" + run.name + "), which it became",
                                 "Stop that first: pcmlab stop " + number(run.id));
                   }
                 }
                 PCM_ASSIGN(auto remove, database_.prepare("DELETE FROM queue_entry WHERE id = ?"));
                 return remove.execute(entry);
               });
}

Result<void> RunStore::fail_queue_entry(RowId entry, const std::string& error) {
  return write(database_, "noting how entry " + number(entry) + " of the queue ended",
               [&]() -> Result<void> {
                 PCM_ASSIGN(auto update,
                            database_.prepare(
                                "UPDATE queue_entry SET state = 'failed', ended_utc = ?,"
                                " error = ? WHERE id = ? AND state IN ('waiting', 'running')"));
                 return update.execute(utc_now(), error, entry);
               });
}

Result<void> RunStore::begin_queue_entry(RowId entry, RowId run) {
  PCM_ASSIGN(const QueueEntry row, find_entry(database_, entry));
  if (row.state != QueueState::Waiting) return not_waiting(row);
  PCM_ASSIGN(auto update, database_.prepare("UPDATE queue_entry SET state = 'running', run_id = ?"
                                            " WHERE id = ?"));
  return update.execute(run, entry);
}

}  // namespace pcmlab::db

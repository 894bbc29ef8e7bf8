// SPDX-License-Identifier: Apache-2.0
// RunStore: what people say of runs, and taking runs away. Each is one short transaction, so that
// it does not disturb a run that is writing.
#include "db/clocks.h"
#include "db/run_store.h"
#include "db/store_access.h"

namespace pcmlab::db {
namespace {

Result<void> check_tag(const std::string& tag) {
  if (!tag.empty() && tag.find_first_of(" ,\t\n") == std::string::npos) {
    return {};
  }
  return fail(ErrorCode::BadPlan, "'" + tag + "' is no tag",
              "A tag is one word, without blanks and commas.");
}

}  // namespace

Result<RowId> RunStore::add_note(RowId run, const std::string& text, const std::string& by) {
  PCM_TRY(this->run(run));
  return write(database_, "noting something to run " + number(run), [&]() -> Result<RowId> {
    PCM_ASSIGN(auto insert, database_.prepare("INSERT INTO run_note (run_id, text, noted_by,"
                                              " noted_utc) VALUES (?, ?, ?, ?)"));
    PCM_TRY(insert.execute(run, text, by, utc_now()));
    return database_.last_insert_id();
  });
}

Result<std::vector<NoteRow>> RunStore::notes(RowId run) {
  return read(database_, "reading the notes to run " + number(run), [&] {
    return rows_of(
        database_,
        "SELECT id, text, noted_by, noted_utc FROM run_note WHERE run_id = ? ORDER BY id",
        [](const Statement& row) -> Result<NoteRow> {
          return NoteRow{row.integer(0), row.text(1), row.text(2), row.text(3)};
        },
        run);
  });
}

Result<void> RunStore::add_tags(RowId run, std::span<const std::string> tags,
                                const std::string& by) {
  PCM_TRY(this->run(run));
  return write(database_, "tagging run " + number(run), [&]() -> Result<void> {
    for (const std::string& tag : tags) {
      PCM_TRY(check_tag(tag));
      PCM_ASSIGN(auto insert, database_.prepare("INSERT INTO run_tag (run_id, tag, tagged_by,"
                                                " tagged_utc) VALUES (?, ?, ?, ?)"
                                                " ON CONFLICT DO NOTHING"));
      PCM_TRY(insert.execute(run, tag, by, utc_now()));
    }
    return {};
  });
}

Result<void> RunStore::remove_tags(RowId run, std::span<const std::string> tags) {
  PCM_TRY(this->run(run));
  return write(database_, "taking tags off run " + number(run), [&]() -> Result<void> {
    for (const std::string& tag : tags) {
      PCM_ASSIGN(auto remove,
                 database_.prepare("DELETE FROM run_tag WHERE run_id = ? AND tag = ?"));
      PCM_TRY(remove.execute(run, tag));
      if (database_.changes() == 0) {
        return fail(ErrorCode::NotFound, "it has no tag '" + tag + "'",
                    "pcmlab runs lists the tags.");
      }
    }
    return {};
  });
}

Result<void> RunStore::delete_run(RowId run, const std::string& by) {
  PCM_ASSIGN(const RunRow row, this->run(run));
  return write(database_, "deleting run " + number(run), [&]() -> Result<void> {
    if (row.state == RunState::Running) {
      return fail(ErrorCode::Busy,
                  "it is running, as process " + number(row.pid) + " on " + row.host,
                  "Stop it first.");
    }
    PCM_ASSIGN(auto update, database_.prepare("UPDATE run SET deleted_utc = ?, deleted_by = ?"
                                              " WHERE id = ? AND deleted_utc IS NULL"));
    PCM_TRY(update.execute(utc_now(), by, run));
    if (database_.changes() == 0) {
      return fail(ErrorCode::NotFound,
                  "it was deleted on " + row.deleted_utc + " by " + row.deleted_by,
                  "pcmlab vacuum deletes it for good; pcmlab delete --undo brings it back.");
    }
    return {};
  });
}

Result<void> RunStore::undelete_run(RowId run) {
  PCM_TRY(this->run(run));
  return write(database_, "bringing back run " + number(run), [&]() -> Result<void> {
    PCM_ASSIGN(auto update, database_.prepare("UPDATE run SET deleted_utc = NULL, deleted_by = NULL"
                                              " WHERE id = ? AND deleted_utc IS NOT NULL"));
    PCM_TRY(update.execute(run));
    if (database_.changes() == 0) {
      return fail(ErrorCode::NotFound, "it is not deleted");
    }
    return {};
  });
}

}  // namespace pcmlab::db

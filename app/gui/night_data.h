// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a night needs to know: the queue and who works it off, the reads to come of a run, and its
/// log. Plain values; for the reading thread.
#pragma once

#include <QString>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "db/run_store.h"

namespace pcmlab::gui {

/// A process `pcmlab queue run` of this machine, at work or waiting for plans.
struct QueueProcess {
  std::int64_t pid = 0;
  bool is_service = false;  ///< of systemd, which would start it again
  QString said;             ///< its last words, where they go to a file
};
/// The one that has this database open. None: there is none, or it is another user's.
std::optional<QueueProcess> queue_process(const std::filesystem::path& database);

struct QueueLine {
  db::QueueEntry entry;
  bool at_work = false;          ///< its run has a process
  std::string run_began_utc;     ///< of its run
  QString steps, board, detail;  ///< "program, retention"; "mock MOCK0001"; of the board, at length
  std::string board_kind;        ///< empty: the plan is no plan for this version
  QString state() const;
};

struct LogLine {
  std::string utc;
  QString kind, text;
};

/// A read that is planned. `after_s` counts from the end of programming.
struct ComingRead {
  double after_s = 0;
  std::string utc;  ///< empty: the board's time is not the clock's, or programming is not over
};

struct Night {
  std::vector<QueueLine> queue;  ///< what is over, at work, and waits, in this order
  std::optional<QueueProcess> process;
  std::optional<db::RunRow> run;
  std::vector<ComingRead> reads;  ///< soonest first
  std::vector<LogLine> log;       ///< newest first
  std::size_t log_left_out = 0;   ///< older lines
};

/// \param run  whose reads and log; may be none. Errors: those of the store.
Result<Night> read_night(db::RunStore& store, std::optional<db::RowId> run);

}  // namespace pcmlab::gui

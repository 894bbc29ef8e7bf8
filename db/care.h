// SPDX-License-Identifier: Apache-2.0
/// \file
/// Looking after a results database: copies, runs of another one, runs that are gone for good.
/// Functions over one connection or file, on the caller's thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "db/run_store.h"

namespace pcmlab::db {

/// Is told how far it is; both in the same unit.
using Progress = std::function<void(std::int64_t done, std::int64_t total)>;

/// Copies a database as it is now, also while a run writes to it, which it does not hold up. The
/// copy is there whole or not at all.
/// Errors: BadFile (there is a file of that name), DiskFull, Io.
Result<void> back_up(Database& from, const std::filesystem::path& to, const Progress& progress);

struct MergedRuns {
  struct Run {
    RowId there = 0, here = 0;
    std::string name;
  };
  std::vector<Run> added;
  std::int64_t present = 0;  ///< left out: this database has them
  std::int64_t deleted = 0;  ///< left out: the other one has them deleted
  std::int64_t running = 0;  ///< left out: not over yet
};

/// Adds the runs of another database that this one has not got, by their uuid, each in one
/// transaction, under new numbers. Boards are the same by serial number, networks by checksum,
/// chips by board and sample. A run that was interrupted there is so here.
/// Errors: Busy (a run is writing here), those of the store.
Result<MergedRuns> merge(RunStore& into, RunStore& other, const Progress& progress);

struct Purged {
  std::int64_t runs = 0;
  std::int64_t bytes_before = 0, bytes_after = 0;  ///< size of the file
};

/// Takes deleted runs away for good, all but what their chips bear (`purged_run`), and gives their
/// room back to the disk. Errors: Busy (a run is writing), DiskFull (needs room for a second file).
Result<Purged> purge(RunStore& store);

}  // namespace pcmlab::db

// SPDX-License-Identifier: Apache-2.0
#include "tests/db/small_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/run_store.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::HasSubstr;

constexpr std::size_t kDevices = 20'000;
constexpr std::int64_t kPlenty = 1'000'000'000;

Result<void> commit_sweep(RunStore& store, const PreparedRun& prepared, int ordinal) {
  PCM_ASSIGN(auto transaction, store.transaction());
  PCM_ASSIGN(const RowId sweep, store.begin_sweep(sweep_start(prepared, ordinal)));
  const auto code_sums = make_code_sums(kDevices, static_cast<std::uint64_t>(ordinal));
  PCM_TRY(store.add_sweep_blocks(sweep, make_blocks(code_sums, 4096)));
  PCM_TRY(store.finish_sweep(sweep, 1, 1));
  return transaction.commit();
}

/// Commits sweeps until one fails. \return how many were acknowledged.
int commit_until_error(RunStore& store, const PreparedRun& prepared, int first, Error& error) {
  for (int ordinal = first;; ++ordinal) {
    auto committed = commit_sweep(store, prepared, ordinal);
    if (!committed) {
      error = committed.error();
      return ordinal;
    }
  }
}

/// All acknowledged sweeps, whole and right; \return how many there are.
int check_sweeps(RunStore& store, RowId run) {
  EXPECT_EQ(must(store.database().query_integer(
                "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'")),
            1);
  int ordinal = 0;
  for (const SweepRow& sweep : must(store.sweeps(run))) {
    EXPECT_EQ(sweep.ordinal, ordinal);
    EXPECT_TRUE(sweep.complete);
    EXPECT_TRUE(must(store.sweep_code_sums(sweep.id)) ==
                make_code_sums(kDevices, static_cast<std::uint64_t>(ordinal)));
    ++ordinal;
  }
  return ordinal;
}

TEST(FullDisk, LeavesEveryEarlierCommitWhereverItBecomesFull) {
  for (std::int64_t room = 1'000; room < 800'000; room += 12'345) {
    const TemporaryFolder folder;
    PreparedRun prepared;
    {
      const SmallDisk disk(kPlenty);
      prepared = prepare_run(RunStore::open(folder / "a.db"));
    }
    int acknowledged = 0;
    {
      const SmallDisk disk(room);
      auto store = must(RunStore::open(folder / "a.db"));
      must(store.database().execute("PRAGMA wal_autocheckpoint = 20"));
      Error error;
      acknowledged = commit_until_error(store, prepared, 0, error);
      EXPECT_EQ(error.code, ErrorCode::DiskFull) << room << ": " << error.message;
      EXPECT_THAT(error.message, HasSubstr("database or disk is full"));
      EXPECT_THAT(error.message, HasSubstr((folder / "a.db").string()));
      EXPECT_THAT(error.advice, HasSubstr("room"));
      EXPECT_GT(disk.failures(), 0);
      EXPECT_EQ(check_sweeps(store, prepared.run), acknowledged) << room;
      auto reader = must(RunStore::open_read_only(folder / "a.db"));
      EXPECT_EQ(check_sweeps(reader, prepared.run), acknowledged);
    }
    auto again = must(RunStore::open(folder / "a.db"));
    EXPECT_EQ(check_sweeps(again, prepared.run), acknowledged) << room;
  }
}

TEST(FullDisk, LetsTheSameStoreGoOnWhenThereIsRoom) {
  const TemporaryFolder folder;
  SmallDisk disk(2'000'000);
  auto store = must(RunStore::open(folder / "a.db"));
  const PreparedRun prepared = prepare_run(store);
  int next = 0;
  for (int i = 0; i < 5; ++i) {
    Error error;
    next = commit_until_error(store, prepared, next, error);
    EXPECT_EQ(error.code, ErrorCode::DiskFull);
    disk.add_room(500'000);
  }
  EXPECT_GT(next, 5);
  EXPECT_EQ(check_sweeps(store, prepared.run), next);
}

TEST(FullDisk, WhenMakingADatabaseLeavesAFileThatCanBeMadeLater) {
  for (std::int64_t room = 0; room < 300'000; room += 9'999) {
    const TemporaryFolder folder;
    {
      const SmallDisk disk(room);
      const auto store = RunStore::open(folder / "a.db");
      EXPECT_TRUE(store || store.error().code == ErrorCode::DiskFull) << store.error().message;
    }
    prepare_run(RunStore::open(folder / "a.db"));
  }
}

TEST(FullDisk, AtALimitOfPagesUndoesTheWriteThatDidNotFit) {
  const TemporaryFolder folder;
  auto store = must(RunStore::open(folder / "a.db"));
  const PreparedRun prepared = prepare_run(store);
  must(commit_sweep(store, prepared, 0));
  const auto pages = must(store.database().query_integer("PRAGMA page_count"));
  must(store.database().execute("PRAGMA max_page_count = " + std::to_string(pages + 10)));
  auto transaction = must(store.transaction());
  must(store.add_event(prepared.run, "info", "fits"));
  const RowId sweep = must(store.begin_sweep(sweep_start(prepared, 1)));
  const auto blocks = make_blocks(make_code_sums(200'000, 1), kMaxBlockDevices);
  EXPECT_EQ(error_of(store.add_sweep_blocks(sweep, blocks)).code, ErrorCode::DiskFull);
  must(transaction.commit());
  EXPECT_EQ(must(store.events(prepared.run)).size(), 1U);
  EXPECT_EQ(must(store.sweeps(prepared.run)).at(1).devices, 0);
}

TEST(FailingDisk, LosesNoAcknowledgedSweepWhereverFsyncBeginsToFail) {
  for (int good_syncs = 0; good_syncs < 40; ++good_syncs) {
    const TemporaryFolder folder;
    PreparedRun prepared;
    int acknowledged = 0;
    {
      SmallDisk disk(kPlenty);
      auto store = must(RunStore::open(folder / "a.db"));
      must(store.database().execute("PRAGMA wal_autocheckpoint = 20"));
      prepared = prepare_run(store);
      disk.fail_sync_after(good_syncs);
      Error error;
      acknowledged = commit_until_error(store, prepared, 0, error);
      EXPECT_EQ(error.code, ErrorCode::Io);
      EXPECT_THAT(error.message, HasSubstr("disk I/O error"));
      EXPECT_EQ(check_sweeps(store, prepared.run), acknowledged);
      disk.fail_sync_after(-1);
    }
    auto again = must(RunStore::open(folder / "a.db"));
    EXPECT_EQ(check_sweeps(again, prepared.run), acknowledged) << good_syncs;
  }
}

// ---- stores that wait --------------------------------------------------------------------------

TEST(Patience, DoesTheWholeWorkAgainOnceThereIsRoom) {
  const TemporaryFolder folder;
  SmallDisk disk(kPlenty);
  auto store = must(RunStore::open(folder / "a.db"));
  const PreparedRun prepared = prepare_run(store);
  int waited = 0, over = 0;
  store.set_patience({[&](const Error& trouble) -> Result<void> {
                        EXPECT_EQ(trouble.code, ErrorCode::DiskFull);
                        EXPECT_THAT(trouble.message, HasSubstr("two sweeps"));
                        // Of the work that was undone nothing is there.
                        EXPECT_EQ(check_sweeps(store, prepared.run), 0);
                        // What is written meanwhile does not wait.
                        EXPECT_FALSE(store.add_event(prepared.run, "info", "still full"));
                        if (++waited == 3) disk.add_room(kPlenty);
                        return {};
                      },
                      [&] { ++over; }});
  disk.fill();
  must(store.together("two sweeps", [&]() -> Result<void> {
    PCM_TRY(commit_sweep(store, prepared, 0));
    return commit_sweep(store, prepared, 1);
  }));
  EXPECT_EQ(waited, 3);
  EXPECT_EQ(over, 1);
  EXPECT_EQ(check_sweeps(store, prepared.run), 2);
}

TEST(Patience, EndsTheWorkWithTheErrorOfTheOneWhoWaits) {
  const TemporaryFolder folder;
  SmallDisk disk(kPlenty);
  auto store = must(RunStore::open(folder / "a.db"));
  const PreparedRun prepared = prepare_run(store);
  store.set_patience(
      {[](const Error&) -> Result<void> { return fail(ErrorCode::Stopped, "enough"); }});
  disk.fill();
  const Error error = error_of(store.add_event(prepared.run, "info", std::string(100'000, 'x')));
  EXPECT_EQ(error.code, ErrorCode::Stopped);
  EXPECT_EQ(error.message, "enough");
}

TEST(Patience, IsNotForWhatCannotPass) {
  const TemporaryFolder folder;
  auto store = must(RunStore::open(folder / "a.db"));
  int waited = 0, done = 0;
  store.set_patience({[&](const Error&) -> Result<void> {
    ++waited;
    return {};
  }});
  EXPECT_FALSE(store.add_event(4711, "info", "of a run that is not there"));
  // Somebody else's errors are none of the database.
  EXPECT_FALSE(store.together("work", [&]() -> Result<void> {
    ++done;
    return fail(ErrorCode::Io, "the board's cable");
  }));
  EXPECT_EQ(waited, 0);
  EXPECT_EQ(done, 1);
}

}  // namespace
}  // namespace pcmlab::db

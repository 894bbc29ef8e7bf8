// SPDX-License-Identifier: Apache-2.0
// The database on a disk that loses power, or fails once, at any call.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "db/run_store.h"
#include "tests/db/power_loss.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

constexpr const char* kFile = "/disk/a.db";
constexpr std::size_t kDevices = 3000;

/// What was acknowledged: all of it must be there afterwards.
struct Acknowledged {
  PreparedRun prepared;
  int sweeps = 0;
};

Result<void> prepare(RunStore& store, Acknowledged& done) {
  if (done.prepared.programming != 0) return {};
  RunStart start;
  start.name = "power";
  start.board.serial = "PCM-0042";
  PreparedRun prepared;
  PCM_ASSIGN(auto transaction, store.transaction());
  PCM_ASSIGN(prepared.run, store.begin_run(start));
  PCM_ASSIGN(prepared.step, store.begin_step(prepared.run, 0, "retention", "{}"));
  ProgrammingStart programming;
  programming.run = prepared.run;
  programming.step = prepared.step;
  PCM_ASSIGN(prepared.programming, store.begin_programming(programming));
  PCM_TRY(transaction.commit());
  done.prepared = prepared;
  return {};
}

/// A sweep in two commits: its blocks, then its end. Counts what was acknowledged whole.
Result<void> write_sweep(RunStore& store, Acknowledged& done) {
  const auto sums = make_code_sums(kDevices, static_cast<std::uint64_t>(done.sweeps));
  PCM_ASSIGN(auto transaction, store.transaction());
  PCM_ASSIGN(const RowId sweep, store.begin_sweep(sweep_start(done.prepared, done.sweeps)));
  PCM_TRY(store.add_sweep_blocks(sweep, make_blocks(sums, 1000)));
  PCM_TRY(store.finish_sweep(sweep, 1, 1));
  PCM_TRY(transaction.commit());
  ++done.sweeps;
  return {};
}

/// Opens by itself, whole, with everything that was acknowledged and no complete sweep with a hole.
void check(const Acknowledged& done, const std::string& when) {
  auto store = must(RunStore::open(kFile));
  EXPECT_EQ(must(store.database().query_integer(
                "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'")),
            1)
      << when;
  if (done.prepared.programming == 0) return;
  const auto sweeps = must(store.sweeps(done.prepared.run));
  EXPECT_GE(static_cast<int>(sweeps.size()), done.sweeps) << when;
  EXPECT_LE(static_cast<int>(sweeps.size()), done.sweeps + 1) << when;
  for (const SweepRow& sweep : sweeps) {
    if (!sweep.complete) continue;
    EXPECT_TRUE(must(store.sweep_code_sums(sweep.id)) ==
                make_code_sums(kDevices, static_cast<std::uint64_t>(sweep.ordinal)))
        << when << ", sweep " << sweep.ordinal;
  }
}

TEST(PowerLoss, LosesNoAcknowledgedSweepIn500Crashes) {
  std::mt19937_64 random(31);
  int crashes = 0, sweeps = 0;
  while (crashes < 500) {
    MemoryDisk disk;
    Acknowledged done;
    for (int i = 0; i < 10; ++i, ++crashes) {
      disk.lose_power_at(static_cast<std::int64_t>(1 + random() % (i == 0 ? 200 : 120)));
      {
        const auto work = [&]() -> Result<void> {
          PCM_ASSIGN(auto store, RunStore::open(kFile));
          PCM_TRY(store.database().execute("PRAGMA wal_autocheckpoint = 6"));
          PCM_TRY(prepare(store, done));
          for (;;) PCM_TRY(write_sweep(store, done));
        };
        EXPECT_FALSE(work().has_value());
      }
      disk.restart(random);
      check(done, "crash " + std::to_string(crashes));
      if (testing::Test::HasFailure()) return;
      // The one that was being committed may have come through.
      if (done.prepared.programming != 0) {
        auto store = must(RunStore::open(kFile));
        done.sweeps = static_cast<int>(must(store.sweeps(done.prepared.run)).size());
      }
    }
    sweeps += done.sweeps;
  }
  EXPECT_GT(sweeps, 500);
}

/// What is done on a disk that fails once.
struct Workload {
  const char* name;
  std::function<Result<void>(Acknowledged&)> run;
};

Result<void> make_a_run(Acknowledged& done) {
  PCM_ASSIGN(auto store, RunStore::open(kFile));
  return prepare(store, done);
}

Result<void> write_some_sweeps(Acknowledged& done) {
  PCM_ASSIGN(auto store, RunStore::open(kFile));
  PCM_TRY(store.database().execute("PRAGMA wal_autocheckpoint = 6"));
  PCM_TRY(prepare(store, done));
  for (int i = 0; i < 4; ++i) PCM_TRY(write_sweep(store, done));
  return {};
}

Result<void> open_often_and_shrink(Acknowledged& done) {
  for (int i = 0; i < 3; ++i) {
    PCM_ASSIGN(auto store, RunStore::open(kFile));
    PCM_TRY(prepare(store, done));
    PCM_TRY(write_sweep(store, done));
    PCM_TRY(store.database().execute("PRAGMA wal_checkpoint(TRUNCATE)"));
    PCM_TRY(store.database().execute("VACUUM"));
  }
  return {};
}

TEST(FailingDisk, LosesNothingWhicheverCallFailsOnce) {
  const std::vector<Workload> workloads{{"making a run", make_a_run},
                                        {"writing sweeps", write_some_sweeps},
                                        {"opening and shrinking", open_often_and_shrink}};
  using Call = MemoryDisk::Call;
  // Of the many writes only some.
#ifdef PCMLAB_SANITIZED
  constexpr std::int64_t kEveryWrite = 12;
#else
  constexpr std::int64_t kEveryWrite = 3;
#endif
  const std::vector<std::pair<const char*, Call>> calls{{"write", Call::Write},
                                                        {"fsync", Call::Sync},
                                                        {"open", Call::Open},
                                                        {"truncate", Call::Truncate}};
  int failures = 0;
  for (const Workload& workload : workloads) {
    for (const auto& [name, call] : calls) {
      bool reached = true;
      for (std::int64_t nth = 1; reached; nth += call == Call::Write ? kEveryWrite : 1) {
        MemoryDisk disk;
        Acknowledged done;
        disk.fail_at(call, nth);
        // It may succeed: a checkpoint is tried again later.
        const auto outcome = workload.run(done);
        reached = disk.has_failed();
        if (!outcome) {
          EXPECT_TRUE(reached) << outcome.error().message;
        }
        failures += reached ? 1 : 0;
        disk.fail_at(call, 0);
        check(done, std::string(workload.name) + ", " + name + " " + std::to_string(nth));
        if (testing::Test::HasFailure()) return;
      }
    }
  }
  EXPECT_GT(failures, 100);
}

}  // namespace
}  // namespace pcmlab::db

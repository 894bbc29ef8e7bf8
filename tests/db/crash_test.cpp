// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <string>

#include "db/run_store.h"
#include "tests/db/child_process.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::HasSubstr;

constexpr std::size_t kBlockDevices = 4096;

/// The only block of a sweep, which its ordinal tells.
std::vector<std::uint16_t> block_of(int ordinal) {
  return make_code_sums(kBlockDevices, static_cast<std::uint64_t>(ordinal));
}

/// Lets some time pass without sleeping.
void spin(std::uint64_t rounds) {
  std::atomic<std::uint64_t> left = rounds;
  while (left-- > 0) {
  }
}

/// One run that commits sweeps of one block and tells each number, until it is killed.
void write_until_killed(const std::filesystem::path& file, const ChildProcess::Tell& tell) {
  auto store = must(RunStore::open(file));
  must(store.database().execute("PRAGMA wal_autocheckpoint = 50"));
  const PreparedRun prepared = prepare_run(store);
  tell(prepared.run);
  for (int ordinal = 0;; ++ordinal) {
    auto transaction = must(store.transaction());
    const RowId sweep = must(store.begin_sweep(sweep_start(prepared, ordinal)));
    must(store.add_sweep_blocks(sweep, make_blocks(block_of(ordinal), kBlockDevices)));
    must(store.finish_sweep(sweep, 1, 1));
    must(transaction.commit());
    tell(ordinal);
  }
}

/// How often a writer is killed; PCMLAB_KILLS sets another number.
int wanted_kills() {
#ifdef PCMLAB_SANITIZED
  constexpr int kUsual = 40;
#else
  constexpr int kUsual = 200;
#endif
  const char* const wanted = std::getenv("PCMLAB_KILLS");
  return wanted == nullptr ? kUsual : std::stoi(wanted);
}

TEST(Kill, LosesNoAcknowledgedBlock) {
  const int kills = wanted_kills();
  const TemporaryFolder folder;
  std::mt19937_64 random(11);
  std::vector<std::pair<RowId, int>> acknowledged;  // run and its sweeps
  for (int kill = 0; kill < kills; ++kill) {
    ChildProcess writer([&](const auto& tell) { write_until_killed(folder / "a.db", tell); });
    const RowId run = writer.next();
    ASSERT_GT(run, 0);
    int sweeps = 0;
    for (const int most = static_cast<int>(random() % 15); sweeps < most; ++sweeps) {
      ASSERT_EQ(writer.next(), sweeps);
    }
    // Some way into the next commit.
    spin(random() % 300'000);
    writer.kill();
    ASSERT_EQ(writer.wait(), -1);
    while (writer.next() >= 0) {
      ++sweeps;
    }
    acknowledged.emplace_back(run, sweeps);

    auto store = must(RunStore::open(folder / "a.db"));
    EXPECT_EQ(must(store.database().query_integer(
                  "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'")),
              1);
    const auto kept = must(store.sweeps(run));
    // The last may have been committed and not yet told.
    EXPECT_GE(static_cast<int>(kept.size()), sweeps);
    EXPECT_LE(static_cast<int>(kept.size()), sweeps + 1);
    for (const SweepRow& sweep : kept) {
      EXPECT_TRUE(must(store.sweep_code_sums(sweep.id)) == block_of(sweep.ordinal));
    }
    EXPECT_EQ(must(store.run(run)).state, RunState::Interrupted);
  }
  auto store = must(RunStore::open_read_only(folder / "a.db"));
  for (const auto& [run, sweeps] : acknowledged) {
    EXPECT_GE(static_cast<int>(must(store.sweeps(run)).size()), sweeps);
  }
}

TEST(Kill, WhileMakingADatabaseLeavesOneThatOpens) {
  std::mt19937_64 random(12);
  for (int kill = 0; kill < 40; ++kill) {
    const TemporaryFolder folder;
    ChildProcess maker([&](const auto& tell) {
      tell(0);
      must(RunStore::open(folder / "a.db"));
      tell(1);
    });
    ASSERT_EQ(maker.next(), 0);
    spin(random() % 3'000'000);
    maker.kill();
    maker.wait();
    auto store = must(RunStore::open(folder / "a.db"));
    EXPECT_EQ(prepare_run(store).run, 1);
  }
}

TEST(SecondWriter, IsRefusedWithAClearMessage) {
  const TemporaryFolder folder;
  auto first = must(RunStore::open(folder / "a.db"));
  const PreparedRun prepared = prepare_run(first);
  auto second = must(RunStore::open(folder / "a.db", std::chrono::milliseconds::zero()));
  auto transaction = must(first.transaction());
  const Error error = error_of(second.add_event(prepared.run, "info", "x"));
  EXPECT_EQ(error.code, ErrorCode::Busy);
  EXPECT_THAT(error.message, HasSubstr("noting an event of run 1"));
  EXPECT_THAT(error.message, HasSubstr((folder / "a.db").string()));
  EXPECT_THAT(error.message, HasSubstr("database is locked"));
  EXPECT_THAT(error.advice, HasSubstr("this process"));
  must(transaction.commit());
  must(second.add_event(prepared.run, "info", "x"));
}

TEST(SecondWriter, IsToldTheProcessOfTheFirst) {
  const TemporaryFolder folder;
  ChildProcess first([&](const auto& tell) {
    auto store = must(RunStore::open(folder / "a.db"));
    const auto transaction = must(store.transaction());
    tell(0);
    pause();
  });
  ASSERT_EQ(first.next(), 0);
  auto second = must(RunStore::open(folder / "a.db", std::chrono::milliseconds::zero()));
  EXPECT_EQ(write_lock_holder(folder / "a.db"), first.pid());
  const Error error = error_of(second.transaction());
  EXPECT_EQ(error.code, ErrorCode::Busy);
  EXPECT_THAT(error.advice, HasSubstr("Process " + std::to_string(first.pid()) + " is writing"));
  first.kill();
  first.wait();
  EXPECT_EQ(write_lock_holder(folder / "a.db"), std::nullopt);
  must(must(second.transaction()).commit());
}

TEST(SecondWriter, MakesTheSameDatabaseAtTheSameTime) {
  for (int i = 0; i < 10; ++i) {
    const TemporaryFolder folder;
    const auto make = [&](const auto&) { must(RunStore::open(folder / "a.db")); };
    ChildProcess first(make);
    ChildProcess second(make);
    EXPECT_EQ(first.wait(), 0);
    EXPECT_EQ(second.wait(), 0);
    EXPECT_TRUE(must(must(RunStore::open_read_only(folder / "a.db")).runs()).empty());
  }
}

TEST(SecondRunner, IsRefusedWithTheProcessOfTheFirst) {
  const TemporaryFolder folder;
  ChildProcess first([&](const auto& tell) {
    auto store = must(RunStore::open(folder / "a.db"));
    prepare_run(store);
    tell(0);
    pause();
  });
  ASSERT_EQ(first.next(), 0);
  {
    auto second = must(RunStore::open(folder / "a.db"));
    const Error error = error_of(second.begin_run(make_run_start(2)));
    EXPECT_EQ(error.code, ErrorCode::Busy);
    EXPECT_THAT(error.message, HasSubstr("process " + std::to_string(first.pid())));
    EXPECT_EQ(must(second.active_run())->pid, first.pid());
    // What people say of a run does not wait for its end.
    must(second.add_note(1, "looks good", "me"));
  }
  first.kill();
  first.wait();
  auto second = must(RunStore::open(folder / "a.db"));
  EXPECT_FALSE(must(second.active_run()).has_value());
  EXPECT_EQ(must(second.begin_run(make_run_start(2))), 2);
}

}  // namespace
}  // namespace pcmlab::db

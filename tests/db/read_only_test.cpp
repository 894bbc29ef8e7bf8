// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/run_store.h"
#include "tests/db/child_process.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kSweeps = 3;

void write_sweeps(const std::filesystem::path& file) {
  auto store = must(RunStore::open(file));
  const PreparedRun prepared = prepare_run(store);
  for (int i = 0; i < kSweeps; ++i) {
    const RowId sweep = must(store.begin_sweep(sweep_start(prepared, i)));
    must(store.add_sweep_blocks(sweep, make_blocks(make_code_sums(5000, 1), 2000)));
    must(store.finish_sweep(sweep, 1, 1));
  }
}

/// Reads all there is. Throws when it is not what write_sweeps() wrote.
void read_sweeps(const std::filesystem::path& file) {
  auto store = must(RunStore::open_read_only(file));
  const auto runs = must(store.runs());
  const auto sweeps = must(store.sweeps(runs.at(0).id));
  if (sweeps.size() != kSweeps) {
    throw std::runtime_error("sweeps are missing");
  }
  for (const SweepRow& sweep : sweeps) {
    if (must(store.sweep_code_sums(sweep.id)) != make_code_sums(5000, 1)) {
      throw std::runtime_error("a sweep is not as it was");
    }
  }
}

class ReadOnly : public testing::Test {
 protected:
  /// A closed database; with `killed`, one whose WAL holds all that was written.
  void make_database(bool killed) const {
    if (!killed) {
      write_sweeps(file_);
      return;
    }
    ChildProcess writer([&](const ChildProcess::Tell& tell) {
      auto store = must(RunStore::open(file_));  // keeps the WAL from being taken up at the end
      write_sweeps(file_);
      tell(1);
      pause();
    });
    ASSERT_EQ(writer.next(), 1);
    writer.kill();
    writer.wait();
    ASSERT_GT(std::filesystem::file_size(wal_), 0U);
  }

  void protect_folder() const {
    using std::filesystem::perms;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      std::filesystem::permissions(entry.path(), perms(0444));
    }
    std::filesystem::permissions(folder_.path(), perms(0555));
  }

  const TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_ / "results.db";
  const std::filesystem::path wal_ = folder_ / "results.db-wal";
  const std::filesystem::path index_ = folder_ / "results.db-shm";
};

TEST_F(ReadOnly, LeavesTheFileAsItWas) {
  make_database(false);
  const std::string bytes = bytes_of_file(file_);
  read_sweeps(file_);
  EXPECT_EQ(bytes_of_file(file_), bytes);
}

TEST_F(ReadOnly, ReadsTheWalOfAKilledWriterAndLeavesBothAsTheyWere) {
  make_database(true);
  const std::string bytes = bytes_of_file(file_);
  const std::string wal = bytes_of_file(wal_);
  read_sweeps(file_);
  EXPECT_EQ(bytes_of_file(file_), bytes);
  EXPECT_EQ(bytes_of_file(wal_), wal);
}

TEST_F(ReadOnly, ReadsAWalThatLostItsIndex) {
  make_database(true);
  std::filesystem::remove(index_);
  const std::string bytes = bytes_of_file(file_);
  const std::string wal = bytes_of_file(wal_);
  read_sweeps(file_);
  EXPECT_EQ(bytes_of_file(file_), bytes);
  EXPECT_EQ(bytes_of_file(wal_), wal);
}

TEST_F(ReadOnly, WorksInAProtectedFolder) {
  make_database(false);
  protect_folder();
  EXPECT_EQ(as_ordinary_user([&] { read_sweeps(file_); }), "");
}

TEST_F(ReadOnly, WorksInAProtectedFolderWithTheWalOfAKilledWriter) {
  make_database(true);
  protect_folder();
  const std::string wal = bytes_of_file(wal_);
  EXPECT_EQ(as_ordinary_user([&] { read_sweeps(file_); }), "");
  EXPECT_EQ(bytes_of_file(wal_), wal);
}

TEST_F(ReadOnly, WorksInAProtectedFolderWithAWalThatLostItsIndex) {
  make_database(true);
  std::filesystem::remove(index_);
  protect_folder();
  const std::string bytes = bytes_of_file(file_);
  const std::string wal = bytes_of_file(wal_);
  EXPECT_EQ(as_ordinary_user([&] { read_sweeps(file_); }), "");
  EXPECT_EQ(bytes_of_file(file_), bytes);
  EXPECT_EQ(bytes_of_file(wal_), wal);
}

TEST_F(ReadOnly, DoesNotGuessBesideAnIndexItMayNotRead) {
  make_database(true);
  protect_folder();
  std::filesystem::permissions(index_, std::filesystem::perms::none);
  EXPECT_THAT(as_ordinary_user([&] { read_sweeps(file_); }), HasSubstr("input/output"));
}

TEST_F(ReadOnly, RefusesToWrite) {
  make_database(false);
  auto store = must(RunStore::open_read_only(file_));
  const Error error = error_of(store.add_event(1, "info", "x"));
  EXPECT_EQ(error.code, ErrorCode::Io);
  EXPECT_THAT(error.message, HasSubstr("readonly"));
  EXPECT_EQ(error_of(store.transaction()).code, ErrorCode::Io);
}

TEST_F(ReadOnly, DoesNotMakeAFile) {
  const Error error = error_of(RunStore::open_read_only(file_));
  EXPECT_EQ(error.code, ErrorCode::NotFound);
  EXPECT_THAT(error.message, HasSubstr(file_.string()));
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(ReadOnly, RefusesAnEmptyFile) {
  write_file(file_, "");
  EXPECT_EQ(error_of(RunStore::open_read_only(file_)).code, ErrorCode::BadFile);
  EXPECT_EQ(bytes_of_file(file_), "");
}

TEST_F(ReadOnly, SeesEachCommitOfAWriterAtOnce) {
  auto writer = must(RunStore::open(file_));
  auto reader = must(RunStore::open_read_only(file_));
  const RowId run = prepare_run(writer).run;
  const auto version = must(reader.database().query_integer("PRAGMA data_version"));
  for (std::size_t i = 1; i <= 5; ++i) {
    must(writer.add_event(run, "info", "x"));
    EXPECT_EQ(must(reader.events(run)).size(), i);
  }
  EXPECT_NE(must(reader.database().query_integer("PRAGMA data_version")), version);
}

TEST_F(ReadOnly, IsNotHeldUpByAWriter) {
  auto writer = must(RunStore::open(file_));
  const RowId run = prepare_run(writer).run;
  auto transaction = must(writer.transaction());
  must(writer.add_event(run, "info", "x"));
  auto reader = must(RunStore::open_read_only(file_, std::chrono::milliseconds::zero()));
  EXPECT_EQ(must(reader.events(run)).size(), 0U);
  must(transaction.commit());
  EXPECT_EQ(must(reader.events(run)).size(), 1U);
}

}  // namespace
}  // namespace pcmlab::db

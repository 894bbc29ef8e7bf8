// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "db/run_store.h"
#include "tests/db/child_process.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

class InterruptedRun : public testing::Test {
 protected:
  RunState state() const { return must(must(RunStore::open_read_only(file_)).run(1)).state; }
  /// Changes the run of this process as if another had begun it.
  void begin_run_as(const std::string& change) const {
    auto store = must(RunStore::open(file_));
    prepare_run(store);
    must(store.database().execute("UPDATE run SET " + change));
  }
  const TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_ / "a.db";
};

TEST_F(InterruptedRun, IsOneWhoseProcessWasKilled) {
  ChildProcess runner([&](const auto& tell) {
    auto store = must(RunStore::open(file_));
    prepare_run(store);
    tell(0);
    pause();
  });
  ASSERT_EQ(runner.next(), 0);
  EXPECT_EQ(state(), RunState::Running);
  runner.kill();
  runner.await_death();
  EXPECT_EQ(state(), RunState::Interrupted) << "dead, and its parent has not asked yet";
  runner.wait();
  const std::string bytes = bytes_of_file(file_);
  auto store = must(RunStore::open_read_only(file_));
  EXPECT_EQ(must(store.runs()).at(0).state, RunState::Interrupted);
  EXPECT_EQ(must(store.steps(1)).at(0).state, RunState::Interrupted);
  EXPECT_EQ(
      must(store.database().query_integer("SELECT count(*) FROM run WHERE state = 'running'")), 1);
  EXPECT_EQ(bytes_of_file(file_), bytes);
}

TEST_F(InterruptedRun, IsNotOneThatEnded) {
  ChildProcess runner([&](const auto&) {
    auto store = must(RunStore::open(file_));
    must(store.finish_run(prepare_run(store).run, RunState::Stopped, ""));
  });
  EXPECT_EQ(runner.wait(), 0);
  EXPECT_EQ(state(), RunState::Stopped);
}

TEST_F(InterruptedRun, IsNotOneOfThisProcess) {
  begin_run_as("name = name");
  EXPECT_EQ(state(), RunState::Running);
}

TEST_F(InterruptedRun, IsOneWhoseProcessNumberBelongsToALaterProcess) {
  begin_run_as("pid_start_ticks = pid_start_ticks - 1");
  EXPECT_EQ(state(), RunState::Interrupted);
}

TEST_F(InterruptedRun, IsOneFromBeforeTheLastBoot) {
  begin_run_as("host_boot_id = '00000000-0000-0000-0000-000000000000'");
  EXPECT_EQ(state(), RunState::Interrupted);
}

TEST_F(InterruptedRun, IsNotOneOfAnotherMachine) {
  begin_run_as("host = 'elsewhere', pid = 1, pid_start_ticks = 1");
  EXPECT_EQ(state(), RunState::Running) << "nothing is known of its processes";
}

TEST_F(InterruptedRun, IsNotOneOfAProcessThatOneMayNotSignal) {
  begin_run_as("pid = 1, pid_start_ticks = 0");
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0777));
  std::filesystem::permissions(file_, std::filesystem::perms(0666));
  EXPECT_EQ(as_ordinary_user([&] {
              if (state() != RunState::Running) {
                throw std::runtime_error("taken for dead");
              }
            }),
            "");
}

}  // namespace
}  // namespace pcmlab::db

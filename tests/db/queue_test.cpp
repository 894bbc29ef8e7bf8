// SPDX-License-Identifier: Apache-2.0
// The queue: plans become runs once, in their order, and follow what becomes of the runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "db/care.h"
#include "db/run_store.h"
#include "tests/db/child_process.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t kNow_ns = 1'700'000'000'000'000'000;

class Queue : public testing::Test {
 protected:
  RowId add(const std::string& name, std::int64_t not_before_utc_ns = 0) {
    QueueStart start;
    start.name = name;
    start.plan_text = "# " + name;
    start.folder = "/lab";
    start.added_by = "Ada";
    start.not_before_utc_ns = not_before_utc_ns;
    return must(store_.add_queue_entry(start));
  }
  RowId begin(RowId entry) {
    RunStart start = make_run_start(1);
    start.queue_entry = entry;
    return must(store_.begin_run(start));
  }
  std::vector<std::string> names() {
    std::vector<std::string> names;
    const auto entries = must(store_.queue());
    std::transform(entries.begin(), entries.end(), std::back_inserter(names),
                   [](const QueueEntry& entry) { return entry.name; });
    return names;
  }
  std::string next(std::int64_t utc_ns = kNow_ns) {
    const auto entry = must(store_.next_queue_entry(utc_ns));
    return entry ? entry->name : "";
  }
  QueueState state(RowId entry) { return must(store_.queue_entry(entry)).state; }

  TemporaryFolder folder_;
  RunStore store_ = must(RunStore::open(folder_ / "a.db"));
};

TEST_F(Queue, KeepsPlansAsTheyWereGivenInTheOrderInWhichTheyCame) {
  add("a");
  const RowId b = add("b", kNow_ns);
  EXPECT_THAT(names(), ElementsAre("a", "b"));
  const QueueEntry entry = must(store_.queue_entry(b));
  EXPECT_EQ(entry.plan_text, "# b");
  EXPECT_EQ(entry.folder, "/lab");
  EXPECT_EQ(entry.added_by, "Ada");
  EXPECT_EQ(entry.not_before_utc, "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(entry.not_before_utc_ns, kNow_ns);
  EXPECT_EQ(entry.state, QueueState::Waiting);
  EXPECT_FALSE(entry.run.has_value());
  EXPECT_THAT(error_of(store_.queue_entry(7)).message, HasSubstr("there is no entry 7"));
}

TEST_F(Queue, MovesWhatWaits) {
  const RowId a = add("a"), b = add("b"), c = add("c");
  must(store_.move_queue_entry(c, QueueMove::First));
  EXPECT_THAT(names(), ElementsAre("c", "a", "b"));
  must(store_.move_queue_entry(c, QueueMove::Last));
  EXPECT_THAT(names(), ElementsAre("a", "b", "c"));
  must(store_.move_queue_entry(b, QueueMove::Up));
  must(store_.move_queue_entry(b, QueueMove::Up));
  EXPECT_THAT(names(), ElementsAre("b", "a", "c"));
  must(store_.move_queue_entry(a, QueueMove::Down));
  must(store_.move_queue_entry(a, QueueMove::Down));
  EXPECT_THAT(names(), ElementsAre("b", "c", "a"));
  must(store_.move_queue_entry(b, QueueMove::Before, a));
  EXPECT_THAT(names(), ElementsAre("c", "b", "a"));
  must(store_.move_queue_entry(a, QueueMove::Before, c));
  EXPECT_THAT(names(), ElementsAre("a", "c", "b"));
  must(store_.move_queue_entry(a, QueueMove::Before, a));
  EXPECT_THAT(names(), ElementsAre("a", "c", "b"));
  add("d");
  EXPECT_THAT(names(), ElementsAre("a", "c", "b", "d"));
}

TEST_F(Queue, ThatWasMovedAtRandomHasEveryEntryOnce) {
  std::mt19937 random(3);
  std::vector<RowId> ids;
  for (int i = 0; i < 7; ++i) ids.push_back(add(std::string(1, static_cast<char>('a' + i))));
  for (int i = 0; i < 200; ++i) {
    must(store_.move_queue_entry(ids[random() % ids.size()], static_cast<QueueMove>(random() % 5),
                                 ids[random() % ids.size()]));
    auto now = names();
    std::sort(now.begin(), now.end());
    ASSERT_THAT(now, ElementsAre("a", "b", "c", "d", "e", "f", "g"));
  }
}

TEST_F(Queue, GivesTheFirstThatMayBegin) {
  EXPECT_EQ(next(), "");
  add("later", kNow_ns + 1'000'000);
  EXPECT_EQ(next(), "");
  add("now");
  EXPECT_EQ(next(), "now");
  EXPECT_EQ(next(kNow_ns + 1'000'000), "later");
}

TEST_F(Queue, AnEntryBecomesOneRun) {
  const RowId entry = add("a");
  const RowId run = begin(entry);
  EXPECT_EQ(state(entry), QueueState::Running);
  EXPECT_EQ(must(store_.queue_entry(entry)).run, run);
  RunStart again = make_run_start(1);
  again.queue_entry = entry;
  EXPECT_THAT(error_of(store_.begin_run(again)).message, HasSubstr("does not wait"));
  EXPECT_EQ(must(store_.runs()).size(), 1U) << "nothing is left of a run that was refused";
  EXPECT_EQ(error_of(store_.move_queue_entry(entry, QueueMove::Up)).code, ErrorCode::BadPlan);
}

TEST_F(Queue, AnEntryFollowsItsRun) {
  for (const auto& [run_state, entry_state] :
       {std::pair{RunState::Complete, QueueState::Done}, {RunState::Failed, QueueState::Failed}}) {
    const RowId entry = add("a");
    const RowId run = begin(entry);
    must(store_.finish_run(run, run_state, "why"));
    EXPECT_EQ(state(entry), entry_state);
    EXPECT_EQ(must(store_.queue_entry(entry)).error, "why");
    EXPECT_EQ(must(store_.queue_entry(entry)).ended_utc, must(store_.run(run)).ended_utc);
  }
  EXPECT_EQ(next(), "");
}

TEST_F(Queue, AFailedRunThatSomebodyGoesOnWithIsAtWorkAgain) {
  const RowId entry = add("a");
  const RowId run = begin(entry);
  must(store_.finish_run(run, RunState::Failed, "why"));
  must(store_.resume_run(run, "", "", Elsewhere::Refused));
  EXPECT_EQ(state(entry), QueueState::Running);
  EXPECT_EQ(must(store_.queue_entry(entry)).ended_utc, "");
}

TEST_F(Queue, ARunThatASignalStoppedIsToBeGoneOnWithOneThatAPersonStoppedIsNot) {
  const RowId entry = add("a");
  const RowId run = begin(entry);
  must(store_.finish_run(run, RunState::Stopped, "stopped on request"));
  EXPECT_EQ(state(entry), QueueState::Running);
  EXPECT_EQ(next(), "a");
  must(store_.resume_run(run, "", "", Elsewhere::Refused));
  must(store_.request(run, RunCommand::Pause, "Ada"));
  must(store_.take_commands(run));
  must(store_.finish_run(run, RunState::Stopped, "stopped on request"));
  EXPECT_EQ(state(entry), QueueState::Running);
  must(store_.resume_run(run, "", "", Elsewhere::Refused));
  must(store_.request(run, RunCommand::Stop, "Ada"));
  must(store_.take_commands(run));
  must(store_.finish_run(run, RunState::Stopped, "stopped by Ada"));
  EXPECT_EQ(state(entry), QueueState::Stopped);
  EXPECT_EQ(next(), "");
}

TEST_F(Queue, ForgetsWhatWasTakenOutAndKeepsTheRun) {
  const RowId a = add("a"), b = add("b");
  must(store_.remove_queue_entry(a));
  EXPECT_THAT(names(), ElementsAre("b"));
  const RowId run = begin(b);
  EXPECT_THAT(error_of(store_.remove_queue_entry(b)).message, HasSubstr("which it became"));
  must(store_.finish_run(run, RunState::Stopped, ""));
  must(store_.remove_queue_entry(b));
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_EQ(must(store_.runs()).size(), 1U);
}

TEST_F(Queue, AnEntryThatCannotBeginSaysWhy) {
  const RowId entry = add("a");
  must(store_.fail_queue_entry(entry, "no such network"));
  EXPECT_EQ(state(entry), QueueState::Failed);
  EXPECT_EQ(must(store_.queue_entry(entry)).error, "no such network");
  EXPECT_EQ(next(), "");
}

TEST_F(Queue, OutlivesARunThatIsPurgedAndIsNotMerged) {
  const RowId over = add("over");
  must(store_.finish_run(begin(over), RunState::Complete, ""));
  const RowId interrupted = add("interrupted");
  const RowId run = begin(interrupted);
  must(store_.finish_run(run, RunState::Stopped, ""));
  auto other = must(RunStore::open(folder_ / "b.db"));
  must(merge(other, store_, {}));
  EXPECT_EQ(must(other.runs()).size(), 2U);
  EXPECT_THAT(must(other.queue()), IsEmpty());
  must(store_.delete_run(run, "Ada"));
  EXPECT_EQ(state(interrupted), QueueState::Stopped);
  must(store_.delete_run(1, "Ada"));
  must(purge(store_));
  EXPECT_EQ(state(over), QueueState::Done);
  EXPECT_FALSE(must(store_.queue_entry(over)).run.has_value());
  EXPECT_EQ(must(store_.queue_entry(interrupted)).error, "its run was deleted");
  EXPECT_EQ(next(), "");
}

/// One process after another works the queue and is killed somewhere; no entry becomes two runs.
TEST(QueueCrash, AnEntryBecomesOneRunHoweverOftenItsProcessIsKilled) {
  constexpr int kEntries = 30;
  const TemporaryFolder folder;
  {
    auto store = must(RunStore::open(folder / "a.db"));
    for (int i = 0; i < kEntries; ++i) must(store.add_queue_entry({std::to_string(i), "", "", ""}));
  }
  std::mt19937_64 random(5);
  int kills = 0;
  for (bool over = false; !over;) {
    ChildProcess worker([&](const ChildProcess::Tell& tell) {
      auto store = must(RunStore::open(folder / "a.db"));
      for (;;) {
        const auto entry = must(store.next_queue_entry(kNow_ns));
        if (!entry) return;
        RowId run = entry->run.value_or(0);
        tell(1);
        if (run == 0) {
          RunStart start = make_run_start(1);
          start.queue_entry = entry->id;
          run = must(store.begin_run(start));
        } else {
          must(store.resume_run(run, "", "", Elsewhere::Refused));
        }
        tell(2);
        must(store.finish_run(run, RunState::Complete, ""));
        tell(3);
      }
    });
    int seen = 0;
    const auto wanted = static_cast<int>(random() % 6);
    while (seen < wanted && worker.next() >= 0) ++seen;
    if (seen == wanted) {
      worker.kill();
      ++kills;
    }
    over = worker.wait() == 0;
  }
  auto store = must(RunStore::open_read_only(folder / "a.db"));
  EXPECT_GT(kills, 10);
  EXPECT_EQ(must(store.runs()).size(), std::size_t{kEntries});
  for (const QueueEntry& entry : must(store.queue())) {
    EXPECT_EQ(entry.state, QueueState::Done) << entry.id;
  }
}

}  // namespace
}  // namespace pcmlab::db

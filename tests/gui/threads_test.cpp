// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <QObject>
#include <atomic>
#include <latch>
#include <memory>
#include <vector>

#include "app/gui/follower.h"
#include "app/gui/reading_thread.h"
#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

db::RunStore new_database(const std::filesystem::path& file) {
  auto store = db::RunStore::open(file);
  if (!store) throw std::runtime_error(store.error().message);
  return std::move(*store);
}

db::RowId begin_run(db::RunStore& store, const std::string& name) {
  db::RunStart start;
  start.name = name;
  return store.begin_run(start).value();
}

TEST(ReadingThread, AnswersOnlyTheNewestQuestionOfAnAsker) {
  const app::TemporaryFolder folder;
  const auto store = new_database(folder / "lab.db");
  ReadingThread thread;
  thread.open(folder / "lab.db");
  QObject asker;
  std::latch begun(1);
  std::vector<int> answers;
  const auto keep = [&](const Result<int>& answer) { answers.push_back(answer.value()); };
  thread.ask<int>(
      &asker,
      [&](db::RunStore&, const std::stop_token& stop) -> Result<int> {
        begun.count_down();
        while (!stop.stop_requested()) std::this_thread::yield();
        return 1;
      },
      keep);
  begun.wait();
  thread.ask<int>(
      &asker, [](db::RunStore&, const std::stop_token&) { return Result<int>(2); }, keep);
  thread.ask<int>(
      &asker, [](db::RunStore&, const std::stop_token&) { return Result<int>(3); }, keep);
  EXPECT_TRUE(thread.is_asked_by(&asker));
  ASSERT_TRUE(wait_until([&] { return !thread.is_asked_by(&asker); }));
  EXPECT_EQ(answers, std::vector<int>{3});
}

TEST(ReadingThread, DoesNotAnswerAnAskerThatIsGone) {
  const app::TemporaryFolder folder;
  const auto store = new_database(folder / "lab.db");
  ReadingThread thread;
  thread.open(folder / "lab.db");
  bool answered = false;
  auto asker = std::make_unique<QObject>();
  const QObject* gone = asker.get();
  thread.ask<int>(
      asker.get(), [](db::RunStore&, const std::stop_token&) { return Result<int>(1); },
      [&](const Result<int>&) { answered = true; });
  asker.reset();
  ASSERT_TRUE(wait_until([&] { return !thread.is_asked_by(gone); }));
  EXPECT_FALSE(answered);
}

TEST(ReadingThread, TellsEveryAskerWhyThereIsNoDatabase) {
  const app::TemporaryFolder folder;
  ReadingThread thread;
  thread.open(folder / "none.db");
  QObject asker;
  std::optional<Error> error;
  thread.ask<int>(
      &asker, [](db::RunStore&, const std::stop_token&) { return Result<int>(1); },
      [&](Result<int> answer) { error = answer.error(); });
  ASSERT_TRUE(wait_until([&] { return error.has_value(); }));
  EXPECT_EQ(error->code, ErrorCode::NotFound);
}

TEST(Follower, TellsOfEveryRunThatAnotherConnectionBegins) {
  const app::TemporaryFolder folder;
  auto store = new_database(folder / "lab.db");
  std::shared_ptr<const Snapshot> seen;
  const Follower follower(
      folder / "lab.db",
      [&](Result<std::shared_ptr<const Snapshot>> snapshot) { seen = snapshot.value(); },
      std::chrono::milliseconds(1));
  ASSERT_TRUE(wait_until([&] { return seen != nullptr; }));
  EXPECT_TRUE(seen->runs.empty());

  const db::RowId run = begin_run(store, "first");
  ASSERT_TRUE(store.set_progress(run, {"sweep 1 of 2", 1, 2, 30}));
  ASSERT_TRUE(store.add_note(run, "look here", "me"));
  ASSERT_TRUE(wait_until([&] {
    return !seen->runs.empty() && seen->runs.front().progress && seen->runs.front().notes == 1;
  }));
  EXPECT_EQ(seen->find(run)->row.name, "first");
  EXPECT_EQ(seen->find(run)->progress->activity, "sweep 1 of 2");

  ASSERT_TRUE(store.finish_run(run, db::RunState::Complete, ""));
  EXPECT_TRUE(wait_until([&] { return seen->find(run)->row.state == db::RunState::Complete; }));
}

TEST(Follower, FindsADatabaseThatIsMadeLater) {
  const app::TemporaryFolder folder;
  int errors = 0;
  std::shared_ptr<const Snapshot> seen;
  const Follower follower(
      folder / "lab.db",
      [&](Result<std::shared_ptr<const Snapshot>> snapshot) {
        errors += !snapshot;
        if (snapshot) seen = *snapshot;
      },
      std::chrono::milliseconds(1));
  ASSERT_TRUE(wait_until([&] { return errors > 0; }));
  const auto store = new_database(folder / "lab.db");
  EXPECT_TRUE(wait_until([&] { return seen != nullptr; }));
}

}  // namespace
}  // namespace pcmlab::gui

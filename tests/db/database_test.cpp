// SPDX-License-Identifier: Apache-2.0
#include "db/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/db/child_process.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::HasSubstr;

Database open_writing(const std::filesystem::path& file) {
  return must(Database::open(file, OpenMode::ReadWriteCreate, std::chrono::milliseconds::zero()));
}

std::int64_t count(Database& database) {
  return must(database.query_integer("SELECT count(*) FROM t"));
}

TEST(Database, OpensForSafety) {
  const TemporaryFolder folder;
  auto database = open_writing(folder / "a.db");
  EXPECT_EQ(must(database.query_integer("PRAGMA synchronous")), 2);
  EXPECT_EQ(must(database.query_integer("PRAGMA foreign_keys")), 1);
}

TEST(Database, KeepsEveryTypeOfValue) {
  auto database = open_writing(":memory:");
  const std::string text("a\0b\xC3\xA4", 5);
  const std::vector<std::byte> blob{std::byte{0}, std::byte{255}, std::byte{7}};
  const std::string empty;
  auto select = must(database.prepare("SELECT ?, ?, ?, ?, ?, ?, ?, typeof(?), typeof(?)"));
  select.bind(std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::uint64_t>::max(),
              0.1, text, std::span<const std::byte>(blob), nullptr, std::optional<int>(), empty,
              std::span<const std::byte>());
  ASSERT_TRUE(must(select.step()));
  EXPECT_EQ(select.integer(0), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(static_cast<std::uint64_t>(select.integer(1)),
            std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(select.real(2), 0.1);
  EXPECT_EQ(select.text(3), text);
  EXPECT_THAT(select.blob(4), testing::ElementsAreArray(blob));
  EXPECT_TRUE(select.is_null(5));
  EXPECT_TRUE(select.is_null(6));
  EXPECT_EQ(select.text(7), "text");
  EXPECT_EQ(select.text(8), "blob");
  EXPECT_FALSE(must(select.step()));
}

TEST(Database, UsesAStatementTwiceAtTheSameTime) {
  auto database = open_writing(":memory:");
  must(database.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)"));
  auto outer = must(database.prepare("SELECT x FROM t"));
  int rows = 0;
  while (must(outer.step())) {
    auto inner = must(database.prepare("SELECT x FROM t"));
    while (must(inner.step())) {
      ++rows;
    }
  }
  EXPECT_EQ(rows, 4);
}

TEST(Database, ForgetsBoundValuesBetweenUses) {
  auto database = open_writing(":memory:");
  {
    auto select = must(database.prepare("SELECT ?"));
    ASSERT_TRUE(must(select.bind(7).step()));
  }
  auto select = must(database.prepare("SELECT ?"));
  ASSERT_TRUE(must(select.step()));
  EXPECT_TRUE(select.is_null(0));
}

TEST(Database, SaysWhatIsWrongWithAStatement) {
  auto database = open_writing(":memory:");
  const Error error = error_of(database.prepare("SELECT nonsense"));
  EXPECT_EQ(error.code, ErrorCode::Database);
  EXPECT_THAT(error.message, HasSubstr(":memory:"));
  EXPECT_THAT(error.message, HasSubstr("no such column: nonsense"));
}

TEST(Database, RefusesMoreValuesThanThereArePlaces) {
  auto database = open_writing(":memory:");
  auto select = must(database.prepare("SELECT ?"));
  EXPECT_EQ(error_of(select.bind(1, 2).step()).code, ErrorCode::Database);
}

TEST(Database, NamesAFolderThatIsNotThere) {
  const TemporaryFolder folder;
  const auto file = folder / "missing/a.db";
  const Error error = error_of(Database::open(file, OpenMode::ReadWriteCreate));
  EXPECT_EQ(error.code, ErrorCode::Io);
  EXPECT_THAT(error.message, HasSubstr(file.string()));
  EXPECT_THAT(error.message, HasSubstr("unable to open database file"));
  EXPECT_THAT(error.advice, HasSubstr("There is no folder"));
}

TEST(Database, DoesNotOpenAFolder) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of(Database::open(folder.path(), OpenMode::ReadWriteCreate)).code, ErrorCode::Io);
  EXPECT_EQ(error_of(Database::open(folder.path(), OpenMode::ReadOnly)).code, ErrorCode::Io);
}

TEST(Database, NamesAFolderWhereOneMayNotWrite) {
  const TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  const std::string wrong = as_ordinary_user([&] {
    const Error error = error_of(Database::open(folder / "a.db", OpenMode::ReadWriteCreate));
    if (error.code != ErrorCode::Io || error.advice.find("may not write") == std::string::npos) {
      throw std::runtime_error(error.message + error.advice);
    }
  });
  EXPECT_EQ(wrong, "");
}

TEST(Database, OpensAFileWithAnOddName) {
  const TemporaryFolder folder;
  for (const std::string name : {"file:a.db", "a?mode=memory.db", "100%25#1.db", "b c.db"}) {
    must(open_writing(folder / name).execute("PRAGMA user_version = 5"));
    EXPECT_TRUE(std::filesystem::exists(folder / name)) << name;
    auto again = must(Database::open(folder / name, OpenMode::ReadOnly));
    EXPECT_EQ(must(again.query_integer("PRAGMA user_version")), 5) << name;
  }
}

TEST(Transaction, KeepsItsWorkWhenCommitted) {
  auto database = open_writing(":memory:");
  must(database.execute("CREATE TABLE t (x)"));
  auto transaction = must(database.begin());
  must(database.execute("INSERT INTO t VALUES (1)"));
  must(transaction.commit());
  EXPECT_EQ(count(database), 1);
}

TEST(Transaction, UndoesItsWorkWhenItGoes) {
  auto database = open_writing(":memory:");
  must(database.execute("CREATE TABLE t (x)"));
  {
    auto transaction = must(database.begin());
    auto moved = std::move(transaction);
    must(database.execute("INSERT INTO t VALUES (1)"));
    EXPECT_EQ(count(database), 1);
  }
  EXPECT_EQ(count(database), 0);
  must(must(database.begin()).commit());
}

TEST(Transaction, InsideAnotherIsUndoneAlone) {
  auto database = open_writing(":memory:");
  must(database.execute("CREATE TABLE t (x)"));
  auto outer = must(database.begin());
  must(database.execute("INSERT INTO t VALUES (1)"));
  {
    auto inner = must(database.begin());
    must(database.execute("INSERT INTO t VALUES (2)"));
  }
  {
    auto inner = must(database.begin());
    must(database.execute("INSERT INTO t VALUES (3)"));
    must(inner.commit());
  }
  must(outer.commit());
  EXPECT_EQ(must(database.query_integer("SELECT sum(x) FROM t")), 4);
}

TEST(Transaction, InsideAnotherIsKeptOnlyWithIt) {
  auto database = open_writing(":memory:");
  must(database.execute("CREATE TABLE t (x)"));
  {
    auto outer = must(database.begin());
    auto inner = must(database.begin());
    must(database.execute("INSERT INTO t VALUES (1)"));
    must(inner.commit());
  }
  EXPECT_EQ(count(database), 0);
}

TEST(Transaction, IsOverAfterItsCommit) {
  auto database = open_writing(":memory:");
  auto transaction = must(database.begin());
  must(transaction.commit());
  EXPECT_EQ(error_of(transaction.commit()).code, ErrorCode::Internal);
}

// Without this, work after the error would be committed on its own, torn from what came before.
TEST(Transaction, ThatSqliteUndidFailsUntilItsEnd) {
  auto database = open_writing(":memory:");
  must(database.execute("CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1)"));
  {
    auto outer = must(database.begin());
    must(database.execute("INSERT INTO t VALUES (2)"));
    {
      auto inner = must(database.begin());
      EXPECT_THAT(error_of(database.execute("INSERT OR ROLLBACK INTO t VALUES (1)")).message,
                  HasSubstr("UNIQUE constraint failed"));
    }
    EXPECT_THAT(error_of(database.begin()).message, HasSubstr("UNIQUE constraint failed"));
    EXPECT_THAT(error_of(outer.commit()).message, HasSubstr("UNIQUE constraint failed"));
  }
  auto next = must(database.begin());
  must(database.execute("INSERT INTO t VALUES (3)"));
  must(next.commit());
  EXPECT_EQ(must(database.query_integer("SELECT sum(x) FROM t")), 4);
}

TEST(Transaction, WhoseCommitFailsLeavesACleanState) {
  auto database = open_writing(":memory:");
  must(
      database.execute("CREATE TABLE p (id INTEGER PRIMARY KEY);"
                       "CREATE TABLE t (x REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)"));
  auto transaction = must(database.begin());
  must(database.execute("INSERT INTO t VALUES (1)"));
  EXPECT_THAT(error_of(transaction.commit()).message, HasSubstr("FOREIGN KEY constraint failed"));
  EXPECT_EQ(count(database), 0);
  must(must(database.begin()).commit());
}

}  // namespace
}  // namespace pcmlab::db

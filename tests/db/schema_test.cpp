// SPDX-License-Identifier: Apache-2.0
#include "db/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <string>

#include "db/run_store.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::HasSubstr;
using testing::Not;

/// A plain SQLite file made by `sql`.
void make_database(const std::filesystem::path& file, const std::string& sql) {
  must(must(Database::open(file, OpenMode::ReadWriteCreate)).execute(sql));
}

/// As in the frozen files, whose first line is their licence.
std::string schema_text(Database& database) {
  std::string text = "-- SPDX-License-Identifier: Apache-2.0\n";
  auto select = must(database.prepare(
      "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name <> 'sqlite_sequence'"
      " ORDER BY rowid"));
  while (must(select.step())) {
    text += select.text(0) + ";\n";
  }
  return text;
}

// schema_vN.sql is what version N was when it was given out. If this fails, put the change into a
// new migration.
TEST(Schema, OfAVersionIsNeverEdited) {
  const TemporaryFolder folder;
  auto database = must(Database::open(folder / "a.db", OpenMode::ReadWriteCreate));
  for (const Migration& migration : migrations()) {
    must(database.execute(migration.sql));
    EXPECT_EQ(schema_text(database),
              bytes_of_file(std::string(PCMLAB_SOURCE_FOLDER "/tests/db/schema_v")
                                .append(std::to_string(migration.version))
                                .append(".sql")));
  }
}

TEST(Schema, MarksAFreshFile) {
  const TemporaryFolder folder;
  auto store = must(RunStore::open(folder / "a.db"));
  EXPECT_EQ(must(store.database().query_integer("PRAGMA application_id")), kApplicationId);
  EXPECT_EQ(must(store.database().query_integer("PRAGMA user_version")), schema_version());
  auto mode = must(store.database().prepare("PRAGMA journal_mode"));
  ASSERT_TRUE(must(mode.step()));
  EXPECT_EQ(mode.text(0), "wal");
}

TEST(Schema, HasOneMigrationForEachVersion) {
  int version = 0;
  for (const Migration& migration : migrations()) {
    EXPECT_EQ(migration.version, ++version);
  }
  EXPECT_EQ(version, schema_version());
}

TEST(Schema, HasStrictTablesOnly) {
  auto store = must(RunStore::open(":memory:"));
  EXPECT_EQ(must(store.database().query_integer(
                "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
                " AND NOT strict AND name NOT LIKE 'sqlite%'")),
            0);
}

TEST(Schema, IndexesEveryForeignKey) {
  auto store = must(RunStore::open(":memory:"));
  // A key is indexed when it is the first column of an index, or the table's own rowid.
  EXPECT_EQ(must(store.database().query_integer(
                "SELECT count(*) FROM pragma_table_list AS t, pragma_foreign_key_list(t.name) AS k"
                " WHERE NOT EXISTS (SELECT 1 FROM pragma_index_list(t.name) AS i,"
                "   pragma_index_info(i.name) AS c WHERE c.seqno = 0 AND c.name = k.\"from\")"
                " AND NOT EXISTS (SELECT 1 FROM pragma_table_info(t.name) AS p"
                "   WHERE p.pk = 1 AND p.name = k.\"from\")"
                " AND NOT (t.name = 'pulse_batch' AND k.\"table\" = 'board')")),
            0);
}

TEST(Schema, OpensTwice) {
  const TemporaryFolder folder;
  must(RunStore::open(folder / "a.db"));
  const std::string bytes = bytes_of_file(folder / "a.db");
  must(RunStore::open(folder / "a.db"));
  EXPECT_EQ(bytes_of_file(folder / "a.db"), bytes);
}

TEST(Schema, IsMadeInAnEmptyFile) {
  const TemporaryFolder folder;
  write_file(folder / "a.db", "");
  prepare_run(RunStore::open(folder / "a.db"));
  EXPECT_EQ(must(must(RunStore::open_read_only(folder / "a.db")).runs()).size(), 1U);
}

TEST(Schema, IsSeenWholeOrNotAtAllWhileItIsMade) {
  constexpr int kFiles = 100;
  const TemporaryFolder folder;
  const auto file = [&folder](int i) { return folder / (std::to_string(i) + ".db"); };
  std::atomic<int> made = 0;
  auto maker = std::async(std::launch::async, [&] {
    for (; made < kFiles; ++made) must(RunStore::open(file(made)));
  });
  const auto is_over = [&maker] {
    return maker.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  };
  for (int seen = made; seen < kFiles && !is_over(); seen = made) {
    const auto store = RunStore::open_read_only(file(seen));
    if (!store) {
      EXPECT_THAT(store.error().message, Not(HasSubstr("another program")));
    }
  }
  maker.get();
}

TEST(Schema, OfANewerProgramIsRefusedAndLeftAlone) {
  const TemporaryFolder folder;
  must(RunStore::open(folder / "a.db"));
  make_database(folder / "a.db", "PRAGMA user_version = 99");
  const std::string bytes = bytes_of_file(folder / "a.db");
  for (const Error& error : {error_of(RunStore::open(folder / "a.db")),
                             error_of(RunStore::open_read_only(folder / "a.db"))}) {
    EXPECT_EQ(error.code, ErrorCode::DatabaseNewer);
    EXPECT_THAT(error.message, HasSubstr("version 99"));
    EXPECT_THAT(error.message, HasSubstr((folder / "a.db").string()));
    EXPECT_NE(error.advice, "");
  }
  EXPECT_EQ(bytes_of_file(folder / "a.db"), bytes);
}

TEST(Schema, OfAnotherProgramIsRefusedAndLeftAlone) {
  const TemporaryFolder folder;
  make_database(folder / "a.db", "CREATE TABLE recipes (name TEXT)");
  const std::string bytes = bytes_of_file(folder / "a.db");
  for (const Error& error : {error_of(RunStore::open(folder / "a.db")),
                             error_of(RunStore::open_read_only(folder / "a.db"))}) {
    EXPECT_EQ(error.code, ErrorCode::BadFile);
    EXPECT_THAT(error.message, HasSubstr("another program"));
  }
  EXPECT_EQ(bytes_of_file(folder / "a.db"), bytes);
}

/// Statements that no program should write; each must be refused.
class Nonsense : public testing::TestWithParam<const char*> {};

TEST_P(Nonsense, IsRefusedByTheSchema) {
  auto store = must(RunStore::open(":memory:"));
  const PreparedRun prepared = prepare_run(store);
  must(store.add_batches(prepared.programming,
                         std::vector{BatchRow{1, BatchKind::Reset, 0, 0, {0, 1}, {}}}));
  must(store.add_outcomes(prepared.programming, std::vector{BatchOutcome{1, 2, {1, 2}}}));
  const RowId sweep = must(store.begin_sweep(sweep_start(prepared, 0)));
  must(store.add_sweep_blocks(sweep, make_blocks({1, 2, 3}, 3)));
  must(store.finish_sweep(sweep, 1, 1));
  const RowId open_sweep = must(store.begin_sweep(sweep_start(prepared, 1)));
  ASSERT_EQ(open_sweep, 2);
  EXPECT_EQ(error_of(store.database().execute(GetParam())).code, ErrorCode::Database);
}

INSTANTIATE_TEST_SUITE_P(
    Schema, Nonsense,
    testing::Values(
        "UPDATE run SET state = 'nearly'", "UPDATE run SET state = 'complete'",
        "UPDATE run SET ended_utc = 'now'", "UPDATE run SET seed = 'x'",
        "UPDATE run SET uuid = 'x'", "UPDATE run SET board_id = 7", "UPDATE run SET name = NULL",
        "UPDATE board SET serial = ''", "INSERT INTO board VALUES (2, 'PCM-0042', '')",
        "INSERT INTO network VALUES ('abc', '', x'')", "DELETE FROM run", "DELETE FROM sweep",
        "INSERT INTO step VALUES (9, 1, 0, 'x', '{}', 'running', '', NULL)",
        "INSERT INTO step VALUES (9, 1, 1, 'x', 'no json', 'running', '', NULL)",
        "INSERT INTO step VALUES (9, 7, 1, 'x', '{}', 'running', '', NULL)",
        "INSERT INTO step VALUES (9, 1, 1, 'x', '{}', 'complete', '', NULL)",
        "INSERT INTO run_command VALUES (1, 1, 'explode', 'me', '', NULL)",
        "INSERT INTO run_progress VALUES (1, '', -1, 0, 0, '', 0)",
        "INSERT INTO layer VALUES (1, 1, 1, 0, 'x', 0, 1, 0, 1, 25, NULL)",
        "INSERT INTO layer VALUES (1, 1, 1, 0, 'x', 2, 1, 0, 1, 25, x'0000803f')",
        "INSERT INTO placement VALUES (1, 0, 2048, 1, 0)",
        "INSERT INTO placement VALUES (1, 512, 2048, 1, -1)",
        "INSERT INTO placement VALUES (9, 512, 2048, 1, 0)",
        "INSERT INTO bad_device VALUES (1, 1, 0, 0, 'lost', 25, 0)",
        "INSERT INTO bad_device VALUES (1, 1, 65536, 0, 'stuck low', 25, 0)",
        "INSERT INTO bad_device VALUES (1, 9, 0, 0, 'stuck low', 25, 0)",
        "UPDATE programming SET verify_samples = 0", "UPDATE programming SET complete = 1",
        "UPDATE programming SET iterations = 3",
        "UPDATE programming SET complete = 1, iterations = 1, nonzero_targets = 1, converged = 2,"
        " pulses = 1, end_tick_ns = 1, ended_utc = ''",
        "UPDATE pulse_batch SET width_ns = 7", "UPDATE pulse_batch_outcome SET pulses_executed = 7",
        "INSERT INTO pulse_batch VALUES (9, 1, 1, 1, 'reset', 0, 0, '', 1, 0, x'00000000', NULL)",
        "INSERT INTO pulse_batch VALUES (9, 1, 1, 2, 'zap', 0, 0, '', 1, 0, x'00000000', NULL)",
        "INSERT INTO pulse_batch VALUES (9, 1, 1, 2, 'reset', 0, 0, '', 2, 0, x'00000000', NULL)",
        "INSERT INTO pulse_batch VALUES (9, 1, 1, 2, 'reset', 0, 0, '', 1, 0, x'00000000', "
        "x'0000')",
        "INSERT INTO pulse_batch VALUES (9, 1, 1, 2, 'program', 1, 9, '', 1, 0, x'00000000', NULL)",
        "INSERT INTO pulse_batch VALUES (9, 1, 1, 2, 'program', 1, 9, '', 1, 0, x'00000000', "
        "x'00')",
        "INSERT INTO pulse_batch_outcome VALUES (1, 2, 1, 2, 0, '')",
        "INSERT INTO pulse_batch_verify VALUES (1, 2, 1, 0, '', 1, 0, x'0000')",
        "INSERT INTO pulse_batch_verify VALUES (7, 1, 2, 0, '', 1, 0, x'0000')",
        "UPDATE sweep SET samples = 0 WHERE id = 2", "UPDATE sweep SET complete = 1 WHERE id = 2",
        "UPDATE sweep SET after_s = 5 WHERE id = 1",
        "UPDATE sweep_block SET code_sums_u16 = x'000000000000'",
        "INSERT INTO sweep_block VALUES (9, 1, 3, 1, 1, 2, 0, '', 0, x'0000')",
        "INSERT INTO sweep_block VALUES (9, 2, 0, 1, 2, 1, 0, '', 0, x'0000')",
        "INSERT INTO sweep_block VALUES (9, 2, 0, 2, 1, 2, 0, '', 0, x'0000')",
        "INSERT INTO sweep_block VALUES (9, 2, 0, 65537, 1, 2, 0, '', 0, zeroblob(131074))",
        "INSERT INTO sweep_block VALUES (9, 2, 0, 0, 1, 2, 0, '', 0, x'')",
        "INSERT INTO sweep_block VALUES (9, 2, 0, 1, 1, 2, 0, '', 0, '12')",
        "INSERT INTO accuracy VALUES (1, 1, NULL, 'none', '', 'float32', 0, 10, 11, 1, '', 0, 0)",
        "INSERT INTO accuracy VALUES (1, 1, NULL, 'none', '', 'float32', 0, 0, 0, 1, '', 0, 0)",
        "INSERT INTO accuracy VALUES (1, 1, 7, 'none', '', 'float32', 0, 10, 1, 1, '', 0, 0)",
        "INSERT INTO accuracy VALUES (1, 1, 1, 'none', '', 'float32', 0, 10, 1, 1, '', -1, 0)",
        "INSERT INTO accuracy_confusion VALUES (7, 1, 0, x'00000000')",
        "INSERT INTO gdc_reference VALUES (1, 1, 0, 'guess', NULL, 1, 1, 1)",
        "INSERT INTO gdc_reference VALUES (1, 1, 0, 'first-sweep', NULL, 1, 1, 1)",
        "INSERT INTO gdc_reference VALUES (1, 1, 0, 'targets', 1, 1, 1, 1)",
        "INSERT INTO gdc_reference VALUES (1, 1, 0, 'targets', NULL, 0, 1, 1)",
        "INSERT INTO calibration VALUES (1, '', 1, 1, 1, 0.5, 2, 0, x'00000000')",
        "INSERT INTO layer_state VALUES (1, 1, 7, 0, 1, 0, 0, 0, 0, NULL, NULL)",
        "UPDATE sweep SET repeat = -1 WHERE id = 2", "UPDATE run SET parent_run_id = 7",
        "UPDATE run SET deleted_utc = 'now'", "INSERT INTO run_note VALUES (1, 1, '', 'me', '')",
        "INSERT INTO run_note VALUES (1, 7, 'good', 'me', '')",
        "INSERT INTO run_tag VALUES (1, 'two words', 'me', '')",
        "INSERT INTO run_tag VALUES (1, '', 'me', '')",
        "INSERT INTO run_tag VALUES (7, 'paper', 'me', '')",
        "INSERT INTO drift_fit VALUES (1, 1, 1, 1, 'x', 6, 2, 1, 1, 3, '')",
        "INSERT INTO drift_fit VALUES (1, 1, 1, 7, 'x', 6, 1, 2, 1, 3, '')",
        "INSERT INTO drift_fit_block VALUES (1, 7, 0, 1, 0, x'00000000', x'00000000', x'00000000', "
        "x'00')",
        "INSERT INTO drift_by_target VALUES (1, 7, 0, 25, 1, 1, 0, 0, 0, 0, NULL, NULL, NULL)",
        "INSERT INTO event VALUES (1, 1, '', '', '', 0)"));

}  // namespace
}  // namespace pcmlab::db

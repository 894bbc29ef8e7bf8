// SPDX-License-Identifier: Apache-2.0
// What `pcmlab verify` must find: damage in every table that has a checksum.
#include "db/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>
#include <vector>

#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;

/// A run with a row in every table that has a checksum.
class Verify : public testing::Test {
 protected:
  static constexpr std::size_t kDevices = 300;

  Verify() {
    auto store = must(RunStore::open(file_));
    const PreparedRun prepared = prepare_run(store);
    must(store.set_placement(prepared.programming, make_placement(kDevices, 1)));
    must(store.add_batches(prepared.programming,
                           std::vector{BatchRow{1, BatchKind::Program, 1, 9, {5, 6}, {7, 8}}}));
    must(store.add_verify(prepared.programming, std::vector{BatchVerify{1, {}, {1, 2}}}));
    must(store.finish_programming(prepared.programming, make_result(kDevices, 2), {}));
    const RowId sweep = must(store.begin_sweep(sweep_start(prepared, 0)));
    must(store.add_sweep_blocks(sweep, make_blocks(make_code_sums(kDevices, 3), kDevices)));
    must(store.finish_sweep(sweep, 1, 1));
    DriftFitRow fit;
    fit.method = "power law";
    fit.sweeps = 6;
    fit.run = prepared.run;
    fit.step = prepared.step;
    fit.programming = prepared.programming;
    must(store.add_drift_fit(fit, make_drift_fits(kDevices, 4)));
    must(store.add_calibration(prepared.step, {"train", 7, 13, 200, 0.75, {5, 6, 7}}));
    AccuracyRow accuracy;
    accuracy.run = prepared.run;
    accuracy.compensation = "software";
    accuracy.precision = "float32";
    accuracy.images = 3;
    must(store.add_accuracy(accuracy, {2, {1, 0, 2, 0}}));
  }

  std::vector<Finding> findings() const {
    auto store = must(RunStore::open_read_only(file_));
    const auto no_network = [](std::span<const std::byte>) { return std::string(); };
    return must(verify(store, no_network, {})).findings;
  }

  /// Changes the database past its own guards.
  void damage(const std::string& sql) const {
    auto database = must(Database::open(file_, OpenMode::ReadWriteCreate));
    must(database.execute("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON"));
    for (const std::string& name : texts(database,
                                         "SELECT name FROM sqlite_schema "
                                         "WHERE type = 'trigger'")) {
      must(database.execute("DROP TRIGGER " + name));
    }
    must(database.execute(sql));
  }

  static std::vector<std::string> texts(Database& database, const std::string& sql) {
    std::vector<std::string> all;
    auto select = must(database.prepare(sql));
    while (must(select.step())) all.push_back(select.text(0));
    return all;
  }
  std::vector<std::string> texts(const std::string& sql) const {
    auto database = must(Database::open(file_, OpenMode::ReadOnly));
    return texts(database, sql);
  }

  const TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_ / "results.db";
};

/// SQL about the_blob of the_table.
std::string of(std::string sql, const std::string& table, const std::string& blob) {
  sql = std::regex_replace(sql, std::regex("the_table"), table);
  return std::regex_replace(sql, std::regex("the_blob"), blob);
}

// A new table with a checksum has to have a row above, and a line in verify.cpp.
TEST_F(Verify, FindsAFlippedBitInEveryBlobThatHasAChecksum) {
  const auto tables = texts(
      "SELECT schema.name FROM sqlite_schema AS schema JOIN pragma_table_info(schema.name) AS info "
      "WHERE schema.type = 'table' AND info.name = 'crc32c'");
  EXPECT_THAT(tables, AllOf(Contains("sweep_block"), Contains("drift_fit_block")));
  const std::string whole = bytes_of_file(file_);
  for (const std::string& table : tables) {
    const auto says = Field(&Finding::what, HasSubstr("numbers of " + table + " are damaged"));
    EXPECT_THAT(findings(), Not(Contains(says)));
    const auto blobs =
        texts("SELECT name FROM pragma_table_info('" + table + "') WHERE type = 'BLOB'");
    EXPECT_FALSE(blobs.empty()) << table;
    for (const std::string& blob : blobs) {
      ASSERT_NE(texts(of("SELECT hex(the_blob) FROM the_table", table, blob)),
                std::vector<std::string>())
          << table << " has no row";
      damage(
          of("UPDATE the_table SET the_blob = CAST(substr(the_blob, 1, length(the_blob) - 1) ||"
             " iif(substr(the_blob, -1) = x'00', x'01', x'00') AS BLOB)",
             table, blob));
      EXPECT_THAT(findings(), Contains(says)) << table << ": " << blob;
      write_file(file_, whole);
    }
  }
}

TEST_F(Verify, FindsMoreTargetsThanDevices) {
  damage("UPDATE programming SET nonzero_targets = 301, converged = 12");
  EXPECT_THAT(findings(),
              Contains(AllOf(
                  Field(&Finding::where, "programming 1"),
                  Field(&Finding::what, "it has 301 devices with a target of 300 placed ones"))));
}

}  // namespace
}  // namespace pcmlab::db

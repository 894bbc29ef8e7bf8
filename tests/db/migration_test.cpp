// SPDX-License-Identifier: Apache-2.0
// Databases of older versions, brought up to date.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/run_store.h"
#include "db/schema.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::ElementsAre;

/// A database as version `version` made it.
void make_old_database(const std::filesystem::path& file, int version, const std::string& rows) {
  auto database = must(Database::open(file, OpenMode::ReadWriteCreate));
  must(database.execute("PRAGMA journal_mode = WAL"));
  for (int v = 1; v <= version; ++v) {
    must(database.execute(migrations()[static_cast<std::size_t>(v - 1)].sql));
  }
  must(database.execute("PRAGMA application_id = " + std::to_string(kApplicationId) +
                        "; PRAGMA user_version = " + std::to_string(version) + ";" + rows));
}

constexpr const char* kBoard = "INSERT INTO board VALUES (1, 'PCM-0042', '');";

std::string run_row(int id) {
  return "INSERT INTO run VALUES (" + std::to_string(id) +
         ", '0f0f0f0f-0000-4000-8000-00000000000" + std::to_string(id) +
         "', 'old', 'complete', '', '', '', '', 1, '', '', '', 'chip 7', '', '', '', 1, 1, 1, '',"
         " '', 0, 0, 512, 2048, 8, 0.2, 1000, 500, 50, 1000000, 0, 400, NULL, '', 1, 2);"
         "INSERT INTO step VALUES (" +
         std::to_string(id) + ", " + std::to_string(id) +
         ", 0, 'program', '{}', 'complete', '', 1);";
}

TEST(Migration, OfVersion1GivesPlacementsToTheirProgrammingsAndLayersToTheirSteps) {
  const TemporaryFolder folder;
  // Run 1 was programmed; run 2 ended before its programming began; run 3 came after it.
  make_old_database(
      folder / "a.db", 1,
      kBoard + run_row(1) + run_row(2) + run_row(3) +
          "INSERT INTO layer VALUES (1, 1, 0, 'fc', 1, 1, 0, 0.5, 25), (2, 2, 0, 'fc', 1, 1, 0, "
          "0.5,"
          " 25), (3, 3, 0, 'fc', 1, 1, 0, 0.75, 25);"
          "INSERT INTO placement VALUES (1, 512, 2048, 2), (2, 512, 2048, 2), (3, 512, 2048, 0);"
          "INSERT INTO placement_block VALUES"
          // Word line 1, bit lines 2 and 3; 25 and 0 uS.
          " (1, 1, 0, 2, 302863476, x'0200010003000100', x'0000c84100000000'),"
          " (2, 2, 0, 2, 302863476, x'0200010003000100', x'0000c84100000000');"
          "INSERT INTO programming (id, run_id, step_id, verify_samples, read_voltage_mV,"
          " gain_uS_per_code, offset_uS, begun_utc) VALUES (5, 1, 1, 5, 200, 0.2, 0, ''),"
          " (6, 3, 3, 5, 200, 0.2, 0, '');");
  auto store = must(RunStore::open(folder / "a.db"));
  const Placement placement = must(store.placement(5));
  EXPECT_EQ(placement.shape, (ArrayShape{512, 2048}));
  EXPECT_EQ(placement.first_weight, 0);
  EXPECT_THAT(placement.addresses, ElementsAre(DeviceAddress{WordLine{1}, BitLine{2}},
                                               DeviceAddress{WordLine{1}, BitLine{3}}));
  EXPECT_THAT(placement.targets_uS, ElementsAre(25.0F, 0.0F));
  EXPECT_TRUE(must(store.placement(6)).addresses.empty());
  EXPECT_EQ(must(store.layers(1)).at(0).max_abs_weight, 0.5);
  EXPECT_EQ(must(store.layers(3)).at(0).max_abs_weight, 0.75);
  // What no pulse followed is not kept.
  EXPECT_EQ(must(store.database().query_integer("SELECT count(*) FROM placement")), 2);
  EXPECT_TRUE(must(store.layers(2)).empty());
  EXPECT_EQ(must(store.database().query_integer("SELECT count(*) FROM pragma_foreign_key_check")),
            0);
  EXPECT_EQ(error_of(store.database().execute("UPDATE placement_block SET crc32c = 0")).code,
            ErrorCode::Database);
}

TEST(Migration, OfVersion2LeavesSweepsReadOnceAndAccuraciesWithoutConverters) {
  const TemporaryFolder folder;
  make_old_database(
      folder / "a.db", 2,
      kBoard + run_row(1) +
          "INSERT INTO programming (id, run_id, step_id, verify_samples, read_voltage_mV,"
          " gain_uS_per_code, offset_uS, begun_utc) VALUES (5, 1, 1, 5, 200, 0.2, 0, '');"
          "INSERT INTO sweep (id, run_id, step_id, programming_id, ordinal, scheduled_s, slip_s,"
          " samples, read_voltage_mV, gain_uS_per_code, offset_uS, temperature_K, begun_utc)"
          " VALUES (1, 1, 1, 5, 3, 25, 0, 5, 200, 0.2, 0, 300, '');"
          "INSERT INTO accuracy VALUES (1, 1, 1, 'gdc', 'verify', 'float32', 25, 10, 9, 1, '');");
  auto store = must(RunStore::open(folder / "a.db"));
  const auto sweeps = must(store.sweeps(1));
  ASSERT_EQ(sweeps.size(), 1U);
  EXPECT_EQ(sweeps[0].repeat, 0);
  EXPECT_EQ(sweeps[0].ordinal, 3);
  const auto accuracies = must(store.accuracies(1));
  ASSERT_EQ(accuracies.size(), 1U);
  EXPECT_EQ(accuracies[0].correct, 9);
  EXPECT_EQ(accuracies[0].input_bits, 0);
  EXPECT_EQ(accuracies[0].output_bits, 0);
  EXPECT_FALSE(must(store.confusion(1)).has_value());
  EXPECT_EQ(must(store.database().query_integer(
                "SELECT repeat FROM accuracy_over_time WHERE accuracy_percent = 90")),
            0);
}

TEST(Migration, OfVersion3LeavesLayersWithOneScale) {
  const TemporaryFolder folder;
  make_old_database(
      folder / "a.db", 3,
      kBoard + run_row(1) + "INSERT INTO layer VALUES (1, 1, 1, 0, 'fc', 3, 1, 0, 0.5, 25);");
  auto store = must(RunStore::open(folder / "a.db"));
  const auto layers = must(store.layers(1));
  ASSERT_EQ(layers.size(), 1U);
  EXPECT_EQ(layers[0].max_abs_weight, 0.5);
  EXPECT_EQ(layers[0].g_max_uS, 25);
  EXPECT_TRUE(layers[0].row_max_abs_weights.empty());
}

}  // namespace
}  // namespace pcmlab::db

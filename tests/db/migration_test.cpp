// SPDX-License-Identifier: Apache-2.0
// Databases of older versions, brought up to date.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>

#include "db/run_store.h"
#include "db/schema.h"
#include "tests/db/child_process.h"
#include "tests/db/small_disk.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Lets some time pass without sleeping.
void spin(std::uint64_t rounds) {
  std::atomic<std::uint64_t> left = rounds;
  while (left-- > 0) {
  }
}

/// A database as version `version` made it.
void make_old_database(const std::filesystem::path& file, int version, const std::string& rows) {
  auto database = must(Database::open(file, OpenMode::ReadWriteCreate));
  must(database.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF"));
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

/// Runs 1 and 2 of one chip with a programming of two batches each, as version 4 kept them.
std::string rows_of_version4() {
  return kBoard + run_row(1) + run_row(2) +
         "INSERT INTO programming (id, run_id, step_id, verify_samples, read_voltage_mV,"
         " gain_uS_per_code, offset_uS, begun_utc) VALUES (5, 1, 1, 5, 200, 0.2, 0, ''),"
         " (6, 2, 2, 5, 200, 0.2, 0, '');"
         "INSERT INTO pulse_batch VALUES"
         " (11, 5, 1, 1, 'reset', 0, 0, '', 1, 1214729159, x'00000000', NULL),"
         " (12, 5, 1, 2, 'program', 1, 50, '', 1, 1, x'00000000', x'0100'),"
         " (13, 6, 1, 3, 'reset', 0, 0, '', 1, 1214729159, x'00000000', NULL);"
         "INSERT INTO pulse_batch_outcome VALUES (11, 8, 1, 2, 3, ''), (12, 1, 3, 4, 5, '');"
         "INSERT INTO pulse_batch_verify VALUES (11, 1, 2, 3, '', 1, 3251651376, x'0100');";
}

TEST(Migration, OfVersion4KeepsBatchesWithTheirOutcomesAndCountsTheWearOfChips) {
  const TemporaryFolder folder;
  make_old_database(folder / "a.db", 4, rows_of_version4());
  auto store = must(RunStore::open(folder / "a.db"));
  Database& database = store.database();
  EXPECT_EQ(must(database.query_integer("SELECT count(*) FROM pulse_batch")), 3);
  const auto outcomes = must(store.outcomes(5));
  ASSERT_EQ(outcomes.size(), 2U);
  EXPECT_EQ(outcomes[0].batch, 1U);
  EXPECT_EQ(outcomes[0].pulses_executed, 8);
  EXPECT_EQ(must(store.next_batch("PCM-0042")), 4U);
  EXPECT_EQ(error_of(database.execute("UPDATE pulse_batch SET width_ns = 7")).code,
            ErrorCode::Database);
  EXPECT_EQ(error_of(database.execute("DELETE FROM pulse_batch WHERE id = 11")).code,
            ErrorCode::Database);
  auto wear = must(database.prepare(
      "SELECT sample, runs, programmings, pulses, unknown_batches FROM chip_wear"));
  ASSERT_TRUE(must(wear.step()));
  EXPECT_EQ(wear.text(0), "chip 7");
  EXPECT_THAT((std::vector{wear.integer(1), wear.integer(2), wear.integer(3), wear.integer(4)}),
              ElementsAre(2, 2, 9, 1));
  EXPECT_FALSE(must(wear.step()));
  const auto runs = must(store.runs());
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_FALSE(runs[0].parent.has_value());
  EXPECT_EQ(runs[0].deleted_utc, "");
  EXPECT_TRUE(runs[0].tags.empty());
}

TEST(Migration, OfVersion5GivesEveryRunItsProcessAndTheBootOfItsBoard) {
  const TemporaryFolder folder;
  make_old_database(
      folder / "a.db", 5,
      kBoard +
          std::string("INSERT INTO run (id, uuid, name, state, started_utc, ended_utc, plan_text,"
                      " seed, program_version, git_revision, operator_name, sample, images, host,"
                      " host_boot_id, pid, pid_start_ticks, board_id, board_description,"
                      " board_firmware, board_boot_epoch, board_capabilities, word_lines,"
                      " bit_lines, adc_bits, adc_step_uS, sample_time_ns, max_amplitude_uA,"
                      " min_width_ns, max_width_ns, max_pulses_per_device, max_temperature_K,"
                      " network_name, weight_count, device_count) VALUES (1,"
                      " '0f0f0f0f-0000-4000-8000-000000000001', 'old', 'stopped', 'a', 'b', '', 1,"
                      " '0.5', 'abc', '', 'chip 7', '', 'lab', 'boot', 4711, 1, 1, '', '', 3, 0,"
                      " 512, 2048, 8, 0.2, 1000, 500, 50, 1000000, 0, 400, '', 1, 2);"
                      "INSERT INTO accuracy VALUES (1, 1, NULL, 'software', '', 'float32', 0, 10,"
                      " 9, 1, '', 0, 0);"));
  auto store = must(RunStore::open(folder / "a.db"));
  const auto sessions = must(store.sessions(1));
  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_EQ(sessions[0].program_version, "0.5");
  EXPECT_EQ(sessions[0].pid, 4711);
  EXPECT_EQ(sessions[0].state, RunState::Stopped);
  EXPECT_EQ(sessions[0].ended_utc, "b");
  EXPECT_EQ(must(store.board_left(1)).epoch.boot_epoch, 3U);
  EXPECT_TRUE(must(store.gaps(1)).empty());
  EXPECT_FALSE(must(store.accuracies(1)).at(0).step.has_value());
}

TEST(Migration, OfVersion6HasAnEmptyQueueAndRunsThatAreNoneOfIt) {
  const TemporaryFolder folder;
  make_old_database(folder / "a.db", 4, rows_of_version4());
  auto store = must(RunStore::open(folder / "a.db"));
  EXPECT_TRUE(must(store.queue()).empty());
  const RowId entry = must(store.add_queue_entry({"a", "", "", "Ada"}));
  must(store.delete_run(1, "Ada"));
  EXPECT_EQ(must(store.queue_entry(entry)).state, QueueState::Waiting);
}

std::int64_t version_of(const std::filesystem::path& file) {
  return must(must(Database::open(file, OpenMode::ReadOnly)).query_integer("PRAGMA user_version"));
}

std::int64_t batches_of(const std::filesystem::path& file) {
  return must(must(Database::open(file, OpenMode::ReadOnly))
                  .query_integer("SELECT count(*) FROM pulse_batch"));
}

std::vector<std::string> names_in(const TemporaryFolder& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

TEST(Migration, WithoutRoomForACopyLeavesTheOldFileAndNothingElse) {
  int refused = 0;
  bool done = false;
  for (std::int64_t room = 0; !done; room += 150'000) {
    const TemporaryFolder folder;
    make_old_database(folder / "a.db", 4, rows_of_version4());
    {
      const SmallDisk disk(room);
      const auto store = RunStore::open(folder / "a.db");
      done = store.has_value();
      if (!done) {
        EXPECT_EQ(store.error().code, ErrorCode::DiskFull) << store.error().message;
        EXPECT_THAT(store.error().message, HasSubstr("as it was"));
        ++refused;
      }
    }
    if (!done) {
      EXPECT_EQ(version_of(folder / "a.db"), 4);
      EXPECT_EQ(batches_of(folder / "a.db"), 3);
      EXPECT_FALSE(std::filesystem::exists(folder / "a.db.migrating"));
    }
  }
  EXPECT_GT(refused, 3);
}

TEST(Migration, OfWhatCannotBeIsRefusedAndLeavesTheOldFile) {
  const TemporaryFolder folder;
  make_old_database(folder / "a.db", 4,
                    rows_of_version4() + "PRAGMA foreign_keys = OFF; DELETE FROM run WHERE id = 2");
  const Error error = error_of(RunStore::open(folder / "a.db"));
  EXPECT_EQ(error.code, ErrorCode::BadFile);
  EXPECT_THAT(error.message, HasSubstr("2 rows refer to rows that are not there"));
  EXPECT_EQ(version_of(folder / "a.db"), 4);
  EXPECT_EQ(batches_of(folder / "a.db"), 3);
}

TEST(Migration, KilledAnywhereLeavesTheOldFileOrTheNewOne) {
  std::mt19937_64 random(21);
  int old_ones = 0;
  for (int kill = 0; kill < 30; ++kill) {
    const TemporaryFolder folder;
    make_old_database(folder / "a.db", 4, rows_of_version4());
    ChildProcess migrator([&](const auto& tell) {
      tell(0);
      must(RunStore::open(folder / "a.db"));
      tell(1);
    });
    ASSERT_EQ(migrator.next(), 0);
    spin(random() % 3'000'000);
    migrator.kill();
    migrator.wait();
    const auto version = version_of(folder / "a.db");
    EXPECT_TRUE(version == 4 || version == schema_version()) << version;
    EXPECT_EQ(batches_of(folder / "a.db"), 3);
    old_ones += version == 4 ? 1 : 0;
    {
      auto store = must(RunStore::open(folder / "a.db"));
      EXPECT_EQ(must(store.runs()).size(), 2U);
    }
    EXPECT_THAT(names_in(folder), ElementsAre("a.db"));
  }
  EXPECT_GT(old_ones, 0);
}

TEST(Migration, IsDoneOnceByProcessesThatOpenTheFileAtTheSameTime) {
  for (int i = 0; i < 10; ++i) {
    const TemporaryFolder folder;
    make_old_database(folder / "a.db", 4, rows_of_version4());
    const auto add_note = [&](const auto&) {
      must(must(RunStore::open(folder / "a.db")).add_event(1, "info", "here"));
    };
    ChildProcess first(add_note);
    ChildProcess second(add_note);
    EXPECT_EQ(first.wait(), 0);
    EXPECT_EQ(second.wait(), 0);
    auto store = must(RunStore::open_read_only(folder / "a.db"));
    EXPECT_EQ(must(store.events(1)).size(), 2U);
  }
}

TEST(Migration, WaitsForNobodyWhoHasTheOldFileOpen) {
  const TemporaryFolder folder;
  make_old_database(folder / "a.db", 4, rows_of_version4());
  auto reader = must(Database::open(folder / "a.db", OpenMode::ReadOnly));
  const auto reading = must(reader.begin(Access::Read));
  EXPECT_EQ(must(reader.query_integer("SELECT count(*) FROM run")), 2);
  const Error error = error_of(RunStore::open(folder / "a.db", std::chrono::milliseconds::zero()));
  EXPECT_EQ(error.code, ErrorCode::Busy);
  EXPECT_THAT(error.advice, HasSubstr("End the programs that have it open"));
  EXPECT_EQ(must(reader.query_integer("PRAGMA user_version")), 4);
}

TEST(Migration, KeepsThePermissionsOfTheFileAndALinkToIt) {
  const TemporaryFolder folder;
  make_old_database(folder / "a.db", 4, rows_of_version4());
  std::filesystem::permissions(folder / "a.db", std::filesystem::perms{0640});
  std::filesystem::create_symlink(folder / "a.db", folder / "link.db");
  must(RunStore::open(folder / "link.db"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.db"));
  EXPECT_EQ(std::filesystem::status(folder / "a.db").permissions(), std::filesystem::perms{0640});
  EXPECT_EQ(version_of(folder / "a.db"), schema_version());
}

}  // namespace
}  // namespace pcmlab::db

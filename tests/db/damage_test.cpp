// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/run_store.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::HasSubstr;

/// A finished run of three blocks in every place that has blocks.
class Damage : public testing::Test {
 protected:
  static constexpr std::size_t kDevices = 2 * kMaxBlockDevices + 100;

  Damage() {
    auto store = must(RunStore::open(file_));
    const PreparedRun prepared = prepare_run(store);
    must(store.set_placement(prepared.programming, make_placement(kDevices, 1)));
    must(store.add_batches(prepared.programming,
                           std::vector{BatchRow{1, BatchKind::Program, 1, 9, {5, 6}, {7, 8}}}));
    must(store.add_verify(prepared.programming, std::vector{BatchVerify{1, {}, {1, 2}}}));
    must(store.finish_programming(prepared.programming, make_result(kDevices, 2), {}));
    const RowId sweep = must(store.begin_sweep(sweep_start(prepared, 0)));
    must(store.add_sweep_blocks(sweep, make_blocks(make_code_sums(kDevices, 3), kMaxBlockDevices)));
    must(store.finish_sweep(sweep, 1, 1));
  }

  /// Changes the database past its own guards.
  void damage(const std::string& sql) const {
    auto database = must(Database::open(file_, OpenMode::ReadWriteCreate));
    must(database.execute("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON"));
    std::string triggers;
    auto select = must(database.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'"));
    while (must(select.step())) {
      triggers += "DROP TRIGGER " + select.text(0) + ";";
    }
    select = must(database.prepare("SELECT 1"));
    must(database.execute(triggers + sql));
  }

  RunStore reader() const { return must(RunStore::open_read_only(file_)); }

  const TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_ / "results.db";
};

TEST_F(Damage, IsNotSeenWhereThereIsNone) {
  auto store = reader();
  EXPECT_TRUE(store.sweep_code_sums(1).has_value());
  EXPECT_TRUE(store.placement(1).has_value());
  EXPECT_TRUE(store.programming_result(1).has_value());
  EXPECT_TRUE(store.batches(1).has_value());
  EXPECT_TRUE(store.verify_reads(1).has_value());
}

TEST_F(Damage, OfASweepIsFoundByItsChecksum) {
  damage(
      "UPDATE sweep_block SET code_sums_u16 = CAST(x'ffff' || substr(code_sums_u16, 3) AS BLOB)"
      " WHERE first_device = 65536");
  const Error error = error_of(reader().sweep_code_sums(1));
  EXPECT_EQ(error.code, ErrorCode::BadFile);
  EXPECT_THAT(error.message, HasSubstr("reading sweep 1"));
  EXPECT_THAT(error.message, HasSubstr("the block of device 65536 is damaged"));
  EXPECT_NE(error.advice, "");
}

TEST_F(Damage, OfEveryOtherBlobIsFoundByItsChecksum) {
  const std::string whole = bytes_of_file(file_);
  const auto change_first_bytes = [&](const std::string& table, const std::string& blob) {
    write_file(file_, whole);
    damage(std::string("UPDATE ").append(table).append(" SET ").append(blob).append(
        std::string(" = CAST(x'ffff' || substr(")
            .append(blob)
            .append(", 3) AS BLOB)")
            .append(" WHERE first_device = 0")));
  };
  for (const char* const blob : {"addresses_u32", "targets_uS_f32"}) {
    change_first_bytes("placement_block", blob);
    EXPECT_EQ(error_of(reader().placement(1)).code, ErrorCode::BadFile) << blob;
  }
  for (const char* const blob :
       {"verdicts_u8", "iterations_u8", "pulses_u16", "last_amplitude_10nA_u16",
        "last_code_sum_u16", "last_pulse_tick_ns_i64"}) {
    change_first_bytes("programming_result", blob);
    EXPECT_EQ(error_of(reader().programming_result(1)).code, ErrorCode::BadFile) << blob;
  }
  damage("UPDATE pulse_batch SET amplitudes_10nA_u16 = x'00000000'");
  EXPECT_EQ(error_of(reader().batches(1)).code, ErrorCode::BadFile);
  damage("UPDATE pulse_batch_verify SET code_sums_u16 = x'00000000'");
  EXPECT_EQ(error_of(reader().verify_reads(1)).code, ErrorCode::BadFile);
}

TEST_F(Damage, OfALostBlockIsFound) {
  damage("DELETE FROM sweep_block WHERE first_device = 65536");
  EXPECT_THAT(error_of(reader().sweep_code_sums(1)).message,
              HasSubstr("devices 65536 to 131071 of it are missing"));
  damage("DELETE FROM sweep_block WHERE first_device = 131072");
  EXPECT_THAT(error_of(reader().sweep_code_sums(1)).message,
              HasSubstr("it has 65536 devices of 131172"));
  damage("DELETE FROM placement_block WHERE first_device = 131072");
  EXPECT_EQ(error_of(reader().placement(1)).code, ErrorCode::BadFile);
  damage("DELETE FROM programming_result WHERE first_device = 0");
  EXPECT_EQ(error_of(reader().programming_result(1)).code, ErrorCode::BadFile);
}

TEST_F(Damage, OfADeviceStoredTwiceIsFound) {
  damage("UPDATE sweep_block SET first_device = 131000 WHERE first_device = 131072");
  EXPECT_THAT(error_of(reader().sweep_code_sums(1)).message,
              HasSubstr("device 131000 of it is there more than once"));
}

TEST_F(Damage, OfAStateThatNoProgramWritesIsFound) {
  damage("UPDATE run SET state = 'nearly'");
  EXPECT_EQ(error_of(reader().runs()).code, ErrorCode::BadFile);
}

TEST_F(Damage, NeverMakesASweepComplete) {
  auto store = must(RunStore::open(file_));
  SweepStart start = sweep_start({1, 1, 1}, 1);
  const RowId sweep = must(store.begin_sweep(start));
  auto blocks = make_blocks(make_code_sums(kDevices, 3), kMaxBlockDevices);
  EXPECT_THAT(error_of(store.finish_sweep(sweep, 1, 1)).message, HasSubstr("0 devices of 131172"));
  must(store.add_sweep_blocks(sweep, std::span(blocks).first(1)));
  EXPECT_EQ(error_of(store.finish_sweep(sweep, 1, 1)).code, ErrorCode::BadFile);
  must(store.add_sweep_blocks(sweep, std::span(blocks).last(1)));
  EXPECT_THAT(error_of(store.finish_sweep(sweep, 1, 1)).message,
              HasSubstr("devices 65536 to 131071 of the sweep are missing"));
  EXPECT_EQ(error_of(store.sweep_code_sums(sweep)).code, ErrorCode::BadFile);
  must(store.add_sweep_blocks(sweep, std::span(blocks).subspan(1, 1)));
  must(store.finish_sweep(sweep, 1, 1));
  EXPECT_EQ(must(store.sweep_code_sums(sweep)).size(), kDevices);
  EXPECT_EQ(error_of(store.finish_sweep(99, 1, 1)).code, ErrorCode::NotFound);
  EXPECT_EQ(error_of(store.sweep_code_sums(99)).code, ErrorCode::NotFound);
}

TEST_F(Damage, OfAFileThatIsNoDatabaseIsFoundAtOpening) {
  const auto file = folder_ / "notes.txt";
  write_file(file, std::string(5000, 'x'));
  for (const Error& error :
       {error_of(RunStore::open(file)), error_of(RunStore::open_read_only(file))}) {
    EXPECT_EQ(error.code, ErrorCode::BadFile);
    EXPECT_THAT(error.message, HasSubstr("file is not a database"));
    EXPECT_THAT(error.message, HasSubstr(file.string()));
  }
  EXPECT_EQ(bytes_of_file(file), std::string(5000, 'x'));
}

TEST_F(Damage, OfATruncatedFileIsFoundAtOpening) {
  const std::string bytes = bytes_of_file(file_);
  // Within the header, at a page's end, within a page, in the middle.
  for (const std::size_t size :
       {std::size_t{50}, std::size_t{16384}, std::size_t{16384 * 7 + 99}, bytes.size() / 2}) {
    write_file(file_, bytes.substr(0, size));
    EXPECT_EQ(error_of(RunStore::open(file_)).code, ErrorCode::BadFile) << size;
    EXPECT_EQ(error_of(RunStore::open_read_only(file_)).code, ErrorCode::BadFile) << size;
  }
}

TEST_F(Damage, OfAnyByteNeverGivesWrongReadings) {
  const std::string bytes = bytes_of_file(file_);
  const auto truth = make_code_sums(kDevices, 3);
  int found = 0;
  for (std::size_t at = 100; at < bytes.size(); at += bytes.size() / 199) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
    write_file(file_, damaged);
    auto store = RunStore::open_read_only(file_);
    const auto read = store ? store->sweep_code_sums(1)
                            : Result<std::vector<std::uint16_t>>(tl::unexpect, store.error());
    found += read ? 0 : 1;
    EXPECT_TRUE(!read || *read == truth) << "byte " << at;
  }
  EXPECT_GT(found, 10);
}

}  // namespace
}  // namespace pcmlab::db

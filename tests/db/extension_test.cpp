// SPDX-License-Identifier: Apache-2.0
// The tables over blobs against what RunStore reads, and SQLite's promise that a condition the
// table took over changes no result.
#include "db/extension/tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <random>

#include "db/run_store.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::size_t kDevices = 1000;
constexpr std::int64_t kEndTick = 5000;

/// One run: 500 weights from 17 on, in two layers; two sweeps; batches of all kinds.
void write_run(RunStore& store, std::uint64_t seed) {
  const PreparedRun prepared = prepare_run(store);
  const std::vector<LayerRow> layers{{0, "conv1", 20, 10, 17, 0.5, 25},
                                     {1, "fc", 30, 10, 217, 0.5, 25}};
  must(store.add_layers(prepared.step, layers));
  must(store.set_placement(prepared.programming, make_placement(kDevices, seed)));
  const auto batch = prepared.run * 100;
  const auto number = [batch](int i) { return static_cast<std::uint64_t>(batch + i); };
  must(store.add_batches(
      prepared.programming,
      std::vector{BatchRow{number(0), BatchKind::Reset, 0, 1000, {0, 1, 2, 3}, {}},
                  BatchRow{number(1), BatchKind::Staircase, 0, 1000, {1, 3}, {}},
                  BatchRow{number(2), BatchKind::Program, 1, 400, {1, 3, 5}, {20000, 0, 25000}},
                  BatchRow{number(3), BatchKind::Program, 2, 400, {5, 1}, {100, 200}}}));
  must(store.add_outcomes(
      prepared.programming,
      std::vector{BatchOutcome{number(0), 3, {0, 400}}, BatchOutcome{number(1), 10, {500, 600}},
                  BatchOutcome{number(2), 1, {700, 1000}}}));
  must(store.add_verify(prepared.programming,
                        std::vector{BatchVerify{number(2), {1000, 1100}, {10, 20, 30}}}));
  must(store.finish_programming(prepared.programming, make_result(kDevices, seed),
                                {3, 500, 300, 14, kEndTick}));
  for (int i = 0; i < 2; ++i) {
    SweepStart start = sweep_start(prepared, i);
    start.gain_uS_per_code = 0.2;
    start.offset_uS = -0.1;
    start.samples = 5;
    const RowId sweep = must(store.begin_sweep(start));
    const auto sums = make_code_sums(kDevices, seed + static_cast<std::uint64_t>(i) + 1);
    must(store.add_sweep_blocks(sweep, make_blocks(sums, 300)));
    must(store.finish_sweep(sweep, 1, 1));
  }
}

class Extension : public testing::Test {
 protected:
  Extension() {
    auto store = must(RunStore::open(file_));
    write_run(store, 1);
    write_run(store, 2);
  }

  /// Rows as text, columns parted by blanks.
  std::vector<std::string> rows(const std::string& sql) {
    if (!database_) database_ = opened(file_, OpenMode::ReadOnly);
    return rows(*database_, sql);
  }
  static Database opened(const std::filesystem::path& file, OpenMode mode) {
    auto database = must(Database::open(file, mode));
    EXPECT_EQ(extension::register_tables(database.handle()), SQLITE_OK);
    return database;
  }
  static std::vector<std::string> rows(Database& database, const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(database.handle(), sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
      throw std::runtime_error(sqlite3_errmsg(database.handle()));
    }
    std::vector<std::string> result;
    int step = SQLITE_OK;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
      std::string row;
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
        row += i == 0 ? "" : " ";
        row += text == nullptr ? "-" : text;
      }
      result.push_back(row);
    }
    const std::string message = sqlite3_errmsg(database.handle());
    sqlite3_finalize(statement);
    if (step != SQLITE_DONE) throw std::runtime_error(message);
    return result;
  }
  std::string value(const std::string& sql) {
    const auto found = rows(sql);
    return found.size() == 1 ? found[0] : std::to_string(found.size()) + " rows";
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "x.db";
  std::optional<Database> database_;
};

TEST_F(Extension, EveryReadingIsThereAsItWasStored) {
  auto store = must(RunStore::open_read_only(file_));
  auto& database = store.database();
  ASSERT_EQ(extension::register_tables(database.handle()), SQLITE_OK);
  auto select = must(database.prepare(
      "SELECT run_id, sweep_id, programming_id, sweep_ordinal, device, layer, layer_name, weight, "
      "polarity, word_line, bit_line, target_uS, code_sum, g_uS FROM reading"));
  std::map<RowId, std::vector<std::uint16_t>> sums;
  std::map<RowId, Placement> placements;
  std::int64_t count = 0, expected_device = 0;
  while (must(select.step())) {
    const RowId sweep = select.integer(1), programming = select.integer(2);
    const std::int64_t device = select.integer(4);
    if (sums.find(sweep) == sums.end()) sums[sweep] = must(store.sweep_code_sums(sweep));
    if (placements.find(programming) == placements.end()) {
      placements[programming] = must(store.placement(programming));
    }
    ASSERT_EQ(device, expected_device);
    expected_device = (expected_device + 1) % static_cast<std::int64_t>(kDevices);
    const auto d = static_cast<std::size_t>(device);
    const Placement& placement = placements[programming];
    const std::int64_t weight = 17 + device / 2;
    ASSERT_EQ(select.integer(0), sweep <= 2 ? 1 : 2);
    ASSERT_EQ(select.integer(3), (sweep - 1) % 2);
    ASSERT_EQ(select.integer(5), weight < 217 ? 0 : 1);
    ASSERT_EQ(select.text(6), weight < 217 ? "conv1" : "fc");
    ASSERT_EQ(select.integer(7), weight);
    ASSERT_EQ(select.integer(8), device % 2 == 0 ? 1 : -1);
    ASSERT_EQ(select.integer(9), placement.addresses[d].word_line.index);
    ASSERT_EQ(select.integer(10), placement.addresses[d].bit_line.index);
    ASSERT_EQ(select.real(11), static_cast<double>(placement.targets_uS[d]));
    ASSERT_EQ(select.integer(12), sums[sweep][d]);
    ASSERT_EQ(select.real(13), 0.2 * sums[sweep][d] / 5 + -0.1);
    ++count;
  }
  EXPECT_EQ(count, 4 * static_cast<std::int64_t>(kDevices));
}

TEST_F(Extension, AReadingHasTheTimeOfItsPlaceInTheBlock) {
  const auto result = must(must(RunStore::open_read_only(file_)).programming_result(1));
  // Block 2 holds devices 300 to 599, from tick 300,000 to 600,000: a thousand each.
  EXPECT_EQ(value("SELECT tick_ns FROM reading WHERE sweep_id = 1 AND device = 310"), "310500");
  EXPECT_EQ(
      value("SELECT printf('%.9f', after_s) FROM reading WHERE sweep_id = 1 AND device = 310"),
      "0.000305500");
  EXPECT_EQ(
      value("SELECT age_s = 1e-9 * (310500 - " + std::to_string(result.last_pulse_ticks_ns[310]) +
            ") FROM reading WHERE sweep_id = 1 AND device = 310"),
      "1");
}

TEST_F(Extension, EveryProgrammedDeviceIsThereAsItWasStored) {
  auto store = must(RunStore::open_read_only(file_));
  auto& database = store.database();
  ASSERT_EQ(extension::register_tables(database.handle()), SQLITE_OK);
  const ProgrammingResult result = must(store.programming_result(2));
  auto select = must(database.prepare(
      "SELECT verdict, iterations, pulses, last_amplitude_uA, code_sum, last_pulse_tick_ns "
      "FROM programmed_device WHERE programming_id = 2"));
  std::size_t d = 0;
  while (must(select.step())) {
    ASSERT_EQ(select.text(0), to_string(result.verdicts[d]));
    ASSERT_EQ(select.integer(1), result.iterations[d]);
    ASSERT_EQ(select.integer(2), result.pulses[d]);
    ASSERT_EQ(select.real(3), result.last_amplitudes_10nA[d] / 100.0);
    ASSERT_EQ(select.is_null(4), result.verdicts[d] == Verdict::Reset);
    if (!select.is_null(4)) {
      ASSERT_EQ(select.integer(4), result.last_code_sums[d]);
    }
    ASSERT_EQ(select.integer(5), result.last_pulse_ticks_ns[d]);
    ++d;
  }
  EXPECT_EQ(d, kDevices);
}

TEST_F(Extension, EveryFittedDeviceIsThereAsItWasStored) {
  const DriftFits fits = make_drift_fits(kDevices, 3);
  {
    auto store = must(RunStore::open(file_));
    DriftFitRow row;
    row.run = row.step = row.programming = 2;
    row.method = "power law";
    row.sweeps = 6;
    row.t0_s = 20;
    must(store.add_drift_fit(row, fits));
  }
  auto database = opened(file_, OpenMode::ReadOnly);
  auto select = must(database.prepare(
      "SELECT run_id, drift_fit_id, programming_id, device, exponent, exponent_error, g_t0_uS, "
      "t0_s, class, weight FROM device_drift"));
  std::size_t d = 0;
  int without = 0;
  while (must(select.step())) {
    ASSERT_EQ(select.integer(0), 2);
    ASSERT_EQ(select.integer(1), 1);
    ASSERT_EQ(select.integer(2), 2);
    ASSERT_EQ(select.integer(3), static_cast<std::int64_t>(d));
    ASSERT_EQ(select.is_null(4), std::isnan(fits.exponents[d]));
    if (select.is_null(4)) {
      ASSERT_TRUE(select.is_null(5) && select.is_null(6));
      ++without;
    } else {
      ASSERT_EQ(select.real(4), static_cast<double>(fits.exponents[d]));
      ASSERT_EQ(select.real(5), static_cast<double>(fits.exponent_errors[d]));
      ASSERT_EQ(select.real(6), static_cast<double>(fits.g_t0_uS[d]));
    }
    ASSERT_EQ(select.real(7), 20);
    ASSERT_EQ(select.text(8), to_string(fits.classes[d]));
    ASSERT_EQ(select.integer(9), 17 + static_cast<std::int64_t>(d) / 2);
    ++d;
  }
  EXPECT_EQ(d, kDevices);
  EXPECT_GT(without, 100);
}

TEST_F(Extension, PulsesTellWhichDeviceGotWhat) {
  EXPECT_THAT(rows("SELECT batch, kind, iteration, place, device, amplitude_uA, width_ns, given, "
                   "tick_ns, code_sum FROM pulse WHERE run_id = 1"),
              ElementsAre("100 reset 0 0 0 - 1000 1 100 -",      //
                          "100 reset 0 1 1 - 1000 1 200 -",      //
                          "100 reset 0 2 2 - 1000 1 300 -",      //
                          "100 reset 0 3 3 - 1000 0 - -",        // the batch broke off before it
                          "101 staircase 0 0 1 - 1000 1 550 -",  //
                          "101 staircase 0 1 3 - 1000 1 600 -",  //
                          "102 program 1 0 1 200.0 400 1 800 10",
                          "102 program 1 1 3 0.0 400 0 - 20",    // read only
                          "102 program 1 2 5 250.0 400 0 - 30",  // broken off
                          "103 program 2 0 5 1.0 400 - - -",     // never acknowledged
                          "103 program 2 1 1 2.0 400 - - -"));
  EXPECT_THAT(rows("SELECT batch, place FROM pulse WHERE device = 1 AND run_id = 2"),
              ElementsAre("200 1", "201 0", "202 0", "203 1"));
  EXPECT_THAT(rows("SELECT batch FROM pulse WHERE device IN (3, 5) AND iteration > 0 AND given"),
              IsEmpty());
  EXPECT_THAT(rows("SELECT device, count(*) FROM pulse WHERE run_id = 1 AND device IN (1, 3, 5) "
                   "GROUP BY device"),
              ElementsAre("1 4", "3 3", "5 2"));
}

TEST_F(Extension, WearIsWhatThePulsesOfAllRunsAddUpTo) {
  // All devices of a staircase get as many: 10 pulses for two devices.
  const auto by_place = rows(
      "SELECT word_line, bit_line, sum(CASE WHEN given THEN iif(kind = 'staircase', 5, 1) ELSE 0 "
      "END) AS pulses, sum(given IS NULL) AS unknown, count(DISTINCT programming_id) "
      "FILTER (WHERE given OR given IS NULL), max(run_id) FILTER (WHERE given OR given IS NULL) "
      "FROM pulse GROUP BY 1, 2 HAVING pulses OR unknown ORDER BY 1, 2");
  const std::string wear =
      "SELECT word_line, bit_line, pulses, unknown_batches, programmings, last_run_id "
      "FROM device_wear ";
  EXPECT_THAT(by_place, SizeIs(testing::Ge(5u)));
  EXPECT_EQ(rows(wear), by_place);
  EXPECT_EQ(value("SELECT sum(pulses), sum(unknown_batches), min(first_run_id) FROM device_wear"),
            "28 4 1");
  EXPECT_EQ(value("SELECT pulses FROM chip_wear"), "28");
  // Amplitude squared x width: RESETs, two staircases behind a RESET, 200 uA, and the batch that
  // nobody knows of as if it had been given.
  const double reset = 450.0 * 450 * 50, staircase = (100.0 * 100 + 200 * 200) * 1000;
  const double each = 3 * reset + 2 * (reset + staircase) + 200.0 * 200 * 400 + (1 + 4) * 400;
  EXPECT_NEAR(std::stod(value("SELECT sum(heat_A2s) * 1e21 FROM device_wear")), 2 * each,
              1e-9 * each);
  const std::string line = value("SELECT max(word_line) FROM device_wear");
  EXPECT_EQ(rows(wear + "WHERE word_line = " + line), rows(wear + "WHERE +word_line = " + line));
  EXPECT_THAT(rows(wear + "WHERE first_run_id = 2"), IsEmpty());
  must(must(Database::open(file_, OpenMode::ReadWriteCreate))
           .execute("UPDATE run SET deleted_utc = '2026-01-01', deleted_by = 'x' WHERE id = 1"));
  EXPECT_EQ(rows(wear), by_place);
}

// Conditions that the tables take over, against the same ones on copies in SQLite's own tables.
TEST_F(Extension, ConditionsLeaveTheSameRowsWhoeverLooksAtThem) {
  std::mt19937 random(5);
  const auto below = [&random](std::uint32_t count) {
    return static_cast<std::uint32_t>(random() % count);
  };
  const std::vector<std::pair<std::string, std::vector<std::string>>> tables = {
      {"reading",
       {"run_id", "sweep_id", "programming_id", "sweep_ordinal", "device", "layer", "weight",
        "word_line", "bit_line"}},
      {"programmed_device",
       {"run_id", "programming_id", "device", "layer", "weight", "word_line", "bit_line"}},
      {"pulse",
       {"run_id", "programming_id", "pulse_batch_id", "batch", "iteration", "device", "layer",
        "weight", "word_line", "bit_line"}}};
  const std::map<std::string, std::uint32_t> highest = {
      {"device", 1000}, {"weight", 520}, {"word_line", 512}, {"bit_line", 2048}, {"batch", 210}};
  database_ = opened(file_, OpenMode::ReadWriteCreate);  // else there are no temporary tables
  for (const auto& table : tables) {
    rows("CREATE TEMP TABLE copied_" + table.first + " AS SELECT rowid AS id, * FROM " +
         table.first);
  }
  int with_rows = 0;
  for (int round = 0; round < 400; ++round) {
    const auto& [table, columns] = tables[below(3)];
    std::string conditions = "1";
    for (std::uint32_t terms = 1 + below(3); terms > 0; --terms) {
      const std::string& column = columns[below(static_cast<std::uint32_t>(columns.size()))];
      const auto limit = highest.find(column);
      std::string number = std::to_string(below(limit == highest.end() ? 4 : limit->second));
      switch (below(8)) {
        case 0:
          number += ".5";
          break;
        case 1:
          number.insert(0, "'").append("'");
          break;
        case 2:
          number =
              std::vector<std::string>{"NULL", "'x'", "x'00'", "1e300", "-1e300", "-1"}[below(6)];
          break;
        default:
          break;
      }
      conditions += " AND " + column;
      conditions += std::vector<std::string>{" = ", " < ", " <= ", " > ", " >= "}[below(5)];
      conditions += number;
    }
    std::string where = table;
    where.append(" WHERE ").append(conditions);
    const std::string answer = value("SELECT count(*), total(rowid) FROM " + where);
    ASSERT_EQ(answer, value("SELECT count(*), total(id) FROM copied_" + where)) << where;
    with_rows += answer.substr(0, 2) == "0 " ? 0 : 1;
  }
  EXPECT_GT(with_rows, 100);
}

TEST_F(Extension, RowsComeInTheOrderThatIsPromised) {
  const auto plan = [this](const std::string& sql) {
    std::string text;
    for (const auto& row : rows("EXPLAIN QUERY PLAN " + sql)) text += row;
    return text;
  };
  const auto sorted = HasSubstr("TEMP B-TREE");
  EXPECT_THAT(plan("SELECT * FROM reading ORDER BY sweep_id, device"), Not(sorted));
  EXPECT_THAT(plan("SELECT sweep_id, avg(g_uS) FROM reading GROUP BY sweep_id"), Not(sorted));
  EXPECT_THAT(plan("SELECT * FROM reading WHERE sweep_id = 2 ORDER BY device"), Not(sorted));
  EXPECT_THAT(plan("SELECT * FROM reading ORDER BY device"), sorted);
  EXPECT_THAT(plan("SELECT * FROM reading ORDER BY sweep_id DESC"), sorted);
  EXPECT_THAT(plan("SELECT * FROM reading WHERE sweep_id IN (2, 1) ORDER BY device"), sorted);
  EXPECT_THAT(rows("SELECT sweep_id FROM reading WHERE sweep_id IN (3, 1) AND device = 4 "
                   "ORDER BY sweep_id"),
              ElementsAre("1", "3"));
}

TEST_F(Extension, TablesJoinWithThoseOfTheSchema) {
  EXPECT_THAT(rows("SELECT run.name, count(*) FROM run JOIN reading ON run_id = run.id "
                   "WHERE word_line < 20 GROUP BY run.id HAVING count(*) > 0"),
              SizeIs(2));
  EXPECT_EQ(value("SELECT count(*) FROM reading AS early JOIN reading AS late USING (device) "
                  "WHERE early.sweep_id = 1 AND late.sweep_id = 2"),
            "1000");
}

TEST_F(Extension, DeletedRunsAreLeftOut) {
  must(must(Database::open(file_, OpenMode::ReadWriteCreate))
           .execute("UPDATE run SET deleted_utc = '2026-01-01', deleted_by = 'x' WHERE id = 1"));
  EXPECT_EQ(value("SELECT min(run_id), max(run_id) FROM reading"), "2 2");
  EXPECT_EQ(value("SELECT count(*) FROM programmed_device WHERE run_id = 1"), "0");
  EXPECT_EQ(value("SELECT count(*) FROM pulse WHERE run_id = 1"), "0");
}

TEST_F(Extension, AHoleInASweepIsAHole) {
  must(must(Database::open(file_, OpenMode::ReadWriteCreate))
           .execute("DELETE FROM sweep_block WHERE sweep_id = 2 AND first_device = 300"));
  EXPECT_EQ(value("SELECT count(*), min(device), max(device) FROM reading WHERE sweep_id = 2"),
            "700 0 999");
  EXPECT_EQ(value("SELECT count(*) FROM reading WHERE sweep_id = 2 AND device BETWEEN 250 AND 349"),
            "50");
}

TEST_F(Extension, ADamagedBlockIsAnErrorThatNamesItAndTheOthersCanBeRead) {
  auto database = must(Database::open(file_, OpenMode::ReadWriteCreate));
  must(database.execute("DROP TRIGGER sweep_block_is_final"));
  must(
      database.execute("UPDATE sweep_block SET code_sums_u16 = zeroblob(length(code_sums_u16)) "
                       "WHERE sweep_id = 2 AND first_device = 300"));
  EXPECT_THROW(
      {
        try {
          rows("SELECT avg(g_uS) FROM reading");
        } catch (const std::runtime_error& error) {
          EXPECT_THAT(error.what(), HasSubstr("row 6 of sweep_block is damaged"));
          throw;
        }
      },
      std::runtime_error);
  EXPECT_EQ(value("SELECT count(*) FROM reading WHERE sweep_id > 2"), "2000");
  EXPECT_EQ(value("SELECT count(*) FROM reading WHERE sweep_id = 2 AND device < 300"), "300");
}

TEST_F(Extension, AnotherProgramsFileIsRefusedByName) {
  const auto other = folder_ / "other.db";
  must(must(Database::open(other, OpenMode::ReadWriteCreate)).execute("CREATE TABLE x (y)"));
  EXPECT_THROW(
      {
        try {
          auto database = opened(other, OpenMode::ReadOnly);
          rows(database, "SELECT * FROM reading");
        } catch (const std::runtime_error& error) {
          EXPECT_THAT(error.what(), HasSubstr("not a results database"));
          throw;
        }
      },
      std::runtime_error);
}

#ifndef PCMLAB_SANITIZED  // programs without a sanitizer cannot load a file with one
TEST_F(Extension, TheFileWorksInTheShellAndInPython) {
  const std::string sql = "SELECT count(*), round(sum(g_uS), 3) FROM reading WHERE sweep_id = 3";
  const std::string expected = value(sql);
  const auto said = folder_ / "said";
  const std::string shell = "sqlite3 -readonly -separator ' ' -cmd '.load " PCMLAB_SQLITE "' " +
                            file_.string() + " '" + sql + "' > " + said.string() + " 2>&1";
  ASSERT_EQ(std::system(shell.c_str()), 0) << bytes_of_file(said);
  EXPECT_EQ(bytes_of_file(said), expected + "\n");
  write_file(folder_ / "x.py", "import sqlite3\nd = sqlite3.connect('file:" + file_.string() +
                                   "?mode=ro', uri=True)\nd.enable_load_extension(True)\n"
                                   "d.load_extension('" PCMLAB_SQLITE
                                   "')\n"
                                   "print(*d.execute('" +
                                   sql + "').fetchone())\n");
  const std::string python =
      "/usr/bin/python3 " + (folder_ / "x.py").string() + " > " + said.string() + " 2>&1";
  ASSERT_EQ(std::system(python.c_str()), 0) << bytes_of_file(said);
  EXPECT_EQ(bytes_of_file(said), expected + "\n");
}
#endif

}  // namespace
}  // namespace pcmlab::db

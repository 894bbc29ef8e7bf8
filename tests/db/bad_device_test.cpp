// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "db/run_store.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

DeviceAddress at(std::uint16_t word_line, std::uint16_t bit_line) {
  return {WordLine{word_line}, BitLine{bit_line}};
}

/// Programmings of three devices, at word line 1, bit lines 5, 6 and 7.
struct Chip {
  RowId begin_run(const std::string& sample, const std::string& serial = "PCM-0042") {
    RunStart start;
    start.sample = sample;
    start.board.serial = serial;
    return must(store.begin_run(start));
  }

  void program(RowId run, std::vector<Verdict> verdicts) {
    ProgrammingStart start;
    start.run = run;
    start.step = must(
        store.begin_step(run, static_cast<int>(must(store.steps(run)).size()), "program", "{}"));
    start.verify_samples = 5;
    start.gain_uS_per_code = 0.2;
    start.offset_uS = -1;
    const RowId programming = must(store.begin_programming(start));
    Placement placement;
    placement.shape = {4, 8};
    placement.addresses = {at(1, 5), at(1, 6), at(1, 7)};
    placement.targets_uS = {20, 10, 5};
    must(store.set_placement(programming, placement));
    ProgrammingResult result = make_result(3, 1);
    result.verdicts = std::move(verdicts);
    result.last_code_sums = {100, 200, 300};
    must(store.finish_programming(programming, result, {}));
  }

  RunStore store = must(RunStore::open(":memory:"));
};

TEST(BadDevices, AreThoseThatStuck) {
  Chip chip;
  const RowId run = chip.begin_run("chip 7");
  EXPECT_THAT(must(chip.store.known_bad(run, KnownTo::Run)), IsEmpty());
  chip.program(run, {Verdict::StuckLow, Verdict::MaxIterations, Verdict::StuckHigh});
  EXPECT_THAT(must(chip.store.known_bad(run, KnownTo::Run)), ElementsAre(at(1, 5), at(1, 7)));
  auto select = must(chip.store.database().prepare(
      "SELECT sample, verdict, target_uS, verified_uS FROM known_bad_device ORDER BY bit_line"));
  ASSERT_TRUE(must(select.step()));
  EXPECT_EQ(select.text(0), "chip 7");
  EXPECT_EQ(select.text(1), "stuck low");
  EXPECT_EQ(select.real(2), 20);
  EXPECT_DOUBLE_EQ(select.real(3), 0.2 / 5 * 100 - 1);
  ASSERT_TRUE(must(select.step()));
  EXPECT_EQ(select.text(1), "stuck high");
  EXPECT_FALSE(must(select.step()));
}

TEST(BadDevices, AreRememberedByChipAndNotByOthers) {
  Chip chip;
  chip.program(chip.begin_run("chip 7"),
               {Verdict::Converged, Verdict::StuckLow, Verdict::Converged});
  const RowId later = chip.begin_run("chip 7");
  EXPECT_THAT(must(chip.store.known_bad(later, KnownTo::Run)), IsEmpty());
  EXPECT_THAT(must(chip.store.known_bad(later, KnownTo::Chip)), ElementsAre(at(1, 6)));
  EXPECT_THAT(must(chip.store.known_bad(chip.begin_run("chip 8"), KnownTo::Chip)), IsEmpty());
  EXPECT_THAT(must(chip.store.known_bad(chip.begin_run("chip 7", "PCM-0043"), KnownTo::Chip)),
              IsEmpty());
}

TEST(BadDevices, AreForgivenWhenTheyConvergeAgain) {
  Chip chip;
  const RowId run = chip.begin_run("chip 7");
  chip.program(run, {Verdict::StuckLow, Verdict::StuckLow, Verdict::Converged});
  chip.program(run, {Verdict::Converged, Verdict::Reset, Verdict::Converged});
  EXPECT_THAT(must(chip.store.known_bad(run, KnownTo::Run)), ElementsAre(at(1, 6)));
  EXPECT_EQ(must(chip.store.database().query_integer("SELECT count(*) FROM known_bad_device")), 1);
  EXPECT_EQ(must(chip.store.database().query_integer("SELECT count(*) FROM bad_device")), 3);
  chip.program(run, {Verdict::StuckHigh, Verdict::Converged, Verdict::Converged});
  EXPECT_THAT(must(chip.store.known_bad(run, KnownTo::Run)), ElementsAre(at(1, 5)));
}

}  // namespace
}  // namespace pcmlab::db

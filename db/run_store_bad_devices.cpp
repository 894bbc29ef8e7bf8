// SPDX-License-Identifier: Apache-2.0
// RunStore: devices that do not answer pulses, by their place on the chip.
#include <algorithm>

#include "db/run_store.h"
#include "db/store_access.h"

namespace pcmlab::db {
namespace {

// Of each place that a programming of the run or chip had a word on, the last one by time: runs
// that were merged in have later numbers. ?1 is the run.
constexpr std::string_view kBadOfRun =
    "SELECT word_line, bit_line, verdict, max(bad_device.id) FROM bad_device"
    " JOIN programming ON programming.id = programming_id WHERE run_id = ?1"
    " GROUP BY word_line, bit_line";
constexpr std::string_view kBadOfChip =
    "SELECT word_line, bit_line, verdict,"
    " max(coalesce(programming.ended_utc, '9999') || printf(' %020d', bad_device.id))"
    " FROM bad_device JOIN programming ON programming.id = programming_id"
    " JOIN run ON run.id = run_id"
    " JOIN run AS this ON this.id = ?1"
    " WHERE run.board_id IS this.board_id AND run.sample = this.sample"
    " AND run.deleted_utc IS NULL"
    " GROUP BY word_line, bit_line";

Result<std::vector<DeviceAddress>> bad_devices(Database& database, RowId run, KnownTo whom) {
  std::vector<DeviceAddress> bad;
  PCM_ASSIGN(auto select, database.prepare(whom == KnownTo::Run ? kBadOfRun : kBadOfChip));
  select.bind(run);
  for (;;) {
    PCM_ASSIGN(const bool more, select.step());
    if (!more) return bad;
    if (select.text(2) == to_string(Verdict::Converged)) continue;
    bad.push_back({WordLine{static_cast<std::uint16_t>(select.integer(0))},
                   BitLine{static_cast<std::uint16_t>(select.integer(1))}});
  }
}

}  // namespace

Result<void> RunStore::note_bad_devices(RowId run, RowId programming,
                                        const ProgrammingResult& result) {
  PCM_ASSIGN(const Placement placed, placement(programming));
  PCM_ASSIGN(const auto known, bad_devices(database_, run, KnownTo::Chip));
  std::vector<bool> known_bad(placed.shape.device_count());
  for (const DeviceAddress address : known) {
    if (placed.shape.contains(address)) known_bad[placed.shape.linear(address)] = true;
  }
  PCM_ASSIGN(auto read, database_.prepare("SELECT gain_uS_per_code / verify_samples, offset_uS"
                                          " FROM programming WHERE id = ?"));
  PCM_TRY(read.bind(programming).step());
  const double gain_uS = read.real(0);
  const double offset_uS = read.real(1);
  PCM_ASSIGN(auto insert, database_.prepare("INSERT INTO bad_device (programming_id, word_line,"
                                            " bit_line, verdict, target_uS, verified_uS)"
                                            " VALUES (?, ?, ?, ?, ?, ?)"));
  for (std::size_t d = 0; d < placed.addresses.size(); ++d) {
    const Verdict verdict = result.verdicts[d];
    const DeviceAddress address = placed.addresses[d];
    const bool stuck = verdict == Verdict::StuckLow || verdict == Verdict::StuckHigh;
    const bool well_again =
        verdict == Verdict::Converged && known_bad[placed.shape.linear(address)];
    if (!stuck && !well_again) continue;
    PCM_TRY(insert.execute(programming, address.word_line.index, address.bit_line.index,
                           to_string(verdict), static_cast<double>(placed.targets_uS[d]),
                           gain_uS * result.last_code_sums[d] + offset_uS));
  }
  return {};
}

Result<std::vector<DeviceAddress>> RunStore::known_bad(RowId run, KnownTo whom) {
  return read(database_, "reading the bad devices known to run " + number(run),
              [&] { return bad_devices(database_, run, whom); });
}

}  // namespace pcmlab::db

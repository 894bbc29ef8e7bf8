// SPDX-License-Identifier: Apache-2.0
#include "db/verify.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>

#include "db/blobs.h"
#include "db/store_access.h"

namespace pcmlab::db {
namespace {

/// What belongs together as blocks of devices, and its checksums.
struct BlockTable {
  const char* name;
  /// One row a block: run, owner, first device, devices, checksum, then the blobs. First devices
  /// are NULL where a row is all there is.
  const char* select;
  const char* owner;  ///< what `owner` is: "sweep"
};

constexpr std::array kBlockTables{
    BlockTable{"placement_block",
               "SELECT run_id, programming_id, first_device, device_count, crc32c, addresses_u32,"
               " targets_uS_f32 FROM placement_block JOIN programming ON programming.id ="
               " programming_id ORDER BY programming_id, first_device",
               "the placement of programming"},
    BlockTable{
        "programming_result",
        "SELECT run_id, programming_id, first_device, device_count, crc32c, verdicts_u8,"
        " iterations_u8, pulses_u16, last_amplitude_10nA_u16, last_code_sum_u16,"
        " last_pulse_tick_ns_i64 FROM programming_result JOIN programming ON programming.id ="
        " programming_id ORDER BY programming_id, first_device",
        "the result of programming"},
    BlockTable{"pulse_batch",
               "SELECT run_id, batch, NULL, device_count, crc32c, devices_u32, amplitudes_10nA_u16"
               " FROM pulse_batch JOIN programming ON programming.id = programming_id",
               "pulse batch"},
    BlockTable{"pulse_batch_verify",
               "SELECT run_id, batch, NULL, pulse_batch_verify.device_count,"
               " pulse_batch_verify.crc32c, code_sums_u16 FROM pulse_batch_verify"
               " JOIN pulse_batch ON pulse_batch.id = pulse_batch_id"
               " JOIN programming ON programming.id = programming_id",
               "the read after pulse batch"},
    BlockTable{"sweep_block",
               "SELECT run_id, sweep_id, first_device, sweep_block.device_count, crc32c,"
               " code_sums_u16 FROM sweep_block JOIN sweep ON sweep.id = sweep_id"
               " ORDER BY sweep_id, first_device",
               "sweep"},
    BlockTable{"accuracy_confusion",
               "SELECT run_id, accuracy_id, NULL, classes, crc32c, counts_u32"
               " FROM accuracy_confusion JOIN accuracy ON accuracy.id = accuracy_id",
               "the confusion matrix of accuracy"},
    BlockTable{"calibration",
               "SELECT run_id, step_id, NULL, image_count, crc32c, indices_u32"
               " FROM calibration JOIN step ON step.id = step_id",
               "the calibration images of step"},
    BlockTable{"drift_fit_block",
               "SELECT run_id, drift_fit_id, first_device, drift_fit_block.device_count, crc32c,"
               " exponents_f32, exponent_errors_f32, g_t0_uS_f32, classes_u8 FROM drift_fit_block"
               " JOIN drift_fit ON drift_fit.id = drift_fit_id ORDER BY drift_fit_id, first_device",
               "drift fit"}};

/// Rows that cannot be: run, where, and what is wrong with it.
constexpr std::array kImpossible{
    "SELECT programming.run_id, 'programming ' || programming.id, 'it has ' || nonzero_targets ||"
    " ' devices with a target of ' || placement.device_count || ' placed ones'"
    " FROM programming JOIN placement ON programming_id = programming.id"
    " WHERE nonzero_targets > placement.device_count",
    "SELECT run_id, 'programming ' || id, 'its gain is ' || gain_uS_per_code || ' uS per code'"
    " FROM programming WHERE NOT gain_uS_per_code > 0",
    "SELECT run_id, 'sweep ' || id, 'its gain is ' || gain_uS_per_code || ' uS per code'"
    " FROM sweep WHERE NOT gain_uS_per_code > 0",
    "SELECT run_id, 'sweep ' || id, 'its middle is ' || after_s || ' s after programming'"
    " FROM sweep WHERE complete AND after_s < 0",
    "SELECT sweep.run_id, 'sweep ' || sweep.id, 'it is of run ' || sweep.run_id ||"
    " ', its programming of run ' || programming.run_id"
    " FROM sweep JOIN programming ON programming.id = programming_id"
    " WHERE sweep.run_id <> programming.run_id",
    "SELECT sweep.run_id, 'sweep ' || sweep.id, 'it is complete, its programming is not'"
    " FROM sweep JOIN programming ON programming.id = programming_id"
    " WHERE sweep.complete AND NOT programming.complete",
    "SELECT programming.run_id, 'pulse batch ' || batch, 'the board acknowledged ' ||"
    " pulses_executed || ' pulses on ' || device_count || ' devices that should get one each'"
    " FROM pulse_batch_outcome JOIN pulse_batch ON pulse_batch.id = pulse_batch_id"
    " JOIN programming ON programming.id = programming_id"
    " WHERE kind = 'program' AND pulses_executed > device_count",
    "SELECT run_id, 'step ' || ordinal, 'it is ' || step.state || ' in a run that is ' || run.state"
    " FROM step JOIN run ON run.id = run_id WHERE run.state = 'complete' AND step.state <> "
    "'complete'",
    "SELECT run_id, 'sweep ' || sweep.id, 'it is not complete, in a run that is'"
    " FROM sweep JOIN run ON run.id = run_id WHERE run.state = 'complete' AND NOT sweep.complete",
    "SELECT run_id, 'programming ' || programming.id, 'it is not complete, in a run that is'"
    " FROM programming JOIN run ON run.id = run_id"
    " WHERE run.state = 'complete' AND NOT programming.complete",
    "SELECT run_id, 'accuracy ' || id, correct || ' of ' || images || ' images were right'"
    " FROM accuracy WHERE correct > images"};

class Verifier {
 public:
  Verifier(Database& database, const Sha256& sha256, const Progress& progress)
      : database_(database), sha256_(sha256), progress_(progress) {}

  Result<Verification> run() {
    PCM_TRY(list_runs());
    PCM_TRY(noted(count_blocks(), "the file"));
    PCM_TRY(noted(check_file(), "the file"));
    PCM_TRY(noted(check_networks(), "networks"));
    for (const BlockTable& table : kBlockTables) {
      PCM_TRY(noted(check_blocks(table), std::string("table ").append(table.name)));
    }
    for (const char* const query : kImpossible) PCM_TRY(noted(check_rows(query), "the file"));
    PCM_TRY(noted(check_values(), "the file"));
    for (VerifiedRun& run : verified_.runs) {
      run.blocks = blocks_[run.run];
      run.findings = std::count_if(verified_.findings.begin(), verified_.findings.end(),
                                   [&](const Finding& f) { return f.run == run.run; });
    }
    return std::move(verified_);
  }

 private:
  void found(RowId run, std::string where, std::string what) {
    verified_.findings.push_back({run, std::move(where), std::move(what)});
  }

  /// Damage is a finding, and what is behind it is looked at as well.
  Result<void> noted(Result<void> checked, const std::string& where) {
    if (checked || checked.error().code != ErrorCode::BadFile) return checked;
    found(0, where, "it cannot be read to its end: " + checked.error().message);
    return {};
  }

  static std::string devices(std::int64_t first, std::int64_t count) {
    return "devices " + number(first) + " to " + number(first + count - 1);
  }

  Result<void> count_blocks() {
    for (const BlockTable& table : kBlockTables) {
      PCM_ASSIGN(const std::int64_t rows,
                 database_.query_integer(std::string("SELECT count(*) FROM ").append(table.name)));
      total_ += rows;
    }
    return {};
  }

  Result<void> list_runs() {
    PCM_ASSIGN(verified_.runs,
               rows_of(database_, "SELECT id, name, deleted_utc IS NOT NULL FROM run ORDER BY id",
                       [](const Statement& row) -> Result<VerifiedRun> {
                         return VerifiedRun{row.integer(0), row.text(1), row.integer(2) != 0};
                       }));
    return {};
  }

  /// Pages, indices, constraints and references, by SQLite.
  Result<void> check_file() {
    PCM_ASSIGN(const auto messages,
               rows_of(database_, "SELECT integrity_check FROM pragma_integrity_check",
                       [](const Statement& row) -> Result<std::string> { return row.text(0); }));
    for (const std::string& message : messages) {
      if (message != "ok") found(0, "the file", message);
    }
    PCM_ASSIGN(const auto broken,
               rows_of(database_,
                       "SELECT \"table\", count(*), parent FROM pragma_foreign_key_check"
                       " GROUP BY 1, 3",
                       [](const Statement& row) -> Result<Finding> {
                         return Finding{0, "table " + row.text(0),
                                        row.text(1) + " rows refer to rows of " + row.text(2) +
                                            " that are not there"};
                       }));
    verified_.findings.insert(verified_.findings.end(), broken.begin(), broken.end());
    return {};
  }

  Result<void> check_networks() {
    PCM_ASSIGN(auto select, database_.prepare("SELECT sha256, name, onnx FROM network"));
    for (;;) {
      PCM_ASSIGN(const bool more, select.step());
      if (!more) return {};
      if (sha256_(select.blob(2)) != select.text(0)) {
        found(0, "network " + select.text(1), "its SHA-256 is not " + select.text(0));
      }
    }
  }

  Result<void> check_blocks(const BlockTable& table) {
    PCM_ASSIGN(auto select, database_.prepare(table.select));
    RowId owner = -1;
    std::int64_t next = 0;
    for (;;) {
      PCM_ASSIGN(const bool more, select.step());
      if (!more) return {};
      const RowId run = select.integer(0);
      std::string where = std::string(table.owner) + " " + select.text(1);
      const bool in_order = !select.is_null(2);
      const std::int64_t first = select.integer(2);
      const std::int64_t count = select.integer(3);
      if (in_order) {
        if (owner != select.integer(1)) next = 0;
        owner = select.integer(1);
        if (first > next) found(run, where, devices(next, first - next) + " are missing");
        if (first < next) {
          found(
              run, where,
              devices(first, std::min(next, first + count) - first) + " are there more than once");
        }
        next = std::max(next, first + count);
        where += ", " + devices(first, count);
      }
      std::uint32_t crc = 0;
      for (int column = 5; column < select.columns(); ++column) {
        const auto blob = select.blob(column);
        crc = wire::crc32c(blob, crc);
        verified_.bytes += static_cast<std::int64_t>(blob.size());
      }
      if (select.integer(4) != static_cast<std::int64_t>(crc)) {
        found(run, where,
              std::string("its checksum is wrong: these numbers of ")
                  .append(table.name)
                  .append(" are damaged"));
      }
      ++blocks_[run];
      ++verified_.blocks;
      if (progress_) progress_(verified_.blocks, total_);
    }
  }

  Result<void> check_rows(const char* query) {
    PCM_ASSIGN(const auto rows,
               rows_of(database_, query, [](const Statement& row) -> Result<Finding> {
                 return Finding{row.integer(0), row.text(1), row.text(2)};
               }));
    verified_.findings.insert(verified_.findings.end(), rows.begin(), rows.end());
    return {};
  }

  /// What the numbers in the blocks may be, and whether they make what is said of them all.
  Result<void> check_values() {
    struct Programming {
      RowId id = 0, run = 0;
      std::int64_t word_lines = 0, bit_lines = 0, placed = 0, converged = 0, end_tick_ns = 0;
      bool complete = false;
    };
    PCM_ASSIGN(const auto programmings,
               rows_of(database_,
                       "SELECT programming.id, programming.run_id, word_lines, bit_lines,"
                       " device_count, converged, end_tick_ns, complete FROM programming"
                       " JOIN placement ON programming_id = programming.id",
                       [](const Statement& row) -> Result<Programming> {
                         return Programming{row.integer(0), row.integer(1),     row.integer(2),
                                            row.integer(3), row.integer(4),     row.integer(5),
                                            row.integer(6), row.integer(7) != 0};
                       }));
    for (const Programming& p : programmings) {
      const std::string where = "programming " + number(p.id);
      PCM_TRY(check_placement(p.id, p.run, p.word_lines, p.bit_lines, p.placed));
      if (!p.complete) continue;
      PCM_ASSIGN(auto results,
                 database_.prepare("SELECT verdicts_u8, last_pulse_tick_ns_i64"
                                   " FROM programming_result WHERE programming_id = ?"));
      results.bind(p.id);
      std::int64_t converged = 0, unknown = 0, late = 0, seen = 0;
      for (;;) {
        PCM_ASSIGN(const bool more, results.step());
        if (!more) break;
        const auto verdicts = numbers_of<std::uint8_t>(results.blob(0));
        seen += static_cast<std::int64_t>(verdicts.size());
        converged += std::count(verdicts.begin(), verdicts.end(),
                                static_cast<std::uint8_t>(Verdict::Converged));
        unknown += std::count_if(verdicts.begin(), verdicts.end(),
                                 [](auto v) { return v > static_cast<int>(Verdict::StuckHigh); });
        const auto ticks = numbers_of<std::int64_t>(results.blob(1));
        late += std::count_if(ticks.begin(), ticks.end(),
                              [&](std::int64_t tick) { return tick > p.end_tick_ns; });
      }
      if (seen != p.placed) {
        found(p.run, "the result of " + where,
              "it has " + number(seen) + " devices of " + number(p.placed));
      } else if (converged != p.converged) {
        found(p.run, where,
              number(converged) + " devices converged, its row says " + number(p.converged));
      }
      if (unknown > 0) found(p.run, where, number(unknown) + " devices have no known verdict");
      if (late > 0) {
        found(p.run, where, number(late) + " devices had their last pulse after its end");
      }
    }
    PCM_TRY(check_batches());
    return check_sweeps();
  }

  Result<void> check_placement(RowId programming, RowId run, std::int64_t word_lines,
                               std::int64_t bit_lines, std::int64_t placed) {
    std::vector<bool> taken(static_cast<std::size_t>(word_lines * bit_lines));
    std::int64_t outside = 0, twice = 0, no_target = 0, seen = 0;
    PCM_ASSIGN(auto blocks, database_.prepare("SELECT addresses_u32, targets_uS_f32"
                                              " FROM placement_block WHERE programming_id = ?"));
    blocks.bind(programming);
    for (;;) {
      PCM_ASSIGN(const bool more, blocks.step());
      if (!more) break;
      for (const std::uint32_t address : numbers_of<std::uint32_t>(blocks.blob(0))) {
        ++seen;
        const std::int64_t word_line = address >> 16U;
        const std::int64_t bit_line = address & 0xffffU;
        if (word_line >= word_lines || bit_line >= bit_lines) {
          ++outside;
          continue;
        }
        const auto place = static_cast<std::size_t>(word_line * bit_lines + bit_line);
        twice += taken[place] ? 1 : 0;
        taken[place] = true;
      }
      for (const float target : numbers_of<float>(blocks.blob(1))) {
        no_target += std::isfinite(target) && target >= 0 ? 0 : 1;
      }
    }
    const std::string where = "the placement of programming " + number(programming);
    if (seen != placed) {
      found(run, where, "it has " + number(seen) + " devices of " + number(placed));
    }
    if (outside > 0) found(run, where, number(outside) + " devices are outside the array");
    if (twice > 0) found(run, where, number(twice) + " devices are where another one is");
    if (no_target > 0) found(run, where, number(no_target) + " targets are no conductance");
    return {};
  }

  Result<void> check_batches() {
    PCM_ASSIGN(auto batches,
               database_.prepare("SELECT run_id, batch, devices_u32, placement.device_count"
                                 " FROM pulse_batch JOIN programming ON programming.id ="
                                 " pulse_batch.programming_id JOIN placement ON"
                                 " placement.programming_id = programming.id"));
    for (;;) {
      PCM_ASSIGN(const bool more, batches.step());
      if (!more) return {};
      const auto devices = numbers_of<std::uint32_t>(batches.blob(2));
      const std::int64_t placed = batches.integer(3);
      const auto outside = std::count_if(devices.begin(), devices.end(),
                                         [&](std::int64_t device) { return device >= placed; });
      if (outside > 0) {
        found(batches.integer(0), "pulse batch " + batches.text(1),
              number(std::int64_t{outside}) + " of its devices are not in the placement");
      }
    }
  }

  Result<void> check_sweeps() {
    struct Sweep {
      RowId id = 0, run = 0;
      bool complete = false;
      std::int64_t devices = 0, samples = 1, adc_bits = 8;
      double gain_uS = 0, offset_uS = 0, sum_uS = 0;
    };
    PCM_ASSIGN(const auto sweeps,
               rows_of(database_,
                       "SELECT sweep.id, run_id, complete, sweep.device_count, samples, adc_bits,"
                       " gain_uS_per_code / samples, offset_uS, sum_uS FROM sweep"
                       " JOIN run ON run.id = run_id",
                       [](const Statement& row) -> Result<Sweep> {
                         return Sweep{row.integer(0), row.integer(1), row.integer(2) != 0,
                                      row.integer(3), row.integer(4), row.integer(5),
                                      row.real(6),    row.real(7),    row.real(8)};
                       }));
    for (const Sweep& sweep : sweeps) {
      PCM_ASSIGN(auto blocks,
                 database_.prepare("SELECT code_sums_u16 FROM sweep_block WHERE sweep_id = ?"));
      blocks.bind(sweep.id);
      const std::int64_t largest =
          ((std::int64_t{1} << std::clamp<std::int64_t>(sweep.adc_bits, 1, 16)) - 1) *
          sweep.samples;
      std::int64_t codes = 0, seen = 0, too_large = 0;
      for (;;) {
        PCM_ASSIGN(const bool more, blocks.step());
        if (!more) break;
        for (const std::uint16_t sum : numbers_of<std::uint16_t>(blocks.blob(0))) {
          codes += sum;
          ++seen;
          too_large += sum > largest ? 1 : 0;
        }
      }
      const std::string where = "sweep " + number(sweep.id);
      if (too_large > 0) {
        found(sweep.run, where,
              number(too_large) + " code sums are above the " + number(largest) +
                  " that the converter can give");
      }
      if (!sweep.complete) continue;
      if (seen != sweep.devices) {
        found(sweep.run, where, "it has " + number(seen) + " devices of " + number(sweep.devices));
        continue;
      }
      const double sum_uS =
          sweep.gain_uS * static_cast<double>(codes) + sweep.offset_uS * static_cast<double>(seen);
      if (std::abs(sum_uS - sweep.sum_uS) > 1e-6 * std::abs(sum_uS) + 1e-3) {
        found(sweep.run, where,
              "its conductances sum up to " + std::to_string(sum_uS) + " uS, its row says " +
                  std::to_string(sweep.sum_uS));
      }
    }
    return {};
  }

  Database& database_;
  const Sha256& sha256_;
  const Progress& progress_;
  Verification verified_;
  std::map<RowId, std::int64_t> blocks_;
  std::int64_t total_ = 0;
};

}  // namespace

Result<Verification> verify(RunStore& store, const Sha256& sha256, const Progress& progress) {
  return read(store.database(), "verifying " + store.database().file(),
              [&] { return Verifier(store.database(), sha256, progress).run(); });
}

}  // namespace pcmlab::db

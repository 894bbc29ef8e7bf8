// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/chip_replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "experiments/engine/experiment.h"
#include "experiments/programming/program_settings.h"
#include "experiments/programming/programming_record.h"

namespace pcmlab {
namespace {

class ChipReplay {
 public:
  ChipReplay(Board& board, db::RunStore& store) : board_(board), store_(store) {}

  Result<void> programming(const db::ProgrammingRow& row, const ProgramSettings& settings) {
    PCM_ASSIGN(const ProgrammingRecord record, ProgrammingRecord::load(store_, row.id));
    PCM_ASSIGN(placement_, store_.placement(row.id));
    const std::vector<Deed> deeds = in_order(record);
    const auto first = deeds.empty() ? std::nullopt : std::optional(deeds.front().first);
    PCM_TRY(calibrate(settings.read, {row.gain_uS_per_code, row.offset_uS}, first,
                      fmt::format("programming {}", row.id)));
    for (const Deed& deed : deeds) {
      PCM_TRY(deed.is_read ? verify(*deed.batch, settings) : pulses(*deed.batch, settings));
    }
    return {};
  }

  Result<void> sweep(const db::SweepRow& row, BoardTime programmed) {
    const std::string what = fmt::format("sweep {}", row.id);
    const ReadSettings settings{static_cast<std::uint8_t>(row.samples),
                                Voltage::from_mV(row.read_voltage_mV)};
    PCM_ASSIGN(const auto code_sums, store_.code_sums_so_far(row.id));
    std::optional<BoardTime> first;
    if (code_sums.empty()) {
      PCM_TRY(board_.advance_time_to(programmed + from_seconds(row.scheduled_s)));
    } else {
      first = BoardTime(row.stamp.first_tick_ns);
    }
    PCM_TRY(calibrate(settings, {row.gain_uS_per_code, row.offset_uS}, first, what));
    return read(std::span(placement_.addresses).first(code_sums.size()), settings,
                first.value_or(BoardTime(0)), code_sums, what);
  }

 private:
  /// A batch of pulses, or the read after it.
  struct Deed {
    BoardTime first{};
    bool is_read = false;
    const ProgrammingRecord::Batch* batch = nullptr;
  };

  static std::vector<Deed> in_order(const ProgrammingRecord& record) {
    std::vector<Deed> deeds;
    for (std::uint64_t number = record.first(); number < record.end(); ++number) {
      const ProgrammingRecord::Batch& batch = *record.find(number);
      if (batch.outcome && !batch.given_up()) {
        deeds.push_back({BoardTime(batch.outcome->stamp.first_tick_ns), false, &batch});
      }
      if (batch.verify) {
        deeds.push_back({BoardTime(batch.verify->stamp.first_tick_ns), true, &batch});
      }
    }
    std::stable_sort(deeds.begin(), deeds.end(),
                     [](const Deed& a, const Deed& b) { return a.first < b.first; });
    return deeds;
  }

  static tl::unexpected<Error> otherwise(const std::string& what) {
    return fail(ErrorCode::Incompatible,
                what + ": the simulated chip answers otherwise than the one that the run began on",
                "go on with the version of pcmlab that began it; a run with boots of its simulated "
                "board cannot go on in another process");
  }

  /// What the board does next shall begin then.
  Result<void> begin_at(BoardTime first) {
    PCM_TRY(board_.advance_time_to(first - overhead_));
    return {};
  }

  /// As it was at the beginning of a programming or sweep. \param next  when the first device was
  /// pulsed or read after it
  Result<void> calibrate(const ReadSettings& settings, const Calibration& was,
                         std::optional<BoardTime> next, const std::string& what) {
    // How long it takes is learnt from the first, which is at the very beginning.
    if (next && calibration_ > Duration(0)) {
      PCM_TRY(board_.advance_time_to(*next - overhead_ - calibration_));
    }
    PCM_ASSIGN(const BoardStatus begin, board_.status());
    PCM_ASSIGN(const Calibration is, board_.calibrate(settings));
    PCM_ASSIGN(const BoardStatus end, board_.status());
    calibration_ = end.now - begin.now;
    overhead_ = calibration_ - (end.busy - begin.busy);
    if (is.gain_uS_per_code != was.gain_uS_per_code || is.offset_uS != was.offset_uS) {
      return otherwise(what + ", calibration");
    }
    return {};
  }

  std::vector<DeviceAddress> addresses(const ProgrammingRecord::Batch& batch) const {
    std::vector<DeviceAddress> addresses;
    for (const std::uint32_t device : batch.intended.devices) {
      addresses.push_back(placement_.addresses[device]);
    }
    return addresses;
  }

  Result<void> pulses(const ProgrammingRecord::Batch& batch, const ProgramSettings& settings) {
    const db::BatchRow& row = batch.intended;
    const db::BatchOutcome& was = *batch.outcome;
    PCM_TRY(begin_at(BoardTime(was.stamp.first_tick_ns)));
    const auto compare = [&](const PulseChunk& chunk) -> Result<void> {
      if (chunk.pulses_executed == was.pulses_executed &&
          chunk.first.count() == was.stamp.first_tick_ns &&
          chunk.last.count() == was.stamp.last_tick_ns) {
        return {};
      }
      return otherwise(fmt::format("batch {}", row.batch));
    };
    if (row.kind == db::BatchKind::Program) {
      return board_.program(row.batch, settings.pulse_width, addresses(batch), row.amplitudes_10nA,
                            compare);
    }
    std::vector<Pulse> sequence{{settings.reset_amplitude, settings.reset_width}};
    if (row.kind == db::BatchKind::Staircase) {
      for (const Current amplitude : settings.staircase) {
        sequence.push_back({amplitude, settings.staircase_width});
      }
    }
    return board_.initialise(row.batch, sequence, addresses(batch), compare);
  }

  Result<void> verify(const ProgrammingRecord::Batch& batch, const ProgramSettings& settings) {
    return read(addresses(batch), settings.read, BoardTime(batch.verify->stamp.first_tick_ns),
                batch.verify->code_sums,
                fmt::format("the read after batch {}", batch.intended.batch));
  }

  Result<void> read(std::span<const DeviceAddress> addresses, const ReadSettings& settings,
                    BoardTime first, std::span<const std::uint16_t> was, const std::string& what) {
    if (addresses.empty()) return {};
    PCM_TRY(begin_at(first));
    return board_.read(addresses, settings, [&](const ReadChunk& chunk) -> Result<void> {
      const auto part = was.subspan(chunk.begin, chunk.code_sums.size());
      const bool in_time = chunk.begin > 0 || chunk.first == first;
      return in_time && std::equal(part.begin(), part.end(), chunk.code_sums.begin())
                 ? Result<void>()
                 : otherwise(what);
    });
  }

  Board& board_;
  db::RunStore& store_;
  db::Placement placement_;
  Duration overhead_{};     ///< before each read and batch
  Duration calibration_{};  ///< with it
};

/// As far as a step of the experiment has them: those without a verify loop have pulses of one
/// kind.
ProgramSettings settings_of(const PlanStep& step) {
  const auto& table = find_experiment(step.experiment)->table.parameters;
  const bool has_loop = std::any_of(table.begin(), table.end(), [](const Parameter& parameter) {
    return parameter.name == "staircase_uA";
  });
  if (has_loop) return program_settings(step.values);
  ProgramSettings settings;
  settings.pulse_width = Duration(step.values.integer("pulse_width_ns"));
  settings.read.samples = static_cast<std::uint8_t>(step.values.integer("verify_samples"));
  settings.read.read_voltage = Voltage::from_mV(step.values.real("read_voltage_mV"));
  return settings;
}

}  // namespace

Result<void> replay_chip(Board& board, db::RunStore& store, std::span<const ReplayedRun> runs) {
  ChipReplay replay(board, store);
  for (const auto& [run, plan] : runs) {
    PCM_ASSIGN(const auto steps, store.steps(run));
    PCM_ASSIGN(const auto programmings, store.programmings(run));
    PCM_ASSIGN(const auto sweeps, store.sweeps(run));
    for (const db::ProgrammingRow& row : programmings) {
      const auto step = std::find_if(steps.begin(), steps.end(),
                                     [&](const db::StepRow& s) { return s.id == row.step; });
      PCM_TRY(replay.programming(
          row, settings_of(plan.steps.at(static_cast<std::size_t>(step->ordinal)))));
      for (const db::SweepRow& sweep : sweeps) {
        if (sweep.programming == row.id) {
          PCM_TRY(replay.sweep(sweep, BoardTime(row.end_tick_ns)));
        }
      }
    }
  }
  return {};
}

}  // namespace pcmlab

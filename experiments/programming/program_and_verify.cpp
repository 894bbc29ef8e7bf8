// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/program_and_verify.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace pcmlab {
namespace {

using db::Verdict;

/// A device above this after RESET has not had it: five ADC codes, ten times the RESET level.
constexpr double kMostAfterReset_uS = 1.0;

std::uint16_t steps_10nA(double amplitude_uA) {
  return static_cast<std::uint16_t>(std::lround(amplitude_uA / wire::kAmplitudeStep_uA));
}

db::Stamp stamp(BoardTime first, BoardTime last) {
  db::Stamp clocks;
  clocks.first_tick_ns = first.count();
  clocks.last_tick_ns = last.count();
  return clocks;
}

}  // namespace

ProgramAndVerify::ProgramAndVerify(Board& board, Clock& clock, db::RunStore& store,
                                   db::RowId programming, const ProgramSettings& settings,
                                   const Calibration& calibration, std::stop_token stop)
    : board_(board),
      clock_(clock),
      store_(store),
      programming_(programming),
      settings_(settings),
      calibration_(calibration),
      stop_(std::move(stop)) {}

Result<ProgramOutcome> ProgramAndVerify::run(const db::Placement& placement,
                                             const ProgramProgress& progress) {
  placement_ = &placement;
  progress_ = &progress;
  const std::size_t count = placement.addresses.size();
  outcome_ = {};
  outcome_.devices.verdicts.assign(count, Verdict::Reset);
  outcome_.devices.iterations.assign(count, 0);
  outcome_.devices.pulses.assign(count, 0);
  outcome_.devices.last_amplitudes_10nA.assign(count, 0);
  outcome_.devices.last_code_sums.assign(count, 0);
  outcome_.devices.last_pulse_ticks_ns.assign(count, 0);
  amplitudes_10nA_.assign(count, steps_10nA(settings_.start_amplitude.uA()));
  at_limit_.assign(count, 0);
  decided_ = 0;
  PCM_ASSIGN(next_batch_, store_.next_batch(board_.information().serial));
  // The board may have had batches of another database.
  PCM_ASSIGN(const BoardStatus status, board_.status());
  for (const wire::BatchRecord& record : status.recent_batches) {
    next_batch_ = std::max(next_batch_, original_batch(record.batch) + 1);
  }

  auto programmed = program_blocks();
  // After an error, too, what the board acknowledged is written down.
  auto kept = keep_outcomes();
  if (!programmed) {
    if (!kept) programmed.error().message += "; " + kept.error().message;
    return tl::unexpected(std::move(programmed.error()));
  }
  PCM_TRY(kept);
  outcome_.summary.converged = std::count(outcome_.devices.verdicts.begin(),
                                          outcome_.devices.verdicts.end(), Verdict::Converged);
  outcome_.summary.end_tick_ns = last_pulse_.count();
  return std::move(outcome_);
}

Result<void> ProgramAndVerify::program_blocks() {
  const std::size_t count = placement_->addresses.size();
  const std::size_t block = settings_.block_devices == 0 ? count : settings_.block_devices;
  for (std::size_t begin = 0; begin < count; begin += block) {
    PCM_TRY(program_devices(begin, std::min(count, begin + block)));
  }
  return {};
}

Result<void> ProgramAndVerify::program_devices(std::size_t begin, std::size_t end) {
  Selection zeros, targets;
  for (Selection* selection : {&zeros, &targets}) {
    selection->devices.reserve(end - begin);
    selection->addresses.reserve(end - begin);
  }
  for (std::size_t d = begin; d < end; ++d) {
    const bool zero = placement_->targets_uS[d] == 0.0f;
    select(zero ? zeros : targets, static_cast<std::uint32_t>(d));
  }
  outcome_.summary.nonzero_targets += static_cast<std::int64_t>(targets.devices.size());
  PCM_TRY(initialise(db::BatchKind::Reset, zeros));
  PCM_TRY(reset_unknown());
  PCM_TRY(initialise(db::BatchKind::Staircase, targets));
  return program_block(std::move(targets));
}

Result<void> ProgramAndVerify::check_stop() const {
  if (!stop_.stop_requested()) return {};
  return fail(ErrorCode::Stopped,
              "stopped between two passes of programming; the pulses so far are in the database");
}

void ProgramAndVerify::select(Selection& selection, std::uint32_t device) const {
  selection.devices.push_back(device);
  selection.addresses.push_back(placement_->addresses[device]);
}

/// The batches of devices [begin, end) of the selection, as the board will get them; `begin` is at
/// a chunk's border.
std::vector<db::BatchRow> ProgramAndVerify::number_batches(db::BatchKind kind, Duration width,
                                                           const Selection& selected,
                                                           std::size_t begin, std::size_t end) {
  const auto part = [](const auto& values, std::size_t first, std::size_t last) {
    const auto from = values.begin();
    return std::vector(from + static_cast<std::ptrdiff_t>(first),
                       from + static_cast<std::ptrdiff_t>(last));
  };
  std::vector<db::BatchRow> batches;
  for (; begin < end; begin += board_.chunk_devices()) {
    const std::size_t chunk_end = std::min(end, begin + board_.chunk_devices());
    db::BatchRow row;
    row.batch = next_batch_++;
    row.kind = kind;
    row.iteration = iteration_;
    row.width_ns = width.count();
    row.devices = part(selected.devices, begin, chunk_end);
    if (kind == db::BatchKind::Program) {
      row.amplitudes_10nA = part(selected.amplitudes_10nA, begin, chunk_end);
    }
    batches.push_back(std::move(row));
  }
  return batches;
}

/// Commits what the board has acknowledged since the last time, and what `more` writes. After an
/// error nothing of it is in the store, and no batch number is taken.
template <class More>
Result<void> ProgramAndVerify::keep(const More& more) {
  const auto commit = [&]() -> Result<void> {
    PCM_ASSIGN(auto transaction, store_.transaction());
    PCM_TRY(store_.add_outcomes(programming_, outcomes_));
    PCM_TRY(more());
    return transaction.commit();
  };
  const std::uint64_t next_batch = next_batch_;
  auto committed = commit();
  if (committed) {
    outcomes_.clear();
  } else {
    next_batch_ = next_batch;
  }
  return committed;
}

Result<void> ProgramAndVerify::keep_outcomes() {
  if (outcomes_.empty()) return {};
  return keep([] { return Result<void>(); });
}

/// Sends RESET again to those of the devices with unknown pulses that do not read as RESET. Pulses
/// of other kinds are followed by a verify read, which tells what to do.
Result<void> ProgramAndVerify::reset_unknown() {
  while (!unknown_.empty()) {
    Selection unknown, not_reset;
    for (const std::uint32_t device : std::exchange(unknown_, {})) select(unknown, device);
    PCM_TRY(
        board_.read(unknown.addresses, settings_.read, [&](const ReadChunk& chunk) -> Result<void> {
          for (std::size_t i = 0; i < chunk.code_sums.size(); ++i) {
            const double g_uS =
                calibration_.conductance_uS(chunk.code_sums[i], settings_.read.samples);
            if (g_uS > kMostAfterReset_uS) select(not_reset, unknown.devices[chunk.begin + i]);
          }
          return check_stop();
        }));
    PCM_TRY(initialise(db::BatchKind::Reset, not_reset));
  }
  return {};
}

/// Keeps what the board acknowledged: time and number of pulses of each device, and the batch.
PulseSink ProgramAndVerify::note_pulses(const Devices& devices, std::uint16_t pulses_each) {
  return [this, &devices, pulses_each](const PulseChunk& chunk) -> Result<void> {
    auto& result = outcome_.devices;
    const double step_ns =
        static_cast<double>((chunk.last - chunk.first).count()) / static_cast<double>(chunk.count);
    const std::size_t known = chunk.count - chunk.unknown;
    for (std::size_t i = known; i < chunk.count; ++i) {
      const std::uint32_t device = devices[chunk.begin + i];
      result.last_pulse_ticks_ns[device] = chunk.last.count();
      unknown_.push_back(device);
    }
    for (std::size_t i = 0; i < known; ++i) {
      const std::uint32_t device = devices[chunk.begin + i];
      result.pulses[device] = static_cast<std::uint16_t>(result.pulses[device] + pulses_each);
      result.last_pulse_ticks_ns[device] =
          chunk.first.count() + std::llround(step_ns * static_cast<double>(i + 1));
    }
    outcome_.summary.pulses += chunk.pulses_executed;
    last_pulse_ = std::max(last_pulse_, chunk.last);
    // A batch without an outcome is one whose fate is unknown, also in the database.
    if (chunk.unknown > 0) return {};
    outcomes_.push_back({chunk.batch, chunk.pulses_executed, stamp(chunk.first, chunk.last)});
    return {};
  };
}

Result<void> ProgramAndVerify::initialise(db::BatchKind kind, const Selection& selected) {
  if (selected.devices.empty()) return {};
  PCM_TRY(check_stop());
  iteration_ = 0;
  std::vector<Pulse> sequence{{settings_.reset_amplitude, settings_.reset_width}};
  if (kind == db::BatchKind::Staircase) {
    for (const Current amplitude : settings_.staircase) {
      sequence.push_back({amplitude, settings_.staircase_width});
    }
  }
  pulsed_first_batch_ = next_batch_;
  PCM_TRY(keep([&] {
    return store_.add_batches(programming_, number_batches(kind, sequence.back().width, selected, 0,
                                                           selected.devices.size()));
  }));
  for (const std::uint32_t device : selected.devices) {
    outcome_.devices.last_amplitudes_10nA[device] = steps_10nA(sequence.back().amplitude.uA());
  }
  return board_.initialise(
      pulsed_first_batch_, sequence, selected.addresses,
      note_pulses(selected.devices, static_cast<std::uint16_t>(sequence.size())));
}

Result<void> ProgramAndVerify::program_block(Selection active) {
  for (iteration_ = 1; iteration_ <= settings_.max_iterations && !active.devices.empty();
       ++iteration_) {
    if (settings_.verify_delay > Duration(0)) {
      PCM_TRY(keep_outcomes());  // else they are written while the chip is read
      PCM_TRY(clock_.sleep_until(last_pulse_ + settings_.verify_delay, stop_));
    }
    PCM_ASSIGN(active, verify(active));
    if (!active.devices.empty()) PCM_TRY(pulse(active));
  }
  return {};
}

/// A pass over the devices: reads each, decides, and writes down the reads and the next pulses. The
/// chip is what a pass waits for, so all of that is done chunk by chunk while it reads the chunks
/// behind; when the last is in, one commit is left to do. \return the devices that get a pulse.
Result<ProgramAndVerify::Selection> ProgramAndVerify::verify(const Selection& pulsed) {
  outcome_.summary.iterations = std::max(outcome_.summary.iterations, iteration_);
  converged_.clear();
  std::vector<db::BatchVerify> reads;  // not written down yet
  Selection going_on;
  std::size_t intended = 0;  // of going_on
  const std::uint64_t first_intended = next_batch_;
  const auto write = [&](std::size_t pulses) -> Result<void> {
    PCM_TRY(store_.add_verify(programming_, std::exchange(reads, {})));
    const std::size_t begin = std::exchange(intended, intended + pulses);
    return store_.add_batches(
        programming_,
        number_batches(db::BatchKind::Program, settings_.pulse_width, going_on, begin, intended));
  };

  auto pass =
      board_.read(pulsed.addresses, settings_.read, [&](const ReadChunk& chunk) -> Result<void> {
        reads.push_back({pulsed_first_batch_ + chunk.begin / board_.chunk_devices(),
                         stamp(chunk.first, chunk.last),
                         {chunk.code_sums.begin(), chunk.code_sums.end()}});
        decide(std::span(pulsed.devices).subspan(chunk.begin, chunk.code_sums.size()), chunk,
               going_on);
        if (chunk.begin + chunk.code_sums.size() == pulsed.devices.size()) return {};
        const std::size_t waiting = going_on.devices.size() - intended;
        PCM_TRY(keep([&] { return write(waiting - waiting % board_.chunk_devices()); }));
        return check_stop();
      });
  if (pass) {
    unknown_.clear();  // they have been read
    const auto kept = keep([&]() -> Result<void> {
      pass = (*progress_)(
          {iteration_, last_pulse_, converged_, decided_, outcome_.summary.nonzero_targets});
      if (pass) pass = check_stop();
      return write(pass ? going_on.devices.size() - intended : 0);
    });
    if (!kept) pass = kept;
  }
  if (!pass) {
    give_up_batches(first_intended);
    return tl::unexpected(std::move(pass.error()));
  }
  pulsed_first_batch_ = first_intended;
  return going_on;
}

/// Batches from `first` on were intended and will not be sent: no pulse was executed.
void ProgramAndVerify::give_up_batches(std::uint64_t first) {
  for (; first < next_batch_; ++first) {
    outcomes_.push_back({first, 0, stamp(last_pulse_, last_pulse_)});
  }
}

/// How many times its later conductance a device must read when verified at this age.
double ProgramAndVerify::drift_until_aim(Duration age) const {
  if (settings_.aim_age <= age || age <= Duration(0)) return 1;
  return std::pow(seconds(settings_.aim_age) / seconds(age), settings_.aim_drift_exponent);
}

/// Compares what was read with the targets. \param going_on  gets the devices that need a pulse.
void ProgramAndVerify::decide(std::span<const std::uint32_t> devices, const ReadChunk& read,
                              Selection& going_on) {
  auto& result = outcome_.devices;
  const double low_uA = settings_.min_amplitude.uA();
  const double high_uA = settings_.max_amplitude.uA();
  const std::size_t went_on = going_on.devices.size();
  // Of the conductance now over the one aimed at; taken as the same for all.
  const double lead =
      drift_until_aim(read.first - BoardTime(result.last_pulse_ticks_ns[devices.front()]));
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::uint32_t d = devices[i];
    const double g_uS = calibration_.conductance_uS(read.code_sums[i], settings_.read.samples);
    const double excess_uS = g_uS - lead * static_cast<double>(placement_->targets_uS[d]);
    result.iterations[d] = static_cast<std::uint8_t>(iteration_);
    result.last_code_sums[d] = read.code_sums[i];
    if (std::abs(excess_uS) <= settings_.tolerance_uS) {
      result.verdicts[d] = Verdict::Converged;
      converged_.push_back(d);
      continue;
    }
    // A higher amplitude melts more, so the conductance falls.
    const double wanted_uA =
        amplitudes_10nA_[d] * wire::kAmplitudeStep_uA + settings_.gain_uA_per_uS * excess_uS;
    amplitudes_10nA_[d] = steps_10nA(std::clamp(wanted_uA, low_uA, high_uA));
    const bool at_limit = wanted_uA <= low_uA || wanted_uA >= high_uA;
    at_limit_[d] = at_limit ? static_cast<std::uint8_t>(at_limit_[d] + 1) : std::uint8_t{0};
    const bool stuck = settings_.give_up_after > 0 && at_limit_[d] >= settings_.give_up_after;
    if (!stuck && iteration_ < settings_.max_iterations) {
      select(going_on, d);
      going_on.amplitudes_10nA.push_back(amplitudes_10nA_[d]);
    } else if (stuck || at_limit) {
      result.verdicts[d] = excess_uS < 0 ? Verdict::StuckLow : Verdict::StuckHigh;
    } else {
      result.verdicts[d] = Verdict::MaxIterations;
    }
  }
  decided_ += static_cast<std::int64_t>(devices.size() - (going_on.devices.size() - went_on));
}

Result<void> ProgramAndVerify::pulse(const Selection& selected) {
  for (std::size_t i = 0; i < selected.devices.size(); ++i) {
    outcome_.devices.last_amplitudes_10nA[selected.devices[i]] = selected.amplitudes_10nA[i];
  }
  return board_.program(pulsed_first_batch_, settings_.pulse_width, selected.addresses,
                        selected.amplitudes_10nA, note_pulses(selected.devices, 1));
}

}  // namespace pcmlab

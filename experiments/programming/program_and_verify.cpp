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

/// Calls work(begin, count) for each piece of a list, as the board numbers its batches.
template <class Work>
void for_chunks(std::size_t size, std::size_t chunk, Work work) {
  for (std::size_t begin = 0; begin < size; begin += chunk) {
    work(begin, std::min(chunk, size - begin));
  }
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

  const std::size_t block = settings_.block_devices == 0 ? count : settings_.block_devices;
  for (std::size_t begin = 0; begin < count; begin += block) {
    const std::size_t end = std::min(count, begin + block);
    Devices zeros, targets;
    for (std::size_t d = begin; d < end; ++d) {
      (placement.targets_uS[d] == 0.0f ? zeros : targets).push_back(static_cast<std::uint32_t>(d));
    }
    outcome_.summary.nonzero_targets += static_cast<std::int64_t>(targets.size());
    PCM_TRY(initialise(db::BatchKind::Reset, zeros));
    PCM_TRY(reset_unknown());
    PCM_TRY(initialise(db::BatchKind::Staircase, targets));
    PCM_TRY(program_block(std::move(targets)));
  }
  outcome_.summary.converged = std::count(outcome_.devices.verdicts.begin(),
                                          outcome_.devices.verdicts.end(), Verdict::Converged);
  outcome_.summary.end_tick_ns = last_pulse_.count();
  return std::move(outcome_);
}

Result<void> ProgramAndVerify::check_stop() const {
  if (!stop_.stop_requested()) return {};
  return fail(ErrorCode::Stopped,
              "stopped between two passes of programming; the pulses so far are in the database");
}

std::vector<DeviceAddress> ProgramAndVerify::addresses_of(const Devices& devices) const {
  std::vector<DeviceAddress> addresses;
  addresses.reserve(devices.size());
  for (const std::uint32_t device : devices) addresses.push_back(placement_->addresses[device]);
  return addresses;
}

Result<void> ProgramAndVerify::write_intended(db::BatchKind kind, Duration width,
                                              const Devices& devices) {
  std::vector<db::BatchRow> batches;
  pass_first_batch_ = next_batch_;
  for_chunks(devices.size(), board_.chunk_devices(), [&](std::size_t begin, std::size_t count) {
    db::BatchRow row;
    row.batch = next_batch_++;
    row.kind = kind;
    row.iteration = iteration_;
    row.width_ns = width.count();
    const auto first = devices.begin() + static_cast<std::ptrdiff_t>(begin);
    row.devices.assign(first, first + static_cast<std::ptrdiff_t>(count));
    if (kind == db::BatchKind::Program) {
      for (const std::uint32_t device : row.devices) {
        row.amplitudes_10nA.push_back(amplitudes_10nA_[device]);
      }
    }
    batches.push_back(std::move(row));
  });
  return store_.add_batches(programming_, batches);
}

/// Sends RESET again to those of the devices with unknown pulses that do not read as RESET. Pulses
/// of other kinds are followed by a verify read, which tells what to do.
Result<void> ProgramAndVerify::reset_unknown() {
  while (!unknown_.empty()) {
    const Devices devices = std::exchange(unknown_, {});
    Devices not_reset;
    PCM_TRY(board_.read(
        addresses_of(devices), settings_.read, [&](const ReadChunk& chunk) -> Result<void> {
          for (std::size_t i = 0; i < chunk.code_sums.size(); ++i) {
            const double g_uS =
                calibration_.conductance_uS(chunk.code_sums[i], settings_.read.samples);
            if (g_uS > kMostAfterReset_uS) not_reset.push_back(devices[chunk.begin + i]);
          }
          return check_stop();
        }));
    PCM_TRY(initialise(db::BatchKind::Reset, not_reset));
  }
  return {};
}

/// Keeps what the board acknowledged: time and number of pulses of each device, and the batch.
PulseSink ProgramAndVerify::note_pulses(const Devices& devices, std::uint16_t pulses_each,
                                        std::vector<db::BatchOutcome>& outcomes) {
  return [this, &devices, pulses_each, &outcomes](const PulseChunk& chunk) -> Result<void> {
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
    outcomes.push_back({chunk.batch, chunk.pulses_executed, stamp(chunk.first, chunk.last)});
    return {};
  };
}

Result<void> ProgramAndVerify::initialise(db::BatchKind kind, const Devices& devices) {
  if (devices.empty()) return {};
  PCM_TRY(check_stop());
  iteration_ = 0;
  std::vector<Pulse> sequence{{settings_.reset_amplitude, settings_.reset_width}};
  if (kind == db::BatchKind::Staircase) {
    for (const Current amplitude : settings_.staircase) {
      sequence.push_back({amplitude, settings_.staircase_width});
    }
  }
  PCM_TRY(write_intended(kind, sequence.back().width, devices));
  std::vector<db::BatchOutcome> outcomes;
  auto sent = board_.initialise(
      pass_first_batch_, sequence, addresses_of(devices),
      note_pulses(devices, static_cast<std::uint16_t>(sequence.size()), outcomes));
  PCM_TRY(store_.add_outcomes(programming_, outcomes));
  for (const std::uint32_t device : devices) {
    outcome_.devices.last_amplitudes_10nA[device] = steps_10nA(sequence.back().amplitude.uA());
  }
  return sent;
}

Result<void> ProgramAndVerify::program_block(Devices active) {
  for (iteration_ = 1; iteration_ <= settings_.max_iterations && !active.empty(); ++iteration_) {
    PCM_TRY(clock_.sleep_until(last_pulse_ + settings_.verify_delay, stop_));
    PCM_ASSIGN(const VerifyPass pass, verify(active));
    outcome_.summary.iterations = std::max(outcome_.summary.iterations, iteration_);
    unknown_.clear();  // they have been read
    const std::size_t before = active.size();
    active = decide(active, pass);
    decided_ += static_cast<std::int64_t>(before - active.size());
    PCM_TRY((*progress_)(
        {iteration_, last_pulse_, converged_, decided_, outcome_.summary.nonzero_targets}));
    if (!active.empty()) PCM_TRY(pulse(active));
  }
  return {};
}

Result<ProgramAndVerify::VerifyPass> ProgramAndVerify::verify(const Devices& devices) {
  VerifyPass pass;
  pass.code_sums.reserve(devices.size());
  std::vector<db::BatchVerify> reads;
  PCM_TRY(board_.read(addresses_of(devices), settings_.read, [&](const ReadChunk& chunk) {
    pass.read_at.push_back(chunk.first);
    pass.code_sums.insert(pass.code_sums.end(), chunk.code_sums.begin(), chunk.code_sums.end());
    reads.push_back({pass_first_batch_ + reads.size(),
                     stamp(chunk.first, chunk.last),
                     {chunk.code_sums.begin(), chunk.code_sums.end()}});
    return check_stop();
  }));
  PCM_TRY(store_.add_verify(programming_, reads));
  return pass;
}

/// How many times its later conductance a device must read when verified at this age.
double ProgramAndVerify::drift_until_aim(Duration age) const {
  if (settings_.aim_age <= age || age <= Duration(0)) return 1;
  return std::pow(seconds(settings_.aim_age) / seconds(age), settings_.aim_drift_exponent);
}

ProgramAndVerify::Devices ProgramAndVerify::decide(const Devices& devices, const VerifyPass& pass) {
  auto& result = outcome_.devices;
  const double low_uA = settings_.min_amplitude.uA();
  const double high_uA = settings_.max_amplitude.uA();
  Devices going_on;
  converged_.clear();
  double lead = 1;  // of the conductance now over the one aimed at; the same within a chunk
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::uint32_t d = devices[i];
    const double g_uS = calibration_.conductance_uS(pass.code_sums[i], settings_.read.samples);
    if (i % board_.chunk_devices() == 0) {
      lead = drift_until_aim(pass.read_at[i / board_.chunk_devices()] -
                             BoardTime(result.last_pulse_ticks_ns[d]));
    }
    const double excess_uS = g_uS - lead * static_cast<double>(placement_->targets_uS[d]);
    result.iterations[d] = static_cast<std::uint8_t>(iteration_);
    result.last_code_sums[d] = pass.code_sums[i];
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
      going_on.push_back(d);
    } else if (stuck || at_limit) {
      result.verdicts[d] = excess_uS < 0 ? Verdict::StuckLow : Verdict::StuckHigh;
    } else {
      result.verdicts[d] = Verdict::MaxIterations;
    }
  }
  return going_on;
}

Result<void> ProgramAndVerify::pulse(const Devices& devices) {
  PCM_TRY(check_stop());
  PCM_TRY(write_intended(db::BatchKind::Program, settings_.pulse_width, devices));
  std::vector<std::uint16_t> amplitudes_10nA;
  amplitudes_10nA.reserve(devices.size());
  for (const std::uint32_t device : devices) {
    amplitudes_10nA.push_back(amplitudes_10nA_[device]);
    outcome_.devices.last_amplitudes_10nA[device] = amplitudes_10nA_[device];
  }
  std::vector<db::BatchOutcome> outcomes;
  auto sent = board_.program(pass_first_batch_, settings_.pulse_width, addresses_of(devices),
                             amplitudes_10nA, note_pulses(devices, 1, outcomes));
  // Also after an error: what the board acknowledged is written down.
  PCM_TRY(store_.add_outcomes(programming_, outcomes));
  return sent;
}

}  // namespace pcmlab

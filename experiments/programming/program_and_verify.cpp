// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/program_and_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace pcmlab {
namespace {

using db::Verdict;

/// A device above this after RESET has not had it: five ADC codes, ten times the RESET level.
constexpr double kMostAfterReset_uS = 1.0;

/// Acknowledgements that are written down together. With those on their way they are fewer than the
/// batches that a board remembers, so that after a kill it can tell of the others.
constexpr std::size_t kMostOutcomesTogether = 16;

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

Result<std::uint64_t> first_batch(Board& board, db::RunStore& store,
                                  const ProgrammingRecord& record) {
  const std::string serial = board.information().serial;
  PCM_ASSIGN(const BoardStatus status, board.status());
  std::uint64_t behind_all = 0;  // that the board has had; perhaps of another database
  for (const wire::BatchRecord& batch : status.recent_batches) {
    behind_all = std::max(behind_all, original_batch(batch.batch) + 1);
  }
  if (record.empty()) {
    PCM_ASSIGN(const std::uint64_t next, store.next_batch(serial));
    return std::max(next, behind_all);
  }
  if (behind_all <= record.end()) return record.first();
  return fail(
      ErrorCode::DuplicateBatch,
      fmt::format("board {} has had batch {} since this programming, which ended with batch "
                  "{}: its devices may hold something else now",
                  serial, behind_all - 1, record.end() - 1),
      "program the chip anew with pcmlab run");
}

ProgramAndVerify::ProgramAndVerify(Board& board, Clock& clock, db::RunStore& store,
                                   db::RowId programming, const ProgramSettings& settings,
                                   const Calibration& calibration, RunControl& control)
    : board_(board),
      clock_(clock),
      store_(store),
      programming_(programming),
      settings_(settings),
      calibration_(calibration),
      control_(control) {}

Result<ProgramOutcome> ProgramAndVerify::run(const db::Placement& placement,
                                             const ProgramProgress& progress,
                                             ProgrammingRecord record) {
  placement_ = &placement;
  progress_ = &progress;
  record_ = std::move(record);
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
  PCM_ASSIGN(next_batch_, first_batch(board_, store_, record_));

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

/// Commits what the board has acknowledged since the last time, reads, and batches as intended.
/// After an error nothing of it is in the store, and no batch number is taken.
Result<void> ProgramAndVerify::keep(const std::vector<db::BatchVerify>& reads,
                                    const std::vector<db::BatchRow>& batches) {
  auto committed = store_.together("keeping a pass", [&]() -> Result<void> {
    PCM_TRY(store_.add_outcomes(programming_, outcomes_));
    PCM_TRY(add_verify(reads));
    return add_batches(batches);
  });
  if (committed) {
    outcomes_.clear();
  } else if (!batches.empty()) {
    next_batch_ = batches.front().batch;
  }
  return committed;
}

Result<void> ProgramAndVerify::keep_outcomes() {
  if (outcomes_.empty()) return {};
  return keep({}, {});
}

/// Sends RESET again to those of the devices with unknown pulses that do not read as RESET. Pulses
/// of other kinds are followed by a verify read, which tells what to do.
Result<void> ProgramAndVerify::reset_unknown() {
  while (!unknown_.empty()) {
    Selection unknown, not_reset;
    for (const std::uint32_t device : std::exchange(unknown_, {})) select(unknown, device);
    if (auto before = reset_again_before()) {
      not_reset = std::move(*before);
    } else {
      PCM_TRY(board_.read(
          unknown.addresses, settings_.read, [&](const ReadChunk& chunk) -> Result<void> {
            for (std::size_t i = 0; i < chunk.code_sums.size(); ++i) {
              const double g_uS =
                  calibration_.conductance_uS(chunk.code_sums[i], settings_.read.samples);
              if (g_uS > kMostAfterReset_uS) select(not_reset, unknown.devices[chunk.begin + i]);
            }
            return control_.check();
          }));
    }
    PCM_TRY(initialise(db::BatchKind::Reset, not_reset));
  }
  return {};
}

/// The devices that got RESET again when the loop was here before; none if it was not.
std::optional<ProgramAndVerify::Selection> ProgramAndVerify::reset_again_before() {
  const auto* next = record_.find(next_batch_);
  if (next == nullptr) return std::nullopt;
  Selection selected;
  for (std::uint64_t batch = next_batch_; next != nullptr; next = record_.find(++batch)) {
    if (next->intended.kind != db::BatchKind::Reset) break;
    for (const std::uint32_t device : next->intended.devices) select(selected, device);
    // A shorter one is the last of its call.
    if (next->intended.devices.size() < board_.chunk_devices()) break;
  }
  return selected;
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
    const auto* before = record_.find(chunk.batch);
    const bool written = before != nullptr && before->outcome;
    if (chunk.unknown == 0 && !written) {
      outcomes_.push_back({chunk.batch, chunk.pulses_executed, stamp(chunk.first, chunk.last)});
    }
    if (outcomes_.size() >= kMostOutcomesTogether) PCM_TRY(keep_outcomes());
    return control_.check_abort();
  };
}

Result<void> ProgramAndVerify::initialise(db::BatchKind kind, const Selection& selected) {
  if (selected.devices.empty()) return {};
  PCM_TRY(control_.checkpoint());
  iteration_ = 0;
  std::vector<Pulse> sequence{{settings_.reset_amplitude, settings_.reset_width}};
  if (kind == db::BatchKind::Staircase) {
    for (const Current amplitude : settings_.staircase) {
      sequence.push_back({amplitude, settings_.staircase_width});
    }
  }
  pulsed_first_batch_ = next_batch_;
  PCM_TRY(
      keep({}, number_batches(kind, sequence.back().width, selected, 0, selected.devices.size())));
  for (const std::uint32_t device : selected.devices) {
    outcome_.devices.last_amplitudes_10nA[device] = steps_10nA(sequence.back().amplitude.uA());
  }
  return send(selected, static_cast<std::uint16_t>(sequence.size()),
              [&](std::size_t begin, std::uint64_t batch, const PulseSink& sink) {
                return board_.initialise(batch, sequence,
                                         std::span(selected.addresses).subspan(begin), sink);
              });
}

Result<void> ProgramAndVerify::program_block(Selection active) {
  for (iteration_ = 1; iteration_ <= settings_.max_iterations && !active.devices.empty();
       ++iteration_) {
    PCM_TRY(control_.checkpoint());
    if (settings_.verify_delay > Duration(0) && !is_verified(pulsed_first_batch_)) {
      PCM_TRY(keep_outcomes());  // else they are written while the chip is read
      const BoardTime due = last_pulse_ + settings_.verify_delay;
      PCM_TRY(clock_.sleep_until(
          due,
          control_.waiting(fmt::format("iteration {}: before the verify read", iteration_), due)));
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
  // Batches that were given up when the loop was here before keep their numbers.
  while (record_.find(next_batch_) != nullptr && record_.find(next_batch_)->given_up()) {
    ++next_batch_;
  }
  const std::uint64_t first_intended = next_batch_;
  const auto write = [&](std::size_t pulses) -> Result<void> {
    const std::size_t end = intended + pulses;
    PCM_TRY(keep(reads, number_batches(db::BatchKind::Program, settings_.pulse_width, going_on,
                                       intended, end)));
    reads.clear();
    intended = end;
    return {};
  };

  auto pass = read(pulsed, [&](const ReadChunk& chunk) -> Result<void> {
    reads.push_back({pulsed_first_batch_ + chunk.begin / board_.chunk_devices(),
                     stamp(chunk.first, chunk.last),
                     {chunk.code_sums.begin(), chunk.code_sums.end()}});
    decide(std::span(pulsed.devices).subspan(chunk.begin, chunk.code_sums.size()), chunk, going_on);
    if (chunk.begin + chunk.code_sums.size() == pulsed.devices.size()) return {};
    const std::size_t waiting = going_on.devices.size() - intended;
    PCM_TRY(write(waiting - waiting % board_.chunk_devices()));
    return control_.check();
  });
  if (pass) {
    unknown_.clear();  // they have been read
    pass = (*progress_)(
        {iteration_, last_pulse_, converged_, decided_, outcome_.summary.nonzero_targets});
    if (pass) pass = control_.check();
    const auto kept = write(pass ? going_on.devices.size() - intended : 0);
    if (!kept) pass = kept;
  }
  if (!pass) {
    // Pulses go out when all of a pass is read; if that was so before, these may have gone out.
    const std::uint64_t last =
        pulsed_first_batch_ + (pulsed.devices.size() - 1) / board_.chunk_devices();
    if (!is_verified(last)) give_up_batches(first_intended);
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
  return send(selected, 1, [&](std::size_t begin, std::uint64_t batch, const PulseSink& sink) {
    return board_.program(batch, settings_.pulse_width,
                          std::span(selected.addresses).subspan(begin),
                          std::span(selected.amplitudes_10nA).subspan(begin), sink);
  });
}

// ---- what was done before ----------------------------------------------------------------------

/// Batches from pulsed_first_batch_ on: what the record has of them goes to the sink, the rest to
/// the board, which may have had some of it from the process before.
Result<void> ProgramAndVerify::send(const Selection& selected, std::uint16_t pulses_each,
                                    const SendPulses& rest) {
  const PulseSink sink = note_pulses(selected.devices, pulses_each);
  const std::size_t count = selected.devices.size();
  std::uint64_t batch = pulsed_first_batch_;
  std::size_t begin = 0;
  for (; begin < count; ++batch) {
    const auto* before = record_.find(batch);
    if (before == nullptr || !(before->outcome || record_.went_on_behind(batch))) break;
    PulseChunk chunk;
    chunk.begin = begin;
    chunk.count = before->intended.devices.size();
    chunk.batch = batch;
    chunk.first = chunk.last = last_pulse_;
    if (before->outcome) {
      chunk.pulses_executed = static_cast<std::uint32_t>(before->outcome->pulses_executed);
      chunk.first = BoardTime(before->outcome->stamp.first_tick_ns);
      chunk.last = BoardTime(before->outcome->stamp.last_tick_ns);
    } else {
      chunk.unknown = chunk.count;
    }
    PCM_TRY(sink(chunk));
    begin += chunk.count;
  }
  if (begin == count) return {};
  return rest(begin, batch, [&](PulseChunk chunk) {
    chunk.begin += begin;
    return sink(chunk);
  });
}

/// The verify reads of the batches from pulsed_first_batch_ on, from the record as far as it goes.
Result<void> ProgramAndVerify::read(const Selection& pulsed, const ReadSink& sink) {
  std::size_t begin = 0;
  for (std::uint64_t batch = pulsed_first_batch_; is_verified(batch); ++batch) {
    if (begin == pulsed.devices.size()) return {};
    const db::BatchVerify& verify = *record_.find(batch)->verify;
    PCM_TRY(sink({begin, BoardTime(verify.stamp.first_tick_ns),
                  BoardTime(verify.stamp.last_tick_ns), verify.code_sums}));
    begin += verify.code_sums.size();
  }
  if (begin == pulsed.devices.size()) return {};
  return board_.read(std::span(pulsed.addresses).subspan(begin), settings_.read,
                     [&](ReadChunk chunk) {
                       chunk.begin += begin;
                       return sink(chunk);
                     });
}

bool ProgramAndVerify::is_verified(std::uint64_t batch) const {
  const auto* before = record_.find(batch);
  return before != nullptr && before->verify;
}

/// Writes down those that are not there. Errors: BadFile when others are there.
Result<void> ProgramAndVerify::add_batches(const std::vector<db::BatchRow>& batches) {
  auto is_new = batches.begin();
  for (; is_new != batches.end(); ++is_new) {
    const auto* before = record_.find(is_new->batch);
    if (before == nullptr) break;
    if (before->intended.kind == is_new->kind && before->intended.devices == is_new->devices &&
        before->intended.amplitudes_10nA == is_new->amplitudes_10nA) {
      continue;
    }
    return fail(ErrorCode::BadFile,
                fmt::format("batch {} of programming {} has other pulses in the database than "
                            "follow from the plan and the reads before it",
                            is_new->batch, programming_),
                "go on with the version of pcmlab that began the run, or program anew");
  }
  return store_.add_batches(programming_, std::span(is_new, batches.end()));
}

/// Likewise.
Result<void> ProgramAndVerify::add_verify(const std::vector<db::BatchVerify>& reads) {
  if (record_.empty()) return store_.add_verify(programming_, reads);
  std::vector<db::BatchVerify> are_new = reads;
  std::erase_if(are_new, [this](const db::BatchVerify& read) { return is_verified(read.batch); });
  return store_.add_verify(programming_, are_new);
}

}  // namespace pcmlab

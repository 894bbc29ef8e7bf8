// SPDX-License-Identifier: Apache-2.0
/// \file
/// Experiment `manual`: pulses and reads of single devices, as somebody at the instrument wants
/// them. Each pulse is followed by a verify read; at the end all devices are read as a sweep.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "experiments/programming/chip_programming.h"
#include "experiments/programming/programming_record.h"

namespace pcmlab {
namespace {

/// In one request to the board, so that a pulse is one batch.
constexpr std::size_t kMostDevices = 256;

/// "12,345": word line 12, bit line 345.
std::optional<DeviceAddress> parse_address(const std::string& text) {
  DeviceAddress address;
  const char* const end = text.data() + text.size();
  const auto word = std::from_chars(text.data(), end, address.word_line.index);
  if (word.ec != std::errc() || word.ptr == end || *word.ptr != ',') return std::nullopt;
  const char* begin = word.ptr + 1;
  while (begin != end && *begin == ' ') ++begin;
  const auto bit = std::from_chars(begin, end, address.bit_line.index);
  if (bit.ec != std::errc() || bit.ptr != end) return std::nullopt;
  return address;
}

db::Stamp stamp(BoardTime first, BoardTime last) {
  db::Stamp clocks;
  clocks.first_tick_ns = first.count();
  clocks.last_tick_ns = last.count();
  return clocks;
}

class Manual : public Experiment {
 public:
  explicit Manual(const ParameterValues& values)
      : devices_(values.texts("devices")),
        amplitude_(Current::from_uA(values.real("amplitude_uA"))),
        width_(Duration(values.integer("pulse_width_ns"))),
        pulses_(static_cast<int>(values.integer("pulses"))) {
    settings_.samples = static_cast<std::uint8_t>(values.integer("verify_samples"));
    settings_.read_voltage = Voltage::from_mV(values.real("read_voltage_mV"));
  }

  Result<Prediction> predict(PlanFacts& facts) const override {
    PCM_TRY(placement(facts.shape));
    PCM_TRY(check_pulse(facts.limits));
    if (devices_.size() > facts.limits.max_devices_per_request) {
      return fail(ErrorCode::BadPlan,
                  fmt::format("{} devices are named; the board takes {} at once", devices_.size(),
                              facts.limits.max_devices_per_request),
                  "name fewer, or make several steps");
    }
    const auto devices = static_cast<double>(devices_.size());
    Prediction prediction;
    prediction.pulses = pulses_ * static_cast<std::int64_t>(devices_.size());
    prediction.pulses_of_a_device = pulses_;
    prediction.chip_busy_s =
        devices * ((pulses_ + 1) * seconds(facts.sample_time) * settings_.samples +
                   pulses_ * seconds(width_));
    constexpr std::int64_t kBytesOfPass = 200;
    prediction.bytes = (pulses_ + 2) * (kBytesOfPass + 10 * static_cast<std::int64_t>(devices));
    facts.programmed_devices = static_cast<std::int64_t>(devices_.size());
    facts.holds_weights = false;
    return prediction;
  }

  Result<void> run(RunContext& context) override {
    PCM_ASSIGN(const db::Placement placement, this->placement(context.board.information().shape));
    PCM_ASSIGN(auto begun, begun_programming(context));
    if (!begun || !begun->complete) {
      PCM_TRY(pulse(context, placement, begun));
      PCM_ASSIGN(begun, begun_programming(context));
    }
    return read(context, placement, *begun);
  }

 private:
  Result<void> check_pulse(const Limits& limits) const {
    if (pulses_ == 0) return {};
    ProgramSettings settings;
    settings.max_amplitude = amplitude_;
    settings.pulse_width = settings.reset_width = settings.staircase_width = width_;
    return check_limits(settings, limits);
  }

  /// Errors: BadPlan (no devices, one that is none, or outside the array, or named twice).
  Result<db::Placement> placement(const ArrayShape& shape) const {
    const auto wrong = [](const std::string& what) {
      return fail(ErrorCode::BadPlan, what,
                  "write: devices = [\"12,345\"] for word line 12, bit "
                  "line 345");
    };
    if (devices_.empty()) return wrong("devices is empty");
    if (devices_.size() > kMostDevices) {
      return wrong(
          fmt::format("{} devices are named, more than {}", devices_.size(), kMostDevices));
    }
    db::Placement placement;
    placement.shape = shape;
    for (const std::string& text : devices_) {
      const auto address = parse_address(text);
      if (!address) return wrong(fmt::format("\"{}\" is no device", text));
      if (!shape.contains(*address)) {
        return wrong(fmt::format("\"{}\" is outside the array of {} x {} lines", text,
                                 shape.word_lines, shape.bit_lines));
      }
      const auto& before = placement.addresses;
      if (std::find(before.begin(), before.end(), *address) != before.end()) {
        return wrong(fmt::format("\"{}\" is named twice", text));
      }
      placement.addresses.push_back(*address);
      placement.targets_uS.push_back(0);
    }
    return placement;
  }

  /// A programming of so many passes: a pulse for every device, then a read of all. One that was
  /// begun goes on: what the database does not know of its last pulse, the board is asked for.
  Result<void> pulse(RunContext& context, const db::Placement& placement,
                     const std::optional<db::ProgrammingRow>& begun) {
    db::RowId programming = 0;
    ProgrammingRecord record;
    if (begun) {
      programming = begun->id;
      PCM_ASSIGN(record, ProgrammingRecord::load(context.store, programming));
    } else {
      PCM_ASSIGN(const Calibration calibration, context.board.calibrate(settings_));
      PCM_ASSIGN(programming, begin_programming(context, settings_, calibration, placement, {}));
    }
    PCM_ASSIGN(std::uint64_t batch, first_batch(context.board, context.store, record));
    PCM_ASSIGN(const BoardTime begin, context.clock.now());
    const std::size_t count = placement.addresses.size();
    db::ProgrammingResult result;
    result.verdicts.assign(count, db::Verdict::Reset);
    result.iterations.assign(count, static_cast<std::uint8_t>(pulses_));
    result.pulses.assign(count, 0);
    result.last_amplitudes_10nA.assign(count, pulses_ > 0 ? amplitude_10nA() : std::uint16_t{0});
    result.last_code_sums.assign(count, 0);
    // Of a device that gets none, times count from here.
    result.last_pulse_ticks_ns.assign(count, begin.count());
    db::ProgrammingSummary summary;
    summary.iterations = pulses_;
    summary.end_tick_ns = begin.count();
    for (int pass = 1; pass <= pulses_; ++pass, ++batch) {
      PCM_TRY(context.control.checkpoint());
      const auto* before = record.find(batch);
      db::BatchRow row;
      row.batch = batch;
      row.iteration = pass;
      row.width_ns = width_.count();
      row.devices.resize(count);
      std::iota(row.devices.begin(), row.devices.end(), 0U);
      row.amplitudes_10nA.assign(count, amplitude_10nA());
      if (before == nullptr) PCM_TRY(context.store.add_batches(programming, std::span(&row, 1)));
      std::optional<db::BatchOutcome> outcome;
      if (before != nullptr) outcome = before->outcome;
      if (!outcome) {
        PCM_TRY(context.board.program(
            batch, width_, placement.addresses, row.amplitudes_10nA,
            [&](const PulseChunk& chunk) -> Result<void> {
              if (chunk.unknown == 0) {
                outcome = {batch, chunk.pulses_executed, stamp(chunk.first, chunk.last)};
              }
              summary.end_tick_ns = std::max(summary.end_tick_ns, chunk.last.count());
              return {};
            }));
        if (outcome) PCM_TRY(context.store.add_outcomes(programming, std::span(&*outcome, 1)));
      }
      if (outcome) note(*outcome, result, summary);
      db::BatchVerify verify;
      if (before != nullptr && before->verify) {
        verify = *before->verify;
      } else {
        verify.batch = batch;
        PCM_TRY(context.board.read(
            placement.addresses, settings_, [&](const ReadChunk& chunk) -> Result<void> {
              if (chunk.begin == 0) {
                verify.stamp.first_tick_ns = chunk.first.count();
              }
              verify.stamp.last_tick_ns = chunk.last.count();
              verify.code_sums.insert(verify.code_sums.end(), chunk.code_sums.begin(),
                                      chunk.code_sums.end());
              return {};
            }));
        PCM_TRY(context.store.add_verify(programming, std::span(&verify, 1)));
      }
      result.last_code_sums = verify.code_sums;
      PCM_TRY(context.report_progress("pulses", "", pass, pulses_));
    }
    return context.store.finish_programming(programming, result, summary);
  }

  std::uint16_t amplitude_10nA() const {
    return static_cast<std::uint16_t>(std::lround(amplitude_.uA() / wire::kAmplitudeStep_uA));
  }

  /// A batch whose pulses are known, in the results of its devices.
  static void note(const db::BatchOutcome& outcome, db::ProgrammingResult& result,
                   db::ProgrammingSummary& summary) {
    const std::size_t count = result.pulses.size();
    const std::int64_t first = outcome.stamp.first_tick_ns, last = outcome.stamp.last_tick_ns;
    for (std::size_t i = 0; i < count; ++i) {
      ++result.pulses[i];
      result.last_pulse_ticks_ns[i] = first + (last - first) * static_cast<std::int64_t>(i + 1) /
                                                  static_cast<std::int64_t>(count);
    }
    summary.pulses += outcome.pulses_executed;
    summary.end_tick_ns = std::max(summary.end_tick_ns, last);
  }

  /// All devices, as the step's sweep.
  Result<void> read(RunContext& context, const db::Placement& placement,
                    const db::ProgrammingRow& programming) {
    PCM_ASSIGN(const auto there, context.store.sweeps(context.run));
    int ordinal = 0;
    for (const db::SweepRow& sweep : there) {
      if (sweep.step != context.step) continue;
      if (sweep.complete) return {};
      ordinal = sweep.ordinal + 1;
    }
    PCM_ASSIGN(const Temperature temperature, context.board.temperature());
    PCM_ASSIGN(const Calibration calibration, context.board.calibrate(settings_));
    db::SweepStart start;
    start.run = context.run;
    start.step = context.step;
    start.programming = programming.id;
    start.ordinal = ordinal;
    start.samples = settings_.samples;
    start.read_voltage_mV = settings_.read_voltage.mV();
    start.gain_uS_per_code = calibration.gain_uS_per_code;
    start.offset_uS = calibration.offset_uS;
    start.temperature_K = temperature.K();
    PCM_ASSIGN(const db::RowId sweep, context.store.begin_sweep(start));
    db::SweepBlock block;
    PCM_TRY(context.board.read(
        placement.addresses, settings_, [&](const ReadChunk& chunk) -> Result<void> {
          if (chunk.begin == 0) block.stamp.first_tick_ns = chunk.first.count();
          block.stamp.last_tick_ns = chunk.last.count();
          block.code_sums.insert(block.code_sums.end(), chunk.code_sums.begin(),
                                 chunk.code_sums.end());
          return {};
        }));
    double sum_uS = 0;
    for (std::size_t i = 0; i < block.code_sums.size(); ++i) {
      const double g_uS = calibration.conductance_uS(block.code_sums[i], settings_.samples);
      sum_uS += g_uS;
      context.observer.message(fmt::format("{}: {:.2f} uS", devices_[i], g_uS));
    }
    const double after_ns =
        static_cast<double>(block.stamp.first_tick_ns - programming.end_tick_ns) / 2 +
        static_cast<double>(block.stamp.last_tick_ns - programming.end_tick_ns) / 2;
    return context.store.together("keeping what was read", [&]() -> Result<void> {
      PCM_TRY(context.store.add_sweep_blocks(sweep, std::span(&block, 1)));
      return context.store.finish_sweep(sweep, sum_uS, after_ns * 1e-9);
    });
  }

  std::vector<std::string> devices_;
  Current amplitude_;
  Duration width_;
  int pulses_ = 0;
  ReadSettings settings_;
};

}  // namespace

extern const ExperimentInfo manual_info;
const ExperimentInfo manual_info{
    {"manual",
     "Pulses and reads single devices that are named, as by hand.",
     {
         texts("devices", {}, "word line and bit line of each, as \"12,345\"; 256 at most"),
         integer("pulses", "", 0, 0, 250, "for each device; 0 = they are only read"),
         real("amplitude_uA", "uA", 100, 0.01, 650, "amplitude of the pulses [E]"),
         integer("pulse_width_ns", "ns", 400, 50, 1e6, "width of the pulses [S]"),
         integer("verify_samples", "samples", 5, 1, 255,
                 "reads averaged after each pulse and at the end"),
         real("read_voltage_mV", "mV", 200, 10, 400, "read voltage [P]"),
     }},
    [](const ParameterValues& values) -> std::unique_ptr<Experiment> {
      return std::make_unique<Manual>(values);
    }};

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Experiment `retention`: reads all devices of the run's programming at times after it.
#include <fmt/format.h>

#include <algorithm>

#include "experiments/engine/experiment.h"
#include "experiments/retention/read_schedule.h"
#include "experiments/retention/stored_drift.h"

namespace pcmlab {
namespace {

tl::unexpected<Error> no_programming() {
  return fail(ErrorCode::BadPlan, "there is no complete programming in this run to read",
              "put a step with experiment = \"program\" before the retention step");
}

class Retention : public Experiment {
 public:
  explicit Retention(const ParameterValues& values) : times_s_(values.reals("times_s")) {
    if (times_s_.empty()) {
      ascending_ = values.real("first_s") <= values.real("last_s");
      times_s_ = log_spaced_s(values.real("first_s"), values.real("last_s"),
                              static_cast<int>(values.integer("points")));
    }
    std::sort(times_s_.begin(), times_s_.end());
    repeats_ = static_cast<std::size_t>(values.integer("repeats"));
    settings_.samples = static_cast<std::uint8_t>(values.integer("samples"));
    settings_.read_voltage = Voltage::from_mV(values.real("read_voltage_mV"));
  }

  Result<Prediction> predict(PlanFacts& facts) const override {
    if (!facts.programmed) return no_programming();
    if (!ascending_) {
      return fail(ErrorCode::BadPlan, "first_s is after last_s", "set last_s to at least first_s");
    }
    const auto sweeps = static_cast<double>(times_s_.size() * repeats_);
    const auto devices = static_cast<double>(facts.devices);
    Prediction prediction;
    prediction.chip_busy_s = sweeps * devices * seconds(facts.sample_time) * settings_.samples;
    const double waiting_s = static_cast<double>(facts.fillings) * times_s_.back();
    prediction.waiting_s =
        std::max(0.0, waiting_s - prediction.chip_busy_s * (sweeps - 1) / sweeps);
    prediction.host_s = 0.3e-6 * sweeps * devices;
    prediction.bytes = static_cast<std::int64_t>(sweeps * devices * 2);
    if (facts.holds_weights) {
      facts.sweeps += static_cast<std::int64_t>(times_s_.size() * repeats_);
    }
    return prediction;
  }

  Result<void> run(RunContext& context) override;

 private:
  Result<void> sweep(RunContext& context, const db::ProgrammingRow& programming,
                     const std::vector<DeviceAddress>& addresses, std::size_t number);

  std::vector<double> times_s_;
  std::size_t repeats_ = 1;
  bool ascending_ = true;
  ReadSettings settings_;
};

Result<void> Retention::run(RunContext& context) {
  PCM_ASSIGN(const auto programmings, context.store.programmings(context.run));
  if (programmings.empty() || !programmings.back().complete) {
    return no_programming();
  }
  PCM_ASSIGN(const db::Placement placement, context.store.placement(programmings.back().id));
  for (std::size_t number = 0; number < times_s_.size() * repeats_; ++number) {
    PCM_TRY(sweep(context, programmings.back(), placement.addresses, number));
  }
  PCM_ASSIGN(const auto fits,
             store_drift_fits(context.store, context.run, context.step, programmings.back().id));
  if (fits) {
    context.observer.message(
        fmt::format("drift of {} devices fitted to {} sweeps, {:.0f} to {:.0f} s"
                    " after their last pulses",
                    fits->devices, fits->sweeps, fits->first_s, fits->last_s));
  }
  return {};
}

Result<void> Retention::sweep(RunContext& context, const db::ProgrammingRow& programming,
                              const std::vector<DeviceAddress>& addresses, std::size_t number) {
  const std::size_t point = number / repeats_;
  const std::size_t repeat = number % repeats_;
  const BoardTime programmed(programming.end_tick_ns);
  const BoardTime due = programmed + from_seconds(times_s_[point]);
  PCM_TRY(context.clock.sleep_until(due, context.stop));
  PCM_ASSIGN(const Temperature temperature, context.board.temperature());
  PCM_ASSIGN(const Calibration calibration, context.board.calibrate(settings_));
  PCM_ASSIGN(const BoardTime begin, context.clock.now());
  db::SweepStart start;
  start.run = context.run;
  start.step = context.step;
  start.programming = programming.id;
  start.ordinal = static_cast<int>(number);
  start.repeat = static_cast<int>(repeat);
  start.scheduled_s = times_s_[point];
  // A repeated read is due when the one before it is over.
  start.slip_s = repeat == 0 ? std::max(0.0, seconds(begin - due)) : 0;
  start.samples = settings_.samples;
  start.read_voltage_mV = settings_.read_voltage.mV();
  start.gain_uS_per_code = calibration.gain_uS_per_code;
  start.offset_uS = calibration.offset_uS;
  start.temperature_K = temperature.K();
  PCM_ASSIGN(const db::RowId sweep, context.store.begin_sweep(start));

  // Pieces come in device order; each full block is committed while the board reads on.
  db::SweepBlock block;
  double sum_uS = 0;
  BoardTime first{}, last{};
  const std::string phase = fmt::format("sweep {} of {}", number + 1, times_s_.size() * repeats_);
  const auto commit = [&]() -> Result<void> {
    PCM_TRY(context.store.add_sweep_blocks(sweep, std::span(&block, 1)));
    block.first_device += static_cast<std::int64_t>(block.code_sums.size());
    block.code_sums.clear();
    return context.report_progress(phase, "", block.first_device,
                                   static_cast<std::int64_t>(addresses.size()));
  };
  PCM_TRY(context.board.read(addresses, settings_, [&](const ReadChunk& chunk) -> Result<void> {
    if (block.code_sums.size() + chunk.code_sums.size() > db::kMaxBlockDevices) PCM_TRY(commit());
    if (chunk.begin == 0) first = chunk.first;
    last = chunk.last;
    if (block.code_sums.empty()) block.stamp.first_tick_ns = chunk.first.count();
    block.stamp.last_tick_ns = chunk.last.count();
    block.code_sums.insert(block.code_sums.end(), chunk.code_sums.begin(), chunk.code_sums.end());
    for (const std::uint16_t code_sum : chunk.code_sums) {
      sum_uS += calibration.conductance_uS(code_sum, settings_.samples);
    }
    return context.check_stop();
  }));
  if (!block.code_sums.empty()) PCM_TRY(commit());
  const double after_s = (seconds(first - programmed) + seconds(last - programmed)) / 2;
  PCM_TRY(context.store.finish_sweep(sweep, sum_uS, after_s));
  context.observer.message(fmt::format("{}: {} devices read {:.0f} s after programming", phase,
                                       addresses.size(), after_s));
  return {};
}

}  // namespace

extern const ExperimentInfo retention_info;
const ExperimentInfo retention_info{
    {"retention",
     "Reads all devices at log-spaced times after the end of programming.",
     {
         real("first_s", "s", 25, 0.001, 1e9, "first time point after the end of programming"),
         real("last_s", "s", 86400, 0.001, 1e9, "last time point; a day is 86400"),
         integer("points", "", 8, 1, 100000, "how many, log-spaced, both ends included"),
         reals("times_s", "s", {}, 0, 1e9, "the time points themselves, in place of the three"),
         integer(
             "repeats", "", 1, 1, 1000,
             "sweeps at each time point, one after the other: their spread is that of read noise"),
         integer("samples", "samples", 5, 1, 255, "reads averaged a device"),
         real("read_voltage_mV", "mV", 200, 10, 400, "read voltage [P]"),
     }},
    [](const ParameterValues& values) -> std::unique_ptr<Experiment> {
      return std::make_unique<Retention>(values);
    },
    WeightUse::Reads};

}  // namespace pcmlab

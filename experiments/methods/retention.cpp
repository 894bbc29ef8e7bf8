// SPDX-License-Identifier: Apache-2.0
/// \file
/// Experiment `retention`: reads all devices of the run's programming at times after it.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "experiments/engine/experiment.h"
#include "experiments/retention/drift_fit.h"
#include "experiments/retention/read_schedule.h"
#include "experiments/retention/stored_drift.h"

namespace pcmlab {
namespace {

constexpr std::string_view kLog = "log";
constexpr std::string_view kLinear = "linear";
constexpr std::string_view kLast = "last";
constexpr std::string_view kAll = "all";

/// A sweep that was interrupted goes on if that took no more than this share of its age.
constexpr double kMostPause = 0.01;

tl::unexpected<Error> no_programming() {
  return fail(ErrorCode::BadPlan, "there is no complete programming in this run to read",
              "put a step with experiment = \"program\" before the retention step");
}

class Retention : public Experiment {
 public:
  explicit Retention(const ParameterValues& values)
      : times_s_(
            time_points_s(values.reals("times_s"), values.real("first_s"), values.real("last_s"),
                          static_cast<int>(values.integer("points")),
                          values.text("spacing") == kLinear ? Spacing::Linear : Spacing::Log)) {
    ascending_ =
        !values.reals("times_s").empty() || values.real("first_s") <= values.real("last_s");
    repeats_ = static_cast<std::size_t>(values.integer("repeats"));
    skips_missed_ = values.text("catch_up") == kLast;
    settings_.samples = static_cast<std::uint8_t>(values.integer("samples"));
    settings_.read_voltage = Voltage::from_mV(values.real("read_voltage_mV"));
  }

  Result<Prediction> predict(PlanFacts& facts) const override {
    if (facts.programmed_devices == 0) return no_programming();
    if (!ascending_) {
      return fail(ErrorCode::BadPlan, "first_s is after last_s", "set last_s to at least first_s");
    }
    const auto sweeps = static_cast<double>(times_s_.size() * repeats_);
    const auto devices = static_cast<double>(facts.programmed_devices);
    Prediction prediction;
    prediction.chip_busy_s = sweeps * devices * seconds(facts.sample_time) * settings_.samples;
    const std::int64_t fillings = facts.holds_weights ? facts.fillings : 1;
    const double waiting_s = static_cast<double>(fillings) * times_s_.back();
    prediction.waiting_s =
        std::max(0.0, waiting_s - prediction.chip_busy_s * (sweeps - 1) / sweeps);
    prediction.host_s = 0.3e-6 * sweeps * devices;
    for (std::size_t point = 0; fillings == 1 && point < times_s_.size(); ++point) {
      prediction.moments.push_back({times_s_[point], phase(point * repeats_)});
    }
    prediction.bytes = static_cast<std::int64_t>(sweeps * devices * 2);
    constexpr std::int64_t kBytesOfFit = 13;  // of a device
    if (sweeps >= kFewestDriftPoints && times_s_.back() >= 100 * times_s_.front()) {
      prediction.bytes += kBytesOfFit * facts.programmed_devices;
    }
    if (facts.holds_weights) {
      facts.sweeps += static_cast<std::int64_t>(times_s_.size() * repeats_);
    }
    return prediction;
  }

  Result<void> run(RunContext& context) override;

 private:
  /// What is read, and how far that has come.
  struct Schedule {
    db::ProgrammingRow programming;
    std::vector<DeviceAddress> addresses;
    std::size_t next = 0;               ///< sweep of the plan: time point * repeats + repeat
    int next_ordinal = 0;               ///< in the database
    std::optional<db::SweepRow> begun;  ///< the next one, if a part of it is there

    BoardTime programmed() const { return BoardTime(programming.end_tick_ns); }
  };

  std::size_t sweeps() const { return times_s_.size() * repeats_; }
  BoardTime due(const Schedule& schedule, std::size_t point) const {
    return schedule.programmed() + from_seconds(times_s_[point]);
  }
  std::string phase(std::size_t sweep) const {
    return fmt::format("sweep {} of {}", sweep + 1, sweeps());
  }
  Result<Schedule> schedule(RunContext& context) const;
  Result<void> take_up(RunContext& context, Schedule& schedule) const;
  Result<void> skip_missed(RunContext& context, Schedule& schedule) const;
  Result<db::SweepRow> begin(RunContext& context, const Schedule& schedule) const;
  Result<void> sweep(RunContext& context, Schedule& schedule) const;

  std::vector<double> times_s_;
  std::size_t repeats_ = 1;
  bool ascending_ = true;
  bool skips_missed_ = true;
  ReadSettings settings_;
};

Result<void> Retention::run(RunContext& context) {
  PCM_ASSIGN(Schedule schedule, this->schedule(context));
  PCM_TRY(take_up(context, schedule));
  while (schedule.next < sweeps()) {
    PCM_TRY(context.control.checkpoint());
    PCM_TRY(skip_missed(context, schedule));
    PCM_TRY(sweep(context, schedule));
  }
  const db::RowId programming = schedule.programming.id;
  PCM_ASSIGN(const auto there, context.store.drift_fits(context.run));
  const bool fitted = std::any_of(there.begin(), there.end(), [&](const db::DriftFitRow& fit) {
    return fit.step == context.step && fit.programming == programming;
  });
  if (fitted) return {};
  PCM_ASSIGN(const auto fits,
             store_drift_fits(context.store, context.run, context.step, programming));
  if (fits) {
    context.observer.message(
        fmt::format("drift of {} devices fitted to {} sweeps, {:.0f} to {:.0f} s"
                    " after their last pulses",
                    fits->devices, fits->sweeps, fits->first_s, fits->last_s));
  }
  return {};
}

/// The programming of the filling at hand, of the last step before this one that programmed.
Result<Retention::Schedule> Retention::schedule(RunContext& context) const {
  PCM_ASSIGN(auto all, context.store.programmings(context.run));
  std::erase_if(all, [&](const db::ProgrammingRow& row) { return row.step > context.step; });
  if (all.empty()) return no_programming();
  const db::RowId step = all.back().step;
  std::erase_if(all, [&](const db::ProgrammingRow& row) { return row.step != step; });
  if (context.filling >= all.size() || !all[context.filling].complete) return no_programming();
  Schedule schedule;
  schedule.programming = all[context.filling];
  PCM_ASSIGN(db::Placement placement, context.store.placement(schedule.programming.id));
  schedule.addresses = std::move(placement.addresses);
  return schedule;
}

/// Goes behind what this step has read already.
Result<void> Retention::take_up(RunContext& context, Schedule& schedule) const {
  PCM_ASSIGN(auto there, context.store.sweeps(context.run));
  std::erase_if(there, [&](const db::SweepRow& sweep) {
    return sweep.step != context.step || sweep.programming != schedule.programming.id;
  });
  if (there.empty()) return {};
  const auto number = [this](const db::SweepRow& sweep) {
    const auto point = std::lower_bound(times_s_.begin(), times_s_.end(), sweep.scheduled_s);
    return static_cast<std::size_t>(point - times_s_.begin()) * repeats_ +
           static_cast<std::size_t>(sweep.repeat);
  };
  const db::SweepRow& last = there.back();
  schedule.next_ordinal = last.ordinal + 1;
  schedule.next = number(last) + (last.complete ? 1 : 0);
  if (last.complete) return {};
  // A sweep is of one time: what is read much later than its first part is another one.
  PCM_ASSIGN(const BoardTime now, context.clock.now());
  const BoardTime since = last.devices > 0 ? BoardTime(last.stamp.last_tick_ns)
                                           : due(schedule, schedule.next / repeats_);
  if (seconds(now - since) <= kMostPause * seconds(now - schedule.programmed())) {
    schedule.begun = last;
    schedule.next_ordinal = last.ordinal;
    return {};
  }
  return context.store.add_event(
      context.run, "gap",
      fmt::format("{}: stays incomplete, with {} of {} devices; it is read anew",
                  phase(schedule.next), last.devices, schedule.addresses.size()));
}

/// Goes to the last time point that is due, if so wanted, and says which are left out.
Result<void> Retention::skip_missed(RunContext& context, Schedule& schedule) const {
  const std::size_t point = schedule.next / repeats_;
  if (!skips_missed_ || schedule.begun || schedule.next % repeats_ != 0) return {};
  if (point + 1 == times_s_.size()) return {};
  PCM_ASSIGN(const BoardTime now, context.clock.now());
  std::size_t last = point;
  while (last + 1 < times_s_.size() && due(schedule, last + 1) <= now) ++last;
  if (last == point) return {};
  schedule.next = last * repeats_;
  const std::string text = fmt::format(
      "time points {} to {} ({:.6g} to {:.6g} s) are left out: {:.6g} s after programming the next "
      "one is due as well",
      point + 1, last, times_s_[point], times_s_[last - 1], seconds(now - schedule.programmed()));
  context.observer.message(text);
  return context.store.add_event(context.run, "slip", text);
}

Result<db::SweepRow> Retention::begin(RunContext& context, const Schedule& schedule) const {
  const std::size_t point = schedule.next / repeats_;
  const std::size_t repeat = schedule.next % repeats_;
  const BoardTime due_at = due(schedule, point);
  PCM_TRY(context.clock.sleep_until(
      due_at, context.control.waiting("waiting for " + phase(schedule.next), due_at)));
  PCM_ASSIGN(const Temperature temperature, context.board.temperature());
  PCM_ASSIGN(const Calibration calibration, context.board.calibrate(settings_));
  PCM_ASSIGN(const BoardTime now, context.clock.now());
  db::SweepRow row;
  row.run = context.run;
  row.step = context.step;
  row.programming = schedule.programming.id;
  row.ordinal = schedule.next_ordinal;
  row.repeat = static_cast<int>(repeat);
  row.scheduled_s = times_s_[point];
  // A repeated read is due when the one before it is over.
  row.slip_s = repeat == 0 ? std::max(0.0, seconds(now - due_at)) : 0;
  row.samples = settings_.samples;
  row.read_voltage_mV = settings_.read_voltage.mV();
  row.gain_uS_per_code = calibration.gain_uS_per_code;
  row.offset_uS = calibration.offset_uS;
  row.temperature_K = temperature.K();
  PCM_ASSIGN(row.id, context.store.begin_sweep(row));
  return row;
}

Result<void> Retention::sweep(RunContext& context, Schedule& schedule) const {
  const bool is_new = !schedule.begun;
  if (is_new) {
    PCM_ASSIGN(schedule.begun, begin(context, schedule));
  }
  const db::SweepRow row = *std::exchange(schedule.begun, std::nullopt);
  const Calibration calibration{row.gain_uS_per_code, row.offset_uS};
  std::vector<std::uint16_t> before;
  if (!is_new) {
    PCM_ASSIGN(before, context.store.code_sums_so_far(row.id));
  }
  double sum_uS = 0;
  for (const std::uint16_t code_sum : before) {
    sum_uS += calibration.conductance_uS(code_sum, settings_.samples);
  }
  BoardTime first(row.stamp.first_tick_ns), last(row.stamp.last_tick_ns);

  // Pieces come in device order; each full block is committed while the board reads on.
  const auto& addresses = schedule.addresses;
  db::SweepBlock block;
  block.first_device = static_cast<std::int64_t>(before.size());
  const auto commit = [&]() -> Result<void> {
    PCM_TRY(context.store.add_sweep_blocks(row.id, std::span(&block, 1)));
    block.first_device += static_cast<std::int64_t>(block.code_sums.size());
    block.code_sums.clear();
    return context.report_progress(phase(schedule.next), "", block.first_device,
                                   static_cast<std::int64_t>(addresses.size()));
  };
  if (before.size() < addresses.size()) {
    PCM_TRY(context.board.read(
        std::span(addresses).subspan(before.size()), settings_,
        [&](const ReadChunk& chunk) -> Result<void> {
          if (block.code_sums.size() + chunk.code_sums.size() > db::kMaxBlockDevices) {
            PCM_TRY(commit());
          }
          if (chunk.begin == 0 && before.empty()) first = chunk.first;
          last = chunk.last;
          if (block.code_sums.empty()) block.stamp.first_tick_ns = chunk.first.count();
          block.stamp.last_tick_ns = chunk.last.count();
          block.code_sums.insert(block.code_sums.end(), chunk.code_sums.begin(),
                                 chunk.code_sums.end());
          for (const std::uint16_t code_sum : chunk.code_sums) {
            sum_uS += calibration.conductance_uS(code_sum, settings_.samples);
          }
          return context.control.check();
        }));
  }
  if (!block.code_sums.empty()) PCM_TRY(commit());
  const BoardTime programmed = schedule.programmed();
  const double after_s = (seconds(first - programmed) + seconds(last - programmed)) / 2;
  PCM_TRY(context.store.finish_sweep(row.id, sum_uS, after_s));
  context.observer.message(fmt::format("{}: {} devices read {:.0f} s after programming",
                                       phase(schedule.next), addresses.size(), after_s));
  ++schedule.next;
  ++schedule.next_ordinal;
  if (schedule.next == sweeps()) return context.sweep_is_complete(std::nullopt);
  return context.sweep_is_complete(due(schedule, schedule.next / repeats_));
}

}  // namespace

extern const ExperimentInfo retention_info;
const ExperimentInfo retention_info{
    {"retention",
     "Reads all devices at times after the end of programming, log-spaced or as listed.",
     {
         real("first_s", "s", 25, 0.001, 1e9, "first time point after the end of programming"),
         real("last_s", "s", 86400, 0.001, 1e9, "last time point; a day is 86400"),
         integer("points", "", 8, 1, 100000, "how many, both ends included"),
         text("spacing", std::string(kLog),
              "log: the same ratio between any two time points; linear: the same time, as a read a "
              "day",
              {std::string(kLog), std::string(kLinear)}),
         reals("times_s", "s", {}, 0, 1e9, "the time points themselves, in place of the four"),
         integer(
             "repeats", "", 1, 1, 1000,
             "sweeps at each time point, one after the other: their spread is that of read noise"),
         text("catch_up", std::string(kLast),
              "time points that are overdue, because the run did not measure or a sweep takes "
              "longer than the time between two: last = only the last of them is read, late; all = "
              "every one, one after the other",
              {std::string(kLast), std::string(kAll)}),
         integer("samples", "samples", 5, 1, 255, "reads averaged a device"),
         real("read_voltage_mV", "mV", 200, 10, 400, "read voltage [P]"),
     }},
    [](const ParameterValues& values) -> std::unique_ptr<Experiment> {
      return std::make_unique<Retention>(values);
    },
    WeightUse::Reads};

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "app/gui/programming_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "app/gui/format.h"
#include "app/gui/query_model.h"
#include "app/gui/retention_data.h"
#include "db/query/results_query.h"
#include "protocol/crc32c.h"

namespace pcmlab::gui {
namespace {

constexpr std::uint8_t kOtherLevel = 255;
constexpr std::size_t kWorst = 100;
constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();

/// What the loop aims at. Source: experiments/programming/program_settings.h.
struct Aim {
  double tolerance_uS = 0.25, age_s = 0, exponent = 0;

  /// The conductance wanted at a verify at this age over that of the target.
  double lead(double verified_age_s) const {
    if (age_s <= verified_age_s || verified_age_s <= 0) return 1;
    return std::pow(age_s / verified_age_s, exponent);
  }
};

Aim aim_of(const db::StepRow& step) {
  const auto json = nlohmann::json::parse(step.parameters_json, nullptr, false);
  if (!json.is_object()) return {};
  return {json.value("tolerance_uS", 0.25), json.value("aim_age_s", 0.0),
          json.value("aim_drift_exponent", 0.0)};
}

template <class Number>
std::vector<Number> numbers_of(std::span<const std::byte> blob) {
  std::vector<Number> numbers(blob.size() / sizeof(Number));
  if (!numbers.empty()) std::memcpy(numbers.data(), blob.data(), numbers.size() * sizeof(Number));
  return numbers;
}

void begin(ProgrammingState& state, db::Placement placement) {
  state.placement = std::move(placement);
  const std::size_t devices = state.placement.targets_uS.size();
  state.levels.assign(devices, kOtherLevel);
  state.level_devices.assign(kLevels + 1, 0);
  for (std::size_t d = 0; d < devices; ++d) {
    const float target_uS = state.placement.targets_uS[d];
    if (target_uS <= 0) continue;
    ++state.level_devices[kLevels];
    if (const auto level = level_of(static_cast<double>(target_uS))) {
      state.levels[d] = static_cast<std::uint8_t>(*level);
      ++state.level_devices[*level];
    }
  }
  state.verified_uS.assign(devices, kNothing);
  state.error_uS.assign(devices, kNothing);
  state.iterations.assign(devices, 0);
}

Result<void> check(const db::Statement& row, int stored, std::uint32_t computed, const char* what) {
  if (row.integer(stored) == static_cast<std::int64_t>(computed)) return {};
  return fail(ErrorCode::BadFile,
              fmt::format("{} of batch {} is damaged: its checksum is wrong", what, row.integer(0)),
              "check the database with `pcmlab verify`; take it from a backup");
}

void count_pulses(ProgrammingState& state, std::size_t iteration,
                  const std::vector<std::uint32_t>& devices) {
  if (state.pulsed.size() <= iteration) {
    state.pulsed.resize(iteration + 1, std::vector<std::int64_t>(kLevels + 1));
  }
  auto& here = state.pulsed[iteration];
  for (const std::uint32_t device : devices) {
    if (device >= state.levels.size()) continue;
    ++here[kLevels];
    if (state.levels[device] != kOtherLevel) ++here[state.levels[device]];
  }
}

/// Goes on reading at the first batch that was not verified the last time.
Result<void> read_batches(db::RunStore& store, const db::ProgrammingRow& programming,
                          const Aim& aim, ProgrammingState& state, const std::stop_token& stop) {
  PCM_ASSIGN(auto rows,
             store.database().prepare(
                 "SELECT batch, kind, iteration, pulse_batch.crc32c, devices_u32,"
                 " amplitudes_10nA_u16, outcome.pulses_executed, outcome.first_tick_ns,"
                 " verify.crc32c, verify.code_sums_u16, verify.first_tick_ns FROM pulse_batch"
                 " JOIN pulse_batch_outcome AS outcome ON outcome.pulse_batch_id = pulse_batch.id"
                 " LEFT JOIN pulse_batch_verify AS verify ON verify.pulse_batch_id = pulse_batch.id"
                 " WHERE programming_id = ? AND batch >= ? ORDER BY batch"));
  rows.bind(programming.id, static_cast<std::int64_t>(state.next_batch));
  bool all_verified = true;
  while (true) {
    PCM_ASSIGN(const bool more, rows.step());
    if (!more) return {};
    if (stop.stop_requested()) return fail(ErrorCode::Stopped, "reading a programming");
    const bool is_verified = !rows.is_null(9);
    // A RESET is not verified; of the others the verify comes later.
    const bool is_over = is_verified || programming.complete || rows.text(1) == "reset";
    all_verified = all_verified && is_over;
    if (!all_verified) continue;
    PCM_TRY(check(rows, 3, wire::crc32c(rows.blob(5), wire::crc32c(rows.blob(4))), "the list"));
    const auto devices = numbers_of<std::uint32_t>(rows.blob(4));
    const auto iteration = static_cast<std::size_t>(rows.integer(2));
    state.next_batch = static_cast<std::uint64_t>(rows.integer(0)) + 1;
    state.pulses += rows.integer(6);
    if (rows.text(1) == "program") count_pulses(state, iteration, devices);
    if (!is_verified) continue;
    PCM_TRY(check(rows, 8, wire::crc32c(rows.blob(9)), "the verify read"));
    const auto sums = numbers_of<std::uint16_t>(rows.blob(9));
    const double lead = aim.lead(static_cast<double>(rows.integer(10) - rows.integer(7)) * 1e-9);
    for (std::size_t i = 0; i < std::min(devices.size(), sums.size()); ++i) {
      const std::uint32_t d = devices[i];
      if (d >= state.levels.size()) continue;
      const double g_uS =
          programming.gain_uS_per_code * sums[i] / std::max(1, programming.verify_samples) +
          programming.offset_uS;
      state.verified_uS[d] = static_cast<float>(g_uS);
      state.error_uS[d] =
          static_cast<float>(g_uS - lead * static_cast<double>(state.placement.targets_uS[d]));
      state.iterations[d] = static_cast<std::uint8_t>(std::min<std::size_t>(255, iteration));
    }
  }
}

/// Verdicts as they are, or as they will be.
std::vector<db::Verdict> verdicts_of(const ProgrammingState& state, const Aim& aim,
                                     DeviceCounts& counts) {
  std::vector<db::Verdict> verdicts(state.levels.size(), db::Verdict::MaxIterations);
  for (std::size_t d = 0; d < verdicts.size(); ++d) {
    if (state.placement.targets_uS[d] <= 0) {
      verdicts[d] = db::Verdict::Reset;
    } else if (std::abs(static_cast<double>(state.error_uS[d])) <= aim.tolerance_uS) {
      verdicts[d] = db::Verdict::Converged;
    } else {
      ++counts.at_work;
    }
  }
  return verdicts;
}

void count(const std::vector<db::Verdict>& verdicts, bool complete, DeviceCounts& counts) {
  for (const db::Verdict verdict : verdicts) {
    switch (verdict) {
      case db::Verdict::Reset:
        ++counts.reset;
        continue;
      case db::Verdict::Converged:
        ++counts.converged;
        break;
      case db::Verdict::MaxIterations:
        if (complete) ++counts.gave_up;
        break;
      case db::Verdict::StuckLow:
        ++counts.stuck_low;
        break;
      case db::Verdict::StuckHigh:
        ++counts.stuck_high;
        break;
    }
    ++counts.with_target;
  }
}

std::vector<WorstDevice> slowest_of(const ProgrammingState& state,
                                    const std::vector<db::Verdict>& verdicts) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t d = 0; d < verdicts.size(); ++d) {
    if (state.iterations[d] > 0) order.push_back(d);
  }
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(std::min(kWorst, order.size()));
  std::partial_sort(order.begin(), middle, order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::pair(state.iterations[b], a) < std::pair(state.iterations[a], b);
  });
  std::vector<WorstDevice> slowest;
  for (auto d = order.begin(); d != middle; ++d) {
    slowest.push_back({*d, state.placement.addresses[*d], state.placement.targets_uS[*d],
                       state.verified_uS[*d], state.error_uS[*d], state.iterations[*d],
                       std::string(db::to_string(verdicts[*d]))});
  }
  return slowest;
}

std::vector<WorstDevice> worst_of(const ProgrammingState& state,
                                  const std::vector<db::Verdict>& verdicts, bool complete) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t d = 0; d < verdicts.size(); ++d) {
    const bool decided_well =
        verdicts[d] == db::Verdict::Reset || verdicts[d] == db::Verdict::Converged;
    if (!decided_well && !std::isnan(state.error_uS[d])) order.push_back(d);
  }
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(std::min(kWorst, order.size()));
  std::partial_sort(order.begin(), middle, order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::abs(state.error_uS[a]) > std::abs(state.error_uS[b]);
  });
  if (order.empty() && complete) return slowest_of(state, verdicts);
  std::vector<WorstDevice> worst;
  for (auto d = order.begin(); d != middle; ++d) {
    worst.push_back({*d, state.placement.addresses[*d], state.placement.targets_uS[*d],
                     state.verified_uS[*d], state.error_uS[*d], state.iterations[*d],
                     complete ? std::string(db::to_string(verdicts[*d])) : "at work"});
  }
  return worst;
}

PlotContent convergence_plot(const ProgrammingData& data) {
  const ProgrammingState& state = *data.state;
  PlotContent plot{.title = "Convergence",
                   .x = {.title = "iteration", .unit = ""},
                   .y = {.title = "devices that got a pulse", .unit = "%", .scale = Scale::Log},
                   .series = {},
                   .note = "by target in µS",
                   .source = source_of(data.run) + fmt::format(", programming {}", data.shown->id)};
  const auto curve = [&](std::size_t column) {
    Series series{.name = {}, .mark = Mark::LinePoints, .x = {}, .y = {}};
    const auto of = static_cast<double>(std::max<std::int64_t>(1, state.level_devices[column]));
    for (std::size_t i = 0; i < state.pulsed.size(); ++i) {
      if (state.pulsed[i][column] == 0) continue;
      series.x.push_back(static_cast<double>(i));
      series.y.push_back(100 * static_cast<double>(state.pulsed[i][column]) / of);
    }
    return series;
  };
  constexpr std::int64_t kFew = 20;
  for (std::size_t level = kLevels; level-- > 0;) {
    if (state.level_devices[level] < kFew) continue;
    Series series = curve(level);
    series.name = level_name(level);
    series.mark = Mark::Line;
    series.shade = level_shade(level);
    plot.series.push_back(std::move(series));
  }
  Series all = curve(kLevels);
  all.name = "all";
  all.colour = 5;
  plot.series.push_back(std::move(all));
  return plot;
}

PlotContent error_plot(const ProgrammingData& data) {
  const ProgrammingState& state = *data.state;
  PlotContent plot{.title = "Error at the last verify",
                   .x = {.title = "error", .unit = "µS"},
                   .y = {.title = "devices", .unit = "%"},
                   .series = {},
                   .note = "by target in µS",
                   .source = source_of(data.run) + fmt::format(", programming {}", data.shown->id)};
  // Further out are too few to see; they are in the list of the worst.
  constexpr int kBins = 60;
  const double reach_uS = 3 * data.tolerance_uS;
  std::vector<std::vector<std::int64_t>> bins(kLevels, std::vector<std::int64_t>(kBins));
  std::int64_t beyond = 0;
  for (std::size_t d = 0; d < state.levels.size(); ++d) {
    if (state.levels[d] == kOtherLevel || std::isnan(state.error_uS[d])) continue;
    const double place =
        (static_cast<double>(state.error_uS[d]) + reach_uS) / (2 * reach_uS) * kBins;
    if (place < 0 || place >= kBins) {
      ++beyond;
      continue;
    }
    ++bins[state.levels[d]][static_cast<std::size_t>(place)];
  }
  if (beyond > 0) {
    plot.note += fmt::format(", {} beyond ±{:g} µS", count_text(beyond).toStdString(), reach_uS);
  }
  for (std::size_t level = kLevels; level-- > 0;) {
    if (state.level_devices[level] == 0) continue;
    Series series{.name = level_name(level), .x = {}, .y = {}};
    series.shade = level_shade(level);
    for (std::size_t i = 0; i < kBins; ++i) {
      series.x.push_back(reach_uS * ((2 * static_cast<double>(i) + 1) / kBins - 1));
      series.y.push_back(100 * static_cast<double>(bins[level][i]) /
                         static_cast<double>(state.level_devices[level]));
    }
    plot.series.push_back(std::move(series));
  }
  plot.stretches.push_back(
      {-data.tolerance_uS, data.tolerance_uS, fmt::format("±{:g}", data.tolerance_uS)});
  return plot;
}

}  // namespace

Result<PlotContent> read_amplitudes(const std::filesystem::path& database, const db::RunRow& run,
                                    db::RowId programming,
                                    const std::vector<std::uint32_t>& devices,
                                    const std::stop_token& stop) {
  PlotContent plot{.title = "Amplitudes",
                   .x = {.title = "iteration", .unit = ""},
                   .y = {.title = "amplitude", .unit = "µA"},
                   .series = {},
                   .note = "by device",
                   .source = source_of(run) + fmt::format(", programming {}", programming)};
  PCM_ASSIGN(auto query,
             db::ResultsQuery::open(database, {.timeout = std::chrono::seconds(60), .stop = stop}));
  PCM_TRY(query.prepare(
      fmt::format("SELECT device, iteration, amplitude_uA FROM pulse WHERE programming_id ="
                  " :programming AND kind = 'program' AND device IN ({})",
                  fmt::join(devices, ", ")),
      {{"programming", std::to_string(programming)}}));
  for (const std::uint32_t device : devices) {
    Series& series = plot.series.emplace_back();
    series.name = std::to_string(device);
    series.mark = Mark::LinePoints;
    series.colour = static_cast<int>(plot.series.size()) - 1;
  }
  while (true) {
    PCM_ASSIGN(const bool more, query.step());
    if (!more) return plot;
    const auto of = std::find(devices.begin(), devices.end(),
                              static_cast<std::uint32_t>(number_of(query.value(0))));
    Series& series = plot.series[static_cast<std::size_t>(of - devices.begin())];
    series.x.push_back(number_of(query.value(1)));
    series.y.push_back(number_of(query.value(2)));
  }
}

Result<ProgrammingData> read_programming(db::RunStore& store, db::RowId run,
                                         std::optional<db::RowId> programming,
                                         std::shared_ptr<ProgrammingState> known,
                                         const std::stop_token& stop) {
  ProgrammingData data;
  PCM_ASSIGN(data.run, store.run(run));
  PCM_ASSIGN(const auto programmings, store.programmings(run));
  PCM_ASSIGN(const auto steps, store.steps(run));
  const db::ProgrammingRow* row = nullptr;
  Aim aim;
  for (const db::ProgrammingRow& each : programmings) {
    const auto step = std::find_if(steps.begin(), steps.end(), [&](const db::StepRow& candidate) {
      return candidate.id == each.step;
    });
    const std::string experiment = step == steps.end() ? std::string() : step->experiment;
    data.choices.push_back({each.id, experiment, each.complete});
    if (programming && each.id != *programming) continue;
    row = &each;
    data.shown = data.choices.back();
    aim = step == steps.end() ? Aim{} : aim_of(*step);
  }
  if (row == nullptr) return data;
  data.tolerance_uS = aim.tolerance_uS;
  data.state = known && known->programming == row->id ? std::move(known)
                                                      : std::make_shared<ProgrammingState>();
  ProgrammingState& state = *data.state;
  if (state.programming == 0 || state.placement.targets_uS.empty()) {
    PCM_ASSIGN(auto placement, store.placement(row->id));
    state.programming = row->id;
    begin(state, std::move(placement));
  }
  PCM_TRY(read_batches(store, *row, aim, state, stop));
  data.pulses = row->complete ? row->pulses : state.pulses;
  data.iteration =
      row->complete ? row->iterations : std::max(0, static_cast<int>(state.pulsed.size()) - 1);
  std::vector<db::Verdict> verdicts;
  if (row->complete) {
    PCM_ASSIGN(auto result, store.programming_result(row->id));
    verdicts = std::move(result.verdicts);
  } else {
    verdicts = verdicts_of(state, aim, data.counts);
  }
  count(verdicts, row->complete, data.counts);
  data.worst = worst_of(state, verdicts, row->complete);
  data.all_converged = row->complete && data.counts.converged == data.counts.with_target;
  data.convergence = convergence_plot(data);
  data.errors = error_plot(data);
  return data;
}

}  // namespace pcmlab::gui

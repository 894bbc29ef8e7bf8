// SPDX-License-Identifier: Apache-2.0
#include "app/gui/retention_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "app/gui/plot_scales.h"
#include "app/gui/run_times.h"
#include "experiments/retention/measured_conductances.h"
#include "experiments/retention/programmed_network.h"

namespace pcmlab::gui {
namespace {

constexpr std::uint8_t kNoLevel = 255;
constexpr std::size_t kSamplePerLevel = 12;
constexpr std::size_t kMostExponents = 6000;

/// By device of the network: its level, and its target.
struct Members {
  std::vector<std::uint8_t> level;
  std::vector<float> target_uS;
};

Result<Members> members_of(db::RunStore& store, const ProgrammedNetwork& network,
                           RetentionData& data) {
  Members members;
  PCM_ASSIGN(members.target_uS, targets_uS(store, network));
  PCM_ASSIGN(const auto result, programming_result(store, network));
  for (std::size_t l = 0; l < kLevels; ++l)
    data.levels.push_back({kLevelEdges_uS.at(l), kLevelEdges_uS.at(l + 1), 0});
  members.level.assign(members.target_uS.size(), kNoLevel);
  for (std::size_t d = 0; d < members.level.size(); ++d) {
    if (result.verdicts[d] == db::Verdict::Reset) continue;
    if (result.verdicts[d] != db::Verdict::Converged) {
      ++data.left_out;
      continue;
    }
    const auto level = level_of(static_cast<double>(members.target_uS[d]));
    if (!level) continue;
    members.level[d] = static_cast<std::uint8_t>(*level);
    ++data.levels[*level].devices;
  }
  return members;
}

/// Devices spread evenly over those of each level.
void choose_sample(const Members& members, RetentionData& data) {
  std::array<std::int64_t, kLevels> seen{};
  for (std::size_t d = 0; d < members.level.size(); ++d) {
    const std::uint8_t level = members.level[d];
    if (level == kNoLevel) continue;
    const std::int64_t every = std::max<std::int64_t>(
        1, data.levels[level].devices / static_cast<std::int64_t>(kSamplePerLevel));
    if (seen[level]++ % every == every / 2) {
      data.sample.emplace_back(static_cast<std::uint32_t>(d), level);
    }
  }
}

/// Quantiles from counts of conductances in narrow bins: one pass over the devices.
class Histogram {
 public:
  void add(float g_uS) {
    const auto bin = static_cast<std::ptrdiff_t>((g_uS - kLow_uS) / kBin_uS);
    ++counts_[static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(bin, 0, kBins - 1))];
    ++total_;
  }
  bool empty() const { return total_ == 0; }
  double quantile_uS(double percent) const {
    const double wanted = percent / 100 * static_cast<double>(total_);
    double below = 0;
    for (std::size_t bin = 0; bin < counts_.size(); ++bin) {
      const auto here = static_cast<double>(counts_[bin]);
      if (here > 0 && below + here >= wanted) {
        const double share = std::clamp((wanted - below) / here, 0.0, 1.0);
        return static_cast<double>(kLow_uS) +
               static_cast<double>(kBin_uS) * (static_cast<double>(bin) + share);
      }
      below += here;
    }
    return std::numeric_limits<double>::quiet_NaN();
  }
  std::int64_t total() const { return total_; }

 private:
  static constexpr float kLow_uS = -5.0F;
  static constexpr float kBin_uS = 0.01F;
  static constexpr std::ptrdiff_t kBins = 6000;
  std::vector<std::uint32_t> counts_ = std::vector<std::uint32_t>(kBins);
  std::int64_t total_ = 0;
};

Result<DriftSweep> read_sweep(db::RunStore& store, const NetworkReading& reading,
                              const Members& members, const RetentionData& data) {
  DriftSweep sweep;
  sweep.after_s = reading.after_s();
  sweep.scheduled_s = reading.sweeps.front().scheduled_s;
  sweep.repeat = reading.sweeps.front().repeat;
  sweep.sum_uS = reading.sum_uS();
  PCM_ASSIGN(const auto g_uS, conductances_uS(store, reading));
  std::array<Histogram, kLevels> histograms;
  for (std::size_t d = 0; d < std::min(g_uS.size(), members.level.size()); ++d) {
    if (members.level[d] != kNoLevel) histograms[members.level[d]].add(g_uS[d]);
  }
  for (const Histogram& histogram : histograms) {
    sweep.p10_uS.push_back(histogram.quantile_uS(10));
    sweep.median_uS.push_back(histogram.quantile_uS(50));
    sweep.p90_uS.push_back(histogram.quantile_uS(90));
    auto& distribution = sweep.distribution.emplace_back();
    if (histogram.empty()) continue;
    // As far into the tails as there are ten devices.
    constexpr int kSteps = 60;
    const double tail = std::max(0.05, 1000.0 / static_cast<double>(histogram.total()));
    const double reach = tail < 50 ? -probit(tail) : 0;
    for (int i = 0; i <= kSteps; ++i) {
      const double percent = percent_of_probit(reach * (2.0 * i / kSteps - 1));
      distribution.emplace_back(histogram.quantile_uS(percent), percent);
    }
  }
  for (const auto& [device, level] : data.sample) sweep.sample_uS.push_back(g_uS[device]);
  return sweep;
}

Result<void> read_fits(db::RunStore& store, db::RowId run, const ProgrammedNetwork& network,
                       const Members& members, RetentionData& data) {
  PCM_ASSIGN(data.fits, store.drift_fits(run));
  std::size_t first = 0;
  std::vector<std::pair<float, float>> all;
  for (const db::ProgrammingRow& filling : network.fillings) {
    for (const db::DriftFitRow& row : data.fits) {
      if (row.programming != filling.id) continue;
      PCM_ASSIGN(const auto fits, store.drift_of_devices(row.id));
      for (std::size_t d = 0; d < fits.exponents.size() && first + d < members.level.size(); ++d) {
        if (members.level[first + d] == kNoLevel || std::isnan(fits.exponents[d])) continue;
        all.emplace_back(members.target_uS[first + d], fits.exponents[d]);
      }
      first += static_cast<std::size_t>(row.devices);
    }
  }
  const std::size_t every = all.size() / kMostExponents + 1;
  for (std::size_t i = 0; i < all.size(); i += every) data.exponents.push_back(all[i]);
  data.exponents_left_out = all.size() - data.exponents.size();
  return {};
}

/// The time after programming, with what was missed and what is to come.
void put_times(const RetentionData& data, PlotContent& plot) {
  plot.x = {.title = "time after programming", .unit = "", .scale = Scale::Time};
  plot.stretches = data.gaps;
  constexpr std::size_t kMostMoments = 40;
  for (std::size_t i = 0; i < std::min(kMostMoments, data.next_s.size()); ++i) {
    plot.moments.push_back({data.next_s[i], "next reads"});
  }
  if (data.next_s.empty()) return;
  constexpr double kMargin = 1.25;
  const auto sweeps = data.by_time();
  const double first_s = sweeps.empty() ? data.next_s.front() : sweeps.front()->after_s;
  plot.x.range = std::pair(first_s / kMargin, data.next_s.back() * kMargin);
}

}  // namespace

std::optional<std::size_t> level_of(double target_uS) {
  const auto* above = std::upper_bound(kLevelEdges_uS.begin(), kLevelEdges_uS.end(), target_uS);
  if (above == kLevelEdges_uS.begin() || above == kLevelEdges_uS.end()) return std::nullopt;
  return static_cast<std::size_t>(above - kLevelEdges_uS.begin() - 1);
}

std::string level_name(std::size_t level) {
  return DriftLevel{kLevelEdges_uS.at(level), kLevelEdges_uS.at(level + 1), 0}.name();
}

double level_shade(std::size_t level) {
  return static_cast<double>(level) / static_cast<double>(kLevels - 1);
}

std::string DriftLevel::name() const {
  return fmt::format("{:g}–{:g}", low_uS, std::round(10 * high_uS) / 10);
}

std::vector<const DriftSweep*> RetentionData::by_time() const {
  std::vector<const DriftSweep*> out;
  for (const auto& [id, sweep] : sweeps) out.push_back(&sweep);
  std::stable_sort(out.begin(), out.end(), [](const DriftSweep* a, const DriftSweep* b) {
    return a->after_s < b->after_s;
  });
  return out;
}

std::string source_of(const db::RunRow& run) {
  return fmt::format("run {} ({}), {}", run.id, run.uuid, run.name);
}

Result<RetentionData> read_retention(db::RunStore& store, db::RowId run, const RetentionData* known,
                                     const std::stop_token& stop) {
  RetentionData data;
  PCM_ASSIGN(data.run, store.run(run));
  PCM_ASSIGN(const ProgrammedNetwork network, programmed_devices(store, run));
  if (network.fillings.empty()) return data;
  PCM_ASSIGN(const Members members, members_of(store, network, data));
  choose_sample(members, data);
  const bool same = known != nullptr && known->run.id == run && known->sample == data.sample;
  for (const NetworkReading& reading : network.readings) {
    if (stop.stop_requested()) return fail(ErrorCode::Stopped, "reading the sweeps of a run");
    const db::RowId id = reading.sweeps.front().id;
    if (same && known->sweeps.contains(id)) {
      data.sweeps[id] = known->sweeps.at(id);
      continue;
    }
    PCM_ASSIGN(data.sweeps[id], read_sweep(store, reading, members, data));
  }
  PCM_TRY(read_fits(store, run, network, members, data));
  PCM_ASSIGN(data.gaps, gaps_after_programming(store, run, network.fillings));
  if (data.run.state == db::RunState::Running) {
    PCM_ASSIGN(data.next_s, next_reads_s(store, run));
  }
  return data;
}

PlotContent drift_plot(const RetentionData& data, bool devices) {
  PlotContent plot{.title = "Conductance",
                   .x = {},
                   .y = {.title = "conductance", .unit = "µS", .scale = Scale::Log},
                   .series = {},
                   .note = "median, 10–90 %, by target in µS",
                   .source = source_of(data.run)};
  put_times(data, plot);
  const auto sweeps = data.by_time();
  for (std::size_t level = kLevels; level-- > 0;) {
    if (data.levels[level].devices == 0) continue;
    Series band{.name = data.levels[level].name(), .mark = Mark::Band, .x = {}, .y = {}};
    band.shade = level_shade(level);
    Series median = band;
    median.mark = Mark::LinePoints;
    for (const DriftSweep* sweep : sweeps) {
      const double low = sweep->p10_uS[level];
      if (!(sweep->median_uS[level] > 0)) continue;
      median.x.push_back(sweep->after_s);
      median.y.push_back(sweep->median_uS[level]);
      // A logarithmic axis has no zero.
      band.x.push_back(sweep->after_s);
      band.y.push_back(sweep->median_uS[level]);
      band.low.push_back(std::max(low, 0.05));
      band.high.push_back(std::max(sweep->p90_uS[level], 0.05));
    }
    plot.series.push_back(std::move(band));
    plot.series.push_back(std::move(median));
  }
  if (!devices) return plot;
  for (std::size_t i = 0; i < data.sample.size(); ++i) {
    const auto [device, level] = data.sample[i];
    Series curve{.name = fmt::format("device {}", device), .faint = true, .x = {}, .y = {}};
    curve.shade = level_shade(static_cast<std::size_t>(level));
    for (const DriftSweep* sweep : sweeps) {
      const auto g_uS = static_cast<double>(sweep->sample_uS[i]);
      if (g_uS <= 0.05) continue;
      curve.x.push_back(sweep->after_s);
      curve.y.push_back(g_uS);
    }
    plot.series.push_back(std::move(curve));
  }
  return plot;
}

PlotContent distribution_plot(const RetentionData& data, db::RowId sweep) {
  PlotContent plot{.title = "Distribution",
                   .x = {.title = "conductance", .unit = "µS"},
                   .y = {.title = "devices below", .unit = "%", .scale = Scale::Probit},
                   .series = {},
                   .note = "a straight line is a normal distribution",
                   .source = source_of(data.run) + fmt::format(", sweep {}", sweep)};
  const auto found = data.sweeps.find(sweep);
  if (found == data.sweeps.end()) return plot;
  for (std::size_t level = kLevels; level-- > 0;) {
    if (data.levels[level].devices < 20) continue;
    Series curve{.name = data.levels[level].name(), .x = {}, .y = {}};
    curve.shade = level_shade(level);
    for (const auto& [g_uS, percent] : found->second.distribution[level]) {
      curve.x.push_back(g_uS);
      curve.y.push_back(percent);
    }
    plot.series.push_back(std::move(curve));
  }
  return plot;
}

PlotContent exponent_plot(const RetentionData& data) {
  PlotContent plot{.title = "Drift exponent",
                   .x = {.title = "target", .unit = "µS"},
                   .y = {.title = "exponent ν", .unit = ""},
                   .series = {},
                   .source = source_of(data.run)};
  Series devices{.name = "devices", .mark = Mark::Points, .colour = 0, .x = {}, .y = {}};
  for (const auto& [target_uS, exponent] : data.exponents) {
    devices.x.push_back(static_cast<double>(target_uS));
    devices.y.push_back(static_cast<double>(exponent));
  }
  if (data.exponents_left_out > 0) {
    plot.note =
        fmt::format("one device in {} drawn",
                    data.exponents_left_out / std::max<std::size_t>(1, data.exponents.size()) + 1);
  }
  // Far outliers are there, but do not set the axis.
  std::vector<double> sorted = devices.y;
  std::sort(sorted.begin(), sorted.end());
  if (sorted.size() > 20) {
    const double low = sorted[sorted.size() / 200];
    const double high = sorted[sorted.size() - 1 - sorted.size() / 200];
    const double margin = 0.15 * (high - low) + 1e-3;
    plot.y.range = std::pair(low - margin, high + margin);
  }
  plot.series.push_back(std::move(devices));
  Series median{.name = "median, 10–90 %", .mark = Mark::LinePoints, .colour = 1, .x = {}, .y = {}};
  if (!data.fits.empty()) {
    for (const db::DriftByTarget& level : data.fits.front().by_target) {
      if (!level.exponent_median || level.devices < 20 || level.low_uS <= 0) continue;
      median.x.push_back((level.low_uS + level.high_uS) / 2);
      median.y.push_back(*level.exponent_median);
      median.low.push_back(level.exponent_p10.value_or(*level.exponent_median));
      median.high.push_back(level.exponent_p90.value_or(*level.exponent_median));
    }
  }
  plot.series.push_back(std::move(median));
  return plot;
}

PlotContent sum_plot(const RetentionData& data) {
  PlotContent plot{.title = "Conductance left",
                   .x = {},
                   .y = {.title = "sum of all devices", .unit = "%"},
                   .series = {},
                   .note = "of the first sweep",
                   .source = source_of(data.run)};
  put_times(data, plot);
  Series left{.name = "all devices", .mark = Mark::LinePoints, .colour = 2, .x = {}, .y = {}};
  const auto sweeps = data.by_time();
  for (const DriftSweep* sweep : sweeps) {
    if (sweeps.front()->sum_uS <= 0) break;
    left.x.push_back(sweep->after_s);
    left.y.push_back(100 * sweep->sum_uS / sweeps.front()->sum_uS);
  }
  plot.series.push_back(std::move(left));
  return plot;
}

}  // namespace pcmlab::gui

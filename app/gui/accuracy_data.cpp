// SPDX-License-Identifier: Apache-2.0
#include "app/gui/accuracy_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "app/gui/format.h"
#include "app/gui/retention_data.h"
#include "experiments/characterisation/statistics.h"
#include "experiments/retention/run_summary.h"

namespace pcmlab::gui {
namespace {

AccuracyPoint point_of(const std::vector<const db::AccuracyRow*>& rows) {
  AccuracyPoint point;
  std::vector<double> percents;
  for (const db::AccuracyRow* row : rows) {
    percents.push_back(percent_of(*row));
    point.after_s += row->after_s / static_cast<double>(rows.size());
  }
  const Moments figures = moments(percents);
  point.mean_percent = figures.mean;
  point.reads = static_cast<int>(rows.size());
  point.accuracy = rows.back()->id;
  point.images = rows.back()->images;
  const double share = figures.mean / 100;
  point.error_percent =
      rows.size() > 1
          ? figures.deviation
          : 100 * std::sqrt(std::max(0.0, share * (1 - share)) / static_cast<double>(point.images));
  return point;
}

}  // namespace

Result<AccuracyData> read_accuracy(db::RunStore& store, db::RowId run) {
  AccuracyData data;
  PCM_ASSIGN(data.run, store.run(run));
  PCM_ASSIGN(const auto sweeps, store.sweeps(run));
  PCM_ASSIGN(const auto rows, store.accuracies(run));
  std::map<db::RowId, const db::SweepRow*> by_id;
  for (const db::SweepRow& sweep : sweeps) by_id[sweep.id] = &sweep;
  std::map<std::string, std::map<double, std::vector<const db::AccuracyRow*>>> grouped;
  const db::SweepRow* newest = nullptr;
  for (const db::AccuracyRow& row : rows) {
    if (row.images == 0) continue;
    if (!row.sweep) {
      data.software_percent = percent_of(row);
      data.precision = row.precision;
      continue;
    }
    const auto sweep = by_id.find(*row.sweep);
    if (sweep == by_id.end()) continue;
    if (newest == nullptr || sweep->second->after_s >= newest->after_s) newest = sweep->second;
    grouped[condition_of(row)][sweep->second->scheduled_s].push_back(&row);
  }
  for (const auto& [condition, times] : grouped) {
    data.order.push_back(condition);
    for (const auto& [scheduled_s, at] : times) {
      const AccuracyPoint point = point_of(at);
      PCM_ASSIGN(auto confusion, store.confusion(point.accuracy));
      if (confusion) data.confusions[point.accuracy] = std::move(*confusion);
      data.conditions[condition].push_back(point);
    }
  }
  sort_conditions(data.order);
  if (newest == nullptr) return data;
  data.newest =
      fmt::format("sweep {} of {}, {} after programming", newest->ordinal + 1,
                  sweeps.back().ordinal + 1, duration_text(newest->after_s).toStdString());
  PCM_ASSIGN(const auto steps, store.steps(run));
  for (const db::StepRow& step : steps) {
    PCM_ASSIGN(auto layers, store.layers(step.id));
    if (!layers.empty()) data.layers = std::move(layers);
    PCM_ASSIGN(auto states, store.layer_states(step.id));
    std::erase_if(states,
                  [&](const db::LayerStateRow& state) { return state.sweep != newest->id; });
    if (!states.empty()) data.states = std::move(states);
  }
  return data;
}

PlotContent accuracy_plot(const AccuracyData& data, bool close_up) {
  PlotContent plot{.title = "Accuracy",
                   .x = {.title = "time after programming", .unit = "", .scale = Scale::Time},
                   .y = {.title = "accuracy", .unit = "%"},
                   .series = {},
                   .note = data.newest,
                   .source = source_of(data.run)};
  double low = data.software_percent.value_or(100);
  double high = data.software_percent.value_or(0);
  bool repeated = false;
  constexpr std::array<int, 5> kColours{1, 0, 4, 2, 3};
  for (const std::string& condition : data.order) {
    const std::size_t place = place_of_condition(condition);
    Series curve{.name = condition_name(condition), .mark = Mark::LinePoints, .x = {}, .y = {}};
    curve.colour = place < kColours.size() ? kColours.at(place) : 5;
    for (const AccuracyPoint& point : data.conditions.at(condition)) {
      curve.x.push_back(point.after_s);
      curve.y.push_back(point.mean_percent);
      curve.low.push_back(point.mean_percent - point.error_percent);
      curve.high.push_back(point.mean_percent + point.error_percent);
      if (!close_up || place != 0) low = std::min(low, point.mean_percent);
      high = std::max(high, point.mean_percent);
      repeated = repeated || point.reads > 1;
    }
    plot.series.push_back(std::move(curve));
  }
  if (data.software_percent) {
    plot.levels.push_back(
        {*data.software_percent, fmt::format("software {:.2f} %", *data.software_percent)});
  }
  plot.note +=
      repeated ? "  ·  bars: spread of repeated reads" : "  ·  bars: sampling of the images";
  const double margin = std::max(0.08 * (high - low), 0.5);
  plot.y.range = std::pair(std::max(0.0, low - margin), std::min(100.5, high + margin));
  return plot;
}

PlotContent layer_plot(const AccuracyData& data) {
  PlotContent plot{.title = "Weight error by layer",
                   .x = {.title = "layer", .unit = ""},
                   .y = {.title = "rms error", .unit = "%"},
                   .series = {},
                   .note = "of the largest weight, " + data.newest,
                   .source = source_of(data.run)};
  Series none{.name = "as read", .mark = Mark::LinePoints, .colour = 1, .x = {}, .y = {}};
  Series gdc{.name = "GDC", .mark = Mark::LinePoints, .colour = 0, .x = {}, .y = {}};
  for (const db::LayerStateRow& state : data.states) {
    none.x.push_back(state.layer + 1);
    none.y.push_back(100 * state.weight_error_of_max);
    gdc.x.push_back(state.layer + 1);
    gdc.y.push_back(100 * state.gdc_weight_error_of_max);
  }
  plot.series = {std::move(none), std::move(gdc)};
  return plot;
}

}  // namespace pcmlab::gui

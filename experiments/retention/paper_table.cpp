// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/paper_table.h"

#include <algorithm>
#include <cmath>

#include "experiments/characterisation/statistics.h"

namespace pcmlab {
namespace {

constexpr double kDay_s = 86400, kYear_s = 365.25 * kDay_s;

const TimePoint* point_at(const RunSummary& run, double at_s) {
  if (run.points.empty()) return nullptr;
  if (at_s == 0) return &run.points.front();
  const auto found = std::find_if(
      run.points.begin(), run.points.end(),
      [&](const TimePoint& point) { return std::abs(point.scheduled_s / at_s - 1) < 0.05; });
  return found == run.points.end() ? nullptr : &*found;
}

}  // namespace

std::vector<PaperRow> paper_rows() {
  // Software 93.87 %; on the chip at least 93.69, above 92.6 and above 93.5 %; about 10 %.
  return {{"after programming, as read", 0, "none", "", 0.2, "at most"},
          {"after programming, AdaBS", 0, "adabs", "", 0.2, "at most"},
          {"after programming, GDC + offset", 0, "gdc+offset", "", 0, ""},
          {"1000 s, as read", 1000, "none", "", 83.9, "about"},
          {"1 day, GDC", kDay_s, "gdc", "", 1.3, "at most"},
          {"1 day, GDC + offset", kDay_s, "gdc+offset", "", 0, ""},
          {"1 day, AdaBS", kDay_s, "adabs", "", 0.4, "at most"},
          {"1 year, GDC", kYear_s, "gdc", "", 0, ""},
          {"1 year, GDC + offset", kYear_s, "gdc+offset", "", 0, ""},
          {"1 year, AdaBS + GDC of the last layer", kYear_s, "adabs+gdc", "", 0, ""},
          {"1 year, AdaBS above GDC", kYear_s, "adabs+gdc", "gdc", 1.8, "about"}};
}

std::optional<double> figure_of(const PaperRow& row, const RunSummary& run) {
  const TimePoint* const point = point_at(run, row.at_s);
  if (point == nullptr) return std::nullopt;
  const auto percent = [&](const std::string& condition) -> std::optional<double> {
    const auto found = point->accuracies.find(condition);
    if (found == point->accuracies.end()) return std::nullopt;
    return found->second.mean_percent;
  };
  const std::optional<double> ours = percent(row.condition);
  const std::optional<double> other = row.above.empty() ? run.software_percent : percent(row.above);
  if (!ours || !other) return std::nullopt;
  return row.above.empty() ? *other - *ours : *ours - *other;
}

std::vector<PaperFigures> paper_table(std::span<const RunSummary> runs) {
  std::vector<PaperFigures> table;
  for (PaperRow& row : paper_rows()) {
    PaperFigures figures;
    for (const RunSummary& run : runs) {
      if (const auto points = figure_of(row, run)) figures.points.push_back(*points);
    }
    const Moments over_runs = moments(figures.points);
    figures.mean = over_runs.mean;
    if (figures.points.size() > 1) figures.deviation = over_runs.deviation;
    figures.row = std::move(row);
    table.push_back(std::move(figures));
  }
  return table;
}

}  // namespace pcmlab

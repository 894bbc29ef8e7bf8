// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/console.h"
#include "app/faults.h"
#include "app/mock.h"
#include "app/plot.h"
#include "db/clocks.h"
#include "experiments/engine/engine.h"

namespace pcmlab::app {
namespace {

std::string percent_text(const TimePoint& point, const std::string& condition) {
  const auto found = point.accuracies.find(condition);
  if (found == point.accuracies.end()) return "-";
  const PointAccuracy& accuracy = found->second;
  if (!accuracy.deviation_percent) return fmt::format("{:.2f} %", accuracy.mean_percent);
  return fmt::format("{:.2f} ± {:.2f} %", accuracy.mean_percent, *accuracy.deviation_percent);
}

std::string class_label(const ConductanceClass& c) {
  return fmt::format("{:g}–{:g} µS", c.low_uS, std::min(c.high_uS, 25.0));
}

double seconds_of(const db::GapRow& gap) {
  return 1e-9 * static_cast<double>(db::utc_ns_of(gap.end_utc) - db::utc_ns_of(gap.begin_utc));
}

/// Who worked at the run, and when nobody did; nothing if it was one process all the time.
void append_interruptions(const RunSummary& summary, std::string& out) {
  if (summary.sessions.size() > 1) {
    const db::SessionRow& last = summary.sessions.back();
    out += fmt::format("processes    {} one after another; the last since {}, {} on {}\n",
                       summary.sessions.size(), date_text(last.began_utc), last.pid, last.host);
  }
  constexpr std::size_t kMostGaps = 8;
  const std::size_t shown = std::min(kMostGaps, summary.gaps.size());
  for (std::size_t i = 0; i < shown; ++i) {
    const db::GapRow& gap = summary.gaps[i];
    out += fmt::format("gap          {}, {}: {}\n", date_text(gap.begin_utc),
                       duration_text(std::max(0.0, seconds_of(gap))), gap.text);
  }
  if (shown < summary.gaps.size()) {
    out += fmt::format("gap          {} more; `pcmlab report {}` has all\n",
                       summary.gaps.size() - shown, summary.run.id);
  }
}

void append_programming(const RunSummary& summary, std::string& out) {
  const db::ProgrammingRow& p = *summary.programming;
  if (!p.complete) {
    out += "programming  not complete; its batches so far are in the database\n";
    return;
  }
  out += fmt::format(
      "programming  {:.2f} % of {} devices with a target converged, {} pulses, {} iterations{}\n",
      100.0 * static_cast<double>(p.converged) /
          static_cast<double>(std::max<std::int64_t>(1, p.nonzero_targets)),
      grouped(p.nonzero_targets), grouped(p.pulses), p.iterations,
      summary.fillings > 1 ? fmt::format(", in {} fillings of the array", summary.fillings) : "");
  out += fmt::format(
      "             not converged: {} stuck low, {} stuck high, {} at the last "
      "iteration\n",
      grouped(summary.stuck_low), grouped(summary.stuck_high), grouped(summary.max_iterations));
}

void append_classes(const RunSummary& summary, std::string& out) {
  Table table({"target", "devices", "mean error", "sigma", "drift exponent"});
  for (const ConductanceClass& c : summary.classes) {
    if (c.devices == 0) continue;
    table.add({class_label(c), grouped(c.devices), fmt::format("{:+.2f} µS", c.error_mean_uS),
               fmt::format("{:.2f} µS", c.error_sigma_uS),
               c.drift_exponent ? fmt::format("{:.4f}", *c.drift_exponent) : "-"});
  }
  out += fmt::format("\nConverged devices at the first sweep, {} after programming\n{}",
                     duration_text(summary.sweeps.front().sweep.after_s), table.text());
}

std::string exponent_text(const std::optional<double>& exponent) {
  return exponent ? fmt::format("{:.3f}", *exponent) : "-";
}

/// How devices drift, by what they were programmed to.
void append_drift(const db::DriftFitRow& fit, std::string& out) {
  Table table({"target", "devices", "median exponent", "10 %", "90 %", "drifting", "noisy", "stuck",
               "backwards", "too few points"});
  for (const db::DriftByTarget& group : fit.by_target) {
    table.add({group.high_uS > 1000
                   ? fmt::format("from {:.3g} µS", group.low_uS)
                   : fmt::format("{:.3g} to {:.3g} µS", group.low_uS, group.high_uS),
               grouped(group.devices), exponent_text(group.exponent_median),
               exponent_text(group.exponent_p10), exponent_text(group.exponent_p90),
               grouped(group.drifting), grouped(group.noisy), grouped(group.stuck),
               grouped(group.backwards), grouped(group.too_few_points)});
  }
  out +=
      fmt::format("\nDrift of all devices, {} sweeps, {} to {} after their last pulses\n{}",
                  fit.sweeps, duration_text(fit.first_s), duration_text(fit.last_s), table.text());
}

void append_points(const RunSummary& summary, std::string& out) {
  std::vector<std::string> header{"after programming", "sum of conductance"};
  for (const std::string& condition : summary.conditions) {
    header.push_back(condition_name(condition));
  }
  Table table(std::move(header));
  std::size_t reads = 1;
  for (const TimePoint& point : summary.points) {
    std::vector<std::string> row{duration_text(point.after_s),
                                 fmt::format("{:.4f}", point.sum_ratio)};
    for (const std::string& condition : summary.conditions) {
      row.push_back(percent_text(point, condition));
      const auto found = point.accuracies.find(condition);
      if (found != point.accuracies.end()) {
        reads = std::max(reads, static_cast<std::size_t>(found->second.reads));
      }
    }
    table.add(std::move(row));
  }
  out += summary.conditions.empty() ? "\nSweeps" : "\nAccuracy with the measured conductances";
  if (reads > 1) out += fmt::format(", mean and standard deviation of {} reads", reads);
  out += "\n" + table.text();
  if (summary.software_percent) {
    out +=
        fmt::format("software     {:.2f} % ({})\n", *summary.software_percent, summary.precision);
  }
  if (!summary.gdc_reference.empty()) {
    out += fmt::format("GDC reference: {}\n", summary.gdc_reference);
  }
}

}  // namespace

std::string summary_text(const RunSummary& summary) {
  const db::RunRow& run = summary.run;
  std::string out = fmt::format("Run {}{}{}: {}\n", run.id, run.name.empty() ? "" : ", ", run.name,
                                db::to_string(run.state));
  if (!run.error.empty()) out += fmt::format("why          {}\n", run.error);
  out += fmt::format("started      {}{}{}\n", date_text(run.started_utc),
                     run.ended_utc.empty() ? "" : ", ended ", date_text(run.ended_utc));
  if (!run.deleted_utc.empty()) {
    out += fmt::format("deleted      {} by {}; `pcmlab delete {} --undo` brings it back\n",
                       date_text(run.deleted_utc), run.deleted_by, run.id);
  }
  if (run.parent) out += fmt::format("goes on from run {}\n", *run.parent);
  if (!run.tags.empty()) out += fmt::format("tags         {}\n", fmt::join(run.tags, " "));
  for (const db::NoteRow& note : summary.notes) {
    out += fmt::format("note         {} ({}, {})\n", note.text, note.noted_by,
                       date_text(note.noted_utc));
  }
  append_interruptions(summary, out);
  out += fmt::format("network      {}: {} weights on {} devices\n", run.network_name,
                     grouped(run.weights), grouped(run.devices));
  out += fmt::format("board        {}, firmware {}\n", run.board_description, run.board_firmware);
  if (summary.programming) append_programming(summary, out);
  if (summary.sigma_uS) {
    out += fmt::format("spread       sigma {:.2f} µS at the first sweep, median of the classes\n",
                       *summary.sigma_uS);
  }
  if (summary.drift_exponent) {
    out += fmt::format("drift        median exponent {:.4f} above 5 µS\n", *summary.drift_exponent);
  }
  if (!summary.sweeps.empty()) {
    if (!summary.classes.empty()) append_classes(summary, out);
    for (const db::DriftFitRow& fit : summary.drift_fits) append_drift(fit, out);
    append_points(summary, out);
  }
  return out;
}

std::string summary_json(const RunSummary& summary) {
  using Json = nlohmann::ordered_json;
  const auto optional = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
  };
  const db::RunRow& run = summary.run;
  Json json{{"run", run.id},
            {"uuid", run.uuid},
            {"name", run.name},
            {"state", db::to_string(run.state)},
            {"error", run.error},
            {"started_utc", run.started_utc},
            {"ended_utc", run.ended_utc},
            {"operator", run.operator_name},
            {"sample", run.sample},
            {"seed", run.seed},
            {"program_version", run.program_version},
            {"git_revision", run.git_revision},
            {"board_serial", run.board_serial},
            {"board_firmware", run.board_firmware},
            {"network", run.network_name},
            {"network_sha256", run.network_sha256},
            {"weights", run.weights},
            {"devices", run.devices},
            {"parent", run.parent ? Json(*run.parent) : Json(nullptr)},
            {"deleted_utc", run.deleted_utc},
            {"tags", run.tags},
            {"notes", Json::array()},
            {"processes", Json::array()},
            {"gaps", Json::array()}};
  for (const db::NoteRow& note : summary.notes) {
    json["notes"].push_back({{"text", note.text}, {"by", note.noted_by}, {"utc", note.noted_utc}});
  }
  for (const db::SessionRow& session : summary.sessions) {
    json["processes"].push_back({{"host", session.host},
                                 {"pid", session.pid},
                                 {"program_version", session.program_version},
                                 {"git_revision", session.git_revision},
                                 {"began_utc", session.began_utc},
                                 {"ended_utc", session.ended_utc},
                                 {"state", db::to_string(session.state)}});
  }
  for (const db::GapRow& gap : summary.gaps) {
    json["gaps"].push_back({{"cause", db::to_string(gap.cause)},
                            {"begin_utc", gap.begin_utc},
                            {"end_utc", gap.end_utc},
                            {"text", gap.text}});
  }
  if (summary.programming) {
    const db::ProgrammingRow& p = *summary.programming;
    json["programming"] = {{"complete", p.complete},
                           {"iterations", p.iterations},
                           {"nonzero_targets", p.nonzero_targets},
                           {"converged", p.converged},
                           {"pulses", p.pulses},
                           {"stuck_low", summary.stuck_low},
                           {"stuck_high", summary.stuck_high},
                           {"max_iterations", summary.max_iterations}};
  }
  json["sigma_uS"] = optional(summary.sigma_uS);
  json["drift_exponent"] = optional(summary.drift_exponent);
  json["software_percent"] = optional(summary.software_percent);
  json["precision"] = summary.precision;
  json["gdc_reference"] = summary.gdc_reference;
  json["classes"] = Json::array();
  for (const ConductanceClass& c : summary.classes) {
    json["classes"].push_back({{"low_uS", c.low_uS},
                               {"high_uS", c.high_uS},
                               {"devices", c.devices},
                               {"error_mean_uS", c.error_mean_uS},
                               {"error_sigma_uS", c.error_sigma_uS},
                               {"drift_exponent", optional(c.drift_exponent)},
                               {"median_uS", c.median_uS},
                               {"p10_uS", c.p10_uS},
                               {"p90_uS", c.p90_uS}});
  }
  json["drift"] = Json::array();
  for (const db::DriftFitRow& fit : summary.drift_fits) {
    Json targets = Json::array();
    for (const db::DriftByTarget& group : fit.by_target) {
      targets.push_back({{"low_uS", group.low_uS},
                         {"high_uS", group.high_uS},
                         {"devices", group.devices},
                         {"exponent_p10", optional(group.exponent_p10)},
                         {"exponent_median", optional(group.exponent_median)},
                         {"exponent_p90", optional(group.exponent_p90)},
                         {"drifting", group.drifting},
                         {"noisy", group.noisy},
                         {"stuck", group.stuck},
                         {"backwards", group.backwards},
                         {"too_few_points", group.too_few_points}});
    }
    json["drift"].push_back({{"programming", fit.programming},
                             {"method", fit.method},
                             {"sweeps", fit.sweeps},
                             {"first_s", fit.first_s},
                             {"last_s", fit.last_s},
                             {"targets", std::move(targets)}});
  }
  json["sweeps"] = Json::array();
  for (const SweepFigures& f : summary.sweeps) {
    Json accuracies = Json::object();
    for (const auto& [condition, row] : f.accuracies) accuracies[condition] = percent_of(row);
    json["sweeps"].push_back({{"scheduled_s", f.sweep.scheduled_s},
                              {"repeat", f.sweep.repeat},
                              {"after_s", f.sweep.after_s},
                              {"slip_s", f.sweep.slip_s},
                              {"sum_uS", f.sweep.sum_uS},
                              {"sum_ratio", f.sum_ratio},
                              {"accuracy_percent", std::move(accuracies)}});
  }
  json["time_points"] = Json::array();
  for (const TimePoint& point : summary.points) {
    Json accuracies = Json::object();
    for (const auto& [condition, accuracy] : point.accuracies) {
      accuracies[condition] = {{"mean_percent", accuracy.mean_percent},
                               {"deviation_percent", optional(accuracy.deviation_percent)},
                               {"reads", accuracy.reads}};
    }
    json["time_points"].push_back({{"scheduled_s", point.scheduled_s},
                                   {"after_s", point.after_s},
                                   {"sum_ratio", point.sum_ratio},
                                   {"accuracy", std::move(accuracies)}});
  }
  return json.dump(2) + "\n";
}

Result<void> plot_run(const RunSummary& summary, const std::filesystem::path& file) {
  RetentionPlot plot;
  const db::RunRow& run = summary.run;
  plot.title = run.name.empty() ? fmt::format("Run {}", run.id) : run.name;
  plot.subtitle = fmt::format("run {} · {} · {} · {}", run.id, run.network_name, run.board_serial,
                              date_text(run.started_utc));
  plot.software_percent = summary.software_percent;
  std::vector<double> after_s;
  for (const SweepFigures& f : summary.sweeps) after_s.push_back(f.sweep.after_s);
  for (const std::string& condition : summary.conditions) {
    AccuracySeries series{condition_name(condition), {}, {}, {}};
    for (const TimePoint& point : summary.points) {
      const auto found = point.accuracies.find(condition);
      if (found == point.accuracies.end()) continue;
      series.after_s.push_back(point.after_s);
      series.percent.push_back(found->second.mean_percent);
      series.deviation_percent.push_back(found->second.deviation_percent.value_or(0));
    }
    plot.accuracy.push_back(std::move(series));
  }
  for (const ConductanceClass& c : summary.classes) {
    if (c.devices == 0) continue;
    plot.drift.push_back(
        {class_label(c), after_s, c.median_uS, c.p10_uS, c.p90_uS, c.drift_exponent});
  }
  return write_plot(plot, file);
}

}  // namespace pcmlab::app

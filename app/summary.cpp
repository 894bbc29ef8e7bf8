// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/console.h"
#include "app/faults.h"
#include "app/mock.h"
#include "app/plot.h"
#include "experiments/engine/engine.h"

namespace pcmlab::app {
namespace {

std::string percent_text(const std::optional<double>& percent) {
  return percent ? fmt::format("{:.2f} %", *percent) : "-";
}

std::string class_label(const ConductanceClass& c) {
  return fmt::format("{:g}–{:g} µS", c.low_uS, std::min(c.high_uS, 25.0));
}

void append_programming(const RunSummary& summary, std::string& out) {
  const db::ProgrammingRow& p = *summary.programming;
  if (!p.complete) {
    out += "programming  not complete; its batches so far are in the database\n";
    return;
  }
  out += fmt::format(
      "programming  {:.2f} % of {} devices with a target converged, {} pulses, {} iterations\n",
      100.0 * static_cast<double>(p.converged) /
          static_cast<double>(std::max<std::int64_t>(1, p.nonzero_targets)),
      grouped(p.nonzero_targets), grouped(p.pulses), p.iterations);
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

void append_sweeps(const RunSummary& summary, std::string& out) {
  Table table({"after programming", "sum of conductance", "no compensation", "GDC"});
  for (const SweepFigures& f : summary.sweeps) {
    table.add({duration_text(f.sweep.after_s), fmt::format("{:.4f}", f.sum_ratio),
               percent_text(f.none_percent), percent_text(f.gdc_percent)});
  }
  out += "\nAccuracy with the measured conductances\n" + table.text();
  if (summary.software_percent) {
    out +=
        fmt::format("software     {:.2f} % ({})\n", *summary.software_percent, summary.precision);
  }
  if (!summary.gdc_reference.empty()) {
    out += fmt::format("GDC reference: {}\n", summary.gdc_reference);
  }
}

}  // namespace

PlanSchema app_plan_schema() { return plan_schema({mock_section(), faults_section()}); }

std::string summary_text(const RunSummary& summary) {
  const db::RunRow& run = summary.run;
  std::string out = fmt::format("Run {}{}{}: {}\n", run.id, run.name.empty() ? "" : ", ", run.name,
                                db::to_string(run.state));
  if (!run.error.empty()) out += fmt::format("why          {}\n", run.error);
  out += fmt::format("started      {}{}{}\n", date_text(run.started_utc),
                     run.ended_utc.empty() ? "" : ", ended ", date_text(run.ended_utc));
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
    append_sweeps(summary, out);
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
            {"devices", run.devices}};
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
  json["sweeps"] = Json::array();
  for (const SweepFigures& f : summary.sweeps) {
    json["sweeps"].push_back({{"scheduled_s", f.sweep.scheduled_s},
                              {"after_s", f.sweep.after_s},
                              {"slip_s", f.sweep.slip_s},
                              {"sum_uS", f.sweep.sum_uS},
                              {"sum_ratio", f.sum_ratio},
                              {"none_percent", optional(f.none_percent)},
                              {"gdc_percent", optional(f.gdc_percent)}});
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
  AccuracySeries none{"no compensation", {}, {}};
  AccuracySeries gdc{"global drift compensation", {}, {}};
  std::vector<double> after_s;
  for (const SweepFigures& f : summary.sweeps) {
    after_s.push_back(f.sweep.after_s);
    for (auto& [series, percent] :
         {std::pair{&none, f.none_percent}, std::pair{&gdc, f.gdc_percent}}) {
      if (!percent) continue;
      series->after_s.push_back(f.sweep.after_s);
      series->percent.push_back(*percent);
    }
  }
  for (AccuracySeries* series : {&gdc, &none}) {
    if (!series->after_s.empty()) plot.accuracy.push_back(std::move(*series));
  }
  for (const ConductanceClass& c : summary.classes) {
    if (c.devices == 0) continue;
    plot.drift.push_back(
        {class_label(c), after_s, c.median_uS, c.p10_uS, c.p90_uS, c.drift_exponent});
  }
  return write_plot(plot, file);
}

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
// Runs side by side: the settings in which they differ, and their figures.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/console.h"
#include "db/run_store.h"

namespace pcmlab::app {
namespace {

/// One line of the comparison; "-" where a run has no such thing.
struct Line {
  std::string what;
  std::vector<std::string> values;
};

using Settings = std::map<std::string, std::string>;

std::string text_of(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// Every key of the plan that the run was made with, sections and steps.
Result<Settings> settings_of(db::RunStore& store, const db::RunRow& run) {
  Settings settings;
  settings["run.sample"] = run.sample;
  settings["run.operator"] = run.operator_name;
  settings["board"] = run.board_description;
  settings["board.serial"] = run.board_serial;
  settings["board.firmware"] = run.board_firmware;
  settings["network"] = run.network_name;
  settings["network.sha256"] = run.network_sha256.substr(0, 12);
  settings["images"] = run.images.substr(0, run.images.find('\n'));
  settings["program"] = run.program_version + " (" + run.git_revision + ")";
  settings["seed"] = std::to_string(run.seed);
  // Keys of sections that are not in one of the rows above; plans of other versions compare too.
  if (const Result<Plan> plan =
          parse_plan(run.plan_text, "the plan of the run", app_plan_schema())) {
    for (const char* const section : {"mock", "faults"}) {
      const auto found = plan->sections.find(section);
      if (found == plan->sections.end()) continue;
      const auto json = nlohmann::json::parse(found->second.to_json());
      for (const auto& [key, value] : json.items()) {
        settings[fmt::format("{}.{}", section, key)] = text_of(value);
      }
    }
  }
  PCM_ASSIGN(const auto steps, store.steps(run.id));
  for (const db::StepRow& step : steps) {
    const auto json = nlohmann::json::parse(step.parameters_json, nullptr, false);
    if (!json.is_object()) continue;
    for (const auto& [key, value] : json.items()) {
      settings[fmt::format("step {} {}.{}", step.ordinal + 1, step.experiment, key)] =
          text_of(value);
    }
  }
  return settings;
}

std::vector<Line> differing(const std::vector<Settings>& all) {
  std::map<std::string, std::vector<std::string>> by_key;
  for (std::size_t r = 0; r < all.size(); ++r) {
    for (const auto& [key, value] : all[r]) {
      auto& values = by_key[key];
      values.resize(all.size(), "-");
      values[r] = value;
    }
  }
  std::vector<Line> lines;
  for (auto& [key, values] : by_key) {
    if (std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) != values.end()) {
      lines.push_back({key, std::move(values)});
    }
  }
  return lines;
}

using Figure = std::function<std::optional<std::string>(const RunSummary&)>;

void add_figure(const std::vector<RunSummary>& runs, const std::string& what, const Figure& figure,
                std::vector<Line>& lines) {
  Line line{what, {}};
  bool any = false;
  for (const RunSummary& run : runs) {
    const auto value = figure(run);
    any = any || value.has_value();
    line.values.push_back(value.value_or("-"));
  }
  if (any) lines.push_back(std::move(line));
}

std::optional<std::string> percent(std::int64_t part, std::int64_t whole) {
  if (whole <= 0) return std::nullopt;
  return fmt::format("{:.2f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::vector<Line> figures_of(const std::vector<RunSummary>& runs) {
  std::vector<Line> lines;
  add_figure(
      runs, "state", [](const RunSummary& run) { return std::string(to_string(run.run.state)); },
      lines);
  add_figure(
      runs, "converged",
      [](const RunSummary& run) -> std::optional<std::string> {
        if (!run.programming || !run.programming->complete) return std::nullopt;
        return percent(run.programming->converged, run.programming->nonzero_targets);
      },
      lines);
  add_figure(
      runs, "pulses",
      [](const RunSummary& run) -> std::optional<std::string> {
        if (!run.programming || !run.programming->complete) return std::nullopt;
        return grouped(run.programming->pulses);
      },
      lines);
  add_figure(
      runs, "sigma at the first sweep",
      [](const RunSummary& run) -> std::optional<std::string> {
        if (!run.sigma_uS) return std::nullopt;
        return fmt::format("{:.2f} µS", *run.sigma_uS);
      },
      lines);
  add_figure(
      runs, "drift exponent above 5 µS",
      [](const RunSummary& run) -> std::optional<std::string> {
        if (!run.drift_exponent) return std::nullopt;
        return fmt::format("{:.4f}", *run.drift_exponent);
      },
      lines);
  std::vector<std::pair<double, double>> targets;
  for (const RunSummary& run : runs) {
    for (const db::DriftFitRow& fit : run.drift_fits) {
      for (const db::DriftByTarget& group : fit.by_target) {
        targets.emplace_back(group.low_uS, group.high_uS);
      }
    }
  }
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  for (const auto& [low, high] : targets) {
    if (low < 0.25) continue;  // RESET devices are noise
    add_figure(
        runs, fmt::format("drift exponent, {:.3g} to {:.3g} µS", low, high),
        [low = low](const RunSummary& run) -> std::optional<std::string> {
          for (const db::DriftFitRow& fit : run.drift_fits) {
            for (const db::DriftByTarget& group : fit.by_target) {
              if (group.low_uS == low && group.exponent_median) {
                return fmt::format("{:.4f}", *group.exponent_median);
              }
            }
          }
          return std::nullopt;
        },
        lines);
  }
  return lines;
}

/// Time points of all runs, within 5 % the same.
std::vector<double> common_times_s(const std::vector<RunSummary>& runs) {
  constexpr double kSame = 1.05;
  std::vector<double> times;
  for (const RunSummary& run : runs) {
    for (const TimePoint& point : run.points) times.push_back(point.scheduled_s);
  }
  std::sort(times.begin(), times.end());
  times.erase(
      std::unique(times.begin(), times.end(), [](double a, double b) { return b <= a * kSame; }),
      times.end());
  return times;
}

const TimePoint* point_near(const RunSummary& run, double at_s) {
  const auto found = std::find_if(
      run.points.begin(), run.points.end(),
      [&](const TimePoint& point) { return std::abs(point.scheduled_s / at_s - 1) <= 0.05; });
  return found == run.points.end() ? nullptr : &*found;
}

std::vector<Line> accuracies_of(const std::vector<RunSummary>& runs) {
  std::vector<Line> lines;
  add_figure(
      runs, "software",
      [](const RunSummary& run) -> std::optional<std::string> {
        if (!run.software_percent) return std::nullopt;
        return fmt::format("{:.2f} %", *run.software_percent);
      },
      lines);
  std::vector<std::string> conditions;
  for (const RunSummary& run : runs) {
    for (const std::string& condition : run.conditions) {
      if (std::find(conditions.begin(), conditions.end(), condition) == conditions.end()) {
        conditions.push_back(condition);
      }
    }
  }
  sort_conditions(conditions);
  for (const double at_s : common_times_s(runs)) {
    for (const std::string& condition : conditions) {
      add_figure(
          runs, fmt::format("{}, {}", duration_text(at_s), condition_name(condition)),
          [&](const RunSummary& run) -> std::optional<std::string> {
            const TimePoint* const point = point_near(run, at_s);
            if (point == nullptr) return std::nullopt;
            const auto found = point->accuracies.find(condition);
            if (found == point->accuracies.end()) return std::nullopt;
            return fmt::format("{:.2f} %", found->second.mean_percent);
          },
          lines);
    }
  }
  return lines;
}

void print_lines(const std::string& title, const std::vector<RunSummary>& runs,
                 const std::vector<Line>& lines) {
  if (lines.empty()) return;
  std::vector<std::string> header{title};
  for (const RunSummary& run : runs) header.push_back(fmt::format("run {}", run.run.id));
  Table table(std::move(header));
  for (const Line& line : lines) {
    std::vector<std::string> row{line.what};
    row.insert(row.end(), line.values.begin(), line.values.end());
    table.add(std::move(row));
  }
  fmt::print("{}\n", table.text());
}

nlohmann::ordered_json json_of(const std::vector<Line>& lines) {
  auto json = nlohmann::ordered_json::object();
  for (const Line& line : lines) json[line.what] = line.values;
  return json;
}

Result<void> compare(const Session& session, const std::vector<db::RowId>& numbers) {
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  std::vector<RunSummary> runs;
  std::vector<Settings> settings;
  for (const db::RowId number : numbers) {
    PCM_ASSIGN(RunSummary summary, summarise_run(store, number));
    PCM_ASSIGN(Settings of_run, settings_of(store, summary.run));
    runs.push_back(std::move(summary));
    settings.push_back(std::move(of_run));
  }
  const auto differences = differing(settings);
  const auto figures = figures_of(runs);
  const auto accuracies = accuracies_of(runs);
  if (session.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"runs", numbers},
                                              {"settings", json_of(differences)},
                                              {"figures", json_of(figures)},
                                              {"accuracies", json_of(accuracies)}}
                           .dump(2));
    return {};
  }
  if (differences.empty()) fmt::print("All settings are the same.\n\n");
  print_lines("setting", runs, differences);
  print_lines("figure", runs, figures);
  print_lines("accuracy", runs, accuracies);
  return {};
}

}  // namespace

void add_compare(CLI::App& app, Session& session) {
  auto* command =
      app.add_subcommand("compare", "Shows runs side by side: how they differ, what they found");
  auto runs = std::make_shared<std::vector<db::RowId>>();
  command->add_option("RUN", *runs, "numbers of two runs or more, see `pcmlab runs`")
      ->required()
      ->expected(2, 100);
  command->callback([&session, runs] { session.end(compare(session, *runs)); });
}

}  // namespace pcmlab::app

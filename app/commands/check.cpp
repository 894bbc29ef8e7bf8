// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/board.h"
#include "app/chip_life.h"
#include "app/commands.h"
#include "app/console.h"
#include "app/preflight.h"
#include "experiments/engine/engine.h"

namespace pcmlab::app {
namespace {

struct CheckOptions {
  std::filesystem::path plan;
  std::vector<std::string> assignments;
};

nlohmann::ordered_json json_of(const std::string& name, const Prediction& p,
                               const Preflight& flight) {
  return {{"experiment", name},
          {"chip_busy_s", p.chip_busy_s},
          {"chip_waiting_s", p.waiting_s},
          {"wall_s", flight.wall_s(p)},
          {"pulses", p.pulses},
          {"pulses_of_a_device_at_most", p.pulses_of_a_device},
          {"database_bytes", p.bytes}};
}

std::vector<std::string> cells(const std::string& name, const Prediction& p,
                               const Preflight& flight) {
  return {name,
          duration_text(p.chip_busy_s),
          duration_text(p.waiting_s),
          duration_text(flight.wall_s(p)),
          grouped(p.pulses),
          bytes_text(p.bytes)};
}

/// The time of something that happens `after_s` from now.
std::string when(double after_s, bool virtual_time) {
  if (virtual_time) return duration_text(after_s);
  const std::time_t time = std::time(nullptr) + static_cast<std::time_t>(std::llround(after_s));
  std::tm local{};
  localtime_r(&time, &local);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%a %d %b %H:%M:%S", &local)};
}

std::string timeline_text(const std::vector<Moment>& timeline, bool virtual_time) {
  constexpr std::size_t kHead = 14, kTail = 6;
  std::string out =
      virtual_time ? "\nIf it began now, by the board's virtual time:\n" : "\nIf it began now:\n";
  for (std::size_t i = 0; i < timeline.size(); ++i) {
    if (i == kHead && timeline.size() > kHead + kTail + 1) {
      const std::size_t left_out = timeline.size() - kHead - kTail;
      out += fmt::format("{:>19}  {} more (--json has them all)\n", "...", left_out);
      i += left_out;
    }
    const bool is_step = timeline[i].what.starts_with("step ") || i + 1 == timeline.size();
    out += fmt::format("{:>19}  {}{}\n", when(timeline[i].after_s, virtual_time),
                       is_step ? "" : "  ", timeline[i].what);
  }
  return out;
}

/// One of the runs that a plan file stands for.
struct Checked {
  std::string text;
  nlohmann::ordered_json json;
  std::string name;
  Preflight flight;
};

Result<Checked> check_run(const Session& session, const std::string& source, const Plan& plan) {
  PCM_ASSIGN(const auto board, open_board(plan, Purpose::Check));
  const BoardInformation& information = board->information();
  PCM_ASSIGN(const RunInputs inputs, load_inputs(plan));
  PCM_ASSIGN(const Preflight flight, preflight(plan, inputs, information, session.database));
  const auto weights = static_cast<std::int64_t>(inputs.weights.values.size());

  Table table({"step", "chip busy", "chip waits", "wall time", "pulses", "database"});
  auto json = nlohmann::ordered_json::object();
  json["plan"] = source;
  json["weights"] = weights;
  json["devices"] = 2 * weights;
  json["images"] = inputs.images.count();
  json["steps"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < flight.steps.size(); ++i) {
    const std::string& name = plan.steps[i].experiment;
    table.add(cells(name, flight.steps[i], flight));
    json["steps"].push_back(json_of(name, flight.steps[i], flight));
  }
  table.add(cells("total", flight.total, flight));
  json["total"] = json_of("total", flight.total, flight);
  json["free_bytes"] = flight.free_bytes;
  json["pulses_of_a_device_so_far"] = most_pulses(flight.life);
  json["energy_of_a_device_so_far_uJ"] = most_energy(flight.life, plan);
  json["timeline"] = nlohmann::ordered_json::array();
  const std::vector<Moment> timeline = flight.timeline(plan);
  for (const Moment& moment : timeline) {
    json["timeline"].push_back({{"after_s", moment.after_s}, {"what", moment.what}});
  }

  const auto room = static_cast<std::int64_t>(information.shape.device_count());
  std::string text = fmt::format("network  {}: {} weights in {} layers on {} of {} devices\n",
                                 inputs.network.name, grouped(weights),
                                 inputs.weights.layers.size(), grouped(2 * weights), grouped(room));
  if (2 * weights > room) {
    text += fmt::format("         in {} fillings of the array, one after another\n",
                        (2 * weights + room - 1) / room);
  }
  text += fmt::format("images   {}: {}\n", inputs.images.name,
                      grouped(static_cast<std::int64_t>(inputs.images.count())));
  text += fmt::format("board    {}\n", describe_board(plan));
  text += fmt::format(
      "wear     up to {} more pulses a device; the most worn has borne {} ({:.3g} uJ)\n",
      grouped(flight.total.pulses_of_a_device), grouped(most_pulses(flight.life)),
      most_energy(flight.life, plan));
  text += fmt::format("disk     {} free, {} wanted\n\n{}", bytes_text(flight.free_bytes),
                      bytes_text(flight.total.bytes), table.text());
  if (flight.virtual_time) {
    text += "\nThe board has virtual time: chip time passes as fast as it can.\n";
  }
  text += timeline_text(timeline, flight.virtual_time);
  return Checked{std::move(text), std::move(json), plan.round, flight};
}

Result<void> check(const Session& session, const CheckOptions& options) {
  const std::string source = options.plan.string();
  PCM_ASSIGN(const auto plans, load_plans(options.plan, app_plan_schema(), options.assignments));
  std::vector<Checked> runs;
  Prediction total;
  for (const Plan& plan : plans) {
    auto checked = check_run(session, source, plan);
    if (!checked) {
      return tl::unexpected(plans.size() == 1 ? checked.error()
                                              : checked.error().during(fmt::format(
                                                    "run {} of the plan's {} ({})", runs.size() + 1,
                                                    plans.size(), plan.round)));
    }
    runs.push_back(std::move(*checked));
    total += runs.back().flight.total;
  }
  const Preflight& last = runs.back().flight;
  if (runs.size() == 1) {
    if (session.json) {
      fmt::print("{}\n", runs.front().json.dump(2));
    } else {
      fmt::print("{} is a good plan.\n\n{}", source, runs.front().text);
    }
    return {};
  }
  if (session.json) {
    auto json = nlohmann::ordered_json::object();
    json["plan"] = source;
    json["runs"] = nlohmann::ordered_json::array();
    for (Checked& run : runs) {
      run.json["name"] = run.name;
      json["runs"].push_back(std::move(run.json));
    }
    json["total"] = json_of("total", total, last);
    fmt::print("{}\n", json.dump(2));
    return {};
  }
  Table table({"run", "chip busy", "chip waits", "wall time", "pulses", "database"});
  for (const Checked& run : runs) table.add(cells(run.name, run.flight.total, run.flight));
  table.add(cells("total", total, last));
  fmt::print("{} is a good plan, of {} runs.\n\n{}", source, runs.size(), table.text());
  if (last.free_bytes < kRoomForEachByte * total.bytes) {
    return fail(ErrorCode::DiskFull,
                fmt::format("the runs will add {} to the database, and its disk has {} left: less "
                            "than twice as much",
                            bytes_text(total.bytes), bytes_text(last.free_bytes)),
                "make room, or choose another disk with --database");
  }
  return {};
}

}  // namespace

void add_check(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "check", "Validates a plan and everything it names; predicts time, pulses and bytes");
  auto options = std::make_shared<CheckOptions>();
  command->add_option("PLAN", options->plan, "plan file (TOML)")->required();
  add_plan_assignments(*command, options->assignments);
  command->callback([&session, options] { session.end(check(session, *options)); });
}

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/board.h"
#include "app/commands.h"
#include "app/console.h"
#include "experiments/engine/engine.h"

namespace pcmlab::app {
namespace {

/// Wall time of a step: waiting passes at once on a board with virtual time; the chip's work is
/// simulated by the host, and counted as host time, there.
double wall_s(const Prediction& prediction, bool virtual_time) {
  return virtual_time ? prediction.host_s
                      : prediction.chip_busy_s + prediction.waiting_s + prediction.host_s;
}

struct CheckOptions {
  std::filesystem::path plan;
  std::vector<std::string> assignments;
};

Result<void> check(const Session& session, const CheckOptions& options) {
  const std::filesystem::path& file = options.plan;
  PCM_ASSIGN(const Plan plan, load_plan(file, app_plan_schema(), options.assignments));
  PCM_ASSIGN(const auto board, open_board(plan, Purpose::Check));
  const BoardInformation& information = board->information();
  PCM_ASSIGN(const RunInputs inputs, load_inputs(plan));
  PCM_ASSIGN(const std::vector<Prediction> predictions, predict(plan, inputs, information));
  const bool virtual_time = (information.capabilities & wire::kVirtualTime) != 0;

  Table table({"step", "chip busy", "chip waits", "wall time", "pulses", "database"});
  auto json = nlohmann::ordered_json::object();
  json["plan"] = file.string();
  json["weights"] = inputs.weights.values.size();
  json["devices"] = 2 * inputs.weights.values.size();
  json["images"] = inputs.images.count();
  json["steps"] = nlohmann::ordered_json::array();
  Prediction total;
  const auto row = [&](const std::string& name, const Prediction& p) {
    table.add({name, duration_text(p.chip_busy_s), duration_text(p.waiting_s),
               duration_text(wall_s(p, virtual_time)), grouped(p.pulses), bytes_text(p.bytes)});
    return nlohmann::ordered_json{{"experiment", name},
                                  {"chip_busy_s", p.chip_busy_s},
                                  {"chip_waiting_s", p.waiting_s},
                                  {"wall_s", wall_s(p, virtual_time)},
                                  {"pulses", p.pulses},
                                  {"database_bytes", p.bytes}};
  };
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    const Prediction& p = predictions[i];
    json["steps"].push_back(row(plan.steps[i].experiment, p));
    total.chip_busy_s += p.chip_busy_s;
    total.waiting_s += p.waiting_s;
    total.host_s += p.host_s;
    total.pulses += p.pulses;
    total.bytes += p.bytes;
  }
  json["total"] = row("total", total);
  if (session.json) {
    fmt::print("{}\n", json.dump(2));
    return {};
  }
  fmt::print("{} is a good plan.\n\n", file.string());
  fmt::print("network  {}: {} weights in {} layers on {} of {} devices\n", inputs.network.name,
             grouped(static_cast<std::int64_t>(inputs.weights.values.size())),
             inputs.weights.layers.size(),
             grouped(static_cast<std::int64_t>(2 * inputs.weights.values.size())),
             grouped(static_cast<std::int64_t>(information.shape.device_count())));
  const std::size_t room = information.shape.device_count();
  if (const std::size_t devices = 2 * inputs.weights.values.size(); devices > room) {
    fmt::print("         in {} fillings of the array, one after another\n",
               (devices + room - 1) / room);
  }
  fmt::print("images   {}: {}\n", inputs.images.name,
             grouped(static_cast<std::int64_t>(inputs.images.count())));
  fmt::print("board    {}\n\n{}", describe_board(plan), table.text());
  if (virtual_time)
    fmt::print("\nThe board has virtual time: chip time passes as fast as it can.\n");
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

// SPDX-License-Identifier: Apache-2.0
#include "app/tell.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/console.h"
#include "app/stop_on_signal.h"

namespace pcmlab::app {
namespace {

struct TellOptions {
  std::filesystem::path plan;
  std::vector<std::string> assignments;
  bool test = false;
};

Result<void> test_telling(Session& session, const TellOptions& options) {
  const StopOnSignal signals("stopping");
  ParameterValues of_plan(tell_section().parameters);
  TellFacts facts;
  facts.database = session.database;
  if (!options.plan.empty()) {
    PCM_ASSIGN(const Plan plan, load_plan(options.plan, app_plan_schema(), options.assignments));
    of_plan = plan.section("tell");
    facts.name = plan.section("run").text("name");
  }
  PCM_ASSIGN(const TellSettings settings, tell_settings(of_plan));
  auto deliveries =
      deliver(settings, facts, {TellEvent::Test, "this is how you will hear of your runs"},
              signals.token());
  for (Delivery& delivery : beat(settings, signals.token())) {
    deliveries.push_back(std::move(delivery));
  }
  if (deliveries.empty()) {
    return fail(ErrorCode::BadPlan, "nobody is told anything",
                fmt::format("say who and how in [tell] of {}; `pcmlab describe tell` shows how",
                            options.plan.empty() ? own_tell_file().string() + ", or name a plan"
                                                 : options.plan.string()));
  }
  auto json = nlohmann::ordered_json::array();
  for (const Delivery& delivery : deliveries) {
    if (!delivery.result) session.exit_code = kCheckFailed;
    if (session.json) {
      json.push_back({{"by", delivery.by},
                      {"works", delivery.result.has_value()},
                      {"error", delivery.result ? "" : delivery.result.error().message}});
      continue;
    }
    fmt::print("{:<16} {}\n", delivery.by,
               delivery.result ? "works" : delivery.result.error().message);
    if (!delivery.result && !delivery.result.error().advice.empty()) {
      fmt::print("{:<16} what to do: {}\n", "", delivery.result.error().advice);
    }
  }
  if (session.json) fmt::print("{}\n", json.dump(2));
  return {};
}

}  // namespace

void add_tell(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "tell", "Sends a test message in every way in which people are told of runs");
  auto options = std::make_shared<TellOptions>();
  command->add_option("PLAN", options->plan,
                      "plan file whose [tell] counts; without it your own tell.toml");
  command->add_flag("--test", options->test, "sends it")->required();
  add_plan_assignments(*command, options->assignments);
  command->callback([&session, options] { session.end(test_telling(session, *options)); });
}

}  // namespace pcmlab::app

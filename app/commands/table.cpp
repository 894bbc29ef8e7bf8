// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <system_error>

#include "app/board.h"
#include "app/build_info.h"
#include "app/commands.h"
#include "app/console.h"
#include "app/stop_on_signal.h"
#include "app/table_plan.h"
#include "app/tell_settings.h"
#include "experiments/engine/engine.h"
#include "experiments/engine/inputs.h"
#include "experiments/engine/plan_edit.h"
#include "experiments/retention/paper_table.h"

namespace pcmlab::app {
namespace {

struct TableOptions {
  std::filesystem::path plan;
  std::vector<std::string> assignments;
  int seeds = 5;
};

/// The plan of one chip. \param seed  instead of the plan's.
Result<Plan> plan_of(const TableOptions& options, std::optional<std::int64_t> seed) {
  std::vector<std::string> assignments = options.assignments;
  if (seed) assignments.push_back(fmt::format("mock.seed={}", *seed));
  if (!options.plan.empty()) {
    return load_plan_to_store(options.plan, app_plan_schema(), assignments);
  }
  const std::string source = "the built-in plan";
  std::string text = kTablePlan;
  for (const std::string& assignment : assignments) {
    PCM_ASSIGN(text, with_plan_key(text, source, assignment));
  }
  PCM_ASSIGN(Plan plan, parse_plan(std::move(text), source + " with --set", app_plan_schema()));
  return without_addresses(std::move(plan), app_plan_schema(), source);
}

std::string points_text(const PaperFigures& figures) {
  if (figures.points.empty()) return "-";
  if (!figures.deviation) return fmt::format("{:+.2f}", figures.mean);
  return fmt::format("{:+.2f} ± {:.2f}", figures.mean, *figures.deviation);
}

std::string paper_text(const PaperRow& row) {
  if (row.how_much.empty()) return "-";
  return fmt::format("{} {:.1f}", row.how_much, row.paper);
}

std::string table_text(std::span<const RunSummary> runs) {
  Table below({"points below software", "ours", "the paper's"});
  Table above({"points above", "ours", "the paper's"});
  for (const PaperFigures& figures : paper_table(runs)) {
    (figures.row.above.empty() ? below : above)
        .add({figures.row.name, points_text(figures), paper_text(figures.row)});
  }
  double software = 0;
  for (const RunSummary& run : runs) {
    software += run.software_percent.value_or(0) / static_cast<double>(runs.size());
  }
  return fmt::format(
      "{}: {} chips, software {:.2f} %\n{}\n\n{}\n{}\nThe paper's: ResNet-32 on CIFAR-10, one "
      "chip, "
      "software 93.87 %.\n",
      runs.front().run.network_name, runs.size(), software, runs.front().run.images, below.text(),
      above.text());
}

std::string table_json(std::span<const RunSummary> runs) {
  using Json = nlohmann::ordered_json;
  Json json{{"network", runs.front().run.network_name}, {"images", runs.front().run.images}};
  json["runs"] = Json::array();
  for (const RunSummary& run : runs) {
    json["runs"].push_back({{"run", run.run.id},
                            {"board", run.run.board_description},
                            {"software_percent", run.software_percent.value_or(0)}});
  }
  json["rows"] = Json::array();
  for (const PaperFigures& figures : paper_table(runs)) {
    const PaperRow& row = figures.row;
    Json entry{{"name", row.name}, {"at_s", row.at_s}, {"condition", row.condition}};
    entry["kind"] = row.above.empty() ? "points below software" : "points above " + row.above;
    entry["points"] = figures.points;
    entry["mean"] = figures.points.empty() ? Json(nullptr) : Json(figures.mean);
    entry["deviation"] = figures.deviation ? Json(*figures.deviation) : Json(nullptr);
    entry["paper"] = row.how_much.empty() ? Json(nullptr) : Json(row.paper);
    entry["paper_says"] = row.how_much;
    json["rows"].push_back(std::move(entry));
  }
  return json.dump(2) + "\n";
}

Result<void> table(const Session& session, const TableOptions& options) {
  const StopOnSignal signals;
  PCM_ASSIGN(const Plan first, plan_of(options, std::nullopt));
  if (first.section("board").text("kind") != "mock" && options.seeds != 1) {
    return fail(ErrorCode::BadPlan,
                "the plan names a board, of which there is one, but several chips are asked for",
                "give --seeds 1");
  }
  const std::int64_t seed = first.section("mock").integer("seed");
  PCM_ASSIGN(auto board, open_board(first, Purpose::Check, {}, signals.token()));
  PCM_ASSIGN(const RunInputs inputs, load_inputs(first));
  PCM_TRY(predict(first, inputs, board->information()));
  std::error_code error;
  if (const auto folder = session.database.parent_path(); !folder.empty()) {
    std::filesystem::create_directories(folder, error);
  }
  PCM_ASSIGN(db::RunStore store, db::RunStore::open(session.database));
  std::vector<RunSummary> runs;
  for (int chip = 0; chip < options.seeds; ++chip) {
    PCM_ASSIGN(const Plan plan, plan_of(options, seed + chip));
    board.reset();
    PCM_ASSIGN(board, open_board(plan, Purpose::Run, {}, signals.token()));
    ConsoleObserver observer(session.quiet);
    const Provenance provenance{kVersion, kGitRevision, describe_board(plan)};
    const RunResult result = run_plan(plan, inputs, *board, store, observer, provenance,
                                      {signals.token(), signals.abort_token()});
    PCM_TRY(result.outcome);
    PCM_ASSIGN(RunSummary summary, summarise_run(store, result.run));
    runs.push_back(std::move(summary));
  }
  fmt::print("{}", session.json ? table_json(runs) : table_text(runs));
  if (!session.json && !session.quiet) fmt::print("\ndatabase  {}\n", session.database.string());
  return {};
}

}  // namespace

void add_table(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "table",
      "Programs several chips, lets them drift for a year of virtual time, and shows the paper's "
      "accuracies beside theirs");
  auto options = std::make_shared<TableOptions>();
  command->add_option("--plan", options->plan,
                      "plan file (TOML) instead of the built-in one, plans/table.toml");
  command
      ->add_option("--seeds", options->seeds,
                   "how many chips; their seeds count on from the plan's mock.seed")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  add_plan_assignments(*command, options->assignments);
  command->callback([&session, options] { session.end(table(session, *options)); });
}

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/console.h"
#include "db/run_store.h"

namespace pcmlab::app {
namespace {

Result<void> list_runs(const Session& session) {
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  PCM_ASSIGN(const auto runs, store.runs());
  if (session.json) {
    auto json = nlohmann::ordered_json::array();
    for (const db::RunRow& run : runs) {
      json.push_back({{"run", run.id},
                      {"uuid", run.uuid},
                      {"state", db::to_string(run.state)},
                      {"name", run.name},
                      {"started_utc", run.started_utc},
                      {"ended_utc", run.ended_utc},
                      {"board", run.board_serial},
                      {"network", run.network_name},
                      {"devices", run.devices},
                      {"operator", run.operator_name},
                      {"error", run.error}});
    }
    fmt::print("{}\n", json.dump(2));
    return {};
  }
  if (runs.empty()) {
    fmt::print("no runs yet in {}\n", session.database.string());
    return {};
  }
  Table table({"run", "state", "started", "board", "network", "name"});
  for (const db::RunRow& run : runs) {
    table.add({std::to_string(run.id), std::string(db::to_string(run.state)),
               date_text(run.started_utc), run.board_serial, run.network_name, run.name});
  }
  fmt::print("{}", table.text());
  return {};
}

struct ShowOptions {
  db::RowId run = 0;
  bool confusion = false, layers = false;
};

Result<void> show(const Session& session, const ShowOptions& options) {
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  PCM_ASSIGN(const RunSummary summary, summarise_run(store, options.run));
  if (session.json) {
    auto json = nlohmann::ordered_json::parse(summary_json(summary));
    if (options.confusion) PCM_TRY(add_confusion(store, summary, json));
    if (options.layers) PCM_TRY(add_layers(store, summary, json));
    fmt::print("{}\n", json.dump(2));
    return {};
  }
  std::string text = summary_text(summary);
  if (options.confusion) {
    PCM_ASSIGN(const std::string more, confusion_text(store, summary));
    text += more;
  }
  if (options.layers) {
    PCM_ASSIGN(const std::string more, layers_text(store, summary));
    text += more;
  }
  fmt::print("{}", text);
  return {};
}

Result<void> plot(const Session& session, db::RowId run, std::filesystem::path file) {
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  PCM_ASSIGN(const RunSummary summary, summarise_run(store, run));
  if (file.empty()) file = fmt::format("run-{}.png", run);
  PCM_TRY(plot_run(summary, file));
  if (session.json) {
    fmt::print("{}\n", nlohmann::json{{"plot", file.string()}}.dump());
  } else if (!session.quiet) {
    fmt::print("{}\n", file.string());
  }
  return {};
}

}  // namespace

void add_runs(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("runs", "Lists the runs in the database, newest first");
  command->callback([&session] { session.end(list_runs(session)); });
}

void add_show(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("show", "Shows what a run found");
  auto options = std::make_shared<ShowOptions>();
  command->add_option("RUN", options->run, "number of the run, see `pcmlab runs`")->required();
  command->add_flag("--confusion", options->confusion,
                    "also which class was taken for which, at the last time point");
  command->add_flag("--layers", options->layers, "also how far each layer is off by then");
  command->callback([&session, options] { session.end(show(session, *options)); });
}

void add_plot(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("plot", "Draws accuracy and drift of a run against time");
  auto run = std::make_shared<db::RowId>(0);
  auto file = std::make_shared<std::filesystem::path>();
  command->add_option("RUN", *run, "number of the run, see `pcmlab runs`")->required();
  command->add_option("-o,--output", *file, "PNG, SVG or PDF; run-RUN.png when left out");
  command->callback([&session, run, file] { session.end(plot(session, *run, *file)); });
}

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/console.h"
#include "app/report.h"
#include "db/run_store.h"
#include "experiments/exchange/output_file.h"

namespace pcmlab::app {
namespace {

struct ListOptions {
  std::vector<std::string> tags;
  bool all = false;
};

Result<void> list_runs(const Session& session, const ListOptions& options) {
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  PCM_ASSIGN(auto runs, store.runs(options.all ? db::Deleted::Shown : db::Deleted::Hidden));
  std::erase_if(runs, [&](const db::RunRow& run) {
    return !std::all_of(options.tags.begin(), options.tags.end(), [&](const std::string& tag) {
      return std::find(run.tags.begin(), run.tags.end(), tag) != run.tags.end();
    });
  });
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
                      {"error", run.error},
                      {"parent", run.parent ? nlohmann::ordered_json(*run.parent) : nullptr},
                      {"tags", run.tags},
                      {"deleted_utc", run.deleted_utc}});
    }
    fmt::print("{}\n", json.dump(2));
    return {};
  }
  if (runs.empty()) {
    fmt::print("no runs {} in {}\n", options.tags.empty() ? "yet" : "with these tags",
               session.database.string());
    return {};
  }
  Table table({"run", "state", "started", "board", "network", "name", "tags"});
  for (const db::RunRow& run : runs) {
    table.add({std::to_string(run.id),
               run.deleted_utc.empty() ? std::string(db::to_string(run.state)) : "deleted",
               date_text(run.started_utc), run.board_serial, run.network_name, run.name,
               fmt::format("{}", fmt::join(run.tags, " "))});
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

struct ReportOptions {
  db::RowId run = 0;
  std::filesystem::path output;
  bool force = false;
};

Result<void> report(const Session& session, ReportOptions options) {
  if (options.output.empty()) options.output = fmt::format("run-{}.html", options.run);
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  PCM_ASSIGN(const std::string html, report_html(store, session.database, options.run));
  PCM_ASSIGN(OutputFile file, OutputFile::create(options.output, options.force));
  PCM_TRY(file.write(html));
  PCM_TRY(file.finish());
  if (session.json) {
    fmt::print("{}\n", nlohmann::json{{"report", options.output.string()}}.dump());
  } else if (!session.quiet) {
    fmt::print("{}\n", options.output.string());
  }
  return {};
}

}  // namespace

void add_runs(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("runs", "Lists the runs in the database, newest first");
  auto options = std::make_shared<ListOptions>();
  command->add_option("--tag", options->tags, "only those with this tag; several: with all of them")
      ->allow_extra_args(false);
  command->add_flag("--all", options->all, "also those that are deleted");
  command->callback([&session, options] { session.end(list_runs(session, *options)); });
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

void add_report(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "report", "Writes what a run found as one HTML file, to mail or print; also while it runs");
  auto options = std::make_shared<ReportOptions>();
  command->add_option("RUN", options->run, "number of the run, see `pcmlab runs`")->required();
  command->add_option("-o,--output", options->output, "run-RUN.html when left out");
  command->add_flag("--force", options->force, "replaces the file");
  command->callback([&session, options] { session.end(report(session, *options)); });
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

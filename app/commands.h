// SPDX-License-Identifier: Apache-2.0
/// \file
/// The commands of `pcmlab`, one file each in commands/. A command adds itself to the command line
/// and leaves its exit code in the session when it ran.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "app/exit_code.h"
#include "app/plan_schema.h"
#include "experiments/engine/plan.h"
#include "experiments/retention/run_summary.h"
#include "protocol/error.h"

namespace pcmlab::app {

/// What all commands share.
struct Session {
  std::filesystem::path database;
  bool json = false;
  bool quiet = false;
  int exit_code = kDone;

  /// Keeps the exit code of a result and prints its error.
  void end(const Result<void>& result);
};

void add_acceptance(CLI::App& app, Session& session);
void add_chips(CLI::App& app, Session& session);
void add_run(CLI::App& app, Session& session);
void add_resume(CLI::App& app, Session& session);
void add_queue(CLI::App& app, Session& session);
void add_tell(CLI::App& app, Session& session);
void add_status(CLI::App& app, Session& session);
void add_pause(CLI::App& app, Session& session);
void add_continue(CLI::App& app, Session& session);
void add_stop(CLI::App& app, Session& session);
void add_abort(CLI::App& app, Session& session);
void add_check(CLI::App& app, Session& session);
void add_describe(CLI::App& app, Session& session);
void add_runs(CLI::App& app, Session& session);
void add_show(CLI::App& app, Session& session);
void add_note(CLI::App& app, Session& session);
void add_tag(CLI::App& app, Session& session);
void add_delete(CLI::App& app, Session& session);
void add_compare(CLI::App& app, Session& session);
void add_verify(CLI::App& app, Session& session);
void add_backup(CLI::App& app, Session& session);
void add_merge(CLI::App& app, Session& session);
void add_vacuum(CLI::App& app, Session& session);
void add_devices(CLI::App& app, Session& session);
void add_selftest(CLI::App& app, Session& session);
void add_table(CLI::App& app, Session& session);
void add_doctor(CLI::App& app, Session& session);
void add_plot(CLI::App& app, Session& session);
void add_query(CLI::App& app, Session& session);
void add_report(CLI::App& app, Session& session);
void add_export(CLI::App& app, Session& session);
void add_import_fusion(CLI::App& app, Session& session);

// ---- shared by several commands ----------------------------------------------------------------

/// --set SECTION.KEY=VALUE, as often as one likes: as if the plan said so.
void add_plan_assignments(CLI::App& command, std::vector<std::string>& assignments);

/// Who sits here, as the system knows.
std::string person();

/// For writing to a database that is there. Errors: those of RunStore::open(); NotFound.
Result<db::RunStore> open_existing(const Session& session);

/// The retention picture of a run: PNG, SVG or PDF by the file's extension.
Result<void> plot_run(const RunSummary& summary, const std::filesystem::path& file);

/// A run's figures for people, and for programs.
std::string summary_text(const RunSummary& summary);

/// What was taken for what, and how far each layer was off, at the last sweep; in JSON at every
/// sweep. Empty where nothing is known. Errors: those of the database.
Result<std::string> confusion_text(db::RunStore& store, const RunSummary& summary);
Result<std::string> layers_text(db::RunStore& store, const RunSummary& summary);
Result<void> add_confusion(db::RunStore& store, const RunSummary& summary,
                           nlohmann::ordered_json& json);
Result<void> add_layers(db::RunStore& store, const RunSummary& summary,
                        nlohmann::ordered_json& json);

std::string summary_json(const RunSummary& summary);

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
/// \file
/// The commands of `pcmlab`, one file each in commands/. A command adds itself to the command line
/// and leaves its exit code in the session when it ran.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "app/exit_code.h"
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
void add_check(CLI::App& app, Session& session);
void add_describe(CLI::App& app, Session& session);
void add_runs(CLI::App& app, Session& session);
void add_show(CLI::App& app, Session& session);
void add_devices(CLI::App& app, Session& session);
void add_selftest(CLI::App& app, Session& session);
void add_doctor(CLI::App& app, Session& session);
void add_plot(CLI::App& app, Session& session);
void add_export(CLI::App& app, Session& session);
void add_import_fusion(CLI::App& app, Session& session);

// ---- shared by several commands ----------------------------------------------------------------

/// Sections of the engine and of this program, and all experiments.
PlanSchema app_plan_schema();

/// --set SECTION.KEY=VALUE, as often as one likes: as if the plan said so.
void add_plan_assignments(CLI::App& command, std::vector<std::string>& assignments);

/// The retention picture of a run: PNG, SVG or PDF by the file's extension.
Result<void> plot_run(const RunSummary& summary, const std::filesystem::path& file);

/// A run's figures for people, and for programs.
std::string summary_text(const RunSummary& summary);
std::string summary_json(const RunSummary& summary);

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
/// \file
/// `pcmlab`, the command line.
#include <fmt/format.h>

#include <cstdlib>
#include <exception>

#include "app/build_info.h"
#include "app/commands.h"
#include "app/console.h"

namespace pcmlab::app {
namespace {

/// $XDG_DATA_HOME/pcmlab/pcmlab.db, or ~/.local/share/pcmlab/pcmlab.db.
std::filesystem::path default_database() {
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (data != nullptr && data[0] == '/') {
    folder = data;
  } else if (home != nullptr) {
    folder = std::filesystem::path(home) / ".local" / "share";
  }
  return folder / "pcmlab" / "pcmlab.db";
}

int run(int argc, char** argv) {
  Session session;
  session.database = default_database();
  CLI::App app(
      "Lab control for phase-change-memory chips: program weights, read them while they "
      "drift, and see what becomes of the network's accuracy.",
      "pcmlab");
  app.set_version_flag("--version", fmt::format("pcmlab {} ({})", kVersion, kGitRevision));
  app.add_option("--database", session.database, "results database")->capture_default_str();
  app.add_flag("--json", session.json, "results as JSON on standard output");
  app.add_flag("--quiet", session.quiet, "no progress, only results and errors");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(
      "Exit codes: 0 done, 1 a bug, 2 wrong command line, 3 bad input (plan, network, "
      "images), 4 board, 5 database or disk, 6 stopped, 7 a check failed.");
  for (auto* add :
       {add_run,           add_resume,    add_queue,   add_tell,     add_status,   add_pause,
        add_continue,      add_stop,      add_abort,   add_check,    add_describe, add_runs,
        add_show,          add_compare,   add_plot,    add_query,    add_report,   add_export,
        add_import_fusion, add_note,      add_tag,     add_delete,   add_verify,   add_backup,
        add_merge,         add_vacuum,    add_devices, add_selftest, add_doctor,   add_table,
        add_chips,         add_acceptance}) {
    add(app, session);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  return session.exit_code;
}

}  // namespace

void Session::end(const Result<void>& result) {
  if (result) return;
  print_error(result.error());
  exit_code = app::exit_code(result.error().code);
}

void add_plan_assignments(CLI::App& command, std::vector<std::string>& assignments) {
  command
      .add_option(
          "--set", assignments,
          "a key of the plan, as if the plan said so: mock.seed=7, faults.lost_replies=0.01, "
          "step.program.tolerance_uS=0.3; may be given several times")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
}

}  // namespace pcmlab::app

int main(int argc, char** argv) {
  try {
    return pcmlab::app::run(argc, argv);
  } catch (const std::exception& error) {
    pcmlab::app::print_error({pcmlab::ErrorCode::Internal,
                              fmt::format("unexpected: {}", error.what()),
                              "this is a bug in pcmlab; please report it with the command line"});
    return pcmlab::app::kInternal;
  }
}

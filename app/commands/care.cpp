// SPDX-License-Identifier: Apache-2.0
// Looking after the database: verify, backup, merge, vacuum.
#include "db/care.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "app/commands.h"
#include "app/console.h"
#include "db/verify.h"
#include "experiments/network/sha256.h"

namespace pcmlab::app {
namespace {

/// Shows how far something is that takes longer than a moment.
class ProgressShown {
 public:
  ProgressShown(const Session& session, std::string activity)
      : console_(session.quiet), activity_(std::move(activity)) {}

  db::Progress callback() {
    return [this](std::int64_t done, std::int64_t total) {
      if (std::chrono::steady_clock::now() - begin_ < std::chrono::seconds(1)) return;
      console_.progress({activity_, done, total, 0, {}});
    };
  }

 private:
  ConsoleObserver console_;
  std::string activity_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// ---- verify ------------------------------------------------------------------------------------

/// Not more of one run than a screen takes; --json has all.
constexpr std::int64_t kMostShown = 20;

void print_verification(const Session& session, const db::Verification& found) {
  std::int64_t shown = 0;
  db::RowId run = -1;
  for (const db::Finding& finding : found.findings) {
    shown = finding.run == run ? shown + 1 : 1;
    run = finding.run;
    if (shown == kMostShown + 1) fmt::print("  and more of this run; --json has all\n");
    if (shown > kMostShown) continue;
    const std::string of = run > 0 ? fmt::format("run {}, ", run) : "";
    fmt::print("BAD  {}{}: {}\n", of, finding.where, finding.what);
  }
  if (session.quiet && found.good()) return;
  if (!found.good()) fmt::print("\n");
  Table table({"run", "name", "blocks", ""});
  for (const db::VerifiedRun& verified : found.runs) {
    table.add({std::to_string(verified.run), verified.name, grouped(verified.blocks),
               (verified.findings == 0 ? std::string("good")
                                       : fmt::format("{} findings; what they do not name is good",
                                                     verified.findings)) +
                   (verified.deleted ? ", deleted" : "")});
  }
  if (!found.runs.empty()) fmt::print("{}", table.text());
  fmt::print("{}: {} blocks, {} checked in {}\n",
             found.good() ? "good" : fmt::format("{} findings", found.findings.size()),
             grouped(found.blocks), bytes_text(found.bytes), session.database.string());
}

void print_json(const Session& session, const db::Verification& found) {
  nlohmann::ordered_json json{{"database", session.database.string()},
                              {"good", found.good()},
                              {"blocks", found.blocks},
                              {"bytes", found.bytes},
                              {"findings", nlohmann::ordered_json::array()},
                              {"runs", nlohmann::ordered_json::array()}};
  for (const db::Finding& finding : found.findings) {
    json["findings"].push_back({{"run", finding.run > 0 ? nlohmann::ordered_json(finding.run)
                                                        : nlohmann::ordered_json(nullptr)},
                                {"where", finding.where},
                                {"what", finding.what}});
  }
  for (const db::VerifiedRun& run : found.runs) {
    json["runs"].push_back({{"run", run.run},
                            {"name", run.name},
                            {"blocks", run.blocks},
                            {"findings", run.findings},
                            {"deleted", run.deleted}});
  }
  fmt::print("{}\n", json.dump(2));
}

Result<void> verify_database(Session& session, const std::filesystem::path& file) {
  if (!file.empty()) session.database = file;
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  db::Verification found;
  {
    ProgressShown progress(session, "verifying");
    PCM_ASSIGN(found, db::verify(store, sha256_hex, progress.callback()));
  }
  if (session.json) {
    print_json(session, found);
  } else {
    print_verification(session, found);
  }
  if (!found.good()) session.exit_code = kCheckFailed;
  return {};
}

// ---- backup, merge, vacuum ---------------------------------------------------------------------

Result<void> backup(const Session& session, const std::filesystem::path& to) {
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  {
    ProgressShown progress(session, "copying");
    PCM_TRY(db::back_up(store.database(), to, progress.callback()));
  }
  std::error_code ignored;
  const auto bytes = static_cast<std::int64_t>(std::filesystem::file_size(to, ignored));
  if (session.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"backup", to.string()}, {"bytes", bytes}}.dump());
  } else if (!session.quiet) {
    fmt::print("{}, {}\n", to.string(), bytes_text(bytes));
  }
  return {};
}

Result<void> merge(const Session& session, const std::filesystem::path& file) {
  PCM_ASSIGN(db::RunStore other, db::RunStore::open_read_only(file));
  std::error_code ignored;
  if (std::filesystem::equivalent(file, session.database, ignored)) {
    return fail(ErrorCode::BadPlan, "merging " + file.string() + " into itself",
                "Name another database, or with --database the one that shall get its runs.");
  }
  PCM_ASSIGN(db::RunStore store, db::RunStore::open(session.database));
  db::MergedRuns merged;
  {
    ProgressShown progress(session, "merging");
    PCM_ASSIGN(merged, db::merge(store, other, progress.callback()));
  }
  if (session.json) {
    nlohmann::ordered_json json{{"added", nlohmann::ordered_json::array()},
                                {"present", merged.present},
                                {"deleted", merged.deleted},
                                {"running", merged.running}};
    for (const auto& run : merged.added) {
      json["added"].push_back({{"run", run.here}, {"was", run.there}, {"name", run.name}});
    }
    fmt::print("{}\n", json.dump(2));
    return {};
  }
  if (session.quiet) return {};
  for (const auto& run : merged.added) {
    fmt::print("run {} of {} is run {} here: {}\n", run.there, file.string(), run.here, run.name);
  }
  const auto left_out = [](std::int64_t runs, const char* why) {
    if (runs > 0) fmt::print("{} left out: {}\n", runs, why);
  };
  left_out(merged.present, "they are here already");
  left_out(merged.deleted, "they are deleted there");
  left_out(merged.running, "still running");
  if (merged.added.empty()) fmt::print("nothing to add\n");
  return {};
}

Result<void> vacuum(const Session& session) {
  // Brings an older file up to date, but makes no new one.
  PCM_TRY(db::Database::open(session.database, db::OpenMode::ReadOnly));
  PCM_ASSIGN(db::RunStore store, db::RunStore::open(session.database));
  PCM_ASSIGN(const db::Purged purged, db::purge(store));
  if (session.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"runs", purged.runs},
                                              {"bytes_before", purged.bytes_before},
                                              {"bytes_after", purged.bytes_after}}
                           .dump());
  } else if (!session.quiet) {
    fmt::print("{} deleted {} taken away; {} -> {}\n", purged.runs,
               purged.runs == 1 ? "run" : "runs", bytes_text(purged.bytes_before),
               bytes_text(purged.bytes_after));
  }
  return {};
}

}  // namespace

void add_verify(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "verify", "Checks everything in a database: checksums, holes, values that cannot be");
  auto file = std::make_shared<std::filesystem::path>();
  command->add_option("DB", *file, "the database; that of --database when left out");
  command->callback([&session, file] { session.end(verify_database(session, *file)); });
}

void add_backup(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("backup", "Copies the database as it is, also during a run");
  auto to = std::make_shared<std::filesystem::path>();
  command->add_option("OUT", *to, "the copy; a new file")->required();
  command->callback([&session, to] { session.end(backup(session, *to)); });
}

void add_merge(CLI::App& app, Session& session) {
  auto* command =
      app.add_subcommand("merge", "Adds the runs of another database that this one has not got");
  auto file = std::make_shared<std::filesystem::path>();
  command->add_option("OTHER", *file, "the other database, which stays as it is")->required();
  command->callback([&session, file] { session.end(merge(session, *file)); });
}

void add_vacuum(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "vacuum", "Takes deleted runs away for good and gives their room back to the disk");
  command->callback([&session] { session.end(vacuum(session)); });
}

}  // namespace pcmlab::app

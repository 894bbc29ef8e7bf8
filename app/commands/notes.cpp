// SPDX-License-Identifier: Apache-2.0
// What people do with runs: note, tag, delete. Each is one short write, also while another run is
// at work on the database.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/console.h"
#include "db/run_store.h"

namespace pcmlab::app {
namespace {

struct NoteOptions {
  db::RowId run = 0;
  std::vector<std::string> words;
  std::string by = person();
};

Result<void> note(const Session& session, const NoteOptions& options) {
  PCM_ASSIGN(db::RunStore store, open_existing(session));
  PCM_ASSIGN(
      const db::RowId id,
      store.add_note(options.run, fmt::format("{}", fmt::join(options.words, " ")), options.by));
  if (session.json) fmt::print("{}\n", nlohmann::json{{"run", options.run}, {"note", id}}.dump());
  return {};
}

struct TagOptions {
  db::RowId run = 0;
  std::vector<std::string> tags;
  bool remove = false;
};

Result<void> tag(const Session& session, const TagOptions& options) {
  PCM_ASSIGN(db::RunStore store, open_existing(session));
  if (options.remove) {
    PCM_TRY(store.remove_tags(options.run, options.tags));
  } else {
    PCM_TRY(store.add_tags(options.run, options.tags, person()));
  }
  PCM_ASSIGN(const db::RunRow run, store.run(options.run));
  if (session.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"run", run.id}, {"tags", run.tags}}.dump());
  } else if (!session.quiet) {
    fmt::print("run {}: {}\n", run.id,
               run.tags.empty() ? "no tags" : fmt::format("{}", fmt::join(run.tags, " ")));
  }
  return {};
}

struct DeleteOptions {
  db::RowId run = 0;
  bool undo = false;
};

Result<void> delete_run(const Session& session, const DeleteOptions& options) {
  PCM_ASSIGN(db::RunStore store, open_existing(session));
  if (options.undo) {
    PCM_TRY(store.undelete_run(options.run));
  } else {
    PCM_TRY(store.delete_run(options.run, person()));
  }
  if (session.json) {
    fmt::print("{}\n",
               nlohmann::ordered_json{{"run", options.run}, {"deleted", !options.undo}}.dump());
  } else if (!session.quiet) {
    if (options.undo) {
      fmt::print("run {} is back\n", options.run);
    } else {
      fmt::print(
          "run {0} is deleted; `pcmlab delete {0} --undo` brings it back, `pcmlab vacuum` "
          "takes it away for good\n",
          options.run);
    }
  }
  return {};
}

}  // namespace

std::string person() {
  for (const char* const variable : {"USER", "LOGNAME"}) {
    const char* const name = std::getenv(variable);
    if (name != nullptr && *name != '\0') return name;
  }
  const passwd* const user = getpwuid(getuid());
  return user != nullptr ? user->pw_name : std::to_string(getuid());
}

Result<db::RunStore> open_existing(const Session& session) {
  PCM_TRY(db::Database::open(session.database, db::OpenMode::ReadOnly));
  return db::RunStore::open(session.database);
}

void add_note(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("note", "Writes a note to a run, also while it runs");
  auto options = std::make_shared<NoteOptions>();
  command->add_option("RUN", options->run, "number of the run, see `pcmlab runs`")->required();
  command->add_option("TEXT", options->words, "the note")->required();
  command->add_option("--by", options->by, "who says so")->capture_default_str();
  command->callback([&session, options] { session.end(note(session, *options)); });
}

void add_tag(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("tag", "Tags a run; `pcmlab runs --tag TAG` finds it again");
  auto options = std::make_shared<TagOptions>();
  command->add_option("RUN", options->run, "number of the run, see `pcmlab runs`")->required();
  command->add_option("TAG", options->tags, "words without blanks")->required();
  command->add_flag("--remove", options->remove, "takes the tags off");
  command->callback([&session, options] { session.end(tag(session, *options)); });
}

void add_delete(CLI::App& app, Session& session) {
  auto* command =
      app.add_subcommand("delete", "Deletes a run; it can be brought back until `pcmlab vacuum`");
  auto options = std::make_shared<DeleteOptions>();
  command->add_option("RUN", options->run, "number of the run, see `pcmlab runs`")->required();
  command->add_flag("--undo", options->undo, "brings it back");
  command->callback([&session, options] { session.end(delete_run(session, *options)); });
}

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>

#include "app/commands.h"
#include "app/console.h"
#include "app/query_output.h"
#include "app/stop_on_signal.h"
#include "db/query/questions.h"
#include "db/query/results_query.h"

namespace pcmlab::app {
namespace {

struct QueryOptions {
  std::string query;
  std::vector<std::string> parameters;
  std::string format = "table";
  std::filesystem::path out;
  double timeout_s = 60;
  double watch_s = 0;
  std::int64_t limit = 0;
  bool list = false;
  bool force = false;
};

void list_questions(const Session& session) {
  if (session.json) {
    auto json = nlohmann::ordered_json::array();
    for (const db::Question& question : db::questions()) {
      auto parameters = nlohmann::ordered_json::object();
      for (const auto& [name, help] : question.parameters) parameters[std::string(name)] = help;
      json.push_back({{"name", question.name},
                      {"help", question.help},
                      {"parameters", parameters},
                      {"sql", question.sql}});
    }
    fmt::print("{}\n", json.dump(2));
    return;
  }
  Table table({"question", "what it tells", "--param"});
  for (const db::Question& question : db::questions()) {
    std::string parameters;
    for (const auto& [name, help] : question.parameters) {
      parameters += fmt::format("{}{}= {}", parameters.empty() ? "" : "; ", name, help);
    }
    table.add({std::string(question.name), std::string(question.help), parameters});
  }
  fmt::print("{}", table.text());
}

Result<std::map<std::string, std::string>> parameters_of(const QueryOptions& options) {
  std::map<std::string, std::string> values;
  for (const std::string& assignment : options.parameters) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ErrorCode::BadPlan, fmt::format("--param {} is not NAME=VALUE", assignment));
    }
    values[assignment.substr(0, equals)] = assignment.substr(equals + 1);
  }
  return values;
}

/// The SQL that is meant by what was typed: a question's name, or SQL itself.
Result<std::string> sql_of(const std::string& query) {
  if (const db::Question* const question = db::find_question(query)) {
    return std::string(question->sql);
  }
  if (!query.empty() && query.find_first_of(" \n\t(") == std::string::npos) {
    return fail(ErrorCode::BadPlan, fmt::format("there is no question \"{}\"", query),
                "`pcmlab query --list` shows those that there are");
  }
  return query;
}

Result<void> write_to_standard_output(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return {};
  }
  return fail(ErrorCode::Io, fmt::format("standard output: {}", std::strerror(errno)));
}

std::unique_ptr<QueryOutput> text_output(const std::string& format, const WriteText& write) {
  if (format == "csv") return csv_output(write);
  if (format == "json") return json_output(write);
  return table_output(write);
}

/// Asks once. \return how many rows came. Errors: those of the query and of the output.
Result<std::int64_t> answer(db::ResultsQuery& query, QueryOutput& output, std::int64_t limit) {
  PCM_TRY(output.begin(query.columns()));
  std::vector<db::Value> values(query.columns().size());
  std::int64_t rows = 0;
  while (limit == 0 || rows < limit) {
    PCM_ASSIGN(const bool more, query.step());
    if (!more) break;
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = query.value(i);
    PCM_TRY(output.row(values));
    ++rows;
  }
  PCM_TRY(output.end());
  return rows;
}

Result<std::int64_t> answer_into_file(db::ResultsQuery& query, const QueryOptions& options) {
  PCM_ASSIGN(OutputFile file, OutputFile::create(options.out, options.force));
  const WriteText write = [&file](std::string_view text) { return file.write(text); };
  const auto output =
      options.format == "npz" ? npz_output(file) : text_output(options.format, write);
  PCM_ASSIGN(const std::int64_t rows, answer(query, *output, options.limit));
  PCM_TRY(file.finish());
  return rows;
}

/// Asks again whenever the database has changed, until somebody stops it.
Result<void> watch(db::ResultsQuery& query, const QueryOptions& options,
                   const std::stop_token& stop) {
  const auto output = text_output(options.format, write_to_standard_output);
  const auto pause = std::chrono::duration<double>(options.watch_s);
  std::optional<std::int64_t> seen;
  std::mutex mutex;
  std::condition_variable_any stopped;
  while (!stop.stop_requested()) {
    PCM_ASSIGN(const std::int64_t version, query.data_version());
    if (seen != version) {
      if (seen && options.format == "table") PCM_TRY(write_to_standard_output("\n"));
      query.restart();
      PCM_TRY(answer(query, *output, options.limit));
      seen = version;
    }
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, stop, pause, [] { return false; });
  }
  return {};
}

Result<void> ask(const Session& session, QueryOptions options) {
  if (options.list) {
    list_questions(session);
    return {};
  }
  if (session.json) options.format = "json";
  if (options.format == "npz" && options.out.empty()) {
    return fail(ErrorCode::BadPlan, "NPZ goes into a file", "name it with --out FILE");
  }
  if (options.watch_s > 0 && !options.out.empty()) {
    return fail(ErrorCode::BadPlan, "--watch writes to the terminal, not into a file",
                "leave out --out");
  }
  PCM_ASSIGN(const std::string sql, sql_of(options.query));
  PCM_ASSIGN(const auto parameters, parameters_of(options));
  const StopOnSignal signal("stopping the query");
  const auto timeout = std::chrono::milliseconds(std::llround(1000 * options.timeout_s));
  PCM_ASSIGN(db::ResultsQuery query,
             db::ResultsQuery::open(session.database, {timeout, signal.token()}));
  PCM_TRY(query.prepare(sql, parameters));
  if (options.watch_s > 0) return watch(query, options, signal.token());

  std::int64_t rows = 0;
  if (options.out.empty()) {
    const auto output = text_output(options.format, write_to_standard_output);
    PCM_ASSIGN(rows, answer(query, *output, options.limit));
  } else {
    PCM_ASSIGN(rows, answer_into_file(query, options));
  }
  if (!session.quiet && (!options.out.empty() || options.format == "table")) {
    const bool cut = options.limit > 0 && rows == options.limit;
    fmt::print(stderr, "{} row{}{}{}\n", grouped(rows), rows == 1 ? "" : "s",
               cut ? ", the most that were asked for" : "",
               options.out.empty() ? "" : " in " + options.out.string());
  }
  return {};
}

}  // namespace

void add_query(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "query", "Asks the database: SQL, or a question by its name; also while a run goes on");
  auto options = std::make_shared<QueryOptions>();
  auto* query = command->add_option("QUERY", options->query, "SQL that reads, or a name of --list");
  auto* list = command->add_flag("--list", options->list, "shows the questions that have a name");
  query->excludes(list);
  command
      ->add_option("--param", options->parameters,
                   "value of a :parameter of the query; may be given several times")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command->add_option("--format", options->format, "how rows are written")
      ->check(CLI::IsMember({"table", "csv", "json", "npz"}))
      ->capture_default_str();
  command->add_option("-o,--out", options->out, "a file in place of standard output");
  command->add_flag("--force", options->force, "replaces the file");
  command->add_option("--limit", options->limit, "only so many rows; 0 = all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--timeout-s", options->timeout_s, "ends the query after so long; 0 = never")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command
      ->add_option("--watch", options->watch_s,
                   "asks again when the database has changed, looking every so many seconds")
      ->check(CLI::Range(0.05, 1e6))
      ->type_name("SECONDS");
  command->callback([&session, options, query, list] {
    if (query->empty() && list->empty()) throw CLI::RequiredError("QUERY or --list");
    session.end(ask(session, *options));
  });
}

}  // namespace pcmlab::app

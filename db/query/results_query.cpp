// SPDX-License-Identifier: Apache-2.0
#include "db/query/results_query.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "db/extension/tables.h"
#include "db/schema.h"

namespace pcmlab::db {
namespace {

using Clock = std::chrono::steady_clock;

/// Steps of SQLite's machine between two looks at the clock: well below a millisecond.
constexpr int kStepsBetweenLooks = 10'000;
/// Blobs are met again and again as pages of the file.
constexpr const char* kMapFile = "PRAGMA mmap_size = 4294967296";
/// Tables of the extension are declared to SQLite when they are first met: before the authorizer,
/// which would take that for a change of the database.
constexpr const char* kMeetTables =
    "SELECT 1 FROM reading LIMIT 0; SELECT 1 FROM programmed_device LIMIT 0; "
    "SELECT 1 FROM device_drift LIMIT 0; SELECT 1 FROM device_wear LIMIT 0; "
    "SELECT 1 FROM pulse LIMIT 0; SELECT 1 FROM json_each('[]') LIMIT 0";

constexpr std::array<std::string_view, 12> kReadingPragmas = {
    "application_id", "compile_options", "data_version", "database_list",
    "encoding",       "function_list",   "index_list",   "page_count",
    "page_size",      "table_info",      "table_list",   "user_version"};

std::string_view text_or_nothing(const char* text) { return text == nullptr ? "" : text; }

/// What an action that does not only read is called; empty: it only reads.
std::string refused(int action, std::string_view first, std::string_view second) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return {};
    case SQLITE_FUNCTION:
      return second == "load_extension" ? "load an extension" : "";
    case SQLITE_PRAGMA: {
      const bool known =
          std::find(kReadingPragmas.begin(), kReadingPragmas.end(), first) != kReadingPragmas.end();
      // An argument sets something, but for the pragmas that list.
      const bool lists = first == "table_info" || first == "index_list" || first == "table_list";
      return known && (second.empty() || lists) ? "" : fmt::format("run PRAGMA {}", first);
    }
    case SQLITE_ATTACH:
      return "attach another file";
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
      return fmt::format("change {}", first);
    default:
      return "change the database";
  }
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n;") == std::string_view::npos;
}

std::string hex_of(const std::byte* bytes, int count) {
  std::string digits;
  for (int i = 0; i < count; ++i) digits += fmt::format("{:02x}", std::to_integer<int>(bytes[i]));
  return digits;
}

}  // namespace

struct ResultsQuery::Connection {
  explicit Connection(Database opened, QuerySettings wanted)
      : database(std::move(opened)), settings(std::move(wanted)) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { sqlite3_finalize(statement); }

  bool is_over() const {
    return settings.stop.stop_requested() ||
           (settings.timeout.count() > 0 && Clock::now() > begun + settings.timeout);
  }

  tl::unexpected<Error> refuse() const {
    return fail(ErrorCode::BadPlan,
                fmt::format("the query wants to {}; queries only read", refusal));
  }

  Database database;
  QuerySettings settings;
  sqlite3_stmt* statement = nullptr;
  std::vector<std::string> columns;
  Clock::time_point begun = Clock::now();
  std::string refusal;  ///< what the SQL wanted beyond reading
};

ResultsQuery::ResultsQuery(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)) {}
ResultsQuery::ResultsQuery(ResultsQuery&&) noexcept = default;
ResultsQuery::~ResultsQuery() = default;

Result<ResultsQuery> ResultsQuery::open(const std::filesystem::path& file,
                                        const QuerySettings& settings) {
  PCM_ASSIGN(Database database, Database::open(file, OpenMode::ReadOnly));
  PCM_TRY(check_schema(database));
  PCM_TRY(database.execute(kMapFile));
  auto connection = std::make_unique<Connection>(std::move(database), settings);
  sqlite3* const handle = connection->database.handle();
  if (extension::register_tables(handle) != SQLITE_OK) {
    return fail(ErrorCode::Database, fmt::format("{}: {}", file.string(), sqlite3_errmsg(handle)));
  }
  PCM_TRY(connection->database.execute(kMeetTables));
  sqlite3_set_authorizer(
      handle,
      [](void* user, int action, const char* first, const char* second, const char*, const char*) {
        auto& of = *static_cast<Connection*>(user);
        const std::string wish = refused(action, text_or_nothing(first), text_or_nothing(second));
        if (wish.empty()) return SQLITE_OK;
        of.refusal = wish;
        return SQLITE_DENY;
      },
      connection.get());
  sqlite3_progress_handler(
      handle, kStepsBetweenLooks,
      [](void* user) { return static_cast<const Connection*>(user)->is_over() ? 1 : 0; },
      connection.get());
  return ResultsQuery(std::move(connection));
}

Result<void> ResultsQuery::prepare(const std::string& sql,
                                   const std::map<std::string, std::string>& values) {
  Connection& of = *connection_;
  sqlite3_finalize(std::exchange(of.statement, nullptr));
  of.refusal.clear();
  const char* rest = nullptr;
  const int result = sqlite3_prepare_v2(of.database.handle(), sql.c_str(),
                                        static_cast<int>(sql.size() + 1), &of.statement, &rest);
  if (!of.refusal.empty()) return of.refuse();
  if (result != SQLITE_OK) {
    return fail(ErrorCode::BadPlan, fmt::format("SQLite: {}", sqlite3_errmsg(of.database.handle())),
                "`pcmlab query --list` shows the named questions, db/README.md the tables");
  }
  if (of.statement == nullptr) return fail(ErrorCode::BadPlan, "the query is empty");
  if (!is_blank(rest)) {
    return fail(ErrorCode::BadPlan, "there is more than one statement", "ask one at a time");
  }
  for (const auto& [name, text] : values) {
    const int index = sqlite3_bind_parameter_index(of.statement, (":" + name).c_str());
    if (index == 0) {
      return fail(ErrorCode::BadPlan, fmt::format("the query has no parameter :{}", name));
    }
    std::int64_t integer = 0;
    double real = 0;
    const char* const end = text.data() + text.size();
    if (const auto read = std::from_chars(text.data(), end, integer);
        read.ec == std::errc() && read.ptr == end) {
      sqlite3_bind_int64(of.statement, index, integer);
    } else if (const auto number = std::from_chars(text.data(), end, real);
               number.ec == std::errc() && number.ptr == end && std::isfinite(real)) {
      sqlite3_bind_double(of.statement, index, real);
    } else if (text != "null") {
      sqlite3_bind_text(of.statement, index, text.data(), static_cast<int>(text.size()),
                        SQLITE_TRANSIENT);
    }
  }
  of.columns.clear();
  for (int i = 0; i < sqlite3_column_count(of.statement); ++i) {
    of.columns.emplace_back(text_or_nothing(sqlite3_column_name(of.statement, i)));
  }
  of.begun = Clock::now();
  return {};
}

void ResultsQuery::restart() {
  sqlite3_reset(connection_->statement);
  connection_->begun = Clock::now();
}

const std::vector<std::string>& ResultsQuery::columns() const { return connection_->columns; }

Result<bool> ResultsQuery::step() {
  Connection& of = *connection_;
  const int result = sqlite3_step(of.statement);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  if (!of.refusal.empty()) return of.refuse();
  if (of.settings.stop.stop_requested()) return fail(ErrorCode::Stopped, "the query was stopped");
  if (result == SQLITE_INTERRUPT) {
    return fail(ErrorCode::Stopped,
                fmt::format("the query was stopped after {} s",
                            static_cast<double>(of.settings.timeout.count()) / 1000),
                "narrow it down by run_id, sweep_id or device, or allow more with --timeout-s");
  }
  const bool damaged = (result & 0xFF) == SQLITE_CORRUPT;
  return fail(damaged ? ErrorCode::BadFile : ErrorCode::Database,
              fmt::format("{}: {}", of.database.file(), sqlite3_errmsg(of.database.handle())));
}

Value ResultsQuery::value(std::size_t column) const {
  sqlite3_stmt* const row = connection_->statement;
  const int index = static_cast<int>(column);
  switch (sqlite3_column_type(row, index)) {
    case SQLITE_INTEGER:
      return std::int64_t{sqlite3_column_int64(row, index)};
    case SQLITE_FLOAT:
      return sqlite3_column_double(row, index);
    case SQLITE_TEXT: {
      const auto* const text = sqlite3_column_text(row, index);
      return std::string(text, text + sqlite3_column_bytes(row, index));
    }
    case SQLITE_BLOB: {
      const auto* const bytes = static_cast<const std::byte*>(sqlite3_column_blob(row, index));
      return HexBlob{hex_of(bytes, sqlite3_column_bytes(row, index))};
    }
    default:
      return Null{};
  }
}

Result<std::int64_t> ResultsQuery::data_version() {
  return connection_->database.query_integer("PRAGMA data_version");
}

}  // namespace pcmlab::db

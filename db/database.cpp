// SPDX-License-Identifier: Apache-2.0
#include "db/database.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>
#include <system_error>
#include <unordered_map>
#include <vector>

namespace pcmlab::db {

struct Connection {
  sqlite3* handle = nullptr;
  std::string file;
  bool read_only = false;
  int transaction_depth = 0;
  std::optional<Error> undone_by;  ///< why SQLite undid the open transaction as a whole
  int latest_failure = SQLITE_OK;  ///< SQLite's code, since the outermost work began
  Patience patience;
  bool waiting = false;  ///< its wait() is at work
  std::unordered_map<std::string, std::vector<sqlite3_stmt*>> idle_statements;

  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    for (auto& [sql, statements] : idle_statements) {
      for (sqlite3_stmt* statement : statements) {
        sqlite3_finalize(statement);
      }
    }
    sqlite3_close_v2(handle);
  }

  bool in_transaction() const { return sqlite3_get_autocommit(handle) == 0; }
  Error error(int result, std::string_view doing);
  Result<void> execute(const char* sql, std::string_view doing);
};

namespace {

ErrorCode code_of(int result) {
  switch (result & 0xff) {
    case SQLITE_FULL:
      return ErrorCode::DiskFull;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::Busy;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return ErrorCode::Io;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return ErrorCode::BadFile;
    default:
      return ErrorCode::Database;
  }
}

/// Whether the same work may succeed later, in the same process.
bool may_pass(int result) {
  switch (result) {
    case SQLITE_IOERR_CORRUPTFS:
    case SQLITE_IOERR_DATA:
    case SQLITE_IOERR_NOMEM:
      return false;
    default:
      break;
  }
  const int kind = result & 0xff;
  return kind == SQLITE_FULL || kind == SQLITE_BUSY || kind == SQLITE_IOERR;
}

/// Why a file could not be opened or made. SQLite's errno is that of its last try, which need not
/// be the one that mattered.
std::string advice_for_opening(const std::string& file) {
  const auto folder = std::filesystem::path(file).parent_path();
  std::error_code failure;
  if (!std::filesystem::exists(folder, failure)) {
    return "There is no folder " + folder.string() + "; make it first.";
  }
  if (std::filesystem::is_directory(file, failure)) {
    return "It is a folder; name a file in it.";
  }
  if (std::filesystem::exists(file, failure) && access(file.c_str(), R_OK) != 0) {
    return "You may not read this file; ask its owner.";
  }
  if (access(folder.c_str(), W_OK) != 0) {
    return "You may not write in the folder " + folder.string() + "; choose another one.";
  }
  return "Check the folder and its disk.";
}

std::string advice_for(int result, const std::string& file) {
  switch (result & 0xff) {
    case SQLITE_FULL:
      return "Make room on the disk; everything committed before is intact.";
    case SQLITE_LOCKED:
      return "Close the other use of the same connection first.";
    case SQLITE_BUSY: {
      const auto holder = write_lock_holder(file);
      if (!holder) {
        return "Another process is using the database; try again when it is done.";
      }
      if (*holder == getpid()) {
        return "Another connection of this process is writing; try again when it is done.";
      }
      return "Process " + std::to_string(*holder) +
             " is writing to the database; wait for it or stop it.";
    }
    case SQLITE_IOERR:
      return "Check the disk (dmesg) and whether the folder is still mounted.";
    case SQLITE_CANTOPEN:
      return advice_for_opening(file);
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return "Check the permissions of the file and its folder, or work on a copy.";
    case SQLITE_NOTADB:
      return "Give the path of a results database (written by pcmlab run).";
    case SQLITE_CORRUPT:
      return "Restore a backup, or save what is readable: sqlite3 FILE .recover";
    default:
      return {};
  }
}

/// The file as a URI, for options that only a URI can carry.
std::string uri_of(const std::string& file, std::string_view options) {
  std::string uri = "file:";
  for (const char c : file) {
    if (c == '%' || c == '?' || c == '#') {
      std::array<char, 4> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "%%%02X", static_cast<unsigned char>(c));
      uri += escaped.data();
    } else {
      uri += c;
    }
  }
  return uri.append("?").append(options);
}

bool is_nonempty_file(const std::string& path) {
  std::error_code failure;
  const auto size = std::filesystem::file_size(path, failure);
  return !failure && size > 0;
}

/// A connection opened and looked at once, so that every error of opening shows here.
Result<void> connect(Connection& connection, const std::string& name, int flags,
                     std::chrono::milliseconds busy_timeout, const char* pragmas) {
  sqlite3_close_v2(connection.handle);
  connection.handle = nullptr;
  const int opened = sqlite3_open_v2(name.c_str(), &connection.handle, flags, nullptr);
  if (opened != SQLITE_OK) {
    return tl::unexpected<Error>(connection.error(opened, "opening"));
  }
  sqlite3_extended_result_codes(connection.handle, 1);
  sqlite3_busy_timeout(connection.handle, static_cast<int>(busy_timeout.count()));
  if (connection.read_only) {
    // A reader must not bring the WAL of a killed writer into the file when it closes.
    sqlite3_db_config(connection.handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  }
  PCM_TRY(connection.execute(pragmas, "opening"));
  return connection.execute("SELECT count(*) FROM sqlite_schema", "opening");
}

Result<void> connect_read_only(Connection& connection, std::chrono::milliseconds busy_timeout) {
  constexpr int kFlags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
  auto opened = connect(connection, connection.file, kFlags, busy_timeout,
                        "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY");
  if (opened || opened.error().code != ErrorCode::Io) {
    return opened;
  }
  // The index of the WAL (-shm) cannot be made in a folder where one may not write. Without one no
  // writer is at work: read the WAL with an index of our own, or, without a WAL, the file alone.
  std::error_code failure;
  if (std::filesystem::exists(connection.file + "-shm", failure) || failure) {
    return opened;
  }
  const bool has_wal = is_nonempty_file(connection.file + "-wal");
  auto again = connect(
      connection,
      uri_of(connection.file, has_wal ? "mode=ro&vfs=unix-none" : "mode=ro&immutable=1"),
      kFlags | SQLITE_OPEN_URI, busy_timeout,
      "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA locking_mode = EXCLUSIVE");
  return again ? again : opened;
}

}  // namespace

Error Connection::error(int result, std::string_view doing) {
  latest_failure = result;
  std::string message(doing);
  message += message.empty() ? "" : " ";
  message += file;
  message += ": ";
  const bool is_latest = handle != nullptr && sqlite3_extended_errcode(handle) == result;
  message += is_latest ? sqlite3_errmsg(handle) : sqlite3_errstr(result);
  if ((result & 0xff) == SQLITE_IOERR && handle != nullptr && sqlite3_system_errno(handle) != 0) {
    message += " (" + std::generic_category().message(sqlite3_system_errno(handle)) + ")";
  }
  Error error{code_of(result), std::move(message), advice_for(result, file)};
  if (transaction_depth > 0 && !in_transaction() && !undone_by) {
    undone_by = error;
  }
  return error;
}

Result<void> Connection::execute(const char* sql, std::string_view doing) {
  const int result = sqlite3_exec(handle, sql, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) {
    return tl::unexpected<Error>(error(result, doing));
  }
  return {};
}

// ---- Statement -------------------------------------------------------------------------------

Statement::Statement(Connection& connection, sqlite3_stmt* statement)
    : connection_(&connection), statement_(statement) {}

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_),
      statement_(std::exchange(other.statement_, nullptr)),
      bind_result_(other.bind_result_) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this != &other) {
    release();
    connection_ = other.connection_;
    statement_ = std::exchange(other.statement_, nullptr);
    bind_result_ = other.bind_result_;
  }
  return *this;
}

Statement::~Statement() { release(); }

void Statement::release() {
  if (statement_ == nullptr) {
    return;
  }
  sqlite3_stmt* const statement = std::exchange(statement_, nullptr);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  connection_->idle_statements[sqlite3_sql(statement)].push_back(statement);
}

void Statement::note(int result) {
  if (bind_result_ == SQLITE_OK) {
    bind_result_ = result;
  }
}

void Statement::bind_at(int index, std::nullptr_t) { note(sqlite3_bind_null(statement_, index)); }

void Statement::bind_at(int index, double value) {
  note(sqlite3_bind_double(statement_, index, value));
}

void Statement::bind_integer(int index, std::int64_t value) {
  note(sqlite3_bind_int64(statement_, index, value));
}

void Statement::bind_at(int index, std::string_view text) {
  note(sqlite3_bind_text64(statement_, index, text.empty() ? "" : text.data(), text.size(),
                           SQLITE_TRANSIENT, SQLITE_UTF8));
}

void Statement::bind_at(int index, std::span<const std::byte> blob) {
  if (blob.empty()) {
    note(sqlite3_bind_zeroblob(statement_, index, 0));
  } else {
    note(sqlite3_bind_blob64(statement_, index, blob.data(), blob.size(), SQLITE_STATIC));
  }
}

void Statement::copy_to(int parameter, const Statement& row, int column) {
  note(sqlite3_bind_value(statement_, parameter + 1, sqlite3_column_value(row.statement_, column)));
}

Result<bool> Statement::step() {
  if (bind_result_ != SQLITE_OK) {
    return tl::unexpected<Error>(
        connection_->error(std::exchange(bind_result_, SQLITE_OK), "binding a value for"));
  }
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) {
    return true;
  }
  if (result == SQLITE_DONE) {
    return false;
  }
  Error error =
      connection_->error(result, sqlite3_stmt_readonly(statement_) != 0 ? "reading" : "writing to");
  sqlite3_reset(statement_);
  return tl::unexpected<Error>(std::move(error));
}

Result<void> Statement::finish() {
  for (;;) {
    PCM_ASSIGN(const bool more, step());
    if (!more) {
      sqlite3_reset(statement_);
      return {};
    }
  }
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

int Statement::columns() const { return sqlite3_column_count(statement_); }

bool Statement::is_integer(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_INTEGER;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Statement::real(int column) const { return sqlite3_column_double(statement_, column); }

std::string Statement::text(int column) const {
  const auto bytes =
      std::as_bytes(std::span(sqlite3_column_text(statement_, column),
                              static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> Statement::blob(int column) const {
  const void* const data = sqlite3_column_blob(statement_, column);
  return {static_cast<const std::byte*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

// ---- Transaction -----------------------------------------------------------------------------

Transaction::Transaction(Connection& connection, int level)
    : connection_(&connection), level_(level) {}

Transaction::Transaction(Transaction&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)), level_(other.level_) {}

Transaction::~Transaction() { roll_back(); }

void Transaction::roll_back() noexcept {
  if (connection_ == nullptr) {
    return;
  }
  Connection& connection = *std::exchange(connection_, nullptr);
  connection.transaction_depth = level_ - 1;
  if (connection.in_transaction()) {
    // A failure here has already undone the transaction: SQLite keeps none open after one.
    sqlite3_exec(connection.handle, level_ == 1 ? "ROLLBACK" : "ROLLBACK TO pcmlab; RELEASE pcmlab",
                 nullptr, nullptr, nullptr);
  }
  if (level_ == 1) {
    connection.undone_by.reset();
  }
}

Result<void> Transaction::commit() {
  if (connection_ == nullptr) {
    return fail(ErrorCode::Internal, "committing a transaction that is over");
  }
  Connection& connection = *connection_;
  Result<void> result;
  if (connection.undone_by) {
    result = tl::unexpected<Error>(connection.undone_by->during("committing what was undone by"));
  } else {
    result = connection.execute(level_ == 1 ? "COMMIT" : "RELEASE pcmlab", "committing to");
  }
  if (!result) {
    roll_back();
    return result;
  }
  connection.transaction_depth = level_ - 1;
  connection_ = nullptr;
  return {};
}

// ---- Database --------------------------------------------------------------------------------

Database::Database(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const std::filesystem::path& file, OpenMode mode,
                                std::chrono::milliseconds busy_timeout) {
  auto connection = std::make_unique<Connection>();
  connection->read_only = mode == OpenMode::ReadOnly;
  connection->file = file == ":memory:" ? file.string() : std::filesystem::absolute(file).string();
  if (mode == OpenMode::ReadOnly) {
    std::error_code failure;
    if (!std::filesystem::exists(connection->file, failure) && !failure) {
      return fail(ErrorCode::NotFound, "opening " + connection->file + ": there is no such file",
                  "Check the path; pcmlab run makes the file.");
    }
    PCM_TRY(connect_read_only(*connection, busy_timeout));
    return Database(std::move(connection));
  }
  // The size of a page counts only before the first table is made. 8 KiB: the verify read of a
  // batch of 4,096 devices, a row of 8.2 kB, would fill half of a page of 16 KiB, and with smaller
  // pages a block of 65,536 code sums is a longer chain.
  PCM_TRY(connect(*connection, connection->file,
                  SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, busy_timeout,
                  "PRAGMA page_size = 8192; PRAGMA temp_store = MEMORY;"
                  "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                  "PRAGMA journal_size_limit = 67108864"));
  return Database(std::move(connection));
}

Result<Statement> Database::prepare(std::string_view sql) {
  auto& idle = connection_->idle_statements[std::string(sql)];
  if (!idle.empty()) {
    sqlite3_stmt* const statement = idle.back();
    idle.pop_back();
    return Statement(*connection_, statement);
  }
  sqlite3_stmt* statement = nullptr;
  const int result =
      sqlite3_prepare_v3(connection_->handle, sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) {
    return tl::unexpected<Error>(connection_->error(result, "reading"));
  }
  return Statement(*connection_, statement);
}

Result<void> Database::execute(const std::string& sql) {
  return connection_->execute(sql.c_str(), "executing SQL on");
}

Result<std::int64_t> Database::query_integer(std::string_view sql) {
  PCM_ASSIGN(auto statement, prepare(sql));
  PCM_ASSIGN(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Result<Transaction> Database::begin(Access access) {
  Connection& connection = *connection_;
  if (connection.undone_by) {
    return tl::unexpected<Error>(*connection.undone_by);
  }
  const bool outermost = connection.transaction_depth == 0;
  const char* const sql = !outermost                ? "SAVEPOINT pcmlab"
                          : access == Access::Write ? "BEGIN IMMEDIATE"
                                                    : "BEGIN";
  PCM_TRY(connection.execute(
      sql, access == Access::Write ? "beginning to write to" : "beginning to read"));
  return Transaction(connection, ++connection.transaction_depth);
}

std::int64_t Database::last_insert_id() const {
  return sqlite3_last_insert_rowid(connection_->handle);
}
std::int64_t Database::changes() const { return sqlite3_changes64(connection_->handle); }
bool Database::read_only() const { return connection_->read_only; }
const std::string& Database::file() const { return connection_->file; }
sqlite3* Database::handle() const { return connection_->handle; }

// ---- trouble that may pass -------------------------------------------------------------------

void Database::set_patience(Patience patience) { connection_->patience = std::move(patience); }

void Database::forget_trouble() {
  if (connection_->transaction_depth == 0) connection_->latest_failure = SQLITE_OK;
}

bool Database::may_pass(const Error& trouble) const {
  const Connection& connection = *connection_;
  return connection.transaction_depth == 0 && !connection.waiting && connection.patience.wait &&
         db::may_pass(connection.latest_failure) &&
         trouble.code == code_of(connection.latest_failure);
}

Result<void> Database::wait_out(const Error& trouble) {
  connection_->waiting = true;
  Result<void> waited = connection_->patience.wait(trouble);
  connection_->waiting = false;
  return waited;
}

void Database::tell_over() {
  if (connection_->patience.over) connection_->patience.over();
}

// ---- who writes ------------------------------------------------------------------------------

std::optional<std::int64_t> write_lock_holder(const std::filesystem::path& file) {
  // SQLite's write lock of a WAL database is byte 120 of the -shm file. Asking for it with fcntl
  // needs an own descriptor, whose closing would drop all locks of this process on the file;
  // /proc/locks needs none. A line: "1: POSIX  ADVISORY  WRITE 4242 fe:00:131 120 120".
  constexpr std::int64_t kWriteLockByte = 120;
  struct stat index {};
  if (stat((file.string() + "-shm").c_str(), &index) != 0) {
    return std::nullopt;
  }
  std::ifstream locks("/proc/locks");
  std::string line;
  while (std::getline(locks, line)) {
    std::istringstream fields(line);
    std::string number;
    std::string kind;
    std::string advisory;
    std::string access;
    std::int64_t pid = 0;
    std::string place;
    std::int64_t first = 0;
    std::string last;
    if (!(fields >> number >> kind >> advisory >> access >> pid >> place >> first >> last) ||
        access != "WRITE") {
      continue;
    }
    unsigned major_number = 0;
    unsigned minor_number = 0;
    std::istringstream device(place);
    char colon = 0;
    std::uint64_t inode = 0;
    device >> std::hex >> major_number >> colon >> minor_number >> colon >> std::dec >> inode;
    std::int64_t last_byte = std::numeric_limits<std::int64_t>::max();  // "EOF"
    std::from_chars(last.data(), last.data() + last.size(), last_byte);
    if (device && inode == index.st_ino && major_number == major(index.st_dev) &&
        minor_number == minor(index.st_dev) && first <= kWriteLockByte &&
        last_byte >= kWriteLockByte && pid > 0) {
      return pid;
    }
  }
  return std::nullopt;
}

}  // namespace pcmlab::db

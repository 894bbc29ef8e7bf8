// SPDX-License-Identifier: Apache-2.0
/// \file
/// SQLite as values: Database owns a connection, Statement a prepared statement, Transaction a
/// begin without its end. All of one connection belong to one thread; statements and transactions
/// must be gone before their database is.
#pragma once

#include <sqlite3.h>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/error.h"

namespace pcmlab::db {

struct Connection;  // what a Database owns; database.cpp

/// A prepared statement, reset and unbound when it goes; its compiled form stays with the
/// database for the next time. Errors of binding are reported by the step that follows.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  /// Binds all parameters in order. Text is copied; the bytes of a blob must live until the last
  /// step. nullptr and an empty optional are NULL; unsigned 64-bit numbers keep their bits.
  template <class... Values>
  Statement& bind(const Values&... values) {
    int index = 0;
    (bind_at(++index, values), ...);
    return *this;
  }
  /// To the next row. \return false after the last one.
  Result<bool> step();
  /// Binds, runs to the end and resets.
  template <class... Values>
  Result<void> execute(const Values&... values) {
    bind(values...);
    return finish();
  }

  // One parameter, from 0. copy_to() takes a column of another statement's current row as it is.
  void bind_to(int parameter, std::optional<std::int64_t> value) { bind_at(parameter + 1, value); }
  void copy_to(int parameter, const Statement& row, int column);

  // Columns of the current row, from 0. A blob's bytes live until the next step.
  int columns() const;
  bool is_integer(int column) const;
  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  std::span<const std::byte> blob(int column) const;

 private:
  friend class Database;
  Statement(Connection& connection, sqlite3_stmt* statement);

  void bind_at(int index, std::nullptr_t);
  void bind_at(int index, double value);
  void bind_at(int index, std::string_view text);
  void bind_at(int index, std::span<const std::byte> blob);
  void bind_integer(int index, std::int64_t value);
  template <std::integral Integer>
  void bind_at(int index, Integer value) {
    bind_integer(index, static_cast<std::int64_t>(value));
  }
  template <class Value>
  void bind_at(int index, const std::optional<Value>& value) {
    if (value) {
      bind_at(index, *value);
    } else {
      bind_at(index, nullptr);
    }
  }
  void note(int result);
  Result<void> finish();
  void release();

  Connection* connection_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
  int bind_result_ = 0;
};

/// Work that is kept whole or not at all: undone when it goes without commit(). Inside another
/// transaction it is a savepoint of that one: undone alone, kept only if the outer one is.
class Transaction {
 public:
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  /// Keeps the work; the outermost one is on disk when this returns. After an error nothing of it
  /// was kept. When SQLite undid the whole transaction earlier (disk full, for one), the error of
  /// then comes again here.
  Result<void> commit();

 private:
  friend class Database;
  Transaction(Connection& connection, int level);
  void roll_back() noexcept;

  Connection* connection_ = nullptr;
  int level_ = 0;  ///< 1: the outermost
};

enum class OpenMode {
  ReadWriteCreate,
  ReadOnly,  ///< never changes the file, nor what a killed writer left in its WAL
};

/// Whether a transaction may write. A writing one waits for other writers at its beginning.
enum class Access { Read, Write };

constexpr std::chrono::milliseconds kBusyTimeout{5000};

/// What becomes of work that was undone by trouble that may pass: a full disk, an I/O error,
/// another writer.
struct Patience {
  /// The work is done again when this returns. Its error ends the work in place of the trouble's.
  /// What it reads and writes itself is not waited for.
  std::function<Result<void>(const Error& trouble)> wait = {};
  std::function<void()> over = {};  ///< work that was waited for is done
};

/// One connection to an SQLite file: synchronous=FULL, foreign keys checked. That the file is in
/// WAL mode is a property of the file, set when the schema is made (schema.h).
///
/// Errors of all calls: DiskFull, Busy (another connection holds what is needed), Io, BadFile (not
/// a database, or damaged), else Database. The text names the file and SQLite's own message.
class Database {
 public:
  /// ":memory:" is a database of its own. Errors: also NotFound (read-only and there is no file).
  static Result<Database> open(const std::filesystem::path& file, OpenMode mode,
                               std::chrono::milliseconds busy_timeout = kBusyTimeout);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  /// One statement, compiled or taken from those compiled before.
  Result<Statement> prepare(std::string_view sql);
  /// Any number of statements, without their rows.
  Result<void> execute(const std::string& sql);
  /// The first column of the first row, 0 without a row: for pragmas and counts.
  Result<std::int64_t> query_integer(std::string_view sql);
  Result<Transaction> begin(Access access = Access::Write);

  /// From now on; without `wait` all trouble is an error at once, as it is in the beginning.
  void set_patience(Patience patience);
  /// Does work that can be done again, `attempt`, until it succeeds or is not worth waiting for.
  /// Inside a transaction it is done once: what may be done again is the outermost.
  template <class Attempt>
  auto patiently(const Attempt& attempt) -> decltype(attempt()) {
    for (bool waited = false;; waited = true) {
      forget_trouble();
      auto result = attempt();
      if (result) {
        if (waited) tell_over();
        return result;
      }
      if (!may_pass(result.error())) return result;
      PCM_TRY(wait_out(result.error()));
    }
  }

  std::int64_t last_insert_id() const;
  /// Rows changed by the last statement.
  std::int64_t changes() const;
  bool read_only() const;
  /// As given to open(), made absolute.
  const std::string& file() const;
  /// For what is not covered here: backup, blob handles, hooks.
  sqlite3* handle() const;

 private:
  explicit Database(std::unique_ptr<Connection> connection);
  void forget_trouble();
  bool may_pass(const Error& trouble) const;
  Result<void> wait_out(const Error& trouble);
  void tell_over();

  std::unique_ptr<Connection> connection_;
};

/// The process on this machine that holds the write lock of a WAL database; none when nobody does
/// or the system does not tell.
std::optional<std::int64_t> write_lock_holder(const std::filesystem::path& file);

}  // namespace pcmlab::db

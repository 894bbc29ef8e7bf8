// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a person at a terminal sees: progress, errors, tables, numbers with units. Results go to
/// standard output, everything else to standard error. Used by one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "experiments/engine/run_observer.h"
#include "protocol/error.h"

namespace pcmlab::app {

/// "pcmlab: cannot open the plan x.toml\n  what to do: ..." on standard error.
void print_error(const Error& error);

/// 723444 as "723,444".
std::string grouped(std::int64_t number);
/// 25 as "25 s", 5400 as "1.5 h", 86400 as "1 d".
std::string duration_text(double t_s);
/// "2026-11-23T19:59:43.474Z" as "2026-11-23 19:59 UTC".
std::string date_text(const std::string& utc);
/// 20971520 as "21 MB".
std::string bytes_text(std::int64_t bytes);

/// Columns padded to the widest cell; columns of numbers are right-aligned, others left-aligned.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// On a terminal a line that is rewritten; elsewhere plain lines, at most one every ten seconds; in
/// the journal, which is told priorities, one every ten minutes.
class ConsoleObserver : public RunObserver {
 public:
  explicit ConsoleObserver(bool quiet);
  ~ConsoleObserver() override;
  ConsoleObserver(const ConsoleObserver&) = delete;
  ConsoleObserver& operator=(const ConsoleObserver&) = delete;

  void run_started(db::RowId run, const std::string& name) override;
  void step_started(std::size_t number, std::size_t count, std::string_view experiment) override;
  void step_finished(std::string_view experiment, double wall_s) override;
  void progress(const db::ProgressRow& progress) override;
  void message(const std::string& text) override;
  void held_up(const std::string& text) override;  ///< said even if nothing else is to be

 private:
  void line(const std::string& text);
  void print(const std::string& text);
  void clear_bar();

  bool quiet_;
  bool terminal_;
  bool bar_shown_ = false;
  std::chrono::steady_clock::time_point last_progress_{};
};

}  // namespace pcmlab::app

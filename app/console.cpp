// SPDX-License-Identifier: Apache-2.0
#include "app/console.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace pcmlab::app {
namespace {

/// Columns that a UTF-8 text takes.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

/// To a terminal that may be gone: that is no reason to end a run.
void say(const std::string& text) { std::fputs(text.c_str(), stderr); }

/// Whether standard error goes to the journal, which has times of its own and takes a priority at
/// the beginning of a line (sd-daemon(3)).
bool is_journal() {
  static const bool is = [] {
    const char* const stream = std::getenv("JOURNAL_STREAM");
    struct stat file {};
    return stream != nullptr && fstat(STDERR_FILENO, &file) == 0 &&
           fmt::format("{}:{}", file.st_dev, file.st_ino) == stream;
  }();
  return is;
}
constexpr const char* kJournalError = "<3>";
constexpr const char* kJournalNotice = "<5>";
constexpr const char* kJournalInfo = "<6>";

}  // namespace

void print_error(const Error& error) {
  const char* const priority = is_journal() ? kJournalError : "";
  say(fmt::format("{}pcmlab: {}\n", priority, error.message));
  if (!error.advice.empty()) say(fmt::format("{}  what to do: {}\n", priority, error.advice));
}

std::string grouped(std::int64_t number) {
  const std::string digits = fmt::format("{}", std::abs(number));
  std::string out;
  if (number < 0) out.push_back('-');
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out.push_back(',');
    out.push_back(digits[i]);
  }
  return out;
}

std::string duration_text(double t_s) {
  struct Unit {
    double seconds;
    const char* name;
  };
  static constexpr Unit kUnits[] = {{365.25 * 86400, "y"}, {86400, "d"}, {3600, "h"}, {60, "min"}};
  for (const Unit& unit : kUnits) {
    if (t_s >= 0.9995 * unit.seconds)
      return fmt::format("{:.3g} {}", t_s / unit.seconds, unit.name);
  }
  return fmt::format("{:.3g} s", t_s);
}

std::string date_text(const std::string& utc) {
  constexpr std::size_t kToTheMinute = 16;
  if (utc.size() < kToTheMinute) return utc;
  return fmt::format("{} {} UTC", utc.substr(0, 10), utc.substr(11, 5));
}

std::string bytes_text(std::int64_t bytes) {
  const auto size = static_cast<double>(bytes);
  if (size >= 1e9) return fmt::format("{:.3g} GB", size / 1e9);
  if (size >= 1e6) return fmt::format("{:.3g} MB", size / 1e6);
  return fmt::format("{:.3g} kB", size / 1e3);
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  std::vector<bool> numbers(rows_.front().size(), true);
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) {
      widths[c] = std::max(widths[c], width_of(row[c]));
      const bool number = !row[c].empty() && row[c].find_first_of("+-0123456789") == 0;
      if (&row != &rows_.front() && !number) numbers[c] = false;
    }
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string text;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - width_of(row[c]), ' ');
      text += (c == 0 ? "" : "   ") + (numbers[c] ? padding + row[c] : row[c] + padding);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

ConsoleObserver::ConsoleObserver(bool quiet) : quiet_(quiet), terminal_(isatty(2) == 1) {}

ConsoleObserver::~ConsoleObserver() { clear_bar(); }

void ConsoleObserver::clear_bar() {
  if (!bar_shown_) return;
  say("\r\033[K");
  bar_shown_ = false;
}

void ConsoleObserver::line(const std::string& text) {
  if (!quiet_) print(text);
}

void ConsoleObserver::print(const std::string& text) {
  clear_bar();
  if (is_journal()) {
    say(fmt::format("{}{}\n", kJournalNotice, text));
  } else if (terminal_) {
    say(fmt::format("{}\n", text));
  } else {
    std::tm local{};
    const std::time_t now = std::time(nullptr);
    localtime_r(&now, &local);
    say(fmt::format("{:%Y-%m-%d %H:%M:%S} {}\n", local, text));
  }
}

void ConsoleObserver::run_started(db::RowId run, const std::string& name) {
  line(name.empty() ? fmt::format("run {}", run) : fmt::format("run {}: {}", run, name));
}

void ConsoleObserver::step_started(std::size_t number, std::size_t count,
                                   std::string_view experiment) {
  line(fmt::format("step {} of {}: {}", number, count, experiment));
  last_progress_ = std::chrono::steady_clock::now();
}

void ConsoleObserver::step_finished(std::string_view experiment, double wall_s) {
  line(fmt::format("{} took {}", experiment, duration_text(wall_s)));
}

void ConsoleObserver::message(const std::string& text) { line(text); }

void ConsoleObserver::held_up(const std::string& text) { print(text); }

void ConsoleObserver::progress(const db::ProgressRow& progress) {
  if (quiet_) return;
  const auto now = std::chrono::steady_clock::now();
  const auto wait = terminal_      ? std::chrono::milliseconds(100)
                    : is_journal() ? std::chrono::milliseconds(600'000)
                                   : std::chrono::milliseconds(10000);
  if (now - last_progress_ < wait && progress.done < progress.total) return;
  if (!terminal_ && progress.done >= progress.total) return;  // the message that follows says it
  last_progress_ = now;
  const double share =
      progress.total > 0 ? static_cast<double>(progress.done) / static_cast<double>(progress.total)
                         : 0.0;
  const std::string left =
      progress.eta_s >= 1 ? ", " + duration_text(progress.eta_s) + " left" : "";
  if (!terminal_) {
    const std::string text = fmt::format("{}: {:.0f} %{}", progress.activity, 100 * share, left);
    if (is_journal()) {
      say(fmt::format("{}{}\n", kJournalInfo, text));
    } else {
      line(text);
    }
    return;
  }
  constexpr int kCells = 30;
  const int full = static_cast<int>(share * kCells);
  say(fmt::format("\r\033[K[{:=<{}}{: <{}}] {:3.0f} %  {}{}", "", full, "", kCells - full,
                  100 * share, progress.activity, left));
  (void)std::fflush(stderr);
  bar_shown_ = true;
}

}  // namespace pcmlab::app

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Starts `pcmlab` in a process of its own, which goes on when the window is closed or dies. GUI
/// thread.
#pragma once

#include <QElapsedTimer>
#include <QStringList>
#include <QTimer>
#include <filesystem>
#include <functional>
#include <list>
#include <optional>
#include <string>

#include "app/gui/follower.h"
#include "protocol/error.h"

namespace pcmlab::gui {

/// The command line's program: the one beside this program, where it is installed or built, else
/// that of the PATH. Empty: there is none.
std::filesystem::path runner_program();

/// A plan's text as a file in the user's cache, for a process. Errors: Io.
Result<QString> keep_plan(const std::string& words);

class Runner {
 public:
  /// What became of a process.
  struct Tell {
    std::function<void(db::RowId run)> began;
    std::function<void(const Error&)> failed;  ///< before it was at any run; says what it said
  };

  Runner();

  /// Tests have one of their own.
  void set_program(std::filesystem::path program) { program_ = std::move(program); }
  const std::filesystem::path& program() const { return program_; }

  /// Starts the program, whose words go to a file in the user's cache.
  /// Errors: NotFound (no program), Io.
  /// \param of  the run that it goes on with; none: it begins one
  Result<void> start(const QStringList& arguments, std::optional<db::RowId> of,
                     const std::filesystem::path& folder, Tell tell);
  /// Starts `pcmlab queue run`, which may wait for plans at no run at all.
  /// \param failed  it ended before it was at one. Errors: those of start().
  Result<void> start_queue(const QStringList& arguments, std::function<void(const Error&)> failed);
  /// It is meant to end.
  void forget_queue();
  /// A process is known by the run at which it is.
  void look(const Snapshot& snapshot);
  /// Whether a process was started that is at no run yet.
  bool is_starting() const;

 private:
  enum class Work { Run, Queue };
  struct Starting {
    Work work = Work::Run;
    qint64 pid = 0;
    std::optional<db::RowId> of;
    std::string since_utc;
    QString words;  ///< file
    Tell tell;
    QElapsedTimer gone;  ///< since its process was seen no more; a short run is in the database
  };
  Result<void> start(Work work, const QStringList& arguments, std::optional<db::RowId> of,
                     const std::filesystem::path& folder, Tell tell);
  void look_at_processes();

  std::filesystem::path program_;
  std::list<Starting> starting_;
  QTimer ticks_;
};

}  // namespace pcmlab::gui

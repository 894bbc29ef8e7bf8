// SPDX-License-Identifier: Apache-2.0
/// \file
/// Asks something of `pcmlab` in a child process and gets its answer as JSON: what touches a board
/// is never done in the window's own process. GUI thread.
#pragma once

#include <QProcess>
#include <QStringList>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>

#include "protocol/error.h"

namespace pcmlab::gui {

/// One question at a time; the answer comes while this lives.
class ChildAnswer {
 public:
  using Answer = std::function<void(Result<nlohmann::json>)>;

  ChildAnswer();
  /// Ends the process and waits for it.
  ~ChildAnswer();
  ChildAnswer(const ChildAnswer&) = delete;
  ChildAnswer& operator=(const ChildAnswer&) = delete;

  /// `--json` is added. An answer that is due is not given any more. Exit codes other than 0 may
  /// come with an answer: a check that failed. Errors: NotFound (no program), Stopped, and Io with
  /// the program's own words.
  /// \param folder  in which the program works; empty: that of this process
  void ask(const std::filesystem::path& program, const QStringList& arguments, Answer answer,
           const std::filesystem::path& folder = {});
  void stop();
  bool is_asking() const { return process_.state() != QProcess::NotRunning; }

 private:
  void finish();

  QProcess process_;
  Answer answer_;
  bool stopped_ = false;
};

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Follows a database while others write to it: a thread with a read-only connection that polls
/// PRAGMA data_version and reads the list of runs when it has changed. Made and destroyed in the
/// GUI thread, where it also tells what it found.
#pragma once

#include <QObject>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "db/run_store.h"
#include "protocol/error.h"

namespace pcmlab::gui {

struct FollowedRun {
  db::RunRow row;
  std::optional<db::ProgressRow> progress;  ///< while it runs
  std::int64_t notes = 0;
};

/// The database at a moment.
struct Snapshot {
  std::int64_t number = 0;        ///< counts changes, from 1
  std::vector<FollowedRun> runs;  ///< newest first

  const FollowedRun* find(db::RowId run) const;
};

class Follower {
 public:
  using Tell = std::function<void(Result<std::shared_ptr<const Snapshot>>)>;

  /// Looks every `interval` whether somebody has committed something, and every ten intervals
  /// whether a runner has died without a word. An error is told once, until it is over or another.
  Follower(std::filesystem::path file, Tell tell,
           std::chrono::milliseconds interval = std::chrono::milliseconds(250));
  /// Waits for the thread; what is not told yet is not told any more.
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

 private:
  void follow(const std::stop_token& stop, std::chrono::milliseconds interval);

  std::filesystem::path file_;
  std::shared_ptr<Tell> tell_;
  std::unique_ptr<QObject> here_;
  std::jthread thread_;
};

}  // namespace pcmlab::gui

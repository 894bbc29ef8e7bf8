// SPDX-License-Identifier: Apache-2.0
/// \file
/// Reads the database away from the GUI thread: jobs one after another on a read-only connection of
/// its own, their answers back in the GUI thread. Made, asked and destroyed in the GUI thread.
#pragma once

#include <QObject>
#include <QPointer>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "db/run_store.h"
#include "protocol/error.h"

namespace pcmlab::gui {

/// Errors of opening the database reach every job that needs it.
class ReadingThread {
 public:
  ReadingThread();
  /// Asks the job at work to stop and waits for it; answers that are due are not given any more.
  ~ReadingThread();
  ReadingThread(const ReadingThread&) = delete;
  ReadingThread& operator=(const ReadingThread&) = delete;

  /// What is asked from now on is asked of this file. Jobs that wait are dropped.
  void open(const std::filesystem::path& file);

  /// Runs `work` in the thread and `answer` with its result in the GUI thread, unless the asker is
  /// gone or has asked something else in the meantime. A job of the same asker that still waits is
  /// replaced, one at work is asked to stop.
  template <class T>
  void ask(QObject* asker, std::function<Result<T>(db::RunStore&, const std::stop_token&)> work,
           std::function<void(Result<T>)> answer) {
    post(asker,
         [work = std::move(work), answer = std::move(answer)](
             Result<db::RunStore*> store, const std::stop_token& stop) -> std::function<void()> {
           auto result = std::make_shared<Result<T>>(
               store ? work(**store, stop) : tl::unexpected<Error>(std::move(store).error()));
           return [answer, result] { answer(std::move(*result)); };
         });
  }

  /// Whether an answer to this asker is due.
  bool is_asked_by(const QObject* asker) const;

 private:
  /// \return what shall happen in the GUI thread.
  using Job = std::function<std::function<void()>(Result<db::RunStore*>, const std::stop_token&)>;
  struct Waiting {
    const QObject* asker;
    std::uint64_t ticket;
    std::stop_source stop;
    Job job;
  };

  void post(QObject* asker, Job job);
  void work(const std::stop_token& done);
  void deliver(const QObject* asker, std::uint64_t ticket, const std::function<void()>& answer);
  Result<db::RunStore*> store();

  // Of the GUI thread: the newest question of every asker.
  std::map<const QObject*, std::pair<QPointer<QObject>, std::uint64_t>> newest_;
  std::uint64_t tickets_ = 0;
  std::unique_ptr<QObject> here_;  ///< answers are events for it

  std::mutex mutex_;  ///< of the following
  std::condition_variable_any wake_;
  std::deque<Waiting> jobs_;
  const QObject* at_work_ = nullptr;
  std::stop_source at_work_stop_;
  std::filesystem::path file_;
  bool reopen_ = false;

  std::optional<db::RunStore> store_;  ///< of the thread
  std::jthread thread_;
};

}  // namespace pcmlab::gui

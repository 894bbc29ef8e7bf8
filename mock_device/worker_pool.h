// SPDX-License-Identifier: Apache-2.0
/// \file
/// A fixed set of threads for number crunching. run() is called from one thread at a time.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace pcmlab::mock {

class WorkerPool {
 public:
  /// \param threads  0 = one per core; the calling thread is one of them.
  explicit WorkerPool(unsigned threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  unsigned threads() const { return static_cast<unsigned>(workers_.size()) + 1; }

  /// Calls task(begin, end) for contiguous parts of [0, count), one part a thread, and waits.
  void run(std::size_t count, const std::function<void(std::size_t, std::size_t)>& task);

 private:
  void work(unsigned part, const std::stop_token& stop);
  std::size_t begin_of(unsigned part) const;

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::condition_variable done_;
  const std::function<void(std::size_t, std::size_t)>* task_ = nullptr;
  std::size_t count_ = 0;
  std::uint64_t round_ = 0;
  std::size_t busy_ = 0;
  std::vector<std::jthread> workers_;  // last: joined before the rest goes
};

}  // namespace pcmlab::mock

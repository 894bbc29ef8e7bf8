// SPDX-License-Identifier: Apache-2.0
#include "mock_device/worker_pool.h"

#include <algorithm>

namespace pcmlab::mock {

WorkerPool::WorkerPool(unsigned threads) {
  const unsigned wanted =
      threads != 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
  workers_.reserve(wanted - 1);
  for (unsigned part = 1; part < wanted; ++part) {
    workers_.emplace_back([this, part](const std::stop_token& stop) { work(part, stop); });
  }
}

WorkerPool::~WorkerPool() {
  for (auto& worker : workers_) worker.request_stop();
}

std::size_t WorkerPool::begin_of(unsigned part) const { return count_ * part / threads(); }

void WorkerPool::run(std::size_t count, const std::function<void(std::size_t, std::size_t)>& task) {
  if (workers_.empty()) {
    task(0, count);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    busy_ = workers_.size();
    ++round_;
  }
  wake_.notify_all();
  task(0, begin_of(1));
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return busy_ == 0; });
}

void WorkerPool::work(unsigned part, const std::stop_token& stop) {
  std::uint64_t seen = 0;
  while (true) {
    std::unique_lock lock(mutex_);
    if (!wake_.wait(lock, stop, [&] { return round_ != seen; })) return;
    seen = round_;
    const auto* task = task_;
    const std::size_t begin = begin_of(part);
    const std::size_t end = begin_of(part + 1);
    lock.unlock();
    (*task)(begin, end);
    lock.lock();
    if (--busy_ == 0) done_.notify_one();
  }
}

}  // namespace pcmlab::mock

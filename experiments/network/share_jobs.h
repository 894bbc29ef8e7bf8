// SPDX-License-Identifier: Apache-2.0
/// \file
/// Spreads independent jobs over threads that exist only during the call.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "protocol/error.h"

namespace pcmlab {

/// Calls work(worker, job), which returns a Result<void>, for every job, on as many threads as
/// there are workers, the calling one among them. A worker takes the next job when it is done, so a
/// busy core slows only its own. After a failure no further job is begun. \return the error of the
/// first job that failed: the same on any number of threads, as all jobs before it have been done.
/// Rethrows the first exception.
template <class Work>
Result<void> share_jobs(std::size_t workers, std::size_t jobs, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::mutex failure_lock;
  std::exception_ptr exception;
  std::size_t failed_job = std::numeric_limits<std::size_t>::max();
  Result<void> outcome;
  const auto serve = [&](std::size_t worker) {
    try {
      for (std::size_t job = next++; job < jobs; job = next++) {
        Result<void> done = work(worker, job);
        if (done) continue;
        const std::lock_guard lock(failure_lock);
        if (job < failed_job) {
          failed_job = job;
          outcome = std::move(done);
        }
        next = jobs;
      }
    } catch (...) {
      const std::lock_guard lock(failure_lock);
      exception = std::current_exception();
      next = jobs;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t worker = 1; worker < std::min(workers, jobs); ++worker) {
      threads.emplace_back(serve, worker);
    }
    serve(0);
  }
  if (exception) std::rethrow_exception(exception);
  return outcome;
}

}  // namespace pcmlab

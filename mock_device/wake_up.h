// SPDX-License-Identifier: Apache-2.0
/// \file
/// Wakes a thread that waits in poll().
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "mock_device/file_descriptor.h"

namespace pcmlab::mock {

/// wake() from any thread; the rest is the waiting thread's. Waking twice before reset() is once.
class WakeUp {
 public:
  WakeUp() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!fd_) throw std::system_error(errno, std::generic_category(), "eventfd");
  }

  void wake() const {
    const std::uint64_t one = 1;
    // It can only fail by being full, and then it is awake.
    [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof one);
  }
  void reset() const {
    std::uint64_t times = 0;
    [[maybe_unused]] const ssize_t got = ::read(fd_.get(), &times, sizeof times);
  }
  /// Readable, for poll(), from wake() until reset().
  int fd() const { return fd_.get(); }

 private:
  FileDescriptor fd_;
};

}  // namespace pcmlab::mock

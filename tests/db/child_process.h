// SPDX-License-Identifier: Apache-2.0
/// \file
/// A forked child that does its work and is gone, by itself or by SIGKILL. The parent must have no
/// database open when it forks.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

namespace pcmlab::db {

class ChildProcess {
 public:
  /// In the child: tells the parent one number, in order.
  using Tell = std::function<void(std::int64_t)>;

  /// Forks; the child runs `work` and exits, with 0 unless it throws.
  explicit ChildProcess(const std::function<void(const Tell&)>& work);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  /// Waits for the next number. \return -1 when the child will tell no more.
  std::int64_t next();
  void kill();
  /// Waits until the child is over but leaves it a zombie.
  void await_death() const;
  /// \return the exit status; -1 when a signal ended it.
  int wait();

 private:
  pid_t pid_ = 0;
  int pipe_ = -1;
  bool waited_ = false;
};

/// Runs `work` in a child without root's rights. \return its exception's text; empty if none.
std::string as_ordinary_user(const std::function<void()>& work);

}  // namespace pcmlab::db

// SPDX-License-Identifier: Apache-2.0
#include "tests/db/child_process.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <exception>
#include <iostream>
#include <stdexcept>

namespace pcmlab::db {

namespace {

struct Pipe {
  int reading = -1;
  int writing = -1;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::runtime_error("no pipe");
  }
  return {ends[0], ends[1]};
}

}  // namespace

ChildProcess::ChildProcess(const std::function<void(const Tell&)>& work) {
  const Pipe numbers = make_pipe();
  pid_ = fork();
  if (pid_ < 0) {
    throw std::runtime_error("no child process");
  }
  if (pid_ == 0) {
    close(numbers.reading);
    int status = 0;
    try {
      work([&](std::int64_t number) {
        if (write(numbers.writing, &number, sizeof number) != sizeof number) {
          _exit(3);
        }
      });
    } catch (const std::exception& exception) {
      std::cerr << "child process: " << exception.what() << '\n';
      status = 2;
    }
    _exit(status);
  }
  close(numbers.writing);
  pipe_ = numbers.reading;
}

ChildProcess::~ChildProcess() {
  if (!waited_) {
    kill();
    wait();
  }
  close(pipe_);
}

std::int64_t ChildProcess::next() {
  std::int64_t number = 0;
  return read(pipe_, &number, sizeof number) == sizeof number ? number : -1;
}

void ChildProcess::kill() { ::kill(pid_, SIGKILL); }

void ChildProcess::await_death() const {
  siginfo_t information{};
  waitid(P_PID, static_cast<id_t>(pid_), &information, WEXITED | WNOWAIT);
}

int ChildProcess::wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  waited_ = true;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string as_ordinary_user(const std::function<void()>& work) {
  const Pipe text = make_pipe();
  const pid_t child = fork();
  if (child < 0) {
    throw std::runtime_error("no child process");
  }
  if (child == 0) {
    std::string error;
    constexpr uid_t kNobody = 65534;
    if (geteuid() == 0 && setresuid(kNobody, kNobody, kNobody) != 0) {
      error = "root's rights could not be dropped";
    } else {
      try {
        work();
      } catch (const std::exception& exception) {
        error = exception.what();
      }
    }
    _exit(write(text.writing, error.data(), error.size()) == static_cast<ssize_t>(error.size())
              ? 0
              : 1);
  }
  close(text.writing);
  std::string error;
  std::array<char, 512> piece{};
  for (ssize_t count = 0; (count = read(text.reading, piece.data(), piece.size())) > 0;) {
    error.append(piece.data(), static_cast<std::size_t>(count));
  }
  close(text.reading);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? error
                                                       : "the child process broke: " + error;
}

}  // namespace pcmlab::db

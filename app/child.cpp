// SPDX-License-Identifier: Apache-2.0
#include "app/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

namespace pcmlab::app {
namespace {

using Steady = std::chrono::steady_clock;

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() { close_now(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }
  void close_now() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

 private:
  int descriptor_;
};

tl::unexpected<Error> cannot_start(const ChildJob& job, int number) {
  return fail(number == ENOENT ? ErrorCode::NotFound : ErrorCode::Io,
              fmt::format("cannot start {}: {}", job.command.front(),
                          std::generic_category().message(number)),
              "install it, or give its whole path");
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// This process's, with the job's in the place of those of the same name.
std::vector<std::string> environment_of(const ChildJob& job) {
  std::vector<std::string> all = job.environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('=') + 1);
    bool is_given = false;
    for (const std::string& given : job.environment) is_given |= given.starts_with(name);
    if (!is_given) all.push_back(text);
  }
  return all;
}

Result<pid_t> spawn(const ChildJob& job, int input, int output) {
  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  posix_spawnattr_t attributes{};
  posix_spawnattr_init(&attributes);
  sigset_t none{}, usual{};
  sigemptyset(&none);
  sigemptyset(&usual);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1}) sigaddset(&usual, signal);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<std::string> command = job.command, environment = environment_of(job);
  pid_t process = 0;
  const int failed = posix_spawnp(&process, command.front().c_str(), &actions, &attributes,
                                  pointers(command).data(), pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return cannot_start(job, failed);
  return process;
}

/// Takes what there is to read and keeps its end.
void drain(int pipe, std::string& tail) {
  constexpr std::size_t kMostKept = 400;
  std::array<char, 4096> chunk{};
  // A program that never stops printing is not listened to for ever.
  for (int round = 0; round < 16; ++round) {
    const ssize_t got = ::read(pipe, chunk.data(), chunk.size());
    if (got <= 0) return;
    tail.append(chunk.data(), static_cast<std::size_t>(got));
    if (tail.size() > kMostKept) tail.erase(0, tail.size() - kMostKept);
  }
}

std::string last_line(std::string tail) {
  while (!tail.empty() && (tail.back() == '\n' || tail.back() == ' ')) tail.pop_back();
  const auto at = tail.rfind('\n');
  return at == std::string::npos ? tail : tail.substr(at + 1);
}

/// Ends the child and whatever it has started in its group.
void end_group(pid_t process, std::chrono::milliseconds grace) {
  ::kill(-process, SIGTERM);
  const auto deadline = Steady::now() + grace;
  int status = 0;
  while (Steady::now() < deadline && waitpid(process, &status, WNOHANG) == 0) {
    poll(nullptr, 0, 10);
  }
  ::kill(-process, SIGKILL);
  waitpid(process, &status, 0);
}

}  // namespace

Result<void> run_child(const ChildJob& job, const std::stop_token& stop) {
  constexpr int kBetweenLooks_ms = 20;
  constexpr std::chrono::milliseconds kGrace{500};
  const std::string& name = job.command.front();
  const Descriptor input(memfd_create("input", MFD_CLOEXEC));
  if (input.get() < 0 ||
      ::write(input.get(), job.input.data(), job.input.size()) !=
          static_cast<ssize_t>(job.input.size()) ||
      lseek(input.get(), 0, SEEK_SET) != 0) {
    return cannot_start(job, errno);
  }
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return cannot_start(job, errno);
  const Descriptor from_child(ends[0]);
  Descriptor of_child(ends[1]);
  // Only our end does not block.
  fcntl(of_child.get(), F_SETFL, 0);
  PCM_ASSIGN(const pid_t process, spawn(job, input.get(), of_child.get()));
  of_child.close_now();
  const auto deadline = Steady::now() + job.limit;
  std::string tail;
  bool is_open = true;
  for (;;) {
    pollfd waiting{is_open ? from_child.get() : -1, POLLIN, 0};
    poll(&waiting, 1, kBetweenLooks_ms);
    drain(from_child.get(), tail);
    if ((waiting.revents & POLLHUP) != 0) is_open = false;
    int status = 0;
    if (waitpid(process, &status, WNOHANG) == process) {
      drain(from_child.get(), tail);
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
      const std::string how = WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status))
                                                : fmt::format("signal {}", WTERMSIG(status));
      const std::string said = last_line(tail);
      return fail(ErrorCode::Io,
                  fmt::format("{} ended with {}{}", name, how, said.empty() ? "" : ": " + said),
                  "try it by hand");
    }
    if (stop.stop_requested()) {
      end_group(process, kGrace);
      return fail(ErrorCode::Stopped, fmt::format("{} was not waited for any longer", name));
    }
    if (Steady::now() >= deadline) {
      end_group(process, kGrace);
      return fail(ErrorCode::Timeout,
                  fmt::format("{} was not done after {} s and was ended", name,
                              static_cast<double>(job.limit.count()) * 1e-3),
                  "let it do its work in the background, or give it longer");
    }
  }
}

}  // namespace pcmlab::app

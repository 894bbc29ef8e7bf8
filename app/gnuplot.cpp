// SPDX-License-Identifier: Apache-2.0
#include "app/gnuplot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace pcmlab::app {
namespace {

/// A file in memory that a child process can have as one of its standard streams.
class MemoryFile {
 public:
  explicit MemoryFile(const char* name) : descriptor_(memfd_create(name, MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (descriptor_ >= 0) {
      close(descriptor_);
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int descriptor() const { return descriptor_; }

  /// Fills the file and goes back to its beginning.
  bool fill(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
      if (written <= 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return lseek(descriptor_, 0, SEEK_SET) == 0;
  }

  std::string contents() const {
    std::string bytes;
    std::array<char, 65536> chunk{};
    off_t offset = 0;
    ssize_t got = 0;
    while ((got = pread(descriptor_, chunk.data(), chunk.size(), offset)) > 0) {
      bytes.append(chunk.data(), static_cast<std::size_t>(got));
      offset += got;
    }
    return bytes;
  }

 private:
  int descriptor_;
};

Error system_error(std::string_view doing, int number) {
  return {
      number == ENOSPC || number == EDQUOT ? ErrorCode::DiskFull : ErrorCode::Io,
      fmt::format("{}: {}", doing, std::strerror(number)),
      number == ENOSPC || number == EDQUOT ? "make room on the disk or name another folder" : ""};
}

}  // namespace

Result<std::string> run_gnuplot(std::string_view script) {
  const MemoryFile input("gnuplot-script");
  const MemoryFile output("gnuplot-picture");
  const MemoryFile messages("gnuplot-messages");
  if (input.descriptor() < 0 || output.descriptor() < 0 || messages.descriptor() < 0 ||
      !input.fill(script)) {
    return tl::unexpected<Error>(system_error("preparing gnuplot's script", errno));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.descriptor(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.descriptor(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, messages.descriptor(), STDERR_FILENO);
  std::array<std::string, 3> words = {"gnuplot", "-d", "-"};
  std::array<char*, 4> arguments = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  pid_t child = 0;
  const int refused =
      posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (refused == ENOENT) {
    return fail(ErrorCode::NotFound, "drawing the plot: there is no program gnuplot",
                "install Debian's package gnuplot-nox (app/quickstart does)");
  }
  if (refused != 0) {
    return tl::unexpected<Error>(system_error("starting gnuplot", refused));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return tl::unexpected<Error>(system_error("waiting for gnuplot", errno));
    }
  }
  std::string picture = output.contents();
  if (status != 0 || picture.empty()) {
    std::string said = messages.contents();
    said.erase(said.find_last_not_of(" \n") + 1);
    const std::string how = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                                : fmt::format("status {}", WEXITSTATUS(status));
    return fail(ErrorCode::Internal,
                fmt::format("gnuplot ended with {}: {}", how, said.empty() ? "no message" : said),
                "check that `gnuplot --version` says 5.4 or newer and has the cairo terminals "
                "(Debian's package gnuplot-nox)");
  }
  return picture;
}

Result<void> write_picture(const std::filesystem::path& file, std::string_view bytes) {
  const std::string doing = fmt::format("writing {}", file.string());
  std::string part = file.string() + ".XXXXXX";
  const int descriptor = mkostemp(part.data(), O_CLOEXEC);
  if (descriptor < 0) {
    Error error = system_error(doing, errno);
    if (error.advice.empty()) {
      error.advice = "name a file in a folder that exists and that you may write to";
    }
    return tl::unexpected<Error>(std::move(error));
  }
  int problem = fchmod(descriptor, 0644) == 0 ? 0 : errno;
  while (problem == 0 && !bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      problem = errno;
    }
  }
  if (close(descriptor) != 0 && problem == 0) {
    problem = errno;
  }
  if (problem == 0 && std::rename(part.c_str(), file.c_str()) != 0) {
    problem = errno;
  }
  if (problem != 0) {
    unlink(part.c_str());
    return tl::unexpected<Error>(system_error(doing, problem));
  }
  return {};
}

}  // namespace pcmlab::app

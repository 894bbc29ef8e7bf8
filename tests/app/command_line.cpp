// SPDX-License-Identifier: Apache-2.0
#include "tests/app/command_line.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>

namespace pcmlab::app {
namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "pcmlab-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) std::abort();
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::file(const std::string& name, const std::string& text) const {
  std::ofstream(path_ / name, std::ios::binary) << text;
  return (path_ / name).string();
}

CommandResult pcmlab(std::vector<std::string> arguments, const std::function<void(int)>& started,
                     std::size_t file_limit_bytes) {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string();
  const std::string err = (folder / "err").string();
  arguments.insert(arguments.begin(), PCMLAB_PROGRAM);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t process = fork();
  if (process == 0) {
    constexpr int kMode = 0600;
    dup2(open(out.c_str(), O_WRONLY | O_CREAT, kMode), STDOUT_FILENO);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT, kMode), STDERR_FILENO);
    if (file_limit_bytes > 0) {
      const rlimit limit{file_limit_bytes, RLIM_INFINITY};
      setrlimit(RLIMIT_FSIZE, &limit);
      std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit fails instead
    }
    execv(argv[0], argv.data());
    _exit(127);
  }
  if (started) started(process);
  int status = 0;
  waitpid(process, &status, 0);
  CommandResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.out = text_of(out);
  result.err = text_of(err);
  return result;
}

bool is_over(int process) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(process), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == process;
}

void wait_until_said(int process, const std::string& words) {
  const std::filesystem::path err = "/proc/" + std::to_string(process) + "/fd/2";
  const auto has_said = [&] {
    std::error_code none;
    // Until it is a file of its own it may be a pipe of ours, on which one would wait.
    return std::filesystem::read_symlink(err, none).filename() == "err" &&
           text_of(err).find(words) != std::string::npos;
  };
  while (!is_over(process) && !has_said()) {
  }
}

}  // namespace pcmlab::app

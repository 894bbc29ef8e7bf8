// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs the `pcmlab` program as a person would, and keeps what it says.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace pcmlab::app {

struct CommandResult {
  int exit_code = -1;  ///< -1: ended by a signal
  std::string out;     ///< standard output
  std::string err;     ///< standard error
};

/// \param started  called with the process's id while it runs.
/// \param file_limit_bytes  no file of the process may grow beyond it (a soft limit); 0 = none.
CommandResult pcmlab(std::vector<std::string> arguments,
                     const std::function<void(int process)>& started = {},
                     std::size_t file_limit_bytes = 0);

/// For `started` of pcmlab(): whether the process has ended.
bool is_over(int process);
/// Returns once the process has said `words` on standard error, or is over; looks again and again.
void wait_until_said(int process, const std::string& words);

/// A folder that goes with the test.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  /// Writes a file into it. \return its path.
  std::string file(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path path_;
};

}  // namespace pcmlab::app

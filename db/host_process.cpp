// SPDX-License-Identifier: Apache-2.0
#include "db/host_process.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <optional>
#include <sstream>

namespace pcmlab::db {
namespace {

/// Start of a process in clock ticks since boot; 0: not known; none: it is over.
std::optional<std::int64_t> start_ticks_of(std::int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const auto name_end = line.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) {
    return 0;
  }
  std::istringstream fields(line.substr(name_end + 1));
  std::string state;
  fields >> state;
  if (state == "Z" || state == "X") {
    return std::nullopt;  // dead, only not yet waited for
  }
  constexpr int kFieldsBetween = 18;  // state is field 3, starttime field 22 (proc(5))
  std::string skipped;
  for (int i = 0; i < kFieldsBetween; ++i) {
    fields >> skipped;
  }
  std::int64_t ticks = 0;
  fields >> ticks;
  return ticks;
}

}  // namespace

ProcessIdentity this_process() {
  ProcessIdentity identity;
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  identity.host = host.data();
  std::ifstream("/proc/sys/kernel/random/boot_id") >> identity.host_boot_id;
  identity.pid = getpid();
  identity.start_ticks = start_ticks_of(identity.pid).value_or(0);
  return identity;
}

bool is_gone(const ProcessIdentity& process, const ProcessIdentity& self) {
  if (process.host != self.host) {
    return false;
  }
  if (process.host_boot_id != self.host_boot_id) {
    return true;
  }
  if (process.pid <= 0 || (kill(static_cast<pid_t>(process.pid), 0) != 0 && errno == ESRCH)) {
    return true;
  }
  const auto start_ticks = start_ticks_of(process.pid);
  return !start_ticks ||
         (*start_ticks != 0 && process.start_ticks != 0 && *start_ticks != process.start_ticks);
}

}  // namespace pcmlab::db

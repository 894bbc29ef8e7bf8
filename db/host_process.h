// SPDX-License-Identifier: Apache-2.0
/// \file
/// Who writes a run: a process of a host, and whether it is over. Private to db/.
/// Plain values and functions without state, callable from any thread.
#pragma once

#include <cstdint>
#include <string>

namespace pcmlab::db {

/// A process, told from a later one of the same number and from those of other machines.
struct ProcessIdentity {
  std::string host;
  std::string host_boot_id;
  std::int64_t pid = 0;
  std::int64_t start_ticks = 0;  ///< 0: not known
};

/// start_ticks is 0 where /proc does not tell.
ProcessIdentity this_process();

/// Whether a process of this machine is over. Of other machines nothing is known: not gone.
bool is_gone(const ProcessIdentity& process, const ProcessIdentity& self);

}  // namespace pcmlab::db

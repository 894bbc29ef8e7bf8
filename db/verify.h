// SPDX-License-Identifier: Apache-2.0
/// \file
/// Whether a results database holds what it should: every checksum, no hole, nothing twice, nothing
/// that cannot be. Reads all of it and changes nothing. On the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "db/care.h"
#include "db/run_store.h"

namespace pcmlab::db {

/// Something that is not as it should be.
struct Finding {
  RowId run = 0;      ///< 0: of no run
  std::string where;  ///< "sweep 5, devices 65536 to 131071"
  std::string what;
};

struct VerifiedRun {
  RowId run = 0;
  std::string name;
  bool deleted = false;
  std::int64_t blocks = 0;  ///< that were read
  std::int64_t findings = 0;
};

struct Verification {
  std::vector<Finding> findings;
  std::vector<VerifiedRun> runs;
  std::int64_t blocks = 0, bytes = 0;  ///< whose checksums were computed

  bool good() const { return findings.empty(); }
};

/// Lower-case hex digits of the SHA-256 of bytes, for the network files.
using Sha256 = std::function<std::string(std::span<const std::byte>)>;

/// Of one state of the database. Errors: only where nothing more can be read (BadFile, Io).
Result<Verification> verify(RunStore& store, const Sha256& sha256, const Progress& progress);

}  // namespace pcmlab::db

// SPDX-License-Identifier: Apache-2.0
/// \file
/// The groups of checks, one file each. Functions without state.
#pragma once

#include <string>
#include <vector>

#include "driver/conformance/bench.h"
#include "driver/conformance/conformance.h"

namespace pcmlab::conformance {

/// \return a figure for the report, or nothing to say. Errors: failed(), skipped(), and those of
/// the transport.
using CheckFunction = Result<std::string> (*)(Bench& bench);

struct Check {
  CheckInfo info;
  CheckFunction run;
};
using Checks = std::vector<Check>;

void add_opening(Checks& checks);
void add_frames(Checks& checks);
void add_malformed(Checks& checks);
void add_sequence_and_order(Checks& checks);
void add_reads(Checks& checks);
void add_limits(Checks& checks);
void add_batches(Checks& checks);
void add_pulses(Checks& checks);
void add_abort(Checks& checks);
void add_clock(Checks& checks);
void add_references(Checks& checks);
void add_speed(Checks& checks);
void add_connection(Checks& checks);
void add_set_limits(Checks& checks);

}  // namespace pcmlab::conformance

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Rows with every field set, the same for the same seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "db/run_store.h"

namespace pcmlab::db {

RunStart make_run_start(std::uint64_t seed);
/// Devices at places that are a shuffled walk of the array (of 512 x 2048 lines).
Placement make_placement(std::size_t devices, std::uint64_t seed);
ProgrammingResult make_result(std::size_t devices, std::uint64_t seed);
/// Devices of all classes; those without an exponent have NaN.
DriftFits make_drift_fits(std::size_t devices, std::uint64_t seed);
std::vector<std::uint16_t> make_code_sums(std::size_t devices, std::uint64_t seed);
/// Code sums cut into blocks of `block_devices`, with stamps.
std::vector<SweepBlock> make_blocks(const std::vector<std::uint16_t>& code_sums,
                                    std::size_t block_devices);

/// A store with a run, a step and a programming to hang sweeps on.
struct PreparedRun {
  RowId run = 0;
  RowId step = 0;
  RowId programming = 0;
};
PreparedRun prepare_run(RunStore& store);
PreparedRun prepare_run(Result<RunStore> store);
SweepStart sweep_start(const PreparedRun& prepared, int ordinal);

}  // namespace pcmlab::db

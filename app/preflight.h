// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a plan takes, and whether there is room for it: looked at before a run, by `pcmlab check`
/// and by the run itself. Functions without state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "app/chip_life.h"
#include "experiments/engine/engine.h"

namespace pcmlab::app {

struct Preflight {
  std::vector<Prediction> steps;
  Prediction total;
  bool virtual_time = false;    ///< of the board
  std::int64_t free_bytes = 0;  ///< where the database is, or will be
  ChipLife life;                ///< of the chip so far

  /// Wall time. Waiting passes at once on a board with virtual time; the chip's work is simulated
  /// by the host, and counted as host time, there.
  double wall_s(const Prediction& prediction) const {
    return virtual_time ? prediction.host_s
                        : prediction.chip_busy_s + prediction.waiting_s + prediction.host_s;
  }
  /// When what happens: the steps, their moments, the end. Seconds of the board's time from the
  /// start of the run.
  std::vector<Moment> timeline(const Plan& plan) const;
};

/// A database grows by what is measured, and its log of what is not yet in it as well.
constexpr std::int64_t kRoomForEachByte = 2;

/// Errors: those of predict(), chip_life() and check_life(); DiskFull (less room than twice what
/// the run will add), Io.
Result<Preflight> preflight(const Plan& plan, const RunInputs& inputs,
                            const BoardInformation& board, const std::filesystem::path& database);

}  // namespace pcmlab::app

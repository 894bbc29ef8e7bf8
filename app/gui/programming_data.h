// SPDX-License-Identifier: Apache-2.0
/// \file
/// How the devices of a run converge, while they are programmed and afterwards: read from the
/// database and made into plots. Plain values; for the reading thread.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/gui/plot_content.h"
#include "db/run_store.h"

namespace pcmlab::gui {

/// A programming of a run that one may choose.
struct ProgrammingChoice {
  db::RowId id = 0;
  std::string experiment;  ///< "screen", "program"
  bool complete = false;
};

struct WorstDevice {
  std::uint32_t device = 0;
  DeviceAddress address;
  float target_uS = 0, verified_uS = 0;
  float error_uS = 0;  ///< of what the loop aims at, which allows for drift
  int iterations = 0;
  std::string verdict;  ///< "at work" while nothing is decided
};

/// How many devices stand how.
struct DeviceCounts {
  std::int64_t with_target = 0, reset = 0, converged = 0, at_work = 0;
  std::int64_t gave_up = 0, stuck_low = 0, stuck_high = 0;
};

/// What was read of a programming so far, and goes on being read: only batches that are new are
/// read again. Of one thread.
struct ProgrammingState {
  db::RowId programming = 0;
  std::uint64_t next_batch = 0;
  db::Placement placement;
  std::vector<std::uint8_t> levels;          ///< by device; kNoDriftLevel: none
  std::vector<float> verified_uS, error_uS;  ///< NaN: not verified yet
  std::vector<std::uint8_t> iterations;
  /// By iteration and level, devices that got a pulse; the last column: all.
  std::vector<std::vector<std::int64_t>> pulsed;
  std::vector<std::int64_t> level_devices;
  std::int64_t pulses = 0;
};

struct ProgrammingData {
  db::RunRow run;
  std::vector<ProgrammingChoice> choices;
  std::optional<ProgrammingChoice> shown;   ///< none: nothing is programmed yet
  std::shared_ptr<ProgrammingState> state;  ///< for the next time
  double tolerance_uS = 0;
  int iteration = 0;  ///< at work, or the last
  std::int64_t pulses = 0;
  DeviceCounts counts;
  std::vector<WorstDevice> worst;  ///< the worst first; if all have converged, the slowest
  bool all_converged = false;
  PlotContent convergence, errors;
};

/// How the loop changed the amplitudes of devices, by iteration. Errors: those of ResultsQuery.
Result<PlotContent> read_amplitudes(const std::filesystem::path& database, const db::RunRow& run,
                                    db::RowId programming,
                                    const std::vector<std::uint32_t>& devices,
                                    const std::stop_token& stop);

/// \param programming  which; none: the newest. \param known  of the same run before; may be null.
/// Errors: Stopped, those of the store.
Result<ProgrammingData> read_programming(db::RunStore& store, db::RowId run,
                                         std::optional<db::RowId> programming,
                                         std::shared_ptr<ProgrammingState> known,
                                         const std::stop_token& stop);

}  // namespace pcmlab::gui

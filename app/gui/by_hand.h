// SPDX-License-Identifier: Apache-2.0
/// \file
/// Pulses and reads by hand: as the plan of a run of its own, and what became of it. Pure functions
/// and reads for the reading thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/gui/follower.h"
#include "db/run_store.h"
#include "protocol/device_address.h"

namespace pcmlab::gui {

struct ByHand {
  DeviceAddress device;
  int pulses = 0;  ///< 0: it is only read
  double amplitude_uA = 0;
  std::int64_t width_ns = 0;
};

/// The plan for the board, chip and limits of a run. Errors: BadPlan (the run's is none for this
/// version, or of a recording).
Result<std::string> plan_by_hand(const db::RunRow& of, const ByHand& deed);

/// The run that was on the chip last: `of`, or what was done by hand since.
db::RowId last_on_chip(const Snapshot& snapshot, db::RowId of);

/// A device that was read at the end of a run by hand.
struct HandRead {
  DeviceAddress device;
  double g_uS = 0;
  std::int64_t pulses = 0;  ///< in all
};
/// Errors: NotFound (nothing was read), those of the store.
Result<HandRead> read_by_hand(db::RunStore& store, db::RowId run);

}  // namespace pcmlab::gui

// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a run does while its database cannot be written: it says so, waits, and goes on by itself.
/// Used by the experiment's thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "db/run_store.h"
#include "experiments/engine/run_control.h"
#include "experiments/engine/run_observer.h"
#include "protocol/error.h"

namespace pcmlab {

/// While it lives, a full disk, an I/O error or another writer makes the store wait instead of
/// failing: what could not be written is written again at growing intervals, until it succeeds or
/// somebody stops the run. Nothing else happens meanwhile, so no pulses are sent either. Afterwards
/// the time is noted as a gap.
class StoreTrouble {
 public:
  StoreTrouble(db::RunStore& store, db::RowId run, RunControl& control, RunObserver& observer,
               Host host);
  StoreTrouble(const StoreTrouble&) = delete;
  StoreTrouble& operator=(const StoreTrouble&) = delete;
  ~StoreTrouble();

 private:
  Result<void> wait(const Error& trouble);
  void over();

  db::RunStore& store_;
  db::RowId run_;
  RunControl& control_;
  RunObserver& observer_;
  Host host_;

  std::string what_;  ///< is wrong; empty: all is well
  std::int64_t since_utc_ns_ = 0;
  std::chrono::milliseconds next_wait_{};
};

}  // namespace pcmlab

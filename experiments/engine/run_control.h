// SPDX-License-Identifier: Apache-2.0
/// \file
/// Where a run learns that somebody wants it to wait or to end: signals of its own process, and
/// requests that others leave in the database. It also notices when the computer slept or its clock
/// was set. Used by the experiment's thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "db/run_store.h"
#include "experiments/engine/clock.h"
#include "experiments/engine/run_observer.h"
#include "protocol/error.h"

namespace pcmlab {

/// What the run's own process may ask of it.
struct StopRequests {
  std::stop_token stop = {};   ///< at the next safe place: between passes, sweeps, evaluations
  std::stop_token abort = {};  ///< as soon as the board has answered what was sent
};

/// The host's clocks, in nanoseconds.
struct HostClocks {
  std::int64_t running_ns = 0;  ///< CLOCK_MONOTONIC: without the time in which the computer slept
  std::int64_t boot_ns = 0;     ///< CLOCK_BOOTTIME: with it
  std::int64_t utc_ns = 0;      ///< CLOCK_REALTIME: as somebody set it
};
HostClocks host_clocks();

/// What a run has from the computer it is on.
struct Host {
  std::function<HostClocks()> clocks = host_clocks;
  /// Between two attempts to write what could not be written: at first, doubled each time, at most.
  std::chrono::milliseconds first_wait{1000};
  std::chrono::milliseconds longest_wait{30000};
};

class RunControl {
 public:
  explicit RunControl(StopRequests requests = {}, std::function<HostClocks()> clocks = host_clocks);

  /// From now on requests to this run in the database count as well.
  void attach(db::RunStore& store, db::RowId run, RunObserver& observer);

  /// Between pieces of work. Errors: Stopped, saying who asked; those of the store.
  Result<void> check();
  /// Where the chip is in a state that can be left: also waits here while somebody wants a pause.
  /// What a board was asked for has been answered. Errors: as check().
  Result<void> checkpoint();
  /// Between requests to the board. Errors: Stopped if somebody wants an end at once.
  Result<void> check_abort();

  /// For Clock::sleep_until(): a stop ends it at once, and requests are looked at meanwhile.
  /// \param what  said in the run's progress: "waiting for sweep 3 of 8"
  /// \param until  board time that is waited for
  Waiting waiting(std::string what, BoardTime until);

  /// Lets some time pass while the database cannot be written: signs of life go to the observer
  /// alone. Requests in the database are heard as far as it can be read. \param what  as waiting()
  /// Errors: Stopped.
  Result<void> hold(std::chrono::milliseconds time, const std::string& what);

  /// Again and again while a call of the board waits: a sign of life. Errors: as check().
  Result<void> still_waiting(const std::string& for_what);

  bool is_aborted() const { return aborted_ || requests_.abort.stop_requested(); }

 private:
  bool is_due(const std::optional<std::int64_t>& last_ns, std::chrono::nanoseconds every) const;
  Result<void> look();
  Result<void> stopped() const;
  Result<void> look_at_commands();
  void hear(const std::vector<db::CommandRow>& commands);
  Result<void> look_at_clocks();
  Result<void> wait_while_paused();
  Result<void> beat(const std::string& activity, double eta_s);
  std::optional<db::ProgressRow> sign_of_life(const std::string& activity, double eta_s);

  StopRequests requests_;
  std::function<HostClocks()> clocks_;
  db::RunStore* store_ = nullptr;
  RunObserver* observer_ = nullptr;
  db::RowId run_ = 0;

  std::optional<std::int64_t> looked_ns_, beat_ns_;  ///< HostClocks::running_ns
  std::optional<HostClocks> before_;
  std::string paused_by_;   ///< empty: nobody wants a pause
  std::string stopped_by_;  ///< empty: nobody wants an end
  bool aborted_ = false;
  db::RowId heard_ = 0;  ///< the latest request
};

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// Brings devices to their target conductances with pulses and reads.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "db/run_store.h"
#include "driver/board.h"
#include "experiments/engine/clock.h"
#include "experiments/programming/program_settings.h"
#include "protocol/error.h"

namespace pcmlab {

struct ProgramOutcome {
  db::ProgrammingResult devices;
  db::ProgrammingSummary summary;
};

/// A verified pass of the loop.
struct ProgramPass {
  int iteration = 0;
  BoardTime pulsed{};                        ///< end of the last pulse before it
  std::span<const std::uint32_t> converged;  ///< in this pass, as indices into the placement
  std::int64_t decided = 0;                  ///< devices so far, whatever the verdict
  std::int64_t targets = 0;                  ///< devices with a target
};
/// Told after each verified pass, before the next pulses. May use the board.
using ProgramProgress = std::function<Result<void>(const ProgramPass& pass)>;

/// One programming of one set of devices. Every batch of pulses is in the store as intended before
/// it is sent and as acknowledged after; so are the reads that followed it.
class ProgramAndVerify {
 public:
  ProgramAndVerify(Board& board, Clock& clock, db::RunStore& store, db::RowId programming,
                   const ProgramSettings& settings, const Calibration& calibration,
                   std::stop_token stop);

  /// \param placement  targets of 0 get one RESET and are not verified.
  /// Errors: those of board and store, Stopped.
  Result<ProgramOutcome> run(const db::Placement& placement, const ProgramProgress& progress);

 private:
  using Devices = std::vector<std::uint32_t>;
  /// What a pass read, in the order of its devices.
  struct VerifyPass {
    std::vector<std::uint16_t> code_sums;
    std::vector<BoardTime> read_at;  ///< by chunk: when its reads began
  };

  Result<void> initialise(db::BatchKind kind, const Devices& devices);
  Result<void> reset_unknown();
  Result<void> program_block(Devices active);
  Result<VerifyPass> verify(const Devices& devices);
  /// Compares what was read with the targets. \return the devices that go on, with new amplitudes.
  Devices decide(const Devices& devices, const VerifyPass& pass);
  double drift_until_aim(Duration age) const;
  Result<void> pulse(const Devices& devices);
  Result<void> write_intended(db::BatchKind kind, Duration width, const Devices& devices);
  Result<void> check_stop() const;
  PulseSink note_pulses(const Devices& devices, std::uint16_t pulses_each,
                        std::vector<db::BatchOutcome>& outcomes);
  std::vector<DeviceAddress> addresses_of(const Devices& devices) const;

  Board& board_;
  Clock& clock_;
  db::RunStore& store_;
  db::RowId programming_;
  ProgramSettings settings_;
  Calibration calibration_;
  std::stop_token stop_;

  const db::Placement* placement_ = nullptr;
  const ProgramProgress* progress_ = nullptr;
  ProgramOutcome outcome_;
  std::vector<std::uint16_t> amplitudes_10nA_;  ///< of the next pulse, by device
  std::vector<std::uint8_t> at_limit_;  ///< verifies in a row at an amplitude limit, by device
  Devices converged_;                   ///< in the pass at hand
  Devices unknown_;                     ///< that may have had their last pulses or not
  int iteration_ = 0;
  std::uint64_t next_batch_ = 0;
  std::uint64_t pass_first_batch_ = 0;  ///< first batch of the pulses last sent
  BoardTime last_pulse_{};
  std::int64_t decided_ = 0;
};

}  // namespace pcmlab

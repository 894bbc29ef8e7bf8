// SPDX-License-Identifier: Apache-2.0
/// \file
/// Brings devices to their target conductances with pulses and reads.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "db/run_store.h"
#include "driver/board.h"
#include "experiments/engine/clock.h"
#include "protocol/error.h"

namespace pcmlab {

/// The paper's program-and-verify loop; every constant is a parameter of the `program` experiment.
struct ProgramSettings {
  // Initialisation
  Current reset_amplitude;
  Duration reset_width{};
  std::vector<Current> staircase;
  Duration staircase_width{};
  // Loop
  double tolerance_uS = 0;
  double gain_uA_per_uS = 0;  ///< amplitude change for each uS above the target
  Current start_amplitude, min_amplitude, max_amplitude;
  Duration pulse_width{};
  int max_iterations = 0;
  int give_up_after = 0;  ///< verifies at an amplitude limit without converging; 0 = never
  ReadSettings read;
  Duration verify_delay{};        ///< at least so long after its pulse is a device read
  Duration aim_age{};             ///< a device is to hold its target when so old; 0 = when verified
  double aim_drift_exponent = 0;  ///< expected between the verify and then
  std::size_t block_devices = 0;  ///< programmed to the end before the next; 0 = the whole array
};

struct ProgramOutcome {
  db::ProgrammingResult devices;
  db::ProgrammingSummary summary;
};

/// Told after each verified pass: iteration, devices decided so far, devices with a target.
using ProgramProgress =
    std::function<Result<void>(int iteration, std::int64_t decided, std::int64_t targets)>;

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
  Result<void> program_block(Devices active);
  Result<VerifyPass> verify(const Devices& devices);
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
  int iteration_ = 0;
  std::uint64_t next_batch_ = 0;
  std::uint64_t pass_first_batch_ = 0;  ///< first batch of the pulses last sent
  BoardTime last_pulse_{};
  std::int64_t decided_ = 0;
};

}  // namespace pcmlab

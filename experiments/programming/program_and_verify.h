// SPDX-License-Identifier: Apache-2.0
/// \file
/// Brings devices to their target conductances with pulses and reads.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "db/run_store.h"
#include "driver/board.h"
#include "experiments/engine/clock.h"
#include "experiments/engine/run_control.h"
#include "experiments/programming/program_settings.h"
#include "experiments/programming/programming_record.h"
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
/// Told after each verified pass, before that is committed and the next pulses go out; may use the
/// board.
using ProgramProgress = std::function<Result<void>(const ProgramPass& pass)>;

/// The number of a programming's first batch of pulses: behind all that the board has had, or that
/// of the record. Errors: those of board and store; DuplicateBatch when the board has had later
/// batches of others than the record's.
Result<std::uint64_t> first_batch(Board& board, db::RunStore& store,
                                  const ProgrammingRecord& record);

/// One programming of one set of devices. Every batch of pulses is in the store as intended before
/// it is sent and as acknowledged after; so are the reads that followed it. That is enough to go on
/// with a programming that another process began: the loop takes from its record what it did, asks
/// the board for what is not known of the last batches, and goes on from there.
class ProgramAndVerify {
 public:
  ProgramAndVerify(Board& board, Clock& clock, db::RunStore& store, db::RowId programming,
                   const ProgramSettings& settings, const Calibration& calibration,
                   RunControl& control);

  /// \param placement  targets of 0 get one RESET and are not verified.
  /// \param record  what was done of it before
  /// Errors: those of board and store, Stopped; BadFile when the record is not one of this
  /// placement and these settings; DuplicateBatch when the board has had later batches of others.
  Result<ProgramOutcome> run(const db::Placement& placement, const ProgramProgress& progress,
                             ProgrammingRecord record = {});

 private:
  using Devices = std::vector<std::uint32_t>;
  /// Devices that get pulses in one call and are then verified.
  struct Selection {
    Devices devices;  ///< indices into the placement
    std::vector<DeviceAddress> addresses;
    std::vector<std::uint16_t> amplitudes_10nA;  ///< of their pulses; empty for a sequence
  };

  Result<void> program_blocks();
  /// Devices [begin, end) from their first RESET to their last verify read.
  Result<void> program_devices(std::size_t begin, std::size_t end);
  Result<void> initialise(db::BatchKind kind, const Selection& selected);
  Result<void> reset_unknown();
  Result<void> program_block(Selection active);
  Result<Selection> verify(const Selection& pulsed);
  void select(Selection& selection, std::uint32_t device) const;
  void decide(std::span<const std::uint32_t> devices, const ReadChunk& read, Selection& going_on);
  double drift_until_aim(Duration age) const;
  Result<void> pulse(const Selection& selected);
  /// Sends devices [begin, ...) of a selection, the first chunk as number `batch`.
  using SendPulses =
      std::function<Result<void>(std::size_t begin, std::uint64_t batch, const PulseSink& sink)>;
  Result<void> send(const Selection& selected, std::uint16_t pulses_each, const SendPulses& rest);
  Result<void> read(const Selection& pulsed, const ReadSink& sink);
  bool is_verified(std::uint64_t batch) const;
  std::optional<Selection> reset_again_before();
  Result<void> add_batches(const std::vector<db::BatchRow>& batches);
  Result<void> add_verify(const std::vector<db::BatchVerify>& reads);
  std::vector<db::BatchRow> number_batches(db::BatchKind kind, Duration width,
                                           const Selection& selected, std::size_t begin,
                                           std::size_t end);
  Result<void> keep(const std::vector<db::BatchVerify>& reads,
                    const std::vector<db::BatchRow>& batches);
  Result<void> keep_outcomes();
  void give_up_batches(std::uint64_t first);
  PulseSink note_pulses(const Devices& devices, std::uint16_t pulses_each);

  Board& board_;
  Clock& clock_;
  db::RunStore& store_;
  db::RowId programming_;
  ProgramSettings settings_;
  Calibration calibration_;
  RunControl& control_;
  ProgrammingRecord record_;

  const db::Placement* placement_ = nullptr;
  const ProgramProgress* progress_ = nullptr;
  ProgramOutcome outcome_;
  std::vector<std::uint16_t> amplitudes_10nA_;  ///< of the next pulse, by device
  std::vector<std::uint8_t> at_limit_;  ///< verifies in a row at an amplitude limit, by device
  Devices converged_;                   ///< in the pass at hand
  Devices unknown_;                     ///< that may have had their last pulses or not
  int iteration_ = 0;
  std::uint64_t next_batch_ = 0;
  std::uint64_t pulsed_first_batch_ = 0;    ///< of the pulses last sent, or next to be
  std::vector<db::BatchOutcome> outcomes_;  ///< acknowledged and not written down yet
  BoardTime last_pulse_{};
  std::int64_t decided_ = 0;
};

}  // namespace pcmlab

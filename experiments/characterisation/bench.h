// SPDX-License-Identifier: Apache-2.0
/// \file
/// A board whose devices are being characterised: pulses and reads of lists of devices, by the
/// board's time, without a run. Used by one thread, which is the board's.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "db/run_store.h"
#include "driver/board.h"
#include "experiments/engine/clock.h"
#include "protocol/error.h"

namespace pcmlab {

class CharacterisationBench {
 public:
  /// Calibrates. \param board  outlives the bench. Errors: those of the board.
  static Result<CharacterisationBench> open(Board& board, const ReadSettings& settings = {});

  Board& board() { return *board_; }
  Clock& clock() { return *clock_; }
  const Calibration& calibration() const { return calibration_; }
  const ReadSettings& read_settings() const { return settings_; }
  /// In memory: what program-and-verify writes down. Nobody will ask for it.
  db::RunStore& store() { return *store_; }

  /// The first devices of the array, word line by word line.
  /// Errors: DoesNotFit.
  Result<std::vector<DeviceAddress>> devices(std::size_t count) const;

  Result<void> wait(Duration duration);
  Result<void> wait_until(BoardTime time) { return clock_->sleep_until(time, {}); }

  /// The same pulses for each device. \return when the last one was over.
  Result<BoardTime> pulse(std::span<const DeviceAddress> addresses,
                          std::span<const Pulse> sequence);

  /// Conductances in uS, and when they were read.
  struct Reading {
    std::vector<double> g_uS;
    BoardTime first{};
    BoardTime last{};
  };
  Result<Reading> read(std::span<const DeviceAddress> addresses);

 private:
  CharacterisationBench(Board& board, const ReadSettings& settings, db::RunStore store);

  Board* board_;
  ReadSettings settings_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<db::RunStore> store_;
  Calibration calibration_;
  std::uint64_t next_batch_;
};

}  // namespace pcmlab

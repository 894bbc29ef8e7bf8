// SPDX-License-Identifier: Apache-2.0
/// \file
/// What an experiment may ask of a test board. Wire format: protocol/README.md.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "driver/pulse_budget.h"
#include "protocol/device_address.h"
#include "protocol/error.h"
#include "protocol/messages.h"
#include "protocol/quantities.h"

namespace pcmlab {

using Limits = wire::Limits;
using Pulse = wire::Pulse;
using BoardInformation = wire::InformationReply;
using BoardStatus = wire::StatusReply;

struct ReadSettings {
  std::uint8_t samples = 5;  ///< ADC conversions a device, summed on the board
  Voltage read_voltage = Voltage::from_mV(200);
};

/// How ADC codes become conductance: g = gain * (mean code) + offset.
struct Calibration {
  double gain_uS_per_code = 0.2;
  double offset_uS = 0.0;

  constexpr double conductance_uS(std::uint16_t code_sum, std::uint8_t samples) const {
    return gain_uS_per_code * code_sum / samples + offset_uS;
  }
};

/// A piece of a longer read, as it comes back: devices [begin, begin + code_sums.size()) of the
/// addresses asked for.
struct ReadChunk {
  std::size_t begin = 0;
  BoardTime first{};  ///< start of the first device's first sample
  BoardTime last{};   ///< end of the last device's last sample
  std::span<const std::uint16_t> code_sums;
};

/// A batch of pulses as the board acknowledged it: devices [begin, begin + count) of those named.
struct PulseChunk {
  std::size_t begin = 0;
  std::size_t count = 0;
  /// So many of these, the last ones, may have had their pulses or not: the board has lost its
  /// memory of them. Read them before anything else. first and last are then the last time known.
  std::size_t unknown = 0;
  std::uint64_t batch = 0;
  std::uint32_t pulses_executed = 0;
  BoardTime first{};
  BoardTime last{};
};

/// The number under which the rest of a batch is sent when its first part is done. Numbers of
/// batches themselves are below 2^56.
constexpr std::uint64_t continued_batch(std::uint64_t batch, std::uint8_t times) {
  return batch | std::uint64_t{times} << 56U;
}
/// The number of the batch that this is a part of.
constexpr std::uint64_t original_batch(std::uint64_t batch) {
  return batch & ((std::uint64_t{1} << 56U) - 1);
}

using ReadSink = std::function<Result<void>(const ReadChunk&)>;
using PulseSink = std::function<Result<void>(const PulseChunk&)>;
/// What a call waits for, in words: "board PCM0001 to come back".
using WaitingSink = std::function<Result<void>(const std::string& what)>;

/// One test board with one chip on it.
///
/// Calls block until the board has answered or the deadline has passed, and come from one thread at
/// a time. Long reads and pulse batches are cut into requests of chunk_devices() devices, several
/// of them in flight; the sink gets each piece in order while the board works on the next ones.
/// An error from the sink ends the call with that error; requests already sent are awaited first,
/// and what they did is not reported. A sink does not call the board.
/// After ErrorCode::Disconnected every call fails the same way until reopen().
/// Implemented by TestBoard, and by RecoveringBoard, which does what an interruption asks for.
class Board {
 public:
  virtual ~Board() = default;

  /// Who the board is and what it can do; asked at opening and at reopen(). Its limits are those in
  /// force; another boot_epoch than before reopen() means that the board lost its memory.
  virtual const BoardInformation& information() const = 0;

  /// Devices in one request. Pulse batches are numbered by chunk: devices
  /// [k * chunk_devices(), (k + 1) * chunk_devices()) of a call carry batch number first_batch + k.
  /// The same for as long as the board is open, unless set_limits() lowers it.
  virtual std::size_t chunk_devices() const = 0;

  /// Reads each device, in the order given: one sum of ADC codes per address.
  /// Errors: Timeout, Disconnected, BadFrame, Refused (address outside the array).
  virtual Result<void> read(std::span<const DeviceAddress> addresses, const ReadSettings& settings,
                            const ReadSink& sink) = 0;

  /// One pulse a device, amplitude by device, width common; amplitude 0 = no pulse.
  /// Never sent twice: after Timeout or Disconnected the message names the batches that were sent
  /// and not acknowledged, and status() tells how far they came. Stopped: somebody aborted it, and
  /// the sink has had what was done.
  /// Errors: those of read(), LimitExceeded (nothing was sent), Stopped.
  virtual Result<void> program(std::uint64_t first_batch, Duration width,
                               std::span<const DeviceAddress> addresses,
                               std::span<const std::uint16_t> amplitudes_10nA,
                               const PulseSink& sink) = 0;

  /// The same pulse sequence for each device (RESET, staircase).
  /// Errors: those of program().
  virtual Result<void> initialise(std::uint64_t first_batch, std::span<const Pulse> sequence,
                                  std::span<const DeviceAddress> addresses,
                                  const PulseSink& sink) = 0;

  virtual Result<BoardStatus> status() = 0;
  virtual Result<Temperature> temperature() = 0;

  /// Reads the chip's reference resistors and fits gain and offset. Without such resistors: the
  /// nominal step of the ADC. Errors: Refused (readings clipped, or the gain implausible).
  virtual Result<Calibration> calibrate(const ReadSettings& settings) = 0;

  /// Tightens the limits below the board's own. \return those now in force.
  virtual Result<Limits> set_limits(const Limits& limits) = 0;

  /// What the chip's devices have borne before this connection, and may in all: from now on no
  /// pulse is sent beyond. Stays over reopen().
  virtual Result<void> set_life(ChipLife life) = 0;

  /// Drops queued work; the board stops after the device at work.
  virtual Result<void> abort() = 0;

  /// Lets the board's virtual time pass, if it is not later already. \return what it is now.
  /// Errors: Unsupported on a board with real time.
  virtual Result<BoardTime> advance_time_to(BoardTime until) = 0;

  /// From now on told again and again while a call waits for a board that is gone or for a chip
  /// that is too hot; its error ends the call. It does not call the board. A board that never waits
  /// needs none.
  virtual void on_waiting(const WaitingSink& /*sink*/) {}

  /// Connects again after Disconnected. Errors: Timeout, Disconnected, Incompatible.
  virtual Result<void> reopen() = 0;
};

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// A Board that goes on after an interruption: lost and damaged replies, a pulled cable, a board
/// that booted again. Every pulse goes out exactly once, or its fate is reported as unknown.
/// Used by one thread at a time; owns the board under it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "driver/test_board.h"

namespace pcmlab {

/// Something that happened to the board and did not become an error.
struct BoardEvent {
  enum class Kind : std::uint8_t {
    Interrupted,   ///< no answer, or the connection is gone
    Reconnected,   ///< the same board is there again
    MemoryLost,    ///< it booted meanwhile
    BatchSettled,  ///< its records told how far a batch of pulses came
    BatchUnknown,  ///< nobody can tell how far a batch of pulses came
    TooHot,        ///< the board gives no pulses until the chip has cooled
    Cooled,        ///< and it has
  };
  Kind kind{};
  std::string text;  ///< one sentence for a person
  /// Of the board's memory from now on, and what is added to its own clock.
  std::uint64_t boot_epoch = 0;
  BoardTime time_offset{};
};

/// What an earlier process of the same work left on a board. Board times of this one go on from
/// there, also when the board has booted meanwhile.
struct EarlierWork {
  std::uint64_t boot_epoch = 0;
  BoardTime offset{};              ///< its board times minus the board's own
  BoardTime latest{};              ///< that it wrote down
  std::chrono::nanoseconds ago{};  ///< how long ago that was
  /// Batches [first_unsettled, end_unsettled) were written down as intended, in this epoch. Whether
  /// the board got them nobody wrote down.
  std::uint64_t first_unsettled = 0;
  std::uint64_t end_unsettled = 0;
  std::uint64_t unsettled_epoch = 0;
};

struct RecoverySettings {
  /// How long to wait for a board that is gone; 0 = one attempt.
  std::chrono::milliseconds wait_for_board{60000};
  std::chrono::milliseconds pause_between_attempts{50};
  /// For so long a chip that was too hot must be cooler than its limit before it gets pulses again,
  /// and so long it is waited for at most; by the board's time.
  std::chrono::seconds cool_for{10};
  std::chrono::seconds wait_for_cooling{7 * 86400};
  /// Interruptions in a row, without a reply to the work in between, that are put up with.
  unsigned attempts = 10;
  std::stop_token stop = {};  ///< ends the waiting for a board
  std::function<void(const BoardEvent&)> tell = {};
  std::optional<EarlierWork> earlier = {};
};

/// After Timeout, Disconnected, BadFrame or Io from the board under it:
/// 1. reopens it if it is gone or stays silent, and waits for it;
/// 2. asks status() for the records of the batches that were sent;
/// 3. a batch done is reported as if it had been acknowledged; of one done in part the rest is sent
///    under continued_batch(); one that was never begun is sent again; after a loss of the board's
///    memory the rest of it is reported as unknown (PulseChunk::unknown) and not sent;
/// 4. goes on with the rest of the call.
/// Pulses that the board refuses because the chip is too hot are sent once it has been cooler than
/// its limit for a while; what went out before is settled in the same way. The board's virtual time
/// passes meanwhile. Reads go on: a hot chip can be read.
/// Reads are taken up where their last piece was delivered. Batches that an earlier process may
/// have sent (EarlierWork) are settled in the same way, before anything of them is sent.
///
/// Board times go on over a loss of memory, although the board's own begin at 0 again: on a board
/// with real time by the host's clock, on one with virtual time from the last time seen.
class RecoveringBoard final : public Board {
 public:
  explicit RecoveringBoard(std::unique_ptr<TestBoard> board, RecoverySettings settings = {});

  const BoardInformation& information() const override { return board_->information(); }
  std::size_t chunk_devices() const override { return board_->chunk_devices(); }

  /// Errors: Timeout or Disconnected only when recovery has failed; Stopped also when the waiting
  /// for a board was stopped; Incompatible when another board came.
  Result<void> read(std::span<const DeviceAddress> addresses, const ReadSettings& settings,
                    const ReadSink& sink) override;
  /// After an error the sink has also had what the board's records tell, if they could be asked
  /// for. Each batch reaches the sink at most once.
  Result<void> program(std::uint64_t first_batch, Duration width,
                       std::span<const DeviceAddress> addresses,
                       std::span<const std::uint16_t> amplitudes_10nA,
                       const PulseSink& sink) override;
  Result<void> initialise(std::uint64_t first_batch, std::span<const Pulse> sequence,
                          std::span<const DeviceAddress> addresses, const PulseSink& sink) override;
  Result<BoardStatus> status() override;
  Result<Temperature> temperature() override;
  Result<Calibration> calibrate(const ReadSettings& settings) override;
  Result<Limits> set_limits(const Limits& limits) override;
  Result<void> set_life(ChipLife life) override { return board_->set_life(std::move(life)); }
  Result<void> abort() override;
  Result<BoardTime> advance_time_to(BoardTime until) override;
  Result<void> reopen() override;
  void on_waiting(const WaitingSink& sink) override { on_waiting_ = sink; }

  std::uint64_t interruptions() const { return interruptions_; }
  /// Of the board's memory at hand, and what is added to its own clock: what the next process
  /// needs.
  std::uint64_t boot_epoch() const { return boot_epoch_; }
  BoardTime time_offset() const { return offset_; }

 private:
  /// Sends devices [begin, begin + count) of a call, the first chunk as number `batch`.
  using SendPulses = std::function<Result<void>(std::size_t begin, std::size_t count,
                                                std::uint64_t batch, const PulseSink& sink)>;
  class PulseCall;

  Result<void> send_pulses(std::uint64_t first_batch, std::size_t devices, const SendPulses& send,
                           const PulseSink& sink);
  /// Brings the board back after `error`. \return its status, or why it cannot be brought back.
  Result<BoardStatus> recover(const Error& error);
  Result<void> reopen_patiently();
  Result<void> wait_until_cool();
  /// Lets some time pass.
  Result<void> wait(std::chrono::milliseconds time, const std::string& for_what);
  Result<BoardStatus> ask_status();
  /// Notices a loss of memory, and lets board times go on from there.
  void note_epoch(const BoardStatus& status);
  /// As the caller counts time.
  BoardTime seen(BoardTime of_board);
  void tell(BoardEvent::Kind kind, std::string text) const;

  bool is_of_earlier(std::uint64_t batch) const;
  /// Takes the board's records for batches that an earlier process may have sent.
  Result<void> settle_earlier(PulseCall& call, std::uint64_t first_batch, std::size_t devices);
  /// Learns which numbers the board has seen before the first pulses of this host.
  Result<void> note_batches_of_others();

  /// Calls again after an interruption, for what may be asked twice.
  template <class Ask>
  auto persistently(Ask ask) -> decltype(ask());

  std::unique_ptr<TestBoard> board_;
  RecoverySettings settings_;
  WaitingSink on_waiting_;
  std::uint64_t boot_epoch_;
  BoardTime offset_{};  ///< caller's time minus the board's
  BoardTime latest_{};  ///< latest time seen, as the caller counts
  std::chrono::steady_clock::time_point latest_seen_at_;
  std::uint64_t memory_losses_ = 0;
  /// Highest number that the board is known to have seen before the call at hand.
  std::optional<std::uint64_t> highest_batch_;
  std::uint64_t interruptions_ = 0;
};

}  // namespace pcmlab

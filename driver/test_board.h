// SPDX-License-Identifier: Apache-2.0
/// \file
/// Board over any Transport: chunks, pipelining, limits, calibration. Used by one thread at a time;
/// has no threads of its own. Owns its transport.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "driver/board.h"
#include "driver/conversation.h"
#include "driver/transport.h"

namespace pcmlab {

struct TestBoardSettings {
  /// How long the board may stay silent beyond twice the time its work takes.
  std::chrono::milliseconds reply_deadline{5000};
  std::chrono::milliseconds reopen_deadline{10000};
  /// Upper bounds; the board's own limits apply if they are lower.
  std::size_t max_requests_in_flight = 16;
  std::size_t chunk_devices = 4096;
  /// Limits of this host, as for set_limits(); sent to the board and enforced here as well.
  std::optional<Limits> limits = {};
};

/// The limits that satisfy both. A field of `wanted` that is zero leaves that of `limits`.
Limits tightened(const Limits& limits, const Limits& wanted);

/// The part of [0, total) that one request covers.
struct ChunkRange {
  std::size_t begin = 0;
  std::size_t count = 0;
};

class TestBoard final : public Board {
 public:
  /// Greets the board at the other end of an open transport and asks who it is.
  /// Errors: Timeout, Disconnected, Incompatible (protocol version, or a board that cannot be).
  static Result<std::unique_ptr<TestBoard>> open(std::unique_ptr<Transport> transport,
                                                 const TestBoardSettings& settings = {});

  const BoardInformation& information() const override { return information_; }
  std::size_t chunk_devices() const override { return chunk_devices_; }

  /// A request without an answer is repeated once.
  Result<void> read(std::span<const DeviceAddress> addresses, const ReadSettings& settings,
                    const ReadSink& sink) override;

  /// Never repeats a request. An error names the batches whose fate is unknown.
  Result<void> program(std::uint64_t first_batch, Duration width,
                       std::span<const DeviceAddress> addresses,
                       std::span<const std::uint16_t> amplitudes_10nA,
                       const PulseSink& sink) override;
  Result<void> initialise(std::uint64_t first_batch, std::span<const Pulse> sequence,
                          std::span<const DeviceAddress> addresses, const PulseSink& sink) override;

  /// Batches of the last program() or initialise() that the board may have seen, whatever became of
  /// them; counted from the call's first.
  std::size_t batches_sent() const { return batches_sent_; }
  /// Whether it failed because the chip was too hot.
  bool was_too_hot() const { return was_too_hot_; }

  Result<BoardStatus> status() override;
  Result<Temperature> temperature() override;

  /// Least-squares line through the references' nominal conductances over their mean codes, 255
  /// samples each, clipped readings left out.
  /// Errors: Refused (fewer than two readings inside the ADC's range, or an implausible gain).
  Result<Calibration> calibrate(const ReadSettings& settings) override;

  /// Fields that are zero stay as they are. Lower max_devices_per_request lowers chunk_devices().
  Result<Limits> set_limits(const Limits& limits) override;
  /// Errors: Internal (of another array).
  Result<void> set_life(ChipLife life) override;

  Result<void> abort() override;
  Result<BoardTime> advance_time_to(BoardTime until) override;

  /// The board must have the same serial number, array and protocol; chunk_devices() stays.
  /// information().boot_epoch tells whether it lost its memory meanwhile. Limits that were set are
  /// set again.
  Result<void> reopen() override;

  LineCounters line_counters() const { return conversation_.counters(); }

 private:
  TestBoard(std::unique_ptr<Transport> transport, const TestBoardSettings& settings);

  Result<BoardInformation> greet();
  Result<void> apply_limits(const Limits& wanted);
  void use(const Limits& limits);

  /// One request per chunk of pulses, the same way for program() and initialise().
  struct PulseWork;
  Result<void> send_pulses(const PulseWork& pulses, const PulseSink& sink);

  Result<void> check_addresses(std::string_view what,
                               std::span<const DeviceAddress> addresses) const;
  Result<void> check_width(std::string_view what, Duration width) const;
  Result<void> check_amplitude(std::string_view what, double amplitude_uA) const;
  ChunkRange chunk(std::size_t k, std::size_t total) const;
  std::size_t chunk_count(std::size_t total) const;

  TestBoardSettings settings_;
  Conversation conversation_;
  BoardInformation information_;
  std::optional<Limits> wanted_limits_;
  std::size_t chunk_devices_ = 1;
  std::size_t batches_sent_ = 0;
  bool was_too_hot_ = false;
  wire::Request request_;  // of the bulk calls, for its buffers
  PulseBudget budget_;
};

}  // namespace pcmlab

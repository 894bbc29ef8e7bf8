// SPDX-License-Identifier: Apache-2.0
/// \file
/// The board around a PcmChip: it answers the protocol as protocol/README.md asks of firmware.
/// Owns its chip; used by one thread at a time. Bytes in, bytes out: how they travel is somebody
/// else's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mock_device/pcm_chip.h"
#include "protocol/frame_reader.h"
#include "protocol/messages.h"
#include "protocol/quantities.h"

namespace pcmlab::mock {

struct MockBoardSettings {
  std::string serial = "MOCK0001";
  std::string firmware = "mock 1.0";
  wire::Limits limits{.max_amplitude = Current::from_uA(500),
                      .min_width = std::chrono::nanoseconds(50),
                      .max_width = std::chrono::microseconds(10),
                      .max_devices_per_request = 8192,
                      .max_requests_in_flight = 16,
                      .max_pulses_per_device = 0,
                      .max_temperature = Temperature::from_K(358)};
  std::uint32_t capabilities = wire::kVirtualTime | wire::kReferenceResistors;
  std::uint64_t boot_epoch = 1;
  Duration request_overhead =
      std::chrono::microseconds(10);  ///< chip idle, before each read or batch
  double slowness = 1;  ///< reads and pulses take so many times the time that they should
  std::size_t ledger_batches = 0;  ///< how many batches ledger() remembers
};

/// A batch of pulses as it was applied to the chip.
struct AppliedBatch {
  std::uint64_t boot_epoch = 0;
  BoardTime start{};  ///< as the chip counts time, over all boots
  wire::BatchRecord batch;
  bool operator==(const AppliedBatch&) const = default;
};

/// Time on this board passes only by the chip's work (busy time, and an overhead for each read and
/// batch of pulses) and by AdvanceTime: questions take none. Requests are queued as they arrive and
/// executed by work(), one a call, so that what may happen to a queue can happen here: overflow,
/// Abort, a lost connection, a reboot.
class MockBoard {
 public:
  /// Time zero of the chip is this boot.
  explicit MockBoard(PcmChip chip, MockBoardSettings settings = {});

  /// Takes bytes from the host in pieces of any size. Bytes that are no request get no answer.
  void receive(std::span<const std::byte> bytes);

  /// Executes the oldest queued request. \return whether there was one.
  /// \param share  of the devices of a pulse batch that get their pulses; below 1 the board is
  /// stopped at work, as by a lost connection, and its reply is not one that a host should see.
  bool work(double share = 1);

  /// Appends what the board has to say to `into` and forgets it.
  void take_output(std::vector<std::byte>& into);

  /// The host is gone: queued requests and unsent replies are dropped, the rest stays.
  void connection_lost();

  /// Power off and on: queue, clock, batch records, counters and tightened limits are gone, the
  /// boot epoch is another one, the devices drift on.
  void reboot(Duration off = {});

  /// Lets time pass in which the board has nothing to do.
  void rest(Duration duration) { now_ += duration; }

  /// The chip's temperature from now on, by chip_time().
  void set_temperature(TemperatureProfile profile) { chip_.set_temperature(std::move(profile)); }

  BoardTime now() const { return now_; }
  /// Time as the chip counts it, over all boots.
  BoardTime chip_time() const { return chip_time_at_boot_ + now_; }
  Duration busy() const { return busy_; }
  std::uint64_t boot_epoch() const { return boot_epoch_; }
  std::uint64_t pulses_executed() const { return pulses_executed_; }
  std::size_t queued_requests() const { return queue_.size(); }
  const wire::Limits& limits() const { return limits_; }
  /// Damaged frames and bytes outside of frames, since the start.
  std::uint64_t bad_frames() const { return reader_.bad_frames(); }
  std::uint64_t skipped_bytes() const { return reader_.skipped_bytes(); }
  /// Whole frames that no host sends: replies.
  std::uint64_t ignored_frames() const { return ignored_frames_; }

  const PcmChip& chip() const { return chip_; }
  /// The last MockBoardSettings::ledger_batches batches of all boots, in the order in which the
  /// chip got them. Unlike the protocol's records it survives a reboot.
  const std::deque<AppliedBatch>& ledger() const { return ledger_; }

 private:
  struct Queued {
    wire::Frame frame;
    std::optional<wire::RefusalReply> refusal;  ///< decided when it arrived or was aborted
    std::uint32_t requests_dropped = 0;         ///< of an Abort, which acted when it arrived
  };

  void arrive(wire::Frame frame);
  /// A well-formed Abort that will be answered as such.
  static bool is_abort(const Queued& queued);
  /// Whether as many requests wait as may be in flight.
  bool is_full() const;
  static void refuse(Queued& queued, wire::Refusal reason, std::string detail);
  wire::Reply execute(const Queued& queued);
  /// How many of a batch's devices are reached before the work stops.
  std::size_t reached(std::size_t devices) const;

  wire::Reply answer(const wire::HelloRequest& request);
  wire::Reply answer(const wire::InformationRequest& request);
  wire::Reply answer(const wire::ReadRequest& request);
  wire::Reply answer(const wire::ProgramRequest& request);
  wire::Reply answer(const wire::InitialiseRequest& request);
  wire::Reply answer(const wire::StatusRequest& request);
  wire::Reply answer(const wire::TemperatureRequest& request);
  wire::Reply answer(const wire::SetLimitsRequest& request);
  wire::Reply answer(const wire::AdvanceTimeRequest& request);
  wire::Reply answer(const wire::ReadReferencesRequest& request);

  /// The devices named, or why they are refused.
  std::optional<wire::RefusalReply> select(const wire::DeviceSelection& devices);
  std::optional<wire::RefusalReply> check_addresses(std::span<const DeviceAddress> addresses) const;
  std::optional<wire::RefusalReply> check_new(std::uint64_t batch) const;
  std::optional<wire::RefusalReply> check_pulse(Current amplitude, Duration width) const;
  std::optional<wire::RefusalReply> check_temperature() const;
  /// Counts `each` pulses for every address, only those with an amplitude if amplitudes are given;
  /// on a refusal nothing is counted.
  std::optional<wire::RefusalReply> count_pulses(std::span<const DeviceAddress> addresses,
                                                 std::span<const std::uint16_t> amplitudes_10nA,
                                                 std::uint32_t each);
  void uncount_pulses(std::span<const DeviceAddress> addresses,
                      std::span<const std::uint16_t> amplitudes_10nA, std::uint32_t each);

  /// Lets the chip be busy for so long, or longer on a slow board.
  void spend(Duration duration);
  /// \param start  as the chip counts time
  void record(const wire::BatchRecord& batch, BoardTime start);
  template <class PulseReply>
  PulseReply finish_pulses(wire::BatchRecord batch, Duration pulse_time);

  PcmChip chip_;
  MockBoardSettings settings_;

  // Lost at a reboot
  wire::Limits limits_;
  std::uint64_t boot_epoch_ = 0;
  BoardTime now_{};
  Duration busy_{};
  std::uint64_t pulses_executed_ = 0;
  std::deque<wire::BatchRecord> recent_batches_;
  std::vector<std::uint32_t> pulses_of_device_;

  // Lost with the connection
  wire::FrameReader reader_;
  std::deque<Queued> queue_;
  std::vector<std::byte> output_;

  BoardTime chip_time_at_boot_{};
  std::deque<AppliedBatch> ledger_;
  double share_ = 1;  // of the request at work
  std::uint64_t ignored_frames_ = 0;
  std::vector<DeviceAddress> selected_;  // by select()
};

}  // namespace pcmlab::mock

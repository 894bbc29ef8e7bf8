// SPDX-License-Identifier: Apache-2.0
/// \file
/// A board that answers as a test wants it to, and the transport to it. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "driver/test_board.h"
#include "driver/transport.h"
#include "protocol/frame_reader.h"
#include "protocol/messages.h"

namespace pcmlab::testing {

/// Of pulses, where a test is about something else.
inline constexpr Duration kWidth{400};

/// What one frame from the host was.
struct Heard {
  wire::Request request;
  std::uint32_t sequence = 0;
};

/// Answers every request at once and plainly, unless `script` says otherwise. Each reply is handed
/// to the host by a receive() of its own; with none waiting, receive() fails with Timeout.
class ScriptedBoard {
 public:
  ScriptedBoard();

  /// Sees each request first; true: it has dealt with it, false: answer it plainly.
  std::function<bool(const Heard&)> script;

  wire::InformationReply information;
  std::vector<Heard> heard;
  std::deque<std::vector<std::byte>> to_host;
  std::size_t in_flight = 0;  ///< requests whose reply the host has not fetched
  std::size_t most_in_flight = 0;
  bool unplugged = false;
  std::vector<Transport::Deadline> receive_deadlines;

  void reply(const Heard& to, const wire::Reply& reply);
  void reply_plainly(const Heard& to);
  /// What the plain answer would be.
  wire::Reply plain_reply(const wire::Request& request) const;

  std::size_t count(wire::MessageType type) const;
  /// The only plain ADC sum of a device for these many samples.
  static std::uint16_t code_sum(DeviceAddress address, std::uint8_t samples);

  void hear(std::span<const std::byte> bytes);

 private:
  wire::FrameReader reader_;
};

class ScriptedTransport final : public Transport {
 public:
  explicit ScriptedTransport(std::shared_ptr<ScriptedBoard> board) : board_(std::move(board)) {}
  Result<void> send(std::span<const std::byte> bytes, Deadline deadline) override;
  Result<void> receive(std::vector<std::byte>& into, Deadline deadline) override;
  Result<void> reopen(Deadline deadline) override;
  std::string description() const override { return "script"; }

 private:
  std::shared_ptr<ScriptedBoard> board_;
};

/// Opens it; throws what went wrong.
std::unique_ptr<TestBoard> open(const std::shared_ptr<ScriptedBoard>& board,
                                const TestBoardSettings& settings = {});

/// Devices [begin, end) of the array, walked word line by word line.
std::vector<DeviceAddress> devices(ArrayShape shape, std::size_t begin, std::size_t end);
/// As many, but in no order that a rectangle has.
std::vector<DeviceAddress> scattered(ArrayShape shape, std::size_t count);

/// Sinks that keep what they get.
struct ReadLog {
  std::vector<std::size_t> begins;
  std::vector<std::uint16_t> sums;
  ReadSink sink();
};
struct PulseLog {
  std::vector<PulseChunk> chunks;
  PulseSink sink();
};

}  // namespace pcmlab::testing

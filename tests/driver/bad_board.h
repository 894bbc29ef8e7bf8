// SPDX-License-Identifier: Apache-2.0
/// \file
/// A mock board that may break rules, and a transport to it. One thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "driver/conformance/bench.h"
#include "driver/conformance/conformance.h"
#include "driver/transport.h"
#include "mock_device/mock_board.h"
#include "protocol/frame_reader.h"

namespace pcmlab::conformance {

inline Bytes bytes_of(const wire::Frame& frame) {
  return RawFrame{.type = frame.type,
                  .payload = frame.payload,
                  .sequence = frame.sequence,
                  .flags = frame.flags}
      .bytes();
}

inline wire::MessageType request_of(const wire::Frame& frame) {
  return static_cast<wire::MessageType>(frame.type & ~wire::kReplyBit);
}

inline mock::MockBoard make_board(const mock::ChipModel& model, ArrayShape shape,
                                  const mock::MockBoardSettings& settings = {}) {
  return mock::MockBoard(mock::PcmChip(model, shape, 1, 1), settings);
}

/// A mock board behind a loopback whose rules a saboteur may break. What the saboteur does not
/// touch is as the mock does it.
struct BadBoard {
  explicit BadBoard(mock::MockBoard good) : board(std::move(good)) {}

  mock::MockBoard board;
  /// May change a request before the board gets it. \return false: the board never gets it.
  std::function<bool(BadBoard&, wire::Frame&)> request;
  /// May change the reply to a request, and say more or nothing.
  std::function<void(BadBoard&, const wire::Frame& request, std::vector<wire::Frame>& replies)>
      reply;
  /// Gets the bytes from the host instead of the board.
  std::function<void(BadBoard&, std::span<const std::byte>)> bytes;
  /// May damage what goes to the host.
  std::function<void(Bytes&)> wire;
  std::function<void(BadBoard&)> disconnected;

  int counter = 0;
  std::uint64_t number = 0;
  std::vector<wire::Frame> kept;
  wire::FrameReader from_host;
  std::deque<wire::Frame> asked;
  Bytes output;

  void take(std::span<const std::byte> from) {
    if (bytes) {
      bytes(*this, from);
    } else {
      hear(from);
    }
  }
  void hear(std::span<const std::byte> from) {
    from_host.append(from);
    while (std::optional<wire::Frame> frame = from_host.next()) arrive(std::move(*frame));
  }
  void arrive(wire::Frame frame) {
    if ((frame.type & wire::kReplyBit) == 0) {
      asked.push_back(frame);
      if (request && !request(*this, frame)) {
        asked.pop_back();
        return;
      }
    }
    board.receive(bytes_of(frame));
  }
  void say(const wire::Frame& frame) {
    const Bytes more = bytes_of(frame);
    output.insert(output.end(), more.begin(), more.end());
  }
  void give(Bytes& into) {
    while (output.empty() && board.work()) {
      Bytes said;
      board.take_output(said);
      wire::FrameReader reader;
      reader.append(said);
      std::vector<wire::Frame> replies;
      while (std::optional<wire::Frame> frame = reader.next()) replies.push_back(std::move(*frame));
      const wire::Frame question = std::move(asked.front());
      asked.pop_front();
      if (reply) reply(*this, question, replies);
      for (const wire::Frame& frame : replies) say(frame);
    }
    if (wire) wire(output);
    into.insert(into.end(), output.begin(), output.end());
    output.clear();
  }
  void lose_connection() {
    if (disconnected) return disconnected(*this);
    board.connection_lost();
    from_host.reset();
    asked.clear();
    output.clear();
  }
};

/// Unlike a loopback it hands over each send by itself. Nothing ever waits.
class PieceByPiece final : public Transport {
 public:
  explicit PieceByPiece(std::shared_ptr<BadBoard> board) : board_(std::move(board)) {}

  Result<void> send(std::span<const std::byte> bytes, Deadline /*deadline*/) override {
    board_->take(bytes);
    return {};
  }
  Result<void> receive(std::vector<std::byte>& into, Deadline /*deadline*/) override {
    const std::size_t before = into.size();
    board_->give(into);
    if (into.size() > before) return {};
    return fail(ErrorCode::Timeout, "the board has nothing to say");
  }
  Result<void> reopen(Deadline /*deadline*/) override {
    board_->lose_connection();
    return {};
  }
  std::string description() const override { return "this test"; }

 private:
  std::shared_ptr<BadBoard> board_;
};

inline std::unique_ptr<Transport> transport_to(const std::shared_ptr<BadBoard>& board) {
  return std::make_unique<PieceByPiece>(board);
}

inline Settings quick() {
  Settings settings;
  settings.first_batch = 1000;
  return settings;
}

constexpr ArrayShape kSmall{32, 128};

}  // namespace pcmlab::conformance

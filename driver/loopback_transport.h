// SPDX-License-Identifier: Apache-2.0
/// \file
/// A board in the same process, reached without a wire. Synchronous and deterministic: used by one
/// thread, never waits.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "driver/transport.h"

namespace pcmlab {

/// The board's side, given by whoever knows both: the app ties it to a MockBoard.
struct LoopbackEnd {
  /// Gets the bytes that the host has sent.
  std::function<void(std::span<const std::byte>)> take;
  /// Works on and appends what the board has to say; nothing when it has nothing to do.
  std::function<void(std::vector<std::byte>& into)> give;
  /// The connection is lost: what the board has queued, and what it has not said yet, is void.
  /// Called once, at the latest by reopen(). May be empty.
  std::function<void()> disconnected;
};

/// The cable of a loopback. A test holds on to it and pulls it; the transport only looks at it.
class LoopbackCable {
 public:
  void unplug();
  void replug();

  /// Unplugs itself once so many more bytes have reached the board; the rest is lost.
  void unplug_after_bytes_to_board(std::uint64_t bytes) { bytes_to_board_ = bytes; }
  /// Unplugs itself once so many more bytes have reached the host; the rest is lost.
  void unplug_after_bytes_to_host(std::uint64_t bytes) { bytes_to_host_ = bytes; }
  /// Unplugs itself once so many more sends have reached the board whole, before it works on them.
  void unplug_after_sends(std::uint64_t sends) { sends_ = sends; }

  bool plugged() const { return plugged_; }

 private:
  friend class LoopbackTransport;
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  bool plugged_ = true;
  std::uint64_t times_unplugged_ = 0;
  std::uint64_t bytes_to_board_ = kNever;
  std::uint64_t bytes_to_host_ = kNever;
  std::uint64_t sends_ = kNever;
};

/// send() queues; receive() lets the far end work and returns what it says. When nothing is queued
/// and the far end has nothing to say, receive() fails with Timeout at once: nobody else could
/// make it speak. Deadlines are not looked at.
class LoopbackTransport final : public Transport {
 public:
  explicit LoopbackTransport(LoopbackEnd far_end, std::shared_ptr<LoopbackCable> cable = nullptr,
                             std::string name = "loopback");

  Result<void> send(std::span<const std::byte> bytes, Deadline deadline) override;
  Result<void> receive(std::vector<std::byte>& into, Deadline deadline) override;
  Result<void> reopen(Deadline deadline) override;
  std::string description() const override { return name_; }

 private:
  Result<void> check_cable();
  void hand_over();

  LoopbackEnd far_end_;
  std::shared_ptr<LoopbackCable> cable_;
  std::string name_;
  std::vector<std::byte> queued_;
  bool gone_ = false;
  std::uint64_t times_unplugged_ = 0;  // up to the last reopen()
};

}  // namespace pcmlab

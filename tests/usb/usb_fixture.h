// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the USB tests share: deadlines, a board that echoes, and a bus with one board on it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <string_view>
#include <vector>

#include "driver/usb_transport.h"
#include "tests/usb/usb_bus.h"

namespace pcmlab::testing {

using Clock = std::chrono::steady_clock;

/// Longer than anything takes; only a test that fails waits for it.
inline Clock::time_point long_from_now() { return Clock::now() + std::chrono::seconds(20); }
inline Clock::time_point soon() { return Clock::now() + std::chrono::milliseconds(20); }

inline std::vector<std::byte> random_bytes(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// Says back what it hears. Its lock is the device's.
class EchoFunction final : public UsbFunction {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    const std::size_t room = capacity > queue_.size() ? capacity - queue_.size() : 0;
    const std::size_t count = std::min(bytes.size(), room);
    queue_.insert(queue_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
  }
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t count = std::min(into.size(), queue_.size());
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
    std::copy(queue_.begin(), end, into.begin());
    queue_.erase(queue_.begin(), end);
    return count;
  }
  std::size_t readable() const override { return queue_.size(); }
  bool unplugged() const override { return false; }
  void connection_lost() override { queue_.clear(); }

  std::size_t capacity = std::size_t{64} << 20;

 private:
  std::deque<std::byte> queue_;
};

/// A bus with an echoing board, not plugged in yet.
class UsbTest : public ::testing::Test {
 protected:
  UsbTest() { device.attach(echo); }

  std::unique_ptr<UsbTransport> open(const UsbSettings& settings = {}) {
    if (!device.plugged()) device.plug();
    auto opened = UsbTransport::open({.serial = device.settings().serial}, settings);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
  }
  static Result<void> send(UsbTransport& transport, std::string_view text,
                           Clock::time_point deadline = long_from_now()) {
    return transport.send(std::as_bytes(std::span(text)), deadline);
  }
  /// So many bytes, or what came until an error.
  static std::vector<std::byte> receive(UsbTransport& transport, std::size_t count) {
    std::vector<std::byte> bytes;
    while (bytes.size() < count) {
      const Result<void> received = transport.receive(bytes, long_from_now());
      EXPECT_TRUE(received) << received.error().message;
      if (!received) break;
    }
    return bytes;
  }
  static std::string text_of(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte byte : bytes) text += static_cast<char>(byte);
    return text;
  }
  static ErrorCode code_of(const Result<void>& result) {
    EXPECT_FALSE(result);
    return result ? ErrorCode::Internal : result.error().code;
  }
  ErrorCode receive_error(UsbTransport& transport, Clock::time_point deadline = long_from_now()) {
    std::vector<std::byte> bytes;
    return code_of(transport.receive(bytes, deadline));
  }

  UsbBus bus;
  UsbDevice& device = bus.add();
  std::shared_ptr<EchoFunction> echo = std::make_shared<EchoFunction>();
};

}  // namespace pcmlab::testing

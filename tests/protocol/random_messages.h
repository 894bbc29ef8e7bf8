// SPDX-License-Identifier: Apache-2.0
/// \file
/// Valid messages with random content that the wire can carry exactly. Each generator belongs to
/// one test; the same seed gives the same messages on every platform.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "protocol/messages.h"

namespace pcmlab::testing {

inline constexpr std::array kAllTypes = {
    wire::MessageType::Hello,       wire::MessageType::Information,   wire::MessageType::Read,
    wire::MessageType::Program,     wire::MessageType::Initialise,    wire::MessageType::Status,
    wire::MessageType::Temperature, wire::MessageType::SetLimits,     wire::MessageType::Abort,
    wire::MessageType::AdvanceTime, wire::MessageType::ReadReferences};

class RandomMessages {
 public:
  /// Lists get 1 to `most_devices` devices, half of them few.
  explicit RandomMessages(std::uint32_t seed, std::size_t most_devices = 64)
      : engine_(seed), most_devices_(most_devices) {}

  wire::Request request(wire::MessageType type);
  /// The reply to a request of this type; never a refusal.
  wire::Reply reply(wire::MessageType type);
  wire::RefusalReply refusal();

  /// lowest .. highest, both included.
  std::uint64_t number(std::uint64_t lowest, std::uint64_t highest);
  std::vector<std::byte> bytes(std::size_t count);

 private:
  std::uint8_t u8(std::uint8_t lowest = 0, std::uint8_t highest = 0xFF);
  std::uint16_t u16();
  std::uint32_t u32();
  Duration any_time();
  std::size_t count();
  std::vector<DeviceAddress> addresses(std::size_t count);
  wire::DeviceSelection selection();
  wire::Pulse pulse();
  wire::Limits limits();
  std::string identifier();
  template <class Reply>
  Reply pulse_reply();

  std::mt19937 engine_;
  std::size_t most_devices_;
};

}  // namespace pcmlab::testing

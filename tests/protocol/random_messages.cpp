// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/random_messages.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

namespace pcmlab::testing {

using wire::MessageType;

std::uint64_t RandomMessages::number(std::uint64_t lowest, std::uint64_t highest) {
  const std::uint64_t random = (std::uint64_t{engine_()} << 32) | engine_();
  const std::uint64_t values = highest - lowest + 1;
  return values == 0 ? random : lowest + random % values;
}

std::vector<std::byte> RandomMessages::bytes(std::size_t count) {
  std::vector<std::byte> result(count);
  for (std::byte& byte : result) {
    byte = static_cast<std::byte>(u8());
  }
  return result;
}

std::uint8_t RandomMessages::u8(std::uint8_t lowest, std::uint8_t highest) {
  return static_cast<std::uint8_t>(number(lowest, highest));
}

std::uint16_t RandomMessages::u16() { return static_cast<std::uint16_t>(engine_()); }

std::uint32_t RandomMessages::u32() { return static_cast<std::uint32_t>(engine_()); }

Duration RandomMessages::any_time() {
  return Duration(static_cast<std::int64_t>(
      number(0, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))));
}

std::size_t RandomMessages::count() {
  return number(1, number(0, 1) == 0 ? std::min<std::size_t>(most_devices_, 4) : most_devices_);
}

std::vector<DeviceAddress> RandomMessages::addresses(std::size_t count) {
  std::vector<DeviceAddress> result(count);
  for (DeviceAddress& address : result) {
    address = {WordLine{u16()}, BitLine{u16()}};
  }
  return result;
}

wire::DeviceSelection RandomMessages::selection() {
  if (number(0, 1) == 0) {
    return wire::DeviceList{addresses(count())};
  }
  const auto first_word_line = u16();
  const auto first_bit_line = u16();
  const auto lines_after = [&](std::uint16_t first) {
    return static_cast<std::uint16_t>(number(1, std::min<std::uint64_t>(65536u - first, 65535u)));
  };
  return wire::Rectangle{{WordLine{first_word_line}, BitLine{first_bit_line}},
                         lines_after(first_word_line),
                         lines_after(first_bit_line)};
}

wire::Pulse RandomMessages::pulse() { return {Current::from_uA(u16() / 100.0), Duration(u32())}; }

wire::Limits RandomMessages::limits() {
  wire::Limits limits;
  limits.max_amplitude = Current::from_uA(u16() / 100.0);
  limits.min_width = Duration(u32());
  limits.max_width = Duration(u32());
  limits.max_devices_per_request = u32();
  limits.max_requests_in_flight = u8();
  limits.max_pulses_per_device = number(0, std::numeric_limits<std::uint64_t>::max());
  limits.max_temperature = Temperature::from_K(u32() / 1000.0);
  return limits;
}

std::string RandomMessages::identifier() {
  std::string text(number(0, 40), ' ');
  for (char& character : text) {
    character = static_cast<char>(number(0x20, 0x7E));
  }
  return text;
}

wire::Request RandomMessages::request(MessageType type) {
  switch (type) {
    case MessageType::Hello: {
      const std::uint8_t lowest = u8(1);
      return wire::HelloRequest{lowest, u8(lowest)};
    }
    case MessageType::Information:
      return wire::InformationRequest{};
    case MessageType::Read:
      return wire::ReadRequest{selection(), u8(1), Voltage::from_mV(u16())};
    case MessageType::Program: {
      wire::ProgramRequest program;
      program.batch = number(0, std::numeric_limits<std::uint64_t>::max());
      program.width = Duration(u32());
      program.addresses = addresses(count());
      for (std::size_t i = 0; i < program.addresses.size(); ++i) {
        program.amplitudes_10nA.push_back(u16());
      }
      return program;
    }
    case MessageType::Initialise: {
      wire::InitialiseRequest initialise;
      initialise.batch = number(0, std::numeric_limits<std::uint64_t>::max());
      initialise.sequence.resize(number(1, wire::kMaxSequencePulses));
      std::ranges::generate(initialise.sequence, [&] { return pulse(); });
      initialise.devices = selection();
      return initialise;
    }
    case MessageType::Status:
      return wire::StatusRequest{};
    case MessageType::Temperature:
      return wire::TemperatureRequest{};
    case MessageType::SetLimits:
      return wire::SetLimitsRequest{limits()};
    case MessageType::Abort:
      return wire::AbortRequest{};
    case MessageType::AdvanceTime:
      return wire::AdvanceTimeRequest{any_time()};
    case MessageType::ReadReferences:
      return wire::ReadReferencesRequest{u8(1), Voltage::from_mV(u16())};
  }
  throw std::invalid_argument("no such type");
}

template <class Reply>
Reply RandomMessages::pulse_reply() {
  Reply reply;
  reply.batch = number(0, std::numeric_limits<std::uint64_t>::max());
  reply.devices_done = u32();
  reply.pulses_executed = u32();
  std::tie(reply.first, reply.last) = std::minmax({any_time(), any_time()});
  return reply;
}

wire::Reply RandomMessages::reply(MessageType type) {
  switch (type) {
    case MessageType::Hello:
      return wire::HelloReply{u8(1)};
    case MessageType::Information: {
      wire::InformationReply information;
      information.serial = identifier();
      information.firmware = identifier();
      information.shape = {static_cast<std::uint16_t>(number(1, 0xFFFF)),
                           static_cast<std::uint16_t>(number(1, 0xFFFF))};
      information.capabilities = u32();
      information.boot_epoch = number(0, std::numeric_limits<std::uint64_t>::max());
      information.adc_bits = u8(1, 16);
      information.adc_step = Conductance::from_uS(u32() / 1e6);
      information.sample_time = Duration(u32());
      information.limits = limits();
      return information;
    }
    case MessageType::Read: {
      wire::ReadReply read;
      std::tie(read.first, read.last) = std::minmax({any_time(), any_time()});
      read.code_sums.resize(count());
      std::ranges::generate(read.code_sums, [&] { return u16(); });
      return read;
    }
    case MessageType::Program:
      return pulse_reply<wire::ProgramReply>();
    case MessageType::Initialise:
      return pulse_reply<wire::InitialiseReply>();
    case MessageType::Status: {
      wire::StatusReply status;
      status.boot_epoch = number(0, std::numeric_limits<std::uint64_t>::max());
      status.now = any_time();
      status.busy = any_time();
      status.queued_requests = u32();
      status.pulses_executed = number(0, std::numeric_limits<std::uint64_t>::max());
      status.recent_batches.resize(number(0, wire::kMaxRecentBatches));
      for (wire::BatchRecord& record : status.recent_batches) {
        record.last = any_time();
        record.first = record.last / 2;
        record.batch = number(0, std::numeric_limits<std::uint64_t>::max());
        record.devices_total = u32();
        record.devices_done = static_cast<std::uint32_t>(number(0, record.devices_total));
        record.pulses_executed = u32();
      }
      return status;
    }
    case MessageType::Temperature:
      return wire::TemperatureReply{Temperature::from_K(u32() / 1000.0)};
    case MessageType::SetLimits:
      return wire::SetLimitsReply{limits()};
    case MessageType::Abort:
      return wire::AbortReply{u32()};
    case MessageType::AdvanceTime:
      return wire::AdvanceTimeReply{any_time()};
    case MessageType::ReadReferences: {
      wire::ReadReferencesReply references;
      references.references.resize(number(0, 8));
      for (wire::ReferenceReading& reading : references.references) {
        reading = {Conductance::from_uS(u32() / 1e6), u16()};
      }
      return references;
    }
  }
  throw std::invalid_argument("no such type");
}

wire::RefusalReply RandomMessages::refusal() {
  return {static_cast<wire::Refusal>(number(1, 10)), identifier()};
}

}  // namespace pcmlab::testing

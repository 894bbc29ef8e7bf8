// SPDX-License-Identifier: Apache-2.0
#include "tests/driver/scripted_board.h"

#include <algorithm>
#include <stdexcept>

namespace pcmlab::testing {
namespace {

std::uint32_t pulses_of(const wire::InitialiseRequest& request) {
  const auto pulses = std::count_if(request.sequence.begin(), request.sequence.end(),
                                    [](const Pulse& pulse) { return pulse.amplitude.uA() > 0; });
  return static_cast<std::uint32_t>(pulses) *
         static_cast<std::uint32_t>(device_count(request.devices));
}

}  // namespace

ScriptedBoard::ScriptedBoard() {
  information.serial = "SCRIPT01";
  information.firmware = "script";
  information.shape = {16, 64};
  information.capabilities = wire::kVirtualTime | wire::kReferenceResistors;
  information.boot_epoch = 7;
  information.adc_step = Conductance::from_uS(0.2);
  information.sample_time = std::chrono::microseconds(1);
  information.limits.max_amplitude = Current::from_uA(500);
  information.limits.min_width = Duration(50);
  information.limits.max_width = Duration(10000);
  information.limits.max_devices_per_request = 10;
  information.limits.max_requests_in_flight = 4;
  information.limits.max_temperature = Temperature::from_K(358);
}

std::uint16_t ScriptedBoard::code_sum(DeviceAddress address, std::uint8_t samples) {
  return static_cast<std::uint16_t>(samples * (address.word_line.index + address.bit_line.index));
}

wire::Reply ScriptedBoard::plain_reply(const wire::Request& request) const {
  using wire::MessageType;
  switch (type_of(request)) {
    case MessageType::Hello:
      return wire::HelloReply{};
    case MessageType::Information:
      return information;
    case MessageType::Read: {
      const auto& read = std::get<wire::ReadRequest>(request);
      wire::ReadReply reply;
      for (const DeviceAddress address : expand(read.devices)) {
        reply.code_sums.push_back(code_sum(address, read.samples));
      }
      return reply;
    }
    case MessageType::Program: {
      const auto& program = std::get<wire::ProgramRequest>(request);
      const auto zeros = std::count(program.amplitudes_10nA.begin(), program.amplitudes_10nA.end(),
                                    std::uint16_t{0});
      wire::ProgramReply reply;
      reply.batch = program.batch;
      reply.devices_done = static_cast<std::uint32_t>(program.addresses.size());
      reply.pulses_executed = reply.devices_done - static_cast<std::uint32_t>(zeros);
      return reply;
    }
    case MessageType::Initialise: {
      const auto& initialise = std::get<wire::InitialiseRequest>(request);
      wire::InitialiseReply reply;
      reply.batch = initialise.batch;
      reply.devices_done = static_cast<std::uint32_t>(device_count(initialise.devices));
      reply.pulses_executed = pulses_of(initialise);
      return reply;
    }
    case MessageType::Status: {
      wire::StatusReply reply;
      reply.boot_epoch = information.boot_epoch;
      return reply;
    }
    case MessageType::Temperature:
      return wire::TemperatureReply{Temperature::from_K(301.5)};
    case MessageType::SetLimits:
      return wire::SetLimitsReply{std::get<wire::SetLimitsRequest>(request).limits};
    case MessageType::Abort:
      return wire::AbortReply{};
    case MessageType::AdvanceTime:
      return wire::AdvanceTimeReply{std::get<wire::AdvanceTimeRequest>(request).until};
    case MessageType::ReadReferences:
      return wire::ReadReferencesReply{};
  }
  throw std::logic_error("a request of a type that is not in the list");
}

void ScriptedBoard::reply(const Heard& to, const wire::Reply& reply) {
  encode(reply, type_of(to.request), to.sequence, to_host.emplace_back());
}

void ScriptedBoard::reply_plainly(const Heard& to) { reply(to, plain_reply(to.request)); }

void ScriptedBoard::hear(std::span<const std::byte> bytes) {
  reader_.append(bytes);
  while (const std::optional<wire::Frame> frame = reader_.next()) {
    Result<wire::Request> request = decode_request(*frame);
    if (!request) throw std::logic_error(request.error().message);
    heard.push_back({*request, frame->sequence});
    most_in_flight = std::max(most_in_flight, ++in_flight);
    const Heard latest = heard.back();
    if (!script || !script(latest)) reply_plainly(latest);
  }
}

std::size_t ScriptedBoard::count(wire::MessageType type) const {
  return static_cast<std::size_t>(std::count_if(
      heard.begin(), heard.end(), [type](const Heard& h) { return type_of(h.request) == type; }));
}

Result<void> ScriptedTransport::send(std::span<const std::byte> bytes, Deadline /*deadline*/) {
  if (board_->unplugged) return fail(ErrorCode::Disconnected, "script: unplugged");
  board_->hear(bytes);
  return {};
}

Result<void> ScriptedTransport::receive(std::vector<std::byte>& into, Deadline deadline) {
  board_->receive_deadlines.push_back(deadline);
  if (board_->unplugged) return fail(ErrorCode::Disconnected, "script: unplugged");
  if (board_->to_host.empty()) return fail(ErrorCode::Timeout, "nothing came from the script");
  const std::vector<std::byte>& bytes = board_->to_host.front();
  into.insert(into.end(), bytes.begin(), bytes.end());
  board_->to_host.pop_front();
  if (board_->in_flight > 0) --board_->in_flight;
  return {};
}

Result<void> ScriptedTransport::reopen(Deadline /*deadline*/) {
  if (board_->unplugged) return fail(ErrorCode::Disconnected, "script: still unplugged");
  board_->to_host.clear();
  board_->in_flight = 0;
  return {};
}

std::unique_ptr<TestBoard> open(const std::shared_ptr<ScriptedBoard>& board,
                                const TestBoardSettings& settings) {
  Result<std::unique_ptr<TestBoard>> opened =
      TestBoard::open(std::make_unique<ScriptedTransport>(board), settings);
  if (!opened) throw std::runtime_error(opened.error().message);
  board->heard.clear();
  board->in_flight = board->most_in_flight = 0;
  return std::move(*opened);
}

std::vector<DeviceAddress> devices(ArrayShape shape, std::size_t begin, std::size_t end) {
  std::vector<DeviceAddress> addresses;
  for (std::size_t i = begin; i < end; ++i) addresses.push_back(shape.at(i));
  return addresses;
}

std::vector<DeviceAddress> scattered(ArrayShape shape, std::size_t count) {
  std::vector<DeviceAddress> addresses;
  for (std::size_t i = 0; i < count; ++i) {
    addresses.push_back(shape.at((i * 37 + 5) % shape.device_count()));
  }
  return addresses;
}

ReadSink ReadLog::sink() {
  return [this](const ReadChunk& chunk) -> Result<void> {
    begins.push_back(chunk.begin);
    sums.insert(sums.end(), chunk.code_sums.begin(), chunk.code_sums.end());
    return {};
  };
}

PulseSink PulseLog::sink() {
  return [this](const PulseChunk& chunk) -> Result<void> {
    chunks.push_back(chunk);
    return {};
  };
}

}  // namespace pcmlab::testing

// SPDX-License-Identifier: Apache-2.0
#include "protocol/messages.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "protocol/bytes.h"
#include "protocol/crc32c.h"

namespace pcmlab::wire {
namespace {

static_assert(sizeof(DeviceAddress) == 4 && std::is_trivially_copyable_v<DeviceAddress>,
              "addresses are copied as they lie in memory: word line, bit line");

constexpr std::uint8_t kListSelection = 0;
constexpr std::uint8_t kRectangleSelection = 1;
constexpr std::uint32_t kLines = 65536;

// ---- quantities ------------------------------------------------------------------------------
// Decoding divides by a power of ten instead of multiplying by its inverse: 1.23 uA comes back as
// exactly the double nearest to 1.23.

constexpr double kCurrentSteps_per_uA = 100.0;
constexpr double kTemperatureSteps_per_K = 1000.0;
constexpr double kConductanceSteps_per_uS = 1e6;

template <class Field>
Field to_field(double steps) {
  constexpr auto kMax = std::numeric_limits<Field>::max();
  if (!(steps > 0.0)) {
    return 0;
  }
  if (steps >= static_cast<double>(kMax)) {
    return kMax;
  }
  return static_cast<Field>(std::llround(steps));
}

void write(ByteWriter& out, Current current) {
  out.u16(to_field<std::uint16_t>(current.uA() * kCurrentSteps_per_uA));
}
void write(ByteWriter& out, Voltage voltage) { out.u16(to_field<std::uint16_t>(voltage.mV())); }
void write(ByteWriter& out, Temperature temperature) {
  out.u32(to_field<std::uint32_t>(temperature.K() * kTemperatureSteps_per_K));
}
void write(ByteWriter& out, Conductance conductance) {
  out.u32(to_field<std::uint32_t>(conductance.uS() * kConductanceSteps_per_uS));
}
/// Durations of a pulse or sample.
void write_short(ByteWriter& out, Duration duration) {
  constexpr std::int64_t kMax = std::numeric_limits<std::uint32_t>::max();
  out.u32(static_cast<std::uint32_t>(std::clamp<std::int64_t>(duration.count(), 0, kMax)));
}
/// Board times and durations of any length.
void write_long(ByteWriter& out, Duration duration) {
  out.u64(static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0)));
}

Current read_current(ByteReader& in) { return Current::from_uA(in.u16() / kCurrentSteps_per_uA); }
Voltage read_voltage(ByteReader& in) { return Voltage::from_mV(in.u16()); }
Temperature read_temperature(ByteReader& in) {
  return Temperature::from_K(in.u32() / kTemperatureSteps_per_K);
}
Conductance read_conductance(ByteReader& in) {
  return Conductance::from_uS(in.u32() / kConductanceSteps_per_uS);
}
Duration read_short(ByteReader& in) { return Duration(in.u32()); }
Duration read_long(ByteReader& in) {
  const std::uint64_t count = in.u64();
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!in.require(count <= kMax, "a time is beyond 2^63 ns")) {
    return {};
  }
  return Duration(static_cast<std::int64_t>(count));
}

// ---- parts of messages -----------------------------------------------------------------------

void write(ByteWriter& out, const DeviceSelection& selection) {
  if (const auto* list = std::get_if<DeviceList>(&selection)) {
    out.u8(kListSelection);
    out.zeros(3);
    out.u32(static_cast<std::uint32_t>(list->addresses.size()));
    out.array(std::span(list->addresses));
  } else {
    const auto& rectangle = std::get<Rectangle>(selection);
    out.u8(kRectangleSelection);
    out.zeros(3);
    out.u16(rectangle.first.word_line.index);
    out.u16(rectangle.first.bit_line.index);
    out.u16(rectangle.word_lines);
    out.u16(rectangle.bit_lines);
  }
}

DeviceSelection read_selection(ByteReader& in) {
  const std::uint8_t kind = in.u8();
  in.zeros(3);
  if (kind == kListSelection) {
    const std::uint32_t count = in.u32();
    in.require(count >= 1, "the device list is empty");
    return DeviceList{in.array<DeviceAddress>(count)};
  }
  in.require(kind == kRectangleSelection, "devices are neither a list nor a rectangle");
  Rectangle rectangle;
  rectangle.first.word_line.index = in.u16();
  rectangle.first.bit_line.index = in.u16();
  rectangle.word_lines = in.u16();
  rectangle.bit_lines = in.u16();
  in.require(rectangle.word_lines >= 1 && rectangle.bit_lines >= 1, "the rectangle is empty");
  in.require(rectangle.first.word_line.index + rectangle.word_lines <= kLines &&
                 rectangle.first.bit_line.index + rectangle.bit_lines <= kLines,
             "the rectangle ends beyond line 65535");
  return rectangle;
}

std::uint8_t read_samples(ByteReader& in) {
  const std::uint8_t samples = in.u8();
  in.require(samples >= 1, "no samples are asked for");
  return samples;
}

constexpr std::size_t kPulseBytes = 8;

void write(ByteWriter& out, const Pulse& pulse) {
  write(out, pulse.amplitude);
  out.zeros(2);
  write_short(out, pulse.width);
}

Pulse read_pulse(ByteReader& in) {
  Pulse pulse;
  pulse.amplitude = read_current(in);
  in.zeros(2);
  pulse.width = read_short(in);
  return pulse;
}

void write(ByteWriter& out, const Limits& limits) {
  write(out, limits.max_amplitude);
  out.u8(limits.max_requests_in_flight);
  out.zeros(1);
  write_short(out, limits.min_width);
  write_short(out, limits.max_width);
  out.u32(limits.max_devices_per_request);
  write(out, limits.max_temperature);
  out.u64(limits.max_pulses_per_device);
}

Limits read_limits(ByteReader& in) {
  Limits limits;
  limits.max_amplitude = read_current(in);
  limits.max_requests_in_flight = in.u8();
  in.zeros(1);
  limits.min_width = read_short(in);
  limits.max_width = read_short(in);
  limits.max_devices_per_request = in.u32();
  limits.max_temperature = read_temperature(in);
  limits.max_pulses_per_device = in.u64();
  return limits;
}

/// Serial and firmware: they become keys and file names.
std::string read_identifier(ByteReader& in) {
  std::string text = in.text();
  in.require(std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; }),
             "serial or firmware is not printable ASCII");
  return text;
}

// ---- requests --------------------------------------------------------------------------------

void write(ByteWriter& out, const HelloRequest& request) {
  out.u8(request.lowest_version);
  out.u8(request.highest_version);
}
HelloRequest read_hello_request(ByteReader& in) {
  HelloRequest request;
  request.lowest_version = in.u8();
  request.highest_version = in.u8();
  in.require(request.lowest_version >= 1 && request.lowest_version <= request.highest_version,
             "the range of versions is empty");
  return request;
}

void write(ByteWriter& /*out*/, const InformationRequest& /*request*/) {}
void write(ByteWriter& /*out*/, const StatusRequest& /*request*/) {}
void write(ByteWriter& /*out*/, const TemperatureRequest& /*request*/) {}
void write(ByteWriter& /*out*/, const AbortRequest& /*request*/) {}

void write(ByteWriter& out, const ReadRequest& request) {
  out.u8(request.samples);
  out.zeros(1);
  write(out, request.read_voltage);
  write(out, request.devices);
}
ReadRequest read_read_request(ByteReader& in) {
  ReadRequest request;
  request.samples = read_samples(in);
  in.zeros(1);
  request.read_voltage = read_voltage(in);
  request.devices = read_selection(in);
  return request;
}

void write(ByteWriter& out, const ProgramRequest& request) {
  out.u64(request.batch);
  write_short(out, request.width);
  out.u32(static_cast<std::uint32_t>(request.addresses.size()));
  out.array(std::span(request.addresses));
  out.array(std::span(request.amplitudes_10nA));
}
ProgramRequest read_program_request(ByteReader& in) {
  ProgramRequest request;
  request.batch = in.u64();
  request.width = read_short(in);
  const std::uint32_t count = in.u32();
  in.require(count >= 1, "the device list is empty");
  request.addresses = in.array<DeviceAddress>(count);
  request.amplitudes_10nA = in.array<std::uint16_t>(count);
  return request;
}

void write(ByteWriter& out, const InitialiseRequest& request) {
  out.u64(request.batch);
  out.u8(static_cast<std::uint8_t>(request.sequence.size()));
  out.zeros(3);
  for (const Pulse& pulse : request.sequence) {
    write(out, pulse);
  }
  write(out, request.devices);
}
InitialiseRequest read_initialise_request(ByteReader& in) {
  InitialiseRequest request;
  request.batch = in.u64();
  const std::uint8_t pulses = in.u8();
  in.zeros(3);
  in.require(pulses >= 1 && pulses <= kMaxSequencePulses, "a sequence has 1 to 32 pulses");
  for (std::uint8_t i = 0; i < pulses && in.ok(); ++i) {
    request.sequence.push_back(read_pulse(in));
  }
  request.devices = read_selection(in);
  return request;
}

void write(ByteWriter& out, const SetLimitsRequest& request) { write(out, request.limits); }

void write(ByteWriter& out, const AdvanceTimeRequest& request) { write_long(out, request.until); }

void write(ByteWriter& out, const ReadReferencesRequest& request) {
  out.u8(request.samples);
  out.zeros(1);
  write(out, request.read_voltage);
}
ReadReferencesRequest read_references_request(ByteReader& in) {
  ReadReferencesRequest request;
  request.samples = read_samples(in);
  in.zeros(1);
  request.read_voltage = read_voltage(in);
  return request;
}

// ---- replies ---------------------------------------------------------------------------------

void write(ByteWriter& out, const HelloReply& reply) { out.u8(reply.version); }
HelloReply read_hello_reply(ByteReader& in) {
  HelloReply reply;
  reply.version = in.u8();
  in.require(reply.version >= 1, "there is no version 0");
  return reply;
}

void write(ByteWriter& out, const InformationReply& reply) {
  out.u64(reply.boot_epoch);
  out.u32(reply.capabilities);
  out.u16(reply.shape.word_lines);
  out.u16(reply.shape.bit_lines);
  out.u8(reply.adc_bits);
  out.zeros(3);
  write(out, reply.adc_step);
  write_short(out, reply.sample_time);
  write(out, reply.limits);
  out.text(reply.serial);
  out.text(reply.firmware);
}
InformationReply read_information_reply(ByteReader& in) {
  InformationReply reply;
  reply.boot_epoch = in.u64();
  reply.capabilities = in.u32();
  reply.shape.word_lines = in.u16();
  reply.shape.bit_lines = in.u16();
  in.require(reply.shape.device_count() >= 1, "the array has no devices");
  reply.adc_bits = in.u8();
  in.require(reply.adc_bits >= 1 && reply.adc_bits <= 16, "an ADC has 1 to 16 bits");
  in.zeros(3);
  reply.adc_step = read_conductance(in);
  reply.sample_time = read_short(in);
  reply.limits = read_limits(in);
  reply.serial = read_identifier(in);
  reply.firmware = read_identifier(in);
  return reply;
}

void write(ByteWriter& out, const ReadReply& reply) {
  write_long(out, reply.first);
  write_long(out, reply.last);
  out.u32(static_cast<std::uint32_t>(reply.code_sums.size()));
  out.array(std::span(reply.code_sums));
}
ReadReply read_read_reply(ByteReader& in) {
  ReadReply reply;
  reply.first = read_long(in);
  reply.last = read_long(in);
  in.require(reply.first <= reply.last, "the read ends before it starts");
  reply.code_sums = in.array<std::uint16_t>(in.u32());
  return reply;
}

void write(ByteWriter& out, const PulseReply& reply) {
  out.u64(reply.batch);
  out.u32(reply.devices_done);
  out.u32(reply.pulses_executed);
  write_long(out, reply.first);
  write_long(out, reply.last);
}
template <class Reply>
Reply read_pulse_reply(ByteReader& in) {
  Reply reply;
  reply.batch = in.u64();
  reply.devices_done = in.u32();
  reply.pulses_executed = in.u32();
  reply.first = read_long(in);
  reply.last = read_long(in);
  in.require(reply.first <= reply.last, "the pulses end before they start");
  return reply;
}

void write(ByteWriter& out, const StatusReply& reply) {
  out.u64(reply.boot_epoch);
  write_long(out, reply.now);
  write_long(out, reply.busy);
  out.u64(reply.pulses_executed);
  out.u32(reply.queued_requests);
  out.u32(static_cast<std::uint32_t>(reply.recent_batches.size()));
  for (const BatchRecord& record : reply.recent_batches) {
    out.u64(record.batch);
    out.u32(record.devices_total);
    out.u32(record.devices_done);
    out.u32(record.pulses_executed);
    write_long(out, record.first);
    write_long(out, record.last);
  }
}
StatusReply read_status_reply(ByteReader& in) {
  StatusReply reply;
  reply.boot_epoch = in.u64();
  reply.now = read_long(in);
  reply.busy = read_long(in);
  reply.pulses_executed = in.u64();
  reply.queued_requests = in.u32();
  const std::uint32_t records = in.u32();
  in.require(records <= kMaxRecentBatches, "more than 64 batches are reported");
  for (std::uint32_t i = 0; i < records && in.ok(); ++i) {
    BatchRecord record;
    record.batch = in.u64();
    record.devices_total = in.u32();
    record.devices_done = in.u32();
    record.pulses_executed = in.u32();
    record.first = read_long(in);
    record.last = read_long(in);
    in.require(record.first <= record.last, "a batch ends before it starts");
    in.require(record.devices_done <= record.devices_total, "more devices are done than there are");
    reply.recent_batches.push_back(record);
  }
  return reply;
}

void write(ByteWriter& out, const TemperatureReply& reply) { write(out, reply.chip); }

void write(ByteWriter& out, const SetLimitsReply& reply) { write(out, reply.limits); }

void write(ByteWriter& out, const AbortReply& reply) { out.u32(reply.requests_dropped); }

void write(ByteWriter& out, const AdvanceTimeReply& reply) { write_long(out, reply.now); }

constexpr std::size_t kReferenceBytes = 8;

void write(ByteWriter& out, const ReadReferencesReply& reply) {
  out.u32(static_cast<std::uint32_t>(reply.references.size()));
  for (const ReferenceReading& reading : reply.references) {
    write(out, reading.nominal);
    out.u16(reading.code_sum);
    out.zeros(2);
  }
}
ReadReferencesReply read_references_reply(ByteReader& in) {
  ReadReferencesReply reply;
  const std::uint32_t count = in.u32();
  in.require(count <= in.remaining() / kReferenceBytes, "there are fewer elements than counted");
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    ReferenceReading reading;
    reading.nominal = read_conductance(in);
    reading.code_sum = in.u16();
    in.zeros(2);
    reply.references.push_back(reading);
  }
  return reply;
}

void write(ByteWriter& out, const RefusalReply& reply) {
  out.u16(static_cast<std::uint16_t>(reply.reason));
  out.text(reply.detail);
}
RefusalReply read_refusal_reply(ByteReader& in) {
  RefusalReply reply;
  reply.reason = static_cast<Refusal>(in.u16());
  in.require(!to_string(reply.reason).empty(), "the reason of the refusal is unknown");
  reply.detail = in.text();
  return reply;
}

// ---- frames ----------------------------------------------------------------------------------

/// At least the payload bytes of a message, so that a frame is written without moving it.
template <class Message>
std::size_t payload_room(const Message& message) {
  constexpr std::size_t kFixedParts = 128;
  const auto selection_room = [](const DeviceSelection& selection) {
    const auto* list = std::get_if<DeviceList>(&selection);
    return list == nullptr ? 0 : list->addresses.size() * sizeof(DeviceAddress);
  };
  if constexpr (std::is_same_v<Message, ReadRequest>) {
    return kFixedParts + selection_room(message.devices);
  } else if constexpr (std::is_same_v<Message, ProgramRequest>) {
    return kFixedParts + message.addresses.size() * (sizeof(DeviceAddress) + sizeof(std::uint16_t));
  } else if constexpr (std::is_same_v<Message, InitialiseRequest>) {
    return kFixedParts + message.sequence.size() * kPulseBytes + selection_room(message.devices);
  } else if constexpr (std::is_same_v<Message, ReadReply>) {
    return kFixedParts + message.code_sums.size() * sizeof(std::uint16_t);
  } else {
    return kFixedParts;
  }
}

void require_whole(const Request& request) {
  if (const auto* program = std::get_if<ProgramRequest>(&request)) {
    if (program->addresses.size() != program->amplitudes_10nA.size()) {
      throw std::invalid_argument("ProgramRequest: one amplitude per address");
    }
  } else if (const auto* initialise = std::get_if<InitialiseRequest>(&request)) {
    if (initialise->sequence.empty() || initialise->sequence.size() > kMaxSequencePulses) {
      throw std::invalid_argument("InitialiseRequest: 1 to 32 pulses");
    }
  }
}

void require_whole(const Reply& reply) {
  const auto* status = std::get_if<StatusReply>(&reply);
  if (status != nullptr && status->recent_batches.size() > kMaxRecentBatches) {
    throw std::invalid_argument("StatusReply: at most 64 recent batches");
  }
}

template <class Message>
void encode_frame(const Message& message, std::uint8_t type, std::uint16_t flags,
                  std::uint32_t sequence, std::vector<std::byte>& out) {
  const std::size_t begin = out.size();
  const std::size_t needed = begin + kHeaderBytes + payload_room(message) + kCrcBytes;
  if (needed > out.capacity()) {
    out.reserve(std::max(needed, 2 * out.capacity()));
  }
  ByteWriter writer(out);
  writer.characters({kMagic.data(), kMagic.size()});
  writer.u8(kProtocolVersion);
  writer.u8(type);
  writer.u16(flags);
  writer.u32(sequence);
  writer.zeros(kHeaderBytes - 12);
  write(writer, message);

  const std::size_t payload_bytes = out.size() - begin - kHeaderBytes;
  if (payload_bytes > kMaxPayloadBytes) {
    out.resize(begin);
    throw std::invalid_argument("a frame's payload has at most 4 MiB: ask for fewer devices");
  }
  const auto length = static_cast<std::uint32_t>(payload_bytes);
  std::memcpy(out.data() + begin + 12, &length, sizeof length);
  const auto frame = std::span<const std::byte>(out).subspan(begin);
  const std::uint32_t header_crc = crc32c(frame.first(kHeaderBytes - kCrcBytes));
  const std::uint32_t frame_crc = crc32c(frame.subspan(kHeaderBytes), header_crc);
  std::memcpy(out.data() + begin + 16, &header_crc, sizeof header_crc);
  writer.u32(frame_crc);
}

/// Requests and replies are assigned, not returned in a Result: moving such a variant out of a
/// Result makes g++ 12 warn of members that are not there.
Result<void> read_payload(MessageType type, ByteReader& in, Request& request) {
  switch (type) {
    case MessageType::Hello:
      request = read_hello_request(in);
      break;
    case MessageType::Information:
      request = InformationRequest{};
      break;
    case MessageType::Read:
      request = read_read_request(in);
      break;
    case MessageType::Program:
      request = read_program_request(in);
      break;
    case MessageType::Initialise:
      request = read_initialise_request(in);
      break;
    case MessageType::Status:
      request = StatusRequest{};
      break;
    case MessageType::Temperature:
      request = TemperatureRequest{};
      break;
    case MessageType::SetLimits:
      request = SetLimitsRequest{read_limits(in)};
      break;
    case MessageType::Abort:
      request = AbortRequest{};
      break;
    case MessageType::AdvanceTime:
      request = AdvanceTimeRequest{read_long(in)};
      break;
    case MessageType::ReadReferences:
      request = read_references_request(in);
      break;
    default:
      return fail(ErrorCode::Unsupported,
                  "no request has type " + std::to_string(static_cast<unsigned>(type)));
  }
  return in.finish(std::string(to_string(type)) + " request");
}

Result<void> read_payload(MessageType type, ByteReader& in, Reply& reply) {
  switch (type) {
    case MessageType::Hello:
      reply = read_hello_reply(in);
      break;
    case MessageType::Information:
      reply = read_information_reply(in);
      break;
    case MessageType::Read:
      reply = read_read_reply(in);
      break;
    case MessageType::Program:
      reply = read_pulse_reply<ProgramReply>(in);
      break;
    case MessageType::Initialise:
      reply = read_pulse_reply<InitialiseReply>(in);
      break;
    case MessageType::Status:
      reply = read_status_reply(in);
      break;
    case MessageType::Temperature:
      reply = TemperatureReply{read_temperature(in)};
      break;
    case MessageType::SetLimits:
      reply = SetLimitsReply{read_limits(in)};
      break;
    case MessageType::Abort:
      reply = AbortReply{in.u32()};
      break;
    case MessageType::AdvanceTime:
      reply = AdvanceTimeReply{read_long(in)};
      break;
    case MessageType::ReadReferences:
      reply = read_references_reply(in);
      break;
    default:
      return fail(ErrorCode::BadFrame,
                  "no request has type " + std::to_string(static_cast<unsigned>(type)));
  }
  return in.finish(std::string(to_string(type)) + " reply");
}

}  // namespace

std::size_t device_count(const DeviceSelection& selection) {
  if (const auto* list = std::get_if<DeviceList>(&selection)) {
    return list->addresses.size();
  }
  const auto& rectangle = std::get<Rectangle>(selection);
  return static_cast<std::size_t>(rectangle.word_lines) * rectangle.bit_lines;
}

std::vector<DeviceAddress> expand(const DeviceSelection& selection) {
  if (const auto* list = std::get_if<DeviceList>(&selection)) {
    return list->addresses;
  }
  const auto& rectangle = std::get<Rectangle>(selection);
  std::vector<DeviceAddress> addresses;
  addresses.reserve(device_count(selection));
  for (unsigned row = 0; row < rectangle.word_lines; ++row) {
    const auto word_line = static_cast<std::uint16_t>(rectangle.first.word_line.index + row);
    for (unsigned column = 0; column < rectangle.bit_lines; ++column) {
      const auto bit_line = static_cast<std::uint16_t>(rectangle.first.bit_line.index + column);
      addresses.push_back({WordLine{word_line}, BitLine{bit_line}});
    }
  }
  return addresses;
}

MessageType type_of(const Request& request) {
  static_assert(std::variant_size_v<Request> == 11 &&
                    std::is_same_v<std::variant_alternative_t<10, Request>, ReadReferencesRequest>,
                "requests are listed in the order of their type numbers, from 1");
  return static_cast<MessageType>(request.index() + 1);
}

std::string_view to_string(MessageType type) {
  switch (type) {
    case MessageType::Hello:
      return "Hello";
    case MessageType::Information:
      return "Information";
    case MessageType::Read:
      return "Read";
    case MessageType::Program:
      return "Program";
    case MessageType::Initialise:
      return "Initialise";
    case MessageType::Status:
      return "Status";
    case MessageType::Temperature:
      return "Temperature";
    case MessageType::SetLimits:
      return "SetLimits";
    case MessageType::Abort:
      return "Abort";
    case MessageType::AdvanceTime:
      return "AdvanceTime";
    case MessageType::ReadReferences:
      return "ReadReferences";
  }
  return {};
}

std::string_view to_string(Refusal reason) {
  switch (reason) {
    case Refusal::UnknownRequest:
      return "unknown request";
    case Refusal::BadPayload:
      return "bad payload";
    case Refusal::BadAddress:
      return "bad address";
    case Refusal::LimitExceeded:
      return "limit exceeded";
    case Refusal::Unsupported:
      return "unsupported";
    case Refusal::VersionMismatch:
      return "version mismatch";
    case Refusal::QueueFull:
      return "queue full";
    case Refusal::Aborted:
      return "aborted";
    case Refusal::DuplicateBatch:
      return "duplicate batch";
    case Refusal::OverTemperature:
      return "over temperature";
  }
  return {};
}

void encode(const Request& request, std::uint32_t sequence, std::vector<std::byte>& out) {
  require_whole(request);
  const auto type = static_cast<std::uint8_t>(type_of(request));
  std::visit([&](const auto& message) { encode_frame(message, type, 0, sequence, out); }, request);
}

void encode(const Reply& reply, MessageType type, std::uint32_t sequence,
            std::vector<std::byte>& out) {
  require_whole(reply);
  const bool refusal = std::holds_alternative<RefusalReply>(reply);
  if (!refusal && reply.index() + 1 != static_cast<std::size_t>(type)) {
    throw std::invalid_argument("this reply does not answer this type of request");
  }
  const auto number = static_cast<std::uint8_t>(static_cast<std::uint8_t>(type) | kReplyBit);
  const std::uint16_t flags = refusal ? kRefusalFlag : std::uint16_t{0};
  std::visit([&](const auto& message) { encode_frame(message, number, flags, sequence, out); },
             reply);
}

Result<Request> decode_request(const Frame& frame) {
  const auto type = static_cast<MessageType>(frame.type);
  if (frame.flags != 0) {
    return fail(ErrorCode::BadFrame, "a request has no flags");
  }
  ByteReader in(frame.payload);
  Request request;
  PCM_TRY(read_payload(type, in, request));
  return request;
}

Result<Reply> decode_reply(const Frame& frame) {
  if ((frame.type & kReplyBit) == 0) {
    return fail(ErrorCode::BadFrame, "a request came where a reply belongs");
  }
  if (frame.flags != 0 && frame.flags != kRefusalFlag) {
    return fail(ErrorCode::BadFrame, "a reply has unknown flags");
  }
  const auto type = static_cast<MessageType>(frame.type & ~kReplyBit);
  ByteReader in(frame.payload);
  Reply reply;
  if (frame.flags == kRefusalFlag) {
    reply = read_refusal_reply(in);
    PCM_TRY(in.finish("refusal"));
  } else {
    PCM_TRY(read_payload(type, in, reply));
  }
  return reply;
}

}  // namespace pcmlab::wire

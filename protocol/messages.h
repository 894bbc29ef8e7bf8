// SPDX-License-Identifier: Apache-2.0
/// \file
/// What host and board say to each other. The bytes are specified in README.md; encode and decode
/// of both directions are here, so that firmware, driver and mock compile the same file.
/// Plain values; decoders never read outside the payload and never allocate more than it justifies.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/device_address.h"
#include "protocol/error.h"
#include "protocol/quantities.h"

namespace pcmlab::wire {

constexpr std::uint8_t kProtocolVersion = 1;

/// Frame type of a request; its reply has the same number with kReplyBit set.
enum class MessageType : std::uint8_t {
  Hello = 0x01,
  Information = 0x02,
  Read = 0x03,
  Program = 0x04,
  Initialise = 0x05,
  Status = 0x06,
  Temperature = 0x07,
  SetLimits = 0x08,
  Abort = 0x09,
  AdvanceTime = 0x0A,
  ReadReferences = 0x0B,
};
constexpr std::uint8_t kReplyBit = 0x80;

/// Bits of Information::capabilities.
enum Capability : std::uint32_t {
  kVirtualTime = 1u << 0,         ///< AdvanceTime works
  kReferenceResistors = 1u << 1,  ///< ReadReferences works
};

/// Whether the host may send a request again when it does not know what became of the first one.
/// Pulses are not repeatable: ask Status first.
constexpr bool may_be_repeated(MessageType type) {
  return type != MessageType::Program && type != MessageType::Initialise;
}

// Which devices a request is about: an explicit list, or a rectangle walked word line by word line.
struct DeviceList {
  std::vector<DeviceAddress> addresses;
  bool operator==(const DeviceList&) const = default;
};
struct Rectangle {
  DeviceAddress first;           ///< lowest word line and bit line
  std::uint16_t word_lines = 0;  ///< at least 1
  std::uint16_t bit_lines = 0;   ///< at least 1
  bool operator==(const Rectangle&) const = default;
};
using DeviceSelection = std::variant<DeviceList, Rectangle>;

/// Devices a selection names.
std::size_t device_count(const DeviceSelection& selection);
/// The selection's devices in the order in which the board takes them. A rectangle may name four
/// thousand million devices: check device_count() first.
std::vector<DeviceAddress> expand(const DeviceSelection& selection);

/// One box current pulse of a sequence. Resolution on the wire: 10 nA, 1 ns.
struct Pulse {
  Current amplitude;
  Duration width{};
  bool operator==(const Pulse&) const = default;
};

/// Smallest step of a pulse amplitude on the wire.
constexpr double kAmplitudeStep_uA = 0.01;
constexpr double kMaxAmplitude_uA = 655.35;

struct Limits {
  Current max_amplitude;
  Duration min_width{};
  Duration max_width{};
  std::uint32_t max_devices_per_request = 0;
  std::uint8_t max_requests_in_flight = 0;
  std::uint64_t max_pulses_per_device = 0;  ///< over the board's uptime; 0 = no limit
  Temperature max_temperature;
  bool operator==(const Limits&) const = default;
};

// ---- requests --------------------------------------------------------------------------------

struct HelloRequest {
  std::uint8_t lowest_version = kProtocolVersion;
  std::uint8_t highest_version = kProtocolVersion;
  bool operator==(const HelloRequest&) const = default;
};
struct InformationRequest {
  bool operator==(const InformationRequest&) const = default;
};
struct ReadRequest {
  DeviceSelection devices;
  std::uint8_t samples = 1;  ///< ADC conversions a device, 1..255
  Voltage read_voltage;      ///< resolution 1 mV
  bool operator==(const ReadRequest&) const = default;
};
struct ProgramRequest {
  std::uint64_t batch = 0;  ///< the host's number for this batch of pulses; never used twice
  Duration width{};         ///< common to all
  std::vector<DeviceAddress> addresses;
  std::vector<std::uint16_t> amplitudes_10nA;  ///< one per address; 0 = no pulse for this device
  bool operator==(const ProgramRequest&) const = default;
};
struct InitialiseRequest {
  std::uint64_t batch = 0;
  std::vector<Pulse> sequence;  ///< applied to each device in turn; 1..32 pulses
  DeviceSelection devices;
  bool operator==(const InitialiseRequest&) const = default;
};
struct StatusRequest {
  bool operator==(const StatusRequest&) const = default;
};
struct TemperatureRequest {
  bool operator==(const TemperatureRequest&) const = default;
};
/// Asks for tighter limits than the board's own; each field is the tighter of both afterwards: the
/// higher of min_width, the lower of the others.
struct SetLimitsRequest {
  Limits limits;
  bool operator==(const SetLimitsRequest&) const = default;
};
/// Stops after the device at work; queued requests are answered with Aborted.
struct AbortRequest {
  bool operator==(const AbortRequest&) const = default;
};
struct AdvanceTimeRequest {
  BoardTime until{};  ///< no effect when it is later already
  bool operator==(const AdvanceTimeRequest&) const = default;
};
struct ReadReferencesRequest {
  std::uint8_t samples = 1;
  Voltage read_voltage;
  bool operator==(const ReadReferencesRequest&) const = default;
};

using Request = std::variant<HelloRequest, InformationRequest, ReadRequest, ProgramRequest,
                             InitialiseRequest, StatusRequest, TemperatureRequest, SetLimitsRequest,
                             AbortRequest, AdvanceTimeRequest, ReadReferencesRequest>;

// ---- replies ---------------------------------------------------------------------------------

struct HelloReply {
  std::uint8_t version = kProtocolVersion;  ///< the highest that both sides speak
  bool operator==(const HelloReply&) const = default;
};
struct InformationReply {
  std::string serial;
  std::string firmware;
  ArrayShape shape;
  std::uint32_t capabilities = 0;
  std::uint64_t boot_epoch = 0;  ///< another number after every loss of the board's memory
  std::uint8_t adc_bits = 8;
  Conductance adc_step;    ///< nominal conductance of one ADC code; resolution 1 pS
  Duration sample_time{};  ///< one read sample in all
  Limits limits;
  bool operator==(const InformationReply&) const = default;
};
struct ReadReply {
  BoardTime first{};                     ///< start of the first device's first sample
  BoardTime last{};                      ///< end of the last device's last sample
  std::vector<std::uint16_t> code_sums;  ///< one per device: sum of `samples` ADC codes
  bool operator==(const ReadReply&) const = default;
};
/// Answers Program and Initialise.
struct PulseReply {
  std::uint64_t batch = 0;
  std::uint32_t devices_done = 0;     ///< devices of the batch finished, in order, skipped included
  std::uint32_t pulses_executed = 0;  ///< pulses that really went out
  BoardTime first{};
  BoardTime last{};
  bool operator==(const PulseReply&) const = default;
};
struct ProgramReply : PulseReply {
  bool operator==(const ProgramReply&) const = default;
};
struct InitialiseReply : PulseReply {
  bool operator==(const InitialiseReply&) const = default;
};
/// How far one batch came.
struct BatchRecord {
  std::uint64_t batch = 0;
  std::uint32_t devices_total = 0;
  std::uint32_t devices_done = 0;
  std::uint32_t pulses_executed = 0;
  BoardTime first{};  ///< as in PulseReply, up to the devices done
  BoardTime last{};
  bool operator==(const BatchRecord&) const = default;
};
struct StatusReply {
  std::uint64_t boot_epoch = 0;
  BoardTime now{};
  Duration busy{};  ///< time spent on reads and pulses since boot
  std::uint32_t queued_requests = 0;
  std::uint64_t pulses_executed = 0;        ///< since boot
  std::vector<BatchRecord> recent_batches;  ///< oldest first, at most 64
  bool operator==(const StatusReply&) const = default;
};
struct TemperatureReply {
  Temperature chip;  ///< resolution 1 mK
  bool operator==(const TemperatureReply&) const = default;
};
struct SetLimitsReply {
  Limits limits;  ///< now in force
  bool operator==(const SetLimitsReply&) const = default;
};
struct AbortReply {
  std::uint32_t requests_dropped = 0;
  bool operator==(const AbortReply&) const = default;
};
struct AdvanceTimeReply {
  BoardTime now{};
  bool operator==(const AdvanceTimeReply&) const = default;
};
struct ReferenceReading {
  Conductance nominal;  ///< resolution 1 pS
  std::uint16_t code_sum = 0;
  bool operator==(const ReferenceReading&) const = default;
};
struct ReadReferencesReply {
  std::vector<ReferenceReading> references;
  bool operator==(const ReadReferencesReply&) const = default;
};

enum class Refusal : std::uint16_t {
  UnknownRequest = 1,
  BadPayload = 2,
  BadAddress = 3,
  LimitExceeded = 4,
  Unsupported = 5,
  VersionMismatch = 6,
  QueueFull = 7,
  Aborted = 8,
  DuplicateBatch = 9,
  OverTemperature = 10,
};
/// Sent in place of any reply; the frame has kRefusalFlag.
struct RefusalReply {
  Refusal reason = Refusal::UnknownRequest;
  std::string detail;  ///< one sentence for a person
  bool operator==(const RefusalReply&) const = default;
};

using Reply = std::variant<HelloReply, InformationReply, ReadReply, ProgramReply, InitialiseReply,
                           StatusReply, TemperatureReply, SetLimitsReply, AbortReply,
                           AdvanceTimeReply, ReadReferencesReply, RefusalReply>;

// ---- frames ----------------------------------------------------------------------------------

/// One frame as it came off the wire, checked: magic, version, lengths and both CRCs are right.
struct Frame {
  std::uint8_t type = 0;  ///< MessageType, with kReplyBit for replies
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::vector<std::byte> payload;
};

constexpr std::uint16_t kRefusalFlag = 1u << 0;
constexpr std::array<char, 4> kMagic = {'P', 'C', 'M', 'B'};
constexpr std::size_t kHeaderBytes = 20;
constexpr std::size_t kCrcBytes = 4;
constexpr std::size_t kMaxPayloadBytes = 4u << 20;
constexpr std::size_t kMaxSequencePulses = 32;
constexpr std::size_t kMaxRecentBatches = 64;

MessageType type_of(const Request& request);

/// Names for messages to a person: "Read", "limit exceeded".
std::string_view to_string(MessageType type);
std::string_view to_string(Refusal reason);

/// Appends the request as one whole frame. Quantities are rounded to the wire's step and clamped to
/// its range. A request that cannot be a frame (list lengths that differ, no or too many pulses, a
/// payload over kMaxPayloadBytes) is a bug of the caller: std::invalid_argument, `out` unchanged.
void encode(const Request& request, std::uint32_t sequence, std::vector<std::byte>& out);
/// Appends the reply as one whole frame; `type` is the request's (a refusal has none of its own).
/// Throws as above.
void encode(const Reply& reply, MessageType type, std::uint32_t sequence,
            std::vector<std::byte>& out);

/// Errors: BadFrame with what is wrong in the payload; Unsupported when no request has this type.
Result<Request> decode_request(const Frame& frame);
/// Errors: BadFrame.
Result<Reply> decode_reply(const Frame& frame);

}  // namespace pcmlab::wire

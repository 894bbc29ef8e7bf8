// SPDX-License-Identifier: Apache-2.0
#include "driver/request_difference.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/frame_reader.h"
#include "protocol/messages.h"

namespace pcmlab {
namespace {

using wire::Limits;
using wire::Pulse;

constexpr char kOtherWay[] =
    "The program goes another way than when it was recorded: replay with the plan, the network and "
    "the program version of the recording.";

struct Message {
  wire::Frame frame;
  wire::Request request;
};

/// Nothing unless the bytes are one whole request and no more.
std::optional<Message> read(std::span<const std::byte> bytes) {
  wire::FrameReader reader;
  reader.append(bytes);
  std::optional<wire::Frame> frame = reader.next();
  if (!frame || wire::kHeaderBytes + frame->payload.size() + wire::kCrcBytes != bytes.size()) {
    return std::nullopt;
  }
  Result<wire::Request> request = decode_request(*frame);
  if (!request) return std::nullopt;
  return Message{std::move(*frame), std::move(*request)};
}

template <class... Arguments>
std::string format(const char* pattern, Arguments... arguments) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, pattern, arguments...);
  return buffer;
}

// How each kind of value is written.
std::string text(std::uint64_t number) { return std::to_string(number); }
std::string text(Duration duration) { return std::to_string(duration.count()) + " ns"; }
std::string text(Current current) { return format("%.2f uA", current.uA()); }
std::string text(Voltage voltage) { return format("%.0f mV", voltage.mV()); }
std::string text(Temperature temperature) { return format("%.3f K", temperature.K()); }
std::string text(DeviceAddress address) {
  return format("word line %u, bit line %u", unsigned{address.word_line.index},
                unsigned{address.bit_line.index});
}
std::string amplitude_text(std::uint16_t steps) {
  return text(Current::from_uA(steps * wire::kAmplitudeStep_uA));
}
std::string pulse_text(const Pulse& pulse) {
  return text(pulse.amplitude) + " for " + text(pulse.width);
}

/// Collects what differs, in words.
class Differences {
 public:
  void note(const std::string& difference) {
    if (!text_.empty()) text_ += "; ";
    text_ += difference;
  }

  template <class Value>
  void compare(const std::string& name, const Value& asked, const Value& recorded) {
    if (asked != recorded) note(name + " " + text(asked) + ", recorded " + text(recorded));
  }

  void compare(const Limits& asked, const Limits& recorded) {
    compare("highest amplitude", asked.max_amplitude, recorded.max_amplitude);
    compare("shortest width", asked.min_width, recorded.min_width);
    compare("longest width", asked.max_width, recorded.max_width);
    compare("devices in a request", asked.max_devices_per_request,
            recorded.max_devices_per_request);
    compare("requests in flight", asked.max_requests_in_flight, recorded.max_requests_in_flight);
    compare("pulses of a device", asked.max_pulses_per_device, recorded.max_pulses_per_device);
    compare("highest temperature", asked.max_temperature, recorded.max_temperature);
  }

  void compare(const std::vector<Pulse>& asked, const std::vector<Pulse>& recorded) {
    compare("pulses in the sequence", asked.size(), recorded.size());
    for (std::size_t k = 0; k < std::min(asked.size(), recorded.size()); ++k) {
      if (asked[k] == recorded[k]) continue;
      note("pulse " + std::to_string(k + 1) + " of the sequence " + pulse_text(asked[k]) +
           ", recorded " + pulse_text(recorded[k]));
      return;
    }
  }

  void compare(const wire::DeviceSelection& asked, const wire::DeviceSelection& recorded) {
    if (asked == recorded) return;
    const std::size_t devices = device_count(asked);
    compare("number of devices", devices, device_count(recorded));
    const std::string before = text_;
    // No request has more devices than a list in a frame has room for; a rectangle may say so.
    constexpr std::size_t kMostDevices = wire::kMaxPayloadBytes / sizeof(DeviceAddress);
    if (std::max(devices, device_count(recorded)) <= kMostDevices) {
      compare(expand(asked), {}, expand(recorded), {});
    }
    if (text_ != before || devices != device_count(recorded)) return;
    note(std::holds_alternative<wire::Rectangle>(asked)
             ? "devices named by a rectangle, recorded one by one"
             : "devices named one by one, recorded as a rectangle");
  }

  /// The first device that differs, and how many others do.
  void compare(const std::vector<DeviceAddress>& asked,
               const std::vector<std::uint16_t>& amplitudes,
               const std::vector<DeviceAddress>& recorded,
               const std::vector<std::uint16_t>& recorded_amplitudes) {
    const std::size_t common = std::min(asked.size(), recorded.size());
    const bool with_amplitudes = !amplitudes.empty() && !recorded_amplitudes.empty();
    std::size_t different = 0;
    std::string first;
    for (std::size_t d = 0; d < common; ++d) {
      const bool moved = asked[d] != recorded[d];
      if (!moved && (!with_amplitudes || amplitudes[d] == recorded_amplitudes[d])) continue;
      if (++different > 1) continue;
      first = "device " + std::to_string(d + 1) + " of " + std::to_string(asked.size());
      if (moved) {
        first += ": " + text(asked[d]) + ", recorded " + text(recorded[d]);
      } else {
        first += " (" + text(asked[d]) + "): amplitude " + amplitude_text(amplitudes[d]) +
                 ", recorded " + amplitude_text(recorded_amplitudes[d]);
      }
    }
    if (different == 0) return;
    if (different > 1) {
      first += " (and " + std::to_string(different - 1) + " more)";
    }
    note(first);
  }

  const std::string& in_words() const { return text_; }

 private:
  std::string text_;
};

/// One overload a kind of request; requests without content have nothing to compare.
struct Compare {
  Differences& out;

  void operator()(const wire::HelloRequest& a, const wire::HelloRequest& r) const {
    out.compare("lowest protocol version", a.lowest_version, r.lowest_version);
    out.compare("highest protocol version", a.highest_version, r.highest_version);
  }
  void operator()(const wire::ReadRequest& a, const wire::ReadRequest& r) const {
    out.compare("samples", a.samples, r.samples);
    out.compare("read voltage", a.read_voltage, r.read_voltage);
    out.compare(a.devices, r.devices);
  }
  void operator()(const wire::ProgramRequest& a, const wire::ProgramRequest& r) const {
    out.compare("batch number", a.batch, r.batch);
    out.compare("width", a.width, r.width);
    out.compare("number of devices", a.addresses.size(), r.addresses.size());
    out.compare(a.addresses, a.amplitudes_10nA, r.addresses, r.amplitudes_10nA);
  }
  void operator()(const wire::InitialiseRequest& a, const wire::InitialiseRequest& r) const {
    out.compare("batch number", a.batch, r.batch);
    out.compare(a.sequence, r.sequence);
    out.compare(a.devices, r.devices);
  }
  void operator()(const wire::SetLimitsRequest& a, const wire::SetLimitsRequest& r) const {
    out.compare(a.limits, r.limits);
  }
  void operator()(const wire::AdvanceTimeRequest& a, const wire::AdvanceTimeRequest& r) const {
    out.compare("time", a.until, r.until);
  }
  void operator()(const wire::ReadReferencesRequest& a,
                  const wire::ReadReferencesRequest& r) const {
    out.compare("samples", a.samples, r.samples);
    out.compare("read voltage", a.read_voltage, r.read_voltage);
  }
  template <class Asked, class Recorded>
  void operator()(const Asked& /*asked*/, const Recorded& /*recorded*/) const {}
};

std::optional<std::uint64_t> batch_of(const wire::Request& request) {
  if (const auto* program = std::get_if<wire::ProgramRequest>(&request)) return program->batch;
  if (const auto* initialise = std::get_if<wire::InitialiseRequest>(&request)) {
    return initialise->batch;
  }
  return std::nullopt;
}

std::string advice_for(const wire::Request& asked, const wire::Request& recorded) {
  const std::optional<std::uint64_t> batch = batch_of(asked);
  const std::optional<std::uint64_t> recorded_batch = batch_of(recorded);
  if (!batch || !recorded_batch || *batch == *recorded_batch) return kOtherWay;
  if (*batch > *recorded_batch) {
    return "Batch numbers count on from the database: replay into one that has not seen this "
           "board.";
  }
  return "Batch numbers count on from the database, and the recording's had seen this board: "
         "replay "
         "into a copy of it from before that run.";
}

std::string device_text(std::size_t count) {
  return ", " + std::to_string(count) + (count == 1 ? " device" : " devices");
}

std::string devices_of(const wire::Request& request) {
  if (const auto* read = std::get_if<wire::ReadRequest>(&request)) {
    return device_text(device_count(read->devices));
  }
  if (const auto* program = std::get_if<wire::ProgramRequest>(&request)) {
    return device_text(program->addresses.size());
  }
  if (const auto* initialise = std::get_if<wire::InitialiseRequest>(&request)) {
    return device_text(device_count(initialise->devices));
  }
  return {};
}

RequestDifference difference_of_bytes(std::span<const std::byte> asked,
                                      std::span<const std::byte> recorded, std::size_t from,
                                      const std::string& where) {
  Differences differences;
  const std::size_t most = std::min(asked.size(), recorded.size());
  for (std::size_t i = from; i < most; ++i) {
    if (asked[i] == recorded[i]) continue;
    differences.note(where + " byte " + std::to_string(i - from) + ": " +
                     format("0x%02x, recorded 0x%02x", std::to_integer<unsigned>(asked[i]),
                            std::to_integer<unsigned>(recorded[i])));
    break;
  }
  differences.compare("bytes", asked.size(), recorded.size());
  return {differences.in_words(), kOtherWay};
}

/// A request's settings in words.
struct Settings {
  std::string operator()(const wire::ReadRequest& read) const {
    return format("%u samples at ", unsigned{read.samples}) + text(read.read_voltage);
  }
  std::string operator()(const wire::ReadReferencesRequest& read) const {
    return format("%u samples at ", unsigned{read.samples}) + text(read.read_voltage);
  }
  std::string operator()(const wire::ProgramRequest& program) const {
    std::uint16_t lowest = 0, highest = 0;
    std::size_t pulses = 0;
    for (const std::uint16_t amplitude : program.amplitudes_10nA) {
      if (amplitude == 0) continue;
      lowest = pulses++ == 0 ? amplitude : std::min(lowest, amplitude);
      highest = std::max(highest, amplitude);
    }
    if (pulses == 0) return "no pulses";
    std::string amplitudes = amplitude_text(lowest);
    if (lowest != highest) amplitudes += " to " + amplitude_text(highest);
    return format("%zu pulses of ", pulses) + amplitudes + " for " + text(program.width);
  }
  std::string operator()(const wire::InitialiseRequest& initialise) const {
    std::string sequence = "each gets ";
    for (const Pulse& pulse : initialise.sequence) {
      if (&pulse != &initialise.sequence.front()) sequence += ", ";
      sequence += pulse_text(pulse);
    }
    return sequence;
  }
  std::string operator()(const wire::AdvanceTimeRequest& advance) const {
    return format("until %.6f s", seconds(advance.until));
  }
  std::string operator()(const wire::SetLimitsRequest& set) const {
    return "at most " + text(set.limits.max_amplitude);
  }
  template <class Other>
  std::string operator()(const Other& /*request*/) const {
    return {};
  }
};

}  // namespace

std::string request_settings(std::span<const std::byte> request) {
  const std::optional<Message> message = read(request);
  return message ? std::visit(Settings{}, message->request) : std::string();
}

std::string describe_request(std::span<const std::byte> request) {
  const std::optional<Message> message = read(request);
  if (!message) return std::to_string(request.size()) + " bytes that are no request";
  std::string description(to_string(type_of(message->request)));
  description += devices_of(message->request);
  if (const auto batch = batch_of(message->request)) {
    description += ", batch " + std::to_string(*batch);
  }
  return description;
}

RequestDifference request_difference(std::span<const std::byte> asked,
                                     std::span<const std::byte> recorded) {
  const std::optional<Message> a = read(asked);
  const std::optional<Message> r = read(recorded);
  if (!a || !r) return difference_of_bytes(asked, recorded, 0, "sent");
  if (a->frame.type != r->frame.type) {
    return {"the recording has " + std::string(to_string(type_of(r->request))) +
                " here, the program asked for " + std::string(to_string(type_of(a->request))),
            kOtherWay};
  }
  Differences differences;
  std::visit(Compare{differences}, a->request, r->request);
  if (!differences.in_words().empty()) {
    return {differences.in_words(), advice_for(a->request, r->request)};
  }
  if (a->frame.payload != r->frame.payload) {
    return difference_of_bytes(asked, recorded, wire::kHeaderBytes, "payload");
  }
  differences.compare("sequence number", a->frame.sequence, r->frame.sequence);
  differences.compare("flags", a->frame.flags, r->frame.flags);
  return {differences.in_words(), kOtherWay};
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
// Limits: what is beyond them is refused, and SetLimits only tightens them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "driver/conformance/checks.h"

namespace pcmlab::conformance {
namespace {

using wire::Limits;
using wire::Refusal;

constexpr std::uint32_t kMostDevices = 100'000;

wire::ProgramRequest program(Bench& bench, std::vector<DeviceAddress> devices,
                             std::uint16_t amplitude_10nA, Duration width) {
  std::vector<std::uint16_t> amplitudes(devices.size(), amplitude_10nA);
  return {bench.new_batch(), width, std::move(devices), std::move(amplitudes)};
}

wire::InitialiseRequest initialise(Bench& bench, std::vector<wire::Pulse> sequence,
                                   wire::DeviceSelection devices) {
  return {bench.new_batch(), std::move(sequence), std::move(devices)};
}

std::uint16_t steps(Current amplitude) {
  return static_cast<std::uint16_t>(
      std::lround(amplitude / Current::from_uA(wire::kAmplitudeStep_uA)));
}

/// Why so strong a pulse must not be sent; empty: it may.
std::string too_strong(const Bench& bench, Current amplitude) {
  if (amplitude <= bench.max_amplitude()) return {};
  return text(amplitude.uA(), " uA is more than the ", bench.max_amplitude().uA(),
              " uA that may be sent");
}

/// The request must be refused with LimitExceeded and do nothing.
Result<void> exceeds(Bench& bench, const wire::Request& request, const std::string& what,
                     Refusal reason = Refusal::LimitExceeded) {
  PCM_ASSIGN(const auto before, bench.status());
  PCM_TRY(bench.refused(request, reason, what));
  return bench.unchanged(before, what);
}

Result<std::string> amplitude(Bench& bench) {
  const Limits& limits = bench.board().limits;
  const std::uint16_t highest = steps(limits.max_amplitude);
  if (highest == 65535) return skipped("the limit is the highest that a request can say");
  const auto above = static_cast<std::uint16_t>(highest + 1);
  const Current above_current = Current::from_uA(above * wire::kAmplitudeStep_uA);
  // A board that does not refuse it would send it.
  if (const std::string why = too_strong(bench, limits.max_amplitude); !why.empty()) {
    return skipped("a pulse above the limit, " + why);
  }
  const auto devices = bench.pulse_devices(8);
  auto request = program(bench, devices, above, limits.min_width);
  PCM_TRY(exceeds(bench, request, "Program 10 nA above the limit"));
  request = program(bench, devices, 0, limits.min_width);
  request.amplitudes_10nA.back() = above;
  PCM_TRY(exceeds(bench, request, "Program with the last of its pulses above the limit"));
  const wire::Pulse none{Current(), limits.min_width};
  PCM_TRY(exceeds(
      bench,
      initialise(bench, {none, {above_current, limits.min_width}, none}, wire::DeviceList{devices}),
      "Initialise with one pulse above the limit"));
  return text(limits.max_amplitude.uA(), " uA");
}

Result<std::string> width(Bench& bench) {
  const Limits& limits = bench.board().limits;
  const auto devices = bench.pulse_devices(8);
  const wire::Pulse none{Current(), limits.min_width};
  std::vector<std::pair<Duration, std::string>> beyond;
  if (limits.min_width.count() > 0) beyond.emplace_back(limits.min_width - Duration(1), "short");
  if (limits.max_width.count() < std::numeric_limits<std::uint32_t>::max()) {
    beyond.emplace_back(limits.max_width + Duration(1), "long");
  }
  for (const auto& [width, what] : beyond) {
    PCM_TRY(exceeds(bench, program(bench, devices, 0, width),
                    text("Program, amplitudes 0, 1 ns too ", what)));
    PCM_TRY(
        exceeds(bench, program(bench, devices, 1, width), text("Program, 10 nA, 1 ns too ", what)));
    PCM_TRY(exceeds(bench, initialise(bench, {none, {Current(), width}}, wire::DeviceList{devices}),
                    text("Initialise, second pulse of amplitude 0, 1 ns too ", what)));
  }
  return text(limits.min_width.count(), " to ", limits.max_width.count(), " ns");
}

Result<std::string> at_the_limits(Bench& bench) {
  const Limits& limits = bench.board().limits;
  const auto devices = bench.pulse_devices(1);
  for (const Duration width : {limits.min_width, limits.max_width}) {
    PCM_TRY(bench.get<wire::ProgramReply>(program(bench, devices, 0, width)));
    PCM_TRY(bench.get<wire::InitialiseReply>(
        initialise(bench, {{Current(), width}}, wire::DeviceList{devices})));
  }
  if (const std::string why = too_strong(bench, limits.max_amplitude); !why.empty()) {
    return "widths only: " + why;
  }
  PCM_TRY(bench.get<wire::ProgramReply>(
      program(bench, devices, steps(limits.max_amplitude), limits.min_width)));
  return text("up to ", limits.max_amplitude.uA(), " uA");
}

Result<std::string> devices(Bench& bench) {
  const std::uint32_t most = bench.board().limits.max_devices_per_request;
  if (most >= kMostDevices) return skipped(text("more than ", kMostDevices, " devices"));
  const Duration width = bench.board().limits.min_width;
  const DeviceAddress device = bench.pulse_devices(1).front();
  const std::vector<DeviceAddress> many(most + 1, device);
  PCM_TRY(exceeds(bench, program(bench, many, 0, width), text("Program of ", most + 1)));
  PCM_TRY(exceeds(bench, initialise(bench, {{Current(), width}}, wire::DeviceList{many}),
                  text("Initialise of ", most + 1)));
  const std::vector<DeviceAddress> allowed(most, device);
  PCM_ASSIGN(const auto reply, bench.get<wire::ProgramReply>(program(bench, allowed, 0, width)));
  if (reply.devices_done != most) return failed(text(most, " done"), text(reply.devices_done));
  return text(most, " devices");
}

Result<std::string> address(Bench& bench) {
  const ArrayShape shape = bench.board().shape;
  const Duration width = bench.board().limits.min_width;
  std::vector<DeviceAddress> two = bench.pulse_devices(1);
  two.push_back({WordLine{shape.word_lines}, BitLine{0}});
  for (const DeviceAddress outside : {DeviceAddress{WordLine{shape.word_lines}, BitLine{0}},
                                      DeviceAddress{WordLine{0}, BitLine{shape.bit_lines}}}) {
    two.back() = outside;
    PCM_TRY(exceeds(bench, program(bench, two, 0, width), "Program outside the array",
                    Refusal::BadAddress));
    PCM_TRY(exceeds(bench, initialise(bench, {{Current(), width}}, wire::DeviceList{two}),
                    "Initialise outside the array", Refusal::BadAddress));
    PCM_TRY(exceeds(bench, initialise(bench, {{Current(), width}}, wire::Rectangle{outside, 1, 1}),
                    "Initialise of a rectangle outside the array", Refusal::BadAddress));
  }
  return std::string();
}

Result<std::string> precedence(Bench& bench) {
  const Limits& limits = bench.board().limits;
  const Duration too_long = limits.max_width + Duration(1);
  const DeviceAddress outside{WordLine{bench.board().shape.word_lines}, BitLine{0}};
  const auto good = program(bench, bench.pulse_devices(1), 0, limits.min_width);
  PCM_TRY(bench.get<wire::ProgramReply>(good));
  auto all_wrong = program(bench, {outside}, 0, too_long);
  PCM_TRY(exceeds(bench, all_wrong, "outside the array, and too long", Refusal::BadAddress));
  all_wrong.batch = good.batch;
  PCM_TRY(exceeds(bench, all_wrong, "a used batch, outside the array, and too long",
                  Refusal::DuplicateBatch));
  Bytes payload = payload_of(all_wrong);
  payload.push_back(std::byte{0});
  PCM_TRY(bench.refused(
      bench.make(static_cast<std::uint8_t>(wire::MessageType::Program), std::move(payload)),
      Refusal::BadPayload, "all of that, and malformed"));
  return std::string();
}

// ---- SetLimits ---------------------------------------------------------------------------------

/// Asks, and wants to find `expected` in force, in the reply and in Information.
Result<void> set_limits(Bench& bench, const Limits& asked, const Limits& expected,
                        const std::string& what) {
  PCM_ASSIGN(const auto reply, bench.get<wire::SetLimitsReply>(wire::SetLimitsRequest{asked}));
  if (reply.limits != expected) return failed(what + ": the stricter of both", "other limits");
  PCM_ASSIGN(const auto information, bench.get<wire::InformationReply>(wire::InformationRequest{}));
  if (information.limits != expected) {
    return failed(what + ": Information with the limits that are in force", "other limits");
  }
  bench.set_board(information);
  return {};
}

Result<std::string> same(Bench& bench) {
  const Limits limits = bench.board().limits;
  PCM_TRY(set_limits(bench, limits, limits, "the limits that are in force"));
  return std::string();
}

Result<std::string> looser(Bench& bench) {
  const Limits limits = bench.board().limits;
  Limits loose;
  loose.max_amplitude = Current::from_uA(wire::kMaxAmplitude_uA);
  loose.min_width = Duration(0);
  loose.max_width = Duration(std::numeric_limits<std::uint32_t>::max());
  loose.max_devices_per_request = std::numeric_limits<std::uint32_t>::max();
  loose.max_requests_in_flight = 255;
  loose.max_pulses_per_device = 0;
  loose.max_temperature = Temperature::from_K(4'000'000);
  PCM_TRY(set_limits(bench, loose, limits, "looser limits"));
  if (limits.max_pulses_per_device > 0) {
    loose.max_pulses_per_device = std::numeric_limits<std::uint64_t>::max();
    PCM_TRY(set_limits(bench, loose, limits, "more pulses per device"));
  }
  return std::string();
}

Result<std::string> tighter(Bench& bench) {
  // By the least that there is, so that the board stays usable.
  const Limits before = bench.board().limits;
  Limits tight = before;
  const std::uint16_t highest = steps(before.max_amplitude);
  if (highest > 1) tight.max_amplitude = Current::from_uA((highest - 1) / 100.0);
  if (before.max_width - before.min_width >= Duration(2)) {
    tight.min_width += Duration(1);
    tight.max_width -= Duration(1);
  }
  if (before.max_devices_per_request > 1) tight.max_devices_per_request -= 1;
  if (before.max_requests_in_flight > 2) tight.max_requests_in_flight -= 1;
  PCM_TRY(set_limits(bench, tight, tight, "tighter limits"));
  PCM_TRY(set_limits(bench, before, tight, "looser limits afterwards"));
  return std::string();
}

Result<std::string> enforced(Bench& bench) {
  const Limits& limits = bench.board().limits;
  const auto devices = bench.pulse_devices(1);
  if (too_strong(bench, limits.max_amplitude).empty()) {
    const auto above = static_cast<std::uint16_t>(steps(limits.max_amplitude) + 1);
    PCM_TRY(exceeds(bench, program(bench, devices, above, limits.min_width),
                    "an amplitude that was allowed before"));
  }
  PCM_TRY(exceeds(bench, program(bench, devices, 0, limits.min_width - Duration(1)),
                  "a width that was allowed before"));
  PCM_TRY(exceeds(bench, program(bench, devices, 0, limits.max_width + Duration(1)),
                  "a width that was allowed before"));
  if (limits.max_devices_per_request < kMostDevices) {
    const std::vector<DeviceAddress> many(limits.max_devices_per_request + 1, devices.front());
    PCM_TRY(exceeds(bench, program(bench, many, 0, limits.min_width),
                    "devices that were allowed before"));
  }
  return std::string();
}

Result<std::string> too_hot(Bench& bench) {
  Limits limits = bench.board().limits;
  limits.max_temperature = Temperature::from_K(1);
  PCM_TRY(set_limits(bench, limits, limits, "1 K"));
  const auto devices = bench.pulse_devices(1);
  PCM_TRY(exceeds(bench, program(bench, devices, 1, limits.min_width), "Program on a chip too hot",
                  Refusal::OverTemperature));
  PCM_TRY(exceeds(
      bench,
      initialise(bench, {{Current::from_uA(0.01), limits.min_width}}, wire::DeviceList{devices}),
      "Initialise on a chip too hot", Refusal::OverTemperature));
  PCM_TRY(bench.get<wire::ReadReply>(
      wire::ReadRequest{wire::DeviceList{devices}, 1, Voltage::from_mV(200)}));
  return std::string("1 K");
}

Result<std::string> pulses_each(Bench& bench) {
  Limits limits = bench.board().limits;
  limits.max_pulses_per_device = 1;
  PCM_TRY(set_limits(bench, limits, limits, "1 pulse per device"));
  const auto devices = bench.pulse_devices(1);
  PCM_TRY(exceeds(bench,
                  initialise(bench,
                             {{Current::from_uA(0.01), limits.min_width},
                              {Current::from_uA(0.01), limits.min_width}},
                             wire::DeviceList{devices}),
                  "2 pulses for a device, 1 is allowed"));
  limits.max_pulses_per_device = 0;
  Limits expected = limits;
  expected.max_pulses_per_device = 1;
  PCM_TRY(set_limits(bench, limits, expected, "no limit of pulses after a limit"));
  return std::string();
}

Result<std::string> none_in_flight(Bench& bench) {
  Limits limits = bench.board().limits;
  limits.max_requests_in_flight = 0;
  Limits expected = limits;
  expected.max_requests_in_flight = 1;
  PCM_TRY(set_limits(bench, limits, expected, "no requests in flight, which counts as one"));
  return std::string();
}

}  // namespace

void add_limits(Checks& checks) {
  constexpr unsigned kNeeds = kInformation | kPulses;
  checks.insert(
      checks.end(),
      {{{"limits.amplitude", "Limits", "one pulse above the amplitude refuses all", kNeeds},
        amplitude},
       {{"limits.width", "Limits", "widths are checked, also with amplitude 0", kNeeds}, width},
       {{"limits.at_the_limits", "Limits", "what is at a limit is allowed", kNeeds, 1},
        at_the_limits},
       {{"limits.devices", "Limits", "pulses for as many devices as allowed, no more", kNeeds},
        devices},
       {{"limits.address", "Refusal", "pulses outside the array are a BadAddress", kNeeds},
        address},
       {{"limits.precedence", "Refusal", "of several reasons the highest is named", kNeeds},
        precedence}});
}

void add_set_limits(Checks& checks) {
  const std::string section = "0x08 SetLimits";
  constexpr unsigned kTightens = kInformation | kUntilBoot;
  checks.insert(
      checks.end(),
      {{{"set_limits.same", section, "limits that are in force change nothing", kInformation},
        same},
       {{"set_limits.looser", section, "looser limits change nothing", kInformation}, looser},
       {{"set_limits.tighter", section, "each limit becomes the stricter of both", kTightens},
        tighter},
       {{"set_limits.enforced", section, "tighter limits are enforced", kTightens | kPulses},
        enforced},
       {{"set_limits.too_hot", section, "above max_temperature no pulses, but reads",
         kTightens | kPulses},
        too_hot},
       {{"set_limits.pulses_each", section, "max_pulses_per_device is kept, and 0 is no limit",
         kTightens | kPulses},
        pulses_each},
       {{"set_limits.none_in_flight", section, "one request in flight is always allowed",
         kTightens},
        none_in_flight}});
}

}  // namespace pcmlab::conformance

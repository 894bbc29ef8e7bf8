// SPDX-License-Identifier: Apache-2.0
#include "driver/conformance/checks.h"
#include "protocol/bytes.h"

namespace pcmlab::conformance {
namespace {

using wire::MessageType;
using wire::Refusal;

struct BadPayload {
  std::string what;
  Bytes payload;
};

Bytes without_last(Bytes bytes) {
  bytes.pop_back();
  return bytes;
}
Bytes with_one_more(Bytes bytes) {
  bytes.push_back(std::byte{0});
  return bytes;
}
Bytes with(Bytes bytes, std::size_t at, int value) {
  bytes.at(at) = static_cast<std::byte>(value);
  return bytes;
}

/// All must be refused with BadPayload and change nothing.
Result<std::string> all_bad(Bench& bench, MessageType type, const std::vector<BadPayload>& cases) {
  PCM_ASSIGN(const auto before, bench.status());
  for (const BadPayload& bad : cases) {
    PCM_TRY(bench.refused(bench.make(static_cast<std::uint8_t>(type), bad.payload),
                          Refusal::BadPayload, text(to_string(type), " with ", bad.what)));
  }
  PCM_TRY(bench.unchanged(before, text("malformed ", to_string(type))));
  return text(cases.size(), " ways");
}

std::vector<BadPayload> wrong_lengths(const Bytes& good) {
  std::vector<BadPayload> cases{{"one byte too many", with_one_more(good)}};
  if (good.empty()) return cases;
  cases.push_back({"the last byte missing", without_last(good)});
  cases.push_back({"no payload", {}});
  return cases;
}

template <MessageType kType>
Result<std::string> empty(Bench& bench) {
  return all_bad(bench, kType, {{"one byte", Bytes(1)}, {"1000 bytes", Bytes(1000)}});
}

/// `at`: where the selection begins.
void add_bad_selections(std::vector<BadPayload>& cases, const Bytes& list, const Bytes& rectangle,
                        std::size_t at) {
  cases.push_back({"a selection of kind 2", with(list, at, 2)});
  cases.push_back({"a reserved byte of a list set", with(list, at + 1, 1)});
  cases.push_back({"a reserved byte of a rectangle set", with(rectangle, at + 3, 1)});
  cases.push_back({"an empty list", with(list, at + 4, 0)});
  cases.push_back({"a list of more devices than there are bytes", with(list, at + 4, 3)});
  cases.push_back({"a list of 4 thousand million devices", with(list, at + 7, 0xFF)});
  cases.push_back({"a rectangle of no word lines", with(rectangle, at + 8, 0)});
  cases.push_back({"a rectangle of no bit lines", with(rectangle, at + 10, 0)});
  Bytes beyond = with(with(rectangle, at + 6, 0xFF), at + 7, 0xFF);
  cases.push_back({"a rectangle beyond line 65535", with(beyond, at + 10, 2)});
}

const DeviceAddress kFirst{WordLine{0}, BitLine{0}};

Result<std::string> hello(Bench& bench) {
  return all_bad(bench, MessageType::Hello, wrong_lengths(payload_of(wire::HelloRequest{})));
}

Result<std::string> read(Bench& bench) {
  wire::ReadRequest request{wire::DeviceList{{kFirst}}, 1, Voltage::from_mV(200)};
  const Bytes list = payload_of(request);
  request.devices = wire::Rectangle{kFirst, 1, 1};
  const Bytes rectangle = payload_of(request);
  std::vector<BadPayload> cases = wrong_lengths(list);
  cases.push_back({"0 samples", with(list, 0, 0)});
  cases.push_back({"its reserved byte set", with(list, 1, 1)});
  add_bad_selections(cases, list, rectangle, 4);
  return all_bad(bench, MessageType::Read, cases);
}

Result<std::string> program(Bench& bench) {
  const Bytes good = payload_of(wire::ProgramRequest{
      bench.new_batch(), bench.board().limits.min_width, bench.pulse_devices(1), {0}});
  std::vector<BadPayload> cases = wrong_lengths(good);
  cases.push_back({"no devices", Bytes(good.begin(), good.begin() + 16)});
  cases.back().payload[12] = std::byte{0};
  cases.push_back({"more devices than there are bytes", with(good, 12, 2)});
  cases.push_back({"4 thousand million devices", with(good, 15, 0xFF)});
  return all_bad(bench, MessageType::Program, cases);
}

Result<std::string> initialise(Bench& bench) {
  wire::InitialiseRequest request{
      bench.new_batch(), {{Current(), bench.board().limits.min_width}}, wire::Rectangle{}};
  const DeviceAddress device = bench.pulse_devices(1).front();
  request.devices = wire::DeviceList{{device}};
  const Bytes list = payload_of(request);
  request.devices = wire::Rectangle{device, 1, 1};
  const Bytes rectangle = payload_of(request);
  std::vector<BadPayload> cases = wrong_lengths(list);
  cases.push_back({"no pulses", with(list, 8, 0)});
  cases.push_back({"its reserved byte set", with(list, 9, 1)});
  cases.push_back({"a pulse's reserved byte set", with(list, 14, 1)});
  add_bad_selections(cases, list, rectangle, 20);
  request.sequence.resize(wire::kMaxSequencePulses, request.sequence.front());
  Bytes many = with(payload_of(request), 8, 33);
  many.insert(many.begin() + 12, rectangle.begin() + 12, rectangle.begin() + 20);
  cases.push_back({"33 pulses", std::move(many)});
  return all_bad(bench, MessageType::Initialise, cases);
}

Result<std::string> set_limits(Bench& bench) {
  const Bytes good = payload_of(wire::SetLimitsRequest{bench.board().limits});
  std::vector<BadPayload> cases = wrong_lengths(good);
  cases.push_back({"its reserved byte set", with(good, 3, 1)});
  return all_bad(bench, MessageType::SetLimits, cases);
}

Result<std::string> advance_time(Bench& bench) {
  const Bytes good = payload_of(wire::AdvanceTimeRequest{});
  std::vector<BadPayload> cases = wrong_lengths(good);
  cases.push_back({"2^63 ns", with(good, 7, 0x80)});
  return all_bad(bench, MessageType::AdvanceTime, cases);
}

Result<std::string> references(Bench& bench) {
  const Bytes good = payload_of(wire::ReadReferencesRequest{});
  std::vector<BadPayload> cases = wrong_lengths(good);
  cases.push_back({"0 samples", with(good, 0, 0)});
  cases.push_back({"its reserved byte set", with(good, 1, 1)});
  return all_bad(bench, MessageType::ReadReferences, cases);
}

Result<std::string> flags(Bench& bench) {
  for (const std::uint16_t flag : {wire::kRefusalFlag, std::uint16_t{2}, std::uint16_t{0x8000}}) {
    PCM_TRY(bench.refused(bench.make(static_cast<std::uint8_t>(MessageType::Temperature), {}, flag),
                          Refusal::BadPayload, text("a request with flags 0x", std::hex, flag)));
  }
  return std::string();
}

Result<std::string> unknown(Bench& bench) {
  for (const int type : {0x00, 0x0C, 0x10, 0x42, 0x7F}) {
    for (const std::size_t bytes : {0U, 1U, 1000U}) {
      PCM_TRY(bench.refused(bench.make(static_cast<std::uint8_t>(type), Bytes(bytes)),
                            Refusal::UnknownRequest, text("type 0x", std::hex, type)));
    }
  }
  return std::string();
}

}  // namespace

void add_malformed(Checks& checks) {
  const auto add = [&checks](const char* name, const char* section, CheckFunction run,
                             unsigned needs = kNothing) {
    checks.push_back({{text("malformed.", name), section,
                       text(section + 5, ": wrong payloads are a BadPayload"), needs},
                      run});
  };
  add("hello", "0x01 Hello", hello);
  add("information", "0x02 Information", empty<MessageType::Information>);
  add("read", "0x03 Read", read);
  add("program", "0x04 Program", program, kInformation | kPulses);
  add("initialise", "0x05 Initialise", initialise, kInformation | kPulses);
  add("status", "0x06 Status", empty<MessageType::Status>);
  add("temperature", "0x07 Temperature", empty<MessageType::Temperature>);
  add("set_limits", "0x08 SetLimits", set_limits, kInformation);
  add("abort", "0x09 Abort", empty<MessageType::Abort>);
  add("advance_time", "0x0A AdvanceTime", advance_time);
  add("references", "0x0B ReadReferences", references);
  checks.push_back({{"malformed.flags", "Frame", "a request with flags is a BadPayload"}, flags});
  checks.push_back({{"malformed.unknown", "Requests and replies",
                     "a type that no request has is an UnknownRequest"},
                    unknown});
}

}  // namespace pcmlab::conformance

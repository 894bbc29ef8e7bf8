// SPDX-License-Identifier: Apache-2.0
// Batch numbers and records, and what pulses do to devices.
#include <algorithm>
#include <array>
#include <cmath>

#include "driver/conformance/checks.h"

namespace pcmlab::conformance {
namespace {

using wire::Refusal;

/// Weak enough to do nothing: 1 uA.
constexpr std::uint16_t kWeak_10nA = 100;

wire::ProgramRequest program(Bench& bench, std::vector<DeviceAddress> devices,
                             std::vector<std::uint16_t> amplitudes) {
  return {bench.new_batch(), bench.board().limits.min_width, std::move(devices),
          std::move(amplitudes)};
}

/// Answers Program and Initialise the same way: executes the request and holds reply, record and
/// counter against what must have happened.
template <class Reply, class Request>
Result<wire::PulseReply> expect(Bench& bench, const Request& request, std::size_t devices,
                                std::size_t pulses, const std::string& what) {
  PCM_ASSIGN(const auto before, bench.status());
  PCM_ASSIGN(const auto reply, bench.get<Reply>(request));
  if (reply.batch != request.batch) {
    return failed(text(what, ": batch ", request.batch), text("batch ", reply.batch));
  }
  if (reply.devices_done != devices || reply.pulses_executed != pulses) {
    return failed(text(what, ": ", devices, " devices done, ", pulses, " pulses executed"),
                  text(reply.devices_done, " devices, ", reply.pulses_executed, " pulses"));
  }
  PCM_ASSIGN(const auto after, bench.status());
  // Its times have a check of their own.
  wire::BatchRecord expected{request.batch, static_cast<std::uint32_t>(devices),
                             static_cast<std::uint32_t>(devices),
                             static_cast<std::uint32_t>(pulses)};
  if (!after.recent_batches.empty()) {
    expected.first = after.recent_batches.back().first;
    expected.last = after.recent_batches.back().last;
  }
  if (after.recent_batches.empty() || after.recent_batches.back() != expected) {
    return failed(text(what, ": its record is the last: ", devices, " of ", devices, " devices, ",
                       pulses, " pulses"),
                  after.recent_batches.empty()
                      ? "there is no record"
                      : "the last is " + Bench::describe(after.recent_batches.back()));
  }
  if (after.pulses_executed - before.pulses_executed != pulses) {
    return failed(text(what, ": the pulses since boot grow by ", pulses),
                  text("by ", after.pulses_executed - before.pulses_executed));
  }
  return wire::PulseReply(reply);
}

Result<std::string> program_record(Bench& bench) {
  const auto devices = bench.pulse_devices(16);
  std::vector<std::uint16_t> amplitudes(devices.size(), kWeak_10nA);
  for (std::size_t i = 1; i < amplitudes.size(); i += 3) amplitudes[i] = 0;
  const auto pulses = amplitudes.size() -
                      static_cast<std::size_t>(std::count(amplitudes.begin(), amplitudes.end(), 0));
  PCM_TRY(expect<wire::ProgramReply>(bench, program(bench, devices, amplitudes), devices.size(),
                                     pulses, "Program, some amplitudes 0"));
  return text(devices.size(), " devices, ", pulses, " pulses");
}

Result<std::string> zero_pulses(Bench& bench) {
  const auto devices = bench.pulse_devices(4);
  const auto request = program(bench, devices, std::vector<std::uint16_t>(devices.size()));
  PCM_ASSIGN(const auto reply, expect<wire::ProgramReply>(bench, request, devices.size(), 0,
                                                          "Program, all amplitudes 0"));
  if (reply.first != reply.last) {
    return failed("first and last the same without a pulse",
                  text((reply.last - reply.first).count(), " ns between them"));
  }
  return std::string();
}

Result<std::string> initialise_record(Bench& bench) {
  const auto devices = bench.pulse_devices(8);
  const wire::Pulse weak = bench.within_limits(1, Duration(50));
  const wire::Pulse none{Current(), weak.width};
  const wire::InitialiseRequest list{
      bench.new_batch(), {weak, none, weak}, wire::DeviceList{devices}};
  PCM_TRY(expect<wire::InitialiseReply>(bench, list, devices.size(), 2 * devices.size(),
                                        "Initialise of a list"));
  const wire::InitialiseRequest rectangle{
      bench.new_batch(),
      {none, weak},
      wire::Rectangle{devices.front(), 1, static_cast<std::uint16_t>(devices.size())}};
  PCM_TRY(expect<wire::InitialiseReply>(bench, rectangle, devices.size(), devices.size(),
                                        "Initialise of a rectangle"));
  const wire::InitialiseRequest longest{bench.new_batch(),
                                        std::vector<wire::Pulse>(wire::kMaxSequencePulses, none),
                                        wire::DeviceList{devices}};
  PCM_TRY(expect<wire::InitialiseReply>(bench, longest, devices.size(), 0,
                                        "Initialise with 32 pulses of amplitude 0"));
  return std::string();
}

Result<std::string> named_twice(Bench& bench) {
  const DeviceAddress device = bench.pulse_devices(1).front();
  if (bench.board().limits.max_devices_per_request < 2) return skipped("one device in a request");
  PCM_TRY(expect<wire::ProgramReply>(bench,
                                     program(bench, {device, device}, {kWeak_10nA, kWeak_10nA}), 2,
                                     2, "Program with a device named twice"));
  return std::string();
}

Result<std::string> duplicate(Bench& bench) {
  const auto devices = bench.pulse_devices(2);
  auto first = program(bench, devices, std::vector<std::uint16_t>(devices.size(), kWeak_10nA));
  PCM_TRY(bench.get<wire::ProgramReply>(first));
  PCM_ASSIGN(const auto before, bench.status());
  PCM_TRY(bench.refused(first, Refusal::DuplicateBatch, "Program with the number of a Program"));
  const wire::Pulse weak = bench.within_limits(1, Duration(50));
  wire::InitialiseRequest second{first.batch, {weak}, wire::DeviceList{devices}};
  PCM_TRY(
      bench.refused(second, Refusal::DuplicateBatch, "Initialise with the number of a Program"));
  PCM_TRY(bench.unchanged(before, "batches with a used number"));
  second.batch = bench.new_batch();
  PCM_TRY(bench.get<wire::InitialiseReply>(second));
  PCM_ASSIGN(const auto after, bench.status());
  PCM_TRY(bench.refused(second, Refusal::DuplicateBatch, "Initialise with its own number"));
  first.batch = second.batch;
  PCM_TRY(
      bench.refused(first, Refusal::DuplicateBatch, "Program with the number of an Initialise"));
  PCM_TRY(bench.unchanged(after, "batches with a used number"));
  return std::string();
}

Result<std::string> same_frame(Bench& bench) {
  const auto devices = bench.pulse_devices(2);
  const Sent sent =
      bench.make(program(bench, devices, std::vector<std::uint16_t>(devices.size(), kWeak_10nA)));
  PCM_ASSIGN(const auto before, bench.status());
  PCM_TRY(bench.ask(sent));
  PCM_TRY(bench.refused(sent, Refusal::DuplicateBatch, "the same frame, byte for byte"));
  PCM_ASSIGN(const auto after, bench.status());
  if (after.pulses_executed - before.pulses_executed != devices.size()) {
    return failed(text(devices.size(), " pulses"),
                  text(after.pulses_executed - before.pulses_executed));
  }
  return std::string();
}

Result<std::string> any_number(Bench& bench) {
  // Numbers need not rise, and a refused one may still be used.
  const auto devices = bench.pulse_devices(1);
  const std::uint64_t early = bench.new_batch();
  PCM_TRY(bench.get<wire::ProgramReply>(program(bench, devices, {0})));
  auto request = program(bench, devices, {0});
  request.batch = early;
  const Duration good = request.width;
  request.width = bench.board().limits.max_width + Duration(1);
  PCM_TRY(bench.refused(request, Refusal::LimitExceeded, "a pulse too long"));
  request.width = good;
  PCM_TRY(bench.get<wire::ProgramReply>(request));
  return std::string();
}

Result<std::string> times(Bench& bench) {
  const auto devices = bench.pulse_devices(4);
  const wire::Pulse weak = bench.within_limits(1, Duration(200));
  PCM_ASSIGN(const auto before, bench.status());
  std::vector<wire::PulseReply> replies;
  PCM_ASSIGN(replies.emplace_back(),
             bench.get<wire::InitialiseReply>(wire::InitialiseRequest{
                 bench.new_batch(), {weak, weak}, wire::DeviceList{devices}}));
  PCM_ASSIGN(replies.emplace_back(),
             bench.get<wire::ProgramReply>(
                 program(bench, devices, std::vector<std::uint16_t>(devices.size(), kWeak_10nA))));
  PCM_ASSIGN(replies.emplace_back(),
             bench.get<wire::ProgramReply>(
                 program(bench, devices, std::vector<std::uint16_t>(devices.size()))));
  PCM_ASSIGN(const auto after, bench.status());
  BoardTime earliest = before.now;
  for (const wire::PulseReply& reply : replies) {
    const auto record =
        std::find_if(after.recent_batches.begin(), after.recent_batches.end(),
                     [&reply](const wire::BatchRecord& kept) { return kept.batch == reply.batch; });
    if (record == after.recent_batches.end()) return failed("a record of each batch", "none");
    if (record->first != reply.first || record->last != reply.last) {
      return failed(text("the record of batch ", reply.batch, " with the times of its reply, ",
                         reply.first.count(), " to ", reply.last.count(), " ns"),
                    text(record->first.count(), " to ", record->last.count(), " ns"));
    }
    if (record->first < earliest || record->last < record->first || record->last > after.now) {
      return failed(
          text("pulses of batch ", reply.batch, " after what was before, ", earliest.count(),
               " ns, and before the Status, ", after.now.count(), " ns"),
          text(record->first.count(), " to ", record->last.count(), " ns"));
    }
    earliest = record->last;
  }
  return text(replies.size(), " batches");
}

Result<std::string> continued(Bench& bench) {
  const auto devices = bench.pulse_devices(1);
  auto request = program(bench, devices, {0});
  const std::uint64_t number = request.batch & ((std::uint64_t{1} << 56) - 1);
  std::vector<std::uint64_t> numbers;
  for (const std::uint64_t highest_byte : {0x00u, 0x01u, 0x02u, 0x7Fu, 0x80u, 0xFFu}) {
    request.batch = number | highest_byte << 56;
    PCM_ASSIGN(const auto reply, bench.get<wire::ProgramReply>(request));
    if (reply.batch != request.batch) {
      return failed(text("batch ", request.batch), text("batch ", reply.batch));
    }
    numbers.push_back(request.batch);
  }
  PCM_ASSIGN(const auto status, bench.status());
  for (const std::uint64_t batch : numbers) {
    const auto& records = status.recent_batches;
    if (std::none_of(records.begin(), records.end(),
                     [batch](const wire::BatchRecord& record) { return record.batch == batch; })) {
      return failed(text("a record of batch ", batch), "there is none");
    }
    request.batch = batch;
    PCM_TRY(bench.refused(request, Refusal::DuplicateBatch, "the number again"));
  }
  return text(numbers.size(), " batches of ", number);
}

Result<std::string> sixty_four(Bench& bench) {
  constexpr std::size_t kBatches = wire::kMaxRecentBatches + 6;
  const auto devices = bench.pulse_devices(3);
  std::vector<wire::BatchRecord> expected;
  for (std::size_t i = 0; i < kBatches; ++i) {
    const std::vector<DeviceAddress> some(
        devices.begin(), devices.begin() + static_cast<std::ptrdiff_t>(1 + i % devices.size()));
    const auto request = program(bench, some, std::vector<std::uint16_t>(some.size()));
    PCM_TRY(bench.get<wire::ProgramReply>(request));
    const auto count = static_cast<std::uint32_t>(some.size());
    expected.push_back({request.batch, count, count, 0});
  }
  expected.erase(expected.begin(), expected.end() - wire::kMaxRecentBatches);
  PCM_ASSIGN(const auto status, bench.status());
  const auto& records = status.recent_batches;
  const auto same_batch = [](const wire::BatchRecord& a, const wire::BatchRecord& b) {
    return a.batch == b.batch && a.devices_total == b.devices_total &&
           a.devices_done == b.devices_done && a.pulses_executed == b.pulses_executed;
  };
  if (!std::equal(records.begin(), records.end(), expected.begin(), expected.end(), same_batch)) {
    return failed("the records of the last 64 batches, oldest first",
                  text(records.size(), " records",
                       records.empty() ? std::string()
                                       : text(", batches ", records.front().batch, " to ",
                                              records.back().batch),
                       "; the 64 are ", expected.front().batch, " to ", expected.back().batch));
  }
  auto again = program(bench, devices, std::vector<std::uint16_t>(devices.size()));
  again.batch = expected.front().batch;
  PCM_TRY(bench.refused(again, Refusal::DuplicateBatch, "the number of the oldest record"));
  return text(kBatches, " batches");
}

// ---- what pulses do ----------------------------------------------------------------------------

constexpr double kReset_uA = 450;
constexpr double kResetNeeds_uA = 300;
constexpr std::array kStaircase_uA{160.0, 140.0, 120.0, 100.0, 80.0, 60.0};
/// What a device must gain to count as changed, in codes.
constexpr double kStep = 10;

Result<std::vector<double>> codes(Bench& bench, const std::vector<DeviceAddress>& devices) {
  constexpr std::uint8_t kSamples = 1;
  const wire::ReadRequest request{wire::DeviceList{devices}, kSamples, Voltage::from_mV(200)};
  PCM_ASSIGN(const auto reply, bench.get<wire::ReadReply>(request));
  if (reply.code_sums.size() != devices.size()) {
    return failed(text(devices.size(), " sums"), text(reply.code_sums.size()));
  }
  return std::vector<double>(reply.code_sums.begin(), reply.code_sums.end());
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

constexpr const char* kNoReset = "no pulse of 300 uA is allowed, which a RESET needs";
bool reset_is_allowed(const Bench& bench) {
  return bench.within_limits(kReset_uA, Duration(50)).amplitude.uA() >= kResetNeeds_uA;
}

Result<void> reset(Bench& bench, const std::vector<DeviceAddress>& devices) {
  PCM_TRY(bench.get<wire::InitialiseReply>(
      wire::InitialiseRequest{bench.new_batch(),
                              {bench.within_limits(kReset_uA, Duration(50))},
                              wire::DeviceList{devices}}));
  return {};
}

Result<void> crystallise(Bench& bench, const std::vector<DeviceAddress>& devices) {
  std::vector<wire::Pulse> staircase{bench.within_limits(kReset_uA, Duration(50))};
  for (const double amplitude_uA : kStaircase_uA) {
    staircase.push_back(bench.within_limits(amplitude_uA, Duration(1000)));
  }
  PCM_TRY(bench.get<wire::InitialiseReply>(
      wire::InitialiseRequest{bench.new_batch(), staircase, wire::DeviceList{devices}}));
  return {};
}

Result<std::string> change(Bench& bench) {
  if (!reset_is_allowed(bench)) return skipped(kNoReset);
  const auto devices = bench.pulse_devices();
  PCM_TRY(crystallise(bench, devices));
  PCM_ASSIGN(const auto high, codes(bench, devices));
  PCM_TRY(reset(bench, devices));
  PCM_ASSIGN(const auto low, codes(bench, devices));
  if (median(high) < median(low) + kStep) {
    return failed(text("a median at least ", kStep,
                       " codes higher after a staircase than after a "
                       "RESET"),
                  text(median(high), " after the staircase, ", median(low), " after the RESET"));
  }
  return text("median code ", median(high), " after a staircase, ", median(low),
              " after a RESET, of ", devices.size(), " devices");
}

Result<std::string> only_those_named(Bench& bench) {
  if (!reset_is_allowed(bench)) return skipped(kNoReset);
  std::vector<DeviceAddress> devices = bench.pulse_devices();
  if (devices.size() < 16) return skipped("fewer than 16 devices may get pulses");
  PCM_TRY(reset(bench, devices));
  // Every third device, in an order of no rectangle; then all of them read in another one.
  std::vector<DeviceAddress> some;
  for (std::size_t i = 0; i < devices.size(); i += 3) some.push_back(devices[i]);
  std::shuffle(some.begin(), some.end(), bench.random());
  PCM_TRY(crystallise(bench, some));
  std::shuffle(devices.begin(), devices.end(), bench.random());
  PCM_ASSIGN(const auto read, codes(bench, devices));
  std::size_t right = 0;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const bool pulsed = std::find(some.begin(), some.end(), devices[i]) != some.end();
    if (pulsed == (read[i] >= kStep)) ++right;
  }
  // Some devices may be stuck.
  if (10 * right < 7 * devices.size()) {
    return failed(text("at least 70 % of ", devices.size(),
                       " devices as their pulses leave them, in the order of the list"),
                  text(right));
  }
  return text(right, " of ", devices.size(), " devices");
}

Result<std::string> own_amplitude(Bench& bench) {
  if (!reset_is_allowed(bench)) return skipped(kNoReset);
  const auto devices = bench.pulse_devices();
  if (devices.size() < 16) return skipped("fewer than 16 devices may get pulses");
  PCM_TRY(crystallise(bench, devices));
  const double reset_uA = bench.within_limits(kReset_uA, Duration(50)).amplitude.uA();
  std::vector<std::uint16_t> amplitudes(devices.size());
  for (std::size_t i = 0; i < devices.size(); i += 2) {
    amplitudes[i] = static_cast<std::uint16_t>(std::lround(reset_uA / wire::kAmplitudeStep_uA));
  }
  PCM_TRY(bench.get<wire::ProgramReply>(program(bench, devices, amplitudes)));
  PCM_ASSIGN(const auto read, codes(bench, devices));
  std::size_t right = 0;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if ((amplitudes[i] == 0) == (read[i] >= kStep)) ++right;
  }
  if (10 * right < 7 * devices.size()) {
    return failed(text("at least 70 % of ", devices.size(), " devices follow their own amplitude"),
                  text(right));
  }
  return text(right, " of ", devices.size(), " devices");
}

}  // namespace

void add_batches(Checks& checks) {
  const std::string once = "Pulses exactly once";
  constexpr unsigned kNeeds = kInformation | kPulses;
  checks.insert(
      checks.end(),
      {{{"batches.program", "0x04 Program", "reply, record and counter of a Program", kNeeds, 1},
        program_record},
       {{"batches.zero_pulses", "0x04 Program", "a batch without a pulse is a batch", kNeeds},
        zero_pulses},
       {{"batches.initialise", "0x05 Initialise", "reply, record and counter of an Initialise",
         kNeeds, 3},
        initialise_record},
       {{"batches.named_twice", "Devices", "a device named twice gets two pulses", kNeeds, 2},
        named_twice},
       {{"batches.duplicate", once, "a used number is a DuplicateBatch", kNeeds, 2}, duplicate},
       {{"batches.same_frame", once, "a repeated frame gives no second pulse", kNeeds, 1},
        same_frame},
       {{"batches.any_number", once, "numbers need not rise; refused ones are free", kNeeds},
        any_number},
       {{"batches.times", once, "a record has the times of the reply", kNeeds, 3}, times},
       {{"batches.continued", once, "numbers that differ in their highest byte are different",
         kNeeds},
        continued},
       {{"batches.sixty_four", once, "64 records are kept, oldest first", kNeeds}, sixty_four}});
}

void add_pulses(Checks& checks) {
  constexpr unsigned kNeeds = kInformation | kPulses;
  constexpr auto kStairs = static_cast<std::uint32_t>(kStaircase_uA.size() + 1);
  checks.insert(
      checks.end(),
      {{{"pulses.change", "0x05 Initialise", "pulses change conductance", kNeeds, kStairs + 1},
        change},
       {{"pulses.only_those_named", "Devices", "lists are taken in their order", kNeeds,
         kStairs + 1},
        only_those_named},
       {{"pulses.own_amplitude", "0x04 Program", "each device gets its own amplitude", kNeeds,
         kStairs + 1},
        own_amplitude}});
}

}  // namespace pcmlab::conformance

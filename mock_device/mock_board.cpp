// SPDX-License-Identifier: Apache-2.0
#include "mock_device/mock_board.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <variant>

namespace pcmlab::mock {
namespace {

using wire::Refusal;
using wire::RefusalReply;

constexpr std::uint8_t kAdcBits = 8;
/// How far the clock can be advanced: work needs time afterwards, and BoardTime ends.
constexpr BoardTime kLatest = BoardTime::max() - std::chrono::hours(24 * 365 * 50);

RefusalReply refused(Refusal reason, std::string detail) { return {reason, std::move(detail)}; }

std::uint64_t pulses_allowed(const wire::Limits& limits) {
  return limits.max_pulses_per_device == 0 ? std::numeric_limits<std::uint64_t>::max()
                                           : limits.max_pulses_per_device;
}

std::string text(DeviceAddress address) {
  return "word line " + std::to_string(address.word_line.index) + ", bit line " +
         std::to_string(address.bit_line.index);
}

template <class... Kinds>
struct Overloaded : Kinds... {
  using Kinds::operator()...;
};
template <class... Kinds>
Overloaded(Kinds...) -> Overloaded<Kinds...>;

bool is_well_formed_abort(const wire::Frame& frame) {
  return static_cast<wire::MessageType>(frame.type) == wire::MessageType::Abort &&
         frame.flags == 0 && frame.payload.empty();
}

/// Questions about the board keep nobody waiting but the one who asks.
bool is_work_of_the_chip(const wire::Request& request) {
  return std::holds_alternative<wire::ReadRequest>(request) ||
         std::holds_alternative<wire::ProgramRequest>(request) ||
         std::holds_alternative<wire::InitialiseRequest>(request) ||
         std::holds_alternative<wire::ReadReferencesRequest>(request);
}

}  // namespace

MockBoard::MockBoard(PcmChip chip, MockBoardSettings settings)
    : chip_(std::move(chip)),
      settings_(std::move(settings)),
      limits_(settings_.limits),
      boot_epoch_(settings_.boot_epoch),
      pulses_of_device_(chip_.shape().device_count()) {}

void MockBoard::receive(std::span<const std::byte> bytes) {
  reader_.append(bytes);
  while (std::optional<wire::Frame> frame = reader_.next()) arrive(std::move(*frame));
}

void MockBoard::arrive(wire::Frame frame) {
  if ((frame.type & wire::kReplyBit) != 0) {
    ++ignored_frames_;
    return;
  }
  Queued queued{std::move(frame), std::nullopt, 0};
  if (is_well_formed_abort(queued.frame)) {
    // What is before an earlier Abort was refused by that one.
    for (auto earlier = queue_.rbegin(); earlier != queue_.rend() && !is_abort(*earlier);
         ++earlier) {
      if (earlier->refusal) continue;
      refuse(*earlier, Refusal::Aborted, "the host has sent Abort");
      ++queued.requests_dropped;
    }
  } else if (to_string(static_cast<wire::MessageType>(queued.frame.type)).empty()) {
    refuse(queued, Refusal::UnknownRequest,
           "no request has type " + std::to_string(queued.frame.type));
  } else if (is_full()) {
    refuse(
        queued, Refusal::QueueFull,
        "more than " + std::to_string(limits_.max_requests_in_flight) + " requests are in flight");
  }
  queue_.push_back(std::move(queued));
}

bool MockBoard::is_abort(const Queued& queued) {
  return !queued.refusal && is_well_formed_abort(queued.frame);
}

bool MockBoard::is_full() const {
  std::size_t unanswered = 0;
  for (auto queued = queue_.begin();
       queued != queue_.end() && unanswered < limits_.max_requests_in_flight; ++queued) {
    unanswered += is_abort(*queued) ? 0 : 1;
  }
  return unanswered >= limits_.max_requests_in_flight;
}

void MockBoard::refuse(Queued& queued, Refusal reason, std::string detail) {
  queued.refusal = refused(reason, std::move(detail));
  // A host that sends and sends does not fill the memory with what will not be looked at.
  queued.frame.payload = {};
}

bool MockBoard::work(double share) {
  if (queue_.empty()) return false;
  share_ = share;
  const Queued queued = std::move(queue_.front());
  queue_.pop_front();
  encode(execute(queued), static_cast<wire::MessageType>(queued.frame.type), queued.frame.sequence,
         output_);
  return true;
}

void MockBoard::take_output(std::vector<std::byte>& into) {
  if (into.empty()) {
    into.swap(output_);
    return;
  }
  into.insert(into.end(), output_.begin(), output_.end());
  output_.clear();
}

void MockBoard::connection_lost() {
  reader_.reset();
  queue_.clear();
  output_.clear();
}

void MockBoard::reboot(Duration off) {
  connection_lost();
  chip_time_at_boot_ += now_ + off;
  now_ = {};
  busy_ = {};
  limits_ = settings_.limits;
  pulses_executed_ = 0;
  recent_batches_.clear();
  std::fill(pulses_of_device_.begin(), pulses_of_device_.end(), 0U);
  ++boot_epoch_;
}

wire::Reply MockBoard::execute(const Queued& queued) {
  if (queued.refusal) return *queued.refusal;
  const Result<wire::Request> request = decode_request(queued.frame);
  if (!request) return refused(Refusal::BadPayload, request.error().message);
  if (is_work_of_the_chip(*request)) now_ += settings_.request_overhead;
  return std::visit(Overloaded{[&](const wire::AbortRequest& /*request*/) -> wire::Reply {
                                 return wire::AbortReply{queued.requests_dropped};
                               },
                               [this](const auto& message) { return answer(message); }},
                    *request);
}

std::size_t MockBoard::reached(std::size_t devices) const {
  if (share_ >= 1) return devices;
  return static_cast<std::size_t>(share_ * static_cast<double>(devices));
}

void MockBoard::spend(Duration duration) {
  if (settings_.slowness != 1) {
    duration = Duration(std::llround(static_cast<double>(duration.count()) * settings_.slowness));
  }
  now_ += duration;
  busy_ += duration;
}

// ---- checks ----------------------------------------------------------------------------------

std::optional<RefusalReply> MockBoard::check_addresses(
    std::span<const DeviceAddress> addresses) const {
  const ArrayShape shape = chip_.shape();
  const auto outside =
      std::find_if_not(addresses.begin(), addresses.end(),
                       [shape](const DeviceAddress& address) { return shape.contains(address); });
  if (outside != addresses.end()) {
    return refused(Refusal::BadAddress, text(*outside) + " is outside the array of " +
                                            std::to_string(shape.word_lines) + " x " +
                                            std::to_string(shape.bit_lines));
  }
  if (addresses.size() > limits_.max_devices_per_request) {
    return refused(Refusal::LimitExceeded, std::to_string(addresses.size()) +
                                               " devices in a request, at most " +
                                               std::to_string(limits_.max_devices_per_request));
  }
  return std::nullopt;
}

std::optional<RefusalReply> MockBoard::select(const wire::DeviceSelection& devices) {
  if (const auto* list = std::get_if<wire::DeviceList>(&devices)) {
    selected_.assign(list->addresses.begin(), list->addresses.end());
    return check_addresses(selected_);
  }
  // Its far corner first: a rectangle may name more devices than there is memory for.
  const auto& rectangle = std::get<wire::Rectangle>(devices);
  const DeviceAddress last{WordLine{static_cast<std::uint16_t>(rectangle.first.word_line.index +
                                                               rectangle.word_lines - 1)},
                           BitLine{static_cast<std::uint16_t>(rectangle.first.bit_line.index +
                                                              rectangle.bit_lines - 1)}};
  if (std::optional<RefusalReply> refusal = check_addresses(std::span(&last, 1))) return refusal;
  selected_ = expand(devices);
  return check_addresses(selected_);
}

std::optional<RefusalReply> MockBoard::check_new(std::uint64_t batch) const {
  const bool known =
      std::any_of(recent_batches_.begin(), recent_batches_.end(),
                  [batch](const wire::BatchRecord& record) { return record.batch == batch; });
  if (!known) return std::nullopt;
  return refused(Refusal::DuplicateBatch, "batch " + std::to_string(batch) + " was already begun");
}

std::optional<RefusalReply> MockBoard::check_pulse(Current amplitude, Duration width) const {
  if (amplitude > limits_.max_amplitude) {
    return refused(Refusal::LimitExceeded,
                   "a pulse is of more than " + std::to_string(limits_.max_amplitude.uA()) + " uA");
  }
  if (width < limits_.min_width || width > limits_.max_width) {
    return refused(Refusal::LimitExceeded, "a pulse of " + std::to_string(width.count()) +
                                               " ns, allowed are " +
                                               std::to_string(limits_.min_width.count()) + " to " +
                                               std::to_string(limits_.max_width.count()) + " ns");
  }
  return std::nullopt;
}

std::optional<RefusalReply> MockBoard::check_temperature() const {
  const Temperature temperature = chip_.temperature_at(chip_time());
  if (temperature <= limits_.max_temperature) return std::nullopt;
  return refused(Refusal::OverTemperature,
                 "the chip is at " + std::to_string(temperature.K()) + " K");
}

std::optional<RefusalReply> MockBoard::count_pulses(std::span<const DeviceAddress> addresses,
                                                    std::span<const std::uint16_t> amplitudes_10nA,
                                                    std::uint32_t each) {
  const std::uint64_t allowed = pulses_allowed(limits_);
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    if (!amplitudes_10nA.empty() && amplitudes_10nA[i] == 0) continue;
    std::uint32_t& had = pulses_of_device_[chip_.shape().linear(addresses[i])];
    if (std::uint64_t{had} + each > allowed) {
      uncount_pulses(addresses.first(i), amplitudes_10nA, each);
      return refused(Refusal::LimitExceeded, text(addresses[i]) + " would have more than " +
                                                 std::to_string(allowed) + " pulses");
    }
    had += each;
  }
  return std::nullopt;
}

void MockBoard::uncount_pulses(std::span<const DeviceAddress> addresses,
                               std::span<const std::uint16_t> amplitudes_10nA, std::uint32_t each) {
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    if (!amplitudes_10nA.empty() && amplitudes_10nA[i] == 0) continue;
    pulses_of_device_[chip_.shape().linear(addresses[i])] -= each;
  }
}

// ---- answers ---------------------------------------------------------------------------------

wire::Reply MockBoard::answer(const wire::HelloRequest& request) {
  if (request.lowest_version > wire::kProtocolVersion ||
      request.highest_version < wire::kProtocolVersion) {
    return refused(Refusal::VersionMismatch,
                   "this board speaks version " + std::to_string(wire::kProtocolVersion));
  }
  return wire::HelloReply{wire::kProtocolVersion};
}

wire::Reply MockBoard::answer(const wire::InformationRequest& /*request*/) {
  wire::InformationReply reply;
  reply.serial = settings_.serial;
  reply.firmware = settings_.firmware;
  reply.shape = chip_.shape();
  reply.capabilities = settings_.capabilities;
  reply.boot_epoch = boot_epoch_;
  reply.adc_bits = kAdcBits;
  reply.adc_step = Conductance::from_uS(chip_.parameters().adc_step_uS);
  reply.sample_time = chip_.read_time(1);
  reply.limits = limits_;
  return reply;
}

wire::Reply MockBoard::answer(const wire::ReadRequest& request) {
  if (auto refusal = select(request.devices)) return *refusal;
  wire::ReadReply reply;
  reply.code_sums.resize(selected_.size());
  reply.first = now_;
  chip_.read(selected_, request.samples, request.read_voltage, chip_time(), reply.code_sums);
  spend(chip_.read_time(request.samples) * static_cast<Duration::rep>(selected_.size()));
  reply.last = now_;
  return reply;
}

wire::Reply MockBoard::answer(const wire::ProgramRequest& request) {
  const auto& addresses = request.addresses;
  const auto& amplitudes = request.amplitudes_10nA;
  if (auto refusal = check_new(request.batch)) return *refusal;
  if (auto refusal = check_addresses(addresses)) return *refusal;
  const std::uint16_t highest = *std::max_element(amplitudes.begin(), amplitudes.end());
  // The quotient, as the wire decodes it, so that a limit compares equal to itself.
  if (auto refusal = check_pulse(Current::from_uA(highest / 100.0), request.width)) return *refusal;
  if (auto refusal = count_pulses(addresses, amplitudes, 1)) return *refusal;
  if (auto refusal = check_temperature()) {
    uncount_pulses(addresses, amplitudes, 1);
    return *refusal;
  }

  const std::size_t done = reached(addresses.size());
  uncount_pulses(std::span(addresses).subspan(done), std::span(amplitudes).subspan(done), 1);
  const auto taken = std::span(amplitudes).first(done);
  chip_.program(std::span(addresses).first(done), taken, request.width, chip_time());
  const auto skipped = std::count(taken.begin(), taken.end(), std::uint16_t{0});
  const auto pulses = static_cast<std::uint32_t>(done) - static_cast<std::uint32_t>(skipped);
  return finish_pulses<wire::ProgramReply>(
      {request.batch, static_cast<std::uint32_t>(addresses.size()),
       static_cast<std::uint32_t>(done), pulses},
      chip_.pulse_time(request.width) * pulses);
}

wire::Reply MockBoard::answer(const wire::InitialiseRequest& request) {
  if (auto refusal = check_new(request.batch)) return *refusal;
  if (auto refusal = select(request.devices)) return *refusal;
  std::uint32_t pulses_each = 0;
  Duration time_each{};
  for (const wire::Pulse& pulse : request.sequence) {
    if (auto refusal = check_pulse(pulse.amplitude, pulse.width)) return *refusal;
    if (pulse.amplitude.uA() <= 0) continue;
    ++pulses_each;
    time_each += chip_.pulse_time(pulse.width);
  }
  if (auto refusal = count_pulses(selected_, {}, pulses_each)) return *refusal;
  if (auto refusal = check_temperature()) {
    uncount_pulses(selected_, {}, pulses_each);
    return *refusal;
  }

  const auto done = static_cast<std::uint32_t>(reached(selected_.size()));
  uncount_pulses(std::span(selected_).subspan(done), {}, pulses_each);
  chip_.initialise(std::span(selected_).first(done), request.sequence, chip_time());
  return finish_pulses<wire::InitialiseReply>(
      {request.batch, static_cast<std::uint32_t>(selected_.size()), done, done * pulses_each},
      time_each * done);
}

template <class PulseReply>
PulseReply MockBoard::finish_pulses(wire::BatchRecord batch, Duration pulse_time) {
  const BoardTime start = chip_time();
  batch.first = now_;
  spend(pulse_time);
  batch.last = now_;
  record(batch, start);
  PulseReply reply;
  reply.batch = batch.batch;
  reply.devices_done = batch.devices_done;
  reply.pulses_executed = batch.pulses_executed;
  reply.first = batch.first;
  reply.last = batch.last;
  return reply;
}

void MockBoard::record(const wire::BatchRecord& batch, BoardTime start) {
  if (recent_batches_.size() == wire::kMaxRecentBatches) recent_batches_.pop_front();
  recent_batches_.push_back(batch);
  pulses_executed_ += batch.pulses_executed;
  if (settings_.ledger_batches == 0) return;
  if (ledger_.size() == settings_.ledger_batches) ledger_.pop_front();
  ledger_.push_back({boot_epoch_, start, batch});
}

wire::Reply MockBoard::answer(const wire::StatusRequest& /*request*/) {
  wire::StatusReply reply;
  reply.boot_epoch = boot_epoch_;
  reply.now = now_;
  reply.busy = busy_;
  reply.queued_requests = static_cast<std::uint32_t>(queue_.size());
  reply.pulses_executed = pulses_executed_;
  reply.recent_batches.assign(recent_batches_.begin(), recent_batches_.end());
  return reply;
}

wire::Reply MockBoard::answer(const wire::TemperatureRequest& /*request*/) {
  return wire::TemperatureReply{chip_.temperature_at(chip_time())};
}

wire::Reply MockBoard::answer(const wire::SetLimitsRequest& request) {
  const wire::Limits& asked = request.limits;
  limits_.max_amplitude = std::min(limits_.max_amplitude, asked.max_amplitude);
  limits_.min_width = std::max(limits_.min_width, asked.min_width);
  limits_.max_width = std::min(limits_.max_width, asked.max_width);
  limits_.max_devices_per_request =
      std::min(limits_.max_devices_per_request, asked.max_devices_per_request);
  // Never 0, or the board would refuse everything until its next boot.
  limits_.max_requests_in_flight =
      std::clamp<std::uint8_t>(asked.max_requests_in_flight, 1, limits_.max_requests_in_flight);
  limits_.max_temperature = std::min(limits_.max_temperature, asked.max_temperature);
  if (pulses_allowed(asked) < pulses_allowed(limits_)) {
    limits_.max_pulses_per_device = asked.max_pulses_per_device;
  }
  return wire::SetLimitsReply{limits_};
}

wire::Reply MockBoard::answer(const wire::AdvanceTimeRequest& request) {
  if ((settings_.capabilities & wire::kVirtualTime) == 0) {
    return refused(Refusal::Unsupported, "time on this board is real");
  }
  if (request.until > kLatest - chip_time_at_boot_) {
    return refused(Refusal::LimitExceeded, "the clock ends before that");
  }
  now_ = std::max(now_, request.until);
  return wire::AdvanceTimeReply{now_};
}

wire::Reply MockBoard::answer(const wire::ReadReferencesRequest& request) {
  if ((settings_.capabilities & wire::kReferenceResistors) == 0) {
    return refused(Refusal::Unsupported, "there are no reference resistors");
  }
  const auto& nominal_uS = chip_.parameters().references_uS();
  std::vector<std::uint16_t> sums(nominal_uS.size());
  chip_.read_references(request.samples, chip_time(), sums);
  spend(chip_.read_time(request.samples) * static_cast<Duration::rep>(sums.size()));
  wire::ReadReferencesReply reply;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    reply.references.push_back({Conductance::from_uS(nominal_uS[i]), sums[i]});
  }
  return reply;
}

}  // namespace pcmlab::mock

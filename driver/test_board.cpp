// SPDX-License-Identifier: Apache-2.0
#include "driver/test_board.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

namespace pcmlab {
namespace {

constexpr double kLargestGainError = 0.2;
constexpr unsigned kCalibrationSamples = 255;
constexpr unsigned kLargestCodeSum = std::numeric_limits<std::uint16_t>::max();

/// So many that each kind of request and reply is surely a frame.
constexpr std::size_t kMostChunkDevices =
    (wire::kMaxPayloadBytes - 1024) / (sizeof(DeviceAddress) + sizeof(std::uint16_t));

std::string quantity(double value, const char* unit) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%g ", value);
  return std::string(buffer) + unit;
}

std::string text(Duration duration) { return std::to_string(duration.count()) + " ns"; }

std::string counted(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string text(DeviceAddress address) {
  return "word line " + std::to_string(address.word_line.index) + ", bit line " +
         std::to_string(address.bit_line.index);
}

std::string text(ArrayShape shape) {
  return std::to_string(shape.word_lines) + " x " + std::to_string(shape.bit_lines);
}

double in_steps(double amplitude_uA) { return std::round(amplitude_uA / wire::kAmplitudeStep_uA); }

/// The rectangle that walks over exactly these devices in this order, if there is one.
std::optional<wire::Rectangle> as_rectangle(std::span<const DeviceAddress> addresses) {
  const unsigned first_row = addresses[0].word_line.index;
  const unsigned first_column = addresses[0].bit_line.index;
  std::size_t columns = 1;
  while (columns < addresses.size() && addresses[columns].word_line.index == first_row &&
         addresses[columns].bit_line.index == first_column + columns) {
    ++columns;
  }
  if (addresses.size() % columns != 0) return std::nullopt;
  const std::size_t rows = addresses.size() / columns;
  constexpr std::size_t kMost = std::numeric_limits<std::uint16_t>::max();
  if (rows > kMost || columns > kMost) return std::nullopt;
  for (std::size_t row = 1; row < rows; ++row) {
    const DeviceAddress* line = addresses.data() + row * columns;
    unsigned differences = 0;
    for (unsigned column = 0; column < columns; ++column) {
      differences |= line[column].word_line.index ^ (first_row + static_cast<unsigned>(row));
      differences |= line[column].bit_line.index ^ (first_column + column);
    }
    if (differences != 0) return std::nullopt;
  }
  return wire::Rectangle{addresses[0], static_cast<std::uint16_t>(rows),
                         static_cast<std::uint16_t>(columns)};
}

void select(std::span<const DeviceAddress> addresses, wire::DeviceSelection& selection) {
  if (const std::optional<wire::Rectangle> rectangle = as_rectangle(addresses)) {
    selection = *rectangle;
    return;
  }
  auto* list = std::get_if<wire::DeviceList>(&selection);
  if (list == nullptr) list = &selection.emplace<wire::DeviceList>();
  list->addresses.assign(addresses.begin(), addresses.end());
}

/// The request as one of this kind, with the buffers it already has if it is.
template <class Kind>
Kind& make(wire::Request& request) {
  auto* kind = std::get_if<Kind>(&request);
  return kind != nullptr ? *kind : request.emplace<Kind>();
}

const wire::PulseReply* as_pulse_reply(const wire::Reply& reply) {
  if (const auto* program = std::get_if<wire::ProgramReply>(&reply)) return program;
  return std::get_if<wire::InitialiseReply>(&reply);
}

unsigned highest_code(const BoardInformation& board) { return (1U << board.adc_bits) - 1; }

/// Samples whose sum fits into 16 bits whatever the codes are.
unsigned samples_that_fit(const BoardInformation& board) {
  return std::min(kLargestCodeSum / highest_code(board), 255U);
}

Result<void> check_plausible(const BoardInformation& board, const std::string& where) {
  const char* nonsense = nullptr;
  if (board.shape.device_count() == 0) nonsense = "an array without devices";
  if (board.limits.max_devices_per_request == 0) nonsense = "no devices in a request";
  if (board.limits.max_requests_in_flight == 0) nonsense = "no requests in flight";
  if (!(board.adc_step.uS() > 0)) nonsense = "an ADC step of 0";
  if (nonsense == nullptr) return {};
  return fail(ErrorCode::Incompatible,
              "opening the board at " + where + ": serial " + board.serial + " claims " + nonsense,
              "Check the firmware.");
}

}  // namespace

Limits tightened(const Limits& limits, const Limits& wanted) {
  const auto lower = [](auto a, auto b) { return b == decltype(b)() ? a : std::min(a, b); };
  const auto pulses_allowed = [](std::uint64_t pulses) {
    return pulses == 0 ? std::numeric_limits<std::uint64_t>::max() : pulses;
  };
  Limits both;
  both.max_amplitude = lower(limits.max_amplitude, wanted.max_amplitude);
  both.min_width = std::max(limits.min_width, wanted.min_width);
  both.max_width = lower(limits.max_width, wanted.max_width);
  both.max_devices_per_request =
      lower(limits.max_devices_per_request, wanted.max_devices_per_request);
  both.max_requests_in_flight = lower(limits.max_requests_in_flight, wanted.max_requests_in_flight);
  both.max_pulses_per_device = limits.max_pulses_per_device;
  if (pulses_allowed(wanted.max_pulses_per_device) < pulses_allowed(limits.max_pulses_per_device)) {
    both.max_pulses_per_device = wanted.max_pulses_per_device;
  }
  both.max_temperature = lower(limits.max_temperature, wanted.max_temperature);
  return both;
}

// ---- opening ---------------------------------------------------------------------------------

TestBoard::TestBoard(std::unique_ptr<Transport> transport, const TestBoardSettings& settings)
    : settings_(settings),
      conversation_(std::move(transport), settings.reply_deadline),
      chunk_devices_(settings.chunk_devices) {}

Result<std::unique_ptr<TestBoard>> TestBoard::open(std::unique_ptr<Transport> transport,
                                                   const TestBoardSettings& settings) {
  std::unique_ptr<TestBoard> board(new TestBoard(std::move(transport), settings));
  PCM_ASSIGN(board->information_, board->greet());
  board->use(board->information_.limits);
  if (settings.limits) PCM_TRY(board->set_limits(*settings.limits));
  return board;
}

Result<BoardInformation> TestBoard::greet() {
  const std::string where = conversation_.peer();
  PCM_ASSIGN(const auto hello,
             conversation_.ask<wire::HelloReply>(wire::HelloRequest{}, "greeting " + where));
  if (hello.version != wire::kProtocolVersion) {
    return fail(ErrorCode::Incompatible,
                "greeting " + where + ": the board answered with protocol version " +
                    std::to_string(hello.version) + ", this driver speaks " +
                    std::to_string(wire::kProtocolVersion),
                "Update pcmlab or the firmware.");
  }
  PCM_ASSIGN(BoardInformation information,
             conversation_.ask<wire::InformationReply>(wire::InformationRequest{},
                                                       "asking " + where + " who it is"));
  PCM_TRY(check_plausible(information, where));
  return information;
}

void TestBoard::use(const Limits& limits) {
  information_.limits = limits;
  conversation_.set_window(
      std::min<std::size_t>(settings_.max_requests_in_flight, limits.max_requests_in_flight));
  const auto most = std::min<std::size_t>(limits.max_devices_per_request, kMostChunkDevices);
  chunk_devices_ = std::clamp<std::size_t>(chunk_devices_, 1, std::max(most, 1UL));
  budget_.limit(information_.shape, limits.max_pulses_per_device);
}

Result<void> TestBoard::reopen() {
  PCM_TRY(conversation_.reopen(settings_.reopen_deadline));
  Result<BoardInformation> found = greet();
  const auto refuse = [&](ErrorCode code, std::string message, std::string advice) {
    const Error error{code, std::move(message), std::move(advice)};
    conversation_.close(error);
    return tl::unexpected(error);
  };
  if (!found) return refuse(found.error().code, found.error().message, found.error().advice);

  const std::string doing =
      "reopening board " + information_.serial + " at " + conversation_.peer() + ": ";
  if (found->serial != information_.serial) {
    return refuse(ErrorCode::Incompatible, doing + "found board " + found->serial + " instead",
                  "Connect the board that the work was started on.");
  }
  if (found->shape != information_.shape) {
    return refuse(
        ErrorCode::Incompatible,
        doing + "its array is " + text(found->shape) + " now, was " + text(information_.shape),
        "Check which chip is on the board, and its firmware.");
  }
  if (found->limits.max_devices_per_request < chunk_devices_) {
    return refuse(ErrorCode::Incompatible,
                  doing + "it takes " + counted(found->limits.max_devices_per_request, "device") +
                      " in a request now, fewer than the " + std::to_string(chunk_devices_) +
                      " by which pulse batches were numbered",
                  "Start a new run with this firmware.");
  }
  information_ = std::move(*found);
  use(information_.limits);
  if (wanted_limits_) {
    if (Result<void> applied = apply_limits(*wanted_limits_); !applied) {
      return refuse(applied.error().code, applied.error().message, applied.error().advice);
    }
  }
  return {};
}

// ---- limits ----------------------------------------------------------------------------------

Result<Limits> TestBoard::set_limits(const Limits& limits) {
  const Limits wanted = wanted_limits_ ? tightened(*wanted_limits_, limits) : limits;
  PCM_TRY(apply_limits(wanted));
  wanted_limits_ = wanted;
  return information_.limits;
}

Result<void> TestBoard::apply_limits(const Limits& wanted) {
  Limits both = tightened(information_.limits, wanted);
  // Down to the wire's resolution, so that rounding loosens nothing.
  both.max_amplitude =
      Current::from_uA(std::floor(both.max_amplitude.uA() / wire::kAmplitudeStep_uA + 1e-6) *
                       wire::kAmplitudeStep_uA);
  PCM_ASSIGN(const auto reply,
             conversation_.ask<wire::SetLimitsReply>(wire::SetLimitsRequest{both},
                                                     "setting limits of " + information_.serial));
  use(tightened(reply.limits, both));
  return {};
}

Result<void> TestBoard::check_addresses(std::string_view what,
                                        std::span<const DeviceAddress> addresses) const {
  unsigned highest_word_line = 0;
  unsigned highest_bit_line = 0;
  for (const DeviceAddress& address : addresses) {
    highest_word_line = std::max<unsigned>(highest_word_line, address.word_line.index);
    highest_bit_line = std::max<unsigned>(highest_bit_line, address.bit_line.index);
  }
  if (highest_word_line < information_.shape.word_lines &&
      highest_bit_line < information_.shape.bit_lines) {
    return {};
  }
  const auto outside = std::find_if_not(
      addresses.begin(), addresses.end(),
      [this](const DeviceAddress& address) { return information_.shape.contains(address); });
  return fail(ErrorCode::Refused,
              std::string(what) + " " + counted(addresses.size(), "device") + ": " +
                  text(*outside) + " is outside the array of " + text(information_.shape) +
                  "; nothing was sent",
              "Check the placement against the array's shape.");
}

Result<void> TestBoard::check_width(std::string_view what, Duration width) const {
  const Limits& limits = information_.limits;
  if (width >= limits.min_width && width <= limits.max_width) return {};
  return fail(ErrorCode::LimitExceeded,
              std::string(what) + ": pulses of " + text(width) + " are outside the limits of " +
                  text(limits.min_width) + " to " + text(limits.max_width) + "; nothing was sent",
              "Change the width in the plan.");
}

Result<void> TestBoard::check_amplitude(std::string_view what, double amplitude_uA) const {
  const double limit_uA = information_.limits.max_amplitude.uA();
  if (amplitude_uA >= 0 && in_steps(amplitude_uA) <= in_steps(limit_uA)) return {};
  return fail(ErrorCode::LimitExceeded,
              std::string(what) + ": a pulse of " + quantity(amplitude_uA, "uA") +
                  " is outside the limits of 0 to " + quantity(limit_uA, "uA") +
                  "; nothing was sent",
              "Change the amplitude in the plan.");
}

Result<void> TestBoard::set_life(ChipLife life) {
  const std::size_t devices = information_.shape.device_count();
  const auto fits = [devices](std::size_t size) { return size == 0 || size == devices; };
  if (!fits(life.pulses.size()) || !fits(life.heat_A2s.size())) {
    return fail(ErrorCode::Internal, "the life of " + counted(life.pulses.size(), "device") +
                                         " for an array of " + text(information_.shape));
  }
  budget_.set_life(information_.shape, std::move(life));
  return {};
}

// ---- reads and pulses ------------------------------------------------------------------------

ChunkRange TestBoard::chunk(std::size_t k, std::size_t total) const {
  const std::size_t begin = k * chunk_devices_;
  return {begin, std::min(chunk_devices_, total - begin)};
}

std::size_t TestBoard::chunk_count(std::size_t total) const {
  return (total + chunk_devices_ - 1) / chunk_devices_;
}

Result<void> TestBoard::read(std::span<const DeviceAddress> addresses, const ReadSettings& settings,
                             const ReadSink& sink) {
  PCM_TRY(check_addresses("read of", addresses));
  const unsigned most_samples = samples_that_fit(information_);
  if (settings.samples == 0 || settings.samples > most_samples) {
    return fail(ErrorCode::Refused,
                "read with " + counted(settings.samples, "sample") + "; nothing was sent",
                "Ask for 1 to " + std::to_string(most_samples) + " samples a device.");
  }

  Conversation::Work work;
  work.type = wire::MessageType::Read;
  work.requests = chunk_count(addresses.size());
  work.board_time = information_.sample_time * settings.samples *
                    static_cast<Duration::rep>(std::min(addresses.size(), chunk_devices_));
  work.request = [&](std::size_t k) -> const wire::Request& {
    const ChunkRange range = chunk(k, addresses.size());
    auto& request = make<wire::ReadRequest>(request_);
    request.samples = settings.samples;
    request.read_voltage = settings.read_voltage;
    select(addresses.subspan(range.begin, range.count), request.devices);
    return request_;
  };
  work.describe = [&](std::size_t k) {
    const ChunkRange range = chunk(k, addresses.size());
    return "read of " + counted(range.count, "device") + " from number " +
           std::to_string(range.begin) + " on, " + counted(settings.samples, "sample");
  };
  work.take = [&](std::size_t k, wire::Reply& reply) -> Result<void> {
    const ChunkRange range = chunk(k, addresses.size());
    const auto* read = std::get_if<wire::ReadReply>(&reply);
    if (read == nullptr || read->code_sums.size() != range.count) {
      return fail(ErrorCode::BadFrame,
                  work.describe(k) + ": the board sent " +
                      counted(read == nullptr ? 0 : read->code_sums.size(), "value"),
                  "Check the firmware.");
    }
    return sink(ReadChunk{range.begin, read->first, read->last, read->code_sums});
  };
  Conversation::Outcome outcome = conversation_.run(work);
  if (outcome.error) return tl::unexpected(std::move(*outcome.error));
  return {};
}

struct TestBoard::PulseWork {
  std::string_view name;  ///< "program" or "initialise"
  wire::MessageType type{};
  std::string settings_text;  ///< for messages: "400 ns"
  std::uint64_t first_batch = 0;
  std::span<const DeviceAddress> addresses;
  PulsesAsked asked;
  Duration device_time{};  ///< at most, a device
  std::function<void(ChunkRange range, std::uint64_t batch)> fill_request;
};

Result<void> TestBoard::program(std::uint64_t first_batch, Duration width,
                                std::span<const DeviceAddress> addresses,
                                std::span<const std::uint16_t> amplitudes_10nA,
                                const PulseSink& sink) {
  if (amplitudes_10nA.size() != addresses.size()) {
    return fail(ErrorCode::Internal, "program " + counted(addresses.size(), "device") + " with " +
                                         counted(amplitudes_10nA.size(), "amplitude") +
                                         "; nothing was sent");
  }
  PCM_TRY(check_addresses("program", addresses));
  PCM_TRY(check_width("program", width));
  std::uint16_t highest_10nA = 0;
  for (const std::uint16_t amplitude : amplitudes_10nA) {
    highest_10nA = std::max(highest_10nA, amplitude);
  }
  PCM_TRY(check_amplitude("program", highest_10nA * wire::kAmplitudeStep_uA));

  PulseWork work;
  work.name = "program";
  work.type = wire::MessageType::Program;
  work.settings_text = text(width);
  work.first_batch = first_batch;
  work.addresses = addresses;
  work.asked.amplitudes_10nA = amplitudes_10nA;
  work.asked.width = width;
  work.asked.each = 1;
  work.device_time = width;
  work.fill_request = [&](ChunkRange range, std::uint64_t batch) {
    auto& request = make<wire::ProgramRequest>(request_);
    request.batch = batch;
    request.width = width;
    const auto devices = addresses.subspan(range.begin, range.count);
    const auto amplitudes = amplitudes_10nA.subspan(range.begin, range.count);
    request.addresses.assign(devices.begin(), devices.end());
    request.amplitudes_10nA.assign(amplitudes.begin(), amplitudes.end());
  };
  return send_pulses(work, sink);
}

Result<void> TestBoard::initialise(std::uint64_t first_batch, std::span<const Pulse> sequence,
                                   std::span<const DeviceAddress> addresses,
                                   const PulseSink& sink) {
  if (sequence.empty() || sequence.size() > wire::kMaxSequencePulses) {
    return fail(ErrorCode::Refused,
                "initialise with " + counted(sequence.size(), "pulse") + "; nothing was sent",
                "Give a sequence of 1 to 32 pulses.");
  }
  PCM_TRY(check_addresses("initialise", addresses));

  PulseWork work;
  work.name = "initialise";
  work.type = wire::MessageType::Initialise;
  work.settings_text = counted(sequence.size(), "pulse") + " each";
  work.first_batch = first_batch;
  work.addresses = addresses;
  for (const Pulse& pulse : sequence) {
    PCM_TRY(check_width("initialise", pulse.width));
    PCM_TRY(check_amplitude("initialise", pulse.amplitude.uA()));
    work.asked.each += in_steps(pulse.amplitude.uA()) != 0 ? 1 : 0;
    work.asked.heat_each_A2s += pulse_heat(pulse.amplitude, pulse.width);
    work.device_time += pulse.width;
  }
  work.fill_request = [&](ChunkRange range, std::uint64_t batch) {
    auto& request = make<wire::InitialiseRequest>(request_);
    request.batch = batch;
    request.sequence.assign(sequence.begin(), sequence.end());
    select(addresses.subspan(range.begin, range.count), request.devices);
  };
  return send_pulses(work, sink);
}

Result<void> TestBoard::send_pulses(const PulseWork& pulses, const PulseSink& sink) {
  const std::span<const DeviceAddress> addresses = pulses.addresses;
  batches_sent_ = 0;
  was_too_hot_ = false;
  PulsesAsked asked = pulses.asked;
  asked.what = pulses.name;
  asked.addresses = addresses;
  PCM_TRY(budget_.take(asked));

  Conversation::Work work;
  work.type = pulses.type;
  work.requests = chunk_count(addresses.size());
  work.board_time =
      pulses.device_time * static_cast<Duration::rep>(std::min(addresses.size(), chunk_devices_));
  work.request = [&](std::size_t k) -> const wire::Request& {
    pulses.fill_request(chunk(k, addresses.size()), pulses.first_batch + k);
    return request_;
  };
  work.describe = [&](std::size_t k) {
    return std::string(pulses.name) + " batch " + std::to_string(pulses.first_batch + k) + " (" +
           counted(chunk(k, addresses.size()).count, "device") + ", " + pulses.settings_text + ")";
  };
  work.take = [&](std::size_t k, wire::Reply& reply) -> Result<void> {
    const ChunkRange range = chunk(k, addresses.size());
    const wire::PulseReply* done = as_pulse_reply(reply);
    if (done == nullptr || done->batch != pulses.first_batch + k ||
        done->devices_done > range.count) {
      return fail(ErrorCode::BadFrame, work.describe(k) + ": the board acknowledged something else",
                  "Check the firmware; status() tells what was executed.");
    }
    PCM_TRY(sink(PulseChunk{range.begin, done->devices_done, 0, done->batch, done->pulses_executed,
                            done->first, done->last}));
    if (done->devices_done < range.count) {
      return fail(ErrorCode::Stopped,
                  work.describe(k) + ": aborted after " + counted(done->devices_done, "device"),
                  "Devices before that have had their pulses.");
    }
    return {};
  };

  Conversation::Outcome outcome = conversation_.run(work);
  batches_sent_ = outcome.sent;
  was_too_hot_ = outcome.refusal == wire::Refusal::OverTemperature;
  if (!outcome.error) return {};
  Error error = std::move(*outcome.error);
  const std::size_t never_sent = std::min(outcome.sent * chunk_devices_, addresses.size());
  budget_.give_back(asked.behind(never_sent));
  if (outcome.answered < outcome.sent) {
    const std::uint64_t first = pulses.first_batch + outcome.answered;
    const std::uint64_t last = pulses.first_batch + outcome.sent - 1;
    error.message += "; sent and not acknowledged: batch " + std::to_string(first);
    if (last != first) error.message += " to " + std::to_string(last);
    if (error.code == ErrorCode::Timeout) error.advice.clear();
    if (!error.advice.empty()) error.advice += " ";
    error.advice +=
        "Before any pulse is sent again, ask status() how far the unacknowledged batches came.";
  }
  return tl::unexpected(std::move(error));
}

// ---- the rest --------------------------------------------------------------------------------

Result<BoardStatus> TestBoard::status() {
  return conversation_.ask<wire::StatusReply>(wire::StatusRequest{},
                                              "asking " + information_.serial + " for its status");
}

Result<Temperature> TestBoard::temperature() {
  PCM_ASSIGN(const auto reply, conversation_.ask<wire::TemperatureReply>(
                                   wire::TemperatureRequest{},
                                   "asking " + information_.serial + " for its temperature"));
  return reply.chip;
}

Result<Calibration> TestBoard::calibrate(const ReadSettings& settings) {
  const double nominal_uS = information_.adc_step.uS();
  if ((information_.capabilities & wire::kReferenceResistors) == 0) {
    return Calibration{nominal_uS, 0.0};
  }
  const std::string doing = "calibrating " + information_.serial;
  const auto samples =
      static_cast<std::uint8_t>(std::min(kCalibrationSamples, samples_that_fit(information_)));
  PCM_ASSIGN(const auto reply,
             conversation_.ask<wire::ReadReferencesReply>(
                 wire::ReadReferencesRequest{samples, settings.read_voltage}, doing));

  // A reading within one code of either end of the ADC is clipped, at least in part.
  const double highest = highest_code(information_);
  double n = 0;
  double sum_x = 0;
  double sum_y = 0;
  double sum_xx = 0;
  double sum_xy = 0;
  for (const wire::ReferenceReading& reference : reply.references) {
    const double code = static_cast<double>(reference.code_sum) / samples;
    if (code < 1.0 || code > highest - 1.0) continue;
    n += 1;
    sum_x += code;
    sum_y += reference.nominal.uS();
    sum_xx += code * code;
    sum_xy += code * reference.nominal.uS();
  }
  const double spread = n * sum_xx - sum_x * sum_x;
  if (n < 2 || !(spread > 1e-6 * sum_xx)) {
    return fail(ErrorCode::Refused,
                doing + ": of " + counted(reply.references.size(), "reference") + ", " +
                    std::to_string(std::lround(n)) +
                    " lie inside the ADC's range; a line needs 2 different ones",
                "Check the read voltage and the reference resistors.");
  }
  Calibration calibration;
  calibration.gain_uS_per_code = (n * sum_xy - sum_x * sum_y) / spread;
  calibration.offset_uS = (sum_y - calibration.gain_uS_per_code * sum_x) / n;
  if (!(std::abs(calibration.gain_uS_per_code / nominal_uS - 1.0) <= kLargestGainError)) {
    return fail(ErrorCode::Refused,
                doing + ": " + quantity(calibration.gain_uS_per_code, "uS") +
                    " a code, more than 20 % off the nominal " + quantity(nominal_uS, "uS"),
                "Check the read voltage and the front-end board.");
  }
  return calibration;
}

Result<void> TestBoard::abort() {
  PCM_TRY(conversation_.ask<wire::AbortReply>(wire::AbortRequest{},
                                              "aborting the work of " + information_.serial));
  return {};
}

Result<BoardTime> TestBoard::advance_time_to(BoardTime until) {
  const std::string doing = "advancing the time of " + information_.serial + " to " + text(until);
  if ((information_.capabilities & wire::kVirtualTime) == 0) {
    return fail(ErrorCode::Unsupported, doing + ": this board's time is real", "Wait instead.");
  }
  PCM_ASSIGN(const auto reply,
             conversation_.ask<wire::AdvanceTimeReply>(wire::AdvanceTimeRequest{until}, doing));
  return reply.now;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "driver/conformance/bench.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "protocol/bytes.h"
#include "protocol/crc32c.h"

namespace pcmlab::conformance {
namespace {

Bytes bytes_of(const wire::Frame& frame) {
  return RawFrame{.type = frame.type,
                  .payload = frame.payload,
                  .sequence = frame.sequence,
                  .flags = frame.flags}
      .bytes();
}

}  // namespace

std::string name_of(std::uint8_t type) {
  const bool reply = (type & wire::kReplyBit) != 0;
  const auto request = static_cast<wire::MessageType>(type & ~wire::kReplyBit);
  const std::string_view name = to_string(request);
  const std::string number = text("type 0x", std::hex, unsigned{type});
  return name.empty() ? number : text(number, " (", name, reply ? " reply)" : ")");
}

tl::unexpected<Error> failed(std::string expected, std::string came) {
  return fail(ErrorCode::Refused, std::move(came), std::move(expected));
}

tl::unexpected<Error> skipped(std::string why) {
  return fail(ErrorCode::Unsupported, std::move(why));
}

Bytes RawFrame::bytes() const {
  Bytes out;
  wire::ByteWriter writer(out);
  writer.characters({wire::kMagic.data(), wire::kMagic.size()});
  writer.u8(version);
  writer.u8(type);
  writer.u16(flags);
  writer.u32(sequence);
  writer.u32(length.value_or(static_cast<std::uint32_t>(payload.size())));
  const std::uint32_t crc = wire::crc32c(out);
  writer.u32(crc ^ header_crc_error);
  writer.array(std::span<const std::byte>(payload));
  writer.u32(wire::crc32c(payload, crc) ^ frame_crc_error);
  return out;
}

Bytes payload_of(const wire::Request& request) {
  Bytes frame;
  encode(request, 0, frame);
  return {frame.begin() + wire::kHeaderBytes, frame.end() - wire::kCrcBytes};
}

Bytes joined(std::initializer_list<std::span<const std::byte>> parts) {
  Bytes all;
  for (const auto part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Bench::Bench(Transport& transport, const Settings& settings)
    : transport_(transport), settings_(settings), random_(settings.seed) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  next_batch_ = settings.first_batch.value_or(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(now).count()));
}

// ---- the client --------------------------------------------------------------------------------

Sent Bench::make(const wire::Request& request) {
  Sent sent;
  sent.type = static_cast<std::uint8_t>(type_of(request));
  sent.sequence = next_sequence();
  encode(request, sent.sequence, sent.bytes);
  sent.board_time = time_of(request);
  return sent;
}

Sent Bench::make(std::uint8_t type, Bytes payload, std::uint16_t flags) {
  Sent sent;
  sent.type = type;
  sent.sequence = next_sequence();
  sent.bytes =
      RawFrame{
          .type = type, .payload = std::move(payload), .sequence = sent.sequence, .flags = flags}
          .bytes();
  return sent;
}

Duration Bench::time_of(const wire::Request& request) const {
  if (!information_) return {};
  const auto times = [](std::size_t count, Duration each) {
    return each * static_cast<Duration::rep>(count);
  };
  if (const auto* read = std::get_if<wire::ReadRequest>(&request)) {
    return times(device_count(read->devices) * read->samples, information_->sample_time);
  }
  if (const auto* program = std::get_if<wire::ProgramRequest>(&request)) {
    return times(program->addresses.size(), program->width + Duration(1000));
  }
  if (const auto* initialise = std::get_if<wire::InitialiseRequest>(&request)) {
    Duration each{};
    for (const wire::Pulse& pulse : initialise->sequence) each += pulse.width + Duration(1000);
    return times(device_count(initialise->devices), each);
  }
  return {};
}

Result<void> Bench::send(const Bytes& bytes) {
  bytes_sent_ += bytes.size();
  last_request_ = bytes;
  Result<void> sent = transport_.send(bytes, Transport::Clock::now() + settings_.reply_deadline);
  if (sent) return sent;
  return fail(sent.error().code, sent.error().message,
              text("the ", bytes.size(), " bytes are taken from the host"));
}

Result<std::optional<wire::Frame>> Bench::next_frame(Transport::Deadline deadline) {
  for (;;) {
    if (std::optional<wire::Frame> frame = reader_.next()) {
      last_reply_ = bytes_of(*frame);
      return frame;
    }
    inbox_.clear();
    if (Result<void> received = transport_.receive(inbox_, deadline); !received) {
      if (received.error().code == ErrorCode::Timeout) return std::optional<wire::Frame>();
      return fail(received.error().code, received.error().message, "a connection that stays");
    }
    bytes_received_ += inbox_.size();
    reader_.append(inbox_);
    if (Transport::Clock::now() > deadline) {
      std::optional<wire::Frame> frame = reader_.next();
      if (frame) last_reply_ = bytes_of(*frame);
      return frame;
    }
  }
}

Result<wire::Reply> Bench::check(const wire::Frame& frame, const Sent& sent) {
  const auto expected_type = static_cast<std::uint8_t>(sent.type | wire::kReplyBit);
  if (frame.sequence != sent.sequence || frame.type != expected_type) {
    return failed(text("next a reply of ", name_of(expected_type), " with sequence ", sent.sequence,
                       ": one reply to each request, in their order"),
                  text("a frame of ", name_of(frame.type), " with sequence ", frame.sequence));
  }
  Result<wire::Reply> reply = decode_reply(frame);
  if (!reply) {
    return failed("a well-formed reply", reply.error().message);
  }
  if (const auto* program = std::get_if<wire::ProgramReply>(&*reply)) {
    pulses_ += program->pulses_executed;
  } else if (const auto* initialise = std::get_if<wire::InitialiseReply>(&*reply)) {
    pulses_ += initialise->pulses_executed;
  }
  return reply;
}

Result<wire::Reply> Bench::receive(const Sent& sent, Transport::Deadline deadline,
                                   const std::string& place) {
  last_request_ = sent.bytes;
  PCM_ASSIGN(const std::optional<wire::Frame> frame, next_frame(deadline));
  if (frame) return check(*frame, sent);
  const std::uint64_t noise = reader_.skipped_bytes() - skipped_before_;
  return fail(ErrorCode::Timeout,
              noise == 0 ? "no answer" : text("no frame, but ", noise, " bytes that are none"),
              text("a reply to ", name_of(sent.type), " with sequence ", sent.sequence, place));
}

Result<std::vector<wire::Reply>> Bench::exchange(std::span<const Bytes> pieces,
                                                 std::span<const Sent> answered) {
  last_reply_.clear();
  for (const Bytes& piece : pieces) PCM_TRY(send(piece));
  requests_ += answered.size();
  std::vector<wire::Reply> replies;
  replies.reserve(answered.size());
  for (const Sent& sent : answered) {
    const std::string place = answered.size() > 1
                                  ? text(", request ", replies.size() + 1, " of ", answered.size())
                                  : std::string();
    const auto deadline = Transport::Clock::now() + settings_.reply_deadline + 2 * sent.board_time;
    PCM_ASSIGN(wire::Reply reply, receive(sent, deadline, place));
    replies.push_back(std::move(reply));
  }
  return replies;
}

Result<std::vector<wire::Reply>> Bench::pipeline(std::span<const Sent> sent, std::size_t window) {
  std::vector<wire::Reply> replies;
  replies.reserve(sent.size());
  std::size_t out = 0;
  for (const Sent& next : sent) {
    for (; out < std::min(sent.size(), replies.size() + window); ++out) {
      PCM_TRY(send(sent[out].bytes));
    }
    const auto deadline = Transport::Clock::now() + settings_.reply_deadline + 2 * next.board_time;
    PCM_ASSIGN(
        wire::Reply reply,
        receive(next, deadline, text(", request ", replies.size() + 1, " of ", sent.size())));
    replies.push_back(std::move(reply));
  }
  requests_ += sent.size();
  return replies;
}

Result<std::vector<wire::Reply>> Bench::exchange(std::span<const Sent> sent) {
  Bytes all;
  for (const Sent& one : sent) all.insert(all.end(), one.bytes.begin(), one.bytes.end());
  return exchange(all, sent);
}

Result<wire::Reply> Bench::ask(const Sent& sent) {
  PCM_ASSIGN(std::vector<wire::Reply> replies, exchange(std::span(&sent, 1)));
  return std::move(replies.front());
}

std::string Bench::describe(const wire::Reply& reply) {
  if (const auto* refusal = std::get_if<wire::RefusalReply>(&reply)) {
    return text("refused: ", to_string(refusal->reason),
                refusal->detail.empty() ? std::string() : " (" + refusal->detail + ")");
  }
  return "it was accepted";
}

std::string Bench::describe(const wire::BatchRecord& record) {
  return text("batch ", record.batch, ": ", record.devices_done, " of ", record.devices_total,
              " devices, ", record.pulses_executed, " pulses, ", record.first.count(), " to ",
              record.last.count(), " ns");
}

Result<void> Bench::is_refusal(const wire::Reply& reply, wire::Refusal reason,
                               std::string_view what) {
  const auto* refusal = std::get_if<wire::RefusalReply>(&reply);
  if (refusal != nullptr && refusal->reason == reason) return {};
  return failed(text(what, ": refused, ", to_string(reason)), describe(reply));
}

Result<void> Bench::refused(const Sent& sent, wire::Refusal reason, std::string_view what) {
  PCM_ASSIGN(const wire::Reply reply, ask(sent));
  return is_refusal(reply, reason, what);
}

Result<void> Bench::ignored(const Bytes& bytes, std::string_view what) {
  const Sent probe = make(wire::TemperatureRequest{});
  const auto replies = exchange(joined({bytes, probe.bytes}), std::span(&probe, 1));
  if (replies) return {};
  Error error = replies.error();
  last_request_ = bytes;
  error.advice = text(what, ": no answer; then ", error.advice);
  return tl::unexpected(error);
}

Result<void> Bench::unchanged(const wire::StatusReply& before, std::string_view what) {
  const Bytes request = last_request_;
  const Bytes reply = last_reply_;
  PCM_ASSIGN(const wire::StatusReply after, status());
  last_request_ = request;
  last_reply_ = reply;
  if (after.boot_epoch != before.boot_epoch) {
    return failed(text(what, ": the boot epoch stays ", before.boot_epoch), text(after.boot_epoch));
  }
  if (after.pulses_executed != before.pulses_executed) {
    return failed(text(what, ": no pulses"),
                  text(after.pulses_executed - before.pulses_executed, " pulses were counted"));
  }
  const auto& was = before.recent_batches;
  const auto& is = after.recent_batches;
  if (is == was) return {};
  if (is.size() != was.size()) {
    return failed(text(what, ": ", was.size(), " batch records, as before"),
                  text(is.size(), " records",
                       is.empty() ? std::string() : "; the last: " + describe(is.back())));
  }
  const auto [old, now] = std::mismatch(was.begin(), was.end(), is.begin());
  return failed(text(what, ": batch record ", old - was.begin() + 1, " of ", was.size(), ": ",
                     describe(*old)),
                describe(*now));
}

void Bench::glance() {
  inbox_.clear();
  (void)transport_.receive(inbox_, Transport::Clock::now() + settings_.silence);
}

Result<void> Bench::reopen() {
  PCM_TRY(transport_.reopen(Transport::Clock::now() + settings_.reopen_deadline));
  reader_.reset();
  return {};
}

Result<bool> Bench::come_back() {
  PCM_TRY(reopen());
  PCM_TRY(get<wire::HelloReply>(wire::HelloRequest{}));
  if (!information_) return false;
  PCM_ASSIGN(wire::InformationReply now, get<wire::InformationReply>(wire::InformationRequest{}));
  const bool booted = now.boot_epoch != information_->boot_epoch;
  set_board(std::move(now));
  return booted;
}

Result<std::vector<wire::Frame>> Bench::listen(std::chrono::milliseconds duration) {
  std::vector<wire::Frame> frames;
  const auto deadline = Transport::Clock::now() + duration;
  for (;;) {
    PCM_ASSIGN(std::optional<wire::Frame> frame, next_frame(deadline));
    if (!frame) return frames;
    frames.push_back(std::move(*frame));
  }
}

void Bench::begin_check() {
  last_request_.clear();
  last_reply_.clear();
  skipped_before_ = reader_.skipped_bytes();
}

// ---- the board ---------------------------------------------------------------------------------

std::vector<DeviceAddress> Bench::pulse_devices(std::size_t count) const {
  const ArrayShape shape = information_->shape;
  const std::size_t first = std::min(settings_.first_pulse_bit_line, shape.bit_lines);
  count = std::min({count, settings_.pulse_devices, shape.bit_lines - first,
                    std::size_t{information_->limits.max_devices_per_request}});
  const std::uint16_t word_line =
      settings_.pulse_word_line.value_or(static_cast<std::uint16_t>(shape.word_lines - 1));
  std::vector<DeviceAddress> devices;
  if (word_line >= shape.word_lines) return devices;
  for (std::size_t b = first; b < first + count; ++b) {
    devices.push_back({WordLine{word_line}, BitLine{static_cast<std::uint16_t>(b)}});
  }
  return devices;
}

std::vector<DeviceAddress> Bench::any_devices(std::size_t count) const {
  std::vector<DeviceAddress> devices(count);
  const ArrayShape shape = information_->shape;
  for (std::size_t i = 0; i < count; ++i) devices[i] = shape.at(i % shape.device_count());
  return devices;
}

wire::ReadRequest Bench::long_read(Duration about) const {
  constexpr std::uint32_t kMostDevices = 65536;
  const unsigned most_samples = std::min(255u, 65535u / top_code());
  const auto each = information_->sample_time.count() * most_samples;
  const std::int64_t wanted = about.count() / std::max<std::int64_t>(each, 1) + 1;
  const std::int64_t most = std::min(information_->limits.max_devices_per_request, kMostDevices);
  wire::ReadRequest read;
  read.samples = static_cast<std::uint8_t>(most_samples);
  read.read_voltage = Voltage::from_mV(200);
  read.devices = wire::DeviceList{
      any_devices(static_cast<std::size_t>(std::clamp<std::int64_t>(wanted, 1, most)))};
  return read;
}

Current Bench::max_amplitude() const {
  return settings_.max_amplitude.value_or(
      has(wire::kVirtualTime) ? Current::from_uA(wire::kMaxAmplitude_uA) : kRealChip);
}

wire::Pulse Bench::within_limits(double amplitude_uA, Duration width) const {
  const wire::Limits& limits = information_->limits;
  return {std::min({Current::from_uA(amplitude_uA), limits.max_amplitude, max_amplitude()}),
          std::clamp(width, limits.min_width, std::max(limits.min_width, limits.max_width))};
}

Bytes Bench::noise(std::size_t count) {
  Bytes bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_() & 0xFF);
  return bytes;
}

}  // namespace pcmlab::conformance

// SPDX-License-Identifier: Apache-2.0
/// \file
/// The bench on which the checks have their board: a client that may send anything, and counts
/// and examines what comes back. Used by one thread; borrows the transport.
#pragma once

#include <optional>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "driver/conformance/conformance.h"
#include "protocol/frame_reader.h"
#include "protocol/messages.h"

namespace pcmlab::conformance {

using Bytes = std::vector<std::byte>;

/// All parts as one text, as a stream writes them.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// What a check returns when the board broke the rule.
tl::unexpected<Error> failed(std::string expected, std::string came);
/// What a check returns when this board cannot show it.
tl::unexpected<Error> skipped(std::string why);

/// A frame that may be wrong in every field. Both CRCs are made right for what it says.
struct RawFrame {
  std::uint8_t type = 0;
  Bytes payload = {};
  std::uint32_t sequence = 0;
  std::uint16_t flags = 0;
  std::uint8_t version = wire::kProtocolVersion;
  std::optional<std::uint32_t> length = {};  ///< the payload's unless given
  std::uint32_t header_crc_error = 0;        ///< xor
  std::uint32_t frame_crc_error = 0;

  Bytes bytes() const;
};

/// "type 0x4 (Program)".
std::string name_of(std::uint8_t type);
Bytes payload_of(const wire::Request& request);
Bytes joined(std::initializer_list<std::span<const std::byte>> parts);

/// A request that must be answered.
struct Sent {
  std::uint8_t type = 0;
  std::uint32_t sequence = 0;
  Bytes bytes;
  Duration board_time{};  ///< how long it keeps the board busy
};

class Bench {
 public:
  Bench(Transport& transport, const Settings& settings);

  // ---- the client

  Sent make(const wire::Request& request);
  Sent make(std::uint8_t type, Bytes payload, std::uint16_t flags = 0);
  std::uint32_t next_sequence() { return next_sequence_++; }

  /// Sends each piece by itself; then exactly the requests named must be answered, in this order,
  /// with their own type and sequence number. Replies to anything else are a failure.
  Result<std::vector<wire::Reply>> exchange(std::span<const Bytes> pieces,
                                            std::span<const Sent> answered);
  Result<std::vector<wire::Reply>> exchange(const Bytes& bytes, std::span<const Sent> answered) {
    return exchange(std::span(&bytes, 1), answered);
  }
  /// All of them at once.
  Result<std::vector<wire::Reply>> exchange(std::span<const Sent> sent);

  /// All of them, `window` in flight as long as there are so many left.
  Result<std::vector<wire::Reply>> pipeline(std::span<const Sent> sent, std::size_t window);

  Result<wire::Reply> ask(const Sent& sent);
  Result<wire::Reply> ask(const wire::Request& request) { return ask(make(request)); }

  template <class Expected>
  Result<Expected> get(const wire::Request& request) {
    PCM_ASSIGN(wire::Reply reply, ask(request));
    return as<Expected>(reply);
  }
  template <class Expected>
  Result<Expected> as(const wire::Reply& reply) {
    if (const auto* expected = std::get_if<Expected>(&reply)) return *expected;
    return failed("an answer", describe(reply));
  }
  Result<wire::StatusReply> status() { return get<wire::StatusReply>(wire::StatusRequest{}); }

  /// The request must be refused for this reason.
  Result<void> refused(const Sent& sent, wire::Refusal reason, std::string_view what);
  Result<void> refused(const wire::Request& request, wire::Refusal reason, std::string_view what) {
    return refused(make(request), reason, what);
  }
  static Result<void> is_refusal(const wire::Reply& reply, wire::Refusal reason,
                                 std::string_view what);
  /// These bytes must get no answer, and the request after them its own.
  Result<void> ignored(const Bytes& bytes, std::string_view what);
  /// Pulses, records and epoch are still those.
  Result<void> unchanged(const wire::StatusReply& before, std::string_view what);

  static std::string describe(const wire::Reply& reply);
  static std::string describe(const wire::BatchRecord& record);

  /// Bytes and nothing else.
  Result<void> send(const Bytes& bytes);
  /// Waits for a first sign that the board is at work on what was sent, and forgets it.
  void glance();
  /// Connects again and forgets what was on its way.
  Result<void> reopen();
  /// After a lost connection: also asks the board again who it is. \return whether it has booted
  Result<bool> come_back();
  /// Listens. \return frames that nobody expected.
  Result<std::vector<wire::Frame>> listen(std::chrono::milliseconds duration);

  // ---- the board

  const Settings& settings() const { return settings_; }
  bool knows_board() const { return information_.has_value(); }
  const wire::InformationReply& board() const { return *information_; }
  void set_board(wire::InformationReply information) { information_ = std::move(information); }
  bool has(wire::Capability capability) const {
    return (information_->capabilities & capability) != 0;
  }
  std::uint16_t top_code() const {
    return static_cast<std::uint16_t>((1u << information_->adc_bits) - 1);
  }
  /// Devices that get pulses, at most `count`.
  std::vector<DeviceAddress> pulse_devices(std::size_t count = SIZE_MAX) const;
  /// As many devices as one likes: the array walked line by line, again and again.
  std::vector<DeviceAddress> any_devices(std::size_t count) const;
  /// What no request exceeds.
  Current max_amplitude() const;
  std::uint64_t new_batch() { return next_batch_++; }
  /// A read that keeps the board at work for about that long, as far as its limits allow.
  wire::ReadRequest long_read(Duration about) const;
  Duration time_of(const wire::Request& request) const;
  /// A pulse within the board's limits and the settings', as near to the one wanted as they allow.
  wire::Pulse within_limits(double amplitude_uA, Duration width) const;

  std::mt19937_64& random() { return random_; }
  Bytes noise(std::size_t count);

  // ---- for the report

  void begin_check();
  const Bytes& last_request() const { return last_request_; }
  const Bytes& last_reply() const { return last_reply_; }
  std::uint64_t pulses() const { return pulses_; }
  std::uint64_t requests() const { return requests_; }
  std::uint64_t bytes_sent() const { return bytes_sent_; }
  std::uint64_t bytes_received() const { return bytes_received_; }
  std::string peer() const { return transport_.description(); }

 private:
  /// Nothing: the deadline has passed.
  Result<std::optional<wire::Frame>> next_frame(Transport::Deadline deadline);
  /// \param place  "request 2 of 3", for the error
  Result<wire::Reply> receive(const Sent& sent, Transport::Deadline deadline,
                              const std::string& place);
  Result<wire::Reply> check(const wire::Frame& frame, const Sent& sent);

  Transport& transport_;
  Settings settings_;
  wire::FrameReader reader_;
  Bytes inbox_;
  std::uint32_t next_sequence_ = 1;
  std::uint64_t next_batch_ = 0;
  std::mt19937_64 random_;
  std::optional<wire::InformationReply> information_;

  Bytes last_request_;
  Bytes last_reply_;
  std::uint64_t skipped_before_ = 0;
  std::uint64_t pulses_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
};

}  // namespace pcmlab::conformance

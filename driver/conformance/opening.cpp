// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "driver/conformance/checks.h"

namespace pcmlab::conformance {
namespace {

constexpr auto kHello = static_cast<std::uint8_t>(wire::MessageType::Hello);

/// Must be the first check: the connection is fresh.
Result<std::string> before_hello(Bench& bench) {
  PCM_TRY(bench.get<wire::InformationReply>(wire::InformationRequest{}));
  return std::string();
}

Result<std::string> hello(Bench& bench) {
  PCM_ASSIGN(const auto reply, bench.get<wire::HelloReply>(wire::HelloRequest{}));
  if (reply.version != wire::kProtocolVersion) {
    return failed("version 1, the only one that both speak", text("version ", int{reply.version}));
  }
  return std::string("version 1");
}

Result<std::string> hello_range(Bench& bench) {
  PCM_ASSIGN(const auto reply, bench.get<wire::HelloReply>(wire::HelloRequest{1, 255}));
  // A board may speak later versions, of which this program knows nothing; back to the first.
  PCM_TRY(bench.get<wire::HelloReply>(wire::HelloRequest{1, 1}));
  return text("up to version ", int{reply.version});
}

Result<std::string> hello_none(Bench& bench) {
  PCM_TRY(bench.refused(wire::HelloRequest{255, 255}, wire::Refusal::VersionMismatch,
                        "versions 255 to 255"));
  PCM_TRY(bench.get<wire::HelloReply>(wire::HelloRequest{}));
  return std::string();
}

Result<std::string> hello_impossible(Bench& bench) {
  for (const auto& [lowest, highest] : {std::pair{0, 1}, {0, 0}, {2, 1}, {255, 1}}) {
    const Bytes payload{static_cast<std::byte>(lowest), static_cast<std::byte>(highest)};
    PCM_TRY(bench.refused(bench.make(kHello, payload), wire::Refusal::BadPayload,
                          text("versions ", lowest, " to ", highest)));
  }
  return std::string();
}

Result<std::string> information(Bench& bench) {
  PCM_ASSIGN(wire::InformationReply i,
             bench.get<wire::InformationReply>(wire::InformationRequest{}));
  if (i.serial.empty()) return failed("a serial number", "an empty one");
  if (i.sample_time.count() <= 0) return failed("a sample time above 0", "0 ns");
  if (i.adc_step.uS() <= 0) return failed("a conductance of one code above 0", "0 pS");
  std::string found = text("serial ", i.serial, ", firmware ", i.firmware, ", ", i.shape.word_lines,
                           " x ", i.shape.bit_lines, " devices, ", int{i.adc_bits}, " bits");
  bench.set_board(std::move(i));
  return found;
}

Result<std::string> limits(Bench& bench) {
  const wire::Limits& l = bench.board().limits;
  if (l.max_requests_in_flight < 1 || l.max_requests_in_flight > 32) {
    return failed("1 to 32 requests in flight", text(int{l.max_requests_in_flight}));
  }
  if (l.max_devices_per_request < 1) return failed("at least one device in a request", "0");
  if (l.min_width > l.max_width || l.max_width.count() == 0) {
    return failed("a range of widths",
                  text(l.min_width.count(), " to ", l.max_width.count(), " ns"));
  }
  if (l.max_amplitude.uA() <= 0 || l.max_temperature.K() <= 0) {
    return failed("an amplitude and a temperature above 0",
                  text(l.max_amplitude.uA(), " uA, ", l.max_temperature.K(), " K"));
  }
  return text(l.max_amplitude.uA(), " uA, ", l.min_width.count(), " to ", l.max_width.count(),
              " ns, ", l.max_devices_per_request, " devices, ", int{l.max_requests_in_flight},
              " in flight");
}

Result<std::string> hello_again(Bench& bench) {
  PCM_ASSIGN(const auto before, bench.status());
  PCM_TRY(bench.get<wire::HelloReply>(wire::HelloRequest{}));
  PCM_TRY(bench.unchanged(before, "Hello in the middle"));
  PCM_ASSIGN(const auto after, bench.get<wire::InformationReply>(wire::InformationRequest{}));
  if (after != bench.board()) return failed("the same Information as before Hello", "another one");
  return std::string();
}

Result<std::string> epochs(Bench& bench) {
  PCM_ASSIGN(const auto status, bench.status());
  if (status.boot_epoch != bench.board().boot_epoch) {
    return failed(text("boot epoch ", bench.board().boot_epoch, ", as in Information"),
                  text(status.boot_epoch, " in Status"));
  }
  return text("epoch ", status.boot_epoch);
}

}  // namespace

void add_opening(Checks& checks) {
  checks.insert(
      checks.end(),
      {{{"opening.before_hello", "Conversation: Opening",
         "a request that comes before Hello is answered like any other"},
        before_hello},
       {{"opening.hello", "0x01 Hello", "Hello for version 1 is answered with version 1"}, hello},
       {{"opening.hello_range", "0x01 Hello", "of a range of versions one is chosen"}, hello_range},
       {{"opening.hello_none", "0x01 Hello", "no common version is a VersionMismatch"}, hello_none},
       {{"opening.hello_impossible", "0x01 Hello", "impossible versions are a BadPayload"},
        hello_impossible},
       {{"opening.information", "0x02 Information", "the board says who it is"}, information},
       {{"opening.limits", "Limits", "its limits leave something to do", kInformation}, limits},
       {{"opening.hello_again", "0x01 Hello", "Hello changes no state", kInformation}, hello_again},
       {{"opening.epochs", "Conversation: Boot epoch", "Status has the epoch of Information",
         kInformation},
        epochs}});
}

}  // namespace pcmlab::conformance

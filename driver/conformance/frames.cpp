// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string_view>

#include "driver/conformance/checks.h"

namespace pcmlab::conformance {
namespace {

constexpr auto kTemperature = static_cast<std::uint8_t>(wire::MessageType::Temperature);
constexpr auto kHelloType = static_cast<std::uint8_t>(wire::MessageType::Hello);

/// A good frame with a payload, to be damaged.
RawFrame hello_frame(Bench& bench) {
  return {.type = kHelloType,
          .payload = {std::byte{1}, std::byte{1}},
          .sequence = bench.next_sequence()};
}

Bytes characters(std::string_view characters) {
  const auto bytes = std::as_bytes(std::span(characters));
  return {bytes.begin(), bytes.end()};
}

Result<std::string> byte_by_byte(Bench& bench) {
  const Sent sent = bench.make(wire::HelloRequest{});
  std::vector<Bytes> pieces;
  for (const std::byte byte : sent.bytes) pieces.push_back({byte});
  PCM_TRY(bench.exchange(pieces, std::span(&sent, 1)));
  return text(pieces.size(), " pieces");
}

Result<std::string> split_everywhere(Bench& bench) {
  const std::size_t length = bench.make(wire::HelloRequest{}).bytes.size();
  for (std::size_t at = 1; at < length; ++at) {
    const Sent sent = bench.make(wire::HelloRequest{});
    const auto middle = sent.bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const std::array<Bytes, 2> pieces{Bytes(sent.bytes.begin(), middle),
                                      Bytes(middle, sent.bytes.end())};
    PCM_TRY(bench.exchange(pieces, std::span(&sent, 1)));
  }
  return text(length - 1, " places");
}

Result<std::string> glued(Bench& bench) {
  // Three sends that cut through the frames.
  const unsigned window = bench.board().limits.max_requests_in_flight;
  std::vector<Sent> sent;
  Bytes all;
  for (unsigned i = 0; i < window; ++i) {
    sent.push_back(bench.make(wire::TemperatureRequest{}));
    all = joined({all, sent.back().bytes});
  }
  const auto third = static_cast<std::ptrdiff_t>(all.size() / 3);
  const std::array<Bytes, 3> pieces{Bytes(all.begin(), all.begin() + third),
                                    Bytes(all.begin() + third, all.begin() + 2 * third),
                                    Bytes(all.begin() + 2 * third, all.end())};
  PCM_TRY(bench.exchange(pieces, sent));
  return text(window, " frames in 3 pieces");
}

Result<std::string> garbage(Bench& bench) {
  std::vector<std::pair<Bytes, std::string>> cases;
  for (const std::size_t count : {1U, 3U, 19U, 24U, 511U, 5000U}) {
    cases.emplace_back(bench.noise(count), text(count, " random bytes"));
  }
  for (const std::string_view magics : {"P", "PCM", "PCMB", "PCMBPCMB", "PPCPCMPCMPCM"}) {
    cases.emplace_back(characters(magics), text("\"", magics, "\""));
  }
  cases.emplace_back(Bytes(1000, std::byte{0}), "zeros");
  for (const auto& [bytes, what] : cases) PCM_TRY(bench.ignored(bytes, what + " before a frame"));
  return text(cases.size(), " kinds");
}

Result<std::string> header_crc(Bench& bench) {
  for (const std::uint32_t error : {1u, 0x80000000u, 0xFFFFFFFFu}) {
    RawFrame frame = hello_frame(bench);
    frame.header_crc_error = error;
    PCM_TRY(bench.ignored(frame.bytes(), "a wrong header CRC"));
  }
  return std::string();
}

Result<std::string> frame_crc(Bench& bench) {
  for (const std::uint32_t error : {1u, 0x80000000u, 0xFFFFFFFFu}) {
    RawFrame frame = hello_frame(bench);
    frame.frame_crc_error = error;
    PCM_TRY(bench.ignored(frame.bytes(), "a wrong frame CRC"));
    RawFrame empty{.type = kTemperature, .sequence = bench.next_sequence()};
    empty.frame_crc_error = error;
    PCM_TRY(bench.ignored(empty.bytes(), "a wrong frame CRC without payload"));
  }
  return std::string();
}

Result<std::string> every_bit(Bench& bench) {
  const Bytes good = hello_frame(bench).bytes();
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    PCM_TRY(bench.ignored(bad, text("a frame with bit ", bit % 8, " of byte ", bit / 8, " wrong")));
  }
  return text(8 * good.size(), " bits");
}

Result<std::string> version(Bench& bench) {
  for (const int version : {0, 2, 255}) {
    RawFrame frame = hello_frame(bench);
    frame.version = static_cast<std::uint8_t>(version);
    PCM_TRY(bench.ignored(frame.bytes(), text("version ", version, " in the header")));
  }
  return std::string();
}

Result<std::string> oversized(Bench& bench) {
  for (const std::uint32_t length : {(4u << 20) + 1, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
    RawFrame frame = hello_frame(bench);
    frame.length = length;
    PCM_TRY(bench.ignored(frame.bytes(), text("a length of ", length, ", its header CRC right")));
  }
  return std::string();
}

Result<std::string> promised(Bench& bench) {
  RawFrame frame = hello_frame(bench);
  frame.length = 1u << 20;
  frame.header_crc_error = 0x10;
  PCM_TRY(bench.ignored(frame.bytes(), "a length of 1 MiB in a header with a wrong CRC"));
  return std::string();
}

Result<std::string> inside(Bench& bench) {
  const Sent real = bench.make(wire::HelloRequest{});
  RawFrame damaged{.type = kTemperature, .payload = real.bytes, .sequence = bench.next_sequence()};
  damaged.frame_crc_error = 1;
  PCM_TRY(bench.exchange(damaged.bytes(), std::span(&real, 1)));
  return std::string();
}

Result<std::string> truncated(Bench& bench) {
  for (const std::size_t missing : {1U, 3U, 5U}) {
    Bytes cut = hello_frame(bench).bytes();
    cut.resize(cut.size() - missing);
    PCM_TRY(bench.ignored(cut, text("a frame without its last ", missing, " bytes")));
  }
  return std::string();
}

/// A right header whose payload never comes is believed: what comes next is taken for it, and
/// found in it when the frame CRC has shown the mistake.
Result<std::string> never_ends(Bench& bench) {
  const wire::Limits& limits = bench.board().limits;
  const auto header = [&bench](std::size_t promised) {
    Bytes bytes = RawFrame{.type = kTemperature,
                           .payload = {},
                           .sequence = bench.next_sequence(),
                           .length = static_cast<std::uint32_t>(promised)}
                      .bytes();
    bytes.resize(wire::kHeaderBytes);
    return bytes;
  };
  // Requests in its place, as many as may be in flight.
  std::vector<Sent> sent;
  Bytes all;
  for (unsigned i = 0; i < limits.max_requests_in_flight; ++i) {
    sent.push_back(bench.make(wire::TemperatureRequest{}));
    all = joined({all, sent.back().bytes});
  }
  PCM_TRY(bench.exchange(joined({header(all.size() - wire::kCrcBytes), all}), sent));
  // As long as a request can be, in zeros; the last byte comes with the request behind it.
  const std::size_t longest = std::min<std::size_t>(
      16 + std::size_t{6} * limits.max_devices_per_request, wire::kMaxPayloadBytes);
  const Bytes zeros(longest + wire::kCrcBytes - 1);
  const Sent last = bench.make(wire::TemperatureRequest{});
  const std::array<Bytes, 2> pieces{joined({header(longest), zeros}), last.bytes};
  PCM_TRY(bench.exchange(pieces, std::span(&last, 1)));
  return text("up to ", longest, " bytes");
}

Result<std::string> replies(Bench& bench) {
  for (const int type : {0x81, 0x82, 0x86, 0x87, 0x89, 0x8C, 0x80, 0xFF}) {
    RawFrame frame{.type = static_cast<std::uint8_t>(type), .sequence = bench.next_sequence()};
    PCM_TRY(bench.ignored(frame.bytes(), text("a frame of type 0x", std::hex, type)));
    frame.flags = wire::kRefusalFlag;
    PCM_TRY(bench.ignored(frame.bytes(), text("a refusal of type 0x", std::hex, type)));
  }
  return std::string();
}

}  // namespace

void add_frames(Checks& checks) {
  const std::string receiving = "Frame: Receiving";
  checks.insert(
      checks.end(),
      {{{"frames.byte_by_byte", "Carrying the bytes", "a frame may come byte by byte"},
        byte_by_byte},
       {{"frames.split", "Carrying the bytes", "a frame may be cut anywhere"}, split_everywhere},
       {{"frames.glued", "Carrying the bytes", "several frames may come at once", kInformation},
        glued},
       {{"frames.garbage", receiving, "bytes that are no frame are skipped"}, garbage},
       {{"frames.header_crc", receiving, "a wrong header CRC gets no answer"}, header_crc},
       {{"frames.frame_crc", receiving, "a wrong frame CRC gets no answer"}, frame_crc},
       {{"frames.every_bit", receiving, "no frame with one wrong bit is answered"}, every_bit},
       {{"frames.version", receiving, "another version in the header gets no answer"}, version},
       {{"frames.oversized", receiving, "a length above 4 MiB gets no answer"}, oversized},
       {{"frames.promised", receiving, "nobody waits for what a damaged header promises"},
        promised},
       {{"frames.inside", receiving, "a good frame inside a damaged one is found"}, inside},
       {{"frames.truncated", receiving, "the frame after a cut one is found"}, truncated},
       {{"frames.never_ends", receiving, "frames in place of a promised payload are found",
         kInformation},
        never_ends},
       {{"frames.replies", receiving, "frames with bit 7 of the type set get no answer"},
        replies}});
}

}  // namespace pcmlab::conformance

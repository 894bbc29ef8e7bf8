// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "driver/recording.h"
#include "protocol/bytes.h"
#include "protocol/messages.h"
#include "tests/fuzz/targets.h"
#include "tests/protocol/random_messages.h"
#include "tests/protocol/raw_frame.h"

namespace pcmlab::fuzz {
namespace {

using testing::append;
using testing::kAllTypes;
using testing::RandomMessages;
using wire::MessageType;
using ByteVector = std::vector<std::byte>;

constexpr std::size_t kMostDevices = 4;

/// Type, flags and payload of a whole frame.
ByteVector without_frame(Bytes frame) {
  constexpr std::size_t kTypeOffset = 5;
  ByteVector input(frame.begin() + kTypeOffset, frame.begin() + kTypeOffset + 3);
  append(input,
         frame.subspan(wire::kHeaderBytes, frame.size() - wire::kHeaderBytes - wire::kCrcBytes));
  return input;
}

std::vector<ByteVector> messages(bool replies) {
  constexpr int kOfEachType = 4;
  RandomMessages random(301, kMostDevices);
  std::vector<ByteVector> frames;
  for (const MessageType type : kAllTypes) {
    for (int i = 0; i < kOfEachType; ++i) {
      ByteVector& frame = frames.emplace_back();
      if (replies) {
        encode(random.reply(type), type, 0, frame);
      } else {
        encode(random.request(type), 0, frame);
      }
    }
    if (replies) encode(wire::Reply(random.refusal()), type, 0, frames.emplace_back());
  }
  return frames;
}

std::vector<ByteVector> decoder_seeds(bool replies) {
  std::vector<ByteVector> inputs;
  for (const ByteVector& frame : messages(replies)) inputs.push_back(without_frame(frame));
  return inputs;
}

std::vector<ByteVector> stream_seeds() {
  std::vector<ByteVector> inputs;
  ByteVector all{std::byte{3}};
  for (const bool replies : {false, true}) {
    for (const ByteVector& frame : messages(replies)) {
      ByteVector& input = inputs.emplace_back(1, static_cast<std::byte>(inputs.size()));
      append(input, frame);
      append(input, frame);
      append(all, frame);
    }
  }
  inputs.push_back(std::move(all));
  return inputs;
}

/// A host's whole conversation with a board of few devices.
ByteVector session(std::uint32_t seed) {
  constexpr std::uint16_t kWordLines = 4;
  constexpr std::uint16_t kBitLines = 8;
  RandomMessages random(seed, kMostDevices);
  const auto line = [&](std::uint16_t lines) {
    return static_cast<std::uint16_t>(random.number(0, lines - 1U));
  };
  const auto address = [&] {
    return DeviceAddress{WordLine{line(kWordLines)}, BitLine{line(kBitLines)}};
  };
  const wire::Rectangle everything{{}, kWordLines, kBitLines};
  wire::InitialiseRequest initialise;
  initialise.batch = random.number(1, 9);
  initialise.sequence = {{Current::from_uA(450), Duration(50)},
                         {Current::from_uA(90), Duration(900)}};
  initialise.devices = everything;
  wire::ProgramRequest program;
  program.batch = random.number(10, 19);
  program.width = Duration(400);
  program.addresses = {address(), address(), address()};
  program.amplitudes_10nA = {9000, 0, 12'000};
  wire::SetLimitsRequest limits;
  limits.limits = {.max_amplitude = Current::from_uA(300),
                   .min_width = Duration(60),
                   .max_width = Duration(5000),
                   .max_devices_per_request = 40,
                   .max_requests_in_flight = 8,
                   .max_pulses_per_device = 5,
                   .max_temperature = Temperature::from_K(350)};
  const std::vector<wire::Request> requests = {
      wire::HelloRequest{},
      wire::InformationRequest{},
      initialise,
      wire::ReadRequest{everything, 3, Voltage::from_mV(200)},
      program,
      wire::StatusRequest{},
      wire::ReadRequest{wire::DeviceList{{address(), address()}}, 1, Voltage::from_mV(200)},
      wire::AdvanceTimeRequest{std::chrono::hours(1)},
      wire::ReadReferencesRequest{5, Voltage::from_mV(200)},
      wire::TemperatureRequest{},
      limits,
      program,
      wire::AbortRequest{}};
  ByteVector input{static_cast<std::byte>(seed)};
  std::uint32_t sequence = 0;
  for (const wire::Request& request : requests) {
    if (sequence == 0 || random.number(0, 3) != 0) encode(request, sequence, input);
    ++sequence;
  }
  return input;
}

std::vector<ByteVector> board_seeds() {
  constexpr std::uint32_t kSessions = 12;
  std::vector<ByteVector> inputs;
  for (std::uint32_t seed = 1; seed <= kSessions; ++seed) inputs.push_back(session(seed));
  for (const ByteVector& frame : messages(false)) {
    append(inputs.emplace_back(1, std::byte{7}), frame);
  }
  // To the end of time, and a little work there.
  for (BoardTime until = BoardTime::max(); until > BoardTime::max() / 2; until -= until / 8) {
    ByteVector& latest = inputs.emplace_back(1, std::byte{7});
    encode(wire::Request(wire::AdvanceTimeRequest{until}), 1, latest);
    for (std::uint32_t sequence = 2; sequence < 5; ++sequence) {
      encode(wire::Request(wire::StatusRequest{}), sequence, latest);
    }
  }
  return inputs;
}

void must(const Result<void>& done) {
  if (!done) throw std::runtime_error(done.error().message);
}

ByteVector recorded(RecordKind kind) {
  const int descriptor = memfd_create("recording", 0);
  const std::array<std::string, 2> header = {"board: fuzz", "program: pcmlab"};
  if (descriptor < 0) throw std::runtime_error("memfd_create failed");
  const int file = dup(descriptor);
  {
    auto writer = RecordingWriter::adopt(descriptor, "fuzz", header).value();
    ByteVector frame;
    encode(wire::Request(wire::HelloRequest{}), 1, frame);
    must(writer->record(RecordKind::ToBoard, frame));
    const Error error{ErrorCode::Timeout, "nothing came", "Wait."};
    switch (kind) {
      case RecordKind::SendFailed:
      case RecordKind::ReceiveFailed:
      case RecordKind::ReopenFailed:
        must(writer->record(kind, error));
        break;
      default:
        must(writer->record(kind, frame));
    }
    must(writer->close());
  }
  ByteVector content(static_cast<std::size_t>(lseek(file, 0, SEEK_END)));
  const ssize_t got = pread(file, content.data(), content.size(), 0);
  close(file);
  if (got != static_cast<ssize_t>(content.size())) throw std::runtime_error("read failed");
  return content;
}

std::vector<ByteVector> recording_seeds() {
  std::vector<ByteVector> inputs;
  for (const RecordKind kind :
       {RecordKind::FromBoard, RecordKind::SendFailed, RecordKind::ReceiveFailed,
        RecordKind::Reopened, RecordKind::ReopenFailed}) {
    inputs.push_back(recorded(kind));
  }
  inputs.emplace_back(inputs[0].begin(), inputs[0].begin() + 12);
  inputs.emplace_back(inputs[0].begin(), inputs[0].end() - 1);
  return inputs;
}

}  // namespace

std::vector<std::vector<std::byte>> seeds(std::string_view target) {
  if (target == "decode_request") return decoder_seeds(false);
  if (target == "decode_reply") return decoder_seeds(true);
  if (target == "frame_reader") return stream_seeds();
  if (target == "mock_board") return board_seeds();
  if (target == "recording") return recording_seeds();
  throw std::invalid_argument("no such target");
}

}  // namespace pcmlab::fuzz

// SPDX-License-Identifier: Apache-2.0
// What driver, protocol and loopback cost per device, with a far end that does no physics; and
// what a recording of the conversation adds.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <memory>

#include "driver/loopback_transport.h"
#include "driver/recording_transport.h"
#include "driver/test_board.h"
#include "protocol/frame_reader.h"
#include "protocol/messages.h"

namespace pcmlab {
namespace {

constexpr ArrayShape kShape{512, 2048};

wire::InformationReply echo_information() {
  wire::InformationReply information;
  information.serial = "ECHO";
  information.shape = kShape;
  information.boot_epoch = 1;
  information.adc_step = Conductance::from_uS(0.2);
  information.limits.max_amplitude = Current::from_uA(500);
  information.limits.max_width = Duration(10000);
  information.limits.max_devices_per_request = 8192;
  information.limits.max_requests_in_flight = 16;
  return information;
}

/// Answers a read with zeros and a pulse batch with "done".
class EchoBoard {
 public:
  void take(std::span<const std::byte> bytes) { reader_.append(bytes); }

  void give(std::vector<std::byte>& into) {
    const std::optional<wire::Frame> frame = reader_.next();
    if (!frame) return;
    const Result<wire::Request> request = decode_request(*frame);
    const auto type = static_cast<wire::MessageType>(frame->type);
    if (const auto* read = std::get_if<wire::ReadRequest>(&*request)) {
      std::get<wire::ReadReply>(zeros_).code_sums.resize(device_count(read->devices));
      encode(zeros_, type, frame->sequence, into);
    } else if (const auto* program = std::get_if<wire::ProgramRequest>(&*request)) {
      wire::ProgramReply reply;
      reply.batch = program->batch;
      reply.devices_done = static_cast<std::uint32_t>(program->addresses.size());
      encode(reply, type, frame->sequence, into);
    } else if (const auto* set = std::get_if<wire::SetLimitsRequest>(&*request)) {
      encode(wire::SetLimitsReply{set->limits}, type, frame->sequence, into);
    } else if (type == wire::MessageType::Hello) {
      encode(wire::HelloReply{}, type, frame->sequence, into);
    } else {
      encode(echo_information(), type, frame->sequence, into);
    }
  }

 private:
  wire::FrameReader reader_;
  wire::Reply zeros_ = wire::ReadReply{};
};

std::unique_ptr<Transport> echo_line() {
  auto echo = std::make_shared<EchoBoard>();
  LoopbackEnd end;
  end.take = [echo](std::span<const std::byte> bytes) { echo->take(bytes); };
  end.give = [echo](std::vector<std::byte>& into) { echo->give(into); };
  return std::make_unique<LoopbackTransport>(std::move(end));
}

std::unique_ptr<TestBoard> open_echo() { return std::move(*TestBoard::open(echo_line())); }

/// The same, recorded to a file that is made anew and is gone afterwards.
class RecordedEcho {
 public:
  RecordedEcho() { start(); }
  RecordedEcho(const RecordedEcho&) = delete;
  RecordedEcho& operator=(const RecordedEcho&) = delete;
  ~RecordedEcho() {
    board_.reset();
    std::filesystem::remove(file_);
  }
  void start() {
    board_.reset();
    std::filesystem::remove(file_);
    board_ = std::move(*TestBoard::open(std::make_unique<RecordingTransport>(
        echo_line(), std::move(*RecordingWriter::create(file_, {})))));
  }
  Board& board() { return *board_; }
  std::uintmax_t bytes() const { return std::filesystem::file_size(file_); }

 private:
  std::filesystem::path file_ =
      std::filesystem::temp_directory_path() / "pcmlab-driver-benchmark.rec";
  std::unique_ptr<TestBoard> board_;
};

std::vector<DeviceAddress> whole_array(bool scattered) {
  std::vector<DeviceAddress> addresses;
  addresses.reserve(kShape.device_count());
  // A step prime to the number of devices visits each of them once.
  const std::size_t step = scattered ? 7919 : 1;
  for (std::size_t i = 0; i < kShape.device_count(); ++i) {
    addresses.push_back(kShape.at(i * step % kShape.device_count()));
  }
  return addresses;
}

void report(benchmark::State& state, std::size_t devices_each) {
  const auto devices = static_cast<double>(state.iterations()) * static_cast<double>(devices_each);
  state.counters["per_device"] =
      benchmark::Counter(devices, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void read_array(benchmark::State& state) {
  const auto board = open_echo();
  const auto addresses = whole_array(state.range(0) != 0);
  std::uint64_t sum = 0;
  for (auto _ : state) {
    const Result<void> result =
        board->read(addresses, {}, [&](const ReadChunk& chunk) -> Result<void> {
          sum += chunk.code_sums.back();
          return {};
        });
    if (!result) state.SkipWithError(result.error().message.c_str());
  }
  benchmark::DoNotOptimize(sum);
  report(state, addresses.size());
}
BENCHMARK(read_array)->ArgName("scattered")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

void program_array(benchmark::State& state) {
  const auto board = open_echo();
  if (state.range(0) != 0) {
    Limits limits{};
    limits.max_pulses_per_device = 1'000'000'000;
    static_cast<void>(board->set_limits(limits));
  }
  const auto addresses = whole_array(true);
  const std::vector<std::uint16_t> amplitudes(addresses.size(), 20000);
  std::uint64_t batch = 1;
  for (auto _ : state) {
    const Result<void> result =
        board->program(batch, Duration(400), addresses, amplitudes,
                       [](const PulseChunk&) -> Result<void> { return {}; });
    batch += 1000;
    if (!result) state.SkipWithError(result.error().message.c_str());
  }
  report(state, addresses.size());
}
BENCHMARK(program_array)->Unit(benchmark::kMillisecond)->ArgName("counted")->Arg(0)->Arg(1);

/// One verify pass over the array, as program-and-verify does it: pulses, then reads of the same
/// scattered devices; plain and recorded. The file starts anew before it is 100 MB.
void recorded_pass(benchmark::State& state) {
  const bool recorded = state.range(0) != 0;
  RecordedEcho recorded_board;
  const auto plain_board = open_echo();
  const auto addresses = whole_array(true);
  const std::vector<std::uint16_t> amplitudes(addresses.size(), 20000);
  std::uint64_t batch = 1;
  for (auto _ : state) {
    if (recorded && recorded_board.bytes() > 80'000'000) {
      state.PauseTiming();
      recorded_board.start();
      state.ResumeTiming();
    }
    Board& board = recorded ? recorded_board.board() : *plain_board;
    Result<void> result = board.program(batch, Duration(400), addresses, amplitudes,
                                        [](const PulseChunk&) -> Result<void> { return {}; });
    if (result) {
      result = board.read(addresses, {}, [](const ReadChunk&) -> Result<void> { return {}; });
    }
    batch += 1000;
    if (!result) state.SkipWithError(result.error().message.c_str());
  }
  report(state, addresses.size());
}
BENCHMARK(recorded_pass)->Unit(benchmark::kMillisecond)->ArgName("recorded")->Arg(0)->Arg(1);

}  // namespace
}  // namespace pcmlab

BENCHMARK_MAIN();

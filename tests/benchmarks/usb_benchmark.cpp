// SPDX-License-Identifier: Apache-2.0
// What UsbTransport and libusb cost on a bus without a wire: the kernel's part is a function call
// here. CPU time is that of the whole process, so the device's side is counted too.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "driver/test_board.h"
#include "driver/usb_transport.h"
#include "protocol/frame_reader.h"
#include "protocol/messages.h"
#include "tests/usb/usb_bus.h"

namespace pcmlab {
namespace {

using testing::UsbBus;
using testing::UsbDevice;
using Clock = Transport::Clock;

constexpr std::size_t kDevices = 8192;  // of a read

Transport::Deadline deadline() { return Clock::now() + std::chrono::seconds(10); }

/// Answers each request in the call that brings its end: no thread, no physics.
class QuickBoard final : public testing::UsbFunction {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    reader_.append(bytes);
    while (const std::optional<wire::Frame> frame = reader_.next()) answer(*frame);
    return bytes.size();
  }
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t count = std::min(into.size(), readable());
    std::copy_n(output_.begin() + static_cast<std::ptrdiff_t>(given_), count, into.begin());
    given_ += count;
    if (given_ == output_.size()) {
      output_.clear();
      given_ = 0;
    }
    return count;
  }
  std::size_t readable() const override { return output_.size() - given_; }
  bool unplugged() const override { return false; }
  void connection_lost() override {
    output_.clear();
    given_ = 0;
    reader_ = {};
  }

 private:
  void answer(const wire::Frame& frame) {
    const auto type = static_cast<wire::MessageType>(frame.type);
    if (type == wire::MessageType::Read) {
      encode(read_, type, frame.sequence, output_);
    } else {
      encode(status_, type, frame.sequence, output_);
    }
  }

  wire::FrameReader reader_;
  std::vector<std::byte> output_;
  std::size_t given_ = 0;
  wire::Reply status_ = wire::StatusReply{};
  wire::Reply read_ = [] {
    wire::ReadReply reply;
    reply.code_sums.assign(kDevices, 777);
    return reply;
  }();
};

/// Has always something to say.
class Spring final : public testing::UsbFunction {
 public:
  std::size_t write(std::span<const std::byte> bytes) override { return bytes.size(); }
  std::size_t read(std::span<std::byte> into) override {
    std::fill(into.begin(), into.end(), std::byte{0x5a});
    return into.size();
  }
  std::size_t readable() const override { return 1; }
  bool unplugged() const override { return false; }
  void connection_lost() override {}
};

/// A bus, a board on it, and the transport to it.
struct Line {
  explicit Line(std::shared_ptr<testing::UsbFunction> function) {
    device.attach(std::move(function));
    device.plug();
    transport = std::move(*UsbTransport::open());
  }

  UsbBus bus;
  UsbDevice& device = bus.add({.speed_Mbit = 5000});
  std::unique_ptr<UsbTransport> transport;
};

/// The next frame from the transport.
bool next_frame(Transport& transport, wire::FrameReader& reader, std::vector<std::byte>& inbox) {
  for (;;) {
    if (reader.next()) return true;
    inbox.clear();
    if (!transport.receive(inbox, deadline())) return false;
    reader.append(inbox);
  }
}

void status_round_trip(benchmark::State& state) {
  Line line(std::make_shared<QuickBoard>());
  wire::FrameReader reader;
  std::vector<std::byte> inbox;
  std::vector<std::byte> request;
  encode(wire::StatusRequest{}, 1, request);
  for (auto _ : state) {
    if (!line.transport->send(request, deadline()) || !next_frame(*line.transport, reader, inbox)) {
      state.SkipWithError("no answer");
    }
  }
}
BENCHMARK(status_round_trip)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMicrosecond);

/// The least that a round trip takes here: a thread that waits in poll() is woken, and wakes the
/// caller.
void two_wakes(benchmark::State& state) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_NONBLOCK | O_CLOEXEC) != 0) state.SkipWithError("no pipe");
  std::mutex mutex;
  std::condition_variable_any changed;
  std::uint64_t answered = 0;
  {
    const std::jthread other([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        pollfd waits{pipe[0], POLLIN, 0};
        std::byte byte{};
        if (::poll(&waits, 1, 10) != 1 || ::read(pipe[0], &byte, 1) != 1) continue;
        const std::lock_guard lock(mutex);
        ++answered;
        changed.notify_all();
      }
    });
    for (std::uint64_t asked = 1; auto _ : state) {
      const std::byte byte{};
      if (::write(pipe[1], &byte, 1) != 1) state.SkipWithError("cannot write");
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return answered == asked; });
      ++asked;
    }
  }
  for (const int end : pipe) ::close(end);
}
BENCHMARK(two_wakes)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMicrosecond);

/// Read requests for 8192 devices each, 16 in flight, and their replies through a FrameReader.
void read_replies(benchmark::State& state) {
  Line line(std::make_shared<QuickBoard>());
  wire::FrameReader reader;
  std::vector<std::byte> inbox;
  std::vector<std::byte> request;
  wire::ReadRequest read;
  read.samples = 1;
  read.devices = wire::Rectangle{.first = {}, .word_lines = 8, .bit_lines = 1024};
  encode(read, 1, request);
  for (int k = 0; k < 16; ++k) {
    if (!line.transport->send(request, deadline())) state.SkipWithError("cannot send");
  }
  for (auto _ : state) {
    if (!next_frame(*line.transport, reader, inbox) || !line.transport->send(request, deadline())) {
      state.SkipWithError("no answer");
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(2 * kDevices));
}
BENCHMARK(read_replies)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMicrosecond);

void raw_receive(benchmark::State& state) {
  Line line(std::make_shared<Spring>());
  std::vector<std::byte> inbox;
  std::int64_t bytes = 0;
  for (auto _ : state) {
    inbox.clear();
    if (!line.transport->receive(inbox, deadline())) state.SkipWithError("nothing came");
    bytes += static_cast<std::int64_t>(inbox.size());
  }
  state.SetBytesProcessed(bytes);
}
BENCHMARK(raw_receive)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMicrosecond);

void raw_send(benchmark::State& state) {
  Line line(std::make_shared<Spring>());
  line.device.hang(testing::Direction::In, true);
  const std::vector<std::byte> bytes(1 << 20);
  for (auto _ : state) {
    if (!line.transport->send(bytes, deadline())) state.SkipWithError("cannot send");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}
BENCHMARK(raw_send)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace pcmlab

BENCHMARK_MAIN();

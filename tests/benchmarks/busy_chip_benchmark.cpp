// SPDX-License-Identifier: Apache-2.0
// How busy the chip is kept: a mock board in real time (1 us a sample, real pulse widths) behind
// 125 us of latency each way and a high-speed line, over libusb. Counters: `busy` is the board's
// busy time over wall time, `caller` the CPU time of the calling thread (experiment, database,
// driver) over the same. /0: one request at a time, /1: pipelined; then the number of devices.
#include <benchmark/benchmark.h>

#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "driver/recovering_board.h"
#include "driver/usb_transport.h"
#include "mock_device/board_thread.h"
#include "protocol/messages.h"
#include "tests/experiments/busy_chip.h"
#include "tests/usb/usb_bus.h"

namespace pcmlab {
namespace {

using testing::UsbBus;
using testing::UsbDevice;

double cpu_s_of_this_thread() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

constexpr const char* kDatabase = "pcmlab-busy-chip.db";  // in the current folder; removed

void remove_database() {
  for (const char* ending : {"", "-wal", "-shm"}) {
    std::filesystem::remove(std::string(kDatabase) + ending);
  }
}

/// A whole chip at high speed, and a driver on top.
struct Bench {
  explicit Bench(bool pipelined) {
    mock::MockBoardSettings settings;
    settings.serial = device.settings().serial;
    settings.capabilities &= ~std::uint32_t{wire::kVirtualTime};
    mock = std::make_shared<mock::BoardThread>(
        std::make_unique<mock::FaultyBoard>(mock::PcmChip(mock::PcmParameters{}, kWholeArray, 1, 2),
                                            settings, mock::FaultPlan{}),
        high_speed_in_real_time(), [this] { device.changed(); });
    device.attach(testing::usb_function(mock));
    device.plug();
    TestBoardSettings board_settings;
    if (!pipelined) board_settings.max_requests_in_flight = 1;
    board = std::make_unique<RecoveringBoard>(
        TestBoard::open(UsbTransport::open().value(), board_settings).value(), RecoverySettings{});
  }
  ~Bench() {
    board.reset();
    device.attach(nullptr);
  }

  UsbBus bus;
  UsbDevice& device = bus.add();
  std::shared_ptr<mock::BoardThread> mock;
  std::unique_ptr<Board> board;
};

void report(benchmark::State& state, const Result<BusyShare>& share, double cpu_s) {
  if (!share) {
    state.SkipWithError(share.error().message.c_str());
    return;
  }
  state.counters["busy"] = share->busy_s / share->wall_s;
  state.counters["busy_s"] = share->busy_s;
  state.counters["caller"] = cpu_s / share->busy_s;
}

void read_of_the_whole_array(benchmark::State& state) {
  Bench bench(state.range(0) != 0);
  for (auto _ : state) {
    const double before = cpu_s_of_this_thread();
    const Result<BusyShare> share = busy_share_of_a_read(*bench.board);
    report(state, share, cpu_s_of_this_thread() - before);
  }
}
BENCHMARK(read_of_the_whole_array)
    ->DenseRange(0, 1)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);

void programming(benchmark::State& state) {
  Bench bench(state.range(0) != 0);
  remove_database();
  for (auto _ : state) {
    const double before = cpu_s_of_this_thread();
    const Result<BusyShare> share = busy_share_of_a_programming(
        *bench.board, static_cast<std::size_t>(state.range(1)), kDatabase);
    report(state, share, cpu_s_of_this_thread() - before);
    remove_database();
  }
}
BENCHMARK(programming)
    ->Args({0, 723444})
    ->Args({1, 723444})
    ->Args({1, 65536})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace pcmlab

BENCHMARK_MAIN();

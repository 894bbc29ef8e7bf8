// SPDX-License-Identifier: Apache-2.0
// How busy the chip is kept: a mock board in real time (1 us a sample, real pulse widths) behind
// 125 us of latency each way and a high-speed line, over libusb. Counters: `busy` is the board's
// busy time over wall time; `caller` and `usb` are the CPU time of the calling thread and of the
// driver's own over busy time. Reading and pulsing the whole array is work of the driver alone; in
// programming the calling thread decides, too, and stores all in a file or, without checkpoints, in
// memory, and others ask the database meanwhile, twice a second each as the desktop program does.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "db/query/results_query.h"
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

/// The numbers of this process' threads.
std::set<int> threads() {
  std::set<int> numbers;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    numbers.insert(std::stoi(entry.path().filename()));
  }
  return numbers;
}

/// By the kernel's count; one that has ended: 0.
double cpu_s_of(int thread) {
  double cpu_ns = 0;
  std::ifstream("/proc/self/task/" + std::to_string(thread) + "/schedstat") >> cpu_ns;
  return 1e-9 * cpu_ns;
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
    const std::set<int> others = threads();
    board = std::make_unique<RecoveringBoard>(
        TestBoard::open(UsbTransport::open().value(), board_settings).value(), RecoverySettings{});
    std::ranges::set_difference(threads(), others, std::back_inserter(driver_threads));
  }
  ~Bench() {
    board.reset();
    device.attach(nullptr);
  }

  UsbBus bus;
  UsbDevice& device = bus.add();
  std::shared_ptr<mock::BoardThread> mock;
  std::unique_ptr<Board> board;
  std::vector<int> driver_threads;
};

/// Does a job on the board and reports on it.
void measure(benchmark::State& state, Bench& bench,
             const std::function<Result<BusyShare>(Board&)>& job) {
  const auto usb_cpu_s = [&] {
    double sum = 0;
    for (const int thread : bench.driver_threads) sum += cpu_s_of(thread);
    return sum;
  };
  const double caller_before = cpu_s_of(::gettid());
  const double usb_before = usb_cpu_s();
  const Result<BusyShare> share = job(*bench.board);
  if (!share) {
    state.SkipWithError(share.error().message.c_str());
    return;
  }
  state.counters["busy"] = share->busy_s / share->wall_s;
  state.counters["busy_s"] = share->busy_s;
  state.counters["caller"] = (cpu_s_of(::gettid()) - caller_before) / share->busy_s;
  state.counters["usb"] = (usb_cpu_s() - usb_before) / share->busy_s;
}

/// Others who ask the database while somebody writes to it, each with a connection of its own.
class Readers {
 public:
  explicit Readers(int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this](const std::stop_token& stop) { ask_until(stop); });
    }
  }

  int answers() const { return answers_; }
  int errors() const { return errors_; }

 private:
  /// What the run does, what was said, how far each device came, a mean over the newest pulses.
  static constexpr const char* kQuestions[] = {
      "SELECT * FROM run_progress", "SELECT * FROM event ORDER BY id DESC LIMIT 20",
      "SELECT iteration, count(*) FROM pulse_batch GROUP BY iteration",
      "SELECT avg(amplitude_uA) FROM pulse WHERE batch > (SELECT max(batch) - 4 FROM pulse_batch)"};
  static constexpr std::chrono::milliseconds kPause{500};

  void ask_until(const std::stop_token& stop) {
    while (!std::filesystem::exists(kDatabase) && wait(stop)) {
    }
    while (wait(stop)) {
      for (const char* question : kQuestions) {
        ++(ask(question, stop) ? answers_ : errors_);
      }
    }
  }

  static bool ask(const char* question, const std::stop_token& stop) {
    auto query = db::ResultsQuery::open(kDatabase, {std::chrono::milliseconds(0), stop});
    if (!query || !query->prepare(question, {})) return false;
    for (;;) {
      const Result<bool> more = query->step();
      if (!more) return false;
      if (!*more) return true;
    }
  }

  /// \return false: the end has come.
  bool wait(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, kPause, [] { return false; });
    return !stop.stop_requested();
  }

  std::atomic<int> answers_ = 0, errors_ = 0;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::jthread> threads_;  // last, so that they end first
};

void read_of_the_whole_array(benchmark::State& state) {
  Bench bench(state.range(0) != 0);
  for (auto _ : state) measure(state, bench, busy_share_of_a_read);
}
BENCHMARK(read_of_the_whole_array)
    ->ArgName("pipelined")
    ->DenseRange(0, 1)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);

void pulses_for_the_whole_array(benchmark::State& state) {
  Bench bench(state.range(0) != 0);
  for (auto _ : state) measure(state, bench, busy_share_of_pulses);
}
BENCHMARK(pulses_for_the_whole_array)
    ->ArgName("pipelined")
    ->DenseRange(0, 1)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);

void programming(benchmark::State& state) {
  Bench bench(state.range(0) != 0);
  const char* const database = state.range(2) != 0 ? kDatabase : ":memory:";
  remove_database();
  for (auto _ : state) {
    const Readers readers(static_cast<int>(state.range(3)));
    measure(state, bench, [&](Board& board) {
      return busy_share_of_a_programming(board, static_cast<std::size_t>(state.range(1)), database);
    });
    state.counters["answers"] = readers.answers();
    state.counters["errors"] = readers.errors();
    remove_database();
  }
}
BENCHMARK(programming)
    ->ArgNames({"pipelined", "devices", "file", "readers"})
    ->Args({0, 723444, 1, 0})
    ->Args({1, 723444, 0, 0})
    ->Args({1, 723444, 1, 0})
    ->Args({1, 723444, 1, 8})
    ->Args({1, 65536, 0, 0})
    ->Args({1, 65536, 1, 0})
    ->Args({1, 65536, 1, 8})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace pcmlab

BENCHMARK_MAIN();

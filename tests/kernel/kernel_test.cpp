// SPDX-License-Identifier: Apache-2.0
// The USB driver on the real USB stack: libusb, udev, the kernel's USB core and its virtual host
// controller, behind which the mock board speaks USB/IP. Runs as root in a virtual machine
// (run-in-qemu). Ends with lines for a script: FIGURE what was measured, RESULT what became of it.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "driver/conformance/conformance.h"
#include "driver/recovering_board.h"
#include "driver/test_board.h"
#include "driver/usb_transport.h"
#include "experiments/programming/placement.h"
#include "experiments/programming/program_and_verify.h"
#include "tests/experiments/busy_chip.h"
#include "tests/experiments/paper_settings.h"
#include "tests/experiments/test_bench.h"
#include "vhci_port.h"

namespace pcmlab::kernel {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using mock::UsbSpeed;

constexpr ArrayShape kShape{256, 512};
constexpr std::size_t kProgrammed = 65536;

void figure(const std::string& what, double value, const char* unit) {
  std::printf("FIGURE %s: %.4g %s\n", what.c_str(), value, unit);
}

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

std::string read_text(const std::filesystem::path& file) {
  std::string text;
  std::getline(std::ifstream(file), text);
  return text;
}

const char* name_of(UsbSpeed speed) { return speed == UsbSpeed::High ? "high" : "super"; }

/// A mock board on a port of the kernel.
class KernelTestBase : public ::testing::Test {
 protected:
  void make(UsbSpeed speed, const mock::FaultPlan& faults = {}, const mock::BoardPace& pace = {},
            ArrayShape shape = kShape) {
    mock::MockBoardSettings settings;
    settings.serial = "KERNEL01";
    if (pace.time_scale > 0) settings.capabilities &= ~std::uint32_t{wire::kVirtualTime};
    settings.ledger_batches = 100000;
    auto board = std::make_unique<mock::FaultyBoard>(
        mock::PcmChip(TestBench::good_devices(), shape, 1, 1), settings, faults);
    mock::UsbIdentity identity;
    identity.serial = settings.serial;
    port_.reset();  // of the board before it
    device_ = std::make_unique<mock::UsbipDevice>(std::move(board), pace,
                                                  mock::UsbDescriptors(identity, speed));
    port_ = std::make_unique<VhciPort>(*device_);
  }

  void plug_in() {
    ASSERT_EQ(port_->plug_in(), "");
    ASSERT_TRUE(eventually([] {
      const auto boards = list_usb_boards();
      return boards && boards->size() == 1 && boards->front().problem.empty();
    }));
  }

  std::unique_ptr<TestBoard> open(const UsbSettings& settings = {},
                                  const TestBoardSettings& board_settings = {}) {
    auto transport = UsbTransport::open({}, settings);
    EXPECT_TRUE(transport) << transport.error().message;
    if (!transport) return nullptr;
    auto board = TestBoard::open(std::move(*transport), board_settings);
    EXPECT_TRUE(board) << board.error().message;
    return board ? std::move(*board) : nullptr;
  }

  /// Pulses that reached devices.
  std::uint64_t pulses_applied() {
    return device_->board().visit([](mock::FaultyBoard& board) {
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < kShape.device_count(); ++i) {
        sum += board.board().chip().pulses_of(kShape.at(i));
      }
      return sum;
    });
  }

  std::unique_ptr<mock::UsbipDevice> device_;
  std::unique_ptr<VhciPort> port_;
};

class KernelTest : public KernelTestBase, public ::testing::WithParamInterface<UsbSpeed> {};

std::vector<DeviceAddress> all_devices() {
  std::vector<DeviceAddress> addresses(kShape.device_count());
  for (std::size_t i = 0; i < addresses.size(); ++i) addresses[i] = kShape.at(i);
  return addresses;
}

/// Half of the devices get targets from 1 to 25 uS, their partners none.
Result<ProgramOutcome> program_and_verify(Board& board) {
  TestRun run(board);
  db::Placement placement;
  placement.shape = board.information().shape;
  placement.targets_uS.resize(kProgrammed);
  for (std::size_t i = 0; i < kProgrammed; i += 2) {
    placement.targets_uS[i] = 1.0F + 24.0F * static_cast<float>(i) / kProgrammed;
  }
  PCM_ASSIGN(placement.addresses, place_devices(kProgrammed, placement.shape, {}));
  db::ProgrammingStart start;
  start.run = run.run;
  start.step = run.step;
  start.gain_uS_per_code = 0.2;
  PCM_ASSIGN(const db::RowId id, run.store.begin_programming(start));
  PCM_TRY(run.store.set_placement(id, placement));
  const auto clock = make_clock(board);
  RunControl control;
  ProgramAndVerify loop(board, *clock, run.store, id, paper_settings(), Calibration{}, control);
  return loop.run(placement, [](const ProgramPass&) { return Result<void>(); });
}

TEST_P(KernelTest, TheKernelEnumeratesTheBoard) {
  make(GetParam());
  const auto began = Clock::now();
  plug_in();
  figure(std::string("enumeration at ") + name_of(GetParam()) + " speed", seconds_since(began),
         "s");
  const auto boards = list_usb_boards();
  ASSERT_TRUE(boards);
  ASSERT_EQ(boards->size(), 1U);
  const UsbBoard& board = boards->front();
  EXPECT_EQ(board.serial, "KERNEL01");
  EXPECT_EQ(board.product_name, "PCM mock board");
  EXPECT_EQ(board.speed_Mbit, GetParam() == UsbSpeed::High ? 480U : 5000U);
  const std::filesystem::path sysfs = "/sys/bus/usb/devices/" + board.port;
  EXPECT_EQ(read_text(sysfs / "serial"), "KERNEL01");
  EXPECT_EQ(read_text(sysfs / "bConfigurationValue"), "1");
  EXPECT_EQ(read_text(sysfs / (board.port + ":1.0") / "bInterfaceClass"), "ff");
  const auto opened = open();
  ASSERT_NE(opened, nullptr);
  EXPECT_EQ(opened->information().serial, "KERNEL01");
}

TEST_P(KernelTest, ProgramsAndVerifies) {
  make(GetParam());
  plug_in();
  const auto board = open();
  ASSERT_NE(board, nullptr);
  const auto began = Clock::now();
  const auto outcome = program_and_verify(*board);
  ASSERT_TRUE(outcome) << outcome.error().message;
  const double took_s = seconds_since(began);
  const double share = static_cast<double>(outcome->summary.converged) /
                       static_cast<double>(outcome->summary.nonzero_targets);
  const std::string at = std::string(" at ") + name_of(GetParam()) + " speed";
  figure("program and verify of 65536 devices" + at, took_s, "s");
  figure("converged" + at, 100 * share, "%");
  EXPECT_EQ(outcome->summary.nonzero_targets, static_cast<std::int64_t>(kProgrammed / 2));
  EXPECT_GT(share, 0.98);
  EXPECT_EQ(pulses_applied(), static_cast<std::uint64_t>(outcome->summary.pulses));
}

/// Devices a second, one sample each, in requests as large as they get.
double block_reads_per_s(Board& board) {
  const std::vector<DeviceAddress> addresses = all_devices();
  constexpr std::size_t kTimes = 8;
  std::size_t devices = 0;
  const auto began = Clock::now();
  for (std::size_t i = 0; i < kTimes; ++i) {
    const auto read =
        board.read(addresses, {1, Voltage::from_mV(200)}, [&](const ReadChunk& chunk) {
          devices += chunk.code_sums.size();
          return Result<void>();
        });
    EXPECT_TRUE(read) << read.error().message;
  }
  EXPECT_EQ(devices, kTimes * addresses.size());
  return static_cast<double>(devices) / seconds_since(began);
}

TEST_P(KernelTest, BlockReadsKeepTheChipAlmostAsBusyAsWithoutUsb) {
  // Emulated, the chip's simulation is what takes the time: that alone, for comparison.
  const TestBench bench(TestBench::good_devices(), {}, kShape);
  const double alone = block_reads_per_s(*bench.board);
  make(GetParam());
  plug_in();
  const auto board = open();
  ASSERT_NE(board, nullptr);
  const double over_usb = block_reads_per_s(*board);
  const std::string at = std::string(" at ") + name_of(GetParam()) + " speed";
  figure("block reads" + at, over_usb, "devices/s");
  figure("block reads over loopback", alone, "devices/s");
  EXPECT_GT(over_usb, 0.3 * alone);

  const auto asked = Clock::now();
  constexpr int kAsked = 500;
  for (int i = 0; i < kAsked; ++i) ASSERT_TRUE(board->status());
  figure("round trip" + at, 1e6 * seconds_since(asked) / kAsked, "us");
}

TEST_P(KernelTest, TheMockBoardPassesTheSelftestInRealTime) {
  mock::BoardPace pace;
  pace.time_scale = 1;
  make(GetParam(), {}, pace);
  plug_in();
  const auto transport = UsbTransport::open();
  ASSERT_TRUE(transport) << transport.error().message;
  const auto began = Clock::now();
  const conformance::Report report = conformance::run(**transport, {});
  figure(std::string("selftest at ") + name_of(GetParam()) + " speed", seconds_since(began), "s");
  for (const conformance::Outcome& outcome : report.outcomes) {
    // How busy an emulated processor keeps the chip is no matter of the board's.
    if (outcome.check.group() == "speed") continue;
    EXPECT_NE(outcome.verdict, conformance::Verdict::Failed)
        << outcome.check.id << ": expected " << outcome.expected << "; came " << outcome.found;
  }
  EXPECT_EQ(report.notes, std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(AtBothSpeeds, KernelTest,
                         ::testing::Values(UsbSpeed::High, UsbSpeed::Super),
                         [](const auto& speed) { return std::string(name_of(speed.param)); });

class OneSpeedTest : public KernelTestBase {};

TEST_F(OneSpeedTest, APulledCableIsSeenAtOnceAndReopenFindsTheBoardAgain) {
  make(UsbSpeed::High);
  plug_in();
  const auto board = open();
  ASSERT_NE(board, nullptr);
  const auto pulled = Clock::now();
  port_->pull();
  const auto gone = board->status();
  figure("unplug seen after", 1e3 * seconds_since(pulled), "ms");
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::Disconnected) << gone.error().message;
  ASSERT_EQ(port_->plug_in(), "");
  const auto replugged = Clock::now();
  const auto reopened = board->reopen();
  ASSERT_TRUE(reopened) << reopened.error().message;
  figure("reopened after", seconds_since(replugged), "s");
  EXPECT_TRUE(board->status());
}

TEST_F(OneSpeedTest, EveryPulseGoesOutOnceThoughTheBoardIsUnpluggedAgainAndAgain) {
  mock::FaultPlan faults;
  faults.disconnect.after_requests = 40;
  faults.disconnect.times = 5;
  faults.disconnect.share = 0.4;
  make(UsbSpeed::High, faults);
  plug_in();
  auto plain = open();
  ASSERT_NE(plain, nullptr);
  std::atomic<int> unplugged = 0;
  std::atomic<bool> done = false;
  std::string problem;
  std::thread replugger([&] {
    while (!done) {
      if (port_->wait_until_unplugged().why != mock::UsbipEnd::Why::Unplugged) return;
      ++unplugged;
      problem = port_->plug_in();
      if (!problem.empty()) return;
    }
  });
  {
    RecoveringBoard board(std::move(plain));
    const auto outcome = program_and_verify(board);
    EXPECT_TRUE(outcome) << outcome.error().message;
    if (outcome) {
      const double share = static_cast<double>(outcome->summary.converged) /
                           static_cast<double>(outcome->summary.nonzero_targets);
      EXPECT_GT(share, 0.98);
      EXPECT_EQ(pulses_applied(), static_cast<std::uint64_t>(outcome->summary.pulses));
    }
  }
  done = true;
  port_->stop();
  replugger.join();
  EXPECT_EQ(problem, "");
  EXPECT_EQ(unplugged, 5);
  figure("unplugged and plugged in again while programming", unplugged, "times");
}

/// Changes usbcore's limit of memory for programs, for a test.
class UsbfsLimit {
 public:
  explicit UsbfsLimit(int limit_MB) { set(std::to_string(limit_MB)); }
  ~UsbfsLimit() { set(before_); }
  UsbfsLimit(const UsbfsLimit&) = delete;
  UsbfsLimit& operator=(const UsbfsLimit&) = delete;

 private:
  static constexpr const char* kFile = "/sys/module/usbcore/parameters/usbfs_memory_mb";
  static void set(const std::string& limit) { std::ofstream(kFile) << limit << std::flush; }
  std::string before_ = read_text(kFile);
};

/// That the programming below is of, on the whole array if need be; --busy-devices=N of the
/// program.
std::size_t busy_devices = 16384;

TEST_F(OneSpeedTest, WithSeveralRequestsInFlightTheChipIsBusier) {
  // The emulated processor is some ten times slower than a real one; so are chip and line.
  constexpr double kSlower = 10;
  mock::BoardPace pace = high_speed_in_real_time();
  pace.time_scale /= kSlower;
  pace.latency *= static_cast<int>(kSlower);
  pace.bytes_per_s /= kSlower;
  const ArrayShape shape = busy_devices > kShape.device_count() ? kWholeArray : kShape;
  std::vector<double> busy;
  for (const std::size_t in_flight : {std::size_t{1}, std::size_t{16}}) {
    make(UsbSpeed::High, {}, pace, shape);
    plug_in();
    const auto board = open({}, {.max_requests_in_flight = in_flight});
    ASSERT_NE(board, nullptr);
    const auto share = [&](const std::string& what, const Result<BusyShare>& measured) {
      ASSERT_TRUE(measured) << measured.error().message;
      busy.push_back(kSlower * measured->busy_s / measured->wall_s);
      figure("chip busy in " + what + ", " + std::to_string(in_flight) + " in flight",
             100 * busy.back(), "%");
    };
    share("a read of all devices", busy_share_of_a_read(*board));
    share("programming " + std::to_string(busy_devices) + " devices",
          busy_share_of_a_programming(*board, busy_devices, ":memory:"));
  }
  ASSERT_EQ(busy.size(), 4U);
  EXPECT_GT(busy[2], busy[0]);
}

TEST_F(OneSpeedTest, WorksWithLessMemoryThanItWouldTake) {
  make(UsbSpeed::High);
  plug_in();
  const UsbfsLimit limit(1);
  UsbSettings greedy;
  greedy.transfer_bytes = 1 << 20;
  greedy.transfers_in = 16;
  greedy.transfers_out = 16;
  for (const UsbSettings& settings : {UsbSettings{}, greedy}) {
    const auto board = open(settings);
    ASSERT_NE(board, nullptr);
    std::size_t devices = 0;
    const auto read =
        board->read(all_devices(), {1, Voltage::from_mV(200)}, [&](const ReadChunk& chunk) {
          devices += chunk.code_sums.size();
          return Result<void>();
        });
    EXPECT_TRUE(read) << read.error().message;
    EXPECT_EQ(devices, kShape.device_count());
  }
}

TEST_F(OneSpeedTest, AStalledEndpointIsCleared) {
  make(UsbSpeed::High);
  plug_in();
  const auto board = open();
  ASSERT_NE(board, nullptr);
  device_->stall(mock::kBulkIn);
  auto status = board->status();
  if (!status) status = board->status();
  EXPECT_TRUE(status) << status.error().message;
  EXPECT_GT(device_->counters().stalls, 0U);
}

/// Only where somebody has attached a board with `usbip attach`.
TEST(UsbipTool, AttachesTheServersBoard) {
  ASSERT_TRUE(eventually([] {
    const auto boards = list_usb_boards({.serial = "ATTACHED"});
    return boards && boards->size() == 1 && boards->front().problem.empty();
  }));
  auto transport = UsbTransport::open({.serial = "ATTACHED"});
  ASSERT_TRUE(transport) << transport.error().message;
  auto board = TestBoard::open(std::move(*transport));
  ASSERT_TRUE(board) << board.error().message;
  EXPECT_EQ((*board)->information().serial, "ATTACHED");
  const std::vector<DeviceAddress> one = {{WordLine{1}, BitLine{2}}};
  EXPECT_TRUE((*board)->read(one, {}, [](const ReadChunk&) { return Result<void>(); }));
}

/// What run-in-qemu looks for.
class ResultLines : public ::testing::EmptyTestEventListener {
  void OnTestEnd(const ::testing::TestInfo& test) override {
    const ::testing::TestResult& result = *test.result();
    std::printf("RESULT %s %s.%s (%lld ms)\n", result.Passed() ? "passed" : "FAILED",
                test.test_suite_name(), test.name(), static_cast<long long>(result.elapsed_time()));
    (void)std::fflush(stdout);
  }
};

}  // namespace
}  // namespace pcmlab::kernel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (const std::string_view argument : std::span(argv, static_cast<std::size_t>(argc))) {
    constexpr std::string_view kBusy = "--busy-devices=";
    if (argument.starts_with(kBusy)) {
      pcmlab::kernel::busy_devices = std::strtoul(argument.data() + kBusy.size(), nullptr, 10);
    }
  }
  ::testing::UnitTest::GetInstance()->listeners().Append(new pcmlab::kernel::ResultLines);
  return RUN_ALL_TESTS();
}

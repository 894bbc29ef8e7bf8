// SPDX-License-Identifier: Apache-2.0
// TestBoard over UsbTransport to a mock board at work in its own thread.
#include <gmock/gmock.h>

#include <numeric>

#include "driver/test_board.h"
#include "mock_device/board_thread.h"
#include "tests/usb/usb_fixture.h"

namespace pcmlab::testing {
namespace {

constexpr ArrayShape kShape{64, 128};

class UsbMockBoardTest : public ::testing::Test {
 protected:
  ~UsbMockBoardTest() override {
    board.reset();
    device.attach(nullptr);  // the mock's thread ends while the device is still there to be told
    mock.reset();
  }

  void start(const mock::FaultPlan& faults = {}) {
    mock::MockBoardSettings settings;
    settings.serial = device.settings().serial;
    mock = std::make_shared<mock::BoardThread>(
        std::make_unique<mock::FaultyBoard>(mock::PcmChip(mock::PcmParameters{}, kShape, 42, 1),
                                            settings, faults),
        mock::BoardPace{}, [this] { device.changed(); });
    device.attach(usb_function(mock));
    device.plug();
    auto transport = UsbTransport::open();
    ASSERT_TRUE(transport) << transport.error().message;
    auto opened = TestBoard::open(std::move(*transport));
    ASSERT_TRUE(opened) << opened.error().message;
    board = std::move(*opened);
  }

  Result<void> program(std::uint64_t first_batch) {
    return board->program(first_batch, Duration(400), all,
                          std::vector<std::uint16_t>(all.size(), 9000),
                          [](const PulseChunk&) -> Result<void> { return {}; });
  }
  Result<std::vector<std::uint16_t>> read() {
    std::vector<std::uint16_t> sums;
    PCM_TRY(board->read(all, {}, [&](const ReadChunk& chunk) -> Result<void> {
      sums.insert(sums.end(), chunk.code_sums.begin(), chunk.code_sums.end());
      return {};
    }));
    return sums;
  }

  static std::vector<DeviceAddress> whole_array() {
    std::vector<DeviceAddress> addresses;
    for (std::size_t i = 0; i < kShape.device_count(); ++i) addresses.push_back(kShape.at(i));
    return addresses;
  }

  UsbBus bus;
  UsbDevice& device = bus.add();
  std::shared_ptr<mock::BoardThread> mock;
  std::unique_ptr<TestBoard> board;
  std::vector<DeviceAddress> all = whole_array();
};

TEST_F(UsbMockBoardTest, TheBoardSaysWhoItIs) {
  start();
  EXPECT_EQ(board->information().serial, "PCM0001");
  EXPECT_EQ(board->information().shape, kShape);
}

TEST_F(UsbMockBoardTest, AllDevicesAreProgrammedAndReadOverAndOver) {
  start();
  for (std::uint64_t k = 0; k < 20; ++k) {
    ASSERT_TRUE(program(1 + 100 * k));
    const auto sums = read();
    ASSERT_TRUE(sums) << sums.error().message;
    ASSERT_EQ(sums->size(), all.size());
    EXPECT_GT(std::accumulate(sums->begin(), sums->end(), 0U), 0U);
  }
  EXPECT_EQ(board->status()->pulses_executed, 20 * all.size());
  const LineCounters counters = board->line_counters();
  EXPECT_EQ(counters.repeated_requests + counters.bad_frames + counters.skipped_bytes, 0U);
}

TEST_F(UsbMockBoardTest, ShortPacketsEmptyOnesAndStallsDoNotDisturbTheConversation) {
  start();
  const auto plain = read();
  ASSERT_TRUE(plain);
  device.set_largest_in(500);
  device.send_empty_packets(50);
  device.stall(Direction::In, 7000, 1);
  device.stall(Direction::Out, 30, 1);
  ASSERT_TRUE(program(1));
  const auto sums = read();
  ASSERT_TRUE(sums) << sums.error().message;
  EXPECT_EQ(sums->size(), all.size());
  EXPECT_EQ(board->line_counters().repeated_requests, 0U);
}

TEST_F(UsbMockBoardTest, AfterAnUnplugTheBoardStillKnowsItsBatches) {
  start();
  ASSERT_TRUE(program(1));
  device.unplug();
  ASSERT_EQ(board->status().error().code, ErrorCode::Disconnected);
  device.plug();
  ASSERT_TRUE(board->reopen());
  const auto status = board->status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->pulses_executed, all.size());
  EXPECT_EQ(board->information().boot_epoch, 1U);
}

TEST_F(UsbMockBoardTest, ABoardThatDropsOffTheBusByItselfCanBeReopened) {
  mock::FaultPlan faults;
  faults.disconnect.after_requests = 4;
  start(faults);
  Result<std::vector<std::uint16_t>> sums = read();
  while (sums) sums = read();
  EXPECT_EQ(sums.error().code, ErrorCode::Disconnected);
  ASSERT_TRUE(device.wait_until_dropped(long_from_now()));
  device.unplug();
  device.plug();
  ASSERT_TRUE(board->reopen());
  EXPECT_TRUE(read());
}

}  // namespace
}  // namespace pcmlab::testing

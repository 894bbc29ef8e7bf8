// SPDX-License-Identifier: Apache-2.0
// The board as a USB device, as a kernel sees it.
#include "mock_device/usbip_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <future>
#include <random>

#include "usbip_host.h"

namespace pcmlab::mock {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

struct Options {
  UsbSpeed speed = UsbSpeed::High;
  BoardPace pace = {};
  FaultPlan faults = {};
};

std::unique_ptr<FaultyBoard> make_board(const FaultPlan& faults) {
  return std::make_unique<FaultyBoard>(PcmChip(PcmParameters{}, ArrayShape{16, 64}, 1, 1),
                                       MockBoardSettings{}, faults);
}

/// A device, and the thread that serves it to one host after the other.
class UsbipDeviceTest : public ::testing::Test {
 protected:
  void make(const Options& options = {}) {
    device_ = std::make_unique<UsbipDevice>(make_board(options.faults), options.pace,
                                            UsbDescriptors({}, options.speed));
  }

  UsbipHost plug_in() {
    if (!device_) make();
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    FileDescriptor far(ends[1]);
    stop_ = {};
    end_ = std::async(std::launch::async, [this, end = ends[0], stop = stop_.get_token()] {
      return device_->serve(FileDescriptor(end), stop);
    });
    return UsbipHost(std::move(far));
  }

  UsbipHost plug_in_configured() {
    UsbipHost host = plug_in();
    EXPECT_TRUE(host.configure());
    return host;
  }

  void TearDown() override {
    stop_.request_stop();
    if (end_.valid()) end_.get();
  }

  std::stop_source stop_;
  std::unique_ptr<UsbipDevice> device_;
  std::future<UsbipEnd> end_;
};

template <class Kind>
bool is(const std::optional<wire::Reply>& reply) {
  return reply && std::holds_alternative<Kind>(*reply);
}

// ---- enumeration -----------------------------------------------------------------------------

TEST_F(UsbipDeviceTest, IsEnumeratedAsAKernelDoesIt) {
  for (const UsbSpeed speed : {UsbSpeed::High, UsbSpeed::Super}) {
    make({.speed = speed});
    UsbipHost host = plug_in();
    const auto begin = host.descriptor(1, 0, 8);
    ASSERT_TRUE(begin);
    EXPECT_EQ(begin->bytes.size(), 8U);
    EXPECT_EQ(host.descriptor(1, 0, 18)->bytes.size(), 18U);
    const auto header = host.descriptor(2, 0, 9);
    ASSERT_EQ(header->bytes.size(), 9U);
    const auto total = std::to_integer<std::uint16_t>(header->bytes[2]);
    EXPECT_EQ(host.descriptor(2, 0, total)->bytes.size(), total);
    EXPECT_EQ(host.descriptor(3, 3, 255)->bytes.size(), 2 + 2 * std::string("MOCK0001").size());
    EXPECT_TRUE(host.configure());
    const auto configuration = host.control({0x80, 8, 0, 0, 1});
    EXPECT_EQ(configuration->bytes, std::vector{std::byte{1}});
    stop_.request_stop();
    end_.get();
  }
}

TEST_F(UsbipDeviceTest, StallsControlRequestsThatItDoesNotKnow) {
  UsbipHost host = plug_in();
  const UsbSetup unknown[] = {
      {0x80, 6, 0x0f00, 0, 5},                           // no object store at high speed
      {0x80, 6, 0x0304, 0, 255},                         // a fourth text
      {0x00, 9, 2, 0, 0},                                // a second configuration
      {0x01, 11, 1, 0, 0},                               // another setting
      {0x81, 10, 0, 1, 1},                               // a second interface
      {0x82, 0, 0, 0x02, 2},                             // an endpoint that is not there
      {0xc0, 1, 0, 0, 64},                               // a vendor's request
      {0x40, 1, 0, 0, 0},        {0x02, 1, 7, 0x81, 0},  // a feature that endpoints do not have
  };
  for (const UsbSetup& setup : unknown) {
    const auto answer = host.control(setup);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, -EPIPE) << int{setup.type} << " " << int{setup.request};
  }
  EXPECT_EQ(device_->counters().stalls, std::size(unknown));
  EXPECT_EQ(host.descriptor(1, 0, 18)->status, 0);
}

TEST_F(UsbipDeviceTest, NobodyAnswersOnEndpointsBeforeTheConfiguration) {
  UsbipHost host = plug_in();
  EXPECT_EQ(host.wait_for(host.submit_in(512))->status, -EPROTO);
  EXPECT_TRUE(host.configure());
  EXPECT_EQ(host.wait_for(host.submit_in(512, 2))->status, -EPROTO);
  EXPECT_EQ(host.wait_for(host.submit_out({}, 15))->status, -EPROTO);
}

// ---- transfers -------------------------------------------------------------------------------

TEST_F(UsbipDeviceTest, CarriesTheBoardsProtocol) {
  UsbipHost host = plug_in_configured();
  EXPECT_TRUE(is<wire::HelloReply>(host.ask(wire::HelloRequest{1, 1})));
  const auto information = host.ask(wire::InformationRequest{});
  ASSERT_TRUE(is<wire::InformationReply>(information));
  EXPECT_EQ(std::get<wire::InformationReply>(*information).serial, "MOCK0001");
  EXPECT_GT(device_->counters().bytes_to_host, 0U);
}

TEST_F(UsbipDeviceTest, ATransferFromTheBoardWaitsForBytesAndEndsWithAShortPacket) {
  UsbipHost host = plug_in_configured();
  const auto first = host.submit_in(16384);
  const auto second = host.submit_in(16384);
  EXPECT_EQ(host.control({0x80, 0, 0, 0, 2})->status, 0);  // it has passed both
  EXPECT_EQ(host.answers(), 0U);
  EXPECT_TRUE(host.say(wire::HelloRequest{1, 1}));
  const auto answer = host.wait_for(first);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->bytes.size(), 25U);  // a Hello reply, though there is room for more
  EXPECT_FALSE(host.has(second));
}

TEST_F(UsbipDeviceTest, CutsLongRepliesIntoTransfers) {
  UsbipHost host = plug_in_configured();
  wire::ReadRequest read;
  read.samples = 1;
  read.devices = wire::Rectangle{{}, 16, 64};
  EXPECT_TRUE(host.say(read));
  std::size_t bytes = 0;
  const std::size_t whole = 24 + 20 + 2 * 1024;  // frame, reply, code sums
  while (bytes < whole) {
    const auto answer = host.wait_for(host.submit_in(512));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 0);
    bytes += answer->bytes.size();
  }
  EXPECT_EQ(bytes, whole);
}

TEST_F(UsbipDeviceTest, APacketThatDoesNotFitOverflows) {
  UsbipHost host = plug_in_configured();
  EXPECT_TRUE(host.say(wire::InformationRequest{}));
  const auto answer = host.wait_for(host.submit_in(10));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, -EOVERFLOW);
  EXPECT_EQ(answer->bytes.size(), 10U);
}

TEST_F(UsbipDeviceTest, ATransferToTheBoardEndsWhenAllOfItHasRoom) {
  make({.pace = {.buffer_bytes = 1000}});
  UsbipHost host = plug_in_configured();
  UsbipHost::Sequence out = 0;
  device_->board().visit([&](FaultyBoard&) {  // takes nothing meanwhile
    out = host.submit_out(std::vector<std::byte>(2500));
    EXPECT_EQ(host.control({0x80, 0, 0, 0, 2})->status, 0);
    EXPECT_FALSE(host.has(out));
  });
  const auto answer = host.wait_for(out);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 0);
  EXPECT_EQ(answer->actual_length, 2500U);
}

TEST_F(UsbipDeviceTest, CallsBackATransferThatWaits) {
  UsbipHost host = plug_in_configured();
  const auto victim = host.submit_in(512);
  EXPECT_EQ(host.wait_for(host.unlink(victim))->status, -ECONNRESET);
  EXPECT_TRUE(is<wire::HelloReply>(host.ask(wire::HelloRequest{1, 1})));  // nothing got lost
  EXPECT_FALSE(host.has(victim));
  EXPECT_EQ(host.wait_for(host.unlink(victim))->status, 0);  // too late, or never there
}

TEST_F(UsbipDeviceTest, CallsBackATransferToTheBoardThatHasPartlyGone) {
  make({.pace = {.buffer_bytes = 1000}});
  UsbipHost host = plug_in_configured();
  device_->board().visit([&](FaultyBoard&) {
    const auto first = host.submit_out(std::vector<std::byte>(1500));
    const auto second = host.submit_out(std::vector<std::byte>(1500));
    EXPECT_EQ(host.wait_for(host.unlink(second))->status, -ECONNRESET);
    EXPECT_EQ(host.wait_for(host.unlink(first))->status, -ECONNRESET);
  });
  EXPECT_TRUE(is<wire::HelloReply>(host.ask(wire::HelloRequest{1, 1})));
}

TEST_F(UsbipDeviceTest, AStalledEndpointEndsTransfersUntilTheHaltIsCleared) {
  UsbipHost host = plug_in_configured();
  const auto waiting = host.submit_in(512);
  device_->stall(kBulkIn);
  EXPECT_EQ(host.wait_for(waiting)->status, -EPIPE);
  EXPECT_EQ(host.wait_for(host.submit_in(512))->status, -EPIPE);
  EXPECT_EQ(host.control({0x82, 0, 0, kBulkIn, 2})->bytes[0], std::byte{1});
  EXPECT_TRUE(host.say(wire::HelloRequest{1, 1}));  // the other direction works
  EXPECT_EQ(host.control({0x02, 1, 0, kBulkIn, 0})->status, 0);
  EXPECT_TRUE(is<wire::HelloReply>(host.hear()));

  device_->stall(kBulkOut);
  EXPECT_EQ(host.wait_for(host.submit_out(std::vector<std::byte>(10)))->status, -EPIPE);
  EXPECT_EQ(host.control({0x02, 1, 0, kBulkOut, 0})->status, 0);
  EXPECT_TRUE(is<wire::HelloReply>(host.ask(wire::HelloRequest{1, 1})));
}

TEST_F(UsbipDeviceTest, TheHostMayHaltAnEndpointItself) {
  UsbipHost host = plug_in_configured();
  EXPECT_EQ(host.control({0x02, 3, 0, kBulkOut, 0})->status, 0);
  EXPECT_EQ(host.wait_for(host.submit_out(std::vector<std::byte>(10)))->status, -EPIPE);
}

TEST_F(UsbipDeviceTest, ANewConfigurationIsALostConnection) {
  UsbipHost host = plug_in_configured();
  std::vector<std::byte> half;
  encode(wire::StatusRequest{}, 7, half);
  half.resize(22);  // its header is whole, so the board waits for the rest
  EXPECT_EQ(host.wait_for(host.submit_out(half))->status, 0);
  const auto waiting = host.submit_in(512);
  EXPECT_TRUE(host.configure());
  EXPECT_EQ(host.wait_for(waiting)->status, -ESHUTDOWN);
  EXPECT_TRUE(is<wire::HelloReply>(host.ask(wire::HelloRequest{1, 1})));
}

// ---- ends ------------------------------------------------------------------------------------

TEST_F(UsbipDeviceTest, ThePlanUnplugsItAndAnotherConnectionFindsTheSameBoard) {
  FaultPlan faults;
  faults.disconnect.after_requests = 3;
  make({.faults = faults});
  UsbipHost host = plug_in_configured();
  EXPECT_TRUE(host.ask(wire::HelloRequest{1, 1}));
  const auto before = host.ask(wire::StatusRequest{});
  ASSERT_TRUE(is<wire::StatusReply>(before));
  EXPECT_TRUE(host.say(wire::StatusRequest{}));
  EXPECT_TRUE(host.is_closed());
  EXPECT_EQ(end_.get().why, UsbipEnd::Why::Unplugged);

  UsbipHost again = plug_in_configured();
  const auto after = again.ask(wire::StatusRequest{});
  ASSERT_TRUE(is<wire::StatusReply>(after));
  EXPECT_EQ(std::get<wire::StatusReply>(*after).boot_epoch,
            std::get<wire::StatusReply>(*before).boot_epoch);
}

TEST_F(UsbipDeviceTest, BytesThatWereOnTheirWayBeforeThePlanUnpluggedItStillArrive) {
  FaultPlan faults;
  faults.disconnect.after_requests = 2;
  make({.pace = {.latency = 5ms}, .faults = faults});
  UsbipHost host = plug_in_configured();
  std::vector<std::byte> both;
  encode(wire::HelloRequest{1, 1}, 1, both);
  encode(wire::StatusRequest{}, 2, both);
  const auto in = host.submit_in(512);
  EXPECT_EQ(host.wait_for(host.submit_out(both))->status, 0);
  const auto answer = host.wait_for(in);
  ASSERT_TRUE(answer);
  EXPECT_GE(answer->bytes.size(), 25U);  // the Hello reply and a part of the other
  EXPECT_TRUE(host.is_closed());
}

TEST_F(UsbipDeviceTest, IsFreeAgainWhenTheHostLeaves) {
  UsbipHost host = plug_in_configured();
  host.leave();
  const UsbipEnd end = end_.get();
  EXPECT_EQ(end.why, UsbipEnd::Why::HostLeft);
  UsbipHost next = plug_in_configured();
  EXPECT_TRUE(is<wire::HelloReply>(next.ask(wire::HelloRequest{1, 1})));
}

TEST_F(UsbipDeviceTest, SaysWhenTheHostLeftInTheMiddleOfARequest) {
  UsbipHost host = plug_in_configured();
  EXPECT_TRUE(host.send(std::vector<std::byte>(20)));
  host.leave();
  EXPECT_THAT(end_.get().detail, HasSubstr("middle"));
}

TEST_F(UsbipDeviceTest, AStopPullsTheCable) {
  UsbipHost host = plug_in_configured();
  stop_.request_stop();
  EXPECT_TRUE(host.is_closed());
  EXPECT_EQ(end_.get().why, UsbipEnd::Why::Stopped);
}

// ---- a peer that is not to be trusted ----------------------------------------------------------

TEST_F(UsbipDeviceTest, HeadersThatMakeNoSenseEndTheConnection) {
  usbip::Command good;
  good.command = usbip::kSubmit;
  good.sequence = 1;
  good.endpoint = 1;
  std::vector<usbip::Command> bad(10, good);
  bad[0].command = 0;
  bad[1].command = usbip::kSubmitReply;
  bad[2].command = 0xffffffff;
  bad[3].direction = 2;
  bad[4].endpoint = 16;
  bad[5].length = -1;
  bad[6].length = std::numeric_limits<std::int32_t>::min();
  bad[7].length = std::numeric_limits<std::int32_t>::max();
  bad[8].length = UsbipDevice::kMostTransfer + 1;
  bad[9].packets = 1;
  for (std::size_t i = 0; i < bad.size(); ++i) {
    UsbipHost host = plug_in_configured();
    EXPECT_TRUE(host.send(usbip_header(bad[i])));
    EXPECT_TRUE(host.is_closed()) << i;
    const UsbipEnd end = end_.get();
    EXPECT_EQ(end.why, UsbipEnd::Why::BadInput) << i;
    EXPECT_FALSE(end.detail.empty()) << i;
  }
}

TEST_F(UsbipDeviceTest, SurvivesAnyBytes) {
  std::mt19937 random(1);
  const auto below = [&](unsigned bound) {
    return std::uniform_int_distribution(0U, bound - 1)(random);
  };
  for (int i = 0; i < 300; ++i) {
    UsbipHost host = plug_in();
    for (int k = 0; k < 40; ++k) {
      usbip::Command command;
      command.command = below(20) == 0 ? below(6) : below(2) + 1;
      command.sequence = below(50);
      command.victim = below(50);
      command.direction = below(50) == 0 ? 2 : below(2);
      command.endpoint = below(4) == 0 ? below(17) : below(2);
      command.length = static_cast<std::int32_t>(below(100) == 0 ? random() : below(3000));
      command.packets = below(50) == 0 ? static_cast<std::int32_t>(random()) : 0;
      for (std::uint8_t& byte : command.setup) byte = static_cast<std::uint8_t>(below(12));
      if (below(2) == 0) command.setup = {0, 9, 1};
      if (below(2) == 0) command.setup[0] |= 0x80;
      if (!host.send(usbip_header(command))) break;
      const auto length = static_cast<std::uint32_t>(std::max(command.length, 0));
      const bool cut = below(30) == 0;
      const std::vector<std::byte> payload(cut ? below(5000) : std::min(length, 5000U));
      if (command.direction == 0 && !host.send(payload)) break;
    }
    host.leave();
    end_.get();
  }
  UsbipHost host = plug_in_configured();
  EXPECT_TRUE(is<wire::HelloReply>(host.ask(wire::HelloRequest{1, 1})));
}

TEST_F(UsbipDeviceTest, MoreWaitingTransfersThanItKeepsEndWithNoMemory) {
  UsbipHost host = plug_in_configured();
  for (std::size_t i = 0; i < UsbipDevice::kMostWaiting; ++i) host.submit_in(512);
  EXPECT_EQ(host.wait_for(host.submit_in(512))->status, -ENOMEM);
  EXPECT_EQ(host.wait_for(host.submit_out(std::vector<std::byte>(100)))->status, -ENOMEM);
  EXPECT_EQ(host.descriptor(1, 0, 18)->status, -ENOMEM);
  EXPECT_EQ(host.answers(), 0U);
}

TEST_F(UsbipDeviceTest, MoreWaitingBytesThanItKeepsEndWithNoMemory) {
  UsbipHost host = plug_in_configured();
  device_->board().visit([&](FaultyBoard&) {
    const std::vector<std::byte> most(UsbipDevice::kMostTransfer);
    for (std::size_t sent = 0; sent < UsbipDevice::kMostWaitingBytes; sent += most.size()) {
      host.submit_out(most);
    }
    EXPECT_EQ(host.wait_for(host.submit_out(most))->status, -ENOMEM);
    EXPECT_EQ(host.descriptor(1, 0, 18)->status, 0);
  });
}

}  // namespace
}  // namespace pcmlab::mock

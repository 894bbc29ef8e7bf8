// SPDX-License-Identifier: Apache-2.0
// Boards that are unplugged and plugged in again, at any moment.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "tests/usb/usb_fixture.h"

namespace pcmlab::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

#ifdef PCMLAB_SANITIZED
constexpr int kRounds = 25;
#else
constexpr int kRounds = 100;
#endif

class UsbHotplugTest : public UsbTest {
 protected:
  /// Does something in another thread after so long.
  static std::thread after(std::chrono::microseconds delay, std::function<void()> action) {
    return std::thread([delay, action = std::move(action)] {
      const auto then = Clock::now() + delay;
      while (Clock::now() < then) std::this_thread::yield();
      action();
    });
  }
  std::chrono::microseconds moment(int most_us) {
    return std::chrono::microseconds(std::uniform_int_distribution<int>(0, most_us)(random));
  }
  /// Plugs the board in while it is awaited, and looks whether it answers.
  void comes_back(UsbTransport& transport) {
    std::thread hand = after(moment(3000), [&] { device.plug(); });
    const auto began = Clock::now();
    const Result<void> reopened = transport.reopen(began + 10s);
    hand.join();
    ASSERT_TRUE(reopened) << reopened.error().message;
    ASSERT_TRUE(send(transport, "there?"));
    ASSERT_EQ(text_of(receive(transport, 6)), "there?");
  }

  std::mt19937 random{20260};
};

TEST_F(UsbHotplugTest, AReaderLearnsOfTheDepartureAtOnce) {
  const auto transport = open();
  std::thread hand = after(10ms, [&] { device.unplug(); });
  const auto began = Clock::now();
  EXPECT_EQ(receive_error(*transport), ErrorCode::Disconnected);
  EXPECT_LT(Clock::now() - began, 1s);
  hand.join();
}

TEST_F(UsbHotplugTest, AWriterLearnsOfTheDepartureAtOnce) {
  const auto transport = open();
  device.hang(Direction::Out, true);
  std::thread hand = after(10ms, [&] { device.unplug(); });
  const auto began = Clock::now();
  EXPECT_EQ(code_of(transport->send(random_bytes(1'000'000, 1), long_from_now())),
            ErrorCode::Disconnected);
  EXPECT_LT(Clock::now() - began, 1s);
  hand.join();
}

TEST_F(UsbHotplugTest, AfterADepartureEveryCallFailsUntilTheBoardIsReopened) {
  const auto transport = open();
  device.unplug();
  for (int k = 0; k < 3; ++k) {
    EXPECT_EQ(receive_error(*transport), ErrorCode::Disconnected);
    EXPECT_EQ(code_of(send(*transport, "hello")), ErrorCode::Disconnected);
  }
  device.plug();
  EXPECT_EQ(code_of(send(*transport, "hello")), ErrorCode::Disconnected);
  ASSERT_TRUE(transport->reopen(long_from_now()));
  ASSERT_TRUE(send(*transport, "hello"));
  EXPECT_EQ(text_of(receive(*transport, 5)), "hello");
}

TEST_F(UsbHotplugTest, BytesFromBeforeTheDepartureAreNotSeenAfterwards) {
  const auto transport = open();
  ASSERT_TRUE(send(*transport, "old"));
  device.unplug();
  device.plug();
  ASSERT_TRUE(transport->reopen(long_from_now()));
  ASSERT_TRUE(send(*transport, "new"));
  EXPECT_EQ(text_of(receive(*transport, 3)), "new");
}

TEST_F(UsbHotplugTest, ReopeningABoardThatNeverLeftDropsWhatWasInFlight) {
  const auto transport = open();
  ASSERT_TRUE(send(*transport, "old"));
  device.hang(Direction::Out, true);
  ASSERT_TRUE(transport->send(random_bytes(100'000, 1), long_from_now()));
  ASSERT_TRUE(transport->reopen(long_from_now()));
  device.hang(Direction::Out, false);
  ASSERT_TRUE(send(*transport, "new"));
  EXPECT_EQ(text_of(receive(*transport, 3)), "new");
  EXPECT_EQ(device.counters().resets, 2U);
}

TEST_F(UsbHotplugTest, NobodyThereIsDisconnected) {
  const auto transport = open();
  device.unplug();
  const Result<void> reopened = transport->reopen(soon());
  ASSERT_EQ(code_of(reopened), ErrorCode::Disconnected);
  EXPECT_THAT(reopened.error().message, HasSubstr("usb 1-1 serial PCM0001: it is not plugged in"));
}

TEST_F(UsbHotplugTest, AnotherBoardIsNotTakenForIt) {
  const auto transport = open();
  device.unplug();
  UsbDevice& other = bus.add({.serial = "PCM0002"});
  other.plug();
  const Result<void> reopened = transport->reopen(soon());
  ASSERT_EQ(code_of(reopened), ErrorCode::Incompatible);
  EXPECT_THAT(reopened.error().message, AllOf(HasSubstr("PCM0001"), HasSubstr("PCM0002")));
  EXPECT_EQ(code_of(send(*transport, "hello")), ErrorCode::Disconnected);
  // Nor does it hinder the right one, which may come to another port.
  UsbDevice& moved = bus.add({.serial = "PCM0001", .port = 7});
  moved.attach(echo);
  std::thread hand = after(10ms, [&] { moved.plug(); });
  ASSERT_TRUE(transport->reopen(long_from_now()));
  hand.join();
  EXPECT_EQ(transport->description(), "usb 1-7 serial PCM0001");
  ASSERT_TRUE(send(*transport, "hello"));
  EXPECT_EQ(text_of(receive(*transport, 5)), "hello");
}

TEST_F(UsbHotplugTest, AnyMomentToUnplugIsGoodWhileIdle) {
  const auto transport = open();
  for (int k = 0; k < kRounds && !HasFatalFailure(); ++k) {
    SCOPED_TRACE(k);
    device.unplug();
    const auto began = Clock::now();
    ASSERT_EQ(receive_error(*transport), ErrorCode::Disconnected);
    ASSERT_LT(Clock::now() - began, 2s);
    comes_back(*transport);
  }
}

TEST_F(UsbHotplugTest, AnyMomentToUnplugIsGoodInMidSend) {
  const auto transport = open({.transfer_bytes = 4096});
  const auto bytes = random_bytes(40'000, 1);
  for (int k = 0; k < kRounds && !HasFatalFailure(); ++k) {
    SCOPED_TRACE(k);
    device.hang(Direction::Out, k % 3 == 0);
    std::atomic<Clock::duration> unplugged{};
    std::thread hand = after(moment(2000), [&] {
      unplugged = Clock::now().time_since_epoch();
      device.unplug();
    });
    Result<void> sent;
    std::vector<std::byte> back;
    while (sent) {
      sent = transport->send(bytes, long_from_now());
      if (sent && k % 3 == 1) sent = transport->receive(back, long_from_now());
    }
    const auto ended = Clock::now().time_since_epoch();
    hand.join();
    ASSERT_EQ(sent.error().code, ErrorCode::Disconnected) << sent.error().message;
    ASSERT_LT(ended - unplugged.load(), 2s);
    device.hang(Direction::Out, false);
    comes_back(*transport);
  }
}

TEST_F(UsbHotplugTest, AnyMomentToUnplugIsGoodInMidReceive) {
  device.set_largest_in(1000);
  const auto transport = open({.transfer_bytes = 4096});
  const auto bytes = random_bytes(20'000, 1);
  for (int k = 0; k < kRounds && !HasFatalFailure(); ++k) {
    SCOPED_TRACE(k);
    std::atomic<Clock::duration> unplugged{};
    std::thread hand = after(moment(2000), [&] {
      unplugged = Clock::now().time_since_epoch();
      device.unplug();
    });
    Result<void> received;
    std::vector<std::byte> back;
    std::size_t awaited = 0;
    while (received) {
      if (awaited == 0) {
        received = transport->send(bytes, long_from_now());
        awaited = bytes.size();
        continue;
      }
      back.clear();
      received = transport->receive(back, long_from_now());
      awaited -= std::min(awaited, back.size());
    }
    const auto ended = Clock::now().time_since_epoch();
    hand.join();
    ASSERT_EQ(received.error().code, ErrorCode::Disconnected) << received.error().message;
    ASSERT_LT(ended - unplugged.load(), 2s);
    comes_back(*transport);
  }
}

TEST_F(UsbHotplugTest, AnyMomentToUnplugIsGoodWhileClosing) {
  for (int k = 0; k < kRounds && !HasFatalFailure(); ++k) {
    SCOPED_TRACE(k);
    auto transport = open({.transfer_bytes = 4096});
    ASSERT_TRUE(transport);
    device.hang(Direction::Out, k % 2 == 0);
    ASSERT_TRUE(transport->send(random_bytes(20'000, 1), long_from_now()));
    std::thread hand = after(moment(600), [&] { device.unplug(); });
    const auto pause = Clock::now() + moment(300);
    while (Clock::now() < pause) std::this_thread::yield();
    const auto began = Clock::now();
    transport.reset();
    ASSERT_LT(Clock::now() - began, 2s);
    hand.join();
    device.hang(Direction::Out, false);
  }
}

TEST_F(UsbHotplugTest, AnyMomentToUnplugIsGoodDuringEnumeration) {
  const auto transport = open();
  for (int k = 0; k < kRounds && !HasFatalFailure(); ++k) {
    SCOPED_TRACE(k);
    device.unplug();
    // The board comes, goes while it is looked at, and comes to stay.
    const auto held = moment(2000);
    const auto away = moment(2000);
    std::thread hand = after(moment(500), [&] {
      device.plug();
      const auto out = Clock::now() + held;
      while (Clock::now() < out) std::this_thread::yield();
      device.unplug();
      const auto in = Clock::now() + away;
      while (Clock::now() < in) std::this_thread::yield();
      device.plug();
    });
    const auto until = Clock::now() + 10s;
    bool answers = false;
    while (!answers && Clock::now() < until) {
      const Result<void> reopened = transport->reopen(until);
      ASSERT_TRUE(reopened) << reopened.error().message;
      std::vector<std::byte> back;
      const auto began = Clock::now();
      answers = send(*transport, "hello") && transport->receive(back, long_from_now());
      ASSERT_LT(Clock::now() - began, 2s);
    }
    hand.join();
    ASSERT_TRUE(answers);
    if (!device.plugged()) device.plug();
  }
}

}  // namespace
}  // namespace pcmlab::testing

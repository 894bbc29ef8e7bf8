// SPDX-License-Identifier: Apache-2.0
// UsbTransport and a board that echoes: bytes through libusb and back, and what may go wrong.
#include <gmock/gmock.h>

#include <cerrno>
#include <thread>

#include "tests/usb/usb_fixture.h"

namespace pcmlab::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using UsbTransportTest = UsbTest;

TEST_F(UsbTransportTest, BytesGoToTheBoardAndComeBack) {
  const auto transport = open();
  ASSERT_TRUE(transport);
  ASSERT_TRUE(send(*transport, "hello"));
  EXPECT_EQ(text_of(receive(*transport, 5)), "hello");
}

TEST_F(UsbTransportTest, OpeningResetsTheBoardSoThatNothingOldIsAnswered) {
  echo->write(std::as_bytes(std::span(std::string_view("old"))));
  const auto transport = open();
  EXPECT_EQ(device.counters().resets, 1U);
  ASSERT_TRUE(send(*transport, "new"));
  EXPECT_EQ(text_of(receive(*transport, 3)), "new");
}

TEST_F(UsbTransportTest, ALargeSendIsCutAndArrivesWhole) {
  const auto transport = open();
  const auto bytes = random_bytes(5'000'001, 1);
  ASSERT_TRUE(transport->send(bytes, long_from_now()));
  EXPECT_EQ(receive(*transport, bytes.size()), bytes);
  EXPECT_EQ(device.counters().outs, 77U);  // of 64 KiB
}

TEST_F(UsbTransportTest, AllTransfersAreInFlightAndNoMore) {
  device.hang(Direction::Out, true);
  const auto transport = open({.transfer_bytes = 4096, .transfers_in = 5, .transfers_out = 3});
  EXPECT_EQ(device.in_flight(Direction::In), 5U);
  EXPECT_TRUE(transport->send(random_bytes(3 * 4096, 1), long_from_now()));
  EXPECT_EQ(device.in_flight(Direction::Out), 3U);
  EXPECT_EQ(code_of(send(*transport, "one more", soon())), ErrorCode::Timeout);
  EXPECT_EQ(device.counters().most_outs, 3U);
}

TEST_F(UsbTransportTest, ASlowReaderHoldsUpTheBoardAndLosesNothing) {
  const auto transport = open({.transfer_bytes = 1024, .transfers_in = 4});
  const auto bytes = random_bytes(100'000, 2);
  ASSERT_TRUE(transport->send(bytes, long_from_now()));
  ASSERT_TRUE(
      device.wait_until([&] { return device.in_flight(Direction::In) == 0; }, long_from_now()));
  EXPECT_LE(device.counters().bytes_in, 4 * 1024U);
  EXPECT_EQ(receive(*transport, bytes.size()), bytes);
}

TEST_F(UsbTransportTest, ShortPacketsAreAStreamToo) {
  device.set_largest_in(37);
  const auto transport = open();
  const auto bytes = random_bytes(10'000, 3);
  ASSERT_TRUE(transport->send(bytes, long_from_now()));
  EXPECT_EQ(receive(*transport, bytes.size()), bytes);
}

TEST_F(UsbTransportTest, EmptyPacketsFromTheBoardAreNoData) {
  const auto transport = open();
  device.send_empty_packets(100);
  ASSERT_TRUE(send(*transport, "after them"));
  EXPECT_EQ(text_of(receive(*transport, 10)), "after them");
}

TEST_F(UsbTransportTest, OnlyEmptyPacketsAreATimeout) {
  const auto transport = open();
  device.send_empty_packets(20);
  EXPECT_EQ(receive_error(*transport, soon()), ErrorCode::Timeout);
}

TEST_F(UsbTransportTest, ASendThatEndsWithAFullPacketIsFollowedByAnEmptyOne) {
  const auto transport = open({.transfer_bytes = 4096});
  const std::size_t sizes[] = {511, 512, 513, 4096, 4097, 8192};
  std::uint64_t expected = 0;
  for (const std::size_t size : sizes) {
    const auto bytes = random_bytes(size, 4);
    ASSERT_TRUE(transport->send(bytes, long_from_now()));
    EXPECT_EQ(receive(*transport, size), bytes);
    expected += size % 512 == 0 ? 1 : 0;
    EXPECT_EQ(device.counters().empty_packets_out, expected) << size;
  }
}

TEST_F(UsbTransportTest, NothingIsSentForNothing) {
  const auto transport = open();
  EXPECT_TRUE(transport->send({}, long_from_now()));
  EXPECT_EQ(device.counters().outs, 0U);
}

TEST_F(UsbTransportTest, SilenceIsATimeoutAndTheNextAnswerIsHeard) {
  const auto transport = open();
  EXPECT_EQ(receive_error(*transport, soon()), ErrorCode::Timeout);
  EXPECT_EQ(receive_error(*transport, Clock::now() - std::chrono::hours(1)), ErrorCode::Timeout);
  ASSERT_TRUE(send(*transport, "late"));
  EXPECT_EQ(text_of(receive(*transport, 4)), "late");
}

TEST_F(UsbTransportTest, ASendThatTimesOutIsCancelledAndTellsHowMuchArrived) {
  echo->capacity = 1000;
  const auto transport = open({.transfer_bytes = 512, .transfers_out = 4});
  const Result<void> sent = transport->send(random_bytes(10'000, 5), soon());
  ASSERT_EQ(code_of(sent), ErrorCode::Timeout);
  // Those that the echo has given back to the waiting transfers from the board made room for more.
  const std::uint64_t taken = device.counters().bytes_out;
  EXPECT_THAT(sent.error().message,
              AllOf(HasSubstr("sending 10000 bytes to usb 1-1 serial PCM0001"),
                    HasSubstr("at least " + std::to_string(taken) + " of them")));
  EXPECT_EQ(device.in_flight(Direction::Out), 0U);
  EXPECT_EQ(device.counters().cancelled, 4U);
  EXPECT_EQ(receive(*transport, taken).size(), taken);
  ASSERT_TRUE(send(*transport, "again"));
  EXPECT_EQ(text_of(receive(*transport, 5)), "again");
}

TEST_F(UsbTransportTest, AStallToTheBoardIsClearedAndNoByteIsLostOrTwice) {
  const auto transport = open({.transfer_bytes = 2048});
  const auto bytes = random_bytes(50'000, 6);
  device.stall(Direction::Out, 20'000, 1);
  ASSERT_TRUE(transport->send(bytes, long_from_now()));
  EXPECT_EQ(receive(*transport, bytes.size()), bytes);
  EXPECT_EQ(device.counters().bytes_out, bytes.size());
}

TEST_F(UsbTransportTest, AStallAfterTheLastSendIsClearedWhileTheAnswerIsAwaited) {
  const auto transport = open();
  device.stall(Direction::Out, 2, 2);
  ASSERT_TRUE(send(*transport, "question"));
  EXPECT_EQ(text_of(receive(*transport, 8)), "question");
}

TEST_F(UsbTransportTest, AStallFromTheBoardIsClearedAndNoByteIsLost) {
  const auto transport = open({.transfer_bytes = 2048});
  const auto bytes = random_bytes(50'000, 7);
  device.stall(Direction::In, 12'345, 2);
  ASSERT_TRUE(transport->send(bytes, long_from_now()));
  EXPECT_EQ(receive(*transport, bytes.size()), bytes);
}

TEST_F(UsbTransportTest, ABoardThatStallsForEverIsAnErrorInBothDirections) {
  const auto transport = open();
  device.stall(Direction::In, 0, 1000);
  ASSERT_TRUE(send(*transport, "hello"));
  std::vector<std::byte> bytes;
  const Result<void> received = transport->receive(bytes, long_from_now());
  ASSERT_EQ(code_of(received), ErrorCode::Io);
  EXPECT_THAT(received.error().message, HasSubstr("stalls again and again"));

  device.stall(Direction::In, 0, 0);
  EXPECT_EQ(text_of(receive(*transport, 5)), "hello");
  device.hang(Direction::Out, true);
  ASSERT_TRUE(send(*transport, "hello"));
  device.stall(Direction::Out, 0, 1000);
  device.hang(Direction::Out, false);
  EXPECT_EQ(receive_error(*transport), ErrorCode::Io);
}

TEST_F(UsbTransportTest, AfterAnErrorTrafficGoesOn) {
  const auto transport = open({.departure_patience = std::chrono::milliseconds(10)});
  device.fail_next(Direction::In, EPROTO);
  EXPECT_EQ(receive_error(*transport), ErrorCode::Io);
  device.fail_next(Direction::In, EOVERFLOW);
  std::vector<std::byte> bytes;
  const Result<void> babble = transport->receive(bytes, long_from_now());
  ASSERT_EQ(code_of(babble), ErrorCode::Io);
  EXPECT_THAT(babble.error().message, HasSubstr("more in a packet"));

  device.hang(Direction::Out, true);
  ASSERT_TRUE(send(*transport, "lost"));
  device.fail_next(Direction::Out, EPROTO);
  device.hang(Direction::Out, false);
  const Result<void> lost = transport->receive(bytes, long_from_now());
  ASSERT_EQ(code_of(lost), ErrorCode::Io);
  EXPECT_THAT(lost.error().message, HasSubstr("4 may not have arrived"));

  ASSERT_TRUE(send(*transport, "hello"));
  EXPECT_EQ(text_of(receive(*transport, 5)), "hello");
}

TEST_F(UsbTransportTest, AFailedTransferOfABoardThatLeavesIsADeparture) {
  const auto transport = open();
  device.hang(Direction::In, true);
  std::thread other([&] {
    device.fail_next(Direction::In, EPROTO);
    device.hang(Direction::In, false);
    device.unplug();
  });
  EXPECT_EQ(receive_error(*transport), ErrorCode::Disconnected);
  other.join();
}

TEST_F(UsbTransportTest, ARefusedSubmissionIsAnErrorAndTrafficGoesOn) {
  const auto transport = open();
  device.fail_submissions(Direction::Out, EINVAL, 1);
  EXPECT_EQ(code_of(send(*transport, "hello")), ErrorCode::Io);
  ASSERT_TRUE(send(*transport, "hello"));
  EXPECT_EQ(text_of(receive(*transport, 5)), "hello");
}

TEST_F(UsbTransportTest, ARefusedSubmissionToABoardThatLeavesIsADeparture) {
  const auto transport = open();
  device.fail_submissions(Direction::Out, EIO, 1);
  std::thread other([&] { device.unplug(); });
  EXPECT_EQ(code_of(send(*transport, "hello")), ErrorCode::Disconnected);
  other.join();
}

TEST_F(UsbTransportTest, WithLittleMemoryInTheKernelItGoesOnWithLess) {
  const auto bytes = random_bytes(300'000, 8);
  for (const std::size_t limit : {700'000U, 200'000U, 70'000U, 20'000U, 3'000U}) {
    bus.set_memory_limit(limit);
    const auto transport = open();
    ASSERT_TRUE(transport) << limit;
    std::vector<std::byte> back;
    for (std::size_t begin = 0; begin < bytes.size(); begin += 30'000) {
      ASSERT_TRUE(transport->send(std::span(bytes).subspan(begin, 30'000), long_from_now()))
          << limit;
      const auto piece = receive(*transport, 30'000);
      back.insert(back.end(), piece.begin(), piece.end());
    }
    EXPECT_EQ(back, bytes) << limit;
  }
}

TEST_F(UsbTransportTest, WithoutMemoryForASingleTransferTheLimitIsNamed) {
  bus.set_memory_limit(1000);
  device.plug();
  const auto opened = UsbTransport::open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::Io);
  EXPECT_THAT(opened.error().advice, HasSubstr("usbfs_memory_mb"));
}

TEST_F(UsbTransportTest, MemoryThatOthersTakeMeanwhileIsDoneWithout) {
  const auto transport = open();
  bus.set_memory_limit(0);
  const Result<void> sent = send(*transport, "hello", soon());
  ASSERT_EQ(code_of(sent), ErrorCode::Io);
  EXPECT_THAT(sent.error().advice, HasSubstr("usbfs_memory_mb"));
  bus.set_memory_limit(std::size_t{16} << 20);
  const auto bytes = random_bytes(100'000, 9);
  ASSERT_TRUE(transport->send(bytes, long_from_now()));
  EXPECT_EQ(receive(*transport, bytes.size()), bytes);
}

TEST_F(UsbTransportTest, ItClosesInEveryState) {
  const auto closes = [&](const char* state, auto&& prepare) {
    auto transport = open({.transfer_bytes = 4096});
    ASSERT_TRUE(transport) << state;
    prepare(*transport);
    const auto began = Clock::now();
    transport.reset();
    EXPECT_LT(Clock::now() - began, std::chrono::seconds(1)) << state;
    EXPECT_EQ(device.in_flight(Direction::In) + device.in_flight(Direction::Out), 0U) << state;
    device.hang(Direction::Out, false);
    device.hang(Direction::In, false);
    device.stall(Direction::Out, 0, 0);
  };
  closes("idle", [](UsbTransport&) {});
  closes("with unread bytes", [&](UsbTransport& transport) {
    ASSERT_TRUE(transport.send(random_bytes(100'000, 1), long_from_now()));
  });
  closes("with bytes on their way", [&](UsbTransport& transport) {
    device.hang(Direction::Out, true);
    ASSERT_TRUE(transport.send(random_bytes(20'000, 1), long_from_now()));
  });
  closes("stalled", [&](UsbTransport& transport) {
    device.stall(Direction::Out, 0, 100);
    ASSERT_TRUE(send(transport, "hello"));
  });
  closes("after a timeout", [&](UsbTransport& transport) {
    EXPECT_EQ(receive_error(transport, soon()), ErrorCode::Timeout);
  });
  closes("unplugged", [&](UsbTransport& transport) {
    device.unplug();
    EXPECT_EQ(receive_error(transport), ErrorCode::Disconnected);
  });
  closes("unplugged, unnoticed", [&](UsbTransport&) { device.unplug(); });
  closes("after a vain reopen", [&](UsbTransport& transport) {
    device.unplug();
    EXPECT_EQ(code_of(transport.reopen(soon())), ErrorCode::Disconnected);
  });
}

}  // namespace
}  // namespace pcmlab::testing

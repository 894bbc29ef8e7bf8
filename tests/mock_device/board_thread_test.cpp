// SPDX-License-Identifier: Apache-2.0
#include "mock_device/board_thread.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>

namespace pcmlab::mock {
namespace {

using namespace std::chrono_literals;

constexpr auto kLongest = 20s;  // of any wait; a test that needs it has failed

/// The host's end: writes requests and waits for replies.
class Host {
 public:
  explicit Host(const BoardPace& pace, const FaultPlan& faults = {})
      : board_(make_board(pace, faults), pace, [this] { changed(); }) {}

  BoardThread& board() { return board_; }

  void send(const wire::Request& request) {
    std::vector<std::byte> bytes;
    encode(request, ++sequence_, bytes);
    std::span<const std::byte> rest(bytes);
    ASSERT_TRUE(wait_until([&] {
      rest = rest.subspan(board_.write(rest));
      return rest.empty();
    }));
  }

  std::optional<wire::Reply> receive() {
    std::optional<wire::Frame> frame;
    wait_until([&] {
      std::array<std::byte, 1024> bytes{};
      while (const std::size_t came = board_.read(bytes)) {
        reader_.append(std::span(bytes).first(came));
      }
      frame = reader_.next();
      return frame.has_value();
    });
    if (!frame) return std::nullopt;
    return decode_reply(*frame).value();
  }

  template <class Kind>
  std::optional<Kind> ask(const wire::Request& request) {
    send(request);
    const auto reply = receive();
    if (!reply || !std::holds_alternative<Kind>(*reply)) return std::nullopt;
    return std::get<Kind>(*reply);
  }

  template <class Condition>
  bool wait_until(Condition condition) {
    std::unique_lock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + kLongest;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      woken_.wait_for(lock, 1ms);  // not every condition is one that changed() tells of
    }
    return true;
  }

 private:
  static std::unique_ptr<FaultyBoard> make_board(const BoardPace& pace, const FaultPlan& faults) {
    MockBoardSettings settings;
    if (pace.time_scale > 0) settings.capabilities &= ~wire::kVirtualTime;
    settings.ledger_batches = 100;
    return std::make_unique<FaultyBoard>(PcmChip(PcmParameters{}, ArrayShape{16, 64}, 1, 1),
                                         settings, faults);
  }

  void changed() {
    const std::lock_guard lock(mutex_);
    woken_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable woken_;
  wire::FrameReader reader_;
  std::uint32_t sequence_ = 0;
  BoardThread board_;
};

wire::ReadRequest read_of(std::uint16_t word_lines, std::uint8_t samples = 100) {
  wire::ReadRequest request;
  request.samples = samples;
  request.devices = wire::Rectangle{{}, word_lines, 64};
  return request;
}

wire::ProgramRequest program_of(std::uint64_t batch, std::size_t devices) {
  wire::ProgramRequest request{batch, 1us, {}, {}};
  for (std::size_t i = 0; i < devices; ++i) {
    request.addresses.push_back({WordLine{0}, BitLine{static_cast<std::uint16_t>(i)}});
    request.amplitudes_10nA.push_back(10000);
  }
  return request;
}

TEST(BoardThread, AnswersInVirtualTimeAtOnce) {
  Host host({});
  const auto before = host.ask<wire::StatusReply>(wire::StatusRequest{});
  ASSERT_TRUE(before);
  ASSERT_TRUE(host.ask<wire::AdvanceTimeReply>(wire::AdvanceTimeRequest{1001h}));
  const auto after = host.ask<wire::StatusReply>(wire::StatusRequest{});
  ASSERT_TRUE(after);
  EXPECT_GE(after->now - before->now, 1000h);
}

TEST(BoardThread, RealTimeTakesAsLongAsTheWork) {
  Host host({.time_scale = 1});
  const auto began = std::chrono::steady_clock::now();
  const auto reply = host.ask<wire::ReadReply>(read_of(1));
  const auto took = std::chrono::steady_clock::now() - began;
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->last - reply->first, 64 * 100 * 1us);
  EXPECT_GE(took, 64 * 100 * 1us);
}

TEST(BoardThread, RealTimePassesWhileNothingIsAsked) {
  Host host({.time_scale = 1000});
  const auto began = std::chrono::steady_clock::now();
  const auto first = host.ask<wire::StatusReply>(wire::StatusRequest{});
  const auto second = host.ask<wire::StatusReply>(wire::StatusRequest{});
  const auto wall = std::chrono::steady_clock::now() - began;
  ASSERT_TRUE(first && second);
  EXPECT_GT(second->now, first->now + 20us);  // more than the overhead of two requests
  EXPECT_LE(second->now - first->now, 1000 * wall);
}

TEST(BoardThread, WaitingRequestsLeaveTheBoardNoPause) {
  Host host({.time_scale = 1, .latency = 125us});
  for (int i = 0; i < 4; ++i) host.send(read_of(1));
  BoardTime end{};
  for (int i = 0; i < 4; ++i) {
    const auto reply = host.receive();
    ASSERT_TRUE(reply);
    const auto& read = std::get<wire::ReadReply>(*reply);
    if (i > 0) {
      EXPECT_EQ(read.first - end, MockBoardSettings{}.request_overhead);
    }
    end = read.last;
  }
}

TEST(BoardThread, LatencyAndBandwidthDelayBothWays) {
  Host host({.time_scale = 1, .latency = 2ms, .bytes_per_s = 1e6});
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(host.ask<wire::ReadReply>(read_of(16, 1)));
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_GE(took, 4ms + 2048us + 1024us);  // two ways, 2 bytes a device at 1 us each, the read
}

TEST(BoardThread, AFullBufferTakesNoMore) {
  Host host({.latency = std::chrono::hours(1), .buffer_bytes = 100});
  const std::vector<std::byte> bytes(70);
  EXPECT_EQ(host.board().write(bytes), 70U);
  EXPECT_EQ(host.board().write(bytes), 30U);
  EXPECT_EQ(host.board().write(bytes), 0U);
  host.board().connection_lost();
  EXPECT_EQ(host.board().write(bytes), 70U);
}

TEST(BoardThread, APulledCableEndsTheBatchAtWorkInPart) {
  Host host({.time_scale = 1e-9});  // whatever is begun takes for ever
  host.send(read_of(1));
  host.send(program_of(7, 40));
  ASSERT_TRUE(host.wait_until([&] {
    return host.board().visit([](FaultyBoard& b) {  // the read has begun, the batch waits
      return b.board().busy() > Duration{} && b.board().queued_requests() == 1;
    });
  }));
  host.board().connection_lost(0.5);
  host.board().visit([](FaultyBoard& board) {
    ASSERT_EQ(board.board().ledger().size(), 1U);
    EXPECT_EQ(board.board().ledger()[0].batch.devices_done, 20U);
    EXPECT_EQ(board.board().queued_requests(), 0U);
  });
}

TEST(BoardThread, APlannedDisconnectIsToldOnceWhatCameBeforeCanBeRead) {
  FaultPlan plan;
  plan.disconnect.after_requests = 2;
  Host host({}, plan);
  host.send(wire::StatusRequest{});
  ASSERT_TRUE(host.receive());
  host.send(wire::StatusRequest{});
  ASSERT_TRUE(host.wait_until([&] { return host.board().unplugged(); }));
  EXPECT_GT(host.board().readable(), 0U);
  EXPECT_EQ(host.board().write(std::vector<std::byte>(10)), 0U);
  host.board().connection_lost();
  EXPECT_FALSE(host.board().unplugged());
  EXPECT_EQ(host.board().readable(), 0U);
  EXPECT_TRUE(host.ask<wire::StatusReply>(wire::StatusRequest{}));
}

}  // namespace
}  // namespace pcmlab::mock

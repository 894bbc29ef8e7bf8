// SPDX-License-Identifier: Apache-2.0
#include "driver/loopback_transport.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace pcmlab {
namespace {

/// The far end says everything back, three bytes at a time.
class LoopbackTransportTest : public ::testing::Test {
 protected:
  LoopbackTransportTest() {
    LoopbackEnd end;
    end.take = [this](std::span<const std::byte> bytes) {
      for (const std::byte byte : bytes) taken += static_cast<char>(byte);
      ++takes;
    };
    end.give = [this](std::vector<std::byte>& into) {
      for (std::size_t i = 0; i < 3 && given < taken.size(); ++i) {
        into.push_back(static_cast<std::byte>(taken[given++]));
      }
    };
    end.disconnected = [this] {
      ++losses;
      given = taken.size();
    };
    transport = std::make_unique<LoopbackTransport>(std::move(end), cable, "loop");
  }

  Result<void> send(std::string_view text) {
    return transport->send(std::as_bytes(std::span(text)), {});
  }
  /// What came, or the error's name.
  std::string receive() {
    std::vector<std::byte> bytes;
    const Result<void> received = transport->receive(bytes, {});
    if (!received) return std::string(to_string(received.error().code));
    std::string text;
    for (const std::byte byte : bytes) text += static_cast<char>(byte);
    return text;
  }

  std::shared_ptr<LoopbackCable> cable = std::make_shared<LoopbackCable>();
  std::string taken;
  std::size_t given = 0;
  int takes = 0;
  int losses = 0;
  std::unique_ptr<LoopbackTransport> transport;
};

TEST_F(LoopbackTransportTest, HandsOverWhatIsQueuedWhenSomebodyListens) {
  ASSERT_TRUE(send("abc"));
  ASSERT_TRUE(send("de"));
  EXPECT_EQ(taken, "");
  EXPECT_EQ(receive(), "abc");
  EXPECT_EQ(taken, "abcde");
  EXPECT_EQ(takes, 1);
  EXPECT_EQ(receive(), "de");
}

TEST_F(LoopbackTransportTest, AppendsToWhatIsThere) {
  ASSERT_TRUE(send("b"));
  std::vector<std::byte> bytes{std::byte{'a'}};
  ASSERT_TRUE(transport->receive(bytes, {}));
  EXPECT_EQ(bytes, (std::vector{std::byte{'a'}, std::byte{'b'}}));
}

TEST_F(LoopbackTransportTest, TimesOutAtOnceWhenNobodyHasAnythingToSay) {
  EXPECT_EQ(receive(), "timeout");
  ASSERT_TRUE(send("abc"));
  EXPECT_EQ(receive(), "abc");
  EXPECT_EQ(receive(), "timeout");
}

TEST(LoopbackTransport, IsDisconnectedWhenTheCableIsPulledWhileTheFarEndWorks) {
  const auto cable = std::make_shared<LoopbackCable>();
  LoopbackEnd end;
  end.take = [](std::span<const std::byte>) {};
  end.give = [&cable](std::vector<std::byte>&) { cable->unplug(); };
  LoopbackTransport transport(std::move(end), cable);
  std::vector<std::byte> bytes;
  const Result<void> received = transport.receive(bytes, {});
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, ErrorCode::Disconnected);
}

TEST_F(LoopbackTransportTest, IsDisconnectedWhileTheCableIsOutAndUntilItIsReopened) {
  cable->unplug();
  ASSERT_FALSE(send("abc"));
  EXPECT_EQ(receive(), "disconnected");
  EXPECT_FALSE(transport->reopen({}));
  cable->replug();
  EXPECT_EQ(receive(), "disconnected");
  ASSERT_TRUE(transport->reopen({}));
  EXPECT_EQ(losses, 1);
  ASSERT_TRUE(send("xyz"));
  EXPECT_EQ(receive(), "xyz");
}

TEST_F(LoopbackTransportTest, NoticesACableThatWasOutForAMoment) {
  cable->unplug();
  cable->replug();
  EXPECT_EQ(receive(), "disconnected");
  ASSERT_TRUE(transport->reopen({}));
  EXPECT_EQ(receive(), "timeout");
}

TEST_F(LoopbackTransportTest, ReopeningAPluggedCableDropsWhatIsUnderWay) {
  ASSERT_TRUE(send("abcdef"));
  EXPECT_EQ(receive(), "abc");
  ASSERT_TRUE(send("ghi"));
  ASSERT_TRUE(transport->reopen({}));
  EXPECT_EQ(losses, 1);
  EXPECT_EQ(receive(), "timeout");
  EXPECT_EQ(taken, "abcdef");
}

TEST_F(LoopbackTransportTest, CanLoseTheCableInTheMiddleOfARequest) {
  cable->unplug_after_bytes_to_board(4);
  ASSERT_TRUE(send("abc"));
  const Result<void> sent = send("def");
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::Disconnected);
  EXPECT_EQ(taken, "abcd");
  EXPECT_EQ(losses, 1);
}

TEST_F(LoopbackTransportTest, CanLoseTheCableInTheMiddleOfAReply) {
  cable->unplug_after_bytes_to_host(4);
  ASSERT_TRUE(send("abcdef"));
  EXPECT_EQ(receive(), "abc");
  EXPECT_EQ(receive(), "d");
  EXPECT_EQ(receive(), "disconnected");
}

TEST_F(LoopbackTransportTest, CanLoseTheCableAfterSoManyRequests) {
  cable->unplug_after_sends(2);
  ASSERT_TRUE(send("abc"));
  EXPECT_FALSE(send("def"));
  EXPECT_EQ(taken, "abcdef");
  EXPECT_EQ(receive(), "disconnected");
  cable->replug();
  ASSERT_TRUE(transport->reopen({}));
  EXPECT_TRUE(send("ghi"));
  EXPECT_TRUE(send("jkl"));
}

TEST_F(LoopbackTransportTest, SaysWhereItGoes) { EXPECT_EQ(transport->description(), "loop"); }

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
// pcmlab-mockd as a person starts it. What it serves is tested in tests/mock_device and
// tests/kernel.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>

#include "tests/app/command_line.h"

namespace pcmlab::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// One that nobody listens on just now.
std::uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  bind(fd, reinterpret_cast<sockaddr*>(&address), length);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  close(fd);
  return ntohs(address.sin_port);
}

/// Asks for the list of devices as soon as somebody listens. \return how many bytes were answered.
std::size_t list_devices(std::uint16_t port) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < until) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = loopback(port);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      const std::array<unsigned char, 8> request = {0x01, 0x11, 0x80, 0x05, 0, 0, 0, 0};
      send(fd, request.data(), request.size(), MSG_NOSIGNAL);
      std::array<char, 1024> reply{};
      const ssize_t came = recv(fd, reply.data(), reply.size(), MSG_WAITALL);
      close(fd);
      return came < 0 ? 0 : static_cast<std::size_t>(came);
    }
    close(fd);
    std::this_thread::yield();
  }
  return 0;
}

/// Small, so that it starts at once.
std::vector<std::string> small(std::vector<std::string> arguments) {
  for (const char* more : {"--set", "mock.word_lines=16", "--set", "mock.bit_lines=16"}) {
    arguments.emplace_back(more);
  }
  return arguments;
}

TEST(Mockd, ServesUntilItIsToldToEnd) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::uint16_t port = free_port();
    std::size_t listed = 0;
    const CommandResult result = pcmlab(small({"--serial", "B7", "--speed", "super", "--listen",
                                               "127.0.0.1:" + std::to_string(port)}),
                                        [&](int process) {
                                          listed = list_devices(port);
                                          kill(process, signal);
                                        });
    EXPECT_EQ(listed, 328U);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("mock board B7"));
    EXPECT_THAT(result.out, HasSubstr("super speed, 30 us and 400 MB/s each way; real time"));
    EXPECT_THAT(result.out, HasSubstr("sudo usbip --tcp-port " + std::to_string(port) +
                                      " attach -r 127.0.0.1 -b 1-1"));
    EXPECT_THAT(result.out, HasSubstr("pulses applied      0"));
    EXPECT_THAT(result.out, HasSubstr("faults              none"));
  }
}

TEST(Mockd, TakesMockAndFaultsFromAPlanAndTheCommandLineComesAfterIt) {
  const TemporaryFolder folder;
  const std::string plan = folder.file("plan.toml",
                                       "[mock]\nserial = \"P1\"\nseed = 5\n[faults]\n"
                                       "lost_replies = 0.25\n[[step]]\nexperiment = \"program\"\n");
  const std::uint16_t port = free_port();
  const CommandResult result = pcmlab(small({"--plan", plan, "--seed", "6", "--time-scale", "0",
                                             "--listen", "127.0.0.1:" + std::to_string(port)}),
                                      [&](int process) {
                                        list_devices(port);
                                        kill(process, SIGTERM);
                                      });
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("mock board P1 over USB/IP, chip joshi-2020 with seed 6"));
  EXPECT_THAT(result.out, HasSubstr("lost_replies = 0.25"));
  EXPECT_THAT(result.out, HasSubstr("virtual time"));
}

TEST(Mockd, ListensToOtherMachinesOnlyWhenToldTwice) {
  const CommandResult result = pcmlab(small({"--listen", "0.0.0.0:0"}));
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("no authentication"));
  EXPECT_THAT(result.err, HasSubstr("--expose-to-network"));
  EXPECT_THAT(result.out, Not(HasSubstr("listening")));
}

TEST(Mockd, SaysWhatIsWrong) {
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::string words;
  };
  const Case cases[] = {
      {{"--set", "mock.sed=1"}, 3, "did you mean \"seed\"?"},
      {{"--set", "board.kind=mock"}, 3, "known are: mock, faults"},
      {{"--chip", "no-such-chip"}, 3, "no-such-chip"},
      {{"--plan", "/no/such/plan"}, 3, "/no/such/plan"},
      {{"--listen", "nonsense:x"}, 3, "127.0.0.1:3240"},
      {{"--speed", "full"}, 2, "--speed"},
      {{"--time-scale", "-1"}, 2, "--time-scale"},
  };
  for (const Case& wrong : cases) {
    const CommandResult result = pcmlab(wrong.arguments);
    EXPECT_EQ(result.exit_code, wrong.exit_code) << result.err;
    EXPECT_THAT(result.err, HasSubstr(wrong.words));
  }
}

}  // namespace
}  // namespace pcmlab::app

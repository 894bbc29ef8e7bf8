// SPDX-License-Identifier: Apache-2.0
// What hosts see before they have the board, and who gets it.
#include "mock_device/usbip_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <condition_variable>
#include <random>

#include "usbip_host.h"

namespace pcmlab::mock {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Bytes = std::vector<std::byte>;

Bytes operation(std::uint16_t code, std::string_view bus_id = {},
                std::uint16_t version = usbip::kVersion) {
  Bytes bytes(usbip::kOperationBytes + (bus_id.empty() ? 0 : usbip::kBusIdBytes));
  usbip::put_u16(bytes, 0, version);
  usbip::put_u16(bytes, 2, code);
  usbip::put_text(bytes, usbip::kOperationBytes, bus_id);
  return bytes;
}

class UsbipServerTest : public ::testing::Test {
 protected:
  void start(std::chrono::milliseconds greeting = 20s, const FaultPlan& faults = {}) {
    auto board = std::make_unique<FaultyBoard>(PcmChip(PcmParameters{}, ArrayShape{16, 64}, 1, 1),
                                               MockBoardSettings{}, faults);
    device_ = std::make_unique<UsbipDevice>(std::move(board), BoardPace{},
                                            UsbDescriptors({}, UsbSpeed::Super));
    UsbipServer::Settings settings;
    settings.address.port = 0;
    settings.greeting = greeting;
    auto server = UsbipServer::start(*device_, settings, [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      log_.push_back(line);
      said_.notify_all();
    });
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }

  FileDescriptor connect() const {
    FileDescriptor fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->address().port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const timeval longest{20, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
    return fd;
  }

  static Bytes receive(const FileDescriptor& socket, std::size_t most) {
    Bytes bytes(most);
    const ssize_t came = recv(socket.get(), bytes.data(), most, MSG_WAITALL);
    bytes.resize(came < 0 ? 0 : static_cast<std::size_t>(came));
    return bytes;
  }

  static void send(const FileDescriptor& socket, const Bytes& bytes) {
    EXPECT_EQ(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  /// Says something and returns everything until the server closes the connection.
  Bytes talk(const Bytes& bytes) const {
    const FileDescriptor socket = connect();
    send(socket, bytes);
    return receive(socket, 4096);
  }

  /// Connected to the board, or the status with which it was refused.
  std::variant<FileDescriptor, std::uint32_t> import(std::string_view bus_id = "1-1") const {
    FileDescriptor socket = connect();
    send(socket, operation(usbip::kImportRequest, bus_id));
    const Bytes reply = receive(socket, usbip::kOperationBytes);
    if (reply.size() < usbip::kOperationBytes) return std::uint32_t{0xffffffff};
    EXPECT_EQ(usbip::get_u16(reply, 2), usbip::kImportReply);
    const std::uint32_t status = usbip::get_u32(reply, 4);
    if (status != 0) {
      EXPECT_THAT(receive(socket, 1), IsEmpty());
      return status;
    }
    EXPECT_THAT(receive(socket, usbip::kDeviceBytes), SizeIs(usbip::kDeviceBytes));
    return socket;
  }

  bool wait_until_said(const std::string& words) {
    std::unique_lock lock(mutex_);
    return said_.wait_for(lock, 20s, [&] {
      return std::any_of(log_.begin(), log_.end(), [&](const std::string& line) {
        return line.find(words) != std::string::npos;
      });
    });
  }

  /// The server says that a host has left before the next one may come.
  std::optional<UsbipHost> import_when_free() const {
    for (int i = 0; i < 10000; ++i) {
      auto imported = import();
      if (auto* socket = std::get_if<FileDescriptor>(&imported))
        return UsbipHost(std::move(*socket));
    }
    return std::nullopt;
  }

  std::mutex mutex_;
  std::condition_variable said_;
  std::vector<std::string> log_;
  std::unique_ptr<UsbipDevice> device_;
  std::unique_ptr<UsbipServer> server_;
};

TEST_F(UsbipServerTest, ListsTheBoard) {
  start();
  const Bytes reply = talk(operation(usbip::kListRequest));
  ASSERT_THAT(reply, SizeIs(8 + 4 + 312 + 4));
  EXPECT_EQ(usbip::get_u16(reply, 0), 0x0111);
  EXPECT_EQ(usbip::get_u16(reply, 2), usbip::kListReply);
  EXPECT_EQ(usbip::get_u32(reply, 4), 0U);
  EXPECT_EQ(usbip::get_u32(reply, 8), 1U);  // devices
  const auto device = std::span(reply).subspan(12);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(device.data() + 256)), "1-1");
  EXPECT_EQ(usbip::get_u32(device, 296), usbip::kSuperSpeed);
  EXPECT_EQ(usbip::get_u16(device, 300), 0x1209);
  EXPECT_EQ(usbip::get_u16(device, 302), 0x0001);
  EXPECT_EQ(device[311], std::byte{1});     // interfaces
  EXPECT_EQ(device[312], std::byte{0xff});  // the first one's class
}

TEST_F(UsbipServerTest, ServesTheHostThatImportsTheBoard) {
  start();
  auto imported = import();
  ASSERT_TRUE(std::holds_alternative<FileDescriptor>(imported));
  UsbipHost host(std::move(std::get<FileDescriptor>(imported)));
  EXPECT_TRUE(server_->is_imported());
  EXPECT_TRUE(host.configure());
  const auto reply = host.ask(wire::HelloRequest{1, 1});
  ASSERT_TRUE(reply);
  EXPECT_TRUE(std::holds_alternative<wire::HelloReply>(*reply));
}

TEST_F(UsbipServerTest, RefusesASecondHostUntilTheFirstHasLeft) {
  start();
  auto first = import();
  ASSERT_TRUE(std::holds_alternative<FileDescriptor>(first));
  const auto second = import();
  ASSERT_TRUE(std::holds_alternative<std::uint32_t>(second));
  EXPECT_EQ(std::get<std::uint32_t>(second), static_cast<std::uint32_t>(usbip::Status::Busy));
  EXPECT_THAT(talk(operation(usbip::kListRequest)), SizeIs(328));  // lists go on
  std::get<FileDescriptor>(first).reset();
  EXPECT_TRUE(wait_until_said("detached"));
  EXPECT_TRUE(import_when_free());
}

TEST_F(UsbipServerTest, CanBeImportedAgainAfterThePlanUnpluggedTheBoard) {
  FaultPlan faults;
  faults.disconnect.after_requests = 1;
  start(20s, faults);
  auto imported = import();
  UsbipHost host(std::move(std::get<FileDescriptor>(imported)));
  EXPECT_TRUE(host.configure());
  EXPECT_TRUE(host.say(wire::HelloRequest{1, 1}));
  EXPECT_TRUE(host.is_closed());
  EXPECT_TRUE(wait_until_said("unplugged as planned"));
  auto again = import_when_free();
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->configure());
  EXPECT_TRUE(again->ask(wire::HelloRequest{1, 1}));
}

TEST_F(UsbipServerTest, HasOneDeviceOnly) {
  start();
  for (const std::string_view bus_id : {"1-2", "1-10", "1-", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}) {
    const auto imported = import(bus_id);
    ASSERT_TRUE(std::holds_alternative<std::uint32_t>(imported)) << bus_id;
    EXPECT_EQ(std::get<std::uint32_t>(imported),
              static_cast<std::uint32_t>(usbip::Status::NoDevice));
  }
  EXPECT_FALSE(server_->is_imported());
}

TEST_F(UsbipServerTest, SendsAwayWhoDoesNotSpeakUsbip) {
  start();
  EXPECT_THAT(talk(operation(usbip::kListRequest, {}, 0x0100)), IsEmpty());
  EXPECT_TRUE(wait_until_said("does not speak"));
  EXPECT_THAT(talk(operation(0x8009)), IsEmpty());
  Bytes web;
  for (const char c : std::string_view("GET / HTTP/1.1\r\n")) web.push_back(std::byte(c));
  EXPECT_THAT(talk(web), IsEmpty());
}

TEST_F(UsbipServerTest, SendsAwayWhoSaysNothing) {
  start(10ms);
  const FileDescriptor silent = connect();
  EXPECT_THAT(receive(silent, 1), IsEmpty());
}

TEST_F(UsbipServerTest, MoreSilentGuestsThanItListensToDelayNobodyForEver) {
  start(10ms);
  std::vector<FileDescriptor> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(connect());
  EXPECT_THAT(talk(operation(usbip::kListRequest)), SizeIs(328));
}

TEST_F(UsbipServerTest, SurvivesAnyBytes) {
  start(10ms);
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    Bytes bytes = operation(random() % 2 == 0 ? usbip::kImportRequest : usbip::kListRequest, "1-2");
    bytes.resize(random() % (bytes.size() + 1));
    for (auto k = random() % 3; k > 0 && !bytes.empty(); --k) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random() & 0xff);
    }
    const FileDescriptor socket = connect();
    send(socket, bytes);
  }
  EXPECT_TRUE(import_when_free());
}

TEST_F(UsbipServerTest, StoppingPullsTheCable) {
  start();
  auto imported = import();
  UsbipHost host(std::move(std::get<FileDescriptor>(imported)));
  EXPECT_TRUE(host.configure());
  server_.reset();
  EXPECT_TRUE(host.is_closed());
}

TEST_F(UsbipServerTest, ListensToThisMachineAloneUnlessTold) {
  start();
  UsbipServer::Settings settings;
  settings.address.port = 0;
  for (const std::string host : {"0.0.0.0", "::"}) {
    settings.address.host = host;
    const auto refused = UsbipServer::start(*device_, settings, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::Refused);
    EXPECT_THAT(refused.error().message, HasSubstr("no authentication"));
  }
  settings.address.host = "0.0.0.0";
  settings.reach = UsbipServer::Reach::Network;
  EXPECT_TRUE(UsbipServer::start(*device_, settings, {}));
}

TEST_F(UsbipServerTest, SaysWhyItCannotListen) {
  start();
  UsbipServer::Settings settings;
  settings.address = server_->address();
  EXPECT_EQ(UsbipServer::start(*device_, settings, {}).error().code, ErrorCode::Busy);
  settings.address = {"127.0.0.1.5", 0};
  EXPECT_EQ(UsbipServer::start(*device_, settings, {}).error().code, ErrorCode::NotFound);
}

TEST(UsbipAddress, IsReadFromText) {
  const auto parsed = [](std::string_view text) {
    const UsbipAddress address = parse_usbip_address(text).value();
    return address.host + " " + std::to_string(address.port);
  };
  EXPECT_EQ(parsed("127.0.0.1"), "127.0.0.1 3240");
  EXPECT_EQ(parsed("127.0.0.1:4000"), "127.0.0.1 4000");
  EXPECT_EQ(parsed("::1"), "::1 3240");
  EXPECT_EQ(parsed("[::1]"), "::1 3240");
  EXPECT_EQ(parsed("[::1]:4000"), "::1 4000");
  for (const std::string_view wrong : {"", ":3240", "host:", "host:x", "host:70000", "host:-1",
                                       "[::1", "[::1]x", "[]:1", "host:1 "}) {
    const auto address = parse_usbip_address(wrong);
    ASSERT_FALSE(address) << wrong;
    EXPECT_EQ(address.error().code, ErrorCode::BadPlan);
  }
}

}  // namespace
}  // namespace pcmlab::mock

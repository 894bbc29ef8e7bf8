// SPDX-License-Identifier: Apache-2.0
#include "mock_device/usbip_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "mock_device/usbip_wire.h"

namespace pcmlab::mock {
namespace {

using Clock = std::chrono::steady_clock;

/// Hosts that have not said what they want; further ones wait in the kernel's queue.
constexpr std::size_t kMostGuests = 16;
constexpr int kBacklog = 128;
constexpr int kAfterNoGuest_ms = 50;

constexpr std::uint32_t kBus = 1;
constexpr std::uint32_t kDeviceNumber = 2;

std::string error_text(int error) { return std::generic_category().message(error); }

std::string text_of(const sockaddr_storage& address, socklen_t length) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host.data(), host.size(),
                  port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "somebody";
  }
  const bool brackets = address.ss_family == AF_INET6;
  std::string text = brackets ? "[" : "";
  text += host.data();
  text += brackets ? "]:" : ":";
  return text += port.data();
}

bool is_loopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  }
  if (address.sa_family != AF_INET6) return false;
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof v6);
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

/// struct usbip_usb_device: what both replies tell of the board.
void put_device(std::span<std::byte> into, const UsbDescriptors& descriptors) {
  const UsbIdentity& id = descriptors.identity();
  usbip::put_text(into, 0, "/sys/devices/platform/pcmlab-mockd/usb1/1-1");
  usbip::put_text(into, usbip::kPathBytes, UsbipServer::kBusId);
  std::size_t at = usbip::kPathBytes + usbip::kBusIdBytes;
  const bool super = descriptors.speed() == UsbSpeed::Super;
  for (const std::uint32_t number :
       {kBus, kDeviceNumber, super ? usbip::kSuperSpeed : usbip::kHighSpeed}) {
    usbip::put_u32(into, at, number);
    at += 4;
  }
  for (const std::uint16_t number : {id.vendor, id.product, id.release}) {
    usbip::put_u16(into, at, number);
    at += 2;
  }
  // Class, subclass, protocol, configuration in use, configurations, interfaces
  constexpr std::array<std::uint8_t, 6> kRest = {0xff, 0, 0, 1, 1, 1};
  for (const std::uint8_t number : kRest) into[at++] = std::byte{number};
}

void put_operation(std::span<std::byte> into, std::uint16_t code, usbip::Status status) {
  usbip::put_u16(into, 0, usbip::kVersion);
  usbip::put_u16(into, 2, code);
  usbip::put_u32(into, 4, static_cast<std::uint32_t>(status));
}

/// A fresh connection has room for any reply.
bool send_whole(int socket, std::span<const std::byte> bytes) {
  const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(bytes.size());
}

std::string how_it_ended(const UsbipEnd& end) {
  std::string detail;
  if (!end.detail.empty()) detail.append(" (").append(end.detail).append(")");
  switch (end.why) {
    case UsbipEnd::Why::HostLeft:
      return "detached the board" + detail;
    case UsbipEnd::Why::Unplugged:
      return "lost the board: unplugged as planned; it can be attached again";
    case UsbipEnd::Why::BadInput:
      return "was disconnected: what it sent is not USB/IP" + detail;
    case UsbipEnd::Why::Stopped:
      return "lost the board: the server stops";
  }
  return "left";
}

}  // namespace

Result<UsbipAddress> parse_usbip_address(std::string_view text) {
  UsbipAddress address;
  std::string_view port;
  const std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    address.host = text.substr(1, close == std::string_view::npos ? close : close - 1);
    const std::string_view rest = close == std::string_view::npos ? text : text.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':')) address.host.clear();
    if (rest.starts_with(':')) port = text.substr(colon);
  } else if (colon != std::string_view::npos && text.find(':') == colon) {
    address.host = text.substr(0, colon);
    port = text.substr(colon);
  } else {
    address.host = text;  // an IPv6 address if it has several colons
  }
  if (!port.empty()) {
    const char* end = port.data() + port.size();
    const auto [last, error] = std::from_chars(port.data() + 1, end, address.port);
    if (error != std::errc() || last != end) address.host.clear();
  }
  if (!address.host.empty()) return address;
  return fail(ErrorCode::BadPlan,
              std::string("cannot listen on \"").append(text).append("\": no address and port"),
              "write for example 127.0.0.1, 127.0.0.1:3240 or [::1]:3240");
}

// ---- life ------------------------------------------------------------------------------------

Result<std::unique_ptr<UsbipServer>> UsbipServer::start(
    UsbipDevice& device, const Settings& settings, std::function<void(const std::string&)> log) {
  const std::string name = settings.address.host + " port " + std::to_string(settings.address.port);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* answer = nullptr;
  const int found = getaddrinfo(settings.address.host.c_str(),
                                std::to_string(settings.address.port).c_str(), &hints, &answer);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(answer, &freeaddrinfo);
  if (found != 0) {
    return fail(ErrorCode::NotFound, "cannot listen on " + name + ": " + gai_strerror(found),
                "give an address of this machine, usually 127.0.0.1");
  }
  if (settings.reach == Reach::ThisMachine && !is_loopback(*addresses->ai_addr)) {
    return fail(
        ErrorCode::Refused,
        "will not listen on " + settings.address.host +
            ": other machines can reach it, and USB/IP has no authentication, so that "
            "whoever reaches the port has the board",
        "listen on 127.0.0.1 and let others in through an SSH tunnel, or, on a network that "
        "you trust, say --expose-to-network as well");
  }
  FileDescriptor listener(
      socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  if (!listener || setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(listener.get(), addresses->ai_addr, addresses->ai_addrlen) != 0 ||
      listen(listener.get(), kBacklog) != 0 ||
      getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    const int error = errno;
    const bool taken = error == EADDRINUSE;
    return fail(taken ? ErrorCode::Busy : ErrorCode::Io,
                "cannot listen on " + name + ": " + error_text(error),
                taken ? "another USB/IP server runs there (usbipd, or one of these): end it, or "
                        "listen on another port"
                      : "give an address of this machine, usually 127.0.0.1");
  }
  UsbipAddress address = settings.address;
  const std::string text = text_of(bound, length);
  const std::string_view port = std::string_view(text).substr(text.rfind(':') + 1);
  std::from_chars(port.data(), port.data() + port.size(), address.port);
  return std::unique_ptr<UsbipServer>(
      new UsbipServer(device, std::move(listener), settings, std::move(address), std::move(log)));
}

UsbipServer::UsbipServer(UsbipDevice& device, FileDescriptor listener, const Settings& settings,
                         UsbipAddress address, std::function<void(const std::string&)> log)
    : device_(device),
      greeting_(settings.greeting),
      address_(std::move(address)),
      log_(std::move(log)),
      listener_(std::move(listener)),
      greeter_([this](const std::stop_token& stop) { greet(stop); }) {}

UsbipServer::~UsbipServer() {
  greeter_.request_stop();
  greeter_.join();  // before the session, which it may be starting
}

void UsbipServer::say(const std::string& line) {
  const std::lock_guard lock(log_mutex_);
  if (log_) log_(line);
}

// ---- greeting --------------------------------------------------------------------------------

struct UsbipServer::Guest {
  FileDescriptor socket;
  std::string name;
  Clock::time_point until;
  std::array<std::byte, usbip::kOperationBytes + usbip::kBusIdBytes> bytes{};
  std::size_t got = 0;

  std::uint16_t code() const { return usbip::get_u16(bytes, 2); }
  std::size_t wanted() const {
    return got >= usbip::kOperationBytes && code() == usbip::kImportRequest
               ? bytes.size()
               : usbip::kOperationBytes;
  }
};

void UsbipServer::greet(const std::stop_token& stop) {
  const std::stop_callback wake_to_stop(stop, [this] { wake_.wake(); });
  std::vector<Guest> guests;
  std::vector<pollfd> files;
  while (!stop.stop_requested()) {
    const short door = guests.size() < kMostGuests ? POLLIN : 0;
    files = {{wake_.fd(), POLLIN, 0}, {listener_.get(), door, 0}};
    auto next = Clock::time_point::max();
    for (const Guest& guest : guests) {
      files.push_back({guest.socket.get(), POLLIN, 0});
      next = std::min(next, guest.until);
    }
    int timeout_ms = -1;
    if (!guests.empty()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
      timeout_ms = static_cast<int>(std::max<std::int64_t>(0, left.count()));
    }
    if (poll(files.data(), files.size(), timeout_ms) < 0) continue;  // EINTR

    const auto now = Clock::now();
    std::size_t file = 2;
    std::erase_if(guests, [&](Guest& guest) {
      const bool spoke = files[file++].revents != 0;
      return spoke ? !listen_to(guest) : now >= guest.until;
    });
    if ((files[1].revents & POLLIN) == 0) continue;
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    FileDescriptor socket(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &length,
                                  SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      // It has left again, or there are no file descriptors: then this would go round and round.
      poll(files.data(), 1, kAfterNoGuest_ms);
      continue;
    }
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    guests.push_back({std::move(socket), text_of(peer, length), now + greeting_});
  }
}

bool UsbipServer::listen_to(Guest& guest) {
  const ssize_t came =
      recv(guest.socket.get(), guest.bytes.data() + guest.got, guest.wanted() - guest.got, 0);
  if (came < 0) return errno == EAGAIN || errno == EINTR;
  if (came == 0) return false;
  guest.got += static_cast<std::size_t>(came);
  if (guest.got < usbip::kOperationBytes) return true;
  if (usbip::get_u16(guest.bytes, 0) != usbip::kVersion) {
    say(guest.name + " was sent away: it does not speak USB/IP 1.1.1");
    return false;
  }
  if (guest.code() == usbip::kListRequest) {
    answer_list(guest);
    return false;
  }
  if (guest.code() != usbip::kImportRequest) {
    say(guest.name + " was sent away: it asked for operation " + std::to_string(guest.code()));
    return false;
  }
  if (guest.got < guest.bytes.size()) return true;
  answer_import(guest);
  return false;
}

void UsbipServer::answer_list(const Guest& guest) const {
  constexpr std::size_t kCount = 4;
  constexpr std::size_t kInterface = 4;  // its class, subclass, protocol and a byte of padding
  std::array<std::byte, usbip::kOperationBytes + kCount + usbip::kDeviceBytes + kInterface> bytes{};
  put_operation(bytes, usbip::kListReply, usbip::Status::Ok);
  usbip::put_u32(bytes, usbip::kOperationBytes, 1);
  put_device(std::span(bytes).subspan(usbip::kOperationBytes + kCount), device_.descriptors());
  bytes[bytes.size() - kInterface] = std::byte{0xff};
  send_whole(guest.socket.get(), bytes);
}

void UsbipServer::answer_import(Guest& guest) {
  const auto asked = std::span(guest.bytes).subspan(usbip::kOperationBytes);
  std::array<std::byte, usbip::kBusIdBytes> ours{};
  usbip::put_text(ours, 0, kBusId);
  // What follows the terminating 0 means nothing.
  const bool is_ours = std::equal(ours.begin(), ours.begin() + kBusId.size() + 1, asked.begin());
  const bool is_free = !imported_;
  std::array<std::byte, usbip::kOperationBytes + usbip::kDeviceBytes> bytes{};
  if (!is_ours || !is_free) {
    const auto refusal = std::span(bytes).first(usbip::kOperationBytes);
    put_operation(refusal, usbip::kImportReply,
                  is_ours ? usbip::Status::Busy : usbip::Status::NoDevice);
    send_whole(guest.socket.get(), refusal);
    say(guest.name + " was refused: " +
        (is_ours ? "another host has the board" : "it asked for a device that is not 1-1"));
    return;
  }
  put_operation(bytes, usbip::kImportReply, usbip::Status::Ok);
  put_device(std::span(bytes).subspan(usbip::kOperationBytes), device_.descriptors());
  imported_ = true;
  if (!send_whole(guest.socket.get(), bytes)) {
    imported_ = false;
    return;
  }
  say(guest.name + " imported the board");
  // The session before has ended, or imported_ would have been true.
  session_ = std::jthread([this, socket = std::move(guest.socket),
                           name = guest.name](const std::stop_token& stop) mutable {
    const UsbipEnd end = device_.serve(std::move(socket), stop);
    say(name + " " + how_it_ended(end));
    imported_ = false;
  });
}

}  // namespace pcmlab::mock

// SPDX-License-Identifier: Apache-2.0
#include "usbip_host.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <utility>

namespace pcmlab::mock {

usbip::Header usbip_header(const usbip::Command& command) {
  usbip::Header header{};
  usbip::put_u32(header, 0, command.command);
  usbip::put_u32(header, 4, command.sequence);
  usbip::put_u32(header, 8, command.device);
  usbip::put_u32(header, 12, command.direction);
  usbip::put_u32(header, 16, command.endpoint);
  if (command.command == usbip::kUnlink) {
    usbip::put_u32(header, 20, command.victim);
    return header;
  }
  usbip::put_u32(header, 20, command.flags);
  usbip::put_u32(header, 24, static_cast<std::uint32_t>(command.length));
  usbip::put_u32(header, 32, static_cast<std::uint32_t>(command.packets));
  for (std::size_t i = 0; i < command.setup.size(); ++i) {
    header[40 + i] = std::byte{command.setup[i]};
  }
  return header;
}

UsbipHost::UsbipHost(FileDescriptor socket) : socket_(std::move(socket)) {
  const timeval longest{20, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
}

bool UsbipHost::send(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

UsbipHost::Sequence UsbipHost::submit(std::uint32_t direction, std::uint32_t endpoint,
                                      std::size_t length, const UsbSetup& setup,
                                      std::span<const std::byte> payload) {
  const auto low = [](std::uint16_t value) { return static_cast<std::uint8_t>(value & 0xff); };
  const auto high = [](std::uint16_t value) { return static_cast<std::uint8_t>(value >> 8); };
  usbip::Command command;
  command.command = usbip::kSubmit;
  command.sequence = ++last_;
  command.direction = direction;
  command.endpoint = endpoint;
  command.length = static_cast<std::int32_t>(length);
  command.setup = {setup.type,       setup.request,     low(setup.value),  high(setup.value),
                   low(setup.index), high(setup.index), low(setup.length), high(setup.length)};
  is_in_[last_] = direction == 1;
  send(usbip_header(command));
  send(payload);
  return last_;
}

UsbipHost::Sequence UsbipHost::submit_control(const UsbSetup& setup,
                                              std::span<const std::byte> out) {
  const bool in = (setup.type & 0x80) != 0;
  return submit(in ? 1 : 0, 0, in ? setup.length : out.size(), setup, out);
}

UsbipHost::Sequence UsbipHost::submit_out(std::span<const std::byte> bytes,
                                          std::uint32_t endpoint) {
  return submit(0, endpoint, bytes.size(), {}, bytes);
}

UsbipHost::Sequence UsbipHost::submit_in(std::size_t length, std::uint32_t endpoint) {
  return submit(1, endpoint, length, {}, {});
}

UsbipHost::Sequence UsbipHost::unlink(Sequence victim) {
  usbip::Command command;
  command.command = usbip::kUnlink;
  command.sequence = ++last_;
  command.victim = victim;
  is_in_[last_] = false;
  send(usbip_header(command));
  return last_;
}

bool UsbipHost::receive() {
  const auto whole = [this](std::span<std::byte> into) {
    return into.empty() || recv(socket_.get(), into.data(), into.size(), MSG_WAITALL) ==
                               static_cast<ssize_t>(into.size());
  };
  usbip::Header header{};
  if (!whole(header)) return false;
  const Sequence sequence = usbip::get_u32(header, 4);
  Answer answer;
  answer.status = static_cast<int>(usbip::get_u32(header, 20));
  if (usbip::get_u32(header, 0) == usbip::kSubmitReply) {
    answer.actual_length = usbip::get_u32(header, 24);
    if (is_in_[sequence]) answer.bytes.resize(answer.actual_length);
    if (!whole(answer.bytes)) return false;
  }
  answers_[sequence] = std::move(answer);
  return true;
}

std::optional<UsbipHost::Answer> UsbipHost::wait_for(Sequence sequence) {
  while (!answers_.contains(sequence)) {
    if (!receive()) return std::nullopt;
  }
  return std::move(answers_.extract(sequence).mapped());
}

bool UsbipHost::is_closed() {
  while (receive()) {
  }
  std::byte byte{};
  return recv(socket_.get(), &byte, 1, MSG_DONTWAIT) == 0;
}

std::optional<UsbipHost::Answer> UsbipHost::descriptor(std::uint8_t type, std::uint8_t index,
                                                       std::uint16_t length) {
  return control({0x80, 6, static_cast<std::uint16_t>(type << 8 | index), 0, length});
}

bool UsbipHost::configure(std::uint16_t configuration) {
  const auto answer = control({0, 9, configuration, 0, 0});
  return answer && answer->status == 0;
}

bool UsbipHost::say(const wire::Request& request) {
  std::vector<std::byte> bytes;
  encode(request, ++message_, bytes);
  const auto answer = wait_for(submit_out(bytes));
  return answer && answer->status == 0 && answer->actual_length == bytes.size();
}

std::optional<wire::Reply> UsbipHost::hear() {
  for (;;) {
    if (const auto frame = reader_.next()) return decode_reply(*frame).value();
    const auto answer = wait_for(submit_in(16384));
    if (!answer || answer->status != 0) return std::nullopt;
    reader_.append(answer->bytes);
  }
}

std::optional<wire::Reply> UsbipHost::ask(const wire::Request& request) {
  return say(request) ? hear() : std::nullopt;
}

}  // namespace pcmlab::mock

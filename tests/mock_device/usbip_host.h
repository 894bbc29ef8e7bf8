// SPDX-License-Identifier: Apache-2.0
/// \file
/// Plays the Linux kernel: the host's side of USB/IP on a connected socket. One thread. Whatever
/// does not come within twenty seconds fails as a closed connection does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "mock_device/file_descriptor.h"
#include "mock_device/usbip_wire.h"
#include "protocol/frame_reader.h"
#include "protocol/messages.h"

namespace pcmlab::mock {

struct UsbSetup {
  std::uint8_t type = 0;
  std::uint8_t request = 0;
  std::uint16_t value = 0;
  std::uint16_t index = 0;
  std::uint16_t length = 0;
};

class UsbipHost {
 public:
  struct Answer {
    int status = 0;
    std::vector<std::byte> bytes;  // from the device
    std::size_t actual_length = 0;
  };
  using Sequence = std::uint32_t;

  explicit UsbipHost(FileDescriptor socket);

  // Each sends a request, with the sequence number that it returns.
  Sequence submit_control(const UsbSetup& setup, std::span<const std::byte> out = {});
  Sequence submit_out(std::span<const std::byte> bytes, std::uint32_t endpoint = 1);
  Sequence submit_in(std::size_t length, std::uint32_t endpoint = 1);
  Sequence unlink(Sequence victim);
  /// Bytes as they are. \return false when the connection is gone.
  bool send(std::span<const std::byte> bytes);

  /// The answer to one request; others that come before it are kept. Nothing when the connection
  /// ends first.
  std::optional<Answer> wait_for(Sequence sequence);
  /// Whether an answer has come and been kept.
  bool has(Sequence sequence) const { return answers_.contains(sequence); }
  std::size_t answers() const { return answers_.size(); }
  bool is_closed();
  /// Closes its end.
  void leave() { socket_.reset(); }

  std::optional<Answer> control(const UsbSetup& setup) { return wait_for(submit_control(setup)); }
  std::optional<Answer> descriptor(std::uint8_t type, std::uint8_t index, std::uint16_t length);
  bool configure(std::uint16_t configuration = 1);

  /// Says something to the board and waits for what it answers, if the connection holds.
  std::optional<wire::Reply> ask(const wire::Request& request);
  bool say(const wire::Request& request);
  std::optional<wire::Reply> hear();

 private:
  bool receive();
  Sequence submit(std::uint32_t direction, std::uint32_t endpoint, std::size_t length,
                  const UsbSetup& setup, std::span<const std::byte> payload);

  FileDescriptor socket_;
  Sequence last_ = 0;
  std::map<Sequence, bool> is_in_;  // of all that were submitted
  std::map<Sequence, Answer> answers_;
  std::uint32_t message_ = 0;
  wire::FrameReader reader_;
};

/// The bytes of a header of any content.
usbip::Header usbip_header(const usbip::Command& command);

}  // namespace pcmlab::mock

// SPDX-License-Identifier: Apache-2.0
/// \file
/// A board on the USB. Numbers, endpoints and limits: driver/README.md, section USB.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "driver/transport.h"
#include "driver/usb_boards.h"
#include "driver/usb_settings.h"

namespace pcmlab {

namespace usb {
class UsbConnection;
class UsbContext;
}  // namespace usb

/// Calls come from one thread at a time. Owns a thread that handles libusb's events and does
/// nothing but note them. Everything that waits ends at its deadline; when the board is unplugged,
/// at once. Unplugging does not lose the transport: reopen() finds the board again on any port.
///
/// Beyond the errors of Transport: Io when USB itself fails (stalls that do not end, damaged
/// transfers, no memory in the kernel). The transport can be used after that; bytes may be lost.
class UsbTransport final : public Transport {
 public:
  /// Opens the board with the filter's serial number; without one, the only one there is.
  /// Errors: Disconnected (it is not there), Refused (several boards and no serial number, or no
  /// permission), Busy (another program has it), Incompatible (no board's endpoints), Io.
  static Result<std::unique_ptr<UsbTransport>> open(const UsbFilter& filter = {},
                                                    const UsbSettings& settings = {});
  ~UsbTransport() override;
  UsbTransport(const UsbTransport&) = delete;
  UsbTransport& operator=(const UsbTransport&) = delete;

  /// The bytes are copied. Errors: Timeout; its text says how many of them arrived at least, and
  /// what was queued before and had not gone is dropped as well.
  Result<void> send(std::span<const std::byte> bytes, Deadline deadline) override;
  Result<void> receive(std::vector<std::byte>& into, Deadline deadline) override;

  /// Waits for the board with the serial number of the first opening. Resets its USB side, which to
  /// the board is a lost connection. Tries once at least, also after the deadline.
  /// Errors: Disconnected (nothing there), Incompatible (only another board is), those of open().
  Result<void> reopen(Deadline deadline) override;

  std::string description() const override;

  /// As found when it was opened last.
  const UsbBoard& board() const { return board_; }

 private:
  UsbTransport(std::unique_ptr<usb::UsbContext> context, UsbFilter filter,
               const UsbSettings& settings);

  /// Connects to the board with the filter's serial number if it is there.
  Result<void> connect();
  /// connect() again and again until the deadline, unless something other than Disconnected
  /// happens and that is not to be waited out.
  Result<void> connect_until(Deadline deadline, bool whatever_happens);
  void disconnect();
  Result<void> check_connected() const;

  UsbSettings settings_;
  UsbFilter filter_;  // with the serial number, once it is known
  UsbBoard board_;
  std::unique_ptr<usb::UsbContext> context_;
  std::unique_ptr<usb::UsbConnection> connection_;  // none after a failed reopen()
};

}  // namespace pcmlab

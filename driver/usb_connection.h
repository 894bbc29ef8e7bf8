// SPDX-License-Identifier: Apache-2.0
/// \file
/// One opened board: bytes to it and from it, until it is closed or unplugged. Internal to the USB
/// transport.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "driver/transport.h"
#include "driver/usb_device.h"
#include "driver/usb_settings.h"
#include "driver/usb_transfers.h"

namespace pcmlab::usb {

/// Used by one thread; departed() and the endings of transfers come from the event thread, which
/// only notes them. Everything else, recovery included, is done by the caller's thread within
/// send() and receive().
class UsbConnection {
 public:
  using Deadline = Transport::Deadline;

  /// Owns the device from now on; start() must come before anything else.
  UsbConnection(FoundBoard found, const UsbSettings& settings);
  /// Ends what is in flight and closes the device. Takes at most two seconds, normally none.
  ~UsbConnection();
  UsbConnection(const UsbConnection&) = delete;
  UsbConnection& operator=(const UsbConnection&) = delete;

  /// Opens the device, claims the interface, resets the board's USB side and begins to read.
  /// Errors: as of open_and_claim().
  Result<void> start();

  Result<void> send(std::span<const std::byte> bytes, Deadline deadline);
  Result<void> receive(std::vector<std::byte>& into, Deadline deadline);

  /// Cancels all that is in flight and waits for it; the event thread must still run.
  void stop();

  /// The board was unplugged. For any thread.
  void departed() { signals_->set_gone(); }

 private:
  Result<void> check_output();
  /// Takes what the board has got whole from the queue.
  void retire_outputs();
  Result<void> recover_output();
  Result<void> resume_output();
  Result<void> give_up_sending(std::uint64_t begin, std::size_t total);
  /// After the kernel had no memory for a transfer to the board. \return false: deadline passed
  Result<bool> make_room(Deadline deadline);
  bool wait_for_output(Deadline deadline);
  void drop_outputs();

  Result<void> start_inputs();
  Result<void> recover_input(Ending ending);
  bool wait_for_input(Deadline deadline);

  /// Whether the board turns out to be unplugged soon after a transfer failed.
  bool departs_soon();
  /// A transfer could not be submitted. While a port loses its device the kernel gives other
  /// reasons than that, before anybody is told of the departure.
  tl::unexpected<Error> refused(int code, const char* doing);
  Result<void> clear_halt(unsigned char endpoint);
  tl::unexpected<Error> gone() const;
  tl::unexpected<Error> cancelled_in_vain(const char* doing) const;
  tl::unexpected<Error> error(int code, const char* doing) const;
  std::string name() const { return describe(found_.board); }

  FoundBoard found_;
  UsbSettings settings_;
  HandlePointer handle_;
  Endpoints endpoints_;

  // Given up rather than freed should a transfer never come back
  std::unique_ptr<Signals> signals_ = std::make_unique<Signals>();
  std::unique_ptr<Transfers> inputs_;
  std::unique_ptr<Transfers> outputs_;

  std::size_t packet_bytes_ = 0;
  std::size_t in_bytes_ = 0;  ///< of a transfer; less than the settings' when memory is short
  std::size_t out_bytes_ = 0;
  std::size_t inputs_wanted_ = 0;
  unsigned in_stalls_ = 0;  ///< one after the other, without a byte between
  unsigned out_stalls_ = 0;
  std::uint64_t queued_ = 0;  ///< bytes to the board since start()
  std::uint64_t taken_ = 0;   ///< of them, known to be there
};

}  // namespace pcmlab::usb

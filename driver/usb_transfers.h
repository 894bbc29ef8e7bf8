// SPDX-License-Identifier: Apache-2.0
/// \file
/// The transfers of one bulk endpoint and their buffers: free, in flight, or finished and waiting
/// to be looked at, in the order in which they were submitted. Internal to the USB transport.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

struct libusb_device_handle;
struct libusb_transfer;

namespace pcmlab::usb {

/// What the event thread tells the caller's. No libusb function is called while the mutex is held.
struct Signals {
  std::mutex mutex;
  std::condition_variable in_changed;
  std::condition_variable out_changed;
  bool gone = false;         ///< the board was unplugged; stays so
  bool out_trouble = false;  ///< a transfer to the board did not end well

  bool is_gone();
  void set_gone();
};

enum class Ending { Completed, Cancelled, Stalled, Overflow, Gone, Failed };

struct FreeTransfer {
  void operator()(libusb_transfer* transfer) const;
};

class Transfers;

struct Transfer {
  Transfers* owner = nullptr;
  std::unique_ptr<libusb_transfer, FreeTransfer> handle;
  std::unique_ptr<std::byte[]> buffer;

  // The caller's thread only
  bool queued = false;
  std::size_t begin = 0;   ///< first byte of the buffer that goes
  std::size_t length = 0;  ///< so many bytes from there
  bool ends_send = false;  ///< a full last packet is followed by an empty one

  // Written by the event thread while in flight, by the caller's otherwise
  bool in_flight = false;
  Ending ending = Ending::Completed;
  std::size_t actual = 0;  ///< bytes that passed
};

/// All functions are for the caller's thread but completed(). Must outlive what is in flight.
class Transfers {
 public:
  using Clock = std::chrono::steady_clock;

  /// \param bytes  the size of each buffer
  Transfers(Signals& signals, libusb_device_handle* device, unsigned char endpoint,
            std::size_t count, std::size_t bytes);
  ~Transfers();
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;

  bool is_in() const { return (endpoint_ & 0x80) != 0; }
  unsigned char endpoint() const { return endpoint_; }

  /// One that is neither queued nor in flight; none: nullptr.
  Transfer* idle();
  /// Submits bytes [begin, begin + length) of the buffer, as the last in the queue.
  /// \return libusb's error code; on an error it is not queued.
  int submit(Transfer& transfer, std::size_t begin, std::size_t length, bool ends_send = false);

  const std::deque<Transfer*>& queue() const { return queue_; }
  /// The oldest in the queue if it has ended; otherwise nullptr.
  Transfer* finished();
  void pop();
  /// Empties the queue; what is in flight stays so and comes back as idle.
  void forget();

  /// Cancels the newest, the newest first so that no data come past a hole, and waits for them.
  /// \return whether all of them have ended in time
  bool cancel(std::size_t newest);
  bool cancel() { return cancel(queue_.size()); }
  /// Takes those that ended without a byte out of the queue; the others count as completed.
  void keep_those_with_bytes();
  /// Whether nothing is in flight.
  bool are_at_rest();

  /// Of libusb's callback, on the event thread.
  void completed(Transfer& transfer);

 private:
  std::condition_variable& changed() {
    return is_in() ? signals_.in_changed : signals_.out_changed;
  }

  Signals& signals_;
  libusb_device_handle* device_;
  unsigned char endpoint_;
  std::vector<std::unique_ptr<Transfer>> transfers_;
  std::deque<Transfer*> queue_;
};

}  // namespace pcmlab::usb

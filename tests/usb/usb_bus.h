// SPDX-License-Identifier: Apache-2.0
/// \file
/// A USB with boards on it for tests, below a real libusb: umockdev gives sysfs, udev and hotplug,
/// and this program's own ioctl() answers what libusb asks of /dev/bus/usb. See tests/README.md.
///
///     UsbBus bus;
///     UsbDevice& device = bus.add({.serial = "PCM0001"});
///     auto board = std::make_shared<mock::BoardThread>(..., [&device] { device.changed(); });
///     device.attach(usb_function(board));
///     device.plug();
///     auto transport = UsbTransport::open();
///     device.unplug();
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace pcmlab::testing {

/// What answers behind the endpoints. Called with the device's lock held, so it must not call the
/// device back from these functions.
class UsbFunction {
 public:
  virtual ~UsbFunction() = default;
  /// \return how many bytes were taken; fewer than offered: the rest waits for changed()
  virtual std::size_t write(std::span<const std::byte> bytes) = 0;
  virtual std::size_t read(std::span<std::byte> into) = 0;
  virtual std::size_t readable() const = 0;
  /// Whether it has dropped off the bus by itself.
  virtual bool unplugged() const = 0;
  /// Unplugged, or reset by the host.
  virtual void connection_lost() = 0;
};

/// Anything shaped like mock::BoardThread as a UsbFunction.
template <class Board>
class UsbFunctionOf final : public UsbFunction {
 public:
  explicit UsbFunctionOf(std::shared_ptr<Board> board) : board_(std::move(board)) {}
  std::size_t write(std::span<const std::byte> bytes) override { return board_->write(bytes); }
  std::size_t read(std::span<std::byte> into) override { return board_->read(into); }
  std::size_t readable() const override { return board_->readable(); }
  bool unplugged() const override { return board_->unplugged(); }
  void connection_lost() override { board_->connection_lost(); }

 private:
  std::shared_ptr<Board> board_;
};

template <class Board>
std::shared_ptr<UsbFunction> usb_function(std::shared_ptr<Board> board) {
  return std::make_shared<UsbFunctionOf<Board>>(std::move(board));
}

struct UsbDeviceSettings {
  std::string serial = "PCM0001";
  std::uint16_t vendor = 0x1209;
  std::uint16_t product = 0x0001;
  unsigned port = 1;          ///< of bus 1; each plugged device has its own
  unsigned speed_Mbit = 480;  ///< 12, 480 or 5000
  std::string product_name = "pcmlab test board";
  std::uint8_t interface_class = 0xff;
};

enum class Direction { Out, In };

struct UsbCounters {
  std::uint64_t outs = 0;  ///< transfers that were submitted
  std::uint64_t ins = 0;
  std::size_t most_outs = 0;  ///< at a time
  std::size_t most_ins = 0;
  std::uint64_t empty_packets_out = 0;
  std::uint64_t bytes_out = 0;  ///< that the function took
  std::uint64_t bytes_in = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t halts_cleared = 0;
  std::uint64_t resets = 0;
};

class UsbBus;

/// A device that is plugged in or not. All functions are for any thread; those that plug are for
/// one at a time.
class UsbDevice {
 public:
  ~UsbDevice();
  UsbDevice(const UsbDevice&) = delete;
  UsbDevice& operator=(const UsbDevice&) = delete;

  const UsbDeviceSettings& settings() const;

  /// Without a function nothing is taken and nothing is said.
  void attach(std::shared_ptr<UsbFunction> function);
  /// The function has become readable, has room again, or has dropped off.
  void changed();

  /// Makes the node and announces the device; each time it has another device number.
  void plug();
  /// Ends all transfers, tells the function, and announces that the device has left.
  void unplug();
  /// The first half of unplug(): transfers fail, and nobody is told yet.
  void cut();
  bool plugged() const;
  /// Waits until the function has dropped off by itself; then call unplug(), and plug() again.
  bool wait_until_dropped(std::chrono::steady_clock::time_point deadline);
  /// The device's node with these permissions from now on, plugged in again or not.
  void set_mode(unsigned mode);
  /// While true somebody else has claimed the interface.
  void set_busy(bool busy);

  /// From `after` more bytes on, the endpoint is halted; when that is cleared it halts again at
  /// once, `times` in all.
  void stall(Direction direction, std::uint64_t after, unsigned times);
  /// The next transfer of this direction ends with this errno (EPROTO, EOVERFLOW, ...).
  void fail_next(Direction direction, int error);
  /// The next `times` submissions fail with this errno.
  void fail_submissions(Direction direction, int error, unsigned times);
  /// While true transfers of this direction neither move nor end, unless cancelled.
  void hang(Direction direction, bool hangs);
  /// A transfer from the board ends after so many bytes at most; 0 = no limit.
  void set_largest_in(std::size_t bytes);
  /// So many transfers from the board end without a byte first.
  void send_empty_packets(unsigned count);

  UsbCounters counters() const;
  /// Transfers that the host has in flight now.
  std::size_t in_flight(Direction direction) const;
  /// Waits until a condition on this device holds; looked at when a transfer moves or ends.
  bool wait_until(const std::function<bool()>& condition,
                  std::chrono::steady_clock::time_point deadline) const;

  /// Of ioctl(). \return whether the file is this device's, with its answer in `result`
  bool answer(int file, unsigned long request, void* argument, int& result);

 private:
  friend class UsbBus;
  struct State;
  UsbDevice(UsbBus& bus, UsbDeviceSettings settings);

  std::unique_ptr<State> state_;
};

/// The bus and its sysfs, one at a time in a process and before any libusb context. Without
/// umockdev's preloaded library under the program its constructor throws.
class UsbBus {
 public:
  UsbBus();
  ~UsbBus();
  UsbBus(const UsbBus&) = delete;
  UsbBus& operator=(const UsbBus&) = delete;

  /// A new device, not plugged in, owned by the bus.
  UsbDevice& add(UsbDeviceSettings settings = {});

  /// As usbfs_memory_mb: what all transfers in flight may take together; further ones fail with
  /// ENOMEM. Default: 16 MiB.
  void set_memory_limit(std::size_t bytes);

  /// For a test that gives up its rights: sysfs and the folder of the nodes belong to everybody.
  void open_to_everybody();

 private:
  friend class UsbDevice;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pcmlab::testing

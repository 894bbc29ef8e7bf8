// SPDX-License-Identifier: Apache-2.0
/// \file
/// A libusb context with the one thread that handles its events, and news of boards that come and
/// go. Internal to the USB transport.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "protocol/error.h"

struct libusb_context;
struct libusb_device;

namespace pcmlab::usb {

struct ExitContext {
  void operator()(libusb_context* context) const;
};
using ContextPointer = std::unique_ptr<libusb_context, ExitContext>;

/// Errors: Io.
Result<ContextPointer> make_context();

/// Owns context and thread. Functions are for the owner's thread, but for the callback of watch().
class UsbContext {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  /// Starts the event thread and listens for devices of this vendor and product.
  static Result<std::unique_ptr<UsbContext>> start(std::uint16_t vendor, std::uint16_t product);
  ~UsbContext();
  UsbContext(const UsbContext&) = delete;
  UsbContext& operator=(const UsbContext&) = delete;

  /// Ends the event thread. No callback runs afterwards.
  void stop();

  libusb_context* get() const { return context_.get(); }

  /// Has `left` called, on the event thread, when this device goes. After unwatch() it is not
  /// running and will not be called. One device at a time.
  void watch(libusb_device* device, std::function<void()> left);
  void unwatch();

  /// How many devices have come so far.
  std::uint64_t arrivals();
  /// Waits until there were more than `seen`.
  void wait_for_arrival(std::uint64_t seen, Deadline until);

  /// Of libusb's hotplug callback, on the event thread.
  void came();
  void left(const libusb_device* device);

 private:
  explicit UsbContext(ContextPointer context) : context_(std::move(context)) {}
  void handle_events();

  ContextPointer context_;
  std::atomic<bool> stopping_ = false;

  std::mutex mutex_;  // held while left_ runs, which takes the connection's after it
  std::condition_variable arrived_;
  std::uint64_t arrivals_ = 0;
  libusb_device* watched_ = nullptr;
  std::function<void()> left_;

  std::thread thread_;
};

}  // namespace pcmlab::usb

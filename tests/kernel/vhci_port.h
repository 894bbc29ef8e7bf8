// SPDX-License-Identifier: Apache-2.0
/// \file
/// Plugs a UsbipDevice into the running kernel (vhci-hcd), without a network.
#pragma once

#include <chrono>
#include <future>
#include <stop_token>
#include <string>
#include <thread>

#include "mock_device/usbip_device.h"

namespace pcmlab::kernel {

/// A port of the kernel's virtual host controller. One thread; serves the device in another.
class VhciPort {
 public:
  /// \param device  outlives the port
  explicit VhciPort(mock::UsbipDevice& device);
  ~VhciPort();
  VhciPort(const VhciPort&) = delete;
  VhciPort& operator=(const VhciPort&) = delete;

  /// Waits until the port is free and attaches the device. \return an error, or nothing.
  std::string plug_in();
  /// Pulls the cable.
  void stop() { stop_.request_stop(); }
  /// Pulls the cable, and waits until the server has noticed.
  void pull();
  /// Waits until the device is unplugged, by whomever.
  mock::UsbipEnd wait_until_unplugged() { return end_.get(); }

 private:
  mock::UsbipDevice& device_;
  std::stop_source stop_;
  std::future<mock::UsbipEnd> end_;
};

/// Polls until it is true. \return false when that took longer than twenty seconds.
template <class Condition>
bool eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    // The kernel tells nobody when a port is free.
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace pcmlab::kernel

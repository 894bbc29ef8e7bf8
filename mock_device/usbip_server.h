// SPDX-License-Identifier: Apache-2.0
/// \file
/// Offers a UsbipDevice to Linux hosts over TCP, for `usbip attach`. Has two threads of its own:
/// one greets hosts, the other serves the one that has imported the board.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "mock_device/file_descriptor.h"
#include "mock_device/usbip_device.h"
#include "mock_device/wake_up.h"
#include "protocol/error.h"

namespace pcmlab::mock {

/// Where to listen. USB/IP has no authentication: whoever reaches the port has the board.
struct UsbipAddress {
  std::string host = "127.0.0.1";
  std::uint16_t port = 3240;  ///< 0 = any that is free
};

/// "127.0.0.1", "127.0.0.1:3240", "::1", "[::1]:3240". Errors: BadPlan.
Result<UsbipAddress> parse_usbip_address(std::string_view text);

class UsbipServer {
 public:
  static constexpr std::string_view kBusId = "1-1";

  enum class Reach { ThisMachine, Network };

  struct Settings {
    UsbipAddress address;
    Reach reach = Reach::ThisMachine;          ///< Network must be asked for
    std::chrono::milliseconds greeting{5000};  ///< how long a host may take to say what it wants
  };

  /// \param device  outlives the server
  /// \param log  gets one line for each host that imports the board, is refused or leaves; called
  /// by one of the server's threads at a time
  /// Errors: Refused (an address that others can reach, with Reach::ThisMachine), Busy (the port
  /// is taken), NotFound (no such address), Io.
  static Result<std::unique_ptr<UsbipServer>> start(UsbipDevice& device, const Settings& settings,
                                                    std::function<void(const std::string&)> log);

  /// Pulls the cable of the host that is served.
  ~UsbipServer();
  UsbipServer(const UsbipServer&) = delete;
  UsbipServer& operator=(const UsbipServer&) = delete;

  /// With the port that was found.
  const UsbipAddress& address() const { return address_; }
  bool is_imported() const { return imported_; }

 private:
  UsbipServer(UsbipDevice& device, FileDescriptor listener, const Settings& settings,
              UsbipAddress address, std::function<void(const std::string&)> log);

  struct Guest;  // has connected and not yet said what it wants

  void greet(const std::stop_token& stop);
  /// \return false when the guest is done with: gone, answered or the board's host now.
  bool listen_to(Guest& guest);
  void answer_list(const Guest& guest) const;
  void answer_import(Guest& guest);
  void say(const std::string& line);

  UsbipDevice& device_;
  const std::chrono::milliseconds greeting_;
  const UsbipAddress address_;
  const std::function<void(const std::string&)> log_;
  std::mutex log_mutex_;
  FileDescriptor listener_;
  WakeUp wake_;
  std::atomic<bool> imported_ = false;
  std::jthread session_;  // of the last import
  std::jthread greeter_;  // the last: it starts sessions
};

}  // namespace pcmlab::mock

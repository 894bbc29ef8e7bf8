// SPDX-License-Identifier: Apache-2.0
/// \file
/// A mock board as a USB device that a Linux kernel (vhci-hcd) drives over USB/IP, on any connected
/// stream socket. usbip_server.h lets hosts attach it over TCP.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "mock_device/board_thread.h"
#include "mock_device/faulty_board.h"
#include "mock_device/file_descriptor.h"
#include "mock_device/usb_descriptors.h"
#include "mock_device/wake_up.h"

namespace pcmlab::mock {

/// Why a host is not served any more.
struct UsbipEnd {
  enum class Why {
    HostLeft,   ///< it closed the connection, or that broke
    Unplugged,  ///< the fault plan pulled the cable
    BadInput,   ///< what came is not USB/IP
    Stopped,    ///< somebody asked for it
  };
  Why why = Why::HostLeft;
  std::string detail;  ///< may be empty
};

/// Over all hosts, since the device was made.
struct UsbipCounters {
  std::uint64_t control_requests = 0;
  std::uint64_t out_transfers = 0;
  std::uint64_t in_transfers = 0;
  std::uint64_t unlinks = 0;
  std::uint64_t stalls = 0;  ///< transfers that ended with one
  std::uint64_t bytes_to_board = 0;
  std::uint64_t bytes_to_host = 0;
};

/// Owns the board and its thread. serve() is called by one thread at a time, everything else by
/// any.
///
/// Transfers end as on a real bus: one to the board when the board has room for all of it, one from
/// it as soon as there are bytes, with as many as there are (a short or empty packet ends it), and
/// with EOVERFLOW when a packet does not fit because its length is no multiple of the packet size.
/// A new configuration is a lost connection to the board, as protocol/README.md has it.
///
/// The peer is not trusted. Transfers have kMostTransfer bytes at most; of those that wait there
/// are kMostWaiting at most with kMostWaitingBytes of payload, and what is beyond ends with ENOMEM.
class UsbipDevice {
 public:
  static constexpr std::size_t kMostTransfer = 16 << 20;
  static constexpr std::size_t kMostWaiting = 4096;
  static constexpr std::size_t kMostWaitingBytes = 64 << 20;

  UsbipDevice(std::unique_ptr<FaultyBoard> board, const BoardPace& pace,
              UsbDescriptors descriptors);

  /// Serves one host until it leaves, the plan unplugs the board, or `stop` pulls the cable. The
  /// board has lost its connection then; another host may be served.
  UsbipEnd serve(FileDescriptor socket, const std::stop_token& stop);

  /// Stalls an endpoint: its transfers end with EPIPE until the host clears the halt.
  /// \param endpoint  kBulkOut or kBulkIn
  void stall(std::uint8_t endpoint);

  const UsbDescriptors& descriptors() const { return descriptors_; }
  BoardThread& board() { return board_; }
  UsbipCounters counters() const;

 private:
  class Session;

  const UsbDescriptors descriptors_;
  const BoardPace pace_;
  WakeUp wake_;  // by the board's thread, stall() and stop requests
  std::atomic<bool> out_stalled_ = false;
  std::atomic<bool> in_stalled_ = false;
  mutable std::mutex counters_mutex_;
  UsbipCounters counters_;
  BoardThread board_;  // the last: its thread uses wake_
};

}  // namespace pcmlab::mock

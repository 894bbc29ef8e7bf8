// SPDX-License-Identifier: Apache-2.0
/// \file
/// How a UsbTransport uses the USB. Plain values.
#pragma once

#include <chrono>
#include <cstddef>

namespace pcmlab {

/// The kernel lends all programs together usbfs_memory_mb (16 MiB unless set otherwise) for what is
/// in flight; the defaults take 1 MiB. When it has less, fewer and smaller transfers are used.
struct UsbSettings {
  std::size_t transfer_bytes = 64 * 1024;  ///< of one transfer; rounded down to whole packets
  std::size_t transfers_in = 8;            ///< in flight from the board, always
  std::size_t transfers_out = 8;           ///< in flight to the board at most
  /// Reset the board's USB side when opening, so that nothing an earlier program has asked for is
  /// done or answered any more.
  bool reset_at_open = true;
  /// When a transfer fails: how long to wait for the news that the board was unplugged.
  std::chrono::milliseconds departure_patience{500};
};

}  // namespace pcmlab

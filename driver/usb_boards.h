// SPDX-License-Identifier: Apache-2.0
/// \file
/// Which test boards hang on the USB, whether they can be opened or not. Plain values and a
/// function for any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/error.h"

namespace pcmlab {

struct UsbFilter {
  std::uint16_t vendor = 0x1209;
  std::uint16_t product = 0x0001;
  std::string serial = {};  ///< empty: any, of which there must be one only to open it
};

struct UsbBoard {
  std::uint16_t vendor = 0;
  std::uint16_t product = 0;
  std::string serial;
  std::string product_name;
  std::string port;  ///< bus and the ports on the way, "1-4.2": stays when it is plugged again
  unsigned speed_Mbit = 0;  ///< 0 = unknown
  std::string problem;      ///< why it cannot be opened, with what to do; empty if it can
};

/// Looks at each board that fits: opens it, claims it for a moment and lets it go again.
/// Errors: Io (no USB on this computer).
Result<std::vector<UsbBoard>> list_usb_boards(const UsbFilter& filter = {});

/// "usb 1-4 serial PCM0001", for messages.
std::string describe(const UsbBoard& board);

}  // namespace pcmlab

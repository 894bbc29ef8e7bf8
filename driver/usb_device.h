// SPDX-License-Identifier: Apache-2.0
/// \file
/// libusb's pointers with owners, its devices as UsbBoard, its error codes in words. Internal to
/// the USB transport. Functions are for any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "driver/usb_boards.h"
#include "protocol/error.h"

struct libusb_context;
struct libusb_device;
struct libusb_device_handle;

namespace pcmlab::usb {

struct Release {
  void operator()(libusb_device* device) const;
  void operator()(libusb_device_handle* handle) const;
};
using DevicePointer = std::unique_ptr<libusb_device, Release>;
using HandlePointer = std::unique_ptr<libusb_device_handle, Release>;

/// A board and what libusb knows it by, which does not outlive the context.
struct FoundBoard {
  UsbBoard board;
  DevicePointer device;
};

/// All that have vendor and product of the filter, and its serial number if it names one; `problem`
/// is left empty. Serial numbers come from sysfs, where they can be read without any right to the
/// device. Ordered by port.
Result<std::vector<FoundBoard>> find_boards(libusb_context* context, const UsbFilter& filter);

/// Where data go in and out: the first interface of class 0xFF with a bulk endpoint each way.
struct Endpoints {
  int interface = 0;
  unsigned char out = 0;
  unsigned char in = 0;
  int packet_bytes = 0;  ///< the larger of the two endpoints' maximum
};
Result<Endpoints> find_endpoints(const FoundBoard& found);

/// Opens the device and claims the interface.
/// Errors: Disconnected, Refused (no permission), Busy (another program has it), Incompatible, Io.
Result<HandlePointer> open_and_claim(const FoundBoard& found, const Endpoints& endpoints);

/// What libusb's code means when `doing` something with a board. NO_DEVICE and NOT_FOUND are
/// Disconnected, ACCESS is Refused, BUSY is Busy, everything else Io.
Error usb_error(int code, const std::string& doing, const FoundBoard& found);

}  // namespace pcmlab::usb

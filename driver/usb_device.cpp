// SPDX-License-Identifier: Apache-2.0
#include "driver/usb_device.h"

#include <libusb.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <span>
#include <utility>

#include "driver/usb_context.h"

namespace pcmlab {
namespace usb {
namespace {

std::string port_of(libusb_device* device) {
  std::string port = std::to_string(libusb_get_bus_number(device));
  std::array<std::uint8_t, 7> numbers{};
  const int depth =
      libusb_get_port_numbers(device, numbers.data(), static_cast<int>(numbers.size()));
  for (int k = 0; k < depth; ++k) {
    port += (k == 0 ? '-' : '.') + std::to_string(numbers[static_cast<std::size_t>(k)]);
  }
  return port;
}

unsigned speed_of(libusb_device* device) {
  switch (libusb_get_device_speed(device)) {
    case LIBUSB_SPEED_LOW:
      return 1;
    case LIBUSB_SPEED_FULL:
      return 12;
    case LIBUSB_SPEED_HIGH:
      return 480;
    case LIBUSB_SPEED_SUPER:
      return 5000;
    case LIBUSB_SPEED_SUPER_PLUS:
      return 10000;
    default:
      return 0;
  }
}

/// A string that the kernel read when the device was plugged in.
std::string kernel_text(const std::string& port, const char* name) {
  std::ifstream file("/sys/bus/usb/devices/" + port + "/" + name);
  std::string text;
  std::getline(file, text);
  return text;
}

std::string node_of(libusb_device* device) {
  std::array<char, 40> node{};
  std::snprintf(node.data(), node.size(), "/dev/bus/usb/%03d/%03d", libusb_get_bus_number(device),
                libusb_get_device_address(device));
  return node.data();
}

bool is_bulk(const libusb_endpoint_descriptor& endpoint) {
  return (endpoint.bmAttributes & LIBUSB_TRANSFER_TYPE_MASK) == LIBUSB_TRANSFER_TYPE_BULK;
}

/// Whether the interface has what a board's has; fills in the endpoints.
bool fits(const libusb_interface_descriptor& interface, Endpoints& endpoints) {
  if (interface.bInterfaceClass != LIBUSB_CLASS_VENDOR_SPEC) return false;
  endpoints = {.interface = interface.bInterfaceNumber};
  for (const auto& endpoint : std::span(interface.endpoint, interface.bNumEndpoints)) {
    if (!is_bulk(endpoint)) continue;
    const bool is_in = (endpoint.bEndpointAddress & LIBUSB_ENDPOINT_IN) != 0;
    unsigned char& address = is_in ? endpoints.in : endpoints.out;
    if (address != 0) continue;
    address = endpoint.bEndpointAddress;
    endpoints.packet_bytes = std::max<int>(endpoints.packet_bytes, endpoint.wMaxPacketSize & 0x7ff);
  }
  return endpoints.in != 0 && endpoints.out != 0 && endpoints.packet_bytes > 0;
}

}  // namespace

void Release::operator()(libusb_device* device) const { libusb_unref_device(device); }
void Release::operator()(libusb_device_handle* handle) const { libusb_close(handle); }

Result<std::vector<FoundBoard>> find_boards(libusb_context* context, const UsbFilter& filter) {
  libusb_device** list = nullptr;
  const ssize_t devices = libusb_get_device_list(context, &list);
  if (devices < 0) {
    return fail(
        ErrorCode::Io,
        std::string("looking for USB devices: ") + libusb_error_name(static_cast<int>(devices)),
        "Check that this computer has USB: lsusb.");
  }
  std::vector<FoundBoard> found;
  for (libusb_device* listed : std::span(list, static_cast<std::size_t>(devices))) {
    DevicePointer device(listed);  // takes over the list's reference
    libusb_device_descriptor descriptor{};
    if (libusb_get_device_descriptor(device.get(), &descriptor) != LIBUSB_SUCCESS) continue;
    if (descriptor.idVendor != filter.vendor || descriptor.idProduct != filter.product) continue;
    UsbBoard board;
    board.vendor = descriptor.idVendor;
    board.product = descriptor.idProduct;
    board.port = port_of(device.get());
    board.serial = kernel_text(board.port, "serial");
    board.product_name = kernel_text(board.port, "product");
    board.speed_Mbit = speed_of(device.get());
    if (!filter.serial.empty() && board.serial != filter.serial) continue;
    found.push_back({std::move(board), std::move(device)});
  }
  libusb_free_device_list(list, 0);
  std::sort(found.begin(), found.end(),
            [](const FoundBoard& a, const FoundBoard& b) { return a.board.port < b.board.port; });
  return found;
}

Result<Endpoints> find_endpoints(const FoundBoard& found) {
  libusb_config_descriptor* read = nullptr;
  const int code = libusb_get_active_config_descriptor(found.device.get(), &read);
  if (code != LIBUSB_SUCCESS) {
    return tl::unexpected(usb_error(code, "reading the USB descriptors", found));
  }
  struct Free {
    void operator()(libusb_config_descriptor* config) const {
      libusb_free_config_descriptor(config);
    }
  };
  const std::unique_ptr<libusb_config_descriptor, Free> config(read);
  Endpoints endpoints;
  for (const auto& interface : std::span(config->interface, config->bNumInterfaces)) {
    if (interface.num_altsetting > 0 && fits(*interface.altsetting, endpoints)) return endpoints;
  }
  return fail(ErrorCode::Incompatible,
              describe(found.board) +
                  ": it has no vendor-specific interface with a bulk endpoint in each direction",
              "It uses the same USB numbers but is no pcmlab board, or its firmware is too old.");
}

Result<HandlePointer> open_and_claim(const FoundBoard& found, const Endpoints& endpoints) {
  libusb_device_handle* opened = nullptr;
  int code = libusb_open(found.device.get(), &opened);
  if (code != LIBUSB_SUCCESS) return tl::unexpected(usb_error(code, "opening", found));
  HandlePointer handle(opened);
  code = libusb_claim_interface(handle.get(), endpoints.interface);
  if (code != LIBUSB_SUCCESS) return tl::unexpected(usb_error(code, "claiming", found));
  return handle;
}

Error usb_error(int code, const std::string& doing, const FoundBoard& found) {
  const std::string what = doing + " " + describe(found.board) + ": ";
  const std::string name = libusb_error_name(code);
  switch (code) {
    case LIBUSB_ERROR_NO_DEVICE:
    case LIBUSB_ERROR_NOT_FOUND:
      return {ErrorCode::Disconnected, what + "it is not there any more",
              "Check the board's power and cable, then go on."};
    case LIBUSB_ERROR_ACCESS:
      return {ErrorCode::Refused,
              what + "this user may not use its device node " + node_of(found.device.get()),
              "Install the udev rule: sudo cmake --install build/release (or copy "
              "app/udev/70-pcmlab.rules to /etc/udev/rules.d/), then sudo udevadm control --reload "
              "and plug the board in again."};
    case LIBUSB_ERROR_BUSY:
      return {ErrorCode::Busy, what + "another program holds it",
              "End the run or close the program that uses this board, then try again."};
    case LIBUSB_ERROR_NO_MEM:
      return {ErrorCode::Io,
              what + "the kernel has no memory left for USB transfers (" + name + ")",
              "Close other programs that use USB devices, or raise the limit: echo 64 | sudo tee "
              "/sys/module/usbcore/parameters/usbfs_memory_mb."};
    default:
      return {ErrorCode::Io, what + libusb_strerror(code) + " (" + name + ")",
              "Unplug the board and plug it in again; if it stays, try another port and cable."};
  }
}

}  // namespace usb

std::string describe(const UsbBoard& board) {
  return "usb " + board.port +
         (board.serial.empty() ? " without a serial number" : " serial " + board.serial);
}

Result<std::vector<UsbBoard>> list_usb_boards(const UsbFilter& filter) {
  PCM_ASSIGN(const usb::ContextPointer context, usb::make_context());
  PCM_ASSIGN(std::vector<usb::FoundBoard> found, usb::find_boards(context.get(), filter));
  std::vector<UsbBoard> boards;
  for (usb::FoundBoard& one : found) {
    Result<void> usable = usb::find_endpoints(one).and_then([&](const usb::Endpoints& endpoints) {
      return usb::open_and_claim(one, endpoints).map([&](const usb::HandlePointer& handle) {
        libusb_release_interface(handle.get(), endpoints.interface);
      });
    });
    if (!usable) one.board.problem = usable.error().message + ". " + usable.error().advice;
    boards.push_back(std::move(one.board));
  }
  return boards;
}

}  // namespace pcmlab

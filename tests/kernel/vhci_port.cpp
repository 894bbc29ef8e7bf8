// SPDX-License-Identifier: Apache-2.0
#include "vhci_port.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "mock_device/usbip_wire.h"

namespace pcmlab::kernel {
namespace {

constexpr const char* kAttach = "/sys/devices/platform/vhci_hcd.0/attach";
// The controller has eight ports for high speed, then eight for super speed.
constexpr int kHighSpeedPort = 0;
constexpr int kSuperSpeedPort = 8;
constexpr int kDeviceId = 0x10002;  // bus 1, device 2

/// \return errno
int write_attach(const std::string& text) {
  const mock::FileDescriptor file(open(kAttach, O_WRONLY | O_CLOEXEC));
  if (!file) return errno;
  const ssize_t written = write(file.get(), text.data(), text.size());
  return written == static_cast<ssize_t>(text.size()) ? 0 : errno;
}

}  // namespace

VhciPort::VhciPort(mock::UsbipDevice& device) : device_(device) {}

VhciPort::~VhciPort() { pull(); }

std::string VhciPort::plug_in() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return "no socketpair";
  mock::FileDescriptor ours(ends[0]);
  const mock::FileDescriptor kernels(ends[1]);
  constexpr int kBuffer = 4 << 20;
  for (const int end : ends) setsockopt(end, SOL_SOCKET, SO_SNDBUFFORCE, &kBuffer, sizeof kBuffer);

  stop_ = {};
  end_ = std::async(std::launch::async,
                    [this, socket = std::move(ours), stop = stop_.get_token()]() mutable {
                      return device_.serve(std::move(socket), stop);
                    });
  const bool super = device_.descriptors().speed() == mock::UsbSpeed::Super;
  const std::string text =
      std::to_string(super ? kSuperSpeedPort : kHighSpeedPort) + " " +
      std::to_string(kernels.get()) + " " + std::to_string(kDeviceId) + " " +
      std::to_string(super ? mock::usbip::kSuperSpeed : mock::usbip::kHighSpeed);
  int error = 0;
  // After an unplug the port is busy until the kernel has taken everything down.
  const bool attached = eventually([&] {
    error = write_attach(text);
    return error != EBUSY;
  });
  if (attached && error == 0) return {};
  return std::string(kAttach) + ": " + std::generic_category().message(error);
}

void VhciPort::pull() {
  stop_.request_stop();
  if (end_.valid()) end_.get();
}

}  // namespace pcmlab::kernel

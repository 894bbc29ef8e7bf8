// SPDX-License-Identifier: Apache-2.0
#include "driver/usb_context.h"

#include <libusb.h>

#include <string>
#include <utility>

namespace pcmlab::usb {
namespace {

int hotplug(libusb_context* /*context*/, libusb_device* device, libusb_hotplug_event event,
            void* user) {
  auto* context = static_cast<UsbContext*>(user);
  if (event == LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT) {
    context->left(device);
  } else {
    context->came();
  }
  return 0;  // stay registered
}

}  // namespace

void ExitContext::operator()(libusb_context* context) const { libusb_exit(context); }

Result<ContextPointer> make_context() {
  libusb_context* context = nullptr;
  const int code = libusb_init(&context);
  if (code != LIBUSB_SUCCESS) {
    return fail(ErrorCode::Io, std::string("starting USB: ") + libusb_error_name(code),
                "Check that this computer has USB: lsusb.");
  }
  return ContextPointer(context);
}

Result<std::unique_ptr<UsbContext>> UsbContext::start(std::uint16_t vendor, std::uint16_t product) {
  PCM_ASSIGN(ContextPointer made, make_context());
  std::unique_ptr<UsbContext> context(new UsbContext(std::move(made)));
  const int code = libusb_hotplug_register_callback(
      context->get(), LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED | LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT, 0,
      vendor, product, LIBUSB_HOTPLUG_MATCH_ANY, hotplug, context.get(), nullptr);
  if (code != LIBUSB_SUCCESS) {
    return fail(
        ErrorCode::Io,
        std::string("listening for USB boards that come and go: ") + libusb_error_name(code),
        "Check that udev runs: systemctl status systemd-udevd.");
  }
  context->thread_ = std::thread([raw = context.get()] { raw->handle_events(); });
  return context;
}

UsbContext::~UsbContext() { stop(); }

void UsbContext::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  libusb_interrupt_event_handler(get());
  thread_.join();
}

void UsbContext::handle_events() {
  while (!stopping_) {
    timeval patience{.tv_sec = 60, .tv_usec = 0};
    const int code = libusb_handle_events_timeout_completed(get(), &patience, nullptr);
    if (code == LIBUSB_SUCCESS || code == LIBUSB_ERROR_INTERRUPTED) continue;
    // Not to spin should it fail again and again.
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, std::chrono::milliseconds(10), [this] { return stopping_.load(); });
  }
}

void UsbContext::watch(libusb_device* device, std::function<void()> left) {
  const std::lock_guard lock(mutex_);
  watched_ = device;
  left_ = std::move(left);
}

void UsbContext::unwatch() { watch(nullptr, {}); }

std::uint64_t UsbContext::arrivals() {
  const std::lock_guard lock(mutex_);
  return arrivals_;
}

void UsbContext::wait_for_arrival(std::uint64_t seen, Deadline until) {
  std::unique_lock lock(mutex_);
  arrived_.wait_until(lock, until, [&] { return arrivals_ != seen; });
}

void UsbContext::came() {
  const std::lock_guard lock(mutex_);
  ++arrivals_;
  arrived_.notify_all();
}

void UsbContext::left(const libusb_device* device) {
  const std::lock_guard lock(mutex_);
  if (device == watched_ && left_) left_();
}

}  // namespace pcmlab::usb

// SPDX-License-Identifier: Apache-2.0
#include "driver/usb_transport.h"

#include <algorithm>
#include <utility>

#include "driver/usb_connection.h"
#include "driver/usb_context.h"
#include "driver/usb_device.h"

namespace pcmlab {
namespace {

/// A device node may get its permissions a little after the news of the device.
constexpr std::chrono::milliseconds kTryAgain{200};
/// For a board that has to be enumerated again because open() has reset it.
constexpr std::chrono::seconds kOpenPatience{3};

std::string serials_of(const std::vector<usb::FoundBoard>& found) {
  std::string serials;
  for (const usb::FoundBoard& one : found) {
    serials += (serials.empty() ? "" : ", ") + one.board.serial + " (usb " + one.board.port + ")";
  }
  return serials;
}

}  // namespace

UsbTransport::UsbTransport(std::unique_ptr<usb::UsbContext> context, UsbFilter filter,
                           const UsbSettings& settings)
    : settings_(settings), filter_(std::move(filter)), context_(std::move(context)) {}

UsbTransport::~UsbTransport() {
  if (connection_) connection_->stop();
  context_->unwatch();
  context_->stop();
}

Result<std::unique_ptr<UsbTransport>> UsbTransport::open(const UsbFilter& filter,
                                                         const UsbSettings& settings) {
  PCM_ASSIGN(auto context, usb::UsbContext::start(filter.vendor, filter.product));
  UsbFilter wanted = filter;
  wanted.serial.clear();
  PCM_ASSIGN(const std::vector<usb::FoundBoard> found, usb::find_boards(context->get(), wanted));
  const std::string who =
      filter.serial.empty() ? "a board on the USB" : "usb board " + filter.serial;
  if (found.empty()) {
    return fail(ErrorCode::Disconnected, "opening " + who + ": no board is plugged in",
                "Plug the board in and switch it on; lsusb should list it.");
  }
  if (filter.serial.empty() && found.size() > 1) {
    return fail(ErrorCode::Refused, "opening " + who + ": there are several: " + serials_of(found),
                "Say which by its serial number.");
  }
  const auto chosen = std::find_if(found.begin(), found.end(), [&](const usb::FoundBoard& one) {
    return filter.serial.empty() || one.board.serial == filter.serial;
  });
  if (chosen == found.end()) {
    return fail(ErrorCode::Disconnected,
                "opening " + who + ": it is not plugged in; there is " + serials_of(found),
                "Plug that board in, or name another serial number.");
  }
  wanted.serial = chosen->board.serial;
  std::unique_ptr<UsbTransport> transport(
      new UsbTransport(std::move(context), std::move(wanted), settings));
  transport->board_ = chosen->board;
  PCM_TRY(transport->connect_until(Clock::now() + kOpenPatience, false));
  return transport;
}

Result<void> UsbTransport::connect_until(Deadline deadline, bool whatever_happens) {
  for (;;) {
    const std::uint64_t seen = context_->arrivals();
    Result<void> connected = connect();
    if (connected) return {};
    const auto now = Clock::now();
    const bool may_pass = whatever_happens || connected.error().code == ErrorCode::Disconnected;
    if (!may_pass || now >= deadline) return connected;
    context_->wait_for_arrival(seen, std::min(deadline, now + kTryAgain));
  }
}

Result<void> UsbTransport::connect() {
  UsbFilter any = filter_;
  any.serial.clear();
  PCM_ASSIGN(std::vector<usb::FoundBoard> found, usb::find_boards(context_->get(), any));
  const auto chosen = std::find_if(found.begin(), found.end(), [&](const usb::FoundBoard& one) {
    return one.board.serial == filter_.serial;
  });
  if (chosen == found.end() && !found.empty()) {
    return fail(ErrorCode::Incompatible,
                "reopening " + description() + ": another board is there, " + serials_of(found),
                "Plug in the board with serial number " + filter_.serial + " again.");
  }
  if (chosen == found.end()) {
    return fail(ErrorCode::Disconnected, "reopening " + description() + ": it is not plugged in",
                "Check the board's power and cable, then go on.");
  }
  UsbBoard board = chosen->board;
  libusb_device* device = chosen->device.get();
  auto connection = std::make_unique<usb::UsbConnection>(std::move(*chosen), settings_);
  context_->watch(device, [raw = connection.get()] { raw->departed(); });
  if (Result<void> started = connection->start(); !started) {
    connection->stop();
    context_->unwatch();
    return started;
  }
  connection_ = std::move(connection);
  board_ = std::move(board);
  return {};
}

void UsbTransport::disconnect() {
  if (connection_) connection_->stop();
  context_->unwatch();
  connection_.reset();
}

Result<void> UsbTransport::check_connected() const {
  if (connection_) return {};
  return fail(ErrorCode::Disconnected, description() + ": the board was unplugged",
              "Check the board's power and cable, then go on.");
}

Result<void> UsbTransport::send(std::span<const std::byte> bytes, Deadline deadline) {
  PCM_TRY(check_connected());
  return connection_->send(bytes, deadline);
}

Result<void> UsbTransport::receive(std::vector<std::byte>& into, Deadline deadline) {
  PCM_TRY(check_connected());
  return connection_->receive(into, deadline);
}

Result<void> UsbTransport::reopen(Deadline deadline) {
  disconnect();
  return connect_until(deadline, true);
}

std::string UsbTransport::description() const { return describe(board_); }

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "driver/usb_transfers.h"

#include <libusb.h>

#include <algorithm>

namespace pcmlab::usb {
namespace {

/// How long a cancelled transfer may take to come back; the kernel needs microseconds.
constexpr std::chrono::milliseconds kCancelPatience{1000};

void LIBUSB_CALL transfer_ended(libusb_transfer* handle) {
  auto* transfer = static_cast<Transfer*>(handle->user_data);
  transfer->owner->completed(*transfer);
}

Ending ending_of(libusb_transfer_status status) {
  switch (status) {
    case LIBUSB_TRANSFER_COMPLETED:
      return Ending::Completed;
    case LIBUSB_TRANSFER_CANCELLED:
      return Ending::Cancelled;
    case LIBUSB_TRANSFER_STALL:
      return Ending::Stalled;
    case LIBUSB_TRANSFER_OVERFLOW:
      return Ending::Overflow;
    case LIBUSB_TRANSFER_NO_DEVICE:
      return Ending::Gone;
    default:
      return Ending::Failed;
  }
}

}  // namespace

bool Signals::is_gone() {
  const std::lock_guard lock(mutex);
  return gone;
}

void Signals::set_gone() {
  {
    const std::lock_guard lock(mutex);
    gone = true;
  }
  in_changed.notify_all();
  out_changed.notify_all();
}

void FreeTransfer::operator()(libusb_transfer* transfer) const { libusb_free_transfer(transfer); }

Transfers::Transfers(Signals& signals, libusb_device_handle* device, unsigned char endpoint,
                     std::size_t count, std::size_t bytes)
    : signals_(signals), device_(device), endpoint_(endpoint) {
  for (std::size_t k = 0; k < count; ++k) {
    auto transfer = std::make_unique<Transfer>();
    transfer->owner = this;
    transfer->handle.reset(libusb_alloc_transfer(0));
    transfer->buffer = std::make_unique<std::byte[]>(bytes);
    transfers_.push_back(std::move(transfer));
  }
}

Transfers::~Transfers() = default;

Transfer* Transfers::idle() {
  const std::lock_guard lock(signals_.mutex);
  for (const auto& transfer : transfers_) {
    if (!transfer->queued && !transfer->in_flight) return transfer.get();
  }
  return nullptr;
}

int Transfers::submit(Transfer& transfer, std::size_t begin, std::size_t length, bool ends_send) {
  transfer.begin = begin;
  transfer.length = length;
  transfer.ends_send = ends_send;
  libusb_transfer& handle = *transfer.handle;
  libusb_fill_bulk_transfer(&handle, device_, endpoint_,
                            reinterpret_cast<unsigned char*>(transfer.buffer.get() + begin),
                            static_cast<int>(length), transfer_ended, &transfer, 0);
  handle.flags = ends_send ? LIBUSB_TRANSFER_ADD_ZERO_PACKET : 0;
  {
    const std::lock_guard lock(signals_.mutex);
    transfer.in_flight = true;
    transfer.actual = 0;
  }
  const int code = libusb_submit_transfer(&handle);
  if (code != LIBUSB_SUCCESS) {
    const std::lock_guard lock(signals_.mutex);
    transfer.in_flight = false;
    return code;
  }
  transfer.queued = true;
  queue_.push_back(&transfer);
  return code;
}

void Transfers::completed(Transfer& transfer) {
  const Ending ending = ending_of(transfer.handle->status);
  bool trouble = false;
  {
    const std::lock_guard lock(signals_.mutex);
    transfer.in_flight = false;
    transfer.ending = ending;
    transfer.actual = static_cast<std::size_t>(std::max(transfer.handle->actual_length, 0));
    if (ending == Ending::Gone) signals_.gone = true;
    trouble = !is_in() && ending != Ending::Completed;
    if (trouble) signals_.out_trouble = true;
  }
  changed().notify_all();
  if (trouble || ending == Ending::Gone) {
    signals_.in_changed.notify_all();
    signals_.out_changed.notify_all();
  }
}

Transfer* Transfers::finished() {
  if (queue_.empty()) return nullptr;
  const std::lock_guard lock(signals_.mutex);
  return queue_.front()->in_flight ? nullptr : queue_.front();
}

void Transfers::pop() {
  queue_.front()->queued = false;
  queue_.pop_front();
}

void Transfers::forget() {
  while (!queue_.empty()) pop();
}

bool Transfers::cancel(std::size_t newest) {
  const std::size_t count = std::min(newest, queue_.size());
  const auto first = queue_.rbegin();
  const auto last = first + static_cast<std::ptrdiff_t>(count);
  // One that has ended meanwhile is not found, which is as good.
  std::for_each(first, last, [](const Transfer* transfer) {
    static_cast<void>(libusb_cancel_transfer(transfer->handle.get()));
  });
  std::unique_lock lock(signals_.mutex);
  return changed().wait_until(lock, Clock::now() + kCancelPatience, [&] {
    return std::none_of(first, last, [](const Transfer* transfer) { return transfer->in_flight; });
  });
}

void Transfers::keep_those_with_bytes() {
  const std::lock_guard lock(signals_.mutex);
  std::erase_if(queue_, [](Transfer* transfer) {
    if (transfer->in_flight) return false;
    transfer->queued = transfer->actual > 0;
    transfer->ending = Ending::Completed;
    return !transfer->queued;
  });
}

bool Transfers::are_at_rest() {
  const std::lock_guard lock(signals_.mutex);
  return std::none_of(transfers_.begin(), transfers_.end(),
                      [](const auto& transfer) { return transfer->in_flight; });
}

}  // namespace pcmlab::usb

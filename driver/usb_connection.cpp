// SPDX-License-Identifier: Apache-2.0
#include "driver/usb_connection.h"

#include <libusb.h>

#include <algorithm>
#include <utility>

namespace pcmlab::usb {
namespace {

/// So many stalls in a row, without a byte between, are borne.
constexpr unsigned kMostStalls = 3;

constexpr const char* kReplug = "Check the board's power and cable, then go on.";
constexpr const char* kBadLine =
    "Use a shorter or better cable, another port and no hub; then go on.";
constexpr const char* kPowerCycle = "Switch the board off and on.";

std::size_t half_of(std::size_t bytes, std::size_t packet) {
  return std::max(packet, bytes / 2 / packet * packet);
}

}  // namespace

UsbConnection::UsbConnection(FoundBoard found, const UsbSettings& settings)
    : found_(std::move(found)), settings_(settings) {}

UsbConnection::~UsbConnection() {
  stop();
  if (!handle_) return;
  libusb_release_interface(handle_.get(), endpoints_.interface);
  const bool at_rest =
      (!inputs_ || inputs_->are_at_rest()) && (!outputs_ || outputs_->are_at_rest());
  handle_.reset();  // no callback runs or will run after this
  if (at_rest) return;
  // The kernel did not give them back, so somebody may still write to them.
  static_cast<void>(inputs_.release());
  static_cast<void>(outputs_.release());
  static_cast<void>(signals_.release());
}

void UsbConnection::stop() {
  if (outputs_) outputs_->cancel();
  if (inputs_) inputs_->cancel();
}

Result<void> UsbConnection::start() {
  PCM_ASSIGN(endpoints_, find_endpoints(found_));
  PCM_ASSIGN(handle_, open_and_claim(found_, endpoints_));
  if (settings_.reset_at_open) {
    const int code = libusb_reset_device(handle_.get());
    // A board that cannot be reset is still worth talking to.
    if (code == LIBUSB_ERROR_NO_DEVICE || code == LIBUSB_ERROR_NOT_FOUND) {
      return error(code, "resetting");
    }
  }
  PCM_TRY(clear_halt(endpoints_.in));
  PCM_TRY(clear_halt(endpoints_.out));

  packet_bytes_ = static_cast<std::size_t>(endpoints_.packet_bytes);
  in_bytes_ = out_bytes_ =
      std::max(packet_bytes_, settings_.transfer_bytes / packet_bytes_ * packet_bytes_);
  inputs_wanted_ = std::max<std::size_t>(settings_.transfers_in, 1);
  inputs_ = std::make_unique<Transfers>(*signals_, handle_.get(), endpoints_.in, inputs_wanted_,
                                        in_bytes_);
  outputs_ =
      std::make_unique<Transfers>(*signals_, handle_.get(), endpoints_.out,
                                  std::max<std::size_t>(settings_.transfers_out, 1), out_bytes_);
  return start_inputs();
}

Result<void> UsbConnection::send(std::span<const std::byte> bytes, Deadline deadline) {
  const std::uint64_t begin = queued_;
  const std::size_t total = bytes.size();
  for (;;) {
    PCM_TRY(check_output());
    if (bytes.empty()) return {};
    Transfer* transfer = outputs_->idle();
    if (transfer == nullptr) {
      if (!wait_for_output(deadline)) return give_up_sending(begin, total);
      continue;
    }
    const std::size_t count = std::min(bytes.size(), out_bytes_);
    std::copy_n(bytes.begin(), count, transfer->buffer.get());
    // A board may wait for a whole buffer or a packet that is not full: it gets an empty one where
    // nothing follows a full one.
    const bool ends_send = count == bytes.size() && count % packet_bytes_ == 0;
    switch (const int code = outputs_->submit(*transfer, 0, count, ends_send)) {
      case LIBUSB_SUCCESS:
        queued_ += count;
        bytes = bytes.subspan(count);
        break;
      case LIBUSB_ERROR_NO_MEM: {
        PCM_ASSIGN(const bool in_time, make_room(deadline));
        if (!in_time) return give_up_sending(begin, total);
        break;
      }
      default:
        return refused(code, "sending to");
    }
  }
}

Result<void> UsbConnection::check_output() {
  bool trouble = false;
  {
    const std::lock_guard lock(signals_->mutex);
    if (signals_->gone) return gone();
    trouble = signals_->out_trouble;
  }
  if (trouble) return recover_output();
  retire_outputs();
  return {};
}

void UsbConnection::retire_outputs() {
  while (const Transfer* transfer = outputs_->finished()) {
    if (transfer->ending != Ending::Completed || transfer->actual < transfer->length) return;
    taken_ += transfer->length;
    out_stalls_ = 0;
    outputs_->pop();
  }
}

Result<void> UsbConnection::recover_output() {
  const bool ended = outputs_->cancel();
  {
    const std::lock_guard lock(signals_->mutex);
    signals_->out_trouble = false;
  }
  if (!ended) {
    drop_outputs();
    return cancelled_in_vain("sending to ");
  }
  retire_outputs();
  if (outputs_->queue().empty()) return {};
  const auto& queue = outputs_->queue();
  const auto cause = std::find_if(queue.begin(), queue.end(), [](const Transfer* transfer) {
    return transfer->ending != Ending::Completed && transfer->ending != Ending::Cancelled;
  });
  if (cause != queue.end() && (*cause)->ending != Ending::Stalled) {
    if (departs_soon()) return gone();
    const std::uint64_t lost = queued_ - taken_ - queue.front()->actual;
    drop_outputs();
    PCM_TRY(clear_halt(endpoints_.out));
    return fail(ErrorCode::Io,
                "sending to " + name() + ": the USB transfer failed; of the bytes on their way " +
                    std::to_string(lost) + " may not have arrived",
                kBadLine);
  }
  if (queue.front()->actual > 0) out_stalls_ = 0;
  if (cause != queue.end() && ++out_stalls_ > kMostStalls) {
    out_stalls_ = 0;
    const std::uint64_t lost = queued_ - taken_ - queue.front()->actual;
    drop_outputs();
    PCM_TRY(clear_halt(endpoints_.out));
    return fail(ErrorCode::Io,
                "sending to " + name() + ": it stalls again and again; " + std::to_string(lost) +
                    " bytes were not taken",
                kPowerCycle);
  }
  return resume_output();
}

Result<void> UsbConnection::resume_output() {
  PCM_TRY(clear_halt(endpoints_.out));
  const std::deque<Transfer*> rest = outputs_->queue();
  outputs_->forget();
  for (Transfer* transfer : rest) {
    taken_ += transfer->actual;
    const std::size_t begin = transfer->begin + transfer->actual;
    const std::size_t length = transfer->length - transfer->actual;
    if (length == 0) continue;
    const int code = outputs_->submit(*transfer, begin, length, transfer->ends_send);
    if (code == LIBUSB_SUCCESS) continue;
    if (code != LIBUSB_ERROR_NO_DEVICE) {
      outputs_->cancel();
      drop_outputs();
    }
    return refused(code, "sending again, after a stall, to");
  }
  return {};
}

void UsbConnection::drop_outputs() {
  outputs_->forget();
  taken_ = queued_;
  const std::lock_guard lock(signals_->mutex);
  signals_->out_trouble = false;
}

Result<void> UsbConnection::give_up_sending(std::uint64_t begin, std::size_t total) {
  const bool ended = outputs_->cancel();
  if (signals_->is_gone()) return gone();
  retire_outputs();
  const std::uint64_t there =
      taken_ + (ended && !outputs_->queue().empty() ? outputs_->queue().front()->actual : 0);
  drop_outputs();
  return fail(ErrorCode::Timeout,
              "sending " + std::to_string(total) + " bytes to " + name() + ": it took at least " +
                  std::to_string(there > begin ? there - begin : 0) +
                  " of them before the deadline",
              "Check that the board works; if it does not answer, switch it off and on.");
}

Result<bool> UsbConnection::make_room(Deadline deadline) {
  if (!outputs_->queue().empty()) return wait_for_output(deadline);
  if (inputs_->queue().size() > 1) {
    const std::size_t half = inputs_->queue().size() / 2;
    inputs_wanted_ = inputs_->queue().size() - half;
    inputs_->cancel(half);
    inputs_->keep_those_with_bytes();
    return true;
  }
  const bool smallest = out_bytes_ <= packet_bytes_;
  if (in_bytes_ > (smallest ? packet_bytes_ : out_bytes_)) {
    inputs_->cancel();
    inputs_->keep_those_with_bytes();
    in_bytes_ = half_of(in_bytes_, packet_bytes_);
    PCM_TRY(start_inputs());
    return true;
  }
  if (smallest) return error(LIBUSB_ERROR_NO_MEM, "sending to");
  out_bytes_ = half_of(out_bytes_, packet_bytes_);
  return true;
}

bool UsbConnection::wait_for_output(Deadline deadline) {
  std::unique_lock lock(signals_->mutex);
  return signals_->out_changed.wait_until(lock, deadline, [this] {
    return signals_->gone || signals_->out_trouble || outputs_->queue().empty() ||
           !outputs_->queue().front()->in_flight;
  });
}

Result<void> UsbConnection::receive(std::vector<std::byte>& into, Deadline deadline) {
  const std::size_t before = into.size();
  for (;;) {
    PCM_TRY(check_output());
    for (std::size_t k = 0; k < inputs_wanted_; ++k) {
      Transfer* transfer = inputs_->finished();
      if (transfer == nullptr) break;
      into.insert(into.end(), transfer->buffer.get(), transfer->buffer.get() + transfer->actual);
      if (transfer->actual > 0) in_stalls_ = 0;
      transfer->actual = 0;
      if (transfer->ending != Ending::Completed) {
        if (into.size() > before) return {};  // the next call looks at what went wrong
        PCM_TRY(recover_input(transfer->ending));
        break;
      }
      inputs_->pop();
      if (Result<void> started = start_inputs(); !started && into.size() == before) {
        return started;
      }
    }
    if (into.size() > before) return {};
    PCM_TRY(start_inputs());
    if (!wait_for_input(deadline)) {
      return fail(ErrorCode::Timeout, "no answer from " + name() + " before the deadline",
                  "Check that the board works; if it stays silent, switch it off and on.");
    }
  }
}

bool UsbConnection::wait_for_input(Deadline deadline) {
  if (inputs_->queue().empty()) return wait_for_output(deadline);
  std::unique_lock lock(signals_->mutex);
  return signals_->in_changed.wait_until(lock, deadline, [this] {
    return signals_->gone || signals_->out_trouble || !inputs_->queue().front()->in_flight;
  });
}

Result<void> UsbConnection::start_inputs() {
  while (inputs_->queue().size() < inputs_wanted_) {
    Transfer* transfer = inputs_->idle();
    if (transfer == nullptr) break;
    const int code = inputs_->submit(*transfer, 0, in_bytes_);
    if (code == LIBUSB_SUCCESS) continue;
    if (code != LIBUSB_ERROR_NO_MEM) return refused(code, "receiving from");
    if (!inputs_->queue().empty()) return {};  // fewer will do
    if (in_bytes_ <= packet_bytes_) {
      if (!outputs_->queue().empty()) return {};  // these will give back what they have
      return error(code, "receiving from");
    }
    in_bytes_ = half_of(in_bytes_, packet_bytes_);
  }
  return {};
}

Result<void> UsbConnection::recover_input(Ending ending) {
  if (ending == Ending::Failed && departs_soon()) return gone();
  const bool ended = inputs_->cancel();
  if (signals_->is_gone()) return gone();
  if (!ended) return cancelled_in_vain("receiving from ");
  inputs_->keep_those_with_bytes();
  PCM_TRY(clear_halt(endpoints_.in));
  PCM_TRY(start_inputs());
  switch (ending) {
    case Ending::Stalled:
      if (++in_stalls_ <= kMostStalls) return {};
      in_stalls_ = 0;
      return fail(ErrorCode::Io, "receiving from " + name() + ": it stalls again and again",
                  kPowerCycle);
    case Ending::Overflow:
      return fail(ErrorCode::Io,
                  "receiving from " + name() + ": it sent more in a packet than it may",
                  "Update the firmware, or check the cable; some bytes of the answer are lost.");
    case Ending::Failed:
      return fail(ErrorCode::Io, "receiving from " + name() + ": the USB transfer failed",
                  kBadLine);
    default:
      return {};
  }
}

bool UsbConnection::departs_soon() {
  std::unique_lock lock(signals_->mutex);
  return signals_->in_changed.wait_for(lock, settings_.departure_patience,
                                       [this] { return signals_->gone; });
}

tl::unexpected<Error> UsbConnection::refused(int code, const char* doing) {
  if (code == LIBUSB_ERROR_NO_DEVICE) {
    signals_->set_gone();
    return gone();
  }
  return departs_soon() ? gone() : error(code, doing);
}

Result<void> UsbConnection::clear_halt(unsigned char endpoint) {
  const int code = libusb_clear_halt(handle_.get(), endpoint);
  if (code == LIBUSB_SUCCESS) return {};
  if (code == LIBUSB_ERROR_NO_DEVICE || code == LIBUSB_ERROR_NOT_FOUND) {
    signals_->set_gone();
    return gone();
  }
  return error(code, "clearing a stall of");
}

tl::unexpected<Error> UsbConnection::gone() const {
  return fail(ErrorCode::Disconnected, name() + ": the board was unplugged", kReplug);
}

tl::unexpected<Error> UsbConnection::cancelled_in_vain(const char* doing) const {
  return fail(ErrorCode::Io, doing + name() + ": the kernel does not end a cancelled USB transfer",
              "Unplug the board and plug it in again.");
}

tl::unexpected<Error> UsbConnection::error(int code, const char* doing) const {
  return tl::unexpected(usb_error(code, doing, found_));
}

}  // namespace pcmlab::usb

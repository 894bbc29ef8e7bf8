// SPDX-License-Identifier: Apache-2.0
#include "driver/loopback_transport.h"

#include <algorithm>
#include <utility>

namespace pcmlab {

void LoopbackCable::unplug() {
  plugged_ = false;
  ++times_unplugged_;
}

void LoopbackCable::replug() {
  plugged_ = true;
  bytes_to_board_ = bytes_to_host_ = sends_ = kNever;
}

LoopbackTransport::LoopbackTransport(LoopbackEnd far_end, std::shared_ptr<LoopbackCable> cable,
                                     std::string name)
    : far_end_(std::move(far_end)),
      cable_(cable != nullptr ? std::move(cable) : std::make_shared<LoopbackCable>()),
      name_(std::move(name)),
      times_unplugged_(cable_->times_unplugged_) {}

Result<void> LoopbackTransport::check_cable() {
  if (cable_->times_unplugged_ != times_unplugged_ && !gone_) {
    gone_ = true;
    queued_.clear();
    if (far_end_.disconnected) far_end_.disconnected();
  }
  if (!gone_) return {};
  return fail(ErrorCode::Disconnected, name_ + ": the cable was pulled", "Plug it in.");
}

void LoopbackTransport::hand_over() {
  if (queued_.empty()) return;
  far_end_.take(queued_);
  queued_.clear();
}

Result<void> LoopbackTransport::send(std::span<const std::byte> bytes, Deadline /*deadline*/) {
  PCM_TRY(check_cable());
  LoopbackCable& cable = *cable_;
  const std::size_t through = std::min<std::uint64_t>(bytes.size(), cable.bytes_to_board_);
  queued_.insert(queued_.end(), bytes.begin(),
                 bytes.begin() + static_cast<std::ptrdiff_t>(through));
  if (cable.bytes_to_board_ != LoopbackCable::kNever) cable.bytes_to_board_ -= through;
  if (cable.sends_ != LoopbackCable::kNever) --cable.sends_;
  if (through == bytes.size() && cable.bytes_to_board_ != 0 && cable.sends_ != 0) return {};
  hand_over();
  cable.unplug();
  return check_cable();
}

Result<void> LoopbackTransport::receive(std::vector<std::byte>& into, Deadline /*deadline*/) {
  PCM_TRY(check_cable());
  hand_over();
  const std::size_t before = into.size();
  far_end_.give(into);
  const std::size_t came = into.size() - before;
  if (came == 0) {
    PCM_TRY(check_cable());  // it may have been pulled while the far end worked
    return fail(ErrorCode::Timeout, "no answer from " + name_ + ", which has nothing left to do");
  }
  if (cable_->bytes_to_host_ == LoopbackCable::kNever) return {};
  const std::size_t through = std::min<std::uint64_t>(came, cable_->bytes_to_host_);
  into.resize(before + through);
  cable_->bytes_to_host_ -= through;
  if (cable_->bytes_to_host_ == 0) cable_->unplug();
  return through == 0 ? check_cable() : Result<void>{};
}

Result<void> LoopbackTransport::reopen(Deadline /*deadline*/) {
  if (!gone_) {
    queued_.clear();
    if (far_end_.disconnected) far_end_.disconnected();
  }
  gone_ = !cable_->plugged();
  times_unplugged_ = cable_->times_unplugged_;
  if (gone_)
    return fail(ErrorCode::Disconnected, name_ + ": the cable is still out", "Plug it in.");
  return {};
}

}  // namespace pcmlab

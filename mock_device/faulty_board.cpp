// SPDX-License-Identifier: Apache-2.0
#include "mock_device/faulty_board.h"

#include <utility>

#include "protocol/bytes.h"
#include "protocol/crc32c.h"

namespace pcmlab::mock {
namespace {

TemperatureProfile heated(TemperatureProfile profile, const FaultPlan& plan) {
  profile.add_excursion(seconds(plan.over_temperature_from), seconds(plan.over_temperature_until),
                        plan.over_temperature_K);
  return profile;
}

PcmChip broken(PcmChip chip, const FaultPlan& plan) {
  chip.set_temperature(heated(chip.temperature(), plan));
  ChipFaults faults = plan.chip;
  faults.seed = ChipFaults{}.seed;
  if (faults == ChipFaults{}) return chip;
  faults.seed = plan.seed;
  chip.plant(faults);
  return chip;
}

MockBoardSettings slowed(MockBoardSettings settings, const FaultPlan& plan) {
  settings.slowness *= plan.slowness;
  settings.request_overhead += plan.request_overhead;
  return settings;
}

/// The bytes that the frame was read from.
void write(const wire::Frame& frame, std::vector<std::byte>& out) {
  out.clear();
  wire::ByteWriter writer(out);
  writer.characters({wire::kMagic.data(), wire::kMagic.size()});
  writer.u8(wire::kProtocolVersion);
  writer.u8(frame.type);
  writer.u16(frame.flags);
  writer.u32(frame.sequence);
  writer.u32(static_cast<std::uint32_t>(frame.payload.size()));
  const std::uint32_t header_crc = wire::crc32c(out);
  writer.u32(header_crc);
  writer.array(std::span<const std::byte>(frame.payload));
  writer.u32(wire::crc32c(frame.payload, header_crc));
}

}  // namespace

FaultyBoard::FaultyBoard(PcmChip chip, const MockBoardSettings& settings, const FaultPlan& plan)
    : plan_(plan),
      board_(broken(std::move(chip), plan), slowed(settings, plan)),
      requests_(FaultyLine::Direction::Requests, plan.line, plan.seed),
      replies_(FaultyLine::Direction::Replies, plan.line, plan.seed) {}

FaultCounters FaultyBoard::counters() const {
  return {requests_.counters(), replies_.counters(), hot_requests_, memory_losses_, disconnects_};
}

void FaultyBoard::receive(std::span<const std::byte> bytes) {
  if (unplugged_) return;
  if (requests_.is_perfect()) {
    board_.receive(bytes);
    return;
  }
  from_host_.append(bytes);
  to_board_.clear();
  while (const std::optional<wire::Frame> request = from_host_.next()) {
    write(*request, frame_);
    requests_.pass(frame_, to_board_);
  }
  board_.receive(to_board_);
}

bool FaultyBoard::work() {
  if (unplugged_ || board_.queued_requests() == 0) return false;
  if (plan_.over_temperature_K != 0 && board_.chip_time() >= plan_.over_temperature_from &&
      board_.chip_time() < plan_.over_temperature_until) {
    ++hot_requests_;
  }
  ++executed_;
  const bool loses_memory = is_due(plan_.memory_loss, memory_losses_);
  const bool disconnects = !loses_memory && is_due(plan_.disconnect, disconnects_);
  double share = 1;
  if (loses_memory) share = plan_.memory_loss.share;
  if (disconnects) share = plan_.disconnect.share;
  board_.work(share);
  frame_.clear();
  board_.take_output(frame_);
  if (loses_memory || disconnects) {
    interrupt(loses_memory);
  } else {
    replies_.pass(frame_, output_);
  }
  return true;
}

void FaultyBoard::take_output(std::vector<std::byte>& into) {
  if (into.empty()) {
    into.swap(output_);
    return;
  }
  into.insert(into.end(), output_.begin(), output_.end());
  output_.clear();
}

void FaultyBoard::connection_lost() {
  unplugged_ = false;
  from_host_.reset();
  replies_.drop();
  output_.clear();
  board_.connection_lost();
}

void FaultyBoard::set_temperature(TemperatureProfile profile) {
  board_.set_temperature(heated(std::move(profile), plan_));
}

bool FaultyBoard::is_due(const Interruption& interruption, std::uint64_t happened) const {
  return interruption.after_requests != 0 && executed_ % interruption.after_requests == 0 &&
         (interruption.times == 0 || happened < interruption.times);
}

void FaultyBoard::interrupt(bool loses_memory) {
  replies_.pass_part(frame_, output_);
  unplugged_ = true;
  if (loses_memory) {
    ++memory_losses_;
    board_.reboot(plan_.memory_loss_off);
  } else {
    ++disconnects_;
    board_.connection_lost();
  }
}

}  // namespace pcmlab::mock

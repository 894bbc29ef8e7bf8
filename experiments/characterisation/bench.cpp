// SPDX-License-Identifier: Apache-2.0
#include "experiments/characterisation/bench.h"

#include <fmt/format.h>

#include <utility>

namespace pcmlab {
namespace {

// Far from the numbers of program-and-verify, which count up from 1.
constexpr std::uint64_t kFirstBatch = std::uint64_t{1} << 61;

}  // namespace

CharacterisationBench::CharacterisationBench(Board& board, const ReadSettings& settings,
                                             db::RunStore store)
    : board_(&board),
      settings_(settings),
      clock_(make_clock(board)),
      store_(std::make_unique<db::RunStore>(std::move(store))),
      next_batch_(kFirstBatch) {}

Result<CharacterisationBench> CharacterisationBench::open(Board& board,
                                                          const ReadSettings& settings) {
  PCM_ASSIGN(db::RunStore store, db::RunStore::open(":memory:"));
  CharacterisationBench bench(board, settings, std::move(store));
  PCM_ASSIGN(bench.calibration_, board.calibrate(settings));
  return bench;
}

Result<std::vector<DeviceAddress>> CharacterisationBench::devices(std::size_t count) const {
  const ArrayShape shape = board_->information().shape;
  if (count > shape.device_count()) {
    return fail(
        ErrorCode::DoesNotFit,
        fmt::format("{} devices are asked for, but the array has {}", count, shape.device_count()),
        "ask for fewer devices");
  }
  std::vector<DeviceAddress> addresses;
  addresses.reserve(count);
  for (std::size_t i = 0; i < count; ++i) addresses.push_back(shape.at(i));
  return addresses;
}

Result<void> CharacterisationBench::wait(Duration duration) {
  PCM_ASSIGN(const BoardTime now, clock_->now());
  return wait_until(now + duration);
}

Result<BoardTime> CharacterisationBench::pulse(std::span<const DeviceAddress> addresses,
                                               std::span<const Pulse> sequence) {
  BoardTime last{};
  const std::uint64_t first_batch = next_batch_;
  next_batch_ += addresses.size() / board_->chunk_devices() + 1;
  PCM_TRY(board_->initialise(first_batch, sequence, addresses,
                             [&](const PulseChunk& chunk) -> Result<void> {
                               last = chunk.last;
                               if (chunk.unknown == 0) return {};
                               return fail(ErrorCode::Disconnected,
                                           fmt::format("the board booted during batch {}: nobody "
                                                       "can tell which devices got their pulses",
                                                       chunk.batch),
                                           "start the measurement again");
                             }));
  return last;
}

Result<CharacterisationBench::Reading> CharacterisationBench::read(
    std::span<const DeviceAddress> addresses) {
  Reading reading;
  reading.g_uS.reserve(addresses.size());
  PCM_TRY(board_->read(addresses, settings_, [&](const ReadChunk& chunk) -> Result<void> {
    if (chunk.begin == 0) reading.first = chunk.first;
    reading.last = chunk.last;
    for (const std::uint16_t sum : chunk.code_sums) {
      reading.g_uS.push_back(calibration_.conductance_uS(sum, settings_.samples));
    }
    return {};
  }));
  return reading;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "tests/experiments/busy_chip.h"

#include <chrono>
#include <cstdint>
#include <vector>

#include "db/run_store.h"
#include "experiments/engine/clock.h"
#include "experiments/programming/placement.h"
#include "experiments/programming/program_and_verify.h"
#include "tests/experiments/paper_settings.h"

namespace pcmlab {
namespace {

/// Busy time and wall time of `work`.
template <class Work>
Result<BusyShare> share_of(Board& board, const Work& work) {
  using WallClock = std::chrono::steady_clock;
  PCM_ASSIGN(const BoardStatus before, board.status());
  const auto began = WallClock::now();
  PCM_TRY(work());
  const std::chrono::duration<double> wall = WallClock::now() - began;
  PCM_ASSIGN(const BoardStatus after, board.status());
  return BusyShare{seconds(after.busy - before.busy), wall.count()};
}

std::vector<DeviceAddress> all_devices(const Board& board) {
  const ArrayShape shape = board.information().shape;
  std::vector<DeviceAddress> addresses;
  for (std::size_t i = 0; i < shape.device_count(); ++i) addresses.push_back(shape.at(i));
  return addresses;
}

}  // namespace

mock::BoardPace high_speed_in_real_time() {
  mock::BoardPace pace;
  pace.time_scale = 1;
  pace.latency = std::chrono::microseconds(125);
  pace.bytes_per_s = 40e6;
  return pace;
}

Result<BusyShare> busy_share_of_a_read(Board& board) {
  const auto addresses = all_devices(board);
  return share_of(board, [&] {
    return board.read(addresses, {5, Voltage::from_mV(200)},
                      [](const ReadChunk&) { return Result<void>(); });
  });
}

Result<BusyShare> busy_share_of_pulses(Board& board) {
  const auto addresses = all_devices(board);
  constexpr std::uint16_t kAmplitude_10nA = 20'000;
  const std::vector<std::uint16_t> amplitudes_10nA(addresses.size(), kAmplitude_10nA);
  return share_of(board, [&] {
    return board.program(1, paper_settings().pulse_width, addresses, amplitudes_10nA,
                         [](const PulseChunk&) { return Result<void>(); });
  });
}

Result<BusyShare> busy_share_of_a_programming(Board& board, std::size_t devices,
                                              const std::string& database) {
  db::Placement placement;
  placement.shape = board.information().shape;
  PCM_ASSIGN(placement.addresses, place_devices(devices, placement.shape, {}));
  placement.targets_uS.resize(devices);
  for (std::size_t d = 0; d < devices; d += 2) {
    placement.targets_uS[d] = 1.0F + 24.0F * static_cast<float>(d) / static_cast<float>(devices);
  }
  PCM_ASSIGN(db::RunStore store, db::RunStore::open(database));
  db::RunStart run;
  run.name = "busy chip";
  run.board = board.information();
  db::ProgrammingStart start;
  PCM_ASSIGN(start.run, store.begin_run(run));
  PCM_ASSIGN(start.step, store.begin_step(start.run, 0, "program", "{}"));
  start.gain_uS_per_code = board.information().adc_step.uS();
  PCM_ASSIGN(const db::RowId programming, store.begin_programming(start));
  PCM_TRY(store.set_placement(programming, placement));

  ProgramSettings settings = paper_settings();
  settings.verify_delay = {};
  const auto clock = make_clock(board);
  RunControl control;
  ProgramAndVerify loop(board, *clock, store, programming, settings, {start.gain_uS_per_code, 0},
                        control);
  return share_of(board, [&]() -> Result<void> {
    PCM_TRY(loop.run(placement, [](const ProgramPass&) { return Result<void>(); }));
    return {};
  });
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
// What the twin costs: pulses and reads of the chip alone, then a sweep and the whole
// program-and-verify of the paper's network through driver, protocol and loopback.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "driver/loopback_transport.h"
#include "driver/test_board.h"
#include "experiments/characterisation/level.h"
#include "experiments/network/network.h"
#include "experiments/programming/conductance_mapping.h"
#include "experiments/programming/placement.h"
#include "mock_device/mock_board.h"

namespace pcmlab {
namespace {

constexpr ArrayShape kShape{512, 2048};
constexpr std::size_t kNetworkDevices = 723444;

std::vector<DeviceAddress> network_devices() {
  return place_devices(kNetworkDevices, kShape, {}).value();
}

const std::vector<Pulse>& staircase() {
  static const std::vector<Pulse> kStaircase = [] {
    std::vector<Pulse> pulses{{Current::from_uA(450), Duration(50)}};
    for (const double amplitude_uA : {160, 140, 120, 100, 80, 60}) {
      pulses.push_back({Current::from_uA(amplitude_uA), Duration(1000)});
    }
    return pulses;
  }();
  return kStaircase;
}

void per_device(benchmark::State& state, std::size_t devices_each) {
  const auto devices = static_cast<double>(state.iterations()) * static_cast<double>(devices_each);
  state.counters["per_device"] =
      benchmark::Counter(devices, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// Threads as the argument.
mock::PcmChip chip_of(const benchmark::State& state) {
  return {mock::PcmParameters{}, kShape, 1, static_cast<unsigned>(state.range(0))};
}

void chip_read(benchmark::State& state) {
  mock::PcmChip chip = chip_of(state);
  const auto addresses = network_devices();
  chip.initialise(addresses, staircase(), BoardTime(0));
  std::vector<std::uint16_t> sums(addresses.size());
  BoardTime now = std::chrono::seconds(30);
  for (auto _ : state) {
    chip.read(addresses, 5, Voltage::from_mV(200), now, sums);
    now += std::chrono::seconds(30);
  }
  per_device(state, addresses.size());
}
BENCHMARK(chip_read)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(
    benchmark::kMillisecond);

/// Argument 2: amplitude, uA; below the melt onset all devices crystallise, above it all melt.
void chip_program(benchmark::State& state) {
  mock::PcmChip chip = chip_of(state);
  const auto addresses = network_devices();
  chip.initialise(addresses, staircase(), BoardTime(0));
  const std::vector<std::uint16_t> amplitudes(addresses.size(),
                                              static_cast<std::uint16_t>(100 * state.range(1)));
  BoardTime now = std::chrono::seconds(30);
  for (auto _ : state) {
    chip.program(addresses, amplitudes, Duration(400), now);
    now += std::chrono::seconds(30);
  }
  per_device(state, addresses.size());
}
BENCHMARK(chip_program)
    ->ArgNames({"threads", "uA"})
    ->Args({1, 100})
    ->Args({1, 260})
    ->Args({2, 260})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

std::unique_ptr<TestBoard> open_board(unsigned threads) {
  auto mock =
      std::make_shared<mock::MockBoard>(mock::PcmChip(mock::PcmParameters{}, kShape, 1, threads));
  LoopbackEnd far_end;
  far_end.take = [mock](std::span<const std::byte> bytes) { mock->receive(bytes); };
  far_end.give = [mock](std::vector<std::byte>& into) {
    mock->work();
    mock->take_output(into);
  };
  return TestBoard::open(std::make_unique<LoopbackTransport>(std::move(far_end))).value();
}

/// One sweep of the network's devices, 5 samples each.
void sweep(benchmark::State& state) {
  const auto board = open_board(static_cast<unsigned>(state.range(0)));
  const auto addresses = network_devices();
  std::uint64_t sum = 0;
  for (auto _ : state) {
    const Result<void> read = board->read(addresses, {}, [&](const ReadChunk& chunk) {
      sum += chunk.code_sums.back();
      return Result<void>();
    });
    if (!read) state.SkipWithError(read.error().message.c_str());
  }
  benchmark::DoNotOptimize(sum);
  per_device(state, addresses.size());
}
BENCHMARK(sweep)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

/// The paper's network with the paper's loop, every pulse written down in a database in memory.
void program_and_verify(benchmark::State& state) {
  const Network network = load_builtin_network("resnet32-fashion-mnist").value();
  const WeightSet weights = weights_of(network);
  db::Placement placement;
  placement.shape = kShape;
  placement.targets_uS = ConductanceMapping(weights, Conductance::from_uS(25)).targets_uS(weights);
  placement.addresses = network_devices();
  const ProgramSettings settings = program_settings(ParameterValues(program_parameters()));
  std::int64_t pulses = 0;
  for (auto _ : state) {
    const auto board = open_board(static_cast<unsigned>(state.range(0)));
    CharacterisationBench bench = CharacterisationBench::open(*board).value();
    const auto outcome = program_placement(bench, placement, settings,
                                           [](const ProgramPass&) { return Result<void>(); });
    if (!outcome) {
      state.SkipWithError(outcome.error().message.c_str());
      return;
    }
    pulses = outcome->summary.pulses;
  }
  state.counters["pulses"] = static_cast<double>(pulses);
}
BENCHMARK(program_and_verify)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pcmlab

BENCHMARK_MAIN();

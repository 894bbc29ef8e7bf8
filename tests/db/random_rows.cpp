// SPDX-License-Identifier: Apache-2.0
#include "tests/db/random_rows.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "tests/db/test_files.h"

namespace pcmlab::db {

namespace {

template <class Number>
std::vector<Number> random_numbers(std::size_t count, std::uint64_t low, std::uint64_t high,
                                   std::mt19937_64& random) {
  std::vector<Number> numbers(count);
  for (Number& number : numbers) {
    number = static_cast<Number>(low + random() % (high - low + 1));
  }
  return numbers;
}

}  // namespace

RunStart make_run_start(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  RunStart start;
  start.name = "a night's \"retention\" – 24 h";
  start.plan_text = "[run]\nname = 'x'\n# with a comment\n";
  start.seed = random() | 1ULL << 63;  // does not fit a signed number
  start.program_version = "0.1.0";
  start.git_revision = "25c0808";
  start.operator_name = "Zoë";
  start.sample = "chip 7";
  start.board.serial = "PCM-0042";
  start.board.firmware = "1.2.3";
  start.board.shape = {512, 2048};
  start.board.capabilities = wire::kVirtualTime;
  start.board.boot_epoch = random() | 1ULL << 63;
  start.board.adc_step = Conductance::from_uS(0.2);
  start.board.sample_time = Duration(5000);
  start.board.limits.max_amplitude = Current::from_uA(500);
  start.board_description = "loopback to the mock board";
  start.images = "CIFAR-10 test_batch.bin sha256 0123";
  NetworkRow network;
  network.sha256 = std::string(62, 'a') + "09";
  network.name = "resnet32.onnx";
  network.weights = 361'722;
  network.devices = 723'444;
  network.onnx.resize(1'500'000);
  std::generate(network.onnx.begin(), network.onnx.end(),
                [&] { return static_cast<std::byte>(random()); });
  start.network = std::move(network);
  return start;
}

Placement make_placement(std::size_t devices, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Placement placement;
  placement.shape = {512, 2048};
  placement.first_weight = 17;
  std::vector<std::uint32_t> order(placement.shape.device_count());
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), random);
  for (std::size_t i = 0; i < devices; ++i) {
    placement.addresses.push_back(placement.shape.at(order[i]));
    placement.targets_uS.push_back(static_cast<float>(random() % 2500) / 100.0F);
  }
  return placement;
}

ProgrammingResult make_result(std::size_t devices, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  ProgrammingResult result;
  for (const auto verdict : random_numbers<std::uint8_t>(devices, 0, 2, random)) {
    result.verdicts.push_back(static_cast<Verdict>(verdict));
  }
  for (std::size_t d = 50; d < devices; d += 100) {
    result.verdicts[d] = d % 300 == 50 ? Verdict::StuckHigh : Verdict::StuckLow;
  }
  result.iterations = random_numbers<std::uint8_t>(devices, 0, 255, random);
  result.pulses = random_numbers<std::uint16_t>(devices, 0, 65535, random);
  result.last_amplitudes_10nA = random_numbers<std::uint16_t>(devices, 0, 65535, random);
  result.last_code_sums = random_numbers<std::uint16_t>(devices, 0, 65535, random);
  result.last_pulse_ticks_ns = random_numbers<std::int64_t>(devices, 0, 1ULL << 62, random);
  return result;
}

DriftFits make_drift_fits(std::size_t devices, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  DriftFits fits;
  for (const auto of : random_numbers<std::uint8_t>(devices, 0, 4, random)) {
    const auto device_class = static_cast<DriftClass>(of);
    const bool none = device_class == DriftClass::TooFewPoints || device_class == DriftClass::Stuck;
    const auto number = [&] { return none ? kNone : static_cast<float>(random() % 1000) / 1000; };
    fits.classes.push_back(device_class);
    fits.exponents.push_back(number());
    fits.exponent_errors.push_back(number());
    fits.g_t0_uS.push_back(number());
  }
  return fits;
}

std::vector<std::uint16_t> make_code_sums(std::size_t devices, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  return random_numbers<std::uint16_t>(devices, 0, 1275, random);
}

std::vector<SweepBlock> make_blocks(const std::vector<std::uint16_t>& code_sums,
                                    std::size_t block_devices) {
  std::vector<SweepBlock> blocks;
  for (std::size_t first = 0; first < code_sums.size(); first += block_devices) {
    const std::size_t count = std::min(block_devices, code_sums.size() - first);
    SweepBlock block;
    block.first_device = static_cast<std::int64_t>(first);
    block.stamp.first_tick_ns = static_cast<std::int64_t>(1000 * first);
    block.stamp.last_tick_ns = static_cast<std::int64_t>(1000 * (first + count));
    const auto begin = code_sums.begin() + static_cast<std::ptrdiff_t>(first);
    block.code_sums.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    blocks.push_back(std::move(block));
  }
  return blocks;
}

PreparedRun prepare_run(RunStore& store) {
  RunStart start;
  start.name = "small";
  start.board.serial = "PCM-0042";
  PreparedRun prepared;
  prepared.run = must(store.begin_run(start));
  prepared.step = must(store.begin_step(prepared.run, 0, "retention", R"({
    "reset_amplitude_uA": 450, "reset_width_ns": 50,
    "staircase_uA": [100, 200], "staircase_width_ns": 1000})"));
  ProgrammingStart programming;
  programming.run = prepared.run;
  programming.step = prepared.step;
  prepared.programming = must(store.begin_programming(programming));
  return prepared;
}

PreparedRun prepare_run(Result<RunStore> store) {
  RunStore opened = must(std::move(store));
  return prepare_run(opened);
}

SweepStart sweep_start(const PreparedRun& prepared, int ordinal) {
  SweepStart start;
  start.run = prepared.run;
  start.step = prepared.step;
  start.programming = prepared.programming;
  start.ordinal = ordinal;
  return start;
}

}  // namespace pcmlab::db

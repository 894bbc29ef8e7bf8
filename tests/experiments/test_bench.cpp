// SPDX-License-Identifier: Apache-2.0
#include "tests/experiments/test_bench.h"

#include <algorithm>
#include <random>

#include "tests/experiments/network/given_numbers.h"

namespace pcmlab {
namespace {

db::RunStore open_in_memory() { return db::RunStore::open(":memory:").value(); }

}  // namespace

mock::PcmParameters TestBench::good_devices() {
  mock::PcmParameters parameters;
  parameters.stuck_low_fraction = 0;
  parameters.stuck_high_fraction = 0;
  parameters.limited_range_fraction = 0;
  return parameters;
}

namespace {

mock::PcmChip chip_of(const mock::PcmParameters& parameters, ArrayShape shape,
                      const mock::ChipFaults& faults) {
  mock::PcmChip chip(parameters, shape, 11, 1);
  chip.plant(faults);
  return chip;
}

}  // namespace

TestBench::TestBench(const mock::PcmParameters& parameters, const mock::MockBoardSettings& settings,
                     ArrayShape shape, const mock::ChipFaults& faults)
    : mock(std::make_shared<mock::MockBoard>(chip_of(parameters, shape, faults), settings)),
      board(open()) {}

std::unique_ptr<TestBoard> TestBench::open() const {
  LoopbackEnd far_end;
  far_end.take = [m = mock](std::span<const std::byte> bytes) { m->receive(bytes); };
  far_end.give = [m = mock](std::vector<std::byte>& into) {
    m->work();
    m->take_output(into);
  };
  far_end.disconnected = [m = mock] { m->connection_lost(); };
  return TestBoard::open(std::make_unique<LoopbackTransport>(std::move(far_end), cable)).value();
}

TestRun::TestRun(const Board& board) : store(open_in_memory()) {
  db::RunStart start;
  start.name = "test";
  start.board = board.information();
  run = store.begin_run(start).value();
  step = store.begin_step(run, 0, "program", "{}").value();
}

RunInputs small_inputs() {
  constexpr int kInputs = 16, kClasses = 10, kImages = 300;
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  RunInputs inputs;
  DenseNode dense;
  dense.in_features = kInputs;
  dense.out_features = kClasses;
  for (int i = 0; i < kInputs * kClasses; ++i) dense.weights.push_back(normal(random));
  for (int i = 0; i < kClasses; ++i) dense.bias.push_back(0.1f * normal(random));
  inputs.images.name = "random images";
  inputs.images.description = "random images, seed 4";
  inputs.images.channels = kInputs;
  inputs.images.height = inputs.images.width = 1;
  inputs.images.classes = kClasses;
  std::vector<float> all_pixels;
  for (int image = 0; image < kImages; ++image) {
    std::vector<float> pixels;
    pixels.reserve(kInputs);
    for (int i = 0; i < kInputs; ++i) pixels.push_back(normal(random));
    std::vector<float> logits = dense.bias;
    for (std::size_t c = 0; c < kClasses; ++c) {
      for (std::size_t i = 0; i < kInputs; ++i)
        logits[c] += dense.weights[c * kInputs + i] * pixels[i];
    }
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    inputs.images.labels.push_back(static_cast<std::uint16_t>(best));
    all_pixels.insert(all_pixels.end(), pixels.begin(), pixels.end());
  }
  inputs.images.source = std::make_shared<test::GivenNumbers>(std::move(all_pixels), kInputs);
  inputs.network.name = "one dense layer";
  inputs.network.sha256 = std::string(64, 'a');
  inputs.network.file = {std::byte{1}};
  inputs.network.nodes = {{"dense", std::move(dense), {0}, 1}};
  inputs.network.shapes = {{kInputs, 1, 1}, {kClasses, 1, 1}};
  inputs.network.output = 1;
  inputs.weights = weights_of(inputs.network);
  return inputs;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// What tests of experiments work on: a small mock board, a store in memory, a small network.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "db/run_store.h"
#include "driver/loopback_transport.h"
#include "driver/test_board.h"
#include "experiments/engine/engine.h"
#include "mock_device/mock_board.h"

namespace pcmlab {

/// A mock board of 32 x 128 devices behind a loopback whose cable a test can pull.
struct TestBench {
  explicit TestBench(const mock::PcmParameters& parameters = good_devices(),
                     const mock::MockBoardSettings& settings = {}, ArrayShape shape = {32, 128},
                     const mock::ChipFaults& faults = {});

  static mock::PcmParameters good_devices();
  /// Another connection to the mock that is there.
  std::unique_ptr<TestBoard> open() const;

  std::shared_ptr<mock::MockBoard> mock;
  std::shared_ptr<LoopbackCable> cable = std::make_shared<LoopbackCable>();
  std::unique_ptr<TestBoard> board;
};

/// A store in memory with a run begun in it.
struct TestRun {
  explicit TestRun(const Board& board);

  db::RunStore store;
  db::RowId run = 0;
  db::RowId step = 0;
};

/// 16 inputs, 10 classes, one dense layer; the images' labels are what the network says, so that
/// its software accuracy is 100 %.
RunInputs small_inputs();

/// Keeps what it is told.
struct RecordingObserver : RunObserver {
  void step_started(std::size_t, std::size_t, std::string_view experiment) override {
    steps.emplace_back(experiment);
  }
  void message(const std::string& text) override { messages.push_back(text); }
  void progress(const db::ProgressRow& progress) override {
    rows.push_back(progress);
    if (on_progress) on_progress(progress);
  }

  std::vector<std::string> steps, messages;
  std::vector<db::ProgressRow> rows;
  std::function<void(const db::ProgressRow&)> on_progress;
};

}  // namespace pcmlab

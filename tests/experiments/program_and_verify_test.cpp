// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/program_and_verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "driver/recovering_board.h"
#include "experiments/programming/placement.h"
#include "tests/driver/faulty_loopback.h"
#include "tests/experiments/paper_settings.h"
#include "tests/experiments/test_bench.h"

namespace pcmlab {
namespace {

using db::Verdict;

/// One programming of `targets_uS` on a fresh mock chip.
struct Programming {
  explicit Programming(std::vector<float> targets_uS,
                       const mock::PcmParameters& parameters = TestBench::good_devices(),
                       const mock::MockBoardSettings& settings = {})
      : bench(parameters, settings), run(*bench.board) {
    placement.shape = bench.board->information().shape;
    placement.addresses = place_devices(targets_uS.size(), placement.shape, {}).value();
    placement.targets_uS = std::move(targets_uS);
    db::ProgrammingStart start;
    start.run = run.run;
    start.step = run.step;
    start.gain_uS_per_code = 0.2;
    id = run.store.begin_programming(start).value();
    EXPECT_TRUE(run.store.set_placement(id, placement));
  }

  Result<ProgramOutcome> go(
      const ProgramSettings& s, std::stop_token stop = {},
      const ProgramProgress& progress = [](const ProgramPass&) { return Result<void>(); }) {
    const auto clock = make_clock(*bench.board);
    RunControl control({std::move(stop)});
    ProgramAndVerify loop(*bench.board, *clock, run.store, id, s, Calibration{}, control);
    return loop.run(placement, progress);
  }

  /// Pulses that the store says were executed.
  std::uint64_t pulses_acknowledged() {
    std::uint64_t sum = 0;
    const auto outcomes = run.store.outcomes(id).value();
    for (const db::BatchOutcome& outcome : outcomes) {
      sum += static_cast<std::uint64_t>(outcome.pulses_executed);
    }
    return sum;
  }
  /// Pulses that the chip got.
  std::uint64_t pulses_applied() const {
    std::uint64_t sum = 0;
    for (const DeviceAddress address : placement.addresses) {
      sum += bench.mock->chip().pulses_of(address);
    }
    return sum;
  }

  TestBench bench;
  TestRun run;
  db::Placement placement;
  db::RowId id = 0;
};

/// So that a pass over some hundred devices has many chunks.
mock::MockBoardSettings small_chunks() {
  mock::MockBoardSettings settings;
  settings.limits.max_devices_per_request = 16;
  return settings;
}

/// Pairs with targets spread over the range.
std::vector<float> spread_targets(std::size_t pairs) {
  std::vector<float> targets(2 * pairs, 0.0f);
  for (std::size_t i = 0; i < pairs; ++i) {
    targets[2 * i] = 1.0f + 24.0f * static_cast<float>(i) / static_cast<float>(pairs);
  }
  return targets;
}

TEST(ProgramAndVerify, BringsDevicesToTheirTargets) {
  Programming programming(spread_targets(400));
  const auto outcome = programming.go(paper_settings());
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->summary.nonzero_targets, 400);
  EXPECT_GE(outcome->summary.converged, 396);
  for (std::size_t d = 0; d < 800; ++d) {
    if (outcome->devices.verdicts[d] != Verdict::Converged) continue;
    const double g_uS = 0.2 * outcome->devices.last_code_sums[d] / 5;
    EXPECT_NEAR(g_uS, static_cast<double>(programming.placement.targets_uS[d]), 0.2501) << d;
  }
}

TEST(ProgramAndVerify, GivesZeroTargetsOneResetAndNoVerify) {
  Programming programming(spread_targets(20));
  const auto outcome = programming.go(paper_settings());
  ASSERT_TRUE(outcome) << outcome.error().message;
  for (std::size_t d = 1; d < 40; d += 2) {
    EXPECT_EQ(outcome->devices.verdicts[d], Verdict::Reset);
    EXPECT_EQ(outcome->devices.pulses[d], 1);
    EXPECT_EQ(outcome->devices.iterations[d], 0);
    EXPECT_EQ(programming.bench.mock->chip().pulses_of(programming.placement.addresses[d]), 1u);
  }
}

TEST(ProgramAndVerify, CountsEveryPulseThatTheChipGot) {
  Programming programming(spread_targets(200));
  const auto outcome = programming.go(paper_settings());
  ASSERT_TRUE(outcome) << outcome.error().message;
  std::int64_t sum = 0;
  for (std::size_t d = 0; d < 400; ++d) {
    const auto chip = programming.bench.mock->chip().pulses_of(programming.placement.addresses[d]);
    EXPECT_EQ(outcome->devices.pulses[d], chip) << d;
    sum += chip;
  }
  EXPECT_EQ(outcome->summary.pulses, sum);
  EXPECT_EQ(static_cast<std::int64_t>(programming.bench.mock->pulses_executed()), sum);
}

TEST(ProgramAndVerify, GivesUpOnAStuckDeviceAndFinishesTheOthers) {
  mock::PcmParameters parameters = TestBench::good_devices();
  parameters.stuck_low_fraction = 0.05;
  Programming programming(spread_targets(400), parameters);
  const auto outcome = programming.go(paper_settings());
  ASSERT_TRUE(outcome) << outcome.error().message;
  std::int64_t stuck = 0;
  for (std::size_t d = 0; d < 800; d += 2) {
    const Verdict verdict = outcome->devices.verdicts[d];
    EXPECT_TRUE(verdict == Verdict::Converged || verdict == Verdict::StuckLow ||
                verdict == Verdict::MaxIterations)
        << d;
    stuck += verdict == Verdict::StuckLow ? 1 : 0;
  }
  EXPECT_GT(stuck, 8);
  EXPECT_LT(stuck, 40);
  EXPECT_GE(outcome->summary.converged, 355);
}

TEST(ProgramAndVerify, NamesDevicesThatStayTooHigh) {
  mock::PcmParameters parameters = TestBench::good_devices();
  parameters.stuck_high_fraction = 1;
  Programming programming({5.0f, 0.0f}, parameters);
  const auto outcome = programming.go(paper_settings());
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->devices.verdicts[0], Verdict::StuckHigh);
}

TEST(ProgramAndVerify, StopsAtTheLastIteration) {
  Programming programming(spread_targets(50));
  ProgramSettings s = paper_settings();
  s.max_iterations = 3;
  const auto outcome = programming.go(s);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->summary.iterations, 3);
  for (std::size_t d = 0; d < 100; d += 2) {
    EXPECT_NE(outcome->devices.verdicts[d], Verdict::Reset);
    EXPECT_LE(outcome->devices.iterations[d], 3);
    // RESET and staircase, then a pulse after each verify but the last.
    EXPECT_LE(outcome->devices.pulses[d], 7 + 2);
  }
}

TEST(ProgramAndVerify, StaysInsideItsAmplitudes) {
  Programming programming(spread_targets(300));
  ASSERT_TRUE(programming.go(paper_settings()));
  const auto batches = programming.run.store.batches(programming.id);
  ASSERT_TRUE(batches);
  std::size_t pulses = 0;
  for (const db::BatchRow& batch : *batches) {
    for (const std::uint16_t amplitude : batch.amplitudes_10nA) {
      EXPECT_GE(amplitude, 8000);
      EXPECT_LE(amplitude, 40000);
      ++pulses;
    }
  }
  EXPECT_GT(pulses, 300u);
}

TEST(ProgramAndVerify, WritesDownEveryBatchItsOutcomeAndTheReadAfterIt) {
  Programming programming(spread_targets(300));
  const auto outcome = programming.go(paper_settings());
  ASSERT_TRUE(outcome) << outcome.error().message;
  const auto batches = programming.run.store.batches(programming.id).value();
  const auto outcomes = programming.run.store.outcomes(programming.id).value();
  const auto reads = programming.run.store.verify_reads(programming.id).value();
  ASSERT_EQ(outcomes.size(), batches.size());
  std::int64_t pulses = 0;
  for (std::size_t b = 0; b < batches.size(); ++b) {
    EXPECT_EQ(outcomes[b].batch, batches[b].batch);
    pulses += outcomes[b].pulses_executed;
  }
  EXPECT_EQ(pulses, outcome->summary.pulses);
  ASSERT_EQ(reads.size() + 1, batches.size()) << "all but the RESET of zero targets are verified";
  for (std::size_t r = 0; r < reads.size(); ++r) {
    EXPECT_EQ(reads[r].batch, batches[r + 1].batch);
    EXPECT_EQ(reads[r].code_sums.size(), batches[r + 1].devices.size());
  }
}

TEST(ProgramAndVerify, VerifiesNoDeviceBeforeTheDelay) {
  Programming programming(spread_targets(100));
  ASSERT_TRUE(programming.go(paper_settings()));
  const auto outcomes = programming.run.store.outcomes(programming.id).value();
  const auto reads = programming.run.store.verify_reads(programming.id).value();
  for (std::size_t r = 0; r < reads.size(); ++r) {
    EXPECT_GE(reads[r].stamp.first_tick_ns - outcomes[r + 1].stamp.last_tick_ns, 10'000'000'000);
  }
}

TEST(ProgramAndVerify, AimsAtTheConductanceAtAnAge) {
  std::vector<float> targets(1600, 0.0f);
  for (std::size_t d = 0; d < targets.size(); d += 2) targets[d] = 15.0f;
  for (const bool aim : {false, true}) {
    Programming programming(targets);
    ProgramSettings s = paper_settings();
    s.aim_age = aim ? std::chrono::hours(1) : Duration(0);
    s.aim_drift_exponent = 0.05;
    const auto outcome = programming.go(s);
    ASSERT_TRUE(outcome) << outcome.error().message;
    const BoardTime end(outcome->summary.end_tick_ns);
    ASSERT_TRUE(make_clock(*programming.bench.board)->sleep_until(end + std::chrono::hours(1), {}));
    double sum_uS = 0;
    std::size_t count = 0;
    ASSERT_TRUE(programming.bench.board->read(
        programming.placement.addresses, {}, [&](const ReadChunk& chunk) -> Result<void> {
          for (std::size_t i = 0; i < chunk.code_sums.size(); ++i) {
            if (outcome->devices.verdicts[chunk.begin + i] != Verdict::Converged) continue;
            sum_uS += 0.2 * chunk.code_sums[i] / 5;
            ++count;
          }
          return {};
        }));
    const double mean_uS = sum_uS / static_cast<double>(count);
    if (aim) {
      EXPECT_NEAR(mean_uS, 15.0, 0.5);
    } else {
      EXPECT_LT(mean_uS, 12.0);
    }
  }
}

TEST(ProgramAndVerify, FinishesBlockByBlockWhenAsked) {
  Programming programming(spread_targets(200));
  ProgramSettings s = paper_settings();
  s.block_devices = 100;
  const auto outcome = programming.go(s);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->summary.nonzero_targets, 200);
  EXPECT_GE(outcome->summary.converged, 196);
  const auto batches = programming.run.store.batches(programming.id).value();
  // Once a block's devices are left they do not come back.
  std::uint32_t highest_block = 0;
  for (const db::BatchRow& batch : batches) {
    for (const std::uint32_t device : batch.devices) {
      EXPECT_GE(device / 100, highest_block);
      highest_block = std::max(highest_block, device / 100);
    }
  }
  EXPECT_EQ(highest_block, 3u);
}

TEST(ProgramAndVerify, StopsBetweenPassesAndKeepsWhatWasDone) {
  Programming programming(spread_targets(100));
  std::stop_source stop;
  const auto outcome =
      programming.go(paper_settings(), stop.get_token(), [&](const ProgramPass& pass) {
        if (pass.iteration == 4) stop.request_stop();
        return Result<void>();
      });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::Stopped);
  const auto batches = programming.run.store.batches(programming.id).value();
  const auto outcomes = programming.run.store.outcomes(programming.id).value();
  EXPECT_EQ(batches.size(), outcomes.size()) << "no pulse was sent that is not acknowledged";
  EXPECT_EQ(batches.back().iteration, 3);
}

TEST(ProgramAndVerify, PulsesWrittenDownAndNotSentHaveAnOutcomeOfNoPulses) {
  Programming programming(spread_targets(500), TestBench::good_devices(), small_chunks());
  std::stop_source stop;
  const auto outcome =
      programming.go(paper_settings(), stop.get_token(), [&](const ProgramPass& pass) {
        if (pass.iteration == 4) stop.request_stop();
        return Result<void>();
      });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::Stopped);
  const auto batches = programming.run.store.batches(programming.id).value();
  const auto outcomes = programming.run.store.outcomes(programming.id).value();
  ASSERT_EQ(batches.size(), outcomes.size());
  ASSERT_EQ(batches.back().iteration, 4) << "written down while the chip was read";
  for (std::size_t b = 0; b < batches.size(); ++b) {
    if (batches[b].iteration == 4) {
      EXPECT_EQ(outcomes[b].pulses_executed, 0);
    }
  }
  EXPECT_EQ(programming.pulses_acknowledged(), programming.pulses_applied());
  // The reads of the pass at which it stopped are kept: of each batch sent but the RESETs.
  const auto sent = std::count_if(batches.begin(), batches.end(), [](const db::BatchRow& batch) {
    return batch.iteration < 4 && batch.kind != db::BatchKind::Reset;
  });
  EXPECT_EQ(programming.run.store.verify_reads(programming.id)->size(),
            static_cast<std::size_t>(sent));
}

TEST(ProgramAndVerify, AStoreThatFailsInTheMiddleOfAPassIsWhatTheErrorNames) {
  for (const std::string table : {"pulse_batch", "pulse_batch_verify"}) {
    Programming programming(spread_targets(500), TestBench::good_devices(), small_chunks());
    std::string trigger = "CREATE TRIGGER full BEFORE INSERT ON ";
    trigger.append(table).append(" WHEN (SELECT count(*) FROM ").append(table);
    trigger += ") > 150 BEGIN SELECT RAISE(ABORT, 'no more of this'); END";
    ASSERT_TRUE(programming.run.store.database().execute(trigger));
    const auto outcome = programming.go(paper_settings());
    ASSERT_FALSE(outcome);
    EXPECT_THAT(outcome.error().message, ::testing::HasSubstr("no more of this")) << table;
    EXPECT_THAT(outcome.error().message, ::testing::Not(::testing::HasSubstr("never intended")));
    EXPECT_EQ(programming.pulses_acknowledged(), programming.pulses_applied()) << table;
  }
}

TEST(ProgramAndVerify, EveryPulseOfAnInterruptedRunWasWrittenDownBefore) {
  for (const std::uint64_t bytes : {20'000u, 45'000u, 60'001u, 80'123u}) {
    Programming programming(spread_targets(500));
    programming.bench.cable->unplug_after_bytes_to_board(bytes);
    const auto outcome = programming.go(paper_settings());
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::Disconnected);
    std::vector<std::uint32_t> intended(1000, 0);
    const auto batches = programming.run.store.batches(programming.id).value();
    for (const db::BatchRow& batch : batches) {
      const std::uint32_t each = batch.kind == db::BatchKind::Staircase ? 7 : 1;
      for (const std::uint32_t device : batch.devices) intended[device] += each;
    }
    for (std::size_t d = 0; d < intended.size(); ++d) {
      EXPECT_LE(programming.bench.mock->chip().pulses_of(programming.placement.addresses[d]),
                intended[d])
          << d << " after " << bytes;
    }
  }
}

TEST(ProgramAndVerify, NumbersItsBatchesOnFromThoseOfTheBoardsEarlierRuns) {
  Programming programming(spread_targets(10));
  ASSERT_TRUE(programming.go(paper_settings()));
  const std::uint64_t last = programming.run.store.batches(programming.id).value().back().batch;
  EXPECT_EQ(programming.run.store.next_batch("MOCK0001").value(), last + 1);
}

TEST(ProgramAndVerify, SameSeedGivesTheSameResult) {
  Programming first(spread_targets(100)), second(spread_targets(100));
  const auto a = first.go(paper_settings()), b = second.go(paper_settings());
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->devices.last_code_sums, b->devices.last_code_sums);
  EXPECT_EQ(a->devices.last_amplitudes_10nA, b->devices.last_amplitudes_10nA);
  EXPECT_EQ(a->devices.last_pulse_ticks_ns, b->devices.last_pulse_ticks_ns);
}

// ---- a board that loses its memory ------------------------------------------------------------

/// As Programming, on a board that boots at a certain request with a batch half done.
struct InterruptedProgramming {
  InterruptedProgramming(std::vector<float> targets_uS, std::uint64_t after_requests) {
    mock::FaultPlan plan;
    plan.memory_loss.after_requests = after_requests;
    plan.memory_loss.share = 0.5;
    mock::MockBoardSettings mock_settings;
    mock_settings.limits.max_devices_per_request = 100;
    mock_settings.ledger_batches = 100000;
    mock.emplace(mock::PcmChip(TestBench::good_devices(), {32, 128}, 11, 1), mock_settings, plan);
    RecoverySettings recovery;
    recovery.tell = [this](const BoardEvent& event) {
      unknown += event.kind == BoardEvent::Kind::BatchUnknown ? 1 : 0;
    };
    board.emplace(
        TestBoard::open(testing::loopback_to(*mock, std::make_shared<LoopbackCable>())).value(),
        std::move(recovery));
    run.emplace(*board);
    placement.shape = board->information().shape;
    placement.addresses = place_devices(targets_uS.size(), placement.shape, {}).value();
    placement.targets_uS = std::move(targets_uS);
    db::ProgrammingStart start;
    start.run = run->run;
    start.step = run->step;
    start.gain_uS_per_code = 0.2;
    id = run->store.begin_programming(start).value();
    EXPECT_TRUE(run->store.set_placement(id, placement));
  }

  Result<ProgramOutcome> go() {
    const auto clock = make_clock(*board);
    RunControl control;
    ProgramAndVerify loop(*board, *clock, run->store, id, paper_settings(), Calibration{}, control);
    return loop.run(placement, [](const ProgramPass&) { return Result<void>(); });
  }

  std::optional<mock::FaultyBoard> mock;
  std::optional<RecoveringBoard> board;
  std::optional<TestRun> run;
  db::Placement placement;
  db::RowId id = 0;
  int unknown = 0;
};

TEST(ProgramAndVerify, ReadsBeforeItWritesWhenTheBoardHasLostItsMemory) {
  const std::vector<float> targets = spread_targets(400);
  // Requests are Hello, Information, two of Status, 4 of RESET, 4 of the staircase, and 8 a pass.
  for (const std::uint64_t at : {6U, 7U, 9U, 11U, 15U, 24U, 32U}) {
    InterruptedProgramming programming(targets, at);
    const auto outcome = programming.go();
    ASSERT_TRUE(outcome) << at << ": " << outcome.error().message;
    EXPECT_EQ(programming.mock->counters().memory_losses, 1U);
    // A device that was left out of the staircase may be one that never gets there.
    EXPECT_GE(outcome->summary.converged, 396) << at;
    const mock::PcmChip& chip = programming.mock->board().chip();
    for (std::size_t d = 0; d < targets.size(); d += 2) {
      ASSERT_LE(outcome->devices.pulses[d], chip.pulses_of(programming.placement.addresses[d]))
          << "device " << d << ", request " << at;
    }
    // Of a batch whose fate is unknown the database has the intention and no outcome.
    const auto outcomes = programming.run->store.outcomes(programming.id);
    const auto batches = programming.run->store.batches(programming.id);
    ASSERT_TRUE(outcomes && batches);
    EXPECT_EQ(batches->size() - outcomes->size(), static_cast<std::size_t>(programming.unknown));
  }
}

TEST(ProgramAndVerify, ResetsAgainOnlyDevicesThatReadAsNotReset) {
  // All devices hold a weight from before; half of a batch of RESETs reaches them.
  InterruptedProgramming interrupted(std::vector<float>(200, 0.0f), 8);
  const std::vector<Pulse> set{{Current::from_uA(100), Duration(1000)}};
  ASSERT_TRUE(interrupted.board->initialise(1, set, interrupted.placement.addresses,
                                            [](const PulseChunk&) { return Result<void>(); }));
  const auto outcome = interrupted.go();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_GT(interrupted.unknown, 0);
  const mock::PcmChip& chip = interrupted.mock->board().chip();
  std::map<std::uint32_t, int> devices_by_pulses;
  for (const DeviceAddress& address : interrupted.placement.addresses) {
    ++devices_by_pulses[static_cast<std::uint32_t>(chip.pulses_of(address))];
  }
  // One to SET and one RESET, for every device.
  EXPECT_EQ(devices_by_pulses, (std::map<std::uint32_t, int>{{2, 200}}));
}

}  // namespace
}  // namespace pcmlab

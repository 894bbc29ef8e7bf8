// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "db/run_store.h"
#include "tests/db/random_rows.h"
#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::size_t kPaperDevices = 723'444;

/// As in a run: written by one store, read by another that cannot write.
class RoundTrip : public testing::Test {
 protected:
  RunStore writer() const { return must(RunStore::open(folder_ / "results.db")); }
  RunStore reader() const { return must(RunStore::open_read_only(folder_ / "results.db")); }
  const TemporaryFolder folder_;
};

TEST_F(RoundTrip, OfARun) {
  const RunStart start = make_run_start(1);
  auto store = writer();
  const RowId id = must(store.begin_run(start));
  const RunRow run = must(reader().run(id));
  EXPECT_EQ(run.id, id);
  EXPECT_THAT(run.uuid, testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]"
                                              "[0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_EQ(run.name, start.name);
  EXPECT_EQ(run.state, RunState::Running);
  EXPECT_THAT(run.started_utc, testing::MatchesRegex("20..-..-..T..:..:......Z"));
  EXPECT_EQ(run.ended_utc, "");
  EXPECT_EQ(run.error, "");
  EXPECT_EQ(run.plan_text, start.plan_text);
  EXPECT_EQ(run.seed, start.seed);
  EXPECT_EQ(run.program_version, start.program_version);
  EXPECT_EQ(run.git_revision, start.git_revision);
  EXPECT_EQ(run.operator_name, start.operator_name);
  EXPECT_EQ(run.sample, start.sample);
  EXPECT_NE(run.host, "");
  EXPECT_EQ(run.pid, getpid());
  EXPECT_EQ(run.board_serial, start.board.serial);
  EXPECT_EQ(run.board_firmware, start.board.firmware);
  EXPECT_EQ(run.board_description, start.board_description);
  EXPECT_EQ(run.boot_epoch, start.board.boot_epoch);
  EXPECT_EQ(run.network_name, start.network->name);
  EXPECT_EQ(run.network_sha256, start.network->sha256);
  EXPECT_EQ(run.weights, start.network->weights);
  EXPECT_EQ(run.devices, start.network->devices);
  EXPECT_EQ(run.images, start.images);

  const NetworkRow network = must(reader().network(start.network->sha256));
  EXPECT_EQ(network.name, start.network->name);
  EXPECT_EQ(network.weights, start.network->weights);
  EXPECT_EQ(network.devices, start.network->devices);
  EXPECT_EQ(network.onnx, start.network->onnx);

  must(store.finish_run(id, RunState::Failed, "the board went away"));
  const RunRow ended = must(reader().run(id));
  EXPECT_EQ(ended.state, RunState::Failed);
  EXPECT_EQ(ended.error, "the board went away");
  EXPECT_GE(ended.ended_utc, ended.started_utc);
}

TEST_F(RoundTrip, KeepsTheSameNetworkAndBoardOnce) {
  auto store = writer();
  must(store.begin_run(make_run_start(1)));
  must(store.begin_run(make_run_start(1)));
  EXPECT_EQ(must(store.database().query_integer("SELECT count(*) FROM network")), 1);
  EXPECT_EQ(must(store.database().query_integer("SELECT count(*) FROM board")), 1);
}

TEST_F(RoundTrip, ListsTheNewestRunFirst) {
  auto store = writer();
  const RowId first = must(store.begin_run(make_run_start(1)));
  const RowId second = must(store.begin_run(make_run_start(2)));
  const auto runs = must(reader().runs());
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].id, second);
  EXPECT_EQ(runs[1].id, first);
  EXPECT_NE(runs[0].uuid, runs[1].uuid);
}

TEST_F(RoundTrip, NamesTheRunsThereAreForOneThatIsNot) {
  auto store = writer();
  EXPECT_THAT(error_of(store.run(7)).message, HasSubstr("and no other"));
  prepare_run(store);
  prepare_run(store);
  const Error error = error_of(store.run(7));
  EXPECT_EQ(error.code, ErrorCode::NotFound);
  EXPECT_THAT(error.message, HasSubstr("there is no run 7"));
  EXPECT_THAT(error.message, HasSubstr("2 (small), 1 (small)"));
}

TEST_F(RoundTrip, EndsARunOnce) {
  auto store = writer();
  const RowId run = prepare_run(store).run;
  must(store.finish_run(run, RunState::Complete, ""));
  const Error error = error_of(store.finish_run(run, RunState::Failed, "late"));
  EXPECT_THAT(error.message, HasSubstr("already complete"));
  EXPECT_EQ(must(store.run(run)).state, RunState::Complete);
  EXPECT_EQ(error_of(store.finish_run(run + 1, RunState::Complete, "")).code, ErrorCode::NotFound);
}

TEST_F(RoundTrip, OfARunWithoutABoard) {
  auto store = writer();
  const RowId run = must(store.begin_run(RunStart{}));
  EXPECT_EQ(must(reader().run(run)).board_serial, "");
}

TEST_F(RoundTrip, OfSteps) {
  auto store = writer();
  const RowId run = must(store.begin_run(make_run_start(1)));
  const RowId program = must(store.begin_step(run, 0, "program", R"({"iterations": 55})"));
  must(store.finish_step(program, RunState::Complete, 12.5));
  const RowId retention = must(store.begin_step(run, 1, "retention", "{}"));
  const auto steps = must(reader().steps(run));
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[0].id, program);
  EXPECT_EQ(steps[0].ordinal, 0);
  EXPECT_EQ(steps[0].experiment, "program");
  EXPECT_EQ(steps[0].parameters_json, R"({"iterations": 55})");
  EXPECT_EQ(steps[0].state, RunState::Complete);
  EXPECT_EQ(steps[0].wall_s, 12.5);
  EXPECT_EQ(steps[1].id, retention);
  EXPECT_EQ(steps[1].state, RunState::Running);
  EXPECT_EQ(steps[1].wall_s, 0);
  EXPECT_EQ(error_of(store.finish_step(program, RunState::Failed, 1)).code, ErrorCode::NotFound);
}

TEST_F(RoundTrip, OfEventsAndProgress) {
  auto store = writer();
  const RowId run = prepare_run(store).run;
  EXPECT_FALSE(must(reader().progress(run)).has_value());
  must(store.add_event(run, "gap", "unplugged for 12 s"));
  must(store.add_event(run, "slip", "sweep 3 began 2 s late"));
  must(store.set_progress(run, {"programming, iteration 1", 5, 10, 60}));
  must(store.set_progress(run, {"programming, iteration 2", 7, 10, 30.5}));
  const auto events = must(reader().events(run));
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].kind, "gap");
  EXPECT_EQ(events[0].text, "unplugged for 12 s");
  EXPECT_NE(events[0].utc, "");
  EXPECT_EQ(events[1].kind, "slip");
  const auto progress = must(reader().progress(run));
  ASSERT_TRUE(progress.has_value());
  EXPECT_EQ(progress->activity, "programming, iteration 2");
  EXPECT_EQ(progress->done, 7);
  EXPECT_EQ(progress->total, 10);
  EXPECT_EQ(progress->eta_s, 30.5);
  EXPECT_NE(progress->heartbeat_utc, "");
}

TEST_F(RoundTrip, OfLayers) {
  auto store = writer();
  const RowId step = prepare_run(store).step;
  const std::vector<LayerRow> layers{{0, "conv1", 2, 28, 0, 0.75, 25.0, {0.75F, 0.5F}},
                                     {1, "fc", 10, 65, 448, 1.5, 24.5}};
  must(store.add_layers(step, layers));
  const auto read = must(reader().layers(step));
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[1].ordinal, 1);
  EXPECT_EQ(read[1].name, "fc");
  EXPECT_EQ(read[1].rows, 10);
  EXPECT_EQ(read[1].columns, 65);
  EXPECT_EQ(read[1].first_weight, 448);
  EXPECT_EQ(read[1].max_abs_weight, 1.5);
  EXPECT_EQ(read[1].g_max_uS, 24.5);
  EXPECT_EQ(read[0].row_max_abs_weights, layers[0].row_max_abs_weights);
  EXPECT_TRUE(read[1].row_max_abs_weights.empty());
}

TEST_F(RoundTrip, OfPulseBatches) {
  auto store = writer();
  const PreparedRun prepared = prepare_run(store);
  const std::vector<BatchRow> batches{{1, BatchKind::Reset, 0, 50, {0, 1, 2, 4'000'000'000U}, {}},
                                      {2, BatchKind::Staircase, 0, 0, {2, 0}, {}},
                                      {3, BatchKind::Program, 1, 1000, {1, 0}, {65535, 0}}};
  must(store.add_batches(prepared.programming, batches));
  const std::vector<BatchOutcome> outcomes{{1, 4, {10, 20, 30, 1'700'000'000'123'000'000}},
                                           {3, 1, {40, 50, 0, 0}}};
  must(store.add_outcomes(prepared.programming, outcomes));
  must(store.add_verify(prepared.programming,
                        std::vector{BatchVerify{3, {60, 70, 80, 0}, {9, 1275}}}));

  auto reading = reader();
  const auto read = must(reading.batches(prepared.programming));
  ASSERT_EQ(read.size(), 3U);
  for (std::size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].batch, batches[i].batch);
    EXPECT_EQ(read[i].kind, batches[i].kind);
    EXPECT_EQ(read[i].iteration, batches[i].iteration);
    EXPECT_EQ(read[i].width_ns, batches[i].width_ns);
    EXPECT_EQ(read[i].devices, batches[i].devices);
    EXPECT_EQ(read[i].amplitudes_10nA, batches[i].amplitudes_10nA);
  }
  const auto came = must(reading.outcomes(prepared.programming));
  ASSERT_EQ(came.size(), 2U);
  EXPECT_EQ(came[0].batch, 1U);
  EXPECT_EQ(came[0].pulses_executed, 4);
  EXPECT_EQ(came[0].stamp.first_tick_ns, 10);
  EXPECT_EQ(came[0].stamp.last_tick_ns, 20);
  EXPECT_EQ(came[0].stamp.boottime_ns, 30);
  EXPECT_EQ(came[0].stamp.utc_ns, 1'700'000'000'123'000'000);
  EXPECT_EQ(came[1].batch, 3U);
  EXPECT_GT(came[1].stamp.boottime_ns, 0);  // the store's own clocks
  EXPECT_GT(came[1].stamp.utc_ns, 1'700'000'000'000'000'000);
  const auto verified = must(reading.verify_reads(prepared.programming));
  ASSERT_EQ(verified.size(), 1U);
  EXPECT_EQ(verified[0].batch, 3U);
  EXPECT_EQ(verified[0].stamp.last_tick_ns, 70);
  EXPECT_EQ(verified[0].stamp.boottime_ns, 80);
  EXPECT_THAT(verified[0].code_sums, ElementsAre(9, 1275));
}

TEST_F(RoundTrip, RefusesAnOutcomeOrReadThatFitsNoBatch) {
  auto store = writer();
  const PreparedRun prepared = prepare_run(store);
  must(store.add_batches(prepared.programming,
                         std::vector{BatchRow{1, BatchKind::Reset, 0, 0, {0, 1}, {}}}));
  EXPECT_EQ(
      error_of(store.add_outcomes(prepared.programming, std::vector{BatchOutcome{2, 1, {}}})).code,
      ErrorCode::NotFound);
  EXPECT_THAT(error_of(store.add_verify(prepared.programming, std::vector{BatchVerify{1, {}, {9}}}))
                  .message,
              HasSubstr("1 code sums for the 2 devices of batch 1"));
}

TEST_F(RoundTrip, GivesEveryBatchNumberOfABoardOnce) {
  auto store = writer();
  EXPECT_EQ(must(store.next_batch("PCM-0042")), 1U);
  const PreparedRun first = prepare_run(store);
  const PreparedRun second = prepare_run(store);
  must(store.add_batches(first.programming,
                         std::vector{BatchRow{41, BatchKind::Reset, 0, 0, {0}, {}}}));
  EXPECT_EQ(must(store.next_batch("PCM-0042")), 42U);
  EXPECT_EQ(must(store.next_batch("PCM-0043")), 1U);
  const Error error = error_of(store.add_batches(
      second.programming, std::vector{BatchRow{41, BatchKind::Reset, 0, 0, {0}, {}}}));
  EXPECT_THAT(error.message, HasSubstr("already been given the number 41"));
}

TEST_F(RoundTrip, OfAccuracies) {
  auto store = writer();
  const PreparedRun prepared = prepare_run(store);
  const RowId sweep = must(store.begin_sweep(sweep_start(prepared, 0)));
  const RowId software = must(store.add_accuracy(
      {0, prepared.run, std::nullopt, "software", "", "float32", 0, 10'000, 9'389, 1.5}));
  must(store.add_accuracy(
      {0, prepared.run, sweep, "gdc", "first sweep", "bfloat16", 86'400.5, 10'000, 9'300, 2}));
  const auto read = must(reader().accuracies(prepared.run));
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].id, software);
  EXPECT_EQ(read[0].sweep, std::nullopt);
  EXPECT_EQ(read[0].correct, 9'389);
  EXPECT_EQ(read[1].run, prepared.run);
  EXPECT_EQ(read[1].sweep, sweep);
  EXPECT_EQ(read[1].compensation, "gdc");
  EXPECT_EQ(read[1].reference, "first sweep");
  EXPECT_EQ(read[1].precision, "bfloat16");
  EXPECT_EQ(read[1].after_s, 86'400.5);
  EXPECT_EQ(read[1].images, 10'000);
  EXPECT_EQ(read[1].wall_s, 2);
}

TEST_F(RoundTrip, OfAccuraciesWithWhatTheyRestOn) {
  auto store = writer();
  const PreparedRun prepared = prepare_run(store);
  const RowId sweep = must(store.begin_sweep(sweep_start(prepared, 0)));
  AccuracyRow row{0, prepared.run, sweep, "adabs", "", "float32", 30, 6, 5, 2, 8, 6};
  const RowId id = must(store.add_accuracy(row, {2, {3, 1, 0, 2}}));
  const RowId without = must(store.add_accuracy(row));
  EXPECT_EQ(must(reader().accuracies(prepared.run)).at(0).input_bits, 8);
  EXPECT_EQ(must(reader().accuracies(prepared.run)).at(0).output_bits, 6);
  const auto matrix = must(reader().confusion(id));
  ASSERT_TRUE(matrix.has_value());
  EXPECT_EQ(matrix->classes, 2);
  EXPECT_THAT(matrix->counts, ElementsAre(3, 1, 0, 2));
  EXPECT_FALSE(must(reader().confusion(without)).has_value());

  must(store.add_gdc_reference(
      prepared.step, std::vector<GdcReferenceRow>{{0, "first-sweep", sweep, 8, 120, 1500.5},
                                                  {1, "targets", std::nullopt, 1, 20, 80}}));
  const auto reference = must(reader().gdc_reference(prepared.step));
  ASSERT_EQ(reference.size(), 2U);
  EXPECT_EQ(reference[0].sweep, sweep);
  EXPECT_EQ(reference[0].every_pair, 8);
  EXPECT_EQ(reference[0].devices, 120);
  EXPECT_EQ(reference[0].sum_uS, 1500.5);
  EXPECT_EQ(reference[1].kind, "targets");
  EXPECT_EQ(reference[1].sweep, std::nullopt);

  EXPECT_FALSE(must(reader().calibration(prepared.step)).has_value());
  must(store.add_calibration(prepared.step, {"train", 7, 13, 200, 0.75, {5, 4'000'000'000U, 0}}));
  const auto calibration = must(reader().calibration(prepared.step));
  ASSERT_TRUE(calibration.has_value());
  EXPECT_EQ(calibration->images, "train");
  EXPECT_EQ(calibration->seed, 7U);
  EXPECT_EQ(calibration->batches, 13);
  EXPECT_EQ(calibration->batch_images, 200);
  EXPECT_EQ(calibration->momentum, 0.75);
  EXPECT_THAT(calibration->indices, ElementsAre(5, 4'000'000'000U, 0));

  must(store.add_layer_states(
      prepared.step,
      std::vector<LayerStateRow>{{sweep, 0, 0.75, 0.125, 0.25, 0.375, 0.5, 0.625, 0.875},
                                 {sweep, 1, 1, 0, 0, 0, 0, std::nullopt, std::nullopt}}));
  const auto states = must(reader().layer_states(prepared.step));
  ASSERT_EQ(states.size(), 2U);
  EXPECT_EQ(states[0].sweep, sweep);
  EXPECT_EQ(states[0].gdc_factor, 0.75);
  EXPECT_EQ(states[0].weight_error_of_max, 0.125);
  EXPECT_EQ(states[0].weight_error_of_rms, 0.25);
  EXPECT_EQ(states[0].gdc_weight_error_of_max, 0.375);
  EXPECT_EQ(states[0].gdc_weight_error_of_rms, 0.5);
  EXPECT_EQ(states[0].activation_mean_shift, 0.625);
  EXPECT_EQ(states[0].activation_variance_ratio, 0.875);
  EXPECT_EQ(states[1].layer, 1);
  EXPECT_EQ(states[1].activation_mean_shift, std::nullopt);
}

class BulkRoundTrip : public RoundTrip, public testing::WithParamInterface<std::size_t> {};

TEST_P(BulkRoundTrip, OfAPlacement) {
  auto store = writer();
  const RowId programming = prepare_run(store).programming;
  const Placement placement = make_placement(GetParam(), 2);
  must(store.set_placement(programming, placement));
  const Placement read = must(reader().placement(programming));
  EXPECT_EQ(read.first_weight, placement.first_weight);
  EXPECT_EQ(read.shape, placement.shape);
  EXPECT_TRUE(read.addresses == placement.addresses);
  EXPECT_TRUE(read.targets_uS == placement.targets_uS);
}

TEST_P(BulkRoundTrip, OfAProgramming) {
  auto store = writer();
  const RunStart start = make_run_start(3);
  ProgrammingStart begin;
  begin.run = must(store.begin_run(start));
  begin.step = must(store.begin_step(begin.run, 0, "program", "{}"));
  begin.verify_samples = 7;
  begin.gain_uS_per_code = 0.21;
  begin.offset_uS = -0.1;
  const RowId id = must(store.begin_programming(begin));
  must(store.set_placement(id, make_placement(GetParam(), 3)));
  EXPECT_FALSE(must(reader().programmings(begin.run)).at(0).complete);
  EXPECT_EQ(error_of(reader().programming_result(id)).code, ErrorCode::NotFound);

  const ProgrammingResult result = make_result(GetParam(), 4);
  must(store.finish_programming(id, result, {55, 300'000, 299'000, 5'000'000, 123'456'789}));
  const ProgrammingResult read = must(reader().programming_result(id));
  EXPECT_TRUE(read.verdicts == result.verdicts);
  EXPECT_TRUE(read.iterations == result.iterations);
  EXPECT_TRUE(read.pulses == result.pulses);
  EXPECT_TRUE(read.last_amplitudes_10nA == result.last_amplitudes_10nA);
  EXPECT_TRUE(read.last_code_sums == result.last_code_sums);
  EXPECT_TRUE(read.last_pulse_ticks_ns == result.last_pulse_ticks_ns);
  const ProgrammingRow row = must(reader().programmings(begin.run)).at(0);
  EXPECT_EQ(row.id, id);
  EXPECT_EQ(row.run, begin.run);
  EXPECT_EQ(row.step, begin.step);
  EXPECT_TRUE(row.complete);
  EXPECT_EQ(row.iterations, 55);
  EXPECT_EQ(row.nonzero_targets, 300'000);
  EXPECT_EQ(row.converged, 299'000);
  EXPECT_EQ(row.pulses, 5'000'000);
  EXPECT_EQ(row.end_tick_ns, 123'456'789);
  EXPECT_EQ(row.verify_samples, 7);
  EXPECT_EQ(row.gain_uS_per_code, 0.21);
  EXPECT_EQ(row.offset_uS, -0.1);
}

TEST_P(BulkRoundTrip, OfASweep) {
  auto store = writer();
  const PreparedRun prepared = prepare_run(store);
  must(store.set_placement(prepared.programming, make_placement(GetParam(), 5)));
  SweepStart start = sweep_start(prepared, 4);
  start.scheduled_s = 3600;
  start.slip_s = 0.25;
  start.samples = 9;
  start.read_voltage_mV = 180;
  start.gain_uS_per_code = 0.19;
  start.offset_uS = 0.02;
  start.temperature_K = 301.5;
  start.repeat = 2;
  const RowId id = must(store.begin_sweep(start));
  const auto code_sums = make_code_sums(GetParam(), 6);
  must(store.add_sweep_blocks(id, make_blocks(code_sums, kMaxBlockDevices)));
  const SweepRow before = must(reader().sweeps(prepared.run)).at(0);
  EXPECT_FALSE(before.complete);
  EXPECT_EQ(before.devices, static_cast<std::int64_t>(GetParam()));
  EXPECT_EQ(before.stamp.last_tick_ns, static_cast<std::int64_t>(1000 * GetParam()));

  must(store.finish_sweep(id, 7.5e6, 3601.25));
  EXPECT_TRUE(must(reader().sweep_code_sums(id)) == code_sums);
  const SweepRow row = must(reader().sweeps(prepared.run)).at(0);
  EXPECT_EQ(row.id, id);
  EXPECT_EQ(row.run, prepared.run);
  EXPECT_EQ(row.step, prepared.step);
  EXPECT_EQ(row.programming, prepared.programming);
  EXPECT_EQ(row.ordinal, 4);
  EXPECT_EQ(row.scheduled_s, 3600);
  EXPECT_EQ(row.slip_s, 0.25);
  EXPECT_EQ(row.samples, 9);
  EXPECT_EQ(row.read_voltage_mV, 180);
  EXPECT_EQ(row.gain_uS_per_code, 0.19);
  EXPECT_EQ(row.offset_uS, 0.02);
  EXPECT_EQ(row.temperature_K, 301.5);
  EXPECT_EQ(row.repeat, 2);
  EXPECT_TRUE(row.complete);
  EXPECT_EQ(row.devices, static_cast<std::int64_t>(GetParam()));
  EXPECT_EQ(row.stamp.first_tick_ns, 0);
  EXPECT_EQ(row.stamp.last_tick_ns, static_cast<std::int64_t>(1000 * GetParam()));
  EXPECT_EQ(row.sum_uS, 7.5e6);
  EXPECT_EQ(row.after_s, 3601.25);
}

INSTANTIATE_TEST_SUITE_P(Devices, BulkRoundTrip,
                         testing::Values(std::size_t{1}, std::size_t{1000}, kMaxBlockDevices,
                                         kPaperDevices),
                         testing::PrintToStringParamName());

TEST_F(RoundTrip, KeepsNothingOfATransactionThatWasNotCommitted) {
  auto store = writer();
  const PreparedRun prepared = prepare_run(store);
  {
    const auto transaction = must(store.transaction());
    const RowId sweep = must(store.begin_sweep(sweep_start(prepared, 0)));
    must(store.add_sweep_blocks(sweep, make_blocks({1, 2, 3}, 2)));
    EXPECT_EQ(must(store.sweeps(prepared.run)).size(), 1U);
    EXPECT_EQ(must(reader().sweeps(prepared.run)).size(), 0U);
  }
  EXPECT_EQ(must(store.sweeps(prepared.run)).size(), 0U);
}

TEST_F(RoundTrip, KeepsTheRestOfATransactionWhenOneWriteFails) {
  auto store = writer();
  const PreparedRun prepared = prepare_run(store);
  auto transaction = must(store.transaction());
  const RowId sweep = must(store.begin_sweep(sweep_start(prepared, 0)));
  must(store.add_sweep_blocks(sweep, make_blocks({1, 2, 3}, 2)));
  // Its first block fits, its second is there already: neither is kept.
  auto blocks = make_blocks({1, 2, 3, 4, 5, 6}, 3);
  blocks[0].first_device = 3;
  blocks[1].first_device = 0;
  EXPECT_THAT(error_of(store.add_sweep_blocks(sweep, blocks)).message,
              HasSubstr("UNIQUE constraint failed"));
  must(transaction.commit());
  EXPECT_THAT(must(reader().sweep_code_sums(sweep)), ElementsAre(1, 2, 3));
}

TEST_F(RoundTrip, RefusesAPlacementWithTwoDevicesAtOnePlaceOrOutside) {
  auto store = writer();
  const RowId programming = prepare_run(store).programming;
  Placement placement = make_placement(3, 7);
  placement.addresses[2] = placement.addresses[0];
  EXPECT_THAT(error_of(store.set_placement(programming, placement)).message,
              HasSubstr("device 2 at"));
  placement.addresses[2] = {WordLine{512}, BitLine{0}};
  EXPECT_THAT(error_of(store.set_placement(programming, placement)).message,
              HasSubstr("outside the array"));
  placement.addresses.pop_back();
  EXPECT_THAT(error_of(store.set_placement(programming, placement)).message,
              HasSubstr("2 addresses but 3 targets"));
  EXPECT_EQ(error_of(store.placement(programming)).code, ErrorCode::NotFound);
}

TEST_F(RoundTrip, RefusesAResultThatIsNotOfThePlacedDevices) {
  auto store = writer();
  const PreparedRun prepared = prepare_run(store);
  must(store.set_placement(prepared.programming, make_placement(3, 7)));
  EXPECT_THAT(
      error_of(store.finish_programming(prepared.programming, make_result(2, 8), {})).message,
      HasSubstr("2 devices of 3"));
  ProgrammingResult ragged = make_result(3, 8);
  ragged.pulses.pop_back();
  EXPECT_EQ(error_of(store.finish_programming(prepared.programming, ragged, {})).code,
            ErrorCode::Internal);
  EXPECT_FALSE(must(store.programmings(prepared.run)).at(0).complete);
}

TEST_F(RoundTrip, AnswersTheViews) {
  auto store = writer();
  const PreparedRun old = prepare_run(store);
  const PreparedRun prepared = prepare_run(store);
  must(store.finish_programming(prepared.programming, make_result(4, 9), {3, 4, 3, 12, 99}));
  const RowId sweep = must(store.begin_sweep(sweep_start(prepared, 0)));
  must(store.add_sweep_blocks(sweep, make_blocks({5, 5, 5, 5}, 4)));
  must(store.finish_sweep(sweep, 50, 20));
  must(store.add_accuracy({0, prepared.run, sweep, "none", "", "float32", 20, 200, 150, 1}));
  EXPECT_NE(old.run, prepared.run);
  auto& database = store.database();
  EXPECT_EQ(must(database.query_integer("SELECT run_id FROM latest_run_per_board")), prepared.run);
  EXPECT_EQ(must(database.query_integer("SELECT count(*) FROM latest_run_per_board")), 1);
  EXPECT_EQ(must(database.query_integer("SELECT yield_percent FROM programming_yield")), 75);
  EXPECT_EQ(must(database.query_integer("SELECT 10 * mean_uS FROM sweep_overview")), 125);
  EXPECT_EQ(must(database.query_integer("SELECT accuracy_percent FROM accuracy_over_time")), 75);
}

}  // namespace
}  // namespace pcmlab::db

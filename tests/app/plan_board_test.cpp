// SPDX-License-Identifier: Apache-2.0
// From [faults] of a plan to a board on which they happen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "app/faults.h"
#include "app/mock.h"

namespace pcmlab::app {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr ArrayShape kShape{32, 128};

const PlanSchema& schema() {
  static const PlanSchema kSchema{{mock_section(), faults_section()}, {{"nothing", "", {}}}};
  return kSchema;
}

/// Devices that read the same at any time and however often, and the faults.
Result<Plan> parse(const std::string& faults) {
  const std::string mock =
      "[mock]\nword_lines = 32\nbit_lines = 128\nthreads = 1\n"
      "adc_noise_lsb = 0\nbit_line_offset_lsb = 0\nnoise_amplitude = 0\n"
      "drift_mean_min = 0\ndrift_mean_max = 0\ndrift_spread_min = 0\ndrift_spread_max = 0\n";
  return parse_plan(mock + "[faults]\n" + faults + "\n[[step]]\nexperiment = \"nothing\"\n",
                    "plan.toml", schema());
}

mock::FaultPlan planned(const std::string& faults) {
  return fault_plan(parse(faults).value().section("faults"), kShape).value();
}

/// What is wrong with it, by the plan's checker or by fault_plan().
Error error_of(const std::string& faults) {
  const Result<Plan> plan = parse(faults);
  if (!plan) return plan.error();
  const auto result = fault_plan(plan->section("faults"), kShape);
  return result ? Error{ErrorCode::Internal, "there is none", ""} : result.error();
}

std::unique_ptr<Board> open(const std::string& faults) {
  const Plan plan = parse(faults).value();
  return open_mock(plan.section("mock"), plan.section("faults")).value();
}

Result<std::vector<std::uint16_t>> read_all(Board& board) {
  std::vector<DeviceAddress> all;
  for (std::size_t i = 0; i < kShape.device_count(); ++i) all.push_back(kShape.at(i));
  std::vector<std::uint16_t> sums;
  PCM_TRY(board.read(all, {}, [&](const ReadChunk& chunk) -> Result<void> {
    sums.insert(sums.end(), chunk.code_sums.begin(), chunk.code_sums.end());
    return {};
  }));
  return sums;
}

Result<std::unique_ptr<Board>> open_with_mock(const std::string& mock) {
  PCM_ASSIGN(const Plan plan,
             parse_plan("[mock]\n" + mock + "\n[[step]]\nexperiment = \"nothing\"\n", "plan.toml",
                        schema()));
  return open_mock(plan.section("mock"), plan.section("faults"));
}

TEST(MockSection, TheChipBringsItsOwnArrayAndConstantsAndThePlanOverridesThem) {
  const auto hermes = open_with_mock("chip = \"hermes\"").value();
  EXPECT_EQ(hermes->information().shape, (ArrayShape{256, 256}));
  EXPECT_NEAR(hermes->information().adc_step.uS(), 2 * 1.6 * 20.7 / 256, 1e-6);
  const auto changed =
      open_with_mock("chip = \"hermes\"\nbit_lines = 64\nadc_step_uS = 0.5").value();
  EXPECT_EQ(changed->information().shape, (ArrayShape{256, 64}));
  EXPECT_NEAR(changed->information().adc_step.uS(), 0.5, 1e-6);
}

TEST(MockSection, TheTemperatureFollowsTheProfileOfThePlan) {
  const auto board = open_with_mock(
                         "word_lines = 8\nbit_lines = 8\ntemperature_K = 310\n"
                         "temperature_profile_s = [100, 200]\ntemperature_profile_K = [310, 350]")
                         .value();
  EXPECT_NEAR(board->temperature()->K(), 310, 0.01);
  ASSERT_TRUE(board->advance_time_to(board->status()->now + std::chrono::seconds(150)));
  EXPECT_NEAR(board->temperature()->K(), 330, 0.01);
  ASSERT_TRUE(board->advance_time_to(board->status()->now + std::chrono::hours(1)));
  EXPECT_NEAR(board->temperature()->K(), 350, 0.01);
}

TEST(MockSection, RefusesChipsAndProfilesThatCannotBe) {
  const auto error_of_mock = [](const std::string& mock) {
    const auto board = open_with_mock(mock);
    return board ? std::string("accepted") : board.error().message;
  };
  EXPECT_THAT(error_of_mock("chip = \"no-such\""), HasSubstr("\"no-such\""));
  EXPECT_THAT(error_of_mock("temperature_profile_s = [1, 2]\ntemperature_profile_K = [300]"),
              HasSubstr("2 times and 1 temperatures"));
  EXPECT_THAT(error_of_mock("temperature_profile_s = [2, 1]\ntemperature_profile_K = [300, 310]"),
              HasSubstr("its times do not rise"));
  EXPECT_THAT(error_of_mock("melt_full_uA = 140"), HasSubstr("melt_full_uA is not above"));
}

TEST(FaultsSection, PlansNothingByDefault) {
  EXPECT_EQ(planned(""), mock::FaultPlan{});
  EXPECT_THAT(describe_faults(parse("").value().section("faults")), IsEmpty());
  EXPECT_THAT(describe_faults(parse("seed = 9").value().section("faults")), IsEmpty());
}

TEST(FaultsSection, EveryKeyArrivesWhereItBelongs) {
  const mock::FaultPlan plan = planned(R"(
seed = 77
stuck_low_fraction = 0.01
stuck_high_fraction = 0.02
dead_word_lines = [3, 31]
dead_bit_lines = [127]
adc_bits_stuck_at_1 = [0, 6]
adc_bits_stuck_at_0 = [7]
reference_error = 0.03
reference_drift_per_day = -0.04
over_temperature_K = 70.5
over_temperature_from_s = 100
over_temperature_until_s = 200
slow_factor = 2.5
request_overhead_us = 50
memory_loss_after_requests = 11
memory_loss_times = 12
memory_loss_share = 0.13
memory_loss_off_s = 14
disconnect_after_requests = 15
disconnect_times = 0
disconnect_share = 0.17
lost_requests = 0.21
corrupted_requests = 0.22
truncated_requests = 0.23
repeated_requests = 0.24
lost_replies = 0.31
corrupted_replies = 0.32
truncated_replies = 0.33
repeated_replies = 0.34
late_replies = 0.35
late_by_replies = 36
spared_frames = 37
most_line_faults = 38
)");
  mock::FaultPlan expected;
  expected.seed = 77;
  expected.chip.stuck_low_fraction = 0.01;
  expected.chip.stuck_high_fraction = 0.02;
  expected.chip.dead_word_lines = {WordLine{3}, WordLine{31}};
  expected.chip.dead_bit_lines = {BitLine{127}};
  expected.chip.adc_bits_stuck_at_1 = 0x41;
  expected.chip.adc_bits_stuck_at_0 = 0x80;
  expected.chip.reference_error = 0.03;
  expected.chip.reference_drift_per_day = -0.04;
  expected.over_temperature_K = 70.5;
  expected.over_temperature_from = std::chrono::seconds(100);
  expected.over_temperature_until = std::chrono::seconds(200);
  expected.slowness = 2.5;
  expected.request_overhead = std::chrono::microseconds(50);
  expected.memory_loss = {11, 12, 0.13};
  expected.memory_loss_off = std::chrono::seconds(14);
  expected.disconnect = {15, 0, 0.17};
  expected.line.requests = {0.21, 0.22, 0.23, 0.24};
  expected.line.replies = {0.31, 0.32, 0.33, 0.34};
  expected.line.late_replies = 0.35;
  expected.line.late_by = 36;
  expected.line.spared = 37;
  expected.line.most = 38;
  EXPECT_EQ(plan, expected);
}

TEST(FaultsSection, RefusesWhatCannotBe) {
  const auto expect_error = [](const std::string& faults, const std::string& message) {
    const Error error = error_of(faults);
    EXPECT_EQ(error.code, ErrorCode::BadPlan) << faults;
    EXPECT_THAT(error.message, HasSubstr(message));
    EXPECT_FALSE(error.advice.empty());
  };
  expect_error("lost_replys = 0.1", "there is no key \"lost_replys\"");
  expect_error("lost_replies = 1.5", "lost_replies = 1.5 is outside 0 .. 1");
  expect_error("lost_replies = \"some\"", "lost_replies must be a real");
  expect_error("late_by_replies = 0", "late_by_replies = 0 is outside");
  expect_error("slow_factor = 0.5", "slow_factor = 0.5 is outside");
  expect_error("dead_word_lines = 3", "dead_word_lines must be a list of reals");
  expect_error("dead_word_lines = [2.5]", "2.5, which is no whole number");
  expect_error("dead_word_lines = [-1]", "dead_word_lines = -1 is outside");
  expect_error("dead_word_lines = [32]", "dead_word_lines has 32; the array's lines");
  expect_error("dead_bit_lines = [128]", "0 to 127");
  expect_error("adc_bits_stuck_at_1 = [8]", "adc_bits_stuck_at_1 = 8 is outside");
  expect_error("adc_bits_stuck_at_0 = [0.5]", "0.5, which is no whole number");
  expect_error("adc_bits_stuck_at_1 = [1, 2]\nadc_bits_stuck_at_0 = [2]", "at 1 and at 0");
  expect_error("stuck_low_fraction = 0.7\nstuck_high_fraction = 0.4", "come to 1.1");
  expect_error("over_temperature_from_s = 20\nover_temperature_until_s = 20", "is not before");
}

TEST(PlanBoard, SaysWhichFaultsArePlanned) {
  const Plan plan = parse("seed = 3\nlost_replies = 0.02\ndead_word_lines = [5, 6]").value();
  EXPECT_THAT(describe_mock(plan.section("mock"), plan.section("faults")),
              HasSubstr("; planned faults: seed = 3, dead_word_lines = [5, 6], "
                        "lost_replies = 0.02"));
  const Plan good = parse("").value();
  EXPECT_THAT(describe_mock(good.section("mock"), good.section("faults")),
              AllOf(HasSubstr("MOCK0001"), ::testing::Not(HasSubstr("fault"))));
}

TEST(PlanBoard, RefusesToOpenWithFaultsThatCannotBe) {
  const Plan plan = parse("dead_word_lines = [32]").value();
  const auto opened = open_mock(plan.section("mock"), plan.section("faults"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::BadPlan);
}

TEST(PlanBoard, ADeadLineOfThePlanReadsZero) {
  const auto sums = read_all(*open("dead_word_lines = [5]\nadc_bits_stuck_at_1 = [3]"));
  ASSERT_TRUE(sums);
  for (std::size_t b = 0; b < 128; ++b) EXPECT_EQ((*sums)[5 * 128 + b], 5 * 8);
}

TEST(PlanBoard, AfterAPlannedDisconnectTheBoardCanBeReopened) {
  const auto board = open("disconnect_after_requests = 4\ndisconnect_times = 2");
  ASSERT_TRUE(board->status());
  EXPECT_EQ(board->temperature().error().code, ErrorCode::Disconnected);
  EXPECT_EQ(board->status().error().code, ErrorCode::Disconnected);
  ASSERT_TRUE(board->reopen());
  ASSERT_TRUE(board->status());
  EXPECT_EQ(read_all(*board).error().code, ErrorCode::Disconnected);
  ASSERT_TRUE(board->reopen());
  EXPECT_EQ(board->information().boot_epoch, 1U);
  EXPECT_THAT(*read_all(*board), SizeIs(kShape.device_count()));
}

TEST(PlanBoard, ALossOfMemoryIsADisconnectWithAnotherEpoch) {
  const auto board = open("memory_loss_after_requests = 3\nmemory_loss_off_s = 30");
  EXPECT_EQ(board->status().error().code, ErrorCode::Disconnected);
  ASSERT_TRUE(board->reopen());
  EXPECT_EQ(board->information().boot_epoch, 2U);
}

TEST(PlanBoard, ARequestWithoutReplyDoesNotHoldUpTheOthers) {
  const auto board = open("lost_replies = 1\nspared_frames = 2\nmost_line_faults = 1");
  const DeviceAddress device = kShape.at(0);
  std::size_t chunks = 0;
  ASSERT_FALSE(board->program(1, Duration(400), std::span(&device, 1),
                              std::vector<std::uint16_t>{10000},
                              [&](const PulseChunk&) -> Result<void> {
                                ++chunks;
                                return {};
                              }));
  EXPECT_EQ(chunks, 0U);
  EXPECT_EQ(board->status()->pulses_executed, 1U);
}

TEST(PlanBoard, ReadsOverABadLineAreThoseOverAGoodOne) {
  const std::string stuck = "stuck_high_fraction = 0.5\n";
  const auto right = read_all(*open(stuck));
  ASSERT_TRUE(right);
  const auto board = open(stuck + "lost_replies = 0.1\nrepeated_replies = 0.1\nspared_frames = 2");
  int lost_twice = 0;
  for (int i = 0; i < 50; ++i) {
    const auto sums = read_all(*board);
    if (sums) {
      EXPECT_EQ(*sums, *right);
    } else {
      EXPECT_EQ(sums.error().code, ErrorCode::Timeout);
      ++lost_twice;
    }
  }
  EXPECT_LE(lost_twice, 5);
}

}  // namespace
}  // namespace pcmlab::app

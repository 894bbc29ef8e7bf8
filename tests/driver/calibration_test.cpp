// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "driver/test_board.h"
#include "tests/driver/scripted_board.h"

namespace pcmlab {
namespace {

using ::testing::HasSubstr;
using testing::Heard;
using testing::open;
using testing::ScriptedBoard;

class CalibrationTest : public ::testing::Test {
 protected:
  /// References of these conductances on a chip with this gain and offset.
  void references(const std::vector<double>& nominal_uS, double gain_uS, double offset_uS) {
    script->script = [=, this](const Heard& heard) {
      const auto* request = std::get_if<wire::ReadReferencesRequest>(&heard.request);
      if (request == nullptr) return false;
      samples = request->samples;
      wire::ReadReferencesReply reply;
      for (const double g_uS : nominal_uS) {
        const double code = std::clamp((g_uS - offset_uS) / gain_uS, 0.0, 255.0);
        reply.references.push_back(
            {Conductance::from_uS(g_uS), static_cast<std::uint16_t>(std::lround(code * samples))});
      }
      script->reply(heard, reply);
      return true;
    };
  }

  std::shared_ptr<ScriptedBoard> script = std::make_shared<ScriptedBoard>();
  std::unique_ptr<TestBoard> board = open(script);
  std::uint8_t samples = 0;
};

TEST_F(CalibrationTest, FindsGainAndOffsetFromTheReferences) {
  references({2, 10, 25, 45}, 0.21, 0.5);
  const auto calibration = board->calibrate({});
  ASSERT_TRUE(calibration);
  EXPECT_EQ(samples, 255);
  EXPECT_NEAR(calibration->gain_uS_per_code, 0.21, 1e-4);
  EXPECT_NEAR(calibration->offset_uS, 0.5, 5e-3);
  EXPECT_NEAR(calibration->conductance_uS(5 * 100, 5), 21.5, 1e-2);
}

TEST_F(CalibrationTest, IsTheNominalStepOnABoardWithoutReferences) {
  script->information.capabilities = wire::kVirtualTime;
  script->information.adc_step = Conductance::from_uS(0.15);
  board = open(script);
  const auto calibration = board->calibrate({});
  ASSERT_TRUE(calibration);
  EXPECT_NEAR(calibration->gain_uS_per_code, 0.15, 1e-12);
  EXPECT_EQ(calibration->offset_uS, 0.0);
  EXPECT_TRUE(script->heard.empty());
}

TEST_F(CalibrationTest, LeavesOutReadingsThatAreClipped) {
  references({0.001, 10, 25, 90}, 0.19, 0.1);
  const auto calibration = board->calibrate({});
  ASSERT_TRUE(calibration);
  EXPECT_NEAR(calibration->gain_uS_per_code, 0.19, 1e-4);
  EXPECT_NEAR(calibration->offset_uS, 0.1, 5e-3);
}

TEST_F(CalibrationTest, FailsWhenFewerThanTwoReadingsAreUsable) {
  references({25, 90, 95}, 0.2, 0);
  const auto calibration = board->calibrate({});
  ASSERT_FALSE(calibration);
  EXPECT_EQ(calibration.error().code, ErrorCode::Refused);
  EXPECT_THAT(calibration.error().message, HasSubstr("of 3 references, 1 lie inside"));
}

TEST_F(CalibrationTest, FailsWhenAllReferencesAreTheSame) {
  references({25, 25, 25}, 0.2, 0);
  EXPECT_FALSE(board->calibrate({}));
}

TEST_F(CalibrationTest, FailsOnAGainThatCannotBe) {
  references({10, 25, 40}, 0.25, 0);
  const auto calibration = board->calibrate({});
  ASSERT_FALSE(calibration);
  EXPECT_EQ(calibration.error().code, ErrorCode::Refused);
  EXPECT_THAT(calibration.error().message, HasSubstr("20 %"));
  references({10, 25, 40}, 0.23, 0);
  EXPECT_TRUE(board->calibrate({}));
}

TEST_F(CalibrationTest, TakesFewerSamplesFromAnAdcWithMoreBits) {
  script->information.adc_bits = 12;
  board = open(script);
  references({10, 25, 40}, 0.2, 0);
  ASSERT_TRUE(board->calibrate({}));
  EXPECT_EQ(samples, 16);
}

}  // namespace
}  // namespace pcmlab

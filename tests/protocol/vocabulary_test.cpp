// SPDX-License-Identifier: Apache-2.0
// Quantities, device addresses, errors and the selection helpers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "protocol/device_address.h"
#include "protocol/error.h"
#include "protocol/messages.h"
#include "protocol/quantities.h"

namespace pcmlab {
namespace {

using ::testing::ElementsAre;

TEST(Quantity, AddsAndScalesInItsUnitAndDividesToAPlainNumber) {
  const auto a = Conductance::from_uS(12.0);
  const auto b = Conductance::from_uS(4.0);
  EXPECT_EQ((a + b).uS(), 16.0);
  EXPECT_EQ((a - b).uS(), 8.0);
  EXPECT_EQ((a * 0.5).uS(), 6.0);
  EXPECT_EQ((0.5 * a).uS(), 6.0);
  EXPECT_EQ(a / b, 3.0);
  EXPECT_LT(b, a);
  EXPECT_EQ(a, Conductance::from_uS(12.0));
}

TEST(Quantity, OfOneKindIsNotOfAnother) {
  static_assert(!std::is_convertible_v<Current, Voltage>);
  static_assert(!std::is_convertible_v<double, Current>);
  static_assert(!std::is_convertible_v<Temperature, double>);
}

TEST(Quantity, CostsNothingBesideTheNumber) {
  static_assert(sizeof(Conductance) == sizeof(double));
  static_assert(std::is_trivially_copyable_v<Conductance>);
}

TEST(Duration, ConvertsToAndFromSeconds) {
  EXPECT_EQ(from_seconds(1.5), Duration(1'500'000'000));
  EXPECT_EQ(seconds(Duration(250)), 2.5e-7);
}

TEST(ArrayShape, WalksWordLineByWordLine) {
  constexpr ArrayShape kShape{512, 2048};
  EXPECT_EQ(kShape.device_count(), 1'048'576u);
  constexpr DeviceAddress kAddress{WordLine{3}, BitLine{17}};
  EXPECT_EQ(kShape.linear(kAddress), 3u * 2048u + 17u);
  EXPECT_EQ(kShape.at(kShape.linear(kAddress)), kAddress);
  EXPECT_EQ(kShape.at(kShape.device_count() - 1), (DeviceAddress{WordLine{511}, BitLine{2047}}));
}

TEST(ArrayShape, ContainsItsLastDeviceAndNotTheNextLine) {
  constexpr ArrayShape kShape{512, 2048};
  EXPECT_TRUE(kShape.contains({WordLine{511}, BitLine{2047}}));
  EXPECT_FALSE(kShape.contains({WordLine{512}, BitLine{0}}));
  EXPECT_FALSE(kShape.contains({WordLine{0}, BitLine{2048}}));
}

TEST(ArrayShape, CountsTheLargestArrayWithoutOverflow) {
  EXPECT_EQ((ArrayShape{65535, 65535}).device_count(), 4'294'836'225u);
}

Result<int> half_of(int number) {
  if (number % 2 != 0) {
    return fail(ErrorCode::BadPlan, "halving " + std::to_string(number), "Give an even number.");
  }
  return number / 2;
}

Result<int> quarter_of(int number) {
  PCM_ASSIGN(const int half, half_of(number));
  PCM_ASSIGN(const int quarter, half_of(half));
  return quarter;
}

Result<void> check_even(int number) {
  PCM_TRY(half_of(number));
  return {};
}

Result<std::unique_ptr<int>> boxed_half_of(int number) {
  PCM_ASSIGN(const int half, half_of(number));
  return std::make_unique<int>(half);
}

Result<int> unboxed_half_of(int number) {
  PCM_ASSIGN(const std::unique_ptr<int> box, boxed_half_of(number));
  return *box;
}

TEST(Errors, PassThroughAssignAndTry) {
  EXPECT_EQ(quarter_of(12).value(), 3);
  EXPECT_EQ(quarter_of(6).error().message, "halving 3");
  EXPECT_EQ(quarter_of(6).error().advice, "Give an even number.");
  EXPECT_TRUE(check_even(4));
  EXPECT_EQ(check_even(5).error().code, ErrorCode::BadPlan);
}

TEST(Errors, AssignMovesAValueThatCannotBeCopied) {
  EXPECT_EQ(unboxed_half_of(8).value(), 4);
  EXPECT_EQ(unboxed_half_of(7).error().message, "halving 7");
}

TEST(Errors, SayWhatWasBeingDoneFurtherUp) {
  const Error error = Error{ErrorCode::Timeout, "no answer in 1 s", "Check the cable."}.during(
      "reading 512 devices");
  EXPECT_EQ(error.code, ErrorCode::Timeout);
  EXPECT_EQ(error.message, "reading 512 devices: no answer in 1 s");
  EXPECT_EQ(error.advice, "Check the cable.");
}

TEST(Errors, EachCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  int codes = 0;
  for (; codes <= static_cast<int>(ErrorCode::Internal); ++codes) {
    names.insert(to_string(static_cast<ErrorCode>(codes)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(codes));
  EXPECT_FALSE(names.contains("unknown"));
}

TEST(DeviceSelection, OfARectangleIsTakenWordLineByWordLine) {
  const wire::DeviceSelection rectangle = wire::Rectangle{{WordLine{5}, BitLine{9}}, 2, 3};
  EXPECT_EQ(wire::device_count(rectangle), 6u);
  const auto at = [](std::uint16_t word_line, std::uint16_t bit_line) {
    return DeviceAddress{WordLine{word_line}, BitLine{bit_line}};
  };
  EXPECT_THAT(wire::expand(rectangle),
              ElementsAre(at(5, 9), at(5, 10), at(5, 11), at(6, 9), at(6, 10), at(6, 11)));
}

TEST(DeviceSelection, OfARectangleMayEndAtTheLastLine) {
  const wire::DeviceSelection corner = wire::Rectangle{{WordLine{65535}, BitLine{65534}}, 1, 2};
  EXPECT_EQ(wire::expand(corner).back(), (DeviceAddress{WordLine{65535}, BitLine{65535}}));
}

TEST(DeviceSelection, OfAListIsTakenAsWritten) {
  const std::vector<DeviceAddress> twice(2, DeviceAddress{WordLine{1}, BitLine{2}});
  EXPECT_EQ(wire::device_count(wire::DeviceList{twice}), 2u);
  EXPECT_EQ(wire::expand(wire::DeviceList{twice}), twice);
}

TEST(DeviceSelection, CountsTheLargestRectangleWithoutOverflow) {
  EXPECT_EQ(wire::device_count(wire::Rectangle{{}, 65535, 65535}), 4'294'836'225u);
}

TEST(MessageType, OfPulsesMayNotBeRepeated) {
  EXPECT_FALSE(may_be_repeated(wire::MessageType::Program));
  EXPECT_FALSE(may_be_repeated(wire::MessageType::Initialise));
  EXPECT_TRUE(may_be_repeated(wire::MessageType::AdvanceTime));
  EXPECT_TRUE(may_be_repeated(wire::MessageType::Read));
  EXPECT_TRUE(may_be_repeated(wire::MessageType::Status));
}

}  // namespace
}  // namespace pcmlab

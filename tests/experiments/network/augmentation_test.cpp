// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/augmentation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace pcmlab {
namespace {

/// Two channels of 3 x 4 pixels that all differ, the byte b as the number b - 1.
Dataset counting_images(std::size_t count) {
  Dataset set;
  set.description = "counted";
  set.channels = 2;
  set.height = 3;
  set.width = 4;
  set.normalisation = {{1.0f / 255, 1.0f / 255}, {1.0f / 255, 1.0f / 255}};
  set.labels.assign(count, 0);
  std::vector<std::uint8_t> bytes(24 * count);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{1});
  set.source = images_in_memory(std::move(bytes), 24);
  return set;
}

std::vector<int> rounded(const std::vector<float>& numbers) {
  std::vector<int> result;
  for (const float number : numbers) result.push_back(static_cast<int>(std::lround(number)));
  return result;
}

std::vector<int> shifted(const Shift& shift) {
  const Dataset set = counting_images(1);
  const auto image = set.read(0, 1).value();
  std::vector<float> result(24);
  shift_image(image, set, shift, black_of(set.normalisation, set.channels), {12, 4, 1},
              result.data());
  return rounded(result);
}

TEST(Augmentation, AShiftBringsBlackIn) {
  EXPECT_EQ(shifted({1, -1, false}), (std::vector<int>{-1, 4,  5,  6,  -1, 8,  9,  10,  //
                                                       -1, -1, -1, -1, -1, 16, 17, 18,  //
                                                       -1, 20, 21, 22, -1, -1, -1, -1}));
}

TEST(Augmentation, AMirroredImageIsReadFromTheRight) {
  EXPECT_EQ(shifted({0, 0, true}),
            (std::vector<int>{3,  2,  1,  0,  7,  6,  5,  4,  11, 10, 9,  8,  //
                              15, 14, 13, 12, 19, 18, 17, 16, 23, 22, 21, 20}));
}

TEST(Augmentation, StridesPutTheChannelsLast) {
  const Dataset set = counting_images(1);
  const auto image = set.read(0, 1).value();
  std::vector<float> result(24);
  shift_image(image, set, {}, black_of(set.normalisation, set.channels), {1, 8, 2}, result.data());
  for (std::size_t pixel = 0; pixel < 12; ++pixel) {
    EXPECT_EQ(result[2 * pixel], image[pixel]);
    EXPECT_EQ(result[2 * pixel + 1], image[12 + pixel]);
  }
}

TEST(Augmentation, AnImageIsTheSameWheneverItIsRead) {
  const Dataset set = augmented(counting_images(10), {2, true}, 7);
  const auto all = set.read(0, 10).value();
  for (std::size_t i = 10; i-- > 0;) {
    const auto one = set.read(i, 1).value();
    EXPECT_TRUE(
        std::equal(one.begin(), one.end(), all.begin() + static_cast<std::ptrdiff_t>(24 * i)));
  }
  EXPECT_EQ(augmented(counting_images(10), {2, true}, 7).read(0, 10).value(), all);
  EXPECT_NE(augmented(counting_images(10), {2, true}, 8).read(0, 10).value(), all);
}

TEST(Augmentation, ShiftsAreUniformAndStayWithinTheirLimit) {
  std::uint32_t next = 0;
  std::set<std::pair<int, int>> seen;
  for (int i = 0; i < 25; ++i) {
    // Every pair of numbers below five, in order.
    const Shift shift = draw_shift({2, false}, [&](std::uint32_t count) {
      EXPECT_EQ(count, 5U);
      const std::uint32_t number = next % 2 == 0 ? next / 2 / 5 : next / 2 % 5;
      ++next;
      return number;
    });
    EXPECT_FALSE(shift.mirrored);
    EXPECT_LE(std::abs(shift.down), 2);
    EXPECT_LE(std::abs(shift.right), 2);
    seen.emplace(shift.down, shift.right);
  }
  EXPECT_EQ(seen.size(), 25U);
}

TEST(Augmentation, TheDescriptionSaysWhatWasDone) {
  EXPECT_EQ(augmented(counting_images(1), {4, true}, 1).description,
            "counted, shifted at random by at most 4 pixels, every second one mirrored");
}

}  // namespace
}  // namespace pcmlab

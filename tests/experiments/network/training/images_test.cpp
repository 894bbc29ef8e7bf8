// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/images.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace pcmlab::training {
namespace {

/// Images of 2 channels, 3 rows, 4 columns; pixel i of image n is 100 n + i, black is -1 and -2.
Dataset numbered(std::size_t count) {
  Dataset set;
  set.channels = 2;
  set.height = 3;
  set.width = 4;
  set.classes = 10;
  std::vector<std::uint8_t> bytes;
  for (std::size_t image = 0; image < count; ++image) {
    set.labels.push_back(static_cast<std::uint16_t>(image % 10));
    for (std::size_t i = 0; i < 24; ++i) {
      bytes.push_back(static_cast<std::uint8_t>(100 * image + i + 1 + i / 12));
    }
  }
  set.normalisation = {{1.0f / 255, 2.0f / 255}, {1.0f / 255, 1.0f / 255}};
  set.source = images_in_memory(std::move(bytes), 24);
  return set;
}

/// Pixel of a batch's first image.
float at(const Batch& batch, std::size_t row, std::size_t column, std::size_t channel) {
  return batch.pixels[(row * 4 + column) * 2 + channel];
}

TEST(TrainingImages, AnOrderHasEachImageOnceAndAnotherOrderEachEpoch) {
  const TrainingImages images(numbered(50), {});
  const auto first = images.order(1, 0);
  EXPECT_EQ(std::set<std::uint32_t>(first.begin(), first.end()).size(), 50U);
  EXPECT_EQ(*std::max_element(first.begin(), first.end()), 49U);
  EXPECT_EQ(images.order(1, 0), first);
  EXPECT_NE(images.order(1, 1), first);
  EXPECT_NE(images.order(2, 0), first);
}

TEST(TrainingImages, WithoutAugmentationABatchHasTheImagesChannelsLast) {
  const TrainingImages images(numbered(3), {});
  Batch batch;
  Random random(1, Purpose::Augmentation, 0);
  const std::vector<std::uint32_t> chosen{2, 1};
  ASSERT_TRUE(images.fill(chosen, random, batch));
  EXPECT_EQ(batch.count, 2U);
  EXPECT_EQ(batch.labels, (std::vector<std::int64_t>{2, 1}));
  EXPECT_NEAR(at(batch, 0, 1, 0), 201, 1e-3);
  EXPECT_NEAR(at(batch, 2, 3, 1), 223, 1e-3);
  EXPECT_NEAR(batch.pixels[24], 100, 1e-3);
}

TEST(TrainingImages, CropsShiftInAllDirectionsAndBringBlackIn) {
  const TrainingImages images(numbered(2), {.crop_pixels = 1, .flip = false});
  Batch batch;
  const std::vector<std::uint32_t> chosen{1};
  std::set<std::pair<int, int>> shifts;
  for (std::uint64_t draw = 0; draw < 200; ++draw) {
    Random random(1, Purpose::Augmentation, draw);
    ASSERT_TRUE(images.fill(chosen, random, batch));
    const int middle = static_cast<int>(std::lround(at(batch, 1, 1, 0))) - 100;
    const int down = middle / 4 - 1;
    const int right = middle % 4 - 1;
    shifts.emplace(down, right);
    const float corner = at(batch, 0, 0, 1);
    const bool outside = down < 0 || right < 0;
    EXPECT_NEAR(corner, outside ? -2.0f : static_cast<float>(112 + 4 * down + right), 1e-3);
  }
  EXPECT_EQ(shifts.size(), 9U);
}

TEST(TrainingImages, FlipMirrorsEverySecondImage) {
  const TrainingImages images(numbered(2), {.crop_pixels = 0, .flip = true});
  Batch batch;
  const std::vector<std::uint32_t> chosen{1};
  int mirrored = 0;
  for (std::uint64_t draw = 0; draw < 400; ++draw) {
    Random random(1, Purpose::Augmentation, draw);
    ASSERT_TRUE(images.fill(chosen, random, batch));
    const bool flipped = std::lround(at(batch, 1, 0, 0)) == 107;
    mirrored += flipped ? 1 : 0;
    EXPECT_NEAR(at(batch, 1, 3, 0), flipped ? 104 : 107, 1e-3);
  }
  EXPECT_NEAR(mirrored, 200, 50);
}

TEST(TrainingImages, TheHeadOfASetIsItsFirstImages) {
  const Dataset head = head_of(numbered(5), 2);
  EXPECT_EQ(head.count(), 2U);
  EXPECT_NEAR(head.read(1, 1).value().back(), 123, 1e-3);
}

}  // namespace
}  // namespace pcmlab::training

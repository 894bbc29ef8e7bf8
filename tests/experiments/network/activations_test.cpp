// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/activations.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace pcmlab {
namespace {

/// Random values in a layout, and each of them as what it is worth in that precision.
struct Values {
  Values(Precision wanted, const ActivationShape& wanted_shape, std::size_t images, unsigned seed)
      : precision(wanted), shape(wanted_shape) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.5f, 2.0f);
    worth.resize(images * shape.per_image());
    for (float& value : worth) value = normal(random);
    if (precision == Precision::Bfloat16) {
      for (float& value : worth) {
        halves.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16U));
        value = std::bit_cast<float>(static_cast<std::uint32_t>(halves.back()) << 16U);
      }
    }
  }
  std::byte* data() {
    return precision == Precision::Bfloat16 ? reinterpret_cast<std::byte*>(halves.data())
                                            : reinterpret_cast<std::byte*>(worth.data());
  }
  std::size_t channel(std::size_t i) const {
    const std::size_t part = i / (shape.pixels * shape.lanes);
    return part % shape.groups * shape.lanes + i % shape.lanes;
  }

  Precision precision;
  ActivationShape shape;
  std::vector<float> worth;
  std::vector<std::uint16_t> halves;
};

constexpr ActivationShape kBlocks{2, 100, 16}, kChannelsLast{1, 9, 37}, kVector{1, 1, 5};

class Activations : public testing::TestWithParam<std::tuple<Precision, ActivationShape>> {
 protected:
  Precision precision() const { return std::get<0>(GetParam()); }
  const ActivationShape& shape() const { return std::get<1>(GetParam()); }
};

TEST_P(Activations, MomentsAreThoseOfTheShiftedValues) {
  constexpr std::size_t kImages = 3;
  Values values(precision(), shape(), kImages, 1);
  std::vector<float> shift(shape().channels());
  for (std::size_t c = 0; c < shift.size(); ++c) shift[c] = 0.1f * static_cast<float>(c % 7);
  const ChannelMoments moments = moments_of(values.data(), precision(), shape(), kImages, shift);
  std::vector<double> sums(shift.size()), squares(shift.size());
  for (std::size_t i = 0; i < values.worth.size(); ++i) {
    const std::size_t c = values.channel(i);
    const double off = static_cast<double>(values.worth[i]) - static_cast<double>(shift[c]);
    sums[c] += off;
    squares[c] += off * off;
  }
  for (std::size_t c = 0; c < shift.size(); ++c) {
    EXPECT_NEAR(moments.sums[c], sums[c], 1e-4 * (1 + squares[c]));
    EXPECT_NEAR(moments.squares[c], squares[c], 1e-5 * squares[c]);
  }
}

TEST_P(Activations, AreNormalisedInPlaceWithASummandAndReLU) {
  constexpr std::size_t kImages = 2;
  for (const bool relu : {false, true}) {
    Values values(precision(), shape(), kImages, 2), summand(precision(), shape(), kImages, 3);
    std::vector<float> slope(shape().channels()), offset(shape().channels());
    for (std::size_t c = 0; c < slope.size(); ++c) {
      slope[c] = 0.5f + 0.25f * static_cast<float>(c % 3);
      offset[c] = -1.0f + 0.5f * static_cast<float>(c % 4);
    }
    std::vector<double> expected;
    for (std::size_t i = 0; i < values.worth.size(); ++i) {
      const std::size_t c = values.channel(i);
      const double value = static_cast<double>(slope[c]) * static_cast<double>(values.worth[i]) +
                           static_cast<double>(offset[c]) + static_cast<double>(summand.worth[i]);
      expected.push_back(relu ? std::max(value, 0.0) : value);
    }
    normalise(values.data(), summand.data(), values.data(), precision(), shape(), kImages, slope,
              offset, relu);
    const double tolerance = precision() == Precision::Bfloat16 ? 1.0 / 256 : 1e-6;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const float got =
          precision() == Precision::Bfloat16
              ? std::bit_cast<float>(static_cast<std::uint32_t>(values.halves[i]) << 16U)
              : values.worth[i];
      ASSERT_NEAR(got, expected[i], tolerance * (1 + std::abs(expected[i]))) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, Activations,
                         testing::Combine(testing::Values(Precision::Float32, Precision::Bfloat16),
                                          testing::Values(kBlocks, kChannelsLast, kVector)));

TEST(Normalise, LetsANaNThroughAndRoundsHalvesToEven) {
  std::vector<float> values{std::numeric_limits<float>::quiet_NaN(), -1, 2};
  const std::vector<float> one(3, 1.0f), zero(3, 0.0f);
  auto* bytes = reinterpret_cast<std::byte*>(values.data());
  normalise(bytes, nullptr, bytes, Precision::Float32, {1, 1, 3}, 1, one, zero, true);
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], 0);
  EXPECT_EQ(values[2], 2);
  // 1 + 3/256 lies between two bfloat16 numbers, 1 + 2/256 being odd in its last place.
  std::vector<std::uint16_t> halves{0x3f80, 0x3f80, 0x7fc0};
  const std::vector<float> up{1.0f / 256, 3.0f / 256, 0.0f};
  bytes = reinterpret_cast<std::byte*>(halves.data());
  normalise(bytes, nullptr, bytes, Precision::Bfloat16, {1, 1, 3}, 1, one, up, false);
  EXPECT_EQ(halves[0], 0x3f80);
  EXPECT_EQ(halves[1], 0x3f82);
  EXPECT_EQ(halves[2], 0x7fc0);
}

std::vector<float> quantised(const Quantiser& quantiser, std::vector<float> values) {
  quantiser.apply(values.data(), values.data(), values.size());
  return values;
}

TEST(Quantiser, HasZeroAndASymmetricRangeWithASign) {
  const Quantiser four = Quantiser::of(4, 7.0f, true);  // levels -7 .. 7, one apart
  EXPECT_EQ(quantised(four, {0, 0.4f, 0.6f, -0.6f, 6.6f, 7, 9, -100}),
            (std::vector<float>{0, 0, 1, -1, 7, 7, 7, -7}));
}

TEST(Quantiser, SpendsNoLevelOnASignThatThereIsNot) {
  const Quantiser two = Quantiser::of(2, 6.0f, false);  // 0, 2, 4, 6
  EXPECT_EQ(quantised(two, {-1, 0, 0.9f, 1.1f, 4.9f, 5.1f, 60}),
            (std::vector<float>{0, 0, 0, 2, 4, 6, 6}));
}

TEST(Quantiser, RoundsHalvesToTheEvenLevelAndScalesWhatComesOut) {
  EXPECT_EQ(quantised(Quantiser::of(4, 7.0f, true), {0.5f, 1.5f, 2.5f, -0.5f, -1.5f}),
            (std::vector<float>{0, 2, 2, 0, -2}));
  EXPECT_EQ(quantised(Quantiser::of(4, 7.0f, true, 0.5f), {1, 3, 9}),
            (std::vector<float>{0.5f, 1.5f, 3.5f}));
}

TEST(Quantiser, OfARangeOfNothingGivesNothing) {
  EXPECT_EQ(quantised(Quantiser::of(8, 0.0f, true), {1, -1, 0}), (std::vector<float>{0, 0, 0}));
}

TEST(Quantiser, NeverErrsByMoreThanHalfAStepInsideItsRange) {
  for (const int bits : {4, 6, 8}) {
    const Quantiser quantiser = Quantiser::of(bits, 3.0f, true);
    for (int i = -300; i <= 300; ++i) {
      const float value = static_cast<float>(i) * 0.01f;
      EXPECT_LE(std::abs(quantised(quantiser, {value})[0] - value), 0.5001f * quantiser.step);
    }
  }
}

TEST(MagnitudeHistogram, FindsTheMagnitudeThatAFractionStaysBelow) {
  MagnitudeHistogram histogram, other;
  std::vector<float> values;
  for (int i = 1; i <= 1000; ++i) values.push_back(static_cast<float>(i) * 0.01f);
  histogram.add(values.data(), 600);
  other.add(values.data() + 600, 400);
  histogram.add(other);
  EXPECT_NEAR(histogram.quantile(0.5), 5.0f, 0.016f * 5);
  EXPECT_NEAR(histogram.quantile(0.999), 9.99f, 0.016f * 10);
  EXPECT_EQ(histogram.quantile(1), 10.0f);
  EXPECT_FALSE(histogram.any_negative());
  const float negative = -20;
  histogram.add(&negative, 1);
  EXPECT_TRUE(histogram.any_negative());
  EXPECT_EQ(histogram.quantile(1), 20.0f);
  EXPECT_EQ(MagnitudeHistogram().quantile(0.999), 0.0f);
}

}  // namespace
}  // namespace pcmlab

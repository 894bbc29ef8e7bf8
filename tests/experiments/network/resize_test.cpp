// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/images/resize.h"

#include <gtest/gtest.h>

#include "experiments/network/sha256.h"
#include "tests/experiments/network/image_writer.h"

namespace pcmlab {
namespace {

std::vector<std::uint8_t> resized(const RgbImage& image, const FolderLayout& layout) {
  std::vector<std::uint8_t> to(3 * static_cast<std::size_t>(layout.height) *
                               static_cast<std::size_t>(layout.width));
  resize_and_crop(image, layout, to);
  return to;
}

// SHA-256 of [channel][row][column] from Pillow 9.4.0: resize(BILINEAR) to torchvision's size, then
// torchvision's centre crop, of the same picture.
TEST(ResizeAndCrop, GivesPillowsBits) {
  const struct {
    int width, height;
    FolderLayout layout;
    const char* sha256;
  } cases[] = {
      {500,
       375,
       {256, 224, 224},
       "d4f6823c3b912219a1f8aae2e9ceb03aba5abaea43d3a79ebb160f03e8d3d97e"},
      {333,
       500,
       {256, 224, 224},
       "4044519686794c319bcfee82537c9ca08204839c080762e056ef749e4f189dc1"},
      {256,
       256,
       {256, 224, 224},
       "0bc2c54c54315ab4f7fdb1e5e42994d1576cd8bc5cd7aafd480245da7c1d9d84"},
      {100,
       80,
       {256, 224, 224},
       "80bbc07cad9b27e1bca29b1ce2caf61d0ff5f95ffb5c40eecda15f4d9f9ed6d0"},
      {257,
       256,
       {256, 256, 256},
       "0e9f2b68a6f0a960b205e0d3f6062d0f0905254c5a010e2cded1cee641ee0c28"},
      {1600,
       1200,
       {256, 224, 224},
       "bcfdcb5993ec1b49125f2ceaac14b5ffc0a4f9c1e060ab159b8336cc27cfd07c"},
      {500,
       281,
       {232, 224, 224},
       "9658c90395ba10d41e6758a76e5ff4e4c5f25e07b6cfc88611b346948ac75c5b"},
      {7, 5, {9, 8, 3}, "e767dd76ae459f733ad26e8c58e9b30edec4a21dac8741e764a2a9893fa7053e"},
  };
  for (const auto& [width, height, layout, sha256] : cases) {
    const auto bytes = resized(test::test_picture(width, height), layout);
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(bytes))), sha256) << width << "x" << height;
  }
}

TEST(ResizeAndCrop, LeavesOneColourAsItIs) {
  const RgbImage image{90, 70, [] {
                         std::vector<std::uint8_t> pixels;
                         for (int i = 0; i < 90 * 70; ++i)
                           pixels.insert(pixels.end(), {255, 128, 0});
                         return pixels;
                       }()};
  for (const int side : {20, 70, 200}) {
    const auto bytes = resized(image, {side, side, side});
    const auto plane = static_cast<std::size_t>(side) * static_cast<std::size_t>(side);
    for (std::size_t i = 0; i < plane; ++i) {
      ASSERT_EQ(bytes[i], 255);
      ASSERT_EQ(bytes[plane + i], 128);
      ASSERT_EQ(bytes[2 * plane + i], 0);
    }
  }
}

TEST(ResizeAndCrop, TakesTheCentre) {
  // 1 row of 9 columns, numbered; the middle 3.
  RgbImage image{9, 3, {}};
  for (int i = 0; i < 27; ++i)
    image.pixels.insert(image.pixels.end(), 3, static_cast<std::uint8_t>(i));
  EXPECT_EQ(resized(image, {3, 1, 3}),
            (std::vector<std::uint8_t>{12, 13, 14, 12, 13, 14, 12, 13, 14}));
}

TEST(ResizeAndCrop, TakesAnImageOfOnePixel) {
  const auto bytes = resized({1, 1, {9, 8, 7}}, {4, 4, 4});
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(bytes[i], 9);
    EXPECT_EQ(bytes[16 + i], 8);
    EXPECT_EQ(bytes[32 + i], 7);
  }
}

}  // namespace
}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/images/image_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/experiments/network/dataset_files.h"
#include "tests/experiments/network/image_writer.h"

namespace pcmlab {
namespace {

using test::Bytes;
using test::error_of;
using test::jpeg_file;
using test::JpegColour;
using test::png_file;
using test::test_picture;
using testing::AllOf;
using testing::HasSubstr;

/// Smooth in all channels, so that JPEG keeps it nearly as it is.
RgbImage smooth_picture(int width, int height) {
  RgbImage image{width, height, {}};
  for (int row = 0; row < height; ++row) {
    for (int column = 0; column < width; ++column) {
      image.pixels.push_back(static_cast<std::uint8_t>(60 + 2 * row));
      image.pixels.push_back(static_cast<std::uint8_t>(200 - 3 * column));
      image.pixels.push_back(static_cast<std::uint8_t>(90 + row + column));
    }
  }
  return image;
}

int largest_difference(const Bytes& a, const Bytes& b) {
  EXPECT_EQ(a.size(), b.size());
  int largest = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::abs(int{a[i]} - int{b[i]}));
  }
  return largest;
}

/// Each grey sample three times.
Bytes as_rgb(const Bytes& grey) {
  Bytes rgb;
  for (const std::uint8_t sample : grey) rgb.insert(rgb.end(), 3, sample);
  return rgb;
}

TEST(ImageFile, ReadsRgbPngAsItIs) {
  const RgbImage picture = test_picture(21, 13);
  for (const bool interlaced : {false, true}) {
    const Bytes file =
        png_file(21, 13, picture.pixels, {.color_type = 2, .interlaced = interlaced});
    const RgbImage image = decode_image(file, "a.png").value();
    EXPECT_EQ(image.width, 21);
    EXPECT_EQ(image.height, 13);
    EXPECT_EQ(image.pixels, picture.pixels);
  }
}

TEST(ImageFile, SpreadsGreyPngOfAnyDepthToRgb) {
  // 8 pixels a row: 0, 1, 0, 1, ... of the largest value of each depth.
  const struct {
    int depth;
    Bytes row;
  } cases[] = {{1, {0x55}},
               {2, {0x33, 0x33}},
               {4, {0x0f, 0x0f, 0x0f, 0x0f}},
               {8, {0, 255, 0, 255, 0, 255, 0, 255}}};
  for (const auto& [depth, row] : cases) {
    const RgbImage image =
        decode_image(png_file(8, 1, row, {.color_type = 0, .depth = depth}), "grey.png").value();
    EXPECT_EQ(image.pixels, as_rgb({0, 255, 0, 255, 0, 255, 0, 255})) << depth;
  }
  EXPECT_EQ(
      decode_image(png_file(4, 1, Bytes{0x1b}, {.color_type = 0, .depth = 2}), "g").value().pixels,
      as_rgb({0, 85, 170, 255}));
}

TEST(ImageFile, ScalesSixteenBitPngToEight) {
  // 0x8080 is 128.5 / 255 of the range and more: 128; 0xffff 255; 0x00ff 1.
  const Bytes grey{0x80, 0x80, 0xff, 0xff, 0x00, 0xff, 0x00, 0x00};
  EXPECT_EQ(decode_image(png_file(4, 1, grey, {.color_type = 0, .depth = 16}), "g").value().pixels,
            as_rgb({128, 255, 1, 0}));
  const Bytes rgb{0x12, 0x34, 0xff, 0xff, 0x00, 0x00};
  EXPECT_EQ(decode_image(png_file(1, 1, rgb, {.color_type = 2, .depth = 16}), "g").value().pixels,
            (Bytes{0x12, 0xff, 0x00}));
}

TEST(ImageFile, LooksUpPalettesAndIgnoresTheirTransparency) {
  for (const auto& [depth, row] : {std::pair{8, Bytes{0, 1, 2, 3}}, std::pair{2, Bytes{0x1b}},
                                   std::pair{4, Bytes{0x01, 0x23}}}) {
    const Bytes file = png_file(4, 1, row, {.color_type = 3, .depth = depth});
    EXPECT_EQ(decode_image(file, "p.png").value().pixels,
              (Bytes{0, 255, 0, 20, 254, 1, 40, 253, 2, 60, 252, 3}));
  }
}

TEST(ImageFile, DropsTheAlphaOfPng) {
  const Bytes rgba{10, 20, 30, 0, 40, 50, 60, 128};
  EXPECT_EQ(decode_image(png_file(2, 1, rgba, {.color_type = 6}), "a.png").value().pixels,
            (Bytes{10, 20, 30, 40, 50, 60}));
  const Bytes grey_alpha{10, 0, 20, 255};
  EXPECT_EQ(decode_image(png_file(2, 1, grey_alpha, {.color_type = 4}), "a.png").value().pixels,
            as_rgb({10, 20}));
}

TEST(ImageFile, ReadsJpegOfEveryKind) {
  const RgbImage picture = smooth_picture(40, 24);
  for (const bool progressive : {false, true}) {
    for (const int subsampling : {1, 2}) {
      const RgbImage image =
          decode_image(jpeg_file(40, 24, picture.pixels, JpegColour::Rgb, progressive, subsampling),
                       "a.jpg")
              .value();
      EXPECT_EQ(image.width, 40);
      EXPECT_EQ(image.height, 24);
      EXPECT_LE(largest_difference(image.pixels, picture.pixels), subsampling == 1 ? 3 : 6);
    }
  }
}

TEST(ImageFile, SpreadsGreyJpegToRgb) {
  Bytes grey;
  for (int i = 0; i < 16 * 16; ++i) grey.push_back(static_cast<std::uint8_t>(40 + i / 2));
  const RgbImage image =
      decode_image(jpeg_file(16, 16, grey, JpegColour::Grey), "grey.jpg").value();
  EXPECT_LE(largest_difference(image.pixels, as_rgb(grey)), 2);
}

TEST(ImageFile, TurnsAdobesInvertedCmykIntoRgb) {
  // Stored are 255 - C, 255 - M, 255 - Y, 255 - K: what light is left of 255.
  const Bytes stored_pixel{200, 100, 50, 128};
  Bytes stored;
  for (int i = 0; i < 16 * 16; ++i)
    stored.insert(stored.end(), stored_pixel.begin(), stored_pixel.end());
  Bytes expected;
  for (int i = 0; i < 16 * 16; ++i) {
    for (const int light : {200, 100, 50}) {
      expected.push_back(static_cast<std::uint8_t>(light * 128 / 255));
    }
  }
  for (const JpegColour colour : {JpegColour::Cmyk, JpegColour::Ycck}) {
    const RgbImage image = decode_image(jpeg_file(16, 16, stored, colour), "cmyk.jpg").value();
    EXPECT_LE(largest_difference(image.pixels, expected), 3);
  }
}

TEST(ImageFile, NamesAFileThatIsNoImage) {
  EXPECT_THAT(error_of(decode_image({}, "set/a.jpg"), ErrorCode::BadFile),
              AllOf(HasSubstr("set/a.jpg"), HasSubstr("empty")));
  const Bytes text{'G', 'I', 'F', '8', '9', 'a', 0, 0};
  EXPECT_THAT(error_of(decode_image(text, "set/a.jpg"), ErrorCode::BadFile),
              AllOf(HasSubstr("set/a.jpg"), HasSubstr("neither a JPEG nor a PNG")));
}

TEST(ImageFile, RefusesAFileCutShortAnywhere) {
  const RgbImage picture = test_picture(48, 32);
  const Bytes png = png_file(picture), jpeg = jpeg_file(picture);
  const Bytes progressive = jpeg_file(48, 32, picture.pixels, JpegColour::Rgb, true);
  for (const Bytes& whole : {png, jpeg, progressive}) {
    ASSERT_TRUE(decode_image(whole, "whole").has_value());
    for (std::size_t size = 8; size + 2 < whole.size(); size += 1 + size / 10) {
      const auto image = decode_image(std::span(whole).first(size), "set/short");
      EXPECT_THAT(error_of(image, ErrorCode::BadFile),
                  AllOf(HasSubstr("set/short"), HasSubstr("damaged")))
          << size;
    }
  }
}

TEST(ImageFile, RefusesDamagedPngAndNeverCrashes) {
  const Bytes whole = png_file(test_picture(48, 32));
  for (std::size_t i = 8; i < whole.size(); ++i) {
    Bytes damaged = whole;
    damaged[i] ^= 0x41;
    const auto image = decode_image(damaged, "set/bad.png");
    // Every byte of the chunks that matter is under a checksum; a changed name makes a chunk one to
    // pass over, which leaves others missing.
    EXPECT_FALSE(image.has_value()) << i;
  }
}

TEST(ImageFile, RefusesJpegWhoseDataAreNoCodesAndNeverCrashes) {
  const Bytes whole = jpeg_file(test_picture(48, 32));
  int refused = 0;
  for (std::size_t i = 2; i < whole.size(); ++i) {
    Bytes damaged = whole;
    damaged[i] ^= 0x41;
    const auto image = decode_image(damaged, "set/bad.jpg");
    if (image) continue;  // JPEG has no checksum: another picture, or a comment
    EXPECT_EQ(image.error().code, ErrorCode::BadFile);
    EXPECT_THAT(image.error().message, HasSubstr("set/bad.jpg"));
    ++refused;
  }
  EXPECT_GT(refused, 100);
}

TEST(ImageFile, RefusesAnImageTooLargeToDecodeBeforeTakingMemory) {
  // The sizes stand at fixed places: PNG's under a checksum, JPEG's in its frame header.
  Bytes jpeg = jpeg_file(test_picture(16, 16));
  const Bytes frame{0xff, 0xc0};
  const auto at = std::search(jpeg.begin(), jpeg.end(), frame.begin(), frame.end());
  ASSERT_NE(at, jpeg.end());
  std::fill(at + 5, at + 9, std::uint8_t{0xfe});
  EXPECT_THAT(error_of(decode_image(jpeg, "set/large.jpg"), ErrorCode::BadFile),
              AllOf(HasSubstr("set/large.jpg"), HasSubstr("65278x65278")));
  const Bytes row((30'000 + 7) / 8, 0);
  Bytes rows;
  for (int i = 0; i < 4000; ++i) rows.insert(rows.end(), row.begin(), row.end());
  const Bytes png = png_file(30'000, 4000, rows, {.color_type = 0, .depth = 1});
  EXPECT_THAT(error_of(decode_image(png, "set/large.png"), ErrorCode::BadFile),
              AllOf(HasSubstr("30000x4000"), HasSubstr("100 million")));
}

TEST(ImageFile, NamesAFileThatCannotBeRead) {
  const test::TemporaryFolder folder;
  const auto missing = read_file(folder.path() / "none.jpg");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::Io);
  EXPECT_THAT(missing.error().message, HasSubstr("none.jpg"));
}

}  // namespace
}  // namespace pcmlab

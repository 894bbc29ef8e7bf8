// SPDX-License-Identifier: Apache-2.0
/// \file
/// Writes small PNG and JPEG files for tests, in every form that the libraries can write.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "experiments/network/images/image_file.h"

namespace pcmlab::test {

/// A picture with fine structure: (7 row + 13 column + 50 channel + row * column % 251) % 256.
RgbImage test_picture(int width, int height);

/// How a PNG is to be written.
struct PngForm {
  int color_type =
      2;  ///< of the PNG specification: 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA
  int depth = 8;
  bool interlaced = false;
};

/// \param rows  the samples of all rows as the form has them, packed, 16 bit big endian.
/// With a palette entry i is (i * 20, 255 - i, i), and entry 1 is transparent.
std::vector<std::uint8_t> png_file(int width, int height, std::span<const std::uint8_t> rows,
                                   PngForm form);
std::vector<std::uint8_t> png_file(const RgbImage& image);

enum class JpegColour { Grey, Rgb, Cmyk, Ycck };

/// Quality 100. \param samples  1, 3 or 4 bytes a pixel. \param subsampling  of the colours: 1
/// or 2.
std::vector<std::uint8_t> jpeg_file(int width, int height, std::span<const std::uint8_t> samples,
                                    JpegColour colour, bool progressive = false,
                                    int subsampling = 1);
std::vector<std::uint8_t> jpeg_file(const RgbImage& image);

}  // namespace pcmlab::test

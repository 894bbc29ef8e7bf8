// SPDX-License-Identifier: Apache-2.0
/// \file
/// Image files as RGB, the way a network that was trained with torchvision saw them. Free functions
/// without state, for any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "protocol/error.h"

namespace pcmlab {

/// 8 bits a channel, [row][column][red, green, blue].
struct RgbImage {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> pixels;
};

/// The largest image that is decoded; more is refused before memory is taken.
constexpr std::int64_t kMostPixels = 100'000'000;

/// Decodes JPEG (grey, YCbCr, RGB, CMYK and YCCK as Adobe writes them) or PNG (all colour types and
/// depths, interlaced too), told apart by content, to what Pillow's convert("RGB") gives: alpha and
/// EXIF orientation are ignored, no gamma. Unlike Pillow, 16-bit PNG is scaled to 8 bits.
/// Errors: BadFile naming `name` (neither of both, damaged, cut short, more than kMostPixels).
Result<RgbImage> decode_image(std::span<const std::uint8_t> file, const std::string& name);

/// Errors: those of decode_image(), Io.
Result<std::vector<std::uint8_t>> read_file(const std::filesystem::path& path);

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
/// \file
/// The two decoders behind decode_image(), each in the only file that sees its library.
#pragma once

#include "experiments/network/images/image_file.h"

namespace pcmlab {

Result<RgbImage> decode_png(std::span<const std::uint8_t> file, const std::string& name);
Result<RgbImage> decode_jpeg(std::span<const std::uint8_t> file, const std::string& name);

/// Errors: BadFile when an image of this size is not decoded.
Result<void> check_image_size(const std::string& name, std::int64_t width, std::int64_t height);

}  // namespace pcmlab

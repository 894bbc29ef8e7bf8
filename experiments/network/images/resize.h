// SPDX-License-Identifier: Apache-2.0
/// \file
/// Images made the size of a network's input. Free functions without state, for any thread.
#pragma once

#include "experiments/network/dataset.h"
#include "experiments/network/images/image_file.h"

namespace pcmlab {

/// torchvision's Resize(shorter_side) and CenterCrop(height, width) on a Pillow image: bilinear
/// with antialias in Pillow's fixed-point arithmetic (ImagingResample for 8 bits: 22 fractional
/// bits, horizontal then vertical, rounded in between), the longer side truncated to a whole pixel,
/// the margin rounded half to even. Bit for bit what Pillow 9.4 gives. Only pixels that stay are
/// computed.
/// \param to  [channel][row][column], 3 * height * width bytes. The layout must fit: no side of the
/// cut above the shorter side.
void resize_and_crop(const RgbImage& image, const FolderLayout& layout, std::span<std::uint8_t> to);

}  // namespace pcmlab

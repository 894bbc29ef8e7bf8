// SPDX-License-Identifier: Apache-2.0
/// \file
/// Images shifted and mirrored at random, as networks are trained on them. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "experiments/network/dataset.h"

namespace pcmlab {

struct Augmentation {
  int crop_pixels = 0;  ///< shifted by at most so many in each direction; black comes in
  bool flip = false;    ///< every second image is mirrored
};

/// The key of Network::metadata under which networks keep the crop_pixels that they were trained
/// with.
inline constexpr const char* kCropPixelsKey = "pcmlab.crop_pixels";

/// What is done to one image.
struct Shift {
  int down = 0;   ///< pixels by which the cut moves
  int right = 0;  ///< likewise
  bool mirrored = false;
};

/// \param below  a random number below its argument; called for `down`, `right` and, where images
///               are mirrored at all, `mirrored`, in this order.
template <class Below>
Shift draw_shift(const Augmentation& augmentation, Below below) {
  const int crop = augmentation.crop_pixels;
  Shift shift;
  shift.down = static_cast<int>(below(static_cast<std::uint32_t>(2 * crop + 1))) - crop;
  shift.right = static_cast<int>(below(static_cast<std::uint32_t>(2 * crop + 1))) - crop;
  shift.mirrored = augmentation.flip && below(2) == 1;
  return shift;
}

/// Distances in memory between neighbours of an image, in numbers.
struct ImageStrides {
  std::ptrdiff_t channel = 0, row = 0, column = 0;
};

/// What black becomes in each channel; zero for channels of which nothing is known.
std::vector<float> black_of(const Normalisation& normalisation, int channels);

/// Writes one image of `set`, [channel][row][column], shifted, to `to`.
/// \param black  one number a channel, for what lies outside of the image.
void shift_image(std::span<const float> image, const Dataset& set, const Shift& shift,
                 std::span<const float> black, const ImageStrides& strides, float* to);

/// The same images, each shifted once and for all by what follows from `seed` and its place.
Dataset augmented(const Dataset& images, const Augmentation& augmentation, std::uint64_t seed);

}  // namespace pcmlab

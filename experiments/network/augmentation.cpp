// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/augmentation.h"

#include <fmt/format.h>

#include <memory>
#include <random>
#include <utility>

namespace pcmlab {
namespace {

class ShiftedImages : public ImageSource {
 public:
  ShiftedImages(const Dataset& images, std::vector<Shift> shifts)
      : images_(images), shifts_(std::move(shifts)) {}

  Result<void> read(std::size_t first, std::size_t count, const Normalisation& normalisation,
                    std::span<float> pixels) const override {
    const std::vector<float> black = black_of(normalisation, images_.channels);
    const std::size_t size = images_.image_size();
    const ImageStrides as_it_was{std::ptrdiff_t{images_.height} * images_.width, images_.width, 1};
    std::vector<float> image(size);
    for (std::size_t i = 0; i < count; ++i) {
      PCM_TRY(images_.source->read(first + i, 1, normalisation, image));
      shift_image(image, images_, shifts_[first + i], black, as_it_was,
                  pixels.subspan(i * size, size).data());
    }
    return {};
  }

 private:
  Dataset images_;
  std::vector<Shift> shifts_;
};

}  // namespace

std::vector<float> black_of(const Normalisation& normalisation, int channels) {
  std::vector<float> black;
  for (std::size_t channel = 0; channel < static_cast<std::size_t>(channels); ++channel) {
    const bool known = channel < normalisation.mean.size() && channel < normalisation.std.size();
    black.push_back(known ? -normalisation.mean[channel] / normalisation.std[channel] : 0.0f);
  }
  return black;
}

void shift_image(std::span<const float> image, const Dataset& set, const Shift& shift,
                 std::span<const float> black, const ImageStrides& strides, float* to) {
  for (int row = 0; row < set.height; ++row) {
    for (int column = 0; column < set.width; ++column) {
      const int from_row = row + shift.down;
      const int from_column = (shift.mirrored ? set.width - 1 - column : column) + shift.right;
      const bool inside =
          from_row >= 0 && from_row < set.height && from_column >= 0 && from_column < set.width;
      float* pixel = to + row * strides.row + column * strides.column;
      for (int channel = 0; channel < set.channels; ++channel) {
        const std::ptrdiff_t line = std::ptrdiff_t{channel} * set.height + from_row;
        pixel[channel * strides.channel] =
            inside ? image[static_cast<std::size_t>(line * set.width + from_column)]
                   : black[static_cast<std::size_t>(channel)];
      }
    }
  }
}

Dataset augmented(const Dataset& images, const Augmentation& augmentation, std::uint64_t seed) {
  // The standard's distributions differ from one library to the next; the generator does not.
  std::mt19937_64 random(seed);
  const auto below = [&random](std::uint32_t count) {
    return static_cast<std::uint32_t>((random() >> 32) * count >> 32);
  };
  std::vector<Shift> shifts(images.count());
  for (Shift& shift : shifts) shift = draw_shift(augmentation, below);

  Dataset result = images;
  result.description +=
      fmt::format(", shifted at random by at most {} pixels{}", augmentation.crop_pixels,
                  augmentation.flip ? ", every second one mirrored" : "");
  result.source = std::make_shared<ShiftedImages>(images, std::move(shifts));
  return result;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/images.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace pcmlab::training {
namespace {

// ---- all that knows how a Dataset stores its pixels ----

/// \param to  [channel][row][column]
void copy_image(const Dataset& set, std::size_t image, std::span<float> to) {
  std::copy_n(set.pixels.data() + image * to.size(), to.size(), to.begin());
}

std::size_t pixels_of(const Dataset& set) {
  return static_cast<std::size_t>(set.channels) * static_cast<std::size_t>(set.height) *
         static_cast<std::size_t>(set.width);
}

}  // namespace

Dataset head_of(const Dataset& set, std::size_t count) {
  Dataset head = set;
  head.labels.resize(count);
  head.pixels.resize(count * pixels_of(set));
  return head;
}

TrainingImages::TrainingImages(Dataset set, Augmentation augmentation)
    : set_(std::move(set)), augmentation_(augmentation) {
  constexpr std::size_t kEnough = 1000;
  const auto channels = static_cast<std::size_t>(set_.channels);
  black_.assign(channels, std::numeric_limits<float>::max());
  std::vector<float> image(pixels_of(set_));
  const std::size_t plane = image.size() / channels;
  for (std::size_t i = 0; i < std::min(kEnough, set_.count()); ++i) {
    copy_image(set_, i, image);
    for (std::size_t j = 0; j < image.size(); ++j) {
      black_[j / plane] = std::min(black_[j / plane], image[j]);
    }
  }
}

std::vector<std::uint32_t> TrainingImages::order(std::uint64_t seed, std::uint64_t epoch) const {
  std::vector<std::uint32_t> order(set_.count());
  std::iota(order.begin(), order.end(), 0U);
  Random random(seed, Purpose::Order, epoch);
  for (std::size_t left = order.size(); left > 1; --left) {
    std::swap(order[left - 1], order[random.below(static_cast<std::uint32_t>(left))]);
  }
  return order;
}

void TrainingImages::fill(std::span<const std::uint32_t> chosen, Random& random,
                          Batch& batch) const {
  const int height = set_.height;
  const int width = set_.width;
  const int crop = augmentation_.crop_pixels;
  std::vector<float> image(pixels_of(set_));
  batch.count = chosen.size();
  batch.pixels.resize(chosen.size() * image.size());
  batch.labels.resize(chosen.size());
  float* to = batch.pixels.data();
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    copy_image(set_, chosen[i], image);
    batch.labels[i] = set_.labels[chosen[i]];
    const auto shift = [&] {
      return static_cast<int>(random.below(static_cast<std::uint32_t>(2 * crop + 1))) - crop;
    };
    const int down = shift();
    const int right = shift();
    const bool mirrored = augmentation_.flip && random.below(2) == 1;
    for (int row = 0; row < height; ++row) {
      for (int column = 0; column < width; ++column) {
        const int from_row = row + down;
        const int from_column = (mirrored ? width - 1 - column : column) + right;
        const bool inside =
            from_row >= 0 && from_row < height && from_column >= 0 && from_column < width;
        for (int channel = 0; channel < set_.channels; ++channel) {
          *to++ = inside ? image[static_cast<std::size_t>((channel * height + from_row) * width +
                                                          from_column)]
                         : black_[static_cast<std::size_t>(channel)];
        }
      }
    }
  }
}

}  // namespace pcmlab::training

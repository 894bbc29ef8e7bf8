// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/images.h"

#include <algorithm>
#include <numeric>

namespace pcmlab::training {
Dataset head_of(const Dataset& set, std::size_t count) {
  Dataset head = set;
  head.labels.resize(count);
  return head;
}

TrainingImages::TrainingImages(Dataset set, Augmentation augmentation)
    : set_(std::move(set)), augmentation_(augmentation) {
  const Normalisation& norm = set_.normalisation;
  for (std::size_t channel = 0; channel < static_cast<std::size_t>(set_.channels); ++channel) {
    const bool known = channel < norm.mean.size() && channel < norm.std.size();
    black_.push_back(known ? -norm.mean[channel] / norm.std[channel] : 0.0f);
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

Result<void> TrainingImages::fill(std::span<const std::uint32_t> chosen, Random& random,
                                  Batch& batch) const {
  const int height = set_.height;
  const int width = set_.width;
  const int crop = augmentation_.crop_pixels;
  std::vector<float> image(set_.image_size());
  batch.count = chosen.size();
  batch.pixels.resize(chosen.size() * image.size());
  batch.labels.resize(chosen.size());
  float* to = batch.pixels.data();
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    PCM_TRY(set_.read(chosen[i], 1, image));
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
          const std::ptrdiff_t line = std::ptrdiff_t{channel} * height + from_row;
          *to++ = inside ? image[static_cast<std::size_t>(line * width + from_column)]
                         : black_[static_cast<std::size_t>(channel)];
        }
      }
    }
  }
  return {};
}

}  // namespace pcmlab::training

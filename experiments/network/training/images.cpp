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
    : set_(std::move(set)),
      augmentation_(augmentation),
      black_(black_of(set_.normalisation, set_.channels)) {}

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
  std::vector<float> image(set_.image_size());
  batch.count = chosen.size();
  batch.pixels.resize(chosen.size() * image.size());
  batch.labels.resize(chosen.size());
  const ImageStrides channels_last{1, std::ptrdiff_t{set_.width} * set_.channels, set_.channels};
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    PCM_TRY(set_.read(chosen[i], 1, image));
    batch.labels[i] = set_.labels[chosen[i]];
    const Shift shift =
        draw_shift(augmentation_, [&random](std::uint32_t count) { return random.below(count); });
    shift_image(image, set_, shift, black_, channels_last, &batch.pixels[i * image.size()]);
  }
  return {};
}

}  // namespace pcmlab::training

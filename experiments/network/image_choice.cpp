// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/image_choice.h"

#include <numeric>
#include <random>
#include <utility>

namespace pcmlab {

std::vector<std::uint32_t> choose_images(std::size_t count, std::size_t total, std::uint64_t seed) {
  std::vector<std::uint32_t> indices(total);
  std::iota(indices.begin(), indices.end(), 0U);
  // The standard's distributions differ from one library to the next; the generator does not.
  std::mt19937_64 random(seed);
  for (std::size_t i = 0; i < count; ++i) {
    std::swap(indices[i], indices[i + random() % (total - i)]);
  }
  indices.resize(count);
  return indices;
}

Dataset subset_of(const Dataset& images, std::span<const std::uint32_t> indices) {
  Dataset subset = images;
  subset.pixels.clear();
  subset.labels.clear();
  const std::size_t size = images.pixels.size() / images.count();
  for (const std::uint32_t index : indices) {
    const auto first = images.pixels.begin() + static_cast<std::ptrdiff_t>(index * size);
    subset.pixels.insert(subset.pixels.end(), first, first + static_cast<std::ptrdiff_t>(size));
    subset.labels.push_back(images.labels[index]);
  }
  return subset;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/image_choice.h"

#include <memory>
#include <numeric>
#include <random>
#include <utility>

namespace pcmlab {
namespace {

class ChosenImages : public ImageSource {
 public:
  ChosenImages(std::shared_ptr<const ImageSource> all, std::span<const std::uint32_t> indices)
      : all_(std::move(all)), indices_(indices.begin(), indices.end()) {}

  Result<void> read(std::size_t first, std::size_t count, const Normalisation& normalisation,
                    std::span<float> pixels) const override {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t size = pixels.size() / count;
      PCM_TRY(all_->read(indices_[first + i], 1, normalisation, pixels.subspan(i * size, size)));
    }
    return {};
  }

 private:
  std::shared_ptr<const ImageSource> all_;
  std::vector<std::uint32_t> indices_;
};

}  // namespace

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
  subset.labels.clear();
  for (const std::uint32_t index : indices) subset.labels.push_back(images.labels[index]);
  subset.source = std::make_shared<ChosenImages>(images.source, indices);
  return subset;
}

}  // namespace pcmlab

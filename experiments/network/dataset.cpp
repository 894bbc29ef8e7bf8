// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <thread>

#include "experiments/network/share_jobs.h"

namespace pcmlab {
namespace {

class ImagesInMemory : public ImageSource {
 public:
  ImagesInMemory(std::vector<std::uint8_t> bytes, std::size_t image_size)
      : bytes_(std::move(bytes)), image_size_(image_size) {}

  Result<void> read(std::size_t first, std::size_t count, const Normalisation& normalisation,
                    std::span<float> pixels) const override {
    normalise(std::span(bytes_).subspan(first * image_size_, count * image_size_), image_size_,
              normalisation, pixels);
    return {};
  }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t image_size_;
};

}  // namespace

std::shared_ptr<const ImageSource> images_in_memory(std::vector<std::uint8_t> bytes,
                                                    std::size_t image_size) {
  return std::make_shared<ImagesInMemory>(std::move(bytes), image_size);
}

void normalise(std::span<const std::uint8_t> bytes, std::size_t image_size,
               const Normalisation& normalisation, std::span<float> pixels) {
  const std::size_t channels = normalisation.mean.size();
  const std::size_t plane = image_size / channels;
  for (std::size_t channel = 0; channel < channels; ++channel) {
    // The 256 values that a byte can become, so that each pixel is one look-up.
    std::array<float, 256> table;
    for (std::size_t i = 0; i < table.size(); ++i) {
      table[i] = (static_cast<float>(i) / 255.0f - normalisation.mean[channel]) /
                 normalisation.std[channel];
    }
    for (std::size_t start = channel * plane; start < bytes.size(); start += image_size) {
      for (std::size_t i = start; i < start + plane; ++i) pixels[i] = table[bytes[i]];
    }
  }
}

std::size_t Dataset::image_size() const {
  return static_cast<std::size_t>(channels) * static_cast<std::size_t>(height) *
         static_cast<std::size_t>(width);
}

Result<void> Dataset::read(std::size_t first, std::size_t number, std::span<float> pixels) const {
  const std::size_t size = image_size();
  if (first > count() || number > count() - first || pixels.size() != number * size) {
    return fail(ErrorCode::Internal,
                fmt::format("images {} to {} were asked for of {}, which has {}", first,
                            first + number, name, count()));
  }
  return source->read(first, number, normalisation, pixels);
}

Result<std::vector<float>> Dataset::read(std::size_t first, std::size_t number) const {
  std::vector<float> pixels(number * image_size());
  PCM_TRY(read(first, number, pixels));
  return pixels;
}

Result<void> read_once(const Dataset& images) {
  return share_jobs(std::thread::hardware_concurrency(), images.count(),
                    [&](std::size_t, std::size_t i) -> Result<void> {
                      PCM_TRY(images.read(i, 1));
                      return {};
                    });
}

}  // namespace pcmlab

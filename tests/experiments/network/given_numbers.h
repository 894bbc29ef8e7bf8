// SPDX-License-Identifier: Apache-2.0
/// \file
/// Images that are whatever numbers a test wants, normalised by nothing.
#pragma once

#include <algorithm>
#include <utility>

#include "experiments/network/dataset.h"

namespace pcmlab::test {

class GivenNumbers : public ImageSource {
 public:
  /// \param pixels  [image][channel][row][column]
  GivenNumbers(std::vector<float> pixels, std::size_t image_size)
      : pixels_(std::move(pixels)), image_size_(image_size) {}

  Result<void> read(std::size_t first, std::size_t count, const Normalisation& /*none*/,
                    std::span<float> pixels) const override {
    const auto from = std::span(pixels_).subspan(first * image_size_, count * image_size_);
    std::copy(from.begin(), from.end(), pixels.begin());
    return {};
  }

 private:
  std::vector<float> pixels_;
  std::size_t image_size_;
};

}  // namespace pcmlab::test

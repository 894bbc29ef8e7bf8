// SPDX-License-Identifier: Apache-2.0
/// \file
/// Images as training takes them: in a new order each epoch, cropped and mirrored at random, in
/// batches. Immutable once made; used by one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "experiments/network/augmentation.h"
#include "experiments/network/dataset.h"
#include "experiments/network/training/random.h"

namespace pcmlab::training {

struct Batch {
  std::size_t count = 0;
  std::vector<float> pixels;         ///< [image][row][column][channel], normalised
  std::vector<std::int64_t> labels;  ///< one per image
};

/// The first images of a set, as a set.
Dataset head_of(const Dataset& set, std::size_t count);

class TrainingImages {
 public:
  TrainingImages(Dataset set, Augmentation augmentation);

  const Dataset& set() const { return set_; }

  /// The order of an epoch: each image once.
  std::vector<std::uint32_t> order(std::uint64_t seed, std::uint64_t epoch) const;
  /// \param chosen  indices of images. \param random  draws crops and mirrors.
  /// Errors: those of Dataset::read().
  Result<void> fill(std::span<const std::uint32_t> chosen, Random& random, Batch& batch) const;

 private:
  Dataset set_;
  Augmentation augmentation_;
  std::vector<float> black_;  ///< of each channel
};

}  // namespace pcmlab::training

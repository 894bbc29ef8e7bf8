// SPDX-License-Identifier: Apache-2.0
/// \file
/// Labelled images for inference. A loaded set is immutable and may be shared between threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "protocol/error.h"

namespace pcmlab {

/// Images as a network takes them; a 3x32x32 image has 12 kB.
struct Dataset {
  std::string name;         ///< "fashion-mnist test"
  std::string description;  ///< files, counts and checksums, for the run's provenance
  int channels = 0;
  int height = 0;
  int width = 0;
  int classes = 0;
  std::vector<float> pixels;         ///< [image][channel][row][column], normalised
  std::vector<std::uint8_t> labels;  ///< one per image

  std::size_t count() const { return labels.size(); }
};

enum class Split { Train, Test };

/// Where Debian's dataset-fashion-mnist puts its files.
std::filesystem::path fashion_mnist_folder();

/// Fashion-MNIST's IDX files (gzip or plain) from a folder: 28x28 padded with 2 pixels to 32x32,
/// the grey channel three times, (pixel/255 - 0.2860) / 0.3530, the padding too. \param limit  at
/// most this many images, from the first; 0 = all. Errors: NotFound (names the package or the
/// missing file), BadFile (truncated, wrong magic or counts, labels out of range).
Result<Dataset> load_fashion_mnist(const std::filesystem::path& folder, Split split,
                                   std::size_t limit);

/// CIFAR-10's binary version (data_batch_1..5.bin, test_batch.bin): (pixel/255 - mean) / std per
/// channel, mean 0.4914 0.4822 0.4465, std 0.2470 0.2435 0.2616. Errors: as above.
Result<Dataset> load_cifar10(const std::filesystem::path& folder, Split split, std::size_t limit);

}  // namespace pcmlab

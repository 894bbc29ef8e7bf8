// SPDX-License-Identifier: Apache-2.0
/// \file
/// Labelled images for inference. A loaded set is immutable and may be read by many threads at
/// once. Small sets are held in memory as bytes, a folder of images is decoded as it is read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "protocol/error.h"

namespace pcmlab {

/// What a byte becomes: (byte / 255 - mean) / std, one mean and std a channel.
struct Normalisation {
  std::vector<float> mean, std;
};

/// Where the pixels of a set come from.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  /// Writes images [first, first + count), normalised, [image][channel][row][column]. On several
  /// threads at once. \param pixels  exactly their size.
  /// Errors: Io and BadFile (a file that has changed since the set was loaded).
  virtual Result<void> read(std::size_t first, std::size_t count,
                            const Normalisation& normalisation, std::span<float> pixels) const = 0;
};

/// Images as a network takes them.
struct Dataset {
  std::string name;         ///< "fashion-mnist test"
  std::string description;  ///< files, counts and checksums, for the run's provenance
  int channels = 0;
  int height = 0;
  int width = 0;
  int classes = 0;
  Normalisation normalisation;        ///< may be changed after loading
  std::vector<std::uint16_t> labels;  ///< one per image
  std::shared_ptr<const ImageSource> source;

  std::size_t count() const { return labels.size(); }
  /// Numbers in one image.
  std::size_t image_size() const;
  /// Writes images [first, first + count), normalised, [image][channel][row][column].
  /// Errors: Internal (images that are not there), those of the source.
  Result<void> read(std::size_t first, std::size_t count, std::span<float> pixels) const;
  /// The same in a vector.
  Result<std::vector<float>> read(std::size_t first, std::size_t count) const;
};

/// What `bytes`, images of [channel][row][column], become. A whole number of images.
void normalise(std::span<const std::uint8_t> bytes, std::size_t image_size,
               const Normalisation& normalisation, std::span<float> pixels);

/// A source that holds bytes.
std::shared_ptr<const ImageSource> images_in_memory(std::vector<std::uint8_t> bytes,
                                                    std::size_t image_size);

/// Reads every image, on all cores, to find those that cannot be read. Errors: as Dataset::read().
Result<void> read_once(const Dataset& images);

enum class Split { Train, Test };

/// Where Debian's dataset-fashion-mnist puts its files.
std::filesystem::path fashion_mnist_folder();

/// How the 28x28 grey images of an IDX set are laid out for a network.
struct GreyLayout {
  int channels = 3;  ///< 1, or 3: the grey channel three times
  int side = 32;     ///< 28, or 32: with 2 zero pixels around
};

/// The loaders. In all of them `limit` is the number of images at most, 0 = all; they are the first
/// ones of the files, and of an image folder the first of each class, then the second of each, ...
/// Files are checked beyond the limit too. Descriptions call a file "the known original" when the
/// SHA-256 of its content is the published one.
/// Errors: NotFound (names what is missing and where it can be had), BadFile (truncated, wrong
/// magic or counts, labels out of range, with the file's name), Io.

/// Fashion-MNIST's IDX files, gzip or plain. Mean 0.2860, std 0.3530, the padding too.
Result<Dataset> load_fashion_mnist(const std::filesystem::path& folder, Split split,
                                   std::size_t limit, GreyLayout layout = {});

/// MNIST's IDX files, gzip or plain. Mean 0.1307, std 0.3081.
Result<Dataset> load_mnist(const std::filesystem::path& folder, Split split, std::size_t limit,
                           GreyLayout layout = {1, 28});

/// CIFAR-10's binary version (data_batch_1..5.bin, test_batch.bin): 3x32x32.
/// Mean 0.4914 0.4822 0.4465, std 0.2470 0.2435 0.2616.
Result<Dataset> load_cifar10(const std::filesystem::path& folder, Split split, std::size_t limit);

/// CIFAR-100's binary version (train.bin, test.bin) with its 100 fine labels: 3x32x32.
/// Mean 0.5071 0.4865 0.4409, std 0.2673 0.2564 0.2762.
Result<Dataset> load_cifar100(const std::filesystem::path& folder, Split split, std::size_t limit);

/// Images of any size become those of a network: the shorter side is resized, then the centre cut
/// out.
struct FolderLayout {
  int shorter_side = 256;
  int height = 224;
  int width = 224;
};

/// A folder of images in ImageNet's layout: FOLDER/val/CLASS/*.jpg or *.png (train for the training
/// images), or FOLDER/CLASS/... without a split. Labels are the places of the class folders in the
/// order of their names. A file is decoded whenever its image is read, so that memory does not grow
/// with the set. Every test image is decoded once when the set is loaded, so that a damaged one is
/// found before a run; of the training images, which can be 140 GB, only those that are used:
/// see read_once().
/// Mean 0.485 0.456 0.406, std 0.229 0.224 0.225. Errors: also BadFile for an image that cannot be
/// decoded whole, BadPlan when the cut is larger than the resized image.
Result<Dataset> load_image_folder(const std::filesystem::path& folder, Split split,
                                  std::size_t limit, FolderLayout layout = {});

}  // namespace pcmlab

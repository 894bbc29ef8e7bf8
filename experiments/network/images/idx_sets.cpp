// SPDX-License-Identifier: Apache-2.0
// MNIST and Fashion-MNIST: 28x28 grey images in IDX files.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "experiments/network/dataset.h"
#include "experiments/network/images/input_file.h"

namespace pcmlab {
namespace {

constexpr std::size_t kSide = 28;
constexpr int kClasses = 10;

/// One of the sets that come as four files of the same names.
struct IdxSet {
  const char* name;   ///< in plans
  const char* title;  ///< for people
  const char* advice;
  float mean, std;
  /// SHA-256 of the unpacked originals: images and labels of the training, then of the test set.
  std::array<const char*, 4> originals;
};

// The checksums are those that several projects publish; Debian's package agrees with them.
constexpr IdxSet kFashionMnist{
    "fashion-mnist",
    "Fashion-MNIST",
    "apt install dataset-fashion-mnist, or give the folder that holds the four IDX files.",
    0.2860f,
    0.3530f,
    {"c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
     "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
     "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
     "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}};

// The checksums are those that several projects publish for the unpacked files.
constexpr IdxSet kMnist{
    "mnist",
    "MNIST",
    "Download train- and t10k-images-idx3-ubyte.gz and train- and t10k-labels-idx1-ubyte.gz "
    "(Y. LeCun, C. Cortes, C. Burges) and give the folder that holds them.",
    0.1307f,
    0.3081f,
    {"ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
     "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
     "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
     "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}};

struct Idx {
  std::filesystem::path path;
  std::vector<std::uint32_t> dims;
  std::vector<std::uint8_t> bytes;
  std::string content_sha256;
};

Result<Idx> read_idx(const std::filesystem::path& path, std::uint8_t axes) {
  PCM_ASSIGN(InputFile file, InputFile::open(path));
  PCM_ASSIGN(const auto head, file.read(4 + std::size_t{4} * axes));
  if (head.size() < 4 + std::size_t{4} * axes) return file.damaged("cut short in its header");
  if (head[0] != 0 || head[1] != 0 || head[2] != 0x08 || head[3] != axes) {
    return file.damaged(
        fmt::format("not an IDX file of bytes with {} axes (it begins with "
                    "{:02x}{:02x}{:02x}{:02x})",
                    axes, head[0], head[1], head[2], head[3]));
  }
  Idx idx;
  idx.path = path;
  std::uint64_t expected = 1;
  for (std::size_t axis = 0; axis < axes; ++axis) {
    std::uint32_t extent = 0;
    for (std::size_t i = 0; i < 4; ++i) extent = extent << 8 | head[4 + 4 * axis + i];
    idx.dims.push_back(extent);
    if (extent > (std::uint64_t{1} << 40) / std::max<std::uint64_t>(expected, 1)) {
      return file.damaged("its header gives an impossible size");
    }
    expected *= extent;
  }
  PCM_ASSIGN(idx.bytes, file.read(expected));
  if (idx.bytes.size() < expected) {
    return file.damaged(
        fmt::format("cut short: {} bytes of data instead of {}", idx.bytes.size(), expected));
  }
  PCM_TRY(file.expect_end());
  idx.content_sha256 = file.content_sha256();
  return idx;
}

/// The file itself or its gzip form, whichever is there.
Result<std::filesystem::path> find_idx(const IdxSet& kind, const std::filesystem::path& folder,
                                       const std::string& name) {
  std::error_code status;
  if (!std::filesystem::is_directory(folder, status)) {
    return fail(ErrorCode::NotFound,
                fmt::format("{}: there is no folder {}", kind.title, folder.string()), kind.advice);
  }
  for (const char* suffix : {".gz", ""}) {
    std::filesystem::path file = folder / (name + suffix);
    if (std::filesystem::exists(file, status)) return file;
  }
  return fail(
      ErrorCode::NotFound,
      fmt::format("{}: {} holds neither {}.gz nor {}", kind.title, folder.string(), name, name),
      kind.advice);
}

Result<std::string> described(const Idx& idx, const char* original) {
  PCM_ASSIGN(const std::string source, provenance(idx.path));
  return source +
         (idx.content_sha256 == original ? ", the known original" : ", not the known original");
}

/// The images as bytes of the layout's shape.
std::vector<std::uint8_t> laid_out(const std::vector<std::uint8_t>& images, std::size_t count,
                                   GreyLayout layout) {
  const auto channels = static_cast<std::size_t>(layout.channels);
  const auto side = static_cast<std::size_t>(layout.side);
  const std::size_t padding = (side - kSide) / 2, plane = side * side;
  std::vector<std::uint8_t> bytes(count * channels * plane);
  const std::uint8_t* from = images.data();
  std::uint8_t* to = bytes.data();
  for (std::size_t image = 0; image < count; ++image, to += channels * plane) {
    for (std::size_t row = padding; row < padding + kSide; ++row, from += kSide) {
      std::copy_n(from, kSide, to + row * side + padding);
    }
    for (std::size_t channel = 1; channel < channels; ++channel) {
      std::copy_n(to, plane, to + channel * plane);
    }
  }
  return bytes;
}

Result<Dataset> load_idx_set(const IdxSet& kind, const std::filesystem::path& folder, Split split,
                             std::size_t limit, GreyLayout layout) {
  if ((layout.channels != 1 && layout.channels != 3) || (layout.side != 28 && layout.side != 32)) {
    return fail(ErrorCode::BadNetwork,
                fmt::format("{} cannot be laid out as {}x{}x{} images", kind.title, layout.channels,
                            layout.side, layout.side),
                "Its images are 28x28 or padded to 32x32, in 1 or 3 channels.");
  }
  const std::string stem = split == Split::Train ? "train" : "t10k";
  PCM_ASSIGN(const auto image_file, find_idx(kind, folder, stem + "-images-idx3-ubyte"));
  PCM_ASSIGN(const auto label_file, find_idx(kind, folder, stem + "-labels-idx1-ubyte"));
  PCM_ASSIGN(const Idx images, read_idx(image_file, 3));
  PCM_ASSIGN(const Idx labels, read_idx(label_file, 1));
  if (images.dims[1] != kSide || images.dims[2] != kSide) {
    return bad_file(image_file, fmt::format("images of {}x{} pixels instead of 28x28",
                                            images.dims[1], images.dims[2]));
  }
  if (images.dims[0] == 0) return bad_file(image_file, "it holds no images");
  if (images.dims[0] != labels.dims[0]) {
    return bad_file(image_file, fmt::format("{} images, but {} labels in {}", images.dims[0],
                                            labels.dims[0], label_file.string()));
  }
  PCM_TRY(check_labels(label_file, labels.bytes, kClasses));
  const std::size_t first_original = split == Split::Train ? 0 : 2;
  PCM_ASSIGN(const std::string image_source, described(images, kind.originals.at(first_original)));
  PCM_ASSIGN(const std::string label_source,
             described(labels, kind.originals.at(first_original + 1)));

  const std::size_t count = limited(labels.bytes.size(), limit);
  Dataset set;
  set.name = fmt::format("{} {}", kind.name, to_string(split));
  set.description = fmt::format("first {} of {} images; {}; {}", count, labels.bytes.size(),
                                image_source, label_source);
  set.channels = layout.channels;
  set.height = set.width = layout.side;
  set.classes = kClasses;
  const auto channels = static_cast<std::size_t>(layout.channels);
  set.normalisation = {std::vector(channels, kind.mean), std::vector(channels, kind.std)};
  set.labels.assign(labels.bytes.begin(),
                    labels.bytes.begin() + static_cast<std::ptrdiff_t>(count));
  set.source = images_in_memory(laid_out(images.bytes, count, layout), set.image_size());
  return set;
}

}  // namespace

std::filesystem::path fashion_mnist_folder() { return "/usr/share/datasets/fashion-mnist"; }

Result<Dataset> load_fashion_mnist(const std::filesystem::path& folder, Split split,
                                   std::size_t limit, GreyLayout layout) {
  return load_idx_set(kFashionMnist, folder, split, limit, layout);
}

Result<Dataset> load_mnist(const std::filesystem::path& folder, Split split, std::size_t limit,
                           GreyLayout layout) {
  return load_idx_set(kMnist, folder, split, limit, layout);
}

}  // namespace pcmlab

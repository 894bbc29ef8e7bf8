// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/dataset.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "experiments/network/sha256.h"

namespace pcmlab {
namespace {

constexpr int kClasses = 10;

/// A file, gzip or plain, read from its beginning to its end.
class InputFile {
 public:
  static Result<InputFile> open(const std::filesystem::path& path) {
    InputFile file;
    file.path_ = path.string();
    errno = 0;
    file.stream_.reset(gzopen(path.c_str(), "rb"));
    if (!file.stream_) {
      return fail(ErrorCode::Io,
                  fmt::format("cannot open {}: {}", file.path_, std::strerror(errno)));
    }
    return file;
  }

  /// Fewer bytes than asked for only at the end of the file. Errors: BadFile (damaged gzip), Io.
  Result<std::vector<std::uint8_t>> read(std::size_t count) {
    constexpr std::size_t kStep = 1 << 24;  // a header's count is not believed before its bytes
    std::vector<std::uint8_t> bytes;
    while (bytes.size() < count) {
      const std::size_t old = bytes.size();
      const std::size_t step = std::min(kStep, count - old);
      bytes.resize(old + step);
      const int got = gzread(stream_.get(), bytes.data() + old, static_cast<unsigned>(step));
      int error = Z_OK;
      const char* text = gzerror(stream_.get(), &error);
      if (error == Z_ERRNO) {
        return fail(ErrorCode::Io, fmt::format("cannot read {}: {}", path_, std::strerror(errno)));
      }
      if (got < 0 || error != Z_OK) return damaged(fmt::format("damaged or cut short ({})", text));
      bytes.resize(old + static_cast<std::size_t>(got));
      if (static_cast<std::size_t>(got) < step) break;
    }
    return bytes;
  }

  /// Errors: BadFile when bytes follow.
  Result<void> expect_end() {
    PCM_ASSIGN(const auto rest, read(1));
    if (!rest.empty()) return damaged("bytes follow after its last record");
    return {};
  }

  tl::unexpected<Error> damaged(const std::string& what) const {
    return fail(ErrorCode::BadFile, fmt::format("{}: {}", path_, what),
                "Replace the file by a good copy.");
  }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::unique_ptr<gzFile_s, Close> stream_;
  std::string path_;
};

/// How raw bytes become network inputs, per channel.
struct Normalisation {
  std::array<float, 3> mean, std;

  float operator()(std::size_t channel, std::uint8_t pixel) const {
    return (static_cast<float>(pixel) / 255.0f - mean[channel]) / std[channel];
  }
};

/// The 256 values that a byte can become, so that each pixel is one look-up.
std::array<float, 256> table_of(const Normalisation& norm, std::size_t channel) {
  std::array<float, 256> table;
  for (std::size_t i = 0; i < 256; ++i) table[i] = norm(channel, static_cast<std::uint8_t>(i));
  return table;
}

std::string_view to_text(Split split) { return split == Split::Train ? "train" : "test"; }

/// "name (sha256 ...)" for the description.
Result<std::string> provenance(const std::filesystem::path& file) {
  PCM_ASSIGN(const std::string hash, sha256_of_file(file));
  return fmt::format("{} (sha256 {})", file.string(), hash);
}

std::size_t limited(std::size_t count, std::size_t limit) {
  return limit == 0 ? count : std::min(count, limit);
}

// ---- IDX ---------------------------------------------------------------------------------------

struct Idx {
  std::vector<std::uint32_t> dims;
  std::vector<std::uint8_t> bytes;
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
  return idx;
}

/// The file itself or its gzip form, whichever is there.
Result<std::filesystem::path> find_idx(const std::filesystem::path& folder,
                                       const std::string& name) {
  constexpr const char* kAdvice =
      "apt install dataset-fashion-mnist, or give the folder that holds the four IDX files.";
  std::error_code status;
  if (!std::filesystem::is_directory(folder, status)) {
    return fail(ErrorCode::NotFound,
                fmt::format("Fashion-MNIST: there is no folder {}", folder.string()), kAdvice);
  }
  for (const char* suffix : {".gz", ""}) {
    std::filesystem::path file = folder / (name + suffix);
    if (std::filesystem::exists(file, status)) return file;
  }
  return fail(
      ErrorCode::NotFound,
      fmt::format("Fashion-MNIST: {} holds neither {}.gz nor {}", folder.string(), name, name),
      kAdvice);
}

Result<void> check_labels(const std::filesystem::path& file, std::span<const std::uint8_t> labels) {
  const auto wrong = std::find_if(labels.begin(), labels.end(),
                                  [](std::uint8_t label) { return label >= kClasses; });
  if (wrong == labels.end()) return {};
  return fail(ErrorCode::BadFile,
              fmt::format("{}: label {} of image {} is not one of the {} classes", file.string(),
                          *wrong, wrong - labels.begin(), kClasses),
              "Replace the file by a good copy.");
}

}  // namespace

std::filesystem::path fashion_mnist_folder() { return "/usr/share/datasets/fashion-mnist"; }

Result<Dataset> load_fashion_mnist(const std::filesystem::path& folder, Split split,
                                   std::size_t limit) {
  constexpr std::size_t kSide = 28, kPadding = 2, kPadded = kSide + 2 * kPadding;
  constexpr Normalisation kNorm{{0.2860f, 0.2860f, 0.2860f}, {0.3530f, 0.3530f, 0.3530f}};
  const std::string stem = split == Split::Train ? "train" : "t10k";
  PCM_ASSIGN(const auto image_file, find_idx(folder, stem + "-images-idx3-ubyte"));
  PCM_ASSIGN(const auto label_file, find_idx(folder, stem + "-labels-idx1-ubyte"));
  PCM_ASSIGN(const Idx images, read_idx(image_file, 3));
  PCM_ASSIGN(const Idx labels, read_idx(label_file, 1));
  const auto bad = [&](const std::string& what) {
    return fail(ErrorCode::BadFile, fmt::format("{}: {}", image_file.string(), what),
                "Replace the file by a good copy.");
  };
  if (images.dims[1] != kSide || images.dims[2] != kSide) {
    return bad(
        fmt::format("images of {}x{} pixels instead of 28x28", images.dims[1], images.dims[2]));
  }
  if (images.dims[0] == 0) return bad("it holds no images");
  if (images.dims[0] != labels.dims[0]) {
    return bad(fmt::format("{} images, but {} labels in {}", images.dims[0], labels.dims[0],
                           label_file.string()));
  }
  PCM_TRY(check_labels(label_file, labels.bytes));
  PCM_ASSIGN(const std::string image_source, provenance(image_file));
  PCM_ASSIGN(const std::string label_source, provenance(label_file));

  const std::size_t count = limited(labels.bytes.size(), limit);
  Dataset set;
  set.name = fmt::format("fashion-mnist {}", to_text(split));
  set.description = fmt::format("first {} of {} images; {}; {}", count, labels.bytes.size(),
                                image_source, label_source);
  set.channels = 3;
  set.height = set.width = kPadded;
  set.classes = kClasses;
  set.labels.assign(labels.bytes.begin(),
                    labels.bytes.begin() + static_cast<std::ptrdiff_t>(count));
  const std::array<float, 256> table = table_of(kNorm, 0);
  constexpr std::size_t kPlane = kPadded * kPadded;
  set.pixels.assign(count * 3 * kPlane, table[0]);
  for (std::size_t image = 0; image < count; ++image) {
    float* const plane = set.pixels.data() + image * 3 * kPlane;
    const std::uint8_t* from = images.bytes.data() + image * kSide * kSide;
    for (std::size_t row = 0; row < kSide; ++row) {
      float* to = plane + (row + kPadding) * kPadded + kPadding;
      for (std::size_t column = 0; column < kSide; ++column) *to++ = table[*from++];
    }
    std::copy_n(plane, kPlane, plane + kPlane);
    std::copy_n(plane, kPlane, plane + 2 * kPlane);
  }
  return set;
}

Result<Dataset> load_cifar10(const std::filesystem::path& folder, Split split, std::size_t limit) {
  constexpr std::size_t kSide = 32, kPlane = kSide * kSide, kImage = 3 * kPlane;
  constexpr std::size_t kRecord = 1 + kImage;
  constexpr Normalisation kNorm{{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}};
  constexpr const char* kAdvice =
      "Give the folder cifar-10-batches-bin of the binary version of CIFAR-10.";
  std::error_code status;
  if (!std::filesystem::is_directory(folder, status)) {
    return fail(ErrorCode::NotFound,
                fmt::format("CIFAR-10: there is no folder {}", folder.string()), kAdvice);
  }
  std::vector<std::filesystem::path> files;
  if (split == Split::Test) {
    files.push_back(folder / "test_batch.bin");
  } else {
    for (int i = 1; i <= 5; ++i) files.push_back(folder / fmt::format("data_batch_{}.bin", i));
  }
  const std::array<std::array<float, 256>, 3> tables{table_of(kNorm, 0), table_of(kNorm, 1),
                                                     table_of(kNorm, 2)};
  Dataset set;
  set.name = fmt::format("cifar-10 {}", to_text(split));
  set.channels = 3;
  set.height = set.width = kSide;
  set.classes = kClasses;
  std::size_t total = 0;
  std::string sources;
  for (const auto& path : files) {
    if (!std::filesystem::exists(path, status)) {
      return fail(ErrorCode::NotFound, fmt::format("CIFAR-10: there is no file {}", path.string()),
                  kAdvice);
    }
    PCM_ASSIGN(InputFile file, InputFile::open(path));
    constexpr std::size_t kMost = 1'000'000;
    PCM_ASSIGN(const auto bytes, file.read(kMost * kRecord));
    PCM_TRY(file.expect_end());
    if (bytes.empty() || bytes.size() % kRecord != 0) {
      return file.damaged(
          fmt::format("{} bytes are not a whole number of {}-byte records", bytes.size(), kRecord));
    }
    const std::size_t records = bytes.size() / kRecord;
    std::vector<std::uint8_t> labels(records);
    for (std::size_t i = 0; i < records; ++i) labels[i] = bytes[i * kRecord];
    PCM_TRY(check_labels(path, labels));
    PCM_ASSIGN(const std::string source, provenance(path));
    sources += "; " + source;
    total += records;
    const std::size_t wanted =
        limit == 0 ? records : std::min(records, limit - std::min(limit, set.count()));
    const std::size_t before = set.count();
    set.labels.insert(set.labels.end(), labels.begin(),
                      labels.begin() + static_cast<std::ptrdiff_t>(wanted));
    set.pixels.resize((before + wanted) * kImage);
    for (std::size_t i = 0; i < wanted; ++i) {
      const std::uint8_t* from = bytes.data() + i * kRecord + 1;
      float* to = set.pixels.data() + (before + i) * kImage;
      for (const auto& table : tables) {
        for (std::size_t pixel = 0; pixel < kPlane; ++pixel) *to++ = table[*from++];
      }
    }
  }
  set.description = fmt::format("first {} of {} images{}", set.count(), total, sources);
  return set;
}

}  // namespace pcmlab

// SPDX-License-Identifier: Apache-2.0
// CIFAR-10 and CIFAR-100, binary version: records of labels and 3x32x32 bytes.
#include <fmt/format.h>

#include <algorithm>

#include "experiments/network/dataset.h"
#include "experiments/network/images/input_file.h"

namespace pcmlab {
namespace {

constexpr int kSide = 32;
constexpr std::size_t kImage = 3 * 32 * 32;

struct CifarSet {
  const char* name;   ///< in plans
  const char* title;  ///< for people
  const char* advice;
  std::vector<int> classes;  ///< of each label byte of a record; the last one is the label
  Normalisation normalisation;
};

/// The labels at one place of all records.
std::vector<std::uint8_t> labels_at(const std::vector<std::uint8_t>& bytes, std::size_t place,
                                    std::size_t record) {
  std::vector<std::uint8_t> labels(bytes.size() / record);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = bytes[i * record + place];
  return labels;
}

Result<Dataset> load_cifar(const CifarSet& kind, const std::filesystem::path& folder,
                           const std::vector<std::string>& files, Split split, std::size_t limit) {
  const std::size_t record = kind.classes.size() + kImage;
  std::error_code status;
  if (!std::filesystem::is_directory(folder, status)) {
    return fail(ErrorCode::NotFound,
                fmt::format("{}: there is no folder {}", kind.title, folder.string()), kind.advice);
  }
  Dataset set;
  set.name = fmt::format("{} {}", kind.name, to_string(split));
  set.channels = 3;
  set.height = set.width = kSide;
  set.classes = kind.classes.back();
  set.normalisation = kind.normalisation;
  std::size_t total = 0;
  std::string sources;
  std::vector<std::uint8_t> pixels;
  for (const std::string& name : files) {
    const std::filesystem::path path = folder / name;
    if (!std::filesystem::exists(path, status)) {
      return fail(ErrorCode::NotFound,
                  fmt::format("{}: there is no file {}", kind.title, path.string()), kind.advice);
    }
    PCM_ASSIGN(InputFile file, InputFile::open(path));
    constexpr std::size_t kMost = 1'000'000;
    PCM_ASSIGN(const auto bytes, file.read(kMost * record));
    PCM_TRY(file.expect_end());
    if (bytes.empty() || bytes.size() % record != 0) {
      return file.damaged(
          fmt::format("{} bytes are not a whole number of {}-byte records", bytes.size(), record));
    }
    std::vector<std::uint8_t> labels;
    for (std::size_t i = 0; i < kind.classes.size(); ++i) {
      labels = labels_at(bytes, i, record);
      PCM_TRY(check_labels(path, labels, kind.classes[i]));
    }
    PCM_ASSIGN(const std::string source, provenance(path));
    sources += "; " + source;
    total += labels.size();
    const std::size_t wanted =
        limit == 0 ? labels.size() : std::min(labels.size(), limit - std::min(limit, set.count()));
    set.labels.insert(set.labels.end(), labels.begin(),
                      labels.begin() + static_cast<std::ptrdiff_t>(wanted));
    for (std::size_t i = 0; i < wanted; ++i) {
      const auto from = bytes.begin() + static_cast<std::ptrdiff_t>((i + 1) * record - kImage);
      pixels.insert(pixels.end(), from, from + static_cast<std::ptrdiff_t>(kImage));
    }
  }
  set.source = images_in_memory(std::move(pixels), kImage);
  set.description = fmt::format("first {} of {} images{}", set.count(), total, sources);
  return set;
}

}  // namespace

Result<Dataset> load_cifar10(const std::filesystem::path& folder, Split split, std::size_t limit) {
  const CifarSet kind{
      "cifar-10",
      "CIFAR-10",
      "Download the binary version (A. Krizhevsky, cifar-10-binary.tar.gz), unpack it and give its "
      "folder cifar-10-batches-bin.",
      {10},
      {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}}};
  std::vector<std::string> files{"test_batch.bin"};
  if (split == Split::Train) {
    files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
             "data_batch_5.bin"};
  }
  return load_cifar(kind, folder, files, split, limit);
}

Result<Dataset> load_cifar100(const std::filesystem::path& folder, Split split, std::size_t limit) {
  const CifarSet kind{
      "cifar-100",
      "CIFAR-100",
      "Download the binary version (A. Krizhevsky, cifar-100-binary.tar.gz), unpack it and give "
      "its folder cifar-100-binary.",
      {20, 100},
      {{0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}}};
  return load_cifar(kind, folder, {split == Split::Train ? "train.bin" : "test.bin"}, split, limit);
}

}  // namespace pcmlab
